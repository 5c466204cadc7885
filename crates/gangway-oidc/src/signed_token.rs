//! Tokens that a provider has signed (RFC 7519): what holds for each kind of them.

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::jwks::Keys;
use crate::time::UnixSeconds;

/// Signatures that count. `none` and those with a shared secret never do.
pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// How far the clocks may differ, in seconds.
pub(crate) const SKEW: u64 = 60;

/// Bytes of a token.
const LEN_MAX: usize = 64 * 1024;

/// Why a token does not count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TokenError {
    /// The provider may have new keys.
    #[error("its key is not one of the provider's")]
    KeyUnknown,
    #[error("{0}")]
    Refused(&'static str),
}

/// A token that counts.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Verified {
    /// Who the user is, and remains.
    pub(crate) subject: String,
    pub(crate) expires: UnixSeconds,
    /// What else is said.
    pub(crate) claims: Map<String, Value>,
}

/// Who may have signed a token, for whom, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// Signatures that the provider may use.
    pub(crate) algorithms: &'a [Algorithm],
}

impl Signed<'_> {
    /// Opens a token, signature first. It is by the issuer and for the audience, and has the claims of `needed`. Times are
    /// for the caller to check.
    pub(crate) fn open<C: DeserializeOwned>(
        &self,
        token: &str,
        keys: &Keys,
        needed: &[&str],
    ) -> Result<(Header, C), TokenError> {
        let refused = TokenError::Refused;
        if token.len() > LEN_MAX {
            return Err(refused("it is too long"));
        }
        let header = decode_header(token).map_err(|_| refused("it is not a signed token"))?;
        if !ALGORITHMS.contains(&header.alg) || !self.algorithms.contains(&header.alg) {
            return Err(refused("its signature is of a kind that is not allowed"));
        }
        // RFC 7515, section 4.1.11: what is critical and not understood makes it invalid. Nothing is understood here.
        if header.crit.is_some() {
            return Err(refused("it has critical parameters"));
        }
        let key = keys.find(header.kid.as_deref(), header.alg).ok_or(TokenError::KeyUnknown)?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[self.issuer]);
        validation.set_audience(&[self.audience]);
        validation.set_required_spec_claims(&[&["iss", "aud"], needed].concat());
        // By the clock that the caller names.
        validation.validate_exp = false;
        let claims = decode::<C>(token, key, &validation).map_err(|error| refused(why(&error)))?.claims;
        Ok((header, claims))
    }
}

/// Whether a text is a subject (OpenID Connect Core 1.0, section 2): at most 255 characters of ASCII.
pub(crate) fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn why(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "another issuer has made it",
        ErrorKind::InvalidAudience => "it is for another client",
        ErrorKind::MissingRequiredClaim(_) => "it lacks `iss`, `aud`, `sub` or `exp`",
        // The library may have more kinds one day; each of them is a refusal.
        _ => "it does not hold",
    }
}
