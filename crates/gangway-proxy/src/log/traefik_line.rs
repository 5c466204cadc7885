//! Lines of the access log as Traefik writes them: its `common`, `json` and `genericCLF` formats, with its fields under
//! its names.
//!
//! Which fields and headers are written is a setting. Whatever it is, credentials and cookies are not told, nor are the
//! values of secret parameters.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gangway_model::secret::masked_target;
use rustls::CipherSuite;

use crate::log::record::{
    FIELD_MAX, LogRecord, TARGET_MAX, common_time, escape_hexadecimal, escape_json, timestamp, version,
};
use crate::message::fields::Fields;
use crate::reply::reason::Reason;
use crate::settings::{FieldFate, FieldFates, TraefikLog, TraefikLogForm};

/// Bytes of a line behind which no further header is written.
const HEADERS_END: usize = 16 * 1024;

/// What stands in place of a value that is not told.
const REDACTED: &str = "REDACTED";

/// Headers whose values are never told.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// A request with what Traefik's fields tell of it.
#[derive(Clone, Debug)]
pub(crate) struct NamedRecord<'a> {
    pub(crate) base: LogRecord<'a>,
    /// The client's end of the connection, which may be a proxy's.
    pub(crate) peer: SocketAddr,
    /// The host as sent, with its port.
    pub(crate) authority: &'a str,
    /// Who is logged in, or empty.
    pub(crate) user: &'a str,
    /// The whole name of the service, or empty.
    pub(crate) service: &'a str,
    /// Its router asks for no line.
    pub(crate) is_unlogged: bool,
    /// Scheme and address of the endpoint that had the request last.
    pub(crate) server: Option<(&'static str, String)>,
    pub(crate) entry_point: &'a str,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) cipher: Option<CipherSuite>,
    pub(crate) retries: usize,
    /// How long an endpoint had the request.
    pub(crate) at_origin: Duration,
    pub(crate) request: &'a Fields,
    /// None where no application answered.
    pub(crate) response: Option<&'a Fields>,
}

impl NamedRecord<'_> {
    /// Whether the request has a line. One filter that takes it is enough.
    pub(crate) fn is_logged(&self, log: &TraefikLog) -> bool {
        if self.is_unlogged || !log.logs_internal && self.base.route.ends_with("@internal") {
            return false;
        }
        let has_no_filter = log.statuses.is_empty() && !log.retried && log.min_duration.is_none();
        let has_status = log.statuses.iter().any(|(from, to)| (*from..=*to).contains(&self.base.status));
        let is_retried = log.retried && self.retries > 0;
        let is_long = log.min_duration.is_some_and(|min| self.base.duration > min);
        has_no_filter || has_status || is_retried || is_long
    }

    /// The line. `number` counts the requests.
    pub(crate) fn line(&self, log: &TraefikLog, now: SystemTime, number: u64) -> String {
        match log.form {
            TraefikLogForm::Common => self.common(log, now, Some(number)),
            TraefikLogForm::GenericClf => self.common(log, now, None),
            TraefikLogForm::Json => self.json(log, now, number),
        }
    }

    /// A quote is escaped as nginx does: parsers of these lines end a field at the first one, whatever stands before it, and
    /// a client could keep its requests from being read.
    fn common(&self, log: &TraefikLog, now: SystemTime, number: Option<u64>) -> String {
        let base = &self.base;
        let mut line = String::with_capacity(512);
        let put = |line: &mut String, name: &str, value: &str, max: usize| match log.fields.of(name) {
            FieldFate::Keep if value.is_empty() => line.push('-'),
            FieldFate::Keep => escape_hexadecimal(line, value, max),
            // Traefik redacts headers only.
            FieldFate::Drop | FieldFate::Redact => line.push('-'),
        };
        put(&mut line, "ClientHost", &base.client.to_string(), FIELD_MAX);
        line.push_str(" - ");
        // Parsers end this field at a space.
        put(&mut line, "ClientUsername", &self.user.replace(' ', "_"), FIELD_MAX);
        line.push_str(" [");
        common_time(&mut line, started(base, now));
        line.push_str("] \"");
        put(&mut line, "RequestMethod", base.method, FIELD_MAX);
        line.push(' ');
        put(&mut line, "RequestPath", &masked_target(base.target), TARGET_MAX);
        line.push(' ');
        put(&mut line, "RequestProtocol", version(base), FIELD_MAX);
        line.push_str("\" ");
        put(&mut line, "OriginStatus", &base.status.to_string(), FIELD_MAX);
        line.push(' ');
        put(&mut line, "OriginContentSize", &base.bytes_out.to_string(), FIELD_MAX);
        for (name, value) in [("referer", &*masked_target(base.referrer)), ("user-agent", base.user_agent)] {
            line.push_str(" \"");
            match log.headers.of(name) {
                FieldFate::Keep if !value.is_empty() => escape_hexadecimal(&mut line, value, FIELD_MAX),
                FieldFate::Redact if !value.is_empty() => line.push_str(REDACTED),
                FieldFate::Keep | FieldFate::Redact | FieldFate::Drop => line.push('-'),
            }
            line.push('"');
        }
        if let Some(number) = number {
            let _ = write!(line, " {number} \"");
            put(&mut line, "RouterName", base.route, FIELD_MAX);
            line.push_str("\" \"");
            put(&mut line, "ServiceURL", &self.server_url(), FIELD_MAX);
            let _ = write!(line, "\" {}ms", base.duration.as_millis());
        }
        line.push('\n');
        line
    }

    fn server_url(&self) -> String {
        self.server.as_ref().map(|(scheme, address)| format!("{scheme}://{address}")).unwrap_or_default()
    }

    fn json(&self, log: &TraefikLog, now: SystemTime, number: u64) -> String {
        let base = &self.base;
        let mut object = JsonLine { line: String::with_capacity(1024), fields: &log.fields };
        object.line.push('{');
        object.text("ClientAddr", &self.peer.to_string());
        object.text("ClientHost", &base.client.to_string());
        object.text("ClientPort", &self.peer.port().to_string());
        let user = match self.user {
            // Traefik tells the name that was tried, which may be a password in the wrong field. Here it is always empty, as
            // Traefik's is where none was sent.
            "" if base.reason == Reason::Unauthorized.token() => "",
            "" => "-",
            user => user,
        };
        object.text("ClientUsername", user);
        object.number("DownstreamContentSize", base.bytes_out.into());
        object.number("DownstreamStatus", base.status.into());
        object.number("Duration", base.duration.as_nanos());
        let is_asked = self.server.is_some();
        let (origin_bytes, origin_status) = if is_asked { (base.bytes_out, base.status) } else { (0, 0) };
        if !is_asked {
            object.number("GzipRatio", 0);
        }
        object.number("OriginContentSize", origin_bytes.into());
        object.number("OriginDuration", self.at_origin.as_nanos());
        object.number("OriginStatus", origin_status.into());
        object.number("Overhead", base.duration.saturating_sub(self.at_origin).as_nanos());
        object.text("RequestAddr", self.authority);
        object.number("RequestContentSize", base.bytes_in.into());
        object.number("RequestCount", number.into());
        object.text("RequestHost", base.host);
        object.text("RequestMethod", base.method);
        object.long_text("RequestPath", &masked_target(base.target), TARGET_MAX);
        let port = self.authority.strip_prefix(base.host).and_then(|rest| rest.strip_prefix(':'));
        object.text("RequestPort", port.unwrap_or("-"));
        object.text("RequestProtocol", version(base));
        object.text("RequestScheme", base.scheme);
        object.number("RetryAttempts", self.retries as u128);
        if !base.route.is_empty() {
            object.text("RouterName", base.route);
        }
        if let Some((_, address)) = &self.server {
            object.text("ServiceAddr", address);
            object.text("ServiceName", self.service);
            object.text("ServiceURL", &self.server_url());
        }
        let mut time = String::new();
        timestamp(&mut time, started(base, now));
        object.text("StartLocal", &time);
        object.text("StartUTC", &time);
        if let Some(cipher) = self.cipher.and_then(|cipher| cipher.as_str()) {
            // The name of the standard (RFC 8446, appendix B.4).
            object.text("TLSCipher", &cipher.replacen("TLS13_", "TLS_", 1));
        }
        if let Some(version) = self.tls_version {
            object.text("TLSVersion", version);
        }
        object.headers("request_", self.request, &log.headers);
        if let Some(response) = self.response {
            object.headers("downstream_", response, &log.headers);
        }
        object.text("entryPointName", self.entry_point);
        let mut line = object.line;
        line.push_str(if line.len() == 1 {
            "\"level\":\"info\",\"msg\":\"\",\"time\":\""
        } else {
            ",\"level\":\"info\",\"msg\":\"\",\"time\":\""
        });
        timestamp(&mut line, now);
        line.push_str("\"}\n");
        line
    }
}

fn started(record: &LogRecord<'_>, now: SystemTime) -> SystemTime {
    now.checked_sub(record.duration).unwrap_or(now)
}

/// A JSON object that is being written.
struct JsonLine<'l> {
    line: String,
    fields: &'l FieldFates,
}

impl JsonLine<'_> {
    fn name(&mut self, name: &str) {
        if self.line.len() > 1 {
            self.line.push(',');
        }
        self.line.push('"');
        escape_json(&mut self.line, name, FIELD_MAX);
        self.line.push_str("\":");
    }

    fn put(&mut self, name: &str, value: &str, max: usize) {
        self.name(name);
        self.line.push('"');
        escape_json(&mut self.line, value, max);
        self.line.push('"');
    }

    /// A field is written or left out: Traefik redacts headers only.
    fn is_kept(&self, name: &str) -> bool {
        match self.fields.of(name) {
            FieldFate::Keep => true,
            FieldFate::Drop | FieldFate::Redact => false,
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.long_text(name, value, FIELD_MAX);
    }

    fn long_text(&mut self, name: &str, value: &str, max: usize) {
        if self.is_kept(name) {
            self.put(name, value, max);
        }
    }

    fn number(&mut self, name: &str, value: u128) {
        if self.is_kept(name) {
            self.name(name);
            let _ = write!(self.line, "{value}");
        }
    }

    /// Headers of one name are one field, whose values stand behind each other.
    fn headers(&mut self, prefix: &str, headers: &Fields, fates: &FieldFates) {
        if fates.drop_all() {
            return;
        }
        let mut all: Vec<(String, String)> = Vec::new();
        for field in headers.iter() {
            let (name, value) =
                (String::from_utf8_lossy(field.name).to_ascii_lowercase(), String::from_utf8_lossy(field.value));
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => *values = format!("{values}, {value}"),
                None => all.push((name, value.into_owned())),
            }
        }
        all.sort();
        for (name, value) in all.iter().filter(|(name, _)| name != "host") {
            if self.line.len() > HEADERS_END {
                return;
            }
            let value = match fates.of(name) {
                FieldFate::Drop => continue,
                FieldFate::Keep if !SECRET_HEADERS.contains(&&**name) => value.as_str(),
                FieldFate::Keep | FieldFate::Redact => REDACTED,
            };
            self.put(&format!("{prefix}{}", canonical(name)), value, FIELD_MAX);
        }
    }
}

/// The name of a header as HTTP/1 usually writes it: `User-Agent`.
fn canonical(name: &str) -> String {
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => word.to_owned(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::log::record::tests::record;

    fn log(form: TraefikLogForm) -> TraefikLog {
        TraefikLog { form, ..TraefikLog::default() }
    }

    fn fields(all: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        all.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    pub(crate) fn named<'a>(target: &'a str, request: &'a Fields, response: &'a Fields) -> NamedRecord<'a> {
        NamedRecord {
            base: LogRecord { route: "web@docker", listener: "websecure", ..record(target, "curl/8") },
            peer: ([192, 0, 2, 1], 5000).into(),
            authority: "a.localhost:8443",
            user: "",
            service: "shop@docker",
            is_unlogged: false,
            server: Some(("http", "172.20.0.3:8080".to_owned())),
            entry_point: "websecure",
            tls_version: Some("1.3"),
            cipher: Some(CipherSuite::TLS13_AES_128_GCM_SHA256),
            retries: 0,
            at_origin: Duration::from_micros(1200),
            request,
            response: Some(response),
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_790_000_000_123)
    }

    fn fates(default: FieldFate, names: &[(&str, FieldFate)]) -> FieldFates {
        FieldFates { default, names: names.iter().map(|(name, fate)| ((*name).into(), *fate)).collect() }
    }

    #[test]
    fn the_common_line_is_traefiks() {
        let (request, response) = (fields(&[]), fields(&[]));
        let mut record = named("/x?api_key=s3cret", &request, &response);
        let mut log = log(TraefikLogForm::Common);
        let line = record.line(&log, now(), 7);
        assert_eq!(
            line,
            "192.0.2.1 - - [21/Sep/2026:14:13:20 +0000] \"GET /x?api_key=*** HTTP/2.0\" 200 2 \"-\" \"-\" 7 \
             \"web@docker\" \"http://172.20.0.3:8080\" 1ms\n"
        );
        log.headers = fates(FieldFate::Drop, &[("user-agent", FieldFate::Keep)]);
        log.fields = fates(FieldFate::Keep, &[("clienthost", FieldFate::Drop)]);
        record.user = "ann";
        (record.base.route, record.server) = ("", None);
        let line = record.line(&log, now(), 8);
        assert!(line.starts_with("- - ann ["), "{line}");
        assert!(line.ends_with(" \"-\" \"curl/8\" 8 \"-\" \"-\" 1ms\n"), "{line}");
        log.form = TraefikLogForm::GenericClf;
        assert!(record.line(&log, now(), 9).ends_with("\" 200 2 \"-\" \"curl/8\"\n"));
    }

    #[test]
    fn the_json_line_has_traefiks_fields() {
        let (request, response) = (fields(&[]), fields(&[]));
        let line = named("/x?y=1", &request, &response).line(&log(TraefikLogForm::Json), now(), 7);
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let expected = serde_json::json!({
            "ClientAddr": "192.0.2.1:5000", "ClientHost": "192.0.2.1", "ClientPort": "5000", "ClientUsername": "-",
            "DownstreamContentSize": 2, "DownstreamStatus": 200, "Duration": 1_500_000,
            "OriginContentSize": 2, "OriginDuration": 1_200_000, "OriginStatus": 200, "Overhead": 300_000,
            "RequestAddr": "a.localhost:8443", "RequestContentSize": 1, "RequestCount": 7,
            "RequestHost": "a.localhost", "RequestMethod": "GET", "RequestPath": "/x?y=1", "RequestPort": "8443",
            "RequestProtocol": "HTTP/2.0", "RequestScheme": "https", "RetryAttempts": 0, "RouterName": "web@docker",
            "ServiceAddr": "172.20.0.3:8080", "ServiceName": "shop@docker", "ServiceURL": "http://172.20.0.3:8080",
            "StartLocal": "2026-09-21T14:13:20.121Z", "StartUTC": "2026-09-21T14:13:20.121Z", "TLSCipher": "TLS_AES_128_GCM_SHA256", "TLSVersion": "1.3",
            "entryPointName": "websecure", "level": "info", "msg": "", "time": "2026-09-21T14:13:20.123Z",
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn who_is_asked_for_a_name_has_an_empty_one() {
        let (request, response) = (fields(&[]), fields(&[]));
        let mut record = named("/", &request, &response);
        let user = |record: &NamedRecord<'_>| {
            let line = record.line(&log(TraefikLogForm::Json), now(), 1);
            serde_json::from_str::<serde_json::Value>(&line).expect("JSON")["ClientUsername"].clone()
        };
        assert_eq!(user(&record), "-");
        record.base.reason = "unauthorized";
        assert_eq!(user(&record), "");
        record.user = "ann";
        assert_eq!(user(&record), "ann");
    }

    #[test]
    fn fields_and_headers_are_kept_dropped_or_redacted_and_credentials_never_kept() {
        let request = fields(&[("Authorization", "Basic x"), ("x-keep", "1"), ("X-Keep", "2"), ("Cookie", "a=1")]);
        let response = fields(&[("Set-Cookie", "s3cret"), ("X-Res", "\"quoted\"")]);
        let record = named("/x", &request, &response);
        let mut log = log(TraefikLogForm::Json);
        log.fields =
            fates(FieldFate::Drop, &[("requestpath", FieldFate::Keep), ("downstreamstatus", FieldFate::Redact)]);
        log.headers = fates(FieldFate::Drop, &[("x-keep", FieldFate::Keep), ("authorization", FieldFate::Redact)]);
        let object = |log: &TraefikLog| -> serde_json::Value {
            serde_json::from_str(&record.line(log, now(), 1)).expect("JSON")
        };
        let expected = serde_json::json!({
            "RequestPath": "/x", "request_Authorization": "REDACTED",
            "request_X-Keep": "1, 2", "level": "info", "msg": "", "time": "2026-09-21T14:13:20.123Z",
        });
        assert_eq!(object(&log), expected);
        log.headers = fates(FieldFate::Keep, &[]);
        let kept = object(&log);
        assert_eq!(kept["downstream_X-Res"], "\"quoted\"");
        for secret in ["request_Authorization", "request_Cookie", "downstream_Set-Cookie"] {
            assert_eq!(kept[secret], "REDACTED", "{secret}");
        }
    }

    #[test]
    fn one_filter_that_takes_a_request_is_enough() {
        let (request, response) = (fields(&[]), fields(&[]));
        let mut record = named("/", &request, &response);
        let mut log = log(TraefikLogForm::Common);
        assert!(record.is_logged(&log));
        log.statuses = vec![(400, 499), (503, 503)];
        assert!(!record.is_logged(&log));
        log.min_duration = Some(Duration::from_millis(1));
        assert!(record.is_logged(&log), "it took longer");
        log.min_duration = None;
        log.retried = true;
        assert!(!record.is_logged(&log));
        record.retries = 1;
        assert!(record.is_logged(&log));
        record.base.status = 503;
        log.retried = false;
        assert!(record.is_logged(&log));
        record.base.route = "ping@internal";
        assert!(!record.is_logged(&log));
        log.logs_internal = true;
        assert!(record.is_logged(&log));
        record.is_unlogged = true;
        assert!(!record.is_logged(&log));
    }

    proptest::proptest! {
        #[test]
        fn a_line_is_one_line_whatever_a_client_sends(text in "(?s).{0,600}", target in "/\\PC{0,5000}") {
            let (request, response) = (fields(&[("x-a", "\u{1b}\"")]), fields(&[]));
            let mut record = named(&target, &request, &response);
            (record.authority, record.user, record.base.user_agent) = (&text, &text, &text);
            let mut log = TraefikLog { headers: fates(FieldFate::Keep, &[]), ..TraefikLog::default() };
            for form in [TraefikLogForm::Common, TraefikLogForm::Json] {
                log.form = form;
                let line = record.line(&log, now(), 1);
                proptest::prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
                match form {
                    TraefikLogForm::Json => _ = serde_json::from_str::<serde_json::Value>(&line).expect("JSON"),
                    TraefikLogForm::Common | TraefikLogForm::GenericClf => {
                        proptest::prop_assert_eq!(line.matches('"').count(), 10, "a quote of a client ends no field");
                    }
                }
            }
        }
    }
}
