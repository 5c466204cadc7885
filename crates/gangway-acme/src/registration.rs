//! An account that belongs to one which a person has at the CA already (EAB; RFC 8555, section 7.3.4).
//!
//! The protocol crate makes the account's key itself and returns it only after the CA has accepted it: a process
//! that stops in between leaves an account without a key, and some CAs give out a key identifier for one use only.
//! This module therefore makes the request itself, for a key that is already on the volume.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header;
use instant_acme::Error;
use serde_json::{Value, json};

use crate::directory::Directory;
use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::jws::{algorithm, damaged, jwk, nonce, pair, post, signed};
use crate::repeat::repeat;

/// A request for an account with an external binding.
pub(crate) struct Registration<'a> {
    /// The account's private key, as PKCS #8.
    pub(crate) key: &'a [u8],
    /// The identifier and the secret of the person's account, as the CA's web pages show them.
    pub(crate) external: (&'a str, &'a [u8]),
    pub(crate) contact: &'a [&'a str],
}

impl Registration<'_> {
    /// Sends the request to the CA and returns the account's URL.
    pub(crate) async fn ask(&self, http: &Http, directory: &Directory) -> Result<String, Failure> {
        let urls = directory.new_account.as_deref().zip(directory.new_nonce.as_deref());
        let (url, new_nonce) = urls.ok_or_else(|| Failure::new(FailureKind::Confused, "the CA makes no accounts"))?;
        let key = pair(self.key)?;
        let public = jwk(&key).ok_or_else(damaged)?;
        let payload = json!({
            "termsOfServiceAgreed": true,
            "contact": self.contact,
            "externalAccountBinding": binding(&public, url, self.external),
        });
        let answer = repeat!(async {
            let nonce = nonce(http, new_nonce).await?;
            let head = json!({"alg": algorithm(&key), "jwk": public, "nonce": nonce, "url": url});
            let body = signed(&head, &payload, &key);
            let body = body.map_err(|error| Error::Other(Box::new(error)))?;
            post(http, url, body.to_string().into_bytes()).await
        });
        let answer = answer?;
        let account = answer.headers().get(header::LOCATION).and_then(|url| url.to_str().ok());
        let account =
            account.ok_or_else(|| Failure::new(FailureKind::Confused, "the CA gave no URL of the account"))?;
        Ok(account.to_owned())
    }
}

/// The person's account confirms with its secret that the new account belongs to it.
fn binding(public: &Value, url: &str, (id, secret): (&str, &[u8])) -> Value {
    let head = json!({"alg": "HS256", "kid": id, "url": url});
    let [head, payload] = [head, public.clone()].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&secret, format!("{head}.{payload}").as_bytes());
    json!({"protected": head, "payload": payload, "signature": BASE64_URL_SAFE_NO_PAD.encode(signature)})
}
