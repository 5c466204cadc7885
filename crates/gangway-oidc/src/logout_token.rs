//! Checks a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6): the provider says that a user is logged out.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwks::Keys;
use crate::signed_token::{SKEW, Signed, TokenError, is_subject};
use crate::time::UnixSeconds;

/// The event that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How old a token may be, in seconds. It is sent at once.
const AGE_MAX: u64 = 300;

/// Whose sessions end. At least one of the two is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedAtProvider {
    /// The user.
    pub subject: Option<String>,
    /// The session at the provider: the claim `sid` of the ID tokens that belong to it.
    pub session: Option<String>,
}

/// A logout token that counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutToken {
    /// Tells it from all others. It counts once.
    pub id: String,
    /// From then on it counts for its age no more.
    pub counts_until: UnixSeconds,
    /// Whose sessions end.
    pub ended: EndedAtProvider,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    sid: Option<String>,
    iat: u64,
    exp: Option<u64>,
    jti: String,
    events: Map<String, Value>,
    /// Forbidden, so that no ID token is taken for one of these.
    nonce: Option<Value>,
}

/// Checks a token, signature first.
pub(crate) fn verify(
    token: &str,
    keys: &Keys,
    signed: Signed<'_>,
    now: UnixSeconds,
) -> Result<LogoutToken, TokenError> {
    let refused = |why| Err(TokenError::Refused(why));
    let (header, claims): (_, Claims) = signed.open(token, keys, &[])?;
    if header.typ.is_some_and(|kind| !kind.eq_ignore_ascii_case("jwt") && !kind.eq_ignore_ascii_case("logout+jwt")) {
        return refused("it is of another type");
    }
    let counts_until = claims.iat.saturating_add(AGE_MAX + SKEW);
    let has_expired = claims.exp.is_some_and(|until| until.saturating_add(SKEW) <= now);
    if has_expired || counts_until <= now || claims.iat > now + SKEW {
        return refused("it is not of this moment, or a clock is wrong");
    }
    if !claims.events.get(EVENT).is_some_and(Value::is_object) || claims.nonce.is_some() {
        return refused("it is no logout token");
    }
    if claims.jti.is_empty() || claims.jti.len() > 255 {
        return refused("it has no `jti`");
    }
    let ended = EndedAtProvider { subject: claims.sub, session: claims.sid };
    let are_named = [&ended.subject, &ended.session].into_iter().flatten().all(|text| is_subject(text));
    if !are_named || ended.subject.is_none() && ended.session.is_none() {
        return refused("it names neither a user nor a session");
    }
    Ok(LogoutToken { id: claims.jti, counts_until, ended })
}
