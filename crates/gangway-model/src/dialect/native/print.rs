//! Routes → labels: what the native dialect would have to say for a route that another dialect has declared.
//!
//! It is the way back from what was compiled, so a migration knows nothing of the dialect that it comes from. Listeners and TLS
//! are not among it: which listeners there are is decided beside the labels.

use super::rewrite::WHOLE_PATH;
use crate::address_choice::{AddressChoice, AddressSource};
use crate::authentication::{Authentication, BasicAuth, LoginMethod, REALM_DEFAULT};
use crate::cased_header_name::CasedHeaderName;
use crate::compression::{COMPRESSED_LEN_MIN, CompressedTypes, Compression};
use crate::content_coding::ContentCoding;
use crate::forward_auth::{ForwardRules, IdentityField};
use crate::path_change::PathChange;
use crate::request_limit::{ClientKey, ConcurrencyLimit, RateLimit};
use crate::route::{
    Balance, Endpoint, HealthCheck, HostHeader, Middleware, Policy, Route, STICKY_COOKIE, Scheme, Timeouts,
};
use crate::rule::{self, Condition, Expression, Term};
use crate::url_redirect::UrlChange;

/// What labels say of a route.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NativeLabels {
    /// Keys without a prefix, each with its value, in the order of the reference.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// What no label says, or says in another way: one sentence each, without a full stop.
    pub differences: Vec<Box<str>>,
}

impl NativeLabels {
    /// The labels that make a route.
    ///
    /// `users` gives the value of `auth.basic`, which a compiled route does not tell: it shows no hash. Redirections to https
    /// are left out: they belong to the listeners.
    pub fn of(route: &Route, users: &dyn Fn(&BasicAuth) -> Option<Box<str>>) -> Self {
        let mut native = Self::default();
        let prefixes = native.rule(&route.rule);
        native.endpoints(route);
        if route.closed {
            // What could not be made would have protected it.
            native.push("deny", "0.0.0.0/0, ::/0");
            native
                .differs("it is closed, because something that protects it could not be read: replace `deny` by that");
        }
        if let Some(internal) = route.upstream.internal {
            native.push("deny", "0.0.0.0/0, ::/0");
            native.differs(format!("no label leads to `{internal}`: replace `deny` and name an application"));
        }
        // Browsers take no notice of `Strict-Transport-Security` in clear.
        let counts =
            |middleware: &&Middleware| !matches!(middleware, Middleware::Hsts(_)) || route.listener.is_over_tls();
        for middleware in route.middlewares.iter().filter(counts) {
            native.middleware(middleware, &prefixes, users);
        }
        native.delivery(route);
        native
    }

    #[expect(clippy::needless_pass_by_value, reason = "texts, numbers and references are handed over alike")]
    fn push(&mut self, key: impl Into<Box<str>>, value: impl ToString) {
        self.labels.push((key.into(), value.to_string().into()));
    }

    fn differs(&mut self, what: impl Into<Box<str>>) {
        let what = what.into();
        if !self.differences.contains(&what) {
            self.differences.push(what);
        }
    }

    /// Adds `host` and `path`, or `rule`; returns the path prefixes.
    fn rule(&mut self, text: &str) -> Vec<Box<str>> {
        let Some(rule) = rule::parse(text, &mut Vec::new()) else {
            self.push("rule", text);
            return Vec::new();
        };
        let mut prefixes = Vec::new();
        let rule = self.with_segments(&rule, &mut prefixes);
        match hosts_and_paths(&rule) {
            Some((hosts, paths)) => {
                self.push("host", if hosts.is_empty() { "*".to_owned() } else { hosts.join(", ") });
                if !paths.is_empty() {
                    self.push("path", paths.join(", "));
                }
            }
            None => self.push("rule", rule),
        }
        prefixes
    }

    /// The rule with prefixes in place of expressions that only say how a path begins.
    fn with_segments(&mut self, rule: &Expression, prefixes: &mut Vec<Box<str>>) -> Expression {
        let mut of_all = |parts: &[Expression]| parts.iter().map(|part| self.with_segments(part, prefixes)).collect();
        match rule.term() {
            Term::All(parts) => Expression::all(of_all(parts)),
            Term::Any(parts) => Expression::any(of_all(parts)),
            Term::Not(inner) => Expression::not(self.with_segments(inner, prefixes)),
            Term::Is(Condition::PathRegexp(patterns)) => {
                let texts: Option<Vec<String>> = patterns.iter().map(|pattern| begin_of(pattern.as_str())).collect();
                let Some(texts) = texts else { return rule.clone() };
                let begins: Vec<Box<str>> = texts
                    .iter()
                    .map(|text| text.trim_end_matches('/'))
                    .filter(|text| !text.is_empty())
                    .map(Into::into)
                    .collect();
                if begins.len() < texts.len() {
                    return rule.clone();
                }
                for begin in &begins {
                    self.differs(format!("`{begin}` takes whole segments: `{begin}x` is another path"));
                }
                prefixes.extend(begins.iter().cloned());
                Expression::is(Condition::PathPrefix(begins))
            }
            Term::Is(Condition::PathPrefix(known)) => {
                prefixes.extend(known.iter().filter(|prefix| ***prefix != *"/").cloned());
                rule.clone()
            }
            Term::Is(
                Condition::Host(_)
                | Condition::HostRegexp(_)
                | Condition::Path(_)
                | Condition::Method(_)
                | Condition::Header(..)
                | Condition::HeaderRegexp(..)
                | Condition::Query(..)
                | Condition::QueryRegexp(..)
                | Condition::ClientIp(_),
            ) => rule.clone(),
        }
    }

    /// Adds how the containers are reached.
    fn endpoints(&mut self, route: &Route) {
        let Some(first) = route.upstream.endpoints.first() else { return };
        let port = first.key.address.port();
        if first.key.container.is_empty() {
            let urls: Vec<String> = route.upstream.endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect();
            self.push("upstream", urls.join(", "));
        } else {
            self.push("port", port);
            match first.scheme {
                Scheme::Http => {}
                Scheme::Https => self.push("scheme", "https"),
                Scheme::H2c => self.push("scheme", "h2c"),
            }
        }
        if first.scheme == Scheme::Https && !first.transport.verify {
            self.push("verify", "false");
        }
        self.transport(first, "the application");
        for service in route.auth_services.iter().flatten().take(1) {
            if service.scheme == Scheme::Https && !service.transport.verify {
                self.differs("no label lets a log-in service have a certificate that is not checked");
            }
            self.transport(service, "the log-in service");
        }
        if first.weight != 1 {
            self.push("weight", first.weight);
        }
    }

    /// Says what no label says of connections to an endpoint.
    fn transport(&mut self, endpoint: &Endpoint, of: &str) {
        let settings = &endpoint.transport;
        if endpoint.scheme == Scheme::Https {
            if settings.verify && !settings.roots.is_empty() {
                self.differs(format!("no label names the roots that the certificate of {of} is checked by"));
            }
            if settings.server_name.as_ref().is_some_and(|name| settings.verify && endpoint.host.as_ref() != Some(name))
            {
                self.differs(format!("no label names the name that the certificate of {of} is checked for"));
            }
            if !settings.certificates.is_empty() {
                self.differs(format!("no label names a certificate that is shown to {of}"));
            }
            if !settings.offers_http2 {
                self.differs(format!("{of} is offered HTTP/2 too"));
            }
        }
        if settings.idle_timeout.is_some() || settings.idle_max.is_some() {
            self.differs(format!("no label bounds the idle connections to {of}"));
        }
    }

    fn middleware(
        &mut self,
        middleware: &Middleware,
        prefixes: &[Box<str>],
        users: &dyn Fn(&BasicAuth) -> Option<Box<str>>,
    ) {
        match middleware {
            Middleware::StripPrefix(_) => self.push("strip-prefix", "true"),
            Middleware::AddPrefix(prefix) => self.push("add-prefix", prefix),
            // What the reader makes of a path alone.
            Middleware::Rewrite { pattern, replacement } if pattern.as_str() == WHOLE_PATH => {
                self.push("rewrite", replacement);
            }
            Middleware::Rewrite { pattern, replacement } => {
                self.push("rewrite", format!("~{} -> {replacement}", pattern.as_str()));
            }
            Middleware::Redirect { status, target } => self.push("redirect", format!("{status} {target}")),
            Middleware::UrlRedirect(redirect) => match &redirect.change {
                UrlChange::Scheme { scheme, port: None | Some(443) } if **scheme == *"https" => {}
                UrlChange::Scheme { .. } | UrlChange::Matches { .. } => self.differs(format!(
                    "no label redirects by the whole URL ({redirect}): give a route of its own the label `redirect`"
                )),
            },
            Middleware::PathChange(change) => self.path_change(change, prefixes),
            Middleware::RequestHeader(name, value) => self.header("request", name, value.as_ref()),
            Middleware::ResponseHeader(name, value) => self.header("response", name, value.as_ref()),
            Middleware::BodyLimit(bytes) => self.push("body-limit", size(*bytes)),
            Middleware::Hsts(hsts) if hsts.subdomains || hsts.preload => {
                self.push("response.header.Strict-Transport-Security", hsts);
            }
            Middleware::Hsts(hsts) => self.push("hsts", seconds(hsts.max_age.get())),
            Middleware::SecureHeaders { .. } => self.push("headers", "secure"),
            Middleware::AddressFilter(filter) => {
                if let Some(allow) = &filter.allow {
                    self.push("allow", allow);
                }
                let denied = filter.deny.to_string();
                if !denied.is_empty() {
                    self.push("deny", denied);
                }
                if !is_usual(&filter.by) {
                    self.differs(format!(
                        "lists are compared with the client's address, and not with that of {}",
                        filter.by.source
                    ));
                }
                if filter.refusal.is_some() {
                    self.differs("who is not let in gets 403");
                }
            }
            Middleware::Crowdsec(on_doubt) => self.push("crowdsec", on_doubt.word()),
            Middleware::Appsec(on_doubt) => self.push("appsec", on_doubt.word()),
            Middleware::RateLimit(limit) => {
                let key = self.limited(&limit.key);
                self.push("rate-limit", RateLimit { key, ..limit.clone() });
            }
            Middleware::ConcurrencyLimit(limit) => {
                let key = self.limited(&limit.key);
                self.push("concurrency", ConcurrencyLimit { key, ..limit.clone() });
            }
            Middleware::Authentication(authentication) => self.authentication(authentication, users),
            Middleware::Compression(compression) => {
                let Compression { codings, len_min, types } = compression;
                let is_all = ContentCoding::ALL.iter().all(|coding| codings.contains(coding));
                let names: Vec<&str> = codings.iter().map(|coding| coding.token()).collect();
                self.push("compress", if is_all { "true".to_owned() } else { names.join(", ") });
                let worthwhile = CompressedTypes::Worthwhile { except: Box::default() };
                if (*len_min, types) != (COMPRESSED_LEN_MIN, &worthwhile) {
                    self.differs("answers above 1 KiB are compressed, of all types that gain by it");
                }
            }
            Middleware::Cors(cors) => {
                self.differs(format!("no label answers browsers of other origins ({cors}): let the application do it"));
            }
            Middleware::AllowedHosts(hosts) => {
                self.differs(format!("no label has a list of hosts beside the rule ({})", hosts.join(", ")));
            }
            Middleware::ResponseLimit(bytes) => {
                self.differs(format!("answers may be of any length, and not only of {}", size(bytes.get())));
            }
            Middleware::ErrorPages(pages) => self.push("errors", pages),
            Middleware::Cache(bytes) => self.push("cache", size(bytes.get())),
        }
    }

    /// What tells clients apart for a limit of a label.
    fn limited(&mut self, key: &ClientKey) -> ClientKey {
        match key {
            ClientKey::Address | ClientKey::Header(_) | ClientKey::User => key.clone(),
            ClientKey::AddressBy(choice) => {
                if !is_usual(choice) {
                    self.differs(format!("limits count the client's address, and not that of {}", choice.source));
                }
                ClientKey::Address
            }
            ClientKey::Host => {
                self.differs("limits count each client, and not all of a host together");
                ClientKey::Address
            }
        }
    }

    fn path_change(&mut self, change: &PathChange, prefixes: &[Box<str>]) {
        match change {
            PathChange::StripFirst(stripped) => {
                let trimmed: Vec<&str> = stripped.iter().map(|prefix| prefix.trim_end_matches('/')).collect();
                let is_of_rule = !prefixes.is_empty()
                    && prefixes.iter().all(|prefix| trimmed.contains(&&**prefix))
                    && trimmed.iter().all(|prefix| prefixes.iter().any(|known| **known == **prefix));
                if is_of_rule {
                    self.push("strip-prefix", "true");
                    self.differs("the bare prefix is redirected to the one with a slash");
                } else {
                    let all: Vec<String> = trimmed.iter().map(|prefix| regex::escape(prefix)).collect();
                    self.push("rewrite", format!("~^(?:{})/?(.*)$ -> /$1", all.join("|")));
                    self.differs("the application is not told the prefix in `X-Forwarded-Prefix`");
                }
            }
            PathChange::StripMatch(patterns) => {
                let all: Vec<&str> = patterns.iter().map(|pattern| pattern.as_str().trim_start_matches('^')).collect();
                self.push("rewrite", format!("~^(?:{})/?(?P<rest>.*)$ -> /${{rest}}", all.join("|")));
                self.differs("the application is not told the prefix in `X-Forwarded-Prefix`");
            }
            PathChange::Replace(path) => {
                self.push("rewrite", path.as_str());
                self.differs("the application is not told the old path in `X-Replaced-Path`");
            }
            PathChange::ReplaceMatches { pattern, replacement } => {
                self.push("rewrite", format!("~{} -> {replacement}", pattern.as_str()));
                self.differs("the application is not told the old path in `X-Replaced-Path`");
            }
        }
    }

    fn header(&mut self, kind: &str, name: &CasedHeaderName, value: Option<&http::HeaderValue>) {
        let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
        if name.name() == http::header::HOST {
            return self.push("host-header", text);
        }
        self.push(format!("{kind}.header.{}", capitalised(name.name().as_str())), text);
    }

    fn authentication(&mut self, authentication: &Authentication, users: &dyn Fn(&BasicAuth) -> Option<Box<str>>) {
        match &authentication.method {
            LoginMethod::Basic(basic) => {
                match users(basic) {
                    Some(users) => self.push("auth.basic", users),
                    None => {
                        self.push("deny", "0.0.0.0/0, ::/0");
                        self.differs("the users of the password are not known here: replace `deny` by `auth.basic`");
                    }
                }
                if basic.keep {
                    self.push("auth.keep", "true");
                }
                if let Some(field) = &basic.user_field {
                    self.differs(format!("the application is not told the user in `{}`", capitalised(field.as_str())));
                }
                if *basic.realm != *REALM_DEFAULT && *basic.realm != *"traefik" {
                    self.push("auth.realm", &basic.realm);
                }
            }
            LoginMethod::Forward(forward) => {
                let target = if forward.service.contains("://") { &*forward.target } else { "" };
                self.push("auth.forward", format!("{}{target}", forward.service));
                let names: Vec<String> = forward.identity.iter().filter_map(identity).collect();
                if names.len() < forward.identity.len() {
                    self.differs("`auth.headers` takes names and beginnings of names, and no expression");
                }
                let usual = |rules: &ForwardRules| *rules == ForwardRules::default();
                if !forward.rules.as_deref().is_none_or(usual) {
                    self.differs("the log-in service gets all fields and no body, and its cookies go to the client");
                }
                if !names.is_empty() {
                    self.push("auth.headers", names.join(", "));
                }
            }
            LoginMethod::Oidc(_) => self.differs("log-ins at an OpenID provider are written as `auth.oidc`"),
        }
        if !authentication.skip.is_empty() {
            let skip: Vec<String> = authentication.skip.iter().map(ToString::to_string).collect();
            self.push("auth.skip", skip.join(", "));
        }
    }

    fn delivery(&mut self, route: &Route) {
        match &route.host_header {
            HostHeader::Keep => {}
            HostHeader::Upstream => self.push("host-header", "upstream"),
            HostHeader::Named(value) => self.push("host-header", String::from_utf8_lossy(value.as_bytes())),
        }
        let (standard, timeouts) = (Timeouts::default(), &route.timeouts);
        for (key, usual, time) in [
            ("timeout.connect", standard.connect, timeouts.connect),
            ("timeout.response", standard.response, timeouts.response),
            ("timeout.idle", standard.idle, timeouts.idle),
        ] {
            if usual != time {
                self.push(key, millis(time));
            }
        }
        let Policy { balance, sticky, health, hold: _, drain: _ } = &route.upstream.policy;
        match balance {
            // Both spread requests evenly, which is what is meant where nothing is said.
            Balance::RandomTwo | Balance::RoundRobin => {}
            Balance::LeastRequests => self.push("balance", "least-requests"),
            Balance::Client => self.push("balance", "client"),
        }
        match sticky.as_deref() {
            None => {}
            Some(STICKY_COOKIE) => self.push("sticky", "true"),
            Some(name) => self.push("sticky", name),
        }
        if let Some(HealthCheck { path, interval, timeout, statuses }) = health {
            self.push("health.path", path);
            self.push("health.interval", millis(*interval));
            self.push("health.timeout", millis(*timeout));
            if statuses[..] != [(200, 399)] {
                let range = |(first, last): &(u16, u16)| match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                };
                self.push("health.status", statuses.iter().map(range).collect::<Vec<_>>().join(", "));
            }
        }
    }
}

/// The hosts and the paths of a rule that has nothing else.
fn hosts_and_paths(rule: &Expression) -> Option<(Vec<String>, Vec<String>)> {
    let parts = match rule.term() {
        Term::All(parts) => parts.iter().collect(),
        Term::Any(_) | Term::Not(_) | Term::Is(_) => vec![rule],
    };
    let (mut hosts, mut paths) = (Vec::new(), Vec::new());
    for part in parts {
        let alternatives = match part.term() {
            Term::Any(alternatives) => alternatives.iter().collect(),
            Term::All(_) | Term::Not(_) | Term::Is(_) => vec![part],
        };
        let (mut of_host, mut of_path) = (Vec::new(), Vec::new());
        for alternative in alternatives {
            let Term::Is(condition) = alternative.term() else { return None };
            match condition {
                Condition::Host(names) => of_host.extend(names.iter().map(ToString::to_string)),
                Condition::Path(exact) => of_path.extend(exact.iter().map(|path| format!("={path}"))),
                Condition::PathPrefix(prefixes) => of_path.extend(prefixes.iter().map(ToString::to_string)),
                Condition::PathRegexp(patterns) => {
                    of_path.extend(patterns.iter().map(|pattern| format!("~{}", pattern.as_str())));
                }
                Condition::HostRegexp(_)
                | Condition::Method(_)
                | Condition::Header(..)
                | Condition::HeaderRegexp(..)
                | Condition::Query(..)
                | Condition::QueryRegexp(..)
                | Condition::ClientIp(_) => return None,
            }
        }
        let is_one_kind = of_host.is_empty() != of_path.is_empty();
        if of_path.len() > 1 && of_path.iter().any(|path| path == "/") {
            return None;
        }
        let is_first = (of_host.is_empty() || hosts.is_empty()) && (of_path.is_empty() || paths.is_empty());
        // Commas and spaces part the entries of a list.
        let is_plain = of_path.iter().all(|path| !path.contains([',', ' ', '`']));
        if !(is_one_kind && is_first && is_plain) {
            return None;
        }
        hosts.extend(of_host);
        // The prefix of every path says nothing.
        paths.extend(of_path.into_iter().filter(|path| path != "/"));
    }
    Some((hosts, paths))
}

/// The text with which paths begin that an expression matches; none where it says more than that.
fn begin_of(pattern: &str) -> Option<String> {
    let mut begin = String::new();
    let mut chars = pattern.strip_prefix('^')?.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => begin.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            _ => begin.push(char),
        }
    }
    begin.starts_with('/').then_some(begin)
}

/// The name of a field as people write it: `X-Frame-Options`.
fn capitalised(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Whether it is the client's address, which that of the connection is meant to be.
fn is_usual(choice: &AddressChoice) -> bool {
    matches!(choice, AddressChoice { source: AddressSource::Client | AddressSource::Connection, ipv6_len: None })
}

fn identity(field: &IdentityField) -> Option<String> {
    match field {
        IdentityField::Named(name) => Some(capitalised(name)),
        IdentityField::Begins(begin) => Some(format!("{}*", capitalised(begin))),
        IdentityField::Matches(_) => None,
    }
}

/// The largest unit in which a number of bytes is whole.
fn size(bytes: u64) -> String {
    let units =
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    let whole = units.iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
    whole.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// The largest unit in which a number of seconds is whole.
fn seconds(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let whole = units.iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

fn millis(time: std::time::Duration) -> String {
    if time.subsec_millis() == 0 { seconds(time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_only_begins_is_a_prefix() {
        for (pattern, begin) in [
            ("^/api", Some("/api")),
            (r"^/a\.b/", Some("/a.b/")),
            ("^/api$", None),
            ("/api", None),
            (r"^/v\d", None),
            ("^api", None),
        ] {
            assert_eq!(begin_of(pattern).as_deref(), begin, "{pattern}");
        }
    }

    #[test]
    fn numbers_are_written_in_their_largest_whole_unit() {
        assert_eq!([size(10 << 20), size(5_000_000), size(1025)], ["10MiB", "5MB", "1025"]);
        assert_eq!([seconds(31_536_000), seconds(5400), seconds(61)], ["365d", "90m", "61s"]);
    }

    #[test]
    fn hosts_and_paths_need_no_rule() {
        let shown = |text: &str| {
            let mut native = NativeLabels::default();
            native.rule(text);
            native.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("Host(`a.test`) || Host(`b.test`)"), "host=a.test, b.test");
        assert_eq!(shown("Host(`a.test`) && (PathRegexp(`^/x`) || Path(`/y`))"), "host=a.test path=/x, =/y");
        assert_eq!(shown("PathPrefix(`/x`)"), "host=* path=/x");
        assert_eq!(shown("Host(`a.test`) && !PathRegexp(`^/x`)"), "rule=Host(`a.test`) && !PathPrefix(`/x`)");
        assert_eq!(shown("Host(`a.test`) && Method(`GET`)"), "rule=Host(`a.test`) && Method(`GET`)");
        assert_eq!(shown("Host(`a.test`) || PathPrefix(`/x`)"), "rule=Host(`a.test`) || PathPrefix(`/x`)");
    }
}
