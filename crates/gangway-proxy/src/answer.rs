//! Our own answers: short, neutral, and of the kind the client can read.
//!
//! Everybody sees a status, one sentence, the reason token and the request's id. What is wrong inside,
//! and what to do about it, only a client on the local network sees.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use pingora::http::{RequestHeader, ResponseHeader};

/// Why we answer instead of an app. The tokens are promises: they stand in the answer, the access log
/// and the metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    NoRoute,
    NotReady,
    NoEndpoint,
    /// There are containers, and no way to them that waiting would open.
    NoWay,
    EndpointNotReady,
    RouteClosed,
    NoCertificate,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamConnect,
    UpstreamTls,
    UpstreamProtocol,
    BadRequest,
    MethodNotAllowed,
    RequestTimeout,
    BodyTooLarge,
    TargetTooLong,
    ExpectationFailed,
    HeadTooLarge,
    Misdirected,
    Internal,
}

impl Reason {
    /// Status, token and the sentence that everybody may read.
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NoRoute => (404, "no-route", "There is nothing at this address."),
            Self::NotReady => (503, "not-ready", "This server is starting. Please try again in a moment."),
            Self::NoEndpoint => (503, "no-endpoint", "The application is not running at the moment."),
            Self::NoWay => (503, "no-endpoint", "The application cannot be reached."),
            Self::EndpointNotReady => (503, "not-ready", "The application is starting. Please try again in a moment."),
            Self::RouteClosed => (503, "route-closed", "The application is closed until its protection is set up."),
            Self::NoCertificate => {
                (503, "no-certificate", "This address cannot be reached securely yet. Please try again later.")
            }
            Self::UpstreamRefused => (502, "upstream-refused", "The application does not accept connections."),
            Self::UpstreamTimeout => (504, "upstream-timeout", "The application did not answer in time."),
            Self::UpstreamConnect => (502, "upstream-unreachable", "The application cannot be reached."),
            Self::UpstreamTls => (502, "upstream-tls", "The application could not be reached securely."),
            Self::UpstreamProtocol => (502, "upstream-protocol", "The application gave no valid answer."),
            Self::BadRequest => (400, "bad-request", "The request is malformed."),
            Self::MethodNotAllowed => (405, "method-not-allowed", "This method is not served."),
            Self::RequestTimeout => (408, "request-timeout", "The request took too long to arrive."),
            Self::BodyTooLarge => (413, "body-too-large", "The request is larger than the application allows."),
            Self::TargetTooLong => (414, "target-too-long", "The address is too long."),
            Self::ExpectationFailed => (417, "expectation-failed", "The expectation of the request cannot be met."),
            Self::HeadTooLarge => (431, "head-too-large", "The request's header fields are too large."),
            Self::Misdirected => (421, "misdirected", "This connection is not for this address. Please try again."),
            Self::Internal => (500, "internal", "Something went wrong here."),
        }
    }

    pub(crate) const fn status(self) -> u16 {
        self.parts().0
    }

    pub(crate) const fn token(self) -> &'static str {
        self.parts().1
    }

    const fn text(self) -> &'static str {
        self.parts().2
    }

    /// What stands behind the status as the heading of a page.
    const fn heading(self) -> &'static str {
        match self {
            Self::NoRoute => "no such site here",
            Self::NotReady | Self::EndpointNotReady => "starting",
            Self::NoEndpoint => "not running",
            Self::RouteClosed => "closed",
            Self::NoCertificate => "no certificate yet",
            Self::NoWay | Self::UpstreamRefused | Self::UpstreamConnect => "application not reached",
            Self::UpstreamTimeout => "no answer in time",
            Self::UpstreamTls => "application not reached securely",
            Self::UpstreamProtocol => "no valid answer",
            Self::BadRequest => "malformed request",
            Self::MethodNotAllowed => "method not allowed",
            Self::RequestTimeout => "request took too long",
            Self::BodyTooLarge => "request too large",
            Self::TargetTooLong => "address too long",
            Self::ExpectationFailed => "expectation failed",
            Self::HeadTooLarge => "header fields too large",
            Self::Misdirected => "wrong connection",
            Self::Internal => "something went wrong",
        }
    }

    /// After these the connection is of no further use: where its bytes stand cannot be known, or what
    /// stands in them is not worth reading to its end.
    const fn closes(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::MethodNotAllowed
                | Self::RequestTimeout
                | Self::BodyTooLarge
                | Self::TargetTooLong
                | Self::ExpectationFailed
                | Self::HeadTooLarge
                | Self::Internal
        )
    }

    /// The status of gRPC for it (the mapping of its specification, "HTTP to gRPC Status Code Mapping").
    const fn grpc_status(self) -> &'static str {
        match self.status() {
            400 => "13",
            404 => "12",
            502..=504 => "14",
            _ => "2",
        }
    }
}

/// An answer of ours before it is put into a form.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Something could not be done.
    Failure {
        reason: Reason,
        retry_after: Option<Duration>,
        /// For clients on the local network only.
        detail: Option<String>,
    },
    /// What a CA wants to see.
    Challenge { key_authorization: String },
    /// Somewhere else.
    Redirect { status: u16, location: Vec<u8> },
}

/// What an answer is shaped by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'a> {
    pub(crate) request_id: &'a str,
    /// The client is on the local network: it may see what is wrong.
    pub(crate) local: bool,
    /// The URL that was asked for, where it is known.
    pub(crate) url: &'a str,
    /// The name of our own container, where we are in one.
    pub(crate) own: Option<&'a str>,
}

impl Answer {
    pub(crate) fn failure(reason: Reason) -> Self {
        Self::Failure { reason, retry_after: None, detail: None }
    }

    pub(crate) fn redirect(status: u16, location: Vec<u8>) -> Self {
        Self::Redirect { status, location }
    }

    pub(crate) fn with_retry_after(mut self, pause: Duration) -> Self {
        if let Self::Failure { retry_after, .. } = &mut self {
            *retry_after = Some(pause);
        }
        self
    }

    pub(crate) fn with_detail(mut self, text: impl Into<String>) -> Self {
        if let Self::Failure { detail, .. } = &mut self {
            *detail = Some(text.into());
        }
        self
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Failure { reason, .. } => Some(*reason),
            Self::Redirect { .. } | Self::Challenge { .. } => None,
        }
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            Self::Failure { detail, .. } => detail.as_deref(),
            Self::Redirect { .. } | Self::Challenge { .. } => None,
        }
    }

    pub(crate) fn closes(&self) -> bool {
        self.reason().is_some_and(Reason::closes)
    }

    /// The head and the body to send to whoever sent `request`.
    pub(crate) fn render(
        &self,
        request: &RequestHeader,
        audience: Audience<'_>,
    ) -> pingora::Result<(ResponseHeader, Bytes)> {
        match self {
            Self::Challenge { key_authorization } => {
                let mut head = ResponseHeader::build(200, Some(3))?;
                head.insert_header(CONTENT_TYPE, "application/octet-stream")?;
                head.insert_header(CONTENT_LENGTH, key_authorization.len())?;
                head.insert_header(CACHE_CONTROL, "no-store")?;
                let body = if request.method == Method::HEAD { "" } else { key_authorization.as_str() };
                Ok((head, Bytes::copy_from_slice(body.as_bytes())))
            }
            Self::Redirect { status, location } => {
                let mut head = ResponseHeader::build(*status, Some(4))?;
                head.insert_header(
                    LOCATION,
                    HeaderValue::from_bytes(location).unwrap_or(HeaderValue::from_static("/")),
                )?;
                head.insert_header(CONTENT_LENGTH, 0)?;
                head.insert_header("x-request-id", audience.request_id)?;
                Ok((head, Bytes::new()))
            }
            Self::Failure { reason, .. } if is_grpc(request) => {
                let mut head = ResponseHeader::build(200, Some(5))?;
                head.insert_header(CONTENT_TYPE, "application/grpc")?;
                head.insert_header("grpc-status", reason.grpc_status())?;
                head.insert_header("grpc-message", reason.token())?;
                head.insert_header("x-request-id", audience.request_id)?;
                Ok((head, Bytes::new()))
            }
            Self::Failure { reason, retry_after, detail } => {
                let detail = detail.as_deref().filter(|_| audience.local);
                let json = wants_json(request);
                let body = match json {
                    true => json_body(*reason, detail, audience),
                    false => html_body(*reason, *retry_after, detail, audience),
                };
                let mut head = ResponseHeader::build(reason.status(), Some(8))?;
                head.insert_header(CONTENT_TYPE, if json { "application/json" } else { "text/html; charset=utf-8" })?;
                head.insert_header(CONTENT_LENGTH, body.len())?;
                head.insert_header(CACHE_CONTROL, "no-store")?;
                head.insert_header("x-request-id", audience.request_id)?;
                if let Some(pause) = retry_after {
                    head.insert_header(RETRY_AFTER, pause.as_secs().max(1))?;
                }
                if *reason == Reason::MethodNotAllowed {
                    head.insert_header(ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
                }
                let body = if request.method == Method::HEAD { Bytes::new() } else { Bytes::from(body) };
                Ok((head, body))
            }
        }
    }
}

fn is_grpc(request: &RequestHeader) -> bool {
    request.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// JSON is for programs that say so; whoever accepts HTML is shown HTML.
fn wants_json(request: &RequestHeader) -> bool {
    let Some(accept) = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()) else { return false };
    !accept.contains("text/html") && accept.contains("json")
}

fn json_body(reason: Reason, detail: Option<&str>, audience: Audience<'_>) -> String {
    let mut object = serde_json::json!({
        "status": reason.status(),
        "reason": reason.token(),
        "message": reason.text(),
        "request_id": audience.request_id,
    });
    if audience.local {
        object["detail"] = detail.into();
        if !audience.url.is_empty() {
            object["explain"] = explain_line(audience).into();
        }
    }
    format!("{object}\n")
}

fn html_body(reason: Reason, retry_after: Option<Duration>, detail: Option<&str>, audience: Audience<'_>) -> String {
    let (status, token, text) = reason.parts();
    let heading = reason.heading();
    // Whoever looks at it sees the application as soon as it is there.
    let refresh = retry_after.map_or_else(String::new, |pause| {
        format!("<meta http-equiv=\"refresh\" content=\"{}\">", pause.as_secs().max(1))
    });
    let mut inside = String::new();
    if audience.local {
        if let Some(detail) = detail {
            inside.push_str(&format!("<p>{}</p>", with_code(detail)));
        }
        if !audience.url.is_empty() {
            inside.push_str(&format!("<p>To see why, run<br><code>{}</code></p>", escape(&explain_line(audience))));
        }
    }
    // A policy that a label sets (`default-src 'self'`) forbids the style: the page is plain and readable without it,
    // and has no script.
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">{refresh}\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{status} — {heading}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}\
         code{{overflow-wrap:anywhere}}small{{opacity:.6}}</style>\
         <h1>{status} — {heading}</h1><p>{text}</p>{inside}<small>{token} &middot; {id}</small></html>\n",
        id = escape(audience.request_id),
    )
}

/// The command that tells more, safe to paste into a shell whatever the URL contains.
fn explain_line(audience: Audience<'_>) -> String {
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let command = match audience.own.filter(is_name) {
        Some(own) => format!("docker exec {own} /gangway"),
        None => "gangway".to_owned(),
    };
    format!("{command} explain '{}'", audience.url.replace('\'', "%27"))
}

/// Escaped, and what stands in backticks as code.
fn with_code(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let pieces: Vec<&str> = text.split('`').collect();
    // The last of an uneven number has no end.
    let closed = pieces.len() - usize::from(pieces.len().is_multiple_of(2));
    for (at, piece) in pieces.iter().enumerate() {
        match at % 2 {
            1 if at < closed => marked.push_str(&format!("<code>{}</code>", escape(piece))),
            1 => marked.push_str(&format!("`{}", escape(piece))),
            _ => marked.push_str(&escape(piece)),
        }
    }
    marked
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(answer: &Answer, accept: &str, local: bool) -> (ResponseHeader, String) {
        let mut request = RequestHeader::build("GET", b"/", None).expect("valid");
        request.insert_header("accept", accept).expect("valid");
        let audience = Audience { request_id: "id-1", local, url: "http://a/<x>'", own: None };
        let (head, body) = answer.render(&request, audience).expect("valid");
        (head, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[test]
    fn only_the_local_network_sees_what_is_wrong() {
        let answer = Answer::failure(Reason::UpstreamRefused).with_detail("172.20.0.3:80 refused <it>");
        let (_, outside) = render(&answer, "*/*", false);
        assert!(!outside.contains("172.20") && !outside.contains("explain"), "{outside}");
        let (_, inside) = render(&answer, "text/html", true);
        assert!(inside.contains("172.20.0.3:80 refused &lt;it&gt;") && inside.contains("gangway explain"), "{inside}");
        assert!(!inside.contains("<x>"), "{inside}");
    }

    #[test]
    fn a_page_says_what_is_wrong_in_words_and_a_command_that_can_be_pasted() {
        let request = RequestHeader::build("GET", b"/", None).expect("valid");
        let page = |own| {
            let audience = Audience { request_id: "id", local: true, url: "https://a.test/?x='", own };
            let answer = Answer::failure(Reason::NoRoute).with_detail("container `a-1` <is> `stopped`, or `not");
            let (_, body) = answer.render(&request, audience).expect("valid");
            String::from_utf8(body.to_vec()).expect("text")
        };
        let in_container = page(Some("shop-gangway-1"));
        for part in [
            "<title>404 — no such site here</title>",
            "<h1>404 — no such site here</h1>",
            "container <code>a-1</code> &lt;is&gt; <code>stopped</code>, or `not",
            "<code>docker exec shop-gangway-1 /gangway explain &#39;https://a.test/?x=%27&#39;</code>",
        ] {
            assert!(in_container.contains(part), "{part}: {in_container}");
        }
        for own in [None, Some("a; rm -rf /")] {
            assert!(page(own).contains("<code>gangway explain &#39;https"), "{}", page(own));
        }
        // What a policy forbids is not needed: nothing but one style sheet, and no script.
        assert!(!in_container.contains(" style=") && !in_container.contains("<script"), "{in_container}");
    }

    #[test]
    fn head_is_told_the_length_but_sent_no_body() {
        let request = RequestHeader::build("HEAD", b"/", None).expect("valid");
        let audience = Audience { request_id: "id", local: false, url: "", own: None };
        let (head, body) = Answer::failure(Reason::NoRoute).render(&request, audience).expect("valid");
        assert!(body.is_empty() && head.headers[CONTENT_LENGTH] != "0");
        assert_eq!(
            (&head.headers[CACHE_CONTROL], &head.headers["x-request-id"]),
            (&"no-store".parse().expect("valid"), &"id".parse().expect("valid"))
        );
    }

    #[test]
    fn every_kind_of_client_finds_the_reason_in_its_answer() {
        for accept in [
            "*/*",
            "text/html,application/json",
            "application/json, text/plain, */*",
            "application/problem+json",
            "\u{e4}",
        ] {
            for local in [false, true] {
                let (head, body) = render(&Answer::failure(Reason::UpstreamTimeout), accept, local);
                assert_eq!(head.status, 504);
                assert!(body.contains("upstream-timeout") && body.contains("id-1"), "{body}");
                assert_eq!(head.headers[CONTENT_LENGTH].to_str().ok(), Some(&*body.len().to_string()));
            }
        }
        let (head, _) = render(&Answer::failure(Reason::MethodNotAllowed), "*/*", false);
        assert!(head.headers.contains_key(ALLOW));
        let (head, _) =
            render(&Answer::failure(Reason::NotReady).with_retry_after(Duration::from_millis(10)), "*/*", false);
        assert_eq!(head.headers[RETRY_AFTER], "1");
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_a_url_or_a_detail_breaks_out(url in "[ -~\u{e4}]{1,40}", detail in "\\PC{0,40}") {
            let mut request = RequestHeader::build("GET", b"/", None).expect("valid");
            let answer = Answer::failure(Reason::NoRoute).with_detail(detail.clone());
            let audience = Audience { request_id: "id", local: true, url: &url, own: None };
            let (_, html) = answer.render(&request, audience).expect("valid");
            let html = String::from_utf8(html.to_vec()).expect("text");
            let (_, plain) = answer.render(&RequestHeader::build("GET", b"/", None).expect("valid"), Audience { url: "u", ..audience }).expect("valid");
            let tags = |html: &str| html.matches('<').count();
            proptest::prop_assert_eq!(tags(&html), tags(&String::from_utf8_lossy(&plain)));
            let said = html.replace("<code>", "`").replace("</code>", "`");
            proptest::prop_assert!(said.contains(&escape(&detail)));
            request.insert_header("accept", "application/json").expect("valid");
            let (_, json) = answer.render(&request, audience).expect("valid");
            let object: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
            proptest::prop_assert_eq!(object["detail"].as_str(), Some(&*detail));
            // One word for a shell: quoted, and no quote within.
            let line = object["explain"].as_str().expect("a line").strip_prefix("gangway explain '").expect("quoted");
            proptest::prop_assert_eq!(line.find('\''), Some(line.len() - 1));
        }
    }

    #[test]
    fn programs_get_json_and_the_token() {
        let (head, body) = render(&Answer::failure(Reason::NoRoute), "application/json", false);
        assert_eq!(head.status, 404);
        let parsed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&parsed["reason"], &parsed["request_id"]), (&"no-route".into(), &"id-1".into()));
        assert!(parsed.get("detail").is_none());
    }

    #[test]
    fn grpc_is_told_in_its_own_terms() {
        let mut request = RequestHeader::build("POST", b"/", None).expect("valid");
        request.insert_header("content-type", "application/grpc+proto").expect("valid");
        let audience = Audience { request_id: "id", local: false, url: "", own: None };
        let (head, body) = Answer::failure(Reason::NoEndpoint).render(&request, audience).expect("valid");
        assert_eq!(
            (head.status.as_u16(), &head.headers["grpc-status"], body.len()),
            (200, &HeaderValue::from_static("14"), 0)
        );
    }
}
