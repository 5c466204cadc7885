//! Certificates of ours at the moment they are asked for.
//!
//! Which names may have one is known with the table, so ten thousand hosts are ready as soon as they are
//! listed. The certificate itself is made within the first handshake for its name: that takes about as long
//! as the handshake does, and no longer than one with an RSA key. However many handshakes come at once, one
//! of them signs. It is kept for its life, and made anew at a handshake with a third of its time left.
//!
//! A certificate for `*.localhost` is refused by OpenSSL and browsers, since the star stands directly
//! below a top-level domain; and a route for `budget.*` or `*` has no list of names at all. Internal names
//! below those patterns get certificates of their own.
//!
//! There is deliberately nothing of the kind for public names: a CA's budget is not for strangers to
//! spend. They get a placeholder, which costs nobody else anything.
//!
//! A [`Mint`] lives beside the stores: it outlives each of them, and so do the certificates that it has made.

use std::sync::Arc;
use std::time::Instant;

use gangway_publish::{Publisher, Reader, channel};
use parking_lot::Mutex;

use crate::bundle::Bundle;
use crate::internal_ca::InternalCa;
use crate::placeholder::Placeholders;
use crate::promised::PromisedCertificates;
use crate::promises::Promises;
use crate::slot::Signer;
use crate::time::UnixTime;

/// Makes certificates when they are asked for, for the names of the [`Promises`] in force and for no others.
///
/// One for each process. Reading never waits for a change of the promises.
#[derive(Debug)]
pub struct Mint {
    in_force: Reader<PromisedCertificates>,
    change: Mutex<Publisher<PromisedCertificates>>,
}

impl Mint {
    /// Promises nothing yet.
    pub fn new() -> Self {
        let (change, in_force) = channel(PromisedCertificates::default());
        Self { in_force, change: Mutex::new(change) }
    }

    /// Puts other promises in force. Certificates that were made are kept, unless another key has signed them.
    pub fn promise(
        &self,
        signer: Option<Arc<InternalCa>>,
        placeholders: Option<Arc<Placeholders>>,
        promises: &Promises,
    ) {
        let mut change = self.change.lock();
        let next = change.reader().load_full().next(signer, placeholders, promises);
        change.publish(next);
    }

    /// How many certificates were made.
    pub fn count(&self) -> u64 {
        self.in_force.load().count()
    }

    /// Wakes when some were made.
    pub fn made(&self) -> Reader<()> {
        self.in_force.load().made()
    }

    /// Gives up what has ended, so that a name that was asked for once does not keep a certificate for ever.
    pub fn forget_ended(&self, now: UnixTime) {
        self.in_force.load_full().forget_ended(now);
    }

    /// Who would sign for a normal name, if anybody.
    pub(crate) fn kind(&self, host: &str) -> Option<Signer> {
        self.in_force.load().kind(host)
    }

    /// What was made for a normal name so far.
    pub(crate) fn present(&self, host: &str) -> Option<Arc<Bundle>> {
        self.in_force.load().present(host)
    }

    /// Whether a handshake for a normal name would have nothing to sign.
    pub(crate) fn is_made(&self, host: &str, now: UnixTime) -> bool {
        self.in_force.load().is_made(host, now)
    }

    /// The bundle for a normal name, made now if need be.
    pub(crate) fn bundle(&self, host: &str, now: UnixTime) -> Option<Arc<Bundle>> {
        self.in_force.load_full().bundle(host, now)
    }

    /// The bundle for a normal name that no route claims, within a bound.
    pub(crate) fn unclaimed(&self, host: &str, now: UnixTime, instant: Instant) -> Option<Arc<Bundle>> {
        self.in_force.load_full().unclaimed(host, now, instant)
    }
}

impl Default for Mint {
    fn default() -> Self {
        Self::new()
    }
}
