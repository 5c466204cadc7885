//! Suggestions for unknown keys: what was probably meant, and whether that would have protected the route.
//!
//! A misspelt `host` costs a route its host. A misspelt `allow` would leave it open to everybody, so
//! whatever could have been meant to protect counts as protecting: closed on doubt.

use super::schema::{KEYS, Key};
use gangway_diagnostic::{distance, nearest};

/// Words of which a key that protects is made, here and in other proxies.
const PROTECTING_WORDS: [&str; 12] = [
    "auth",
    "allow",
    "deny",
    "whitelist",
    "blacklist",
    "blocklist",
    "password",
    "passwd",
    "oidc",
    "ratelimit",
    "firewall",
    "mtls",
];

/// Names in other proxies, and our keys for them. They are too different for a spelling suggestion.
const FOREIGN: [(&str, &str); 30] = [
    ("acl", "allow"),
    ("address", "port"),
    ("alias", "host"),
    ("basicauth", "auth.basic"),
    ("block", "deny"),
    ("buffering", "body-limit"),
    ("client-max-body-size", "body-limit"),
    ("domain", "host"),
    ("domains", "host"),
    ("expose", "enable"),
    ("forwardauth", "auth.forward"),
    ("gzip", "compress"),
    ("hostname", "host"),
    ("ip", "network"),
    ("limit", "rate-limit"),
    ("login", "auth.basic"),
    ("middlewares", "rule"),
    ("prefix", "path"),
    ("protocol", "scheme"),
    ("proto", "scheme"),
    ("rate", "rate-limit"),
    ("server.port", "port"),
    ("ssl", "tls"),
    ("sso", "auth.forward"),
    ("subdomain", "host"),
    ("url", "host"),
    ("user", "auth.basic"),
    ("users", "auth.basic"),
    ("vhost", "host"),
    ("virtual-host", "host"),
];

/// What an unknown key was probably meant to be.
#[derive(Debug, Default)]
pub(super) struct Suggestion {
    /// The label that was probably meant, without our prefix.
    pub meant: Option<String>,
    /// Could it have been meant to protect?
    pub protects: bool,
}

/// Suggests what `key` was meant to be. It is the part behind our prefix, or behind a route's name.
pub(super) fn guess(key: &str) -> Suggestion {
    /// No key of ours is nearly that long, and an attacker's may be as long as he likes.
    const LEN_MAX: usize = 100;
    let written = &key[..key.floor_char_boundary(LEN_MAX)];
    let key = written.to_ascii_lowercase();
    if let Some(header) = header(written, &key) {
        return Suggestion { meant: Some(header), protects: false };
    }
    let meant = match traefik(&key) {
        Some(traefik) => traefik.meant.map(str::to_owned),
        None => foreign(&key).map(str::to_owned).or_else(|| slip(&key)).or_else(|| in_a_wrong_place(&key)),
    };
    let protects = PROTECTING_WORDS.iter().any(|word| key.replace(['-', '_'], "").contains(word))
        || meant.as_deref().and_then(known).is_some_and(Key::protects)
        || endings(&key).any(is_near_to_protecting);
    Suggestion { meant, protects }
}

/// A key of Traefik's grammar, which people leave as it is when they put our prefix in front.
#[derive(Debug)]
pub(super) struct Traefik {
    /// Our key with the same meaning, without the prefix.
    pub meant: Option<&'static str>,
    /// Something to do where nothing does.
    pub help: &'static str,
}

/// `http.routers.<name>.rule` and the like. `key` is in lower case.
pub(super) fn traefik(key: &str) -> Option<Traefik> {
    let mut parts = key.strip_prefix("http.")?.splitn(3, '.');
    let (kind, _, rest) = (parts.next()?, parts.next(), parts.next().unwrap_or_default());
    let (meant, help) = match (kind, rest) {
        ("routers", "rule") => (Some("rule"), ""),
        ("routers", "priority") => (Some("priority"), ""),
        ("routers", "middlewares") => (None, "write what the middlewares do as labels of the route"),
        ("routers", "entrypoints") => (None, "remove it, as every route is served on all addresses"),
        ("routers", rest) if rest.starts_with("tls") => (None, "remove it, as HTTPS is on by itself"),
        ("services", "loadbalancer.server.port") => (Some("port"), ""),
        ("services", "loadbalancer.server.scheme") => (Some("scheme"), ""),
        ("routers" | "services" | "middlewares", _) => (None, "look up what says the same in the reference of labels"),
        _ => return None,
    };
    Some(Traefik { meant, help })
}

/// The key, and what stands behind its first dots: the beginning may be a route's name.
fn endings(key: &str) -> impl Iterator<Item = &str> {
    const ENDINGS_MAX: usize = 4;
    let dots = key.match_indices('.').map(|(at, _)| &key[at + 1..]);
    std::iter::once(key).chain(dots).take(ENDINGS_MAX)
}

/// `response.headers.X-Auth`: the name of a header says nothing about what is protected.
fn header(written: &str, key: &str) -> Option<String> {
    let (begin, tail) = key.rsplit_once('.')?;
    let stems =
        KEYS.iter().filter(|known| known.name.ends_with("<Name>")).map(|known| known.stem().trim_end_matches('.'));
    let stem = nearest(begin, stems)?;
    Some(format!("{stem}.{}", &written[written.len() - tail.len()..]))
}

fn foreign(key: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(foreign, _)| *foreign == key).map(|(_, ours)| *ours)
}

fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A slip of the finger away from one of ours.
fn slip(key: &str) -> Option<String> {
    let fixed = KEYS.iter().filter(|known| !known.is_open()).map(|known| known.name);
    nearest(key, fixed).map(str::to_owned)
}

/// `web.host` instead of `routes.web.host`, or `router.web.host`.
fn in_a_wrong_place(key: &str) -> Option<String> {
    let (first, rest) = key.split_once('.')?;
    let is_key =
        |key: &str| KEYS.iter().any(|known| known.name == key || (known.is_open() && key.starts_with(known.stem())));
    if let Some((name, key)) = rest.split_once('.')
        && is_key(key)
        && nearest(first, ["routes"]).is_some()
    {
        return Some(format!("routes.{name}.{key}"));
    }
    if is_key(rest) {
        return Some(format!("routes.{first}.{rest}"));
    }
    slip(rest).filter(|key| key.contains('.')).map(|key| format!("routes.{first}.{key}"))
}

/// As near to a key that protects as to any other.
fn is_near_to_protecting(key: &str) -> bool {
    let reach = (key.len() / 3).clamp(1, 4);
    let nearest = |protecting: bool| {
        let keys = KEYS.iter().filter(|known| known.protects() == protecting);
        keys.filter_map(|known| distance(key, known.name, reach)).min()
    };
    nearest(true).is_some_and(|near| nearest(false).is_none_or(|other| near <= other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_named() {
        let meant = |key| guess(key).meant.unwrap_or_default();
        assert_eq!(meant("hots"), "host");
        assert_eq!(meant("stripprefix"), "strip-prefix");
        assert_eq!(meant("timeouts.idle"), "timeout.idle");
        assert_eq!(meant("response.headers.X-Frame-Options"), "response.header.X-Frame-Options");
        assert_eq!(meant("admin.auht.basic"), "routes.admin.auth.basic");
        assert_eq!(meant("url"), "host");
        assert_eq!(meant("web.host"), "routes.web.host");
        assert_eq!(meant("router.web.host"), "routes.web.host");
        assert_eq!(meant("frobnicate"), "");
    }

    #[test]
    fn what_could_protect_counts_as_protecting() {
        for key in [
            "auth.basik",
            "auht.basic",
            "alow",
            "alloww",
            "denny",
            "dney",
            "ratelimit",
            "rate_limit",
            "rate",
            "clientca",
            "client_ca",
            "concurency",
            "basic-auth",
            "ip-allow-list",
            "forward.auth",
            "AUTH",
            "allow.ip",
            "admin.allow",
            "whitelist",
            "login",
            "admin.auht.basic",
            "a.b.alow",
        ] {
            assert!(guess(key).protects, "{key}");
        }
        for key in [
            "hots",
            "prot",
            "pathh",
            "compres",
            "frobnicate",
            "web.host",
            "delay",
            "test",
            "domain",
            "body-limits",
            "response.headers.X-Auth",
        ] {
            assert!(!guess(key).protects, "{key}");
        }
    }

    #[test]
    fn long_keys_are_not_compared_at_length() {
        assert!(guess(&"a".repeat(1 << 20)).meant.is_none());
        assert!(guess(&format!("{}ü", "a".repeat(99))).meant.is_none());
    }
}
