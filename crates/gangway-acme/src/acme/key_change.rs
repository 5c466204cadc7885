//! Another key for an account (RFC 8555, section 7.3.5).
//!
//! The protocol crate makes the new key itself and hands it out once the CA has taken it: whoever is stopped in
//! between has lost the account. So the request is made here, for a key that is on the volume already.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Method, Request, header};
use instant_acme::{BodyWrapper, Error, Problem};
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};

use super::account::repeat;
use super::directory::Directory;
use super::failure::{Failure, FailureKind};
use super::http::Http;

/// What is to be changed; keys are PKCS #8.
pub(crate) struct KeyChange<'a> {
    /// The account's URL.
    pub(crate) account: &'a str,
    pub(crate) old: &'a [u8],
    pub(crate) new: &'a [u8],
}

impl KeyChange<'_> {
    /// Asks the CA for it. An error of kind [`FailureKind::Rejected`] means that the old key is still in force;
    /// after any other one either may be.
    pub(crate) async fn ask(&self, http: &Http, directory: &Directory) -> Result<(), Failure> {
        let urls = directory.key_change.as_deref().zip(directory.new_nonce.as_deref());
        let (url, new_nonce) = urls.ok_or_else(|| Failure::new(FailureKind::Rejected, "the CA changes no keys"))?;
        let (old, new) = (pair(self.old)?, pair(self.new)?);
        let asked = repeat!(async {
            let nonce = nonce(http, new_nonce).await?;
            let request = Request::builder().method(Method::POST).uri(url);
            let request = request.header(header::CONTENT_TYPE, "application/jose+json");
            let body = body(self.account, url, &nonce, &old, &new).map_err(|error| Error::Other(Box::new(error)))?;
            let response = http.send(request.body(BodyWrapper::from(body))?).await?;
            match response.status().is_success() {
                true => Ok(()),
                false => Err(Error::Api(serde_json::from_slice::<Problem>(response.body())?)),
            }
        });
        asked.map_err(|error| match &error {
            Error::Api(_) => Failure::new(FailureKind::Rejected, Failure::from(&error).detail),
            _ => Failure::from(&error),
        })
    }
}

async fn nonce(http: &Http, url: &str) -> Result<String, Error> {
    let request = Request::builder().method(Method::HEAD).uri(url).body(BodyWrapper::default())?;
    let response = http.send(request).await?;
    let nonce = response.headers().get("replay-nonce").and_then(|nonce| nonce.to_str().ok()).map(str::to_owned);
    nonce.ok_or(Error::Str("the CA gave no nonce"))
}

/// The new key says which account it is for, and the account says that this is its wish.
fn body(account: &str, url: &str, nonce: &str, old: &KeyPair, new: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let wish = json!({"account": account, "oldKey": jwk(old)});
    let inner = signed(json!({"alg": "ES256", "jwk": jwk(new), "url": url}), &wish, new)?;
    let outer = signed(json!({"alg": "ES256", "kid": account, "nonce": nonce, "url": url}), &inner, old)?;
    Ok(outer.to_string().into_bytes())
}

fn signed(head: Value, payload: &Value, key: &KeyPair) -> Result<Value, rcgen::Error> {
    let [head, payload] = [head, payload.clone()].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let signature = key.sign(format!("{head}.{payload}").as_bytes())?;
    let signature = BASE64_URL_SAFE_NO_PAD.encode(fixed(&signature).ok_or(rcgen::Error::RemoteKeyError)?);
    Ok(json!({"protected": head, "payload": payload, "signature": signature}))
}

fn jwk(key: &KeyPair) -> Value {
    // A point: 4, then both coordinates.
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    let [x, y] = [x, y].map(|coordinate| BASE64_URL_SAFE_NO_PAD.encode(coordinate));
    json!({"crv": "P-256", "kty": "EC", "x": x, "y": y})
}

/// Two numbers of 32 bytes, where they came as DER has them: without leading zeros, or with one too many.
fn fixed(der: &[u8]) -> Option<[u8; 64]> {
    let mut fixed = [0; 64];
    let mut rest = der.get(2..)?;
    for half in fixed.chunks_mut(32) {
        let len = usize::from(*rest.get(1)?);
        let number = rest.get(2..2 + len)?;
        let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        half.get_mut(32usize.checked_sub(number.len())?..)?.copy_from_slice(number);
        rest = &rest[2 + len..];
    }
    Some(fixed)
}

/// All account keys are for P-256: the protocol crate knows no others.
fn pair(key: &[u8]) -> Result<KeyPair, Failure> {
    let pair = KeyPair::try_from(key).ok().filter(|pair| pair.public_key_raw().len() == 65);
    pair.ok_or_else(|| Failure::new(FailureKind::Account, "the account's key is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_have_their_fixed_length() {
        let der = [&[0x30, 0x25, 2, 0x21, 0][..], &[0xff; 32], &[2, 0]].concat();
        let one = fixed(&der).expect("two numbers");
        assert_eq!((&one[..32], &one[32..]), (&[0xff; 32][..], &[0; 32][..]));
        let der = [0x30, 6, 2, 1, 7, 2, 1, 9];
        let two = fixed(&der).expect("two numbers");
        assert_eq!((two[31], two[63], two.iter().filter(|byte| **byte != 0).count()), (7, 9, 2));
        assert_eq!(fixed(&der[..6]), None);
    }
}
