//! Entry points in the shape of Traefik's API: what is configured, and Traefik's own defaults where nothing is.

use std::time::Duration;

use gangway_model::EntryPointTls;
use serde_json::{Map, Value, json};

use super::tls;

/// Traefik's defaults.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
const IDLE_TIMEOUT: Duration = Duration::from_mins(3);
const GRACE: Duration = Duration::from_secs(10);

/// An entry point as it is configured.
#[derive(Clone, Debug, Default)]
pub struct EntryPointView {
    /// The name.
    pub name: String,
    /// The address as Traefik writes it, such as `:80`.
    pub address: String,
    /// `asDefault`.
    pub is_default: bool,
    /// `forwardedHeaders.insecure`.
    pub trusts_all: bool,
    /// `forwardedHeaders.trustedIPs`.
    pub trusted: Vec<String>,
    /// `http.tls`.
    pub tls: Option<EntryPointTls>,
    /// `http.middlewares`.
    pub middlewares: Vec<Box<str>>,
    /// `http.redirections.entryPoint`.
    pub redirection: Option<RedirectionView>,
    /// `transport.respondingTimeouts.readTimeout`.
    pub read_timeout: Option<Duration>,
    /// `transport.respondingTimeouts.writeTimeout`.
    pub write_timeout: Option<Duration>,
    /// `transport.respondingTimeouts.idleTimeout`.
    pub idle_timeout: Option<Duration>,
    /// `transport.lifeCycle.requestAcceptGraceTimeout`.
    pub request_accept_grace: Option<Duration>,
    /// `transport.lifeCycle.graceTimeOut`.
    pub grace: Option<Duration>,
}

/// `http.redirections.entryPoint` of an entry point.
#[derive(Clone, Debug, Default)]
pub struct RedirectionView {
    /// `to`.
    pub to: Box<str>,
    /// `scheme`.
    pub scheme: Box<str>,
    /// `permanent`.
    pub is_permanent: bool,
    /// `priority`.
    pub priority: i64,
}

impl EntryPointView {
    pub(super) fn view(&self) -> Value {
        let mut forwarded = Map::new();
        if self.trusts_all {
            forwarded.insert("insecure".into(), true.into());
        }
        if !self.trusted.is_empty() {
            forwarded.insert("trustedIPs".into(), json!(self.trusted));
        }
        let mut view = json!({
            "name": self.name,
            "address": self.address,
            "transport": {
                "lifeCycle": times([
                    ("requestAcceptGraceTimeout", self.request_accept_grace.unwrap_or_default()),
                    ("graceTimeOut", self.grace.unwrap_or(GRACE)),
                ]),
                "respondingTimeouts": times([
                    ("readTimeout", self.read_timeout.unwrap_or(READ_TIMEOUT)),
                    ("writeTimeout", self.write_timeout.unwrap_or_default()),
                    ("idleTimeout", self.idle_timeout.unwrap_or(IDLE_TIMEOUT)),
                ]),
            },
            "forwardedHeaders": forwarded,
            "http": self.http(),
            "http2": {
                "maxConcurrentStreams": 250,
                "maxDecoderHeaderTableSize": 4096,
                "maxEncoderHeaderTableSize": 4096,
            },
            "udp": {"timeout": "3s"},
        });
        if self.is_default {
            view["asDefault"] = true.into();
        }
        view
    }

    fn http(&self) -> Value {
        let mut http = json!({"sanitizePath": true, "maxHeaderBytes": 1_048_576, "underscoreHeadersStrategy": "keep"});
        if let Some(RedirectionView { to, scheme, is_permanent, priority }) = &self.redirection {
            let mut redirection = json!({"to": to, "scheme": scheme, "priority": priority});
            if *is_permanent {
                redirection["permanent"] = true.into();
            }
            http["redirections"] = json!({ "entryPoint": redirection });
        }
        if !self.middlewares.is_empty() {
            http["middlewares"] = json!(self.middlewares);
        }
        if let Some(tls) = &self.tls {
            http["tls"] = tls::view(tls.options.as_deref(), tls.resolver.as_deref(), &tls.domains);
        }
        http
    }
}

/// Traefik leaves times of zero out.
fn times<const N: usize>(all: [(&str, Duration); N]) -> Value {
    let told = all.into_iter().filter(|(_, time)| !time.is_zero());
    Value::Object(told.map(|(key, time)| (key.to_owned(), go_duration(time).into())).collect())
}

/// As Go writes a duration: `1h0m0s`, `1m30s`, `1.5s`, `500ms`.
fn go_duration(time: Duration) -> String {
    let (seconds, nanoseconds) = (time.as_secs(), time.subsec_nanos());
    if seconds == 0 {
        let (unit, size) = match nanoseconds {
            ..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            1_000_000.. => ("ms", 1_000_000),
        };
        return decimal(u64::from(nanoseconds / size), nanoseconds % size, size) + unit;
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let before = match (hours, minutes) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    format!("{before}{}s", decimal(seconds % 60, nanoseconds, 1_000_000_000))
}

/// A number whose fraction is `rest` of `size`, a power of ten, without zeros at its end.
fn decimal(whole: u64, rest: u32, size: u32) -> String {
    let digits = usize::try_from(size.ilog10()).unwrap_or_default();
    let fraction = format!("{rest:0digits$}");
    match fraction.trim_end_matches('0') {
        "" => whole.to_string(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        let of = |nanoseconds| go_duration(Duration::from_nanos(nanoseconds));
        let second = 1_000_000_000;
        let all = [
            (60 * second, "1m0s"),
            (180 * second, "3m0s"),
            (10 * second, "10s"),
            (3600 * second, "1h0m0s"),
            (3661 * second, "1h1m1s"),
            (90 * second + second / 2, "1m30.5s"),
            (second * 3 / 2, "1.5s"),
            (500_000_000, "500ms"),
            (1_500_000, "1.5ms"),
            (1_050, "1.05µs"),
            (7, "7ns"),
        ];
        for (nanoseconds, text) in all {
            assert_eq!(of(nanoseconds), text);
        }
    }
}
