//! Cookies that bind a client to an endpoint.
//!
//! The value of the cookie is only a signature of the route and the endpoint under a secret of ours. A reader of the
//! cookie learns nothing, nobody can forge one, and nothing needs to be stored. It is computed once for each endpoint
//! of a table, and compared for each request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gangway_model::{EndpointKey, Route, RoutingTable, STICKY_COOKIE};

use crate::grammar::is_value;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::request::client_origin::ClientScheme;

/// Bytes of a signature that cannot be guessed.
const SIGNATURE_LEN: usize = 16;

/// Bytes of a signature that tell the upstreams under one host apart.
const COOKIE_LEN: usize = 6;

/// The source of the secrets that sign cookies. They are the same after a restart, if there are any.
#[derive(Clone)]
pub struct CookieSecret(Arc<SecretSource>);

struct SecretSource {
    read: Box<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>,
    known: OnceLock<Arc<[hmac::Key]>>,
}

/// The name or value of a cookie, under each secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Signed {
    current: [Box<str>; 1],
    /// Under former secrets, in their order.
    former: Vec<Box<str>>,
}

/// Which secret a cookie may be signed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SecretAge {
    /// The current secret.
    Current,
    /// A former secret: the cookie leads to its endpoint once more, and is replaced.
    Former,
}

impl CookieSecret {
    /// The newest secret comes first and signs; cookies under the others are still followed. The source is asked when
    /// there is a sticky route, and again while it has none.
    pub fn from(source: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(SecretSource { read: Box::new(source), known: OnceLock::new() }))
    }

    /// A source without secrets; a random one of this process is used instead.
    pub fn none() -> Self {
        Self::from(Vec::new)
    }

    fn keys(&self) -> Arc<[hmac::Key]> {
        static OF_THIS_PROCESS: OnceLock<[u8; 32]> = OnceLock::new();
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        if let Some(known) = self.0.known.get() {
            return Arc::clone(known);
        }
        let secrets = (self.0.read)();
        if !secrets.is_empty() {
            return Arc::clone(self.0.known.get_or_init(|| secrets.iter().map(|secret| key(secret)).collect()));
        }
        let random = OF_THIS_PROCESS.get_or_init(|| {
            let mut random = [0; 32];
            // Without a source of randomness, nothing else here would be safe either; the value is then no secret.
            let _ = aws_lc_rs::rand::fill(&mut random);
            random
        });
        Arc::new([key(random)])
    }

    fn signed(&self, show: impl Fn(&hmac::Key) -> Box<str>) -> Signed {
        let keys = self.keys();
        let (current, former) = keys.split_first().expect("there is always one");
        Signed { current: [show(current)], former: former.iter().map(show).collect() }
    }

    /// The value of the cookie for an endpoint of an upstream.
    pub(crate) fn token(&self, upstream: &str, endpoint: &EndpointKey) -> Signed {
        let text = format!("sticky\0{upstream}\0{}\0{}", endpoint.container, endpoint.address);
        self.signed(|key| {
            let signature = hmac::sign(key, text.as_bytes());
            URL_SAFE_NO_PAD.encode(&signature.as_ref()[..SIGNATURE_LEN]).into()
        })
    }

    /// The name of a cookie that no other upstream has. It does not reveal the upstream.
    fn cookie_of(&self, name: &str, upstream: &str) -> Signed {
        self.signed(|key| {
            let signature = hmac::sign(key, format!("cookie\0{upstream}").as_bytes());
            format!("{name}-{}", URL_SAFE_NO_PAD.encode(&signature.as_ref()[..COOKIE_LEN])).into()
        })
    }

    /// A name that does not depend on the secret.
    fn cookie_named(&self, name: &str) -> Signed {
        self.signed(|_| name.into())
    }
}

impl Signed {
    /// The name or value under the current secret.
    pub(crate) fn current(&self) -> &str {
        let [current] = &self.current;
        current
    }

    /// Whether a client's value equals this one under the secret with this age and number.
    pub(crate) fn is(&self, (secret, value): (usize, &[u8]), age: SecretAge) -> bool {
        self.under(age).get(secret).is_some_and(|token| is_token(value, token))
    }

    fn under(&self, age: SecretAge) -> &[Box<str>] {
        match age {
            SecretAge::Current => &self.current,
            SecretAge::Former => &self.former,
        }
    }
}

/// The values that a client sends for this cookie, each with the number of the secret that would sign it.
pub(crate) fn sent_values<'h>(
    fields: &'h Fields,
    name: &'h Signed,
    age: SecretAge,
) -> impl Iterator<Item = (usize, &'h [u8])> {
    let names = name.under(age).iter().enumerate();
    names.flat_map(|(secret, name)| sent(fields, name).map(move |value| (secret, value)))
}

/// The names of the cookies of a table's sticky routes.
///
/// A name is used as written. It gets a suffix if another sticky route under the same host has the same name, or if
/// no name is written: with one cookie for both, the client would stay with neither endpoint.
pub(crate) struct CookieNames<'t> {
    secret: &'t CookieSecret,
    /// How many routes have the same name under the same host.
    written: HashMap<(&'t str, Box<str>), usize>,
}

impl<'t> CookieNames<'t> {
    pub(crate) fn of(table: &'t RoutingTable, secret: &'t CookieSecret) -> Self {
        let mut written = HashMap::default();
        for route in table.routes() {
            let Some(name) = route.upstream.policy.sticky.as_deref() else { continue };
            for host in &route.hosts {
                *written.entry((name, host.to_string().into())).or_insert(0) += 1;
            }
        }
        Self { secret, written }
    }

    pub(crate) fn name(&self, route: &Route) -> Option<Signed> {
        let name = route.upstream.policy.sticky.as_deref()?;
        let is_alone = |host: Box<str>| self.written.get(&(name, host)).is_none_or(|count| *count < 2);
        let mut hosts = route.hosts.iter().map(|host| host.to_string().into());
        match name != STICKY_COOKIE && hosts.all(is_alone) {
            true => Some(self.secret.cookie_named(name)),
            false => Some(self.secret.cookie_of(name, &route.upstream.id)),
        }
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret")
    }
}

/// The values that a client sends for a cookie.
fn sent<'h>(fields: &'h Fields, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let pairs = fields.all(FieldKind::Cookie).flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let equals = memchr::memchr(b'=', pair)?;
        (&pair[..equals] == name.as_bytes()).then(|| &pair[equals + 1..])
    })
}

/// Whether a client's value is this token, compared in constant time.
fn is_token(value: &[u8], token: &str) -> bool {
    constant_time::verify_slices_are_equal(value, token.as_bytes()).is_ok()
}

/// Appends the field that sets the cookie.
pub(crate) fn set_cookie(name: &str, token: &str, scheme: ClientScheme, fields: &mut Fields) {
    let secure: &[u8] = match scheme {
        ClientScheme::Https => b"; Secure",
        ClientScheme::Http => b"",
    };
    if is_value(name.as_bytes()) {
        let value = [name.as_bytes(), b"=", token.as_bytes(), b"; Path=/; HttpOnly; SameSite=Lax", secure];
        fields.push_known(FieldKind::SetCookie, b"set-cookie", &value);
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::Address;

    use super::*;

    fn endpoint(container: &str) -> EndpointKey {
        EndpointKey { container: container.into(), address: Address::Ip([172, 20, 0, 3].into(), 80) }
    }

    #[test]
    fn tokens_are_the_same_for_the_same_secret_and_differ_for_all_else() {
        let secret = |secret: &'static [u8]| CookieSecret::from(move || vec![secret.to_vec()]);
        let token = secret(b"one").token("shop/web/web", &endpoint("a"));
        assert_eq!(token, secret(b"one").token("shop/web/web", &endpoint("a")));
        assert_ne!(token, secret(b"two").token("shop/web/web", &endpoint("a")));
        assert_ne!(token, secret(b"one").token("shop/web/api", &endpoint("a")));
        assert_ne!(token, secret(b"one").token("shop/web/web", &endpoint("b")));
        assert_ne!(token, CookieSecret::none().token("shop/web/web", &endpoint("a")));
        let token = token.current();
        assert_eq!(token.len(), 22);
        let sent = token.as_bytes();
        assert!(is_token(sent, token) && !is_token(b"", token) && !is_token(&sent[1..], token));
    }

    #[test]
    fn a_cookie_under_a_former_secret_is_known_as_such_whatever_its_name() {
        let old = CookieSecret::from(|| vec![b"old".to_vec()]);
        let new = CookieSecret::from(|| vec![b"new".to_vec(), b"old".to_vec()]);
        let (key, upstream) = (endpoint("a"), "shop/web/web");
        let is_sent = |fields: &Fields, name: &Signed, token: &Signed, age| {
            sent_values(fields, name, age).any(|value| token.is(value, age))
        };
        let names = |secret: &CookieSecret| [secret.cookie_named("stay"), secret.cookie_of("gangway-sticky", upstream)];
        for (before, name) in names(&old).into_iter().zip(names(&new)) {
            let (issued, token) = (old.token(upstream, &key), new.token(upstream, &key));
            let mut fields = Fields::default();
            let cookie = format!("{}={}", before.current(), issued.current());
            fields.push(b"Cookie", cookie.as_bytes());
            assert!(is_sent(&fields, &name, &token, SecretAge::Former));
            assert!(!is_sent(&fields, &name, &token, SecretAge::Current), "it is to be replaced");
            assert!(!is_sent(&fields, &name, &new.token(upstream, &endpoint("b")), SecretAge::Former));
            fields.clear();
            let cookie = format!("{}={}", name.current(), token.current());
            fields.push(b"Cookie", cookie.as_bytes());
            assert!(is_sent(&fields, &name, &token, SecretAge::Current));
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_in_any_field() {
        let mut fields = Fields::default();
        for cookies in [&b"a=b; sticky=one;sticky2=no"[..], b"sticky=two; broken", b"\xff; sticky=\xff=;=sticky"] {
            fields.push(b"cookie", cookies);
        }
        assert_eq!(sent(&fields, "sticky").collect::<Vec<_>>(), [&b"one"[..], b"two", b"\xff="]);
    }

    #[test]
    fn the_cookie_is_for_no_script_and_no_other_site() {
        let value = |scheme| {
            let mut fields = Fields::default();
            set_cookie("s", "t", scheme, &mut fields);
            String::from_utf8(fields.get(FieldKind::SetCookie).expect("there").to_vec()).expect("text")
        };
        assert_eq!(value(ClientScheme::Https), "s=t; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(value(ClientScheme::Http), "s=t; Path=/; HttpOnly; SameSite=Lax");
    }
}
