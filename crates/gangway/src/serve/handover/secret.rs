//! The proof that both sides serve from the same volume.

use std::io;

use aws_lc_rs::hmac;

/// Random bytes for the other side to sign; never the same twice.
pub(super) type HandoverChallenge = [u8; 32];

/// A signature of both challenges.
pub(super) type Signature = [u8; 32];

/// The side that signs. It is part of the signature, so that a side cannot send back what it received.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Predecessor,
    Successor,
}

/// The secrets of the volume, which every instance that serves from it knows.
pub(crate) struct HandoverSecret(Box<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>);

impl HandoverSecret {
    /// `read` is called each time a secret is needed, because a new volume has none yet. Without a secret, no other
    /// instance is trusted. The newest secret comes first; the others are for an instance of a version that knows no
    /// newer one.
    pub(crate) fn from(read: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    /// The keys, the newest first; never empty.
    fn keys(&self) -> io::Result<Vec<hmac::Key>> {
        let secrets = (self.0)();
        if secrets.is_empty() {
            return Err(io::Error::other("the volume holds no secret to recognise it by"));
        }
        Ok(secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect())
    }

    /// Signs both challenges with the newest secret, as the side that signs first.
    pub(super) fn sign(
        &self,
        side: Side,
        theirs: &HandoverChallenge,
        ours: &HandoverChallenge,
    ) -> io::Result<Signature> {
        Ok(sign_with(&self.keys()?[0], side, theirs, ours))
    }

    /// Verifies the other side's signature of the challenge that was sent to it.
    ///
    /// Returns the key that the other side knows: an instance that knows no other one can verify only that one.
    pub(super) fn verify(
        &self,
        side: Side,
        ours: &HandoverChallenge,
        theirs: &HandoverChallenge,
        signature: &Signature,
    ) -> io::Result<hmac::Key> {
        let bytes = signed_bytes(side, ours, theirs);
        let known = self.keys()?.into_iter().find(|key| hmac::verify(key, &bytes, signature).is_ok());
        known.ok_or_else(|| io::Error::other("it does not serve from this data folder"))
    }
}

/// Signs both challenges with one key.
pub(super) fn sign_with(
    key: &hmac::Key,
    side: Side,
    theirs: &HandoverChallenge,
    ours: &HandoverChallenge,
) -> Signature {
    hmac::sign(key, &signed_bytes(side, theirs, ours)).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn signed_bytes(side: Side, asked: &HandoverChallenge, own: &HandoverChallenge) -> Vec<u8> {
    let side: &[u8] = match side {
        Side::Predecessor => b"handover\0predecessor\0",
        Side::Successor => b"handover\0successor\0",
    };
    [side, asked, own].concat()
}

/// Makes a new challenge.
pub(super) fn challenge() -> io::Result<HandoverChallenge> {
    let mut challenge = HandoverChallenge::default();
    aws_lc_rs::rand::fill(&mut challenge).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(challenge)
}
