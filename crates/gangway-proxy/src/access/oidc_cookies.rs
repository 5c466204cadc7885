//! The cookies of log-ins at OpenID providers.
//!
//! A browser takes a cookie whose name begins with `__Host-` from this host and over TLS only, so that no other host of the
//! domain can put one in its place. The cookie of a session for several hosts cannot have that name.

use std::borrow::Cow;

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

/// Bytes of a value: browsers keep 4,096 bytes of name, value and attributes.
const VALUE_LEN_MAX: usize = 3800;

/// Cookies that one session is spread over, if one has no room for it.
const PARTS_MAX: usize = 4;

const _: () = assert!(gangway_oidc::SESSION_LEN_MAX <= PARTS_MAX * VALUE_LEN_MAX, "the longest session has room");

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

    /// The values of the fields that set a session: in one cookie or in several ones, the others of which are removed if the
    /// client has sent them. An empty session removes all of them.
    pub(super) fn set_session(self, sent: &Fields, name: &str, sealed: &str, age: u64) -> Vec<String> {
        let is_whole = sealed.len() <= VALUE_LEN_MAX;
        let whole = Some(sealed).filter(|sealed| is_whole && !sealed.is_empty());
        let mut parts = sealed.as_bytes().chunks(VALUE_LEN_MAX).map(|part| String::from_utf8_lossy(part));
        let names = std::iter::once((name.to_owned(), whole.map(Cow::Borrowed)));
        let names = names.chain((0..PARTS_MAX).map(|part| (part_name(name, part), parts.next().filter(|_| !is_whole))));
        names
            .filter_map(|(name, value)| match value {
                Some(value) => Some(self.set(&name, &value, age)),
                None => values(sent, &name).next().map(|_| self.set(&name, "", 0)),
            })
            .collect()
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
pub(super) fn values<'f>(fields: &'f Fields, name: &str) -> impl Iterator<Item = &'f [u8]> {
    let named = pairs(fields).filter(move |(known, _)| *known == name.as_bytes());
    named.map(|(_, value)| value).take(SAME_NAME_MAX)
}

/// The sessions that a client sends: those in one cookie, and the one in several.
pub(super) fn sessions<'f>(fields: &'f Fields, name: &'f str) -> impl Iterator<Item = Cow<'f, [u8]>> {
    let parts = (0..PARTS_MAX).map_while(|part| values(fields, &part_name(name, part)).next());
    // Parts of different sessions do not open together.
    let spread = std::iter::once_with(|| parts.collect::<Vec<_>>().concat()).filter(|spread| !spread.is_empty());
    values(fields, name).map(Cow::Borrowed).chain(spread.map(Cow::Owned))
}

/// The name of a provider has no dot, so no part is the session of another provider.
fn part_name(name: &str, part: usize) -> String {
    format!("{name}.{part}")
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
            (&["__Host-gangway-oidc-s-home.0=x; a=b; gangway-oidc-s-home.3=x"], &["a=b"]),
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
    fn a_session_is_set_whole_or_in_parts_and_what_it_leaves_is_removed() {
        let site = CookieSite { scheme: ClientScheme::Http, domain: None };
        let set = |sent: &[&str], len: usize| -> Vec<(String, usize)> {
            let told = site.set_session(&fields(sent), "s", &"x".repeat(len), 9).into_iter().map(|set| {
                let (name, rest) = set.split_once('=').expect("a cookie");
                let value = rest.split(';').next().unwrap_or_default();
                assert_eq!(value.is_empty(), set.contains("Max-Age=0;"), "{set}");
                (name.to_owned(), value.len())
            });
            told.collect()
        };
        let parts = |lens: &[usize]| -> Vec<(String, usize)> {
            lens.iter().enumerate().map(|(part, len)| (format!("s.{part}"), *len)).collect()
        };
        assert_eq!(set(&[], VALUE_LEN_MAX), [("s".to_owned(), VALUE_LEN_MAX)]);
        assert_eq!(set(&[], VALUE_LEN_MAX + 1), parts(&[VALUE_LEN_MAX, 1]));
        assert_eq!(set(&[], gangway_oidc::SESSION_LEN_MAX), parts(&[VALUE_LEN_MAX; PARTS_MAX]));
        assert_eq!(
            set(&["s.0=a; s.1=b; s.4=c; t.0=d"], 7),
            [("s".to_owned(), 7), ("s.0".into(), 0), ("s.1".into(), 0)]
        );
        let left = set(&["s=a; s.2=b"], VALUE_LEN_MAX + 1);
        assert_eq!(left, [vec![("s".to_owned(), 0)], parts(&[VALUE_LEN_MAX, 1, 0])[..].to_vec()].concat());
        assert_eq!(set(&["s=a; s.3=b"], 0), [("s".to_owned(), 0), ("s.3".into(), 0)]);
        assert!(set(&["t=a"], 0).is_empty());
        let sent = fields(&["s=a; s.1=c; s.0=b", "s.3=d; s=e"]);
        let all: Vec<Vec<u8>> = sessions(&sent, "s").map(Cow::into_owned).collect();
        assert_eq!(all, [&b"a"[..], b"e", b"bc"], "a part is missing, and what is behind it does not count");
        assert_eq!(sessions(&fields(&["s.1=b"]), "s").count(), 0);
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
