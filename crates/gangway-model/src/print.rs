//! A table as text: everything that is in force, in one canonical form.
//!
//! For people, for snapshots of tests, and to compare two tables. Values that may be secrets are not
//! shown.

use std::fmt::{self, Display, Formatter};

use http::{HeaderName, HeaderValue};

use crate::diagnostic::printable;
use crate::route::{
    Address, Balance, Endpoint, HealthCheck, HostHeader, Middleware, Policy, Readiness, RedirectPart, RedirectTarget,
    Route, Scheme, Timeouts, TlsMode, TlsVersion,
};
use crate::table::RoutingTable;
use std::sync::Arc;

/// Every route with all that it does, in the order of their ids.
impl Display for RoutingTable<Arc<Route>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut priorities = vec![0; self.routes().len()];
        for slot in self.index().slots() {
            // Every route's position fits, as it was made of one.
            priorities[slot.route as usize] = slot.precedence.priority;
        }
        for (route, priority) in self.routes().iter().zip(priorities) {
            match priority {
                0 => write!(f, "{route}")?,
                _ => write!(f, "priority {priority}, {route}")?,
            }
        }
        Ok(())
    }
}

/// One line for what decides, one for each step and each endpoint.
impl Display for Route {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, printable(&self.rule))?;
        f.write_str(match self.listener.tls {
            TlsMode::Auto => "",
            TlsMode::Internal => ", tls internal",
            TlsMode::Off => ", tls off",
        })?;
        if !self.listener.https_redirect && self.listener.tls != TlsMode::Off {
            f.write_str(", plain HTTP too")?;
        }
        if self.listener.tls_min == TlsVersion::Tls13 {
            f.write_str(", TLS 1.3 only")?;
        }
        if let Some(bundle) = &self.listener.client_ca {
            write!(f, ", clients of `{bundle}`")?;
        }
        if let Some(folder) = &self.listener.cert_export {
            write!(f, ", exported to `{folder}`")?;
        }
        if self.closed {
            f.write_str(", closed")?;
        }
        f.write_str("\n")?;
        for middleware in &self.middlewares {
            writeln!(f, "  {middleware}")?;
        }
        let Timeouts { connect, response, idle } = self.timeouts;
        if self.timeouts != Timeouts::default() {
            writeln!(f, "  timeouts: connect {connect:?}, response {response:?}, idle {idle:?}")?;
        }
        match &self.host_header {
            HostHeader::Keep => {}
            HostHeader::Upstream => f.write_str("  Host of the upstream\n")?,
            HostHeader::Named(name) => writeln!(f, "  Host {}", text(name))?,
        }
        self.upstream.policy.fmt(f)?;
        if self.upstream.held {
            f.write_str("  held for the next container\n")?;
        }
        if let Some(why) = &self.upstream.unreachable {
            writeln!(f, "  nothing to wait for: {}", printable(why))?;
        }
        self.upstream.endpoints.iter().try_for_each(|endpoint| writeln!(f, "  {endpoint}"))
    }
}

/// A line for each thing that is not as usual.
impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        match self.balance {
            Balance::RandomTwo => {}
            Balance::RoundRobin => f.write_str("  balance round-robin\n")?,
            Balance::LeastRequests => f.write_str("  balance least-requests\n")?,
            Balance::Client => f.write_str("  balance client\n")?,
        }
        if let Some(cookie) = &self.sticky {
            writeln!(f, "  sticky by the cookie {}", printable(cookie))?;
        }
        if let Some(HealthCheck { path, interval, timeout, statuses }) = &self.health {
            let ranges: Vec<String> = statuses.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            writeln!(f, "  asked for {path} every {interval:?} within {timeout:?}, good are {}", ranges.join(" "))?;
        }
        if self.hold != usual.hold {
            writeln!(f, "  hold {:?}", self.hold)?;
        }
        if self.drain != usual.drain {
            writeln!(f, "  drain {:?}", self.drain)?;
        }
        Ok(())
    }
}

impl Display for Middleware {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::StripPrefix(prefixes) => write!(f, "strip {}", prefixes.join(" ")),
            Self::AddPrefix(prefix) => write!(f, "add {prefix}"),
            Self::Rewrite { pattern, replacement } => {
                write!(f, "rewrite ~{} -> {}", printable(pattern.regex().as_str()), printable(replacement))
            }
            Self::Redirect { status, target } => write!(f, "redirect {status} {target}"),
            Self::RequestHeader(name, value) => header(f, "request", name, value.as_ref()),
            Self::ResponseHeader(name, value) => header(f, "response", name, value.as_ref()),
            Self::BodyLimit(bytes) => write!(f, "bodies of at most {bytes} bytes"),
            Self::Hsts(seconds) => write!(f, "hsts for {seconds} seconds"),
        }
    }
}

/// As it is written in a label.
impl Display for RedirectTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            RedirectPart::Text(text) => f.write_str(&printable(text)),
            RedirectPart::Host => f.write_str("{host}"),
            RedirectPart::Path => f.write_str("{path}"),
            RedirectPart::Query => f.write_str("{query}"),
        })
    }
}

/// Who, where, how, and whether it may be used.
impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "to {} at {}://{}", printable(&self.name), self.scheme, self.key.address)?;
        if self.scheme == Scheme::Https && !self.verify {
            f.write_str(", certificate not checked")?;
        }
        if self.weight != 1 {
            write!(f, ", weight {}", self.weight)?;
        }
        write!(f, ", {}", self.readiness)
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip, port) => std::net::SocketAddr::new(*ip, *port).fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// As it is written in a label.
impl Display for Scheme {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        })
    }
}

/// One word.
impl Display for Readiness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Leaving => "leaving",
            Self::Restarting => "restarting",
        })
    }
}

fn header(f: &mut Formatter<'_>, of: &str, name: &HeaderName, value: Option<&HeaderValue>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{of} {name}: {}", text(value)),
        None => write!(f, "{of} without {name}"),
    }
}

fn text(value: &HeaderValue) -> String {
    match value.is_sensitive() {
        true => "(not shown)".to_owned(),
        false => printable(&String::from_utf8_lossy(value.as_bytes())),
    }
}
