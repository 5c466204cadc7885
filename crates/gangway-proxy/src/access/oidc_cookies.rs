//! The cookies of log-ins at OpenID providers.
//!
//! A browser takes a cookie whose name begins with `__Host-` from this host and over TLS only, so that no other host of the
//! domain can put one in its place. The cookie of a session for several hosts cannot have that name.

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::request::client_origin::ClientScheme;

/// What the names of all of them have in common, behind what browsers know.
const MARK: &str = "gangway-oidc-";

/// What stands in front of a name over TLS: for one host, and for several.
const OF_HOST: &str = "__Host-";
const OF_DOMAIN: &str = "__Secure-";

/// States of log-ins that a browser may keep. Each is a tab in which a person has not logged in yet.
const STATES_MAX: usize = 8;

/// Cookies of one name that are looked at.
const SAME_NAME_MAX: usize = 4;

/// How a cookie is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieSite<'a> {
    pub(super) scheme: ClientScheme,
    /// The domain whose hosts get it too.
    pub(super) domain: Option<&'a str>,
}

impl CookieSite<'_> {
    fn prefix(self) -> &'static str {
        match (self.scheme, self.domain) {
            (ClientScheme::Http, _) => "",
            (ClientScheme::Https, None) => OF_HOST,
            (ClientScheme::Https, Some(_)) => OF_DOMAIN,
        }
    }

    /// The name of the cookie for a session.
    pub(super) fn session_name(self, provider: &str) -> String {
        format!("{}{MARK}s-{provider}", self.prefix())
    }

    /// The name of the cookie for a log-in that has begun.
    pub(super) fn state_name(self, state: &str) -> String {
        format!("{}{MARK}l-{state}", self.prefix())
    }

    /// The value of the field that sets a cookie. `age` is in seconds; 0 removes it.
    pub(super) fn set(self, name: &str, value: &str, age: u64) -> String {
        let secure = if self.scheme == ClientScheme::Https { "; Secure" } else { "" };
        let domain = self.domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        // `Lax`: a browser that comes back from the provider has to send it.
        format!("{name}={value}; Path=/{domain}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }

    /// The states that a browser keeps beyond the bound.
    pub(super) fn surplus_states(self, fields: &Fields) -> impl Iterator<Item = String> {
        let begin = self.state_name("");
        let names = pairs(fields).filter_map(|(name, _)| std::str::from_utf8(name).ok());
        let all: Vec<String> = names.filter(|name| is_state(name, &begin)).map(str::to_owned).collect();
        // One more is about to be set.
        let more = (all.len() + 1).saturating_sub(STATES_MAX);
        all.into_iter().take(more)
    }
}

/// Whether it is the name of a state: nothing else may be written back to a client.
fn is_state(name: &str, begin: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.strip_prefix(begin).is_some_and(|state| state.len() == 22 && state.bytes().all(is_part))
}

/// The values that a client sends for a cookie.
pub(super) fn values<'f>(fields: &'f Fields, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
    let named = pairs(fields).filter(move |(known, _)| *known == name.as_bytes());
    named.map(|(_, value)| value).take(SAME_NAME_MAX)
}

fn pairs(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = fields.all(FieldKind::Cookie).flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = memchr::memchr(b'=', pair)?;
        Some((&pair[..equals], &pair[equals + 1..]))
    })
}

/// Removes the cookies of log-ins from a request for somebody else. A client that has one is the user, as far as Gangway can
/// tell: so no application gets one, not even at a route without a log-in.
pub(crate) fn hide(fields: &mut Fields) {
    if !fields.all(FieldKind::Cookie).any(|field| memchr::memmem::find(field, MARK.as_bytes()).is_some()) {
        return;
    }
    let is_ours = |pair: &[u8]| {
        let name = pair.trim_ascii();
        let name = name.strip_prefix(OF_HOST.as_bytes()).or(name.strip_prefix(OF_DOMAIN.as_bytes())).unwrap_or(name);
        name.starts_with(MARK.as_bytes())
    };
    let kept: Vec<Vec<u8>> = fields
        .all(FieldKind::Cookie)
        .map(|field| field.split(|byte| *byte == b';').filter(|pair| !is_ours(pair)).collect::<Vec<_>>())
        .map(|pairs| pairs.join(&b';').trim_ascii().to_vec())
        .filter(|field| !field.is_empty())
        .collect();
    fields.remove(FieldKind::Cookie);
    for field in &kept {
        fields.push_known(FieldKind::Cookie, b"Cookie", &[field]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(cookies: &[&str]) -> Fields {
        let mut fields = Fields::default();
        for cookie in cookies {
            fields.push(b"Cookie", cookie.as_bytes());
        }
        fields
    }

    #[test]
    fn names_and_attributes_are_those_that_browsers_hold_hosts_to() {
        let https = CookieSite { scheme: ClientScheme::Https, domain: None };
        let name = https.session_name("home");
        assert_eq!(name, "__Host-gangway-oidc-s-home");
        assert_eq!(
            https.set(&name, "x", 60),
            "__Host-gangway-oidc-s-home=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        let domain = CookieSite { domain: Some("example.org"), ..https };
        let name = domain.session_name("home");
        assert!(
            domain
                .set(&name, "", 0)
                .starts_with("__Secure-gangway-oidc-s-home=; Path=/; Domain=example.org; Max-Age=0;")
        );
        let http = CookieSite { scheme: ClientScheme::Http, domain: None };
        assert_eq!(
            http.set(&http.state_name("1"), "x", 1),
            "gangway-oidc-l-1=x; Path=/; Max-Age=1; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn ours_are_hidden_and_others_stay() {
        for (sent, stays) in [
            (&["a=b; __Host-gangway-oidc-s-home=x; c=d"][..], &["a=b; c=d"][..]),
            (&["__Secure-gangway-oidc-s-home=x"], &[]),
            (&["gangway-oidc-l-1=x;gangway-oidc-s-a=y", "a=b"], &["a=b"]),
            (&["a=gangway-oidc-s-home; b"], &["a=gangway-oidc-s-home; b"]),
            (&["  __Host-gangway-oidc-s-home  =x; broken"], &["broken"]),
            (&["a=b"], &["a=b"]),
        ] {
            let mut fields = fields(sent);
            hide(&mut fields);
            let left: Vec<&[u8]> = fields.all(FieldKind::Cookie).collect();
            assert_eq!(left, stays.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), "{sent:?}");
        }
    }

    #[test]
    fn states_beyond_the_bound_are_told_and_nothing_else_of_a_client() {
        let site = CookieSite { scheme: ClientScheme::Https, domain: None };
        let state = |number: usize| site.state_name(&format!("{number:022}"));
        let cookies: Vec<String> = (0..9).map(|number| format!("{}=x", state(number))).collect();
        let sent = fields(&[&cookies.join("; "), "__Host-gangway-oidc-l-<script>=x"]);
        assert_eq!(site.surplus_states(&sent).collect::<Vec<_>>(), [state(0), state(1)]);
        assert_eq!(site.surplus_states(&fields(&[&cookies[..7].join(";")])).count(), 0);
        let same = fields(&["a=1; a=2; a=3", "a=4; a=5"]);
        assert_eq!(values(&same, "a").count(), SAME_NAME_MAX);
    }
}
