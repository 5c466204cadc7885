//! Checks an access token that a client shows as a bearer token (RFC 6750), in the form of RFC 9068 or near to it.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwks::Keys;
use crate::signed_token::{SKEW, Signed, TokenError, Verified, is_subject};
use crate::time::UnixSeconds;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    iat: Option<u64>,
    nbf: Option<u64>,
    /// What ID tokens and logout tokens have, and access tokens have not.
    nonce: Option<Value>,
    at_hash: Option<Value>,
    c_hash: Option<Value>,
    events: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Checks a token, signature first.
pub(crate) fn verify(token: &str, keys: &Keys, signed: Signed<'_>, now: UnixSeconds) -> Result<Verified, TokenError> {
    let refused = |why| Err(TokenError::Refused(why));
    let (header, claims): (_, Claims) = signed.open(token, keys, &["sub", "exp"])?;
    let Claims { sub, exp, iat, nbf, nonce, at_hash, c_hash, events, others } = claims;
    let is_access_token = match header.typ.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("at+jwt" | "application/at+jwt") => true,
        // Many providers do not say it.
        Some("jwt") | None => [nonce, at_hash, c_hash, events].iter().all(Option::is_none),
        Some(_) => false,
    };
    if !is_access_token {
        return refused("it is no access token");
    }
    if exp.saturating_add(SKEW) <= now {
        return refused("it has expired, or a clock is wrong");
    }
    if [iat, nbf].into_iter().flatten().any(|from| from > now + SKEW) {
        return refused("it is from the future, or a clock is wrong");
    }
    if !is_subject(&sub) {
        return refused("`sub` is not a subject");
    }
    Ok(Verified { subject: sub, expires: exp, claims: others })
}
