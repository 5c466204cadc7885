//! Where a certificate of ours is, once somebody has asked for it.

use parking_lot::RwLock;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::bundle::{Bundle, Origin};
use crate::internal_ca::renewal_time;
use crate::time::UnixTime;

/// Who signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signer {
    Internal,
    Placeholder,
}

/// Where the certificate of one name is, once there is one.
#[derive(Debug)]
pub(crate) struct CertificateSlot {
    pub(crate) kind: Signer,
    pub(crate) bundle: RwLock<Option<Arc<Bundle>>>,
}

/// Places of names that somebody else chose, as many as there is room for.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotCache {
    places: HashMap<Box<str>, Arc<CertificateSlot>>,
    /// The oldest first.
    order: VecDeque<Box<str>>,
}

impl CertificateSlot {
    pub(crate) fn empty(kind: Signer) -> Self {
        Self { kind, bundle: RwLock::default() }
    }

    pub(crate) fn present(&self) -> Option<Arc<Bundle>> {
        self.bundle.read().clone()
    }

    /// What is there and good for some time yet.
    pub(crate) fn current(&self, now: UnixTime) -> Option<Arc<Bundle>> {
        self.present().filter(|bundle| is_current(bundle, now))
    }

    /// What is there, as long as it is good for some time yet; else what is made now. A handshake that asks
    /// meanwhile waits for it, which takes less than to sign as well.
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
        // Where none could be made the old one says better what is wrong than an alert would.
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
    /// The place of a name, if it has one where this one signs.
    pub(crate) fn known(&self, name: &str, kind: Signer) -> Option<&Arc<CertificateSlot>> {
        self.places.get(name).filter(|place| place.kind == kind)
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.places.len(), self.order.len(), "each has its turn");
        self.places.len()
    }

    /// The place of a name; the oldest one gives way where there is no room.
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
