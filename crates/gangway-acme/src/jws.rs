//! Requests that the protocol crate cannot make, signed as an ACME CA wants them (RFC 8555, section 6.2).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use instant_acme::{BodyWrapper, Error, Problem};
use rcgen::{KeyPair, PKCS_RSA_SHA256, SigningKey as _};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

use crate::failure::{Failure, FailureKind};
use crate::http::Http;

/// Sends one signed body, and returns the answer if the CA accepts it.
pub(crate) async fn post(http: &Http, url: &str, body: Vec<u8>) -> Result<Response<Bytes>, Error> {
    let request = Request::builder().method(Method::POST).uri(url);
    let request = request.header(header::CONTENT_TYPE, "application/jose+json");
    let response = http.send(request.body(BodyWrapper::from(body))?).await?;
    match response.status().is_success() {
        true => Ok(response),
        false => Err(Error::Api(serde_json::from_slice::<Problem>(response.body())?)),
    }
}

/// Fetches a nonce.
pub(crate) async fn nonce(http: &Http, url: &str) -> Result<String, Error> {
    let request = Request::builder().method(Method::HEAD).uri(url).body(BodyWrapper::default())?;
    let response = http.send(request).await?;
    let nonce = response.headers().get("replay-nonce").and_then(|nonce| nonce.to_str().ok()).map(str::to_owned);
    nonce.ok_or(Error::Str("the CA gave no nonce"))
}

/// Signs a payload with an account's key. The head must name the key's [algorithm].
pub(crate) fn signed(head: &Value, payload: &Value, key: &KeyPair) -> Result<Value, rcgen::Error> {
    signed_text(head, &BASE64_URL_SAFE_NO_PAD.encode(payload.to_string()), key)
}

/// Signs a payload that is in base64url.
pub(crate) fn signed_text(head: &Value, payload: &str, key: &KeyPair) -> Result<Value, rcgen::Error> {
    let head = BASE64_URL_SAFE_NO_PAD.encode(head.to_string());
    let signature = key.sign(format!("{head}.{payload}").as_bytes())?;
    let signature = match is_rsa(key) {
        true => BASE64_URL_SAFE_NO_PAD.encode(signature),
        false => BASE64_URL_SAFE_NO_PAD.encode(fixed(&signature).ok_or(rcgen::Error::RemoteKeyError)?),
    };
    Ok(json!({"protected": head, "payload": payload, "signature": signature}))
}

/// The name of the algorithm by which a key signs.
pub(crate) fn algorithm(key: &KeyPair) -> &'static str {
    if is_rsa(key) { "RS256" } else { "ES256" }
}

/// Whether a key is for RSA and not for P-256.
pub(crate) fn is_rsa(key: &KeyPair) -> bool {
    key.is_compatible(&PKCS_RSA_SHA256)
}

/// The public half of a key as a JWK. Members are in the order of their names, as its thumbprint needs them.
pub(crate) fn jwk(key: &KeyPair) -> Option<Value> {
    if is_rsa(key) {
        let (_, public) = RSAPublicKey::from_der(key.public_key_raw()).ok()?;
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            BASE64_URL_SAFE_NO_PAD.encode(&bytes[zeros..])
        };
        return Some(json!({"e": number(public.exponent), "kty": "RSA", "n": number(public.modulus)}));
    }
    // The public key is a point: the byte 4, then both coordinates.
    let (x, y) = key.public_key_raw().get(1..)?.split_at_checked(32)?;
    let [x, y] = [x, y].map(|coordinate| BASE64_URL_SAFE_NO_PAD.encode(coordinate));
    Some(json!({"crv": "P-256", "kty": "EC", "x": x, "y": y}))
}

/// The thumbprint of a key (RFC 7638), by which answers to challenges name the account.
pub(crate) fn thumbprint(key: &KeyPair) -> Option<String> {
    let hash = digest(&SHA256, jwk(key)?.to_string().as_bytes());
    Some(BASE64_URL_SAFE_NO_PAD.encode(hash))
}

/// Turns a signature from DER, whose numbers lack leading zeros or have one too many, into two numbers of 32 bytes.
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

/// Reads an account key: one for P-256, which the protocol crate can use, or one for RSA that other software has made.
pub(crate) fn pair(key: &[u8]) -> Result<KeyPair, Failure> {
    let pair = KeyPair::try_from(key).ok().filter(|pair| is_rsa(pair) || pair.public_key_raw().len() == 65);
    pair.ok_or_else(damaged)
}

/// The failure of a key that cannot be read.
pub(crate) fn damaged() -> Failure {
    Failure::new(FailureKind::Account, "the account's key is damaged")
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
