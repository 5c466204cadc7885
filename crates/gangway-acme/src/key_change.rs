//! Another key for an account (RFC 8555, section 7.3.5).
//!
//! The protocol crate makes the new key itself and returns it only after the CA has accepted it: a process that
//! stops in between has lost the account. This module therefore makes the request itself, for a key that is already
//! on the volume.

use instant_acme::Error;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::directory::Directory;
use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::jws::{algorithm, damaged, jwk, nonce, pair, post, signed};
use crate::repeat::repeat;

/// A request to change an account's key; both keys are PKCS #8.
pub(crate) struct KeyChange<'a> {
    /// The account's URL.
    pub(crate) account: &'a str,
    pub(crate) old: &'a [u8],
    pub(crate) new: &'a [u8],
}

impl KeyChange<'_> {
    /// Sends the request to the CA. An error of kind [`FailureKind::Rejected`] means that the old key is still in
    /// force; after any other error either key may be.
    pub(crate) async fn ask(&self, http: &Http, directory: &Directory) -> Result<(), Failure> {
        let urls = directory.key_change.as_deref().zip(directory.new_nonce.as_deref());
        let (url, new_nonce) = urls.ok_or_else(|| Failure::new(FailureKind::Rejected, "the CA changes no keys"))?;
        let (old, new) = (pair(self.old)?, pair(self.new)?);
        let jwks = jwk(&old).zip(jwk(&new)).ok_or_else(damaged)?;
        let asked = repeat!(async {
            let nonce = nonce(http, new_nonce).await?;
            let body = body(self.account, (url, &nonce), &old, &new, jwks.clone());
            let body = body.map_err(|error| Error::Other(Box::new(error)))?;
            post(http, url, body).await.map(drop)
        });
        asked.map_err(|error| match &error {
            Error::Api(_) => Failure::new(FailureKind::Rejected, Failure::from(&error).detail),
            _ => Failure::from(&error),
        })
    }
}

/// The new key names its account in the inner signature; the account's old key confirms that in the outer one.
fn body(
    account: &str,
    (url, nonce): (&str, &str),
    old: &KeyPair,
    new: &KeyPair,
    (old_jwk, new_jwk): (Value, Value),
) -> Result<Vec<u8>, rcgen::Error> {
    let wish = json!({"account": account, "oldKey": old_jwk});
    let inner = signed(&json!({"alg": algorithm(new), "jwk": new_jwk, "url": url}), &wish, new)?;
    let head = json!({"alg": algorithm(old), "kid": account, "nonce": nonce, "url": url});
    Ok(signed(&head, &inner, old)?.to_string().into_bytes())
}
