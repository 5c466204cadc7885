//! Requests of the protocol crate, signed with an RSA key.
//!
//! The protocol crate signs with P-256 alone. Accounts that Traefik has made have RSA keys, and such an account is
//! used with its own key, so that Traefik can use it again as well. The crate gets a key that no CA knows, and this
//! client signs each of its requests once more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rcgen::KeyPair;
use serde_json::Value;

use crate::http::Http;
use crate::jws::{algorithm, jwk, signed_text};

/// A client that signs what it sends.
pub(crate) struct Resigned {
    pub(crate) http: Http,
    pub(crate) key: Arc<KeyPair>,
}

impl HttpClient for Resigned {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (http, key) = (self.http.clone(), Arc::clone(&self.key));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| Error::Other(Box::new(error)))?.to_bytes();
            let body = if parts.method == Method::POST { resigned(&body, &key)? } else { body.to_vec() };
            http.request(Request::from_parts(parts, BodyWrapper::from(body))).await
        })
    }
}

/// The same head and payload with another signature.
fn resigned(body: &[u8], key: &KeyPair) -> Result<Vec<u8>, Error> {
    let unreadable = || Error::Str("a request has no head or no payload");
    let body: Value = serde_json::from_slice(body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).ok_or_else(unreadable);
    let head = BASE64_URL_SAFE_NO_PAD.decode(text("protected")?).map_err(|_| unreadable())?;
    let mut head: Value = serde_json::from_slice(&head)?;
    head["alg"] = algorithm(key).into();
    if head.get("jwk").is_some() {
        head["jwk"] = jwk(key).ok_or_else(unreadable)?;
    }
    let signed = signed_text(&head, text("payload")?, key).map_err(|error| Error::Other(Box::new(error)))?;
    Ok(signed.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa;
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::json;

    use super::*;
    use crate::jws::{pair, thumbprint};

    #[test]
    fn a_request_keeps_what_it_says_and_has_the_signature_of_the_account() {
        let made = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
        let der = made.as_der().expect("a key").as_ref().to_vec();
        let key = pair(&der).expect("RSA is a kind of account key");
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        for about in [json!({"kid": "https://ca.test/1"}), json!({"jwk": {"kty": "EC"}})] {
            let mut head = json!({"alg": "ES256", "nonce": "n", "url": "https://ca.test/order"});
            head.as_object_mut().expect("an object").extend(about.as_object().expect("an object").clone());
            let payload = encode("{}");
            let body = json!({"protected": encode(&head.to_string()), "payload": payload, "signature": "AAAA"});
            let body = resigned(body.to_string().as_bytes(), &key).expect("is signed");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let text = |name: &str| body[name].as_str().expect("a text");
            let decoded = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)).expect("base64");
            let head: Value = serde_json::from_slice(&decoded("protected")).expect("JSON");
            assert_eq!((&head["alg"], &head["nonce"], text("payload")), (&json!("RS256"), &json!("n"), &*payload));
            assert_eq!(head["jwk"].is_object(), about["jwk"].is_object());
            let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key_raw());
            let signed = format!("{}.{payload}", text("protected"));
            public.verify(signed.as_bytes(), &decoded("signature")).expect("the signature is of the account");
        }
        assert_eq!(jwk(&key).expect("a key")["e"], "AQAB");
        assert_eq!(thumbprint(&key).expect("a key").len(), 43);
    }
}
