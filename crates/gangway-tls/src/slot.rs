//! Slots for certificates that are made at the first handshake.

use parking_lot::RwLock;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::bundle::{Bundle, Origin};
use crate::internal_ca::renewal_time;
use crate::time::UnixTime;

/// The signer of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signer {
    Internal,
    Placeholder,
}

/// The place for the certificate of one name.
#[derive(Debug)]
pub(crate) struct CertificateSlot {
    pub(crate) kind: Signer,
    pub(crate) bundle: RwLock<Option<Arc<Bundle>>>,
}

/// Slots of names that clients choose, within a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotCache {
    places: HashMap<Box<str>, Arc<CertificateSlot>>,
    /// The names, the oldest first.
    order: VecDeque<Box<str>>,
}

impl CertificateSlot {
    pub(crate) fn empty(kind: Signer) -> Self {
        Self { kind, bundle: RwLock::default() }
    }

    pub(crate) fn present(&self) -> Option<Arc<Bundle>> {
        self.bundle.read().clone()
    }

    /// The certificate, if there is one that is not due for renewal.
    pub(crate) fn current(&self, now: UnixTime) -> Option<Arc<Bundle>> {
        self.present().filter(|bundle| is_current(bundle, now))
    }

    /// The certificate if it is not due for renewal, otherwise one that is made now. Other handshakes wait
    /// meanwhile, which takes less time than to sign as well.
    pub(crate) fn bundle(&self, now: UnixTime, make: impl FnOnce() -> Option<Bundle>) -> Option<Arc<Bundle>> {
        if let Some(bundle) = self.current(now) {
            return Some(bundle);
        }
        let mut place = self.bundle.write();
        if !place.as_ref().is_some_and(|bundle| is_current(bundle, now))
            && let Some(made) = make()
        {
            *place = Some(Arc::new(made));
        }
        // If none could be made, the old certificate describes the problem better than an alert would.
        place.clone()
    }

    pub(crate) fn forget_ended(&self, now: UnixTime) {
        if self.present().is_some_and(|bundle| now >= bundle.not_after) {
            *self.bundle.write() = None;
        }
    }
}

pub(crate) fn is_current(bundle: &Bundle, now: UnixTime) -> bool {
    bundle.is_valid_at(now) && now < renewal_time(bundle)
}

impl Signer {
    pub(crate) fn origin(self) -> Origin {
        match self {
            Self::Internal => Origin::Internal,
            Self::Placeholder => Origin::Placeholder,
        }
    }
}

impl SlotCache {
    /// The slot of a name, if it has one for this signer.
    pub(crate) fn known(&self, name: &str, kind: Signer) -> Option<&Arc<CertificateSlot>> {
        self.places.get(name).filter(|place| place.kind == kind)
    }

    /// The number of slots.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.places.len(), self.order.len(), "each has its turn");
        self.places.len()
    }

    /// The slot of a name, which is added if needed; the oldest one gives way if there is no room.
    pub(crate) fn place(&mut self, name: &str, kind: Signer, max: usize) -> Arc<CertificateSlot> {
        if let Some(place) = self.known(name, kind) {
            return Arc::clone(place);
        }
        let place = Arc::new(CertificateSlot::empty(kind));
        if self.places.insert(name.into(), Arc::clone(&place)).is_none() {
            self.order.push_back(name.into());
        }
        if self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        place
    }
}
