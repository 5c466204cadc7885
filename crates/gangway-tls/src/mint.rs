//! Certificates that gangway signs itself, made when a handshake asks for them.
//!
//! The names that may have one are known with the table, so ten thousand hosts are ready as soon as they are
//! listed. The certificate itself is made within the first handshake for its name: that takes about as long as the
//! handshake does, and no longer than a handshake with an RSA key. Of many handshakes at once, one signs. The
//! certificate is kept for its lifetime, and a handshake renews it when a third of that is left.
//!
//! OpenSSL and browsers refuse a certificate for `*.localhost`, since the star stands directly below a top-level
//! domain; and a route for `budget.*` or `*` has no list of names. Internal names below those patterns get
//! certificates of their own.
//!
//! Public names are deliberately excluded: strangers must not be able to spend a CA's budget. They get a
//! placeholder, which costs no other site anything.
//!
//! A [`Mint`] lives beside the stores: it outlives each of them, and so do its certificates.

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
    /// A mint without promises.
    pub fn new() -> Self {
        let (change, in_force) = channel(PromisedCertificates::default());
        Self { in_force, change: Mutex::new(change) }
    }

    /// Puts other promises in force. Existing certificates are kept, unless another key has signed them.
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

    /// The number of certificates that were made.
    pub fn count(&self) -> u64 {
        self.in_force.load().count()
    }

    /// A reader that wakes after certificates were made.
    pub fn made(&self) -> Reader<()> {
        self.in_force.load().made()
    }

    /// Drops expired certificates, so that a name that was asked for once does not keep one for ever.
    pub fn forget_ended(&self, now: UnixTime) {
        self.in_force.load_full().forget_ended(now);
    }

    /// The signer for a normal name, or `None` if no promise covers it.
    pub(crate) fn kind(&self, host: &str) -> Option<Signer> {
        self.in_force.load().kind(host)
    }

    /// The certificate for a normal name, if it was made already.
    pub(crate) fn present(&self, host: &str) -> Option<Arc<Bundle>> {
        self.in_force.load().present(host)
    }

    /// Whether a current certificate for a normal name exists, so that a handshake has nothing to sign.
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
