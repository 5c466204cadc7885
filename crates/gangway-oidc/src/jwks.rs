//! The keys by which a provider signs (RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::http::Http;
use crate::login_error::LoginError;

/// More keys than any provider has at once.
const KEYS_MAX: usize = 64;

/// One key.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only one that it is for, if it says so.
    algorithm: Option<String>,
    fits: Fits,
    key: DecodingKey,
}

/// What a key can check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fits {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// All keys that can be used.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Deserialize)]
struct Document {
    /// Read one by one: a key of a kind that is not known must not hide the others.
    keys: Vec<serde_json::Value>,
}

/// Reads the keys of a provider.
pub(crate) async fn read(http: &Http, url: &str) -> Result<Keys, LoginError> {
    let answer = http.get(url).await?;
    if !answer.status.is_success() {
        return Err(LoginError::Invalid(format!(
            "the keys of the provider: `{url}` answers {}",
            answer.status.as_u16()
        )));
    }
    Keys::parse(&answer.body)
}

impl Keys {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, LoginError> {
        let document: Document = serde_json::from_slice(text)
            .map_err(|error| LoginError::Invalid(format!("the keys of the provider do not hold: {error}")))?;
        Ok(Self(document.keys.into_iter().take(KEYS_MAX).filter_map(key).collect()))
    }

    /// The key for a token with this header. Without a `kid` there must be only one that fits.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let name = format!("{algorithm:?}");
        let mut fitting = self.0.iter().filter(|key| {
            Some(key.fits) == fits(algorithm)
                && key.algorithm.as_ref().is_none_or(|only| *only == name)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let first = fitting.next()?;
        fitting.next().is_none().then_some(&first.key)
    }
}

fn fits(algorithm: Algorithm) -> Option<Fits> {
    Some(match algorithm {
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Fits::Rsa,
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Fits::Rsa,
        Algorithm::ES256 => Fits::P256,
        Algorithm::ES384 => Fits::P384,
        Algorithm::EdDSA => Fits::Ed25519,
        // Among them those with a shared secret: none of the keys fits.
        _ => return None,
    })
}

fn key(value: serde_json::Value) -> Option<Key> {
    let algorithm = value.get("alg").and_then(|name| name.as_str()).map(str::to_owned);
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let fits = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Fits::Rsa,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Fits::P256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Fits::P384,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Fits::Ed25519,
        // Other curves, shared secrets, and whatever the library learns one day.
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id, algorithm, fits, key })
}
