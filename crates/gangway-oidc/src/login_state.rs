//! A log-in that has begun: what the browser keeps until it comes back, and what it comes back with.

use serde::{Deserialize, Serialize};

use crate::cookie_keys::CookieKeys;
use crate::login_error::LoginError;
use crate::time::UnixSeconds;

/// How long a person may take to log in, in seconds.
pub(crate) const LIFETIME: u64 = 600;

/// Bytes of a path to come back to. After a log-in from a longer one the browser comes back to `/`.
const RETURN_LEN_MAX: usize = 1536;

/// Bytes of what a provider hands over by the browser.
const PARAMETER_LEN_MAX: usize = 4096;

/// Tells a log-in from others: a number by chance that nobody guesses.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct StateId(String);

impl StateId {
    pub(crate) fn new(random: String) -> Self {
        Self(random)
    }

    /// The text, of which a cookie's name can be made.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the state cookie holds.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LoginState {
    /// Which provider was asked.
    pub(crate) provider: String,
    pub(crate) nonce: String,
    /// The secret of PKCE.
    pub(crate) verifier: String,
    /// A path of the same host.
    pub(crate) return_to: String,
    pub(crate) begun: UnixSeconds,
}

impl LoginState {
    pub(crate) fn seal(&self, keys: &CookieKeys, origin: &str, id: &StateId) -> Result<String, LoginError> {
        let text = serde_json::to_vec(self).map_err(|_| LoginError::Closed("the state cannot be written"))?;
        keys.seal(&["login", origin, &id.0], &text)
    }

    pub(crate) fn open(
        keys: &CookieKeys,
        origin: &str,
        id: &StateId,
        sealed: &[u8],
        now: UnixSeconds,
    ) -> Result<Self, LoginError> {
        let text = keys.open(&["login", origin, &id.0], sealed);
        let state = text.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        let state = state.ok_or(LoginError::NotBegun("the cookie of this log-in does not hold"))?;
        let age = now.checked_sub(state.begun);
        // A clock that was set back makes it one of the future.
        if age.is_none_or(|age| age >= LIFETIME) {
            return Err(LoginError::NotBegun("this log-in took too long"));
        }
        Ok(state)
    }
}

/// A target of a request, made a path to come back to: never one that a browser could take for another host.
pub(crate) fn return_path(target: &str) -> &str {
    let is_path = target.starts_with('/')
        && !target.starts_with("//")
        && target.len() <= RETURN_LEN_MAX
        && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path { target } else { "/" }
}

/// What a browser comes back with from a provider.
#[derive(Debug, Eq, PartialEq)]
pub struct Callback {
    pub(crate) state: StateId,
    pub(crate) issuer: Option<String>,
    pub(crate) outcome: Result<String, String>,
}

impl Callback {
    /// Reads the query.
    ///
    /// # Errors
    ///
    /// It is not what a provider sends: no state, or a parameter twice.
    pub fn parse(query: &str) -> Result<Self, LoginError> {
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ => continue,
            };
            if value.len() > PARAMETER_LEN_MAX || slot.replace(value.into_owned()).is_some() {
                return Err(LoginError::NotBegun("a parameter is there twice or is too long"));
            }
        }
        let is_id = |text: &String| {
            text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let state = state.filter(is_id).ok_or(LoginError::NotBegun("there is no state"))?;
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(code),
            (None, Some(error)) => Err(error.chars().filter(char::is_ascii_graphic).take(64).collect()),
            (Some(_) | None, _) => return Err(LoginError::NotBegun("there is neither a code nor an error")),
        };
        Ok(Self { state: StateId(state), issuer, outcome })
    }

    /// Which log-in it belongs to, as the browser says.
    pub fn state(&self) -> &StateId {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = 1_800_000_000;
    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_path_to_come_back_to_is_of_the_same_host() {
        for target in ["/", "/a/b?c=d&e=https://x.org", "/@evil.example", "/%2F/evil.example", "/.evil.example"] {
            assert_eq!(return_path(target), target);
        }
        let long = format!("/{}", "a".repeat(RETURN_LEN_MAX));
        for target in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "evil.example",
            "*",
            "/a\r\nLocation: https://evil.example",
            "/a b",
            "/\t/evil.example",
            "/\u{e4}",
            &long,
        ] {
            assert_eq!(return_path(target), "/", "{target}");
        }
    }

    #[test]
    fn a_state_opens_for_its_log_in_at_its_origin_in_time() {
        let keys = CookieKeys::new(&[[1; 32]]);
        let state = LoginState {
            provider: "home".into(),
            nonce: "n".into(),
            verifier: "v".into(),
            return_to: "/".into(),
            begun: NOW,
        };
        let (id, other) = (StateId(ID.into()), StateId(ID.replace('A', "B")));
        let sealed = state.seal(&keys, "https://a.org", &id).expect("a key");
        let open = |origin, id: &StateId, now| LoginState::open(&keys, origin, id, sealed.as_bytes(), now).is_ok();
        assert!(open("https://a.org", &id, NOW) && open("https://a.org", &id, NOW + LIFETIME - 1));
        assert!(!open("https://a.org", &id, NOW + LIFETIME) && !open("https://a.org", &id, NOW - 1));
        assert!(!open("https://b.org", &id, NOW) && !open("http://a.org", &id, NOW));
        assert!(!open("https://a.org", &other, NOW));
    }

    #[test]
    fn a_callback_has_one_state_and_one_outcome() {
        let code = Callback::parse(&format!("code=a%2Bb&state={ID}&iss=https%3A%2F%2Fid&other=1")).expect("whole");
        assert_eq!((code.outcome.as_deref(), code.issuer.as_deref()), (Ok("a+b"), Some("https://id")));
        let error = Callback::parse(&format!("error=access_denied%0D%0Ax&state={ID}")).expect("whole");
        assert_eq!(error.outcome, Err("access_deniedx".into()));
        for query in [
            String::new(),
            "code=a".into(),
            format!("state={ID}"),
            format!("code=&state={ID}"),
            format!("code=a&code=b&state={ID}"),
            format!("code=a&state={ID}&state={ID}"),
            format!("code=a&error=b&state={ID}"),
            "code=a&state=short".into(),
            format!("code=a&state={}", ID.replace('A', "%0A")),
            format!("code={}&state={ID}", "a".repeat(PARAMETER_LEN_MAX + 1)),
        ] {
            assert!(matches!(Callback::parse(&query), Err(LoginError::NotBegun(_))), "{query}");
        }
    }
}
