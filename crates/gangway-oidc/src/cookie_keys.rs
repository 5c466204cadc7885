//! Seals what cookies hold: nobody else can read it, change it, or move it to another cookie.
//!
//! AES-256-GCM with a fresh random nonce for each value. A key is in use for some days, so the number of values under one
//! stays far below the bound for random nonces (2^32, NIST SP 800-38D, section 8.3).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::login_error::LoginError;
use crate::session_len::SESSION_LEN_MAX;

const NONCE_LEN: usize = 12;

/// No session of Gangway is longer, nor what else it seals.
const SEALED_LEN_MAX: usize = SESSION_LEN_MAX;

/// The keys for cookies. Without keys nothing is sealed and nothing can be opened.
#[derive(Default)]
pub struct CookieKeys(Vec<RandomizedNonceKey>);

impl CookieKeys {
    /// The first key seals; all of them open.
    pub fn new(keys: &[[u8; 32]]) -> Self {
        // A key of this length is never refused.
        Self(keys.iter().filter_map(|key| RandomizedNonceKey::new(&AES_256_GCM, key).ok()).collect())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seals a text. It can be opened with the same `context` only.
    pub(crate) fn seal(&self, context: &[&str], text: &[u8]) -> Result<String, LoginError> {
        let key = self.0.first().ok_or(LoginError::Closed("there is no key for cookies on the volume"))?;
        let mut sealed = text.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(joined(context)), &mut sealed);
        let nonce = nonce.map_err(|_| LoginError::Closed("the system gave no random numbers"))?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &sealed].concat()))
    }

    /// Opens what was sealed in this context.
    pub(crate) fn open(&self, context: &[&str], sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.len() > SEALED_LEN_MAX {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let context = joined(context);
        self.0.iter().find_map(|key| {
            let mut text = sealed.to_vec();
            let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(&context), &mut text);
            opened.ok().map(|text| text.to_vec())
        })
    }
}

/// No two lists of parts are the same when joined.
fn joined(parts: &[&str]) -> Vec<u8> {
    let mut joined = b"gangway oidc 1".to_vec();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part.as_bytes());
    }
    joined
}

impl fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 32] = [1; 32];
    const TWO: [u8; 32] = [2; 32];

    #[test]
    fn a_value_opens_as_it_was_sealed_and_in_its_context_only() {
        let keys = CookieKeys::new(&[ONE]);
        let sealed = keys.seal(&["session", "a"], b"text").expect("a key");
        assert_eq!(keys.open(&["session", "a"], sealed.as_bytes()).as_deref(), Some(&b"text"[..]));
        for context in [&["session", "b"][..], &["session"], &["sessiona"], &["session", "a", ""], &[]] {
            assert!(keys.open(context, sealed.as_bytes()).is_none(), "{context:?}");
        }
        assert_ne!(keys.seal(&["session", "a"], b"text").expect("a key"), sealed, "the nonce is fresh");
    }

    #[test]
    fn no_changed_byte_is_accepted() {
        let keys = CookieKeys::new(&[ONE]);
        let sealed = keys.seal(&["x"], b"text").expect("a key");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(keys.open(&["x"], BASE64_URL_SAFE_NO_PAD.encode(changed).as_bytes()).is_none(), "{at}");
            assert!(keys.open(&["x"], BASE64_URL_SAFE_NO_PAD.encode(&bytes[..at]).as_bytes()).is_none(), "{at}");
        }
        for not_sealed in ["", "=", "!!!!", "AAAA", &"A".repeat(SEALED_LEN_MAX + 4)] {
            assert!(keys.open(&["x"], not_sealed.as_bytes()).is_none());
        }
    }

    #[test]
    fn a_former_key_opens_and_does_not_seal_and_without_keys_nothing_is_done() {
        let old = CookieKeys::new(&[ONE]).seal(&["x"], b"text").expect("a key");
        let both = CookieKeys::new(&[TWO, ONE]);
        assert!(both.open(&["x"], old.as_bytes()).is_some());
        let new = both.seal(&["x"], b"text").expect("a key");
        assert!(CookieKeys::new(&[ONE]).open(&["x"], new.as_bytes()).is_none());
        assert!(CookieKeys::new(&[TWO]).open(&["x"], old.as_bytes()).is_none());
        let none = CookieKeys::default();
        assert!(none.is_empty() && none.seal(&["x"], b"").is_err() && none.open(&["x"], old.as_bytes()).is_none());
        assert_eq!(format!("{both:?}"), "CookieKeys(2)");
    }
}
