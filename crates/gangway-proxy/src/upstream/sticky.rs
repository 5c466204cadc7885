//! By which sign a client finds its endpoint again.
//!
//! The value of the cookie is a signature of the route and the endpoint under a secret of ours, and nothing
//! else: whoever reads it learns nothing, nobody can make one up, and nothing has to be remembered. It is
//! made once for each endpoint of a table, and compared for each request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gangway_model::RoutingTable;
use gangway_model::route::{EndpointKey, Route, STICKY_COOKIE};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// So much of a signature is more than can be guessed.
const SIGNATURE_LEN: usize = 16;

/// And so much of one tells the upstreams under one host apart.
const COOKIE_LEN: usize = 6;

/// Where the secret comes from: the same after a restart, if there is one.
#[derive(Clone)]
pub struct CookieSecret(Arc<SecretSource>);

struct SecretSource {
    read: Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>,
    known: OnceLock<hmac::Key>,
}

impl CookieSecret {
    /// Asked for once there is a sticky route; none, where there is none yet, is asked again.
    pub fn from(source: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(SecretSource { read: Box::new(source), known: OnceLock::new() }))
    }

    /// What all of this process share where there is no other.
    pub fn none() -> Self {
        Self::from(|| None)
    }

    fn key(&self) -> hmac::Key {
        static OF_THIS_PROCESS: OnceLock<[u8; 32]> = OnceLock::new();
        if let Some(known) = self.0.known.get() {
            return known.clone();
        }
        if let Some(secret) = (self.0.read)() {
            return self.0.known.get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, &secret)).clone();
        }
        let random = OF_THIS_PROCESS.get_or_init(|| {
            let mut random = [0; 32];
            // Without a source of chance nothing else that we do would be safe either; it then is no secret.
            let _ = aws_lc_rs::rand::fill(&mut random);
            random
        });
        hmac::Key::new(hmac::HMAC_SHA256, random)
    }

    /// The value of the cookie for an endpoint of an upstream.
    pub(crate) fn token(&self, upstream: &str, endpoint: &EndpointKey) -> Box<str> {
        let text = format!("sticky\0{upstream}\0{}\0{}", endpoint.container, endpoint.address);
        let signature = hmac::sign(&self.key(), text.as_bytes());
        URL_SAFE_NO_PAD.encode(&signature.as_ref()[..SIGNATURE_LEN]).into()
    }

    /// A name of a cookie that no other upstream has, without naming this one.
    fn cookie_of(&self, name: &str, upstream: &str) -> Box<str> {
        let signature = hmac::sign(&self.key(), format!("cookie\0{upstream}").as_bytes());
        format!("{name}-{}", URL_SAFE_NO_PAD.encode(&signature.as_ref()[..COOKIE_LEN])).into()
    }
}

/// The name of the cookie of each sticky route of a table.
///
/// As written; but where another sticky route under the same host is written alike, or none is written, with
/// an ending of its own: one cookie for both would keep neither client at its endpoint.
pub(crate) struct CookieNames<'t> {
    secret: &'t CookieSecret,
    /// By name and host, how many are written alike.
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

    pub(crate) fn name(&self, route: &Route) -> Option<Box<str>> {
        let name = route.upstream.policy.sticky.as_deref()?;
        let is_alone = |host: Box<str>| self.written.get(&(name, host)).is_none_or(|count| *count < 2);
        let mut hosts = route.hosts.iter().map(|host| host.to_string().into());
        match name != STICKY_COOKIE && hosts.all(is_alone) {
            true => Some(name.into()),
            false => Some(self.secret.cookie_of(name, &route.upstream.id)),
        }
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret")
    }
}

/// The values that a client sends for a cookie; HTTP/2 may split the field.
pub(crate) fn sent<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(';')).filter_map(move |pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// Whether a client's value is this token.
pub(crate) fn is(value: &str, token: &str) -> bool {
    constant_time::verify_slices_are_equal(value.as_bytes(), token.as_bytes()).is_ok()
}

/// What sets the cookie.
pub(crate) fn set_cookie(name: &str, token: &str, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}")).ok()
}

#[cfg(test)]
mod tests {
    use gangway_model::route::Address;

    use super::*;

    fn endpoint(container: &str) -> EndpointKey {
        EndpointKey { container: container.into(), address: Address::Ip([172, 20, 0, 3].into(), 80) }
    }

    #[test]
    fn tokens_are_the_same_for_the_same_secret_and_differ_for_all_else() {
        let secret = |secret: &'static [u8]| CookieSecret::from(move || Some(secret.to_vec()));
        let token = secret(b"one").token("shop/web/web", &endpoint("a"));
        assert_eq!(token, secret(b"one").token("shop/web/web", &endpoint("a")));
        assert_ne!(token, secret(b"two").token("shop/web/web", &endpoint("a")));
        assert_ne!(token, secret(b"one").token("shop/web/api", &endpoint("a")));
        assert_ne!(token, secret(b"one").token("shop/web/web", &endpoint("b")));
        assert_ne!(token, CookieSecret::none().token("shop/web/web", &endpoint("a")));
        assert_eq!(token.len(), 22);
        assert!(is(&token, &token) && !is("", &token) && !is(&token[1..], &token));
    }

    #[test]
    fn a_cookie_is_found_among_others_in_any_field() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; sticky=one;sticky2=no"));
        headers.append(COOKIE, HeaderValue::from_static("sticky=two; broken"));
        headers.append(COOKIE, HeaderValue::from_bytes(b"sticky=\xff").expect("bytes"));
        assert_eq!(sent(&headers, "sticky").collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn the_cookie_is_for_no_script_and_no_other_site() {
        let value = |secure| set_cookie("s", "t", secure).and_then(|value| value.to_str().ok().map(str::to_owned));
        assert_eq!(value(true).as_deref(), Some("s=t; Path=/; HttpOnly; SameSite=Lax; Secure"));
        assert_eq!(value(false).as_deref(), Some("s=t; Path=/; HttpOnly; SameSite=Lax"));
    }
}
