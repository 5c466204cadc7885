//! Session tickets sealed with the keys that the store in force shares.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use gangway_publish::Reader;
use rustls::server::ProducesTickets;

use crate::store::Store;
use crate::tickets::ID_LEN;

/// The lifetime in seconds that clients see on a ticket: its key is kept at least as long.
const LIFETIME: u32 = 12 * 60 * 60;

/// Seals with the keys of the store in force, or with its own while the store has none.
#[derive(Debug)]
pub(crate) struct SharedTickets {
    store: Reader<Store>,
    own: Arc<dyn ProducesTickets>,
    /// The policy of the handshake: a ticket of one policy is invalid under another.
    policy: Box<[u8]>,
}

impl SharedTickets {
    pub(crate) fn new(store: Reader<Store>, own: Arc<dyn ProducesTickets>, policy: Box<[u8]>) -> Self {
        Self { store, own, policy }
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let store = self.store.load();
        let Some(key) = store.ticket_keys().first() else { return self.own.encrypt(plain) };
        let mut sealed = plain.to_vec();
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key.secret).ok()?;
        let nonce = cipher.seal_in_place_append_tag(Aad::from(&*self.policy), &mut sealed).ok()?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        Some([&key.id[..], &nonce[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let store = self.store.load();
        let (id, rest) = ticket.split_at_checked(ID_LEN)?;
        let Some(key) = store.ticket_keys().iter().find(|key| key.id == id) else {
            // The ticket may be from the time before the store had keys.
            return self.own.decrypt(ticket);
        };
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key.secret).ok()?;
        let plain = cipher.open_in_place(nonce, Aad::from(&*self.policy), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}
