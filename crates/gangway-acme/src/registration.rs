//! An account that belongs to one which a person has at the CA already (EAB; RFC 8555, section 7.3.4).
//!
//! The protocol crate makes the account's key itself here and hands it out once the CA has taken it: whoever is
//! stopped in between has an account that nobody can use, and some CAs give out a key identifier for one use
//! only. So the request is made here, for a key that is on the volume already.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header;
use instant_acme::Error;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::directory::Directory;
use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::jws::{jwk, nonce, pair, post, signed};
use crate::repeat::repeat;

/// What is to be registered.
pub(crate) struct Registration<'a> {
    /// PKCS #8.
    pub(crate) key: &'a [u8],
    /// As the CA's web pages call the person's account, and the secret that they gave out.
    pub(crate) external: (&'a str, &'a [u8]),
    pub(crate) contact: &'a [&'a str],
}

impl Registration<'_> {
    /// Asks the CA for it, and gives the account's URL.
    pub(crate) async fn ask(&self, http: &Http, directory: &Directory) -> Result<String, Failure> {
        let urls = directory.new_account.as_deref().zip(directory.new_nonce.as_deref());
        let (url, new_nonce) = urls.ok_or_else(|| Failure::new(FailureKind::Confused, "the CA makes no accounts"))?;
        let key = pair(self.key)?;
        let payload = json!({
            "termsOfServiceAgreed": true,
            "contact": self.contact,
            "externalAccountBinding": binding(&key, url, self.external),
        });
        let answer = repeat!(async {
            let nonce = nonce(http, new_nonce).await?;
            let body = signed(json!({"alg": "ES256", "jwk": jwk(&key), "nonce": nonce, "url": url}), &payload, &key);
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

/// The person's account says that ours belongs to it.
fn binding(key: &KeyPair, url: &str, (id, secret): (&str, &[u8])) -> Value {
    let head = json!({"alg": "HS256", "kid": id, "url": url});
    let [head, payload] = [head, jwk(key)].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&secret, format!("{head}.{payload}").as_bytes());
    json!({"protected": head, "payload": payload, "signature": BASE64_URL_SAFE_NO_PAD.encode(signature)})
}
