//! Formats one request as one line of the access log.
//!
//! A record is always exactly one line, whatever a client sent: control bytes, line separators and characters that
//! change the writing direction are escaped. Each field is bounded, so that a long target does not cut off the fields
//! behind it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use gangway_model::secret::masked_target;
use gangway_otlp::TraceId;
use time::OffsetDateTime;

/// The longest line. Cutting never splits a line or breaks a JSON object.
#[cfg(test)]
pub(crate) const LINE_MAX: usize = 8 * 1024;

/// Bytes of an escaped target. With all other fields, a line stays below [`LINE_MAX`].
pub(crate) const TARGET_MAX: usize = 4096;

/// Bytes of any other field that a client controls.
pub(crate) const FIELD_MAX: usize = 384;

/// The fields of a request. Never `Authorization`, never a cookie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRecord<'a> {
    pub(crate) client: IpAddr,
    pub(crate) method: &'a str,
    pub(crate) scheme: &'a str,
    /// The listener, unless it is the usual one of the scheme.
    pub(crate) listener: &'a str,
    pub(crate) host: &'a str,
    pub(crate) target: &'a str,
    pub(crate) version: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) duration: Duration,
    /// From handing the request to the endpoint to the first byte of its answer.
    pub(crate) upstream: Option<Duration>,
    pub(crate) route: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) request_id: &'a str,
    /// The trace of a request that is recorded.
    pub(crate) trace: Option<TraceId>,
    pub(crate) user_agent: &'a str,
    pub(crate) referrer: &'a str,
    /// A description of the failure, for people.
    pub(crate) detail: &'a str,
}

pub(crate) fn text(record: &LogRecord<'_>, now: SystemTime) -> String {
    let mut line = String::with_capacity(512);
    timestamp(&mut line, now);
    line.push(' ');
    let _ = write!(line, "{} ", record.client);
    escape_text(&mut line, record.method, FIELD_MAX);
    let _ = write!(line, " {}://", record.scheme);
    escape_text(&mut line, record.host, FIELD_MAX);
    escape_text(&mut line, &masked_target(record.target), TARGET_MAX);
    let _ = write!(line, " {} {} in={} out={} ms=", record.version, record.status, record.bytes_in, record.bytes_out);
    milliseconds(&mut line, record.duration);
    if let Some(upstream) = record.upstream {
        line.push_str(" upstream_ms=");
        milliseconds(&mut line, upstream);
    }
    for (name, value) in [
        ("listener", record.listener),
        ("route", record.route),
        ("endpoint", record.endpoint),
        ("reason", record.reason),
        ("id", record.request_id),
        ("detail", record.detail),
        ("agent", record.user_agent),
    ] {
        if !value.is_empty() {
            let quote = if value.contains([' ', '"', '=']) { "\"" } else { "" };
            let _ = write!(line, " {name}={quote}");
            escape_text(&mut line, value, FIELD_MAX);
            line.push_str(quote);
        }
    }
    line.push('\n');
    line
}

pub(crate) fn json(record: &LogRecord<'_>, now: SystemTime) -> String {
    let mut line = String::with_capacity(512);
    line.push_str("{\"time\":\"");
    timestamp(&mut line, now);
    line.push('"');
    let _ = write!(line, ",\"client\":\"{}\"", record.client);
    for (name, value, max) in [
        ("method", record.method, FIELD_MAX),
        ("scheme", record.scheme, FIELD_MAX),
        ("host", record.host, FIELD_MAX),
        ("target", &masked_target(record.target), TARGET_MAX),
        ("version", record.version, FIELD_MAX),
        ("listener", record.listener, FIELD_MAX),
        ("route", record.route, FIELD_MAX),
        ("endpoint", record.endpoint, FIELD_MAX),
        ("reason", record.reason, FIELD_MAX),
        ("request_id", record.request_id, FIELD_MAX),
        ("user_agent", record.user_agent, FIELD_MAX),
        ("detail", record.detail, FIELD_MAX),
    ] {
        if !value.is_empty() {
            let _ = write!(line, ",\"{name}\":\"");
            escape_json(&mut line, value, max);
            line.push('"');
        }
    }
    let _ = write!(
        line,
        ",\"status\":{},\"bytes_in\":{},\"bytes_out\":{},\"duration_ms\":",
        record.status, record.bytes_in, record.bytes_out,
    );
    milliseconds(&mut line, record.duration);
    if let Some(upstream) = record.upstream {
        line.push_str(",\"upstream_ms\":");
        milliseconds(&mut line, upstream);
    }
    if let Some(trace) = record.trace {
        let _ = write!(line, ",\"trace_id\":\"{trace}\"");
    }
    line.push_str("}\n");
    line
}

/// Formats `192.0.2.1 - - [21/Sep/2026:14:13:20 +0000] "GET / HTTP/2.0" 200 2`, without a line end.
pub(crate) fn common(record: &LogRecord<'_>, now: SystemTime) -> String {
    common_escaped(record, now, escape_common)
}

/// Appends a text, at most so many bytes of it.
type Escape = fn(&mut String, &str, usize);

fn common_escaped(record: &LogRecord<'_>, now: SystemTime, escape: Escape) -> String {
    let mut line = String::with_capacity(256);
    let _ = write!(line, "{} - - [", record.client);
    common_time(&mut line, now);
    line.push_str("] \"");
    escape(&mut line, record.method, FIELD_MAX);
    line.push(' ');
    escape(&mut line, &masked_target(record.target), TARGET_MAX);
    let _ = write!(line, " {}\" {:03} ", version(record), record.status);
    match record.bytes_out {
        0 => line.push('-'),
        bytes => {
            let _ = write!(line, "{bytes}");
        }
    }
    line
}

/// The common format with `"referrer" "user agent"` added.
pub(crate) fn combined(record: &LogRecord<'_>, now: SystemTime) -> String {
    combined_escaped(record, now, escape_common) + "\n"
}

fn combined_escaped(record: &LogRecord<'_>, now: SystemTime, escape: Escape) -> String {
    let mut line = common_escaped(record, now, escape);
    for value in [&*masked_target(record.referrer), record.user_agent] {
        line.push_str(" \"");
        escape(&mut line, if value.is_empty() { "-" } else { value }, FIELD_MAX);
        line.push('"');
    }
    line
}

/// Servers that knew HTTP/1.1 first write the version so, and parsers expect it.
pub(crate) fn version<'a>(record: &LogRecord<'a>) -> &'a str {
    if record.version == "HTTP/2" { "HTTP/2.0" } else { record.version }
}

/// The common format of Traefik: with the number of requests so far, the router, the upstream and whole milliseconds.
///
/// A quote is escaped as nginx does: parsers of Traefik's lines end a field at the first one, whatever stands before it, and
/// a client could keep its requests from being read.
pub(crate) fn traefik(record: &LogRecord<'_>, now: SystemTime, number: u64) -> String {
    let mut line = combined_escaped(record, now, escape_hexadecimal);
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let is_router = !record.route.is_empty() && record.route.len() <= FIELD_MAX && record.route.chars().all(is_name);
    let router = if is_router { format!("{}@gangway", record.route) } else { "-".to_owned() };
    let _ = writeln!(line, " {number} \"{router}\" \"-\" {}ms", record.duration.as_millis());
    line
}

/// One JSON object as Caddy writes it, with the members that its readers ask for.
pub(crate) fn caddy(record: &LogRecord<'_>, now: SystemTime) -> String {
    let mut line = String::with_capacity(512);
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let client = record.client;
    let _ = write!(
        line,
        "{{\"level\":\"info\",\"ts\":{}.{:03},\"logger\":\"http.log.access\",\"msg\":\"handled request\",\
         \"request\":{{\"remote_ip\":\"{client}\",\"client_ip\":\"{client}\",\"proto\":\"{}\"",
        since.as_secs(),
        since.subsec_millis(),
        version(record),
    );
    for (name, value, max) in [
        ("method", record.method, FIELD_MAX),
        ("host", record.host, FIELD_MAX),
        ("uri", &masked_target(record.target), TARGET_MAX),
    ] {
        let _ = write!(line, ",\"{name}\":\"");
        escape_unicode(&mut line, value, max);
        line.push('"');
    }
    line.push_str(",\"headers\":{");
    let fields = [("User-Agent", record.user_agent), ("Referer", &masked_target(record.referrer))];
    for (position, (name, value)) in fields.into_iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        let separator = if position == 0 { "" } else { "," };
        let _ = write!(line, "{separator}\"{name}\":[\"");
        escape_unicode(&mut line, value, FIELD_MAX);
        line.push_str("\"]");
    }
    let microseconds = record.duration.as_micros();
    let _ = writeln!(
        line,
        "}}}},\"bytes_read\":{},\"duration\":{}.{:06},\"size\":{},\"status\":{},\"resp_headers\":{{\"Date\":[\"{}\"]}}}}",
        record.bytes_in,
        microseconds / 1_000_000,
        microseconds % 1_000_000,
        record.bytes_out,
        record.status,
        httpdate::fmt_http_date(now),
    );
    line
}

/// Whether a character is plain text to terminals and line readers: no control character, no line separator, no
/// change of the writing direction.
fn is_harmless(character: char) -> bool {
    match character {
        '"' | '\\' => false,
        ' '..='~' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        _ => !character.is_control(),
    }
}

fn escape_text(line: &mut String, text: &str, max: usize) {
    escape(line, text, max, |line, character| {
        let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
    });
}

pub(crate) fn escape_json(line: &mut String, text: &str, max: usize) {
    escape(line, text, max, |line, character| match character {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        _ => {
            let _ = write!(line, "\\u{:04x}", u32::from(character));
        }
    });
}

/// Escapes so that no quote and no backslash stands in a text, but those of the escapes themselves.
fn escape_unicode(line: &mut String, text: &str, max: usize) {
    escape(line, text, max, |line, character| {
        let _ = write!(line, "\\u{:04x}", u32::from(character));
    });
}

/// Escapes like nginx.
pub(crate) fn escape_hexadecimal(line: &mut String, text: &str, max: usize) {
    escape(line, text, max, |line, character| {
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(line, "\\x{byte:02x}");
        }
    });
}

/// Escapes like Apache.
fn escape_common(line: &mut String, text: &str, max: usize) {
    escape(line, text, max, |line, character| match character {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        _ => {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    });
}

/// Appends `text`, at most `max` bytes of it after escaping, and never a part of a character.
fn escape(line: &mut String, text: &str, max: usize, escaped: impl Fn(&mut String, char)) {
    // The usual case: nothing to escape, and it fits.
    if text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        line.push_str(text);
        return;
    }
    let end = line.len() + max;
    for character in text.chars() {
        let before = line.len();
        if is_harmless(character) {
            line.push(character);
        } else {
            escaped(line, character);
        }
        if line.len() > end {
            line.truncate(before);
            return;
        }
    }
}

/// Milliseconds with one decimal, without floating-point arithmetic.
fn milliseconds(line: &mut String, duration: Duration) {
    let _ = write!(line, "{}.{}", duration.as_millis(), duration.subsec_micros() / 100 % 10);
}

/// RFC 3339 with milliseconds, in UTC.
pub(crate) fn timestamp(line: &mut String, now: SystemTime) {
    let now = OffsetDateTime::from(now);
    let ((year, month, day), (hour, minute, second, millis)) = (now.to_calendar_date(), now.to_hms_milli());
    let month = u8::from(month);
    let _ = write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
}

/// `21/Sep/2026:14:13:20 +0000`.
pub(crate) fn common_time(line: &mut String, now: SystemTime) {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = OffsetDateTime::from(now);
    let ((year, month, day), (hour, minute, second)) = (now.to_calendar_date(), now.to_hms());
    let month = MONTHS[usize::from(u8::from(month)) - 1];
    let _ = write!(line, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    pub(crate) fn record<'a>(target: &'a str, agent: &'a str) -> LogRecord<'a> {
        LogRecord {
            client: [192, 0, 2, 1].into(),
            method: "GET",
            scheme: "https",
            listener: "",
            host: "a.localhost",
            target,
            version: "HTTP/2",
            status: 200,
            bytes_in: 1,
            bytes_out: 2,
            duration: Duration::from_micros(1500),
            upstream: Some(Duration::from_micros(1200)),
            route: "web",
            endpoint: "shop-web-1",
            reason: "",
            request_id: "id",
            trace: None,
            user_agent: agent,
            referrer: "https://a.localhost/?token=s3cret",
            detail: "",
        }
    }

    #[test]
    fn the_common_forms_are_those_that_everybody_parses() {
        let now = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        let record = record("/x?api_key=s3cret", "cu\"rl\n\\8");
        let first = "192.0.2.1 - - [21/Sep/2026:14:13:20 +0000] \"GET /x?api_key=*** HTTP/2.0\" 200 2";
        assert_eq!(common(&record, now), first);
        let agent = r#""cu\"rl\x0a\\8""#;
        assert_eq!(combined(&record, now), format!("{first} \"https://a.localhost/?token=***\" {agent}\n"));
        let nothing = LogRecord { status: 0, bytes_out: 0, referrer: "", user_agent: "", ..record };
        let line = combined(&nothing, now);
        assert!(line.starts_with("192.0.2.1 - - [") && line.ends_with("\" 000 - \"-\" \"-\"\n"), "{line}");
    }

    #[test]
    fn a_line_tells_the_request_and_keeps_its_secrets() {
        let now = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        // Shown by the guide on logs.
        let record = record("/x?api_key=s3cret", "curl/8");
        assert_eq!(text(&record, now), include_str!("../../tests/access_log/text.txt"));
        assert_eq!(json(&record, now), include_str!("../../tests/access_log/json.txt"));
        assert_eq!(combined(&record, now), include_str!("../../tests/access_log/combined.txt"));
        assert_eq!(traefik(&record, now, 7), include_str!("../../tests/access_log/traefik.txt"));
        assert_eq!(caddy(&record, now), include_str!("../../tests/access_log/caddy.txt"));
    }

    #[test]
    fn a_line_is_one_line_whatever_it_holds() {
        let agent = "a\u{1b}[31m\n\u{2028}\u{202e}\u{85}\"quoted\\";
        let line = text(&record("/", agent), SystemTime::now());
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert!(line.trim_end().is_ascii() && line.trim_end().chars().all(|c| !c.is_control()), "{line}");
        let line = json(&record("/", agent), SystemTime::now());
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert!(line.is_ascii(), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["user_agent"], agent);
        assert_eq!(object["duration_ms"], 1.5);
    }

    proptest::proptest! {
        #[test]
        fn a_line_has_an_end_and_is_an_object(target in "(/|\"|\\PC|\\PC{3000}|\u{1b}){0,9}", agent in "(?s).{0,2000}", status in 0..1000_u16) {
            let mut record = record(&target, &agent);
            (record.status, record.host, record.detail, record.route) = (status, &agent, &agent, &agent);
            (record.endpoint, record.method, record.reason, record.request_id) = (&agent, &agent, &agent, &agent);
            record.trace = Some(TraceId::random());
            let line = text(&record, SystemTime::now());
            proptest::prop_assert!(line.len() <= LINE_MAX && line.find('\n') == Some(line.len() - 1), "{}", line.len());
            proptest::prop_assert!(line.contains(" id=") || agent.is_empty(), "a field behind the target was cut off");
            record.referrer = &agent;
            let line = combined(&record, SystemTime::now());
            proptest::prop_assert!(line.len() <= LINE_MAX && line.find('\n') == Some(line.len() - 1), "{}", line.len());
            let line = traefik(&record, SystemTime::now(), u64::MAX);
            proptest::prop_assert!(line.len() <= LINE_MAX && line.find('\n') == Some(line.len() - 1), "{}", line.len());
            proptest::prop_assert_eq!(line.matches('"').count(), 10, "a quote of a client ends no field");
            let line = caddy(&record, SystemTime::now());
            proptest::prop_assert!(line.len() <= LINE_MAX && line.find('\n') == Some(line.len() - 1), "{}", line.len());
            proptest::prop_assert!(!line.contains("\\\""), "a quote of a client ends no field");
            let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            proptest::prop_assert_eq!(&object["status"], status);
            let line = json(&record, SystemTime::now());
            proptest::prop_assert!(line.len() <= LINE_MAX && line.find('\n') == Some(line.len() - 1), "{}", line.len());
            let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            proptest::prop_assert!(agent.starts_with(object["user_agent"].as_str().unwrap_or_default()));
            let trace = record.trace.map(|trace| trace.to_string());
            proptest::prop_assert_eq!(object["trace_id"].as_str(), trace.as_deref());
            proptest::prop_assert_eq!(&object["status"], status);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let stamp = |seconds: u64| {
            let mut line = String::new();
            timestamp(&mut line, UNIX_EPOCH + Duration::from_secs(seconds));
            line
        };
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_868_799), "2000-02-29T23:59:59.000Z");
        assert_eq!(stamp(951_868_800), "2000-03-01T00:00:00.000Z");
        assert_eq!(stamp(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }
}
