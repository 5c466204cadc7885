//! Local replies: short, neutral, and in the form that the client reads.
//!
//! Every client sees a status, one sentence, the reason token and the request's id. Only a client on the local
//! network sees what is wrong inside and what to do about it.

use std::time::Duration;

use bytes::Bytes;
use gangway_model::InternalService;
use http::{Method, StatusCode};

use crate::grammar::is_value;
use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::reply::auth_reply::AuthReply;
use crate::reply::page::{Audience, html_body, json_body};
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;

/// The pause that a reply suggests to a client before it asks again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A reply of Gangway itself, before it is rendered for a client.
#[derive(Debug)]
pub(crate) enum LocalReply {
    /// The request cannot be served.
    Failure(FailureReply),
    /// The key authorization that a CA asks for.
    Challenge { key_authorization: String },
    /// The client is redirected.
    Redirect { status: StatusCode, location: String },
    /// A service of Gangway itself answers.
    OfInternalService(InternalService),
    /// A log-in, or a service that was asked about the request, answers in place of the application.
    OfAuthService(Box<AuthReply>),
    /// What a browser may do with requests of another origin.
    Preflight(Box<Fields>),
}

/// Why a request cannot be served.
#[derive(Clone, Debug)]
pub(crate) struct FailureReply {
    reason: Reason,
    /// In place of the one of the reason.
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    /// For clients on the local network only.
    detail: Option<String>,
    /// Fields of the response beside those that every reply has.
    fields: Vec<(&'static str, String)>,
    has_body: bool,
}

impl FailureReply {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, status: None, retry_after: None, detail: None, fields: Vec::new(), has_body: true }
    }

    /// Answers by another status than the one of the reason.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    pub(crate) fn with_retry_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Leaves out the body. A client of HTTP/2 that has no window open could hold the stream by it.
    pub(crate) fn without_body(self) -> Self {
        Self { has_body: false, ..self }
    }

    /// Adds a field of the response.
    pub(crate) fn with_field(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }
}

impl From<FailureReply> for LocalReply {
    fn from(failure: FailureReply) -> Self {
        Self::Failure(failure)
    }
}

impl From<AuthReply> for LocalReply {
    fn from(reply: AuthReply) -> Self {
        Self::OfAuthService(Box::new(reply))
    }
}

impl From<Rejection> for LocalReply {
    fn from(rejection: Rejection) -> Self {
        let reply = FailureReply::new(rejection.reason).with_detail(rejection.to_string());
        if rejection.reason == Reason::Overloaded { reply.with_retry_after(RETRY_AFTER).into() } else { reply.into() }
    }
}

impl LocalReply {
    pub(crate) fn redirect(status: u16, location: String) -> Self {
        Self::Redirect { status: StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND), location }
    }

    fn as_failure(&self) -> Option<&FailureReply> {
        match self {
            Self::Failure(failure) => Some(failure),
            Self::Redirect { .. }
            | Self::Challenge { .. }
            | Self::OfInternalService(_)
            | Self::OfAuthService(_)
            | Self::Preflight(_) => None,
        }
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.as_failure().map(|failure| failure.reason)
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        self.as_failure()?.detail.as_deref()
    }

    /// Whether the connection cannot be used after this reply.
    pub(crate) fn closes(&self) -> bool {
        self.reason().is_some_and(Reason::closes)
    }

    /// The head and the body to send to the client that sent `request`.
    pub(crate) fn render(&self, request: &RequestHead, audience: Audience<'_>) -> (ResponseHead, Bytes) {
        match self {
            Self::Challenge { key_authorization } => challenge(key_authorization, request),
            Self::Redirect { status, location } => redirection(*status, location, audience),
            Self::OfAuthService(reply) => reply.render(request, audience.request_id),
            Self::Preflight(fields) => preflight(fields, audience),
            // Who knows the services answers before this.
            Self::OfInternalService(_) => FailureReply::new(Reason::Internal).page(request, audience),
            Self::Failure(failure) if is_grpc(request) => grpc_failure(failure.reason, audience),
            Self::Failure(failure) => failure.page(request, audience),
        }
    }
}

fn challenge(key_authorization: &str, request: &RequestHead) -> (ResponseHead, Bytes) {
    let mut head = head(StatusCode::OK);
    let fields = &mut head.fields;
    fields.push(b"content-type", b"application/octet-stream");
    fields.push(b"cache-control", b"no-store");
    with_body(head, key_authorization.to_owned(), request)
}

fn redirection(status: StatusCode, location: &str, audience: Audience<'_>) -> (ResponseHead, Bytes) {
    let mut head = head(status);
    let fields = &mut head.fields;
    fields.push(b"location", if is_value(location.as_bytes()) { location.as_bytes() } else { b"/" });
    fields.push(b"content-length", b"0");
    fields.push(b"x-request-id", audience.request_id.as_bytes());
    (head, Bytes::new())
}

fn preflight(told: &Fields, audience: Audience<'_>) -> (ResponseHead, Bytes) {
    let mut head = head(StatusCode::OK);
    let fields = &mut head.fields;
    fields.extend_from(told, |_| true);
    fields.push(b"content-length", b"0");
    fields.push(b"x-request-id", audience.request_id.as_bytes());
    (head, Bytes::new())
}

fn grpc_failure(reason: Reason, audience: Audience<'_>) -> (ResponseHead, Bytes) {
    let mut head = head(StatusCode::OK);
    let fields = &mut head.fields;
    fields.push(b"content-type", b"application/grpc");
    fields.push(b"grpc-status", reason.grpc_status().as_bytes());
    fields.push(b"grpc-message", reason.token().as_bytes());
    fields.push(b"x-request-id", audience.request_id.as_bytes());
    (head, Bytes::new())
}

fn head(status: StatusCode) -> ResponseHead {
    ResponseHead { status, ..ResponseHead::default() }
}

/// Adds a body, or only its length for a request by HEAD.
fn with_body(mut head: ResponseHead, body: String, request: &RequestHead) -> (ResponseHead, Bytes) {
    let len = body.len() as u64;
    head.fields.push_parts(b"content-length", &[Decimal::of(len).bytes()]);
    if request.method == Method::HEAD || len == 0 {
        return (head, Bytes::new());
    }
    head.body = BodyLength::Sized(len);
    (head, body.into())
}

impl FailureReply {
    fn page(&self, request: &RequestHead, audience: Audience<'_>) -> (ResponseHead, Bytes) {
        let Self { reason, status, retry_after, detail, fields: own, has_body } = self;
        let detail = detail.as_deref().filter(|_| audience.local);
        let json = wants_json(request);
        let usual = || StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let status = status.unwrap_or_else(usual);
        let body = match (has_body, json) {
            (false, _) => String::new(),
            (true, true) => json_body(*reason, status.as_u16(), detail, audience),
            (true, false) => html_body(*reason, status.as_u16(), *retry_after, detail, audience),
        };
        let mut head = head(status);
        let fields = &mut head.fields;
        if *has_body {
            fields.push(b"content-type", if json { b"application/json" } else { b"text/html; charset=utf-8" });
        }
        fields.push(b"cache-control", b"no-store");
        fields.push(b"x-request-id", audience.request_id.as_bytes());
        if let Some(pause) = retry_after {
            fields.push_parts(b"retry-after", &[Decimal::of(pause.as_secs().max(1)).bytes()]);
        }
        own.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        if *reason == Reason::MethodNotAllowed {
            fields.push(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        with_body(head, body, request)
    }
}

fn is_grpc(request: &RequestHead) -> bool {
    request.fields.get(FieldKind::ContentType).is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Whether the client gets JSON. A client that accepts HTML gets HTML, also if it accepts JSON.
fn wants_json(request: &RequestHead) -> bool {
    let accept = request.fields.get(FieldKind::Accept).unwrap_or_default();
    let names = |kind: &str| memchr::memmem::find(accept, kind.as_bytes()).is_some();
    !names("text/html") && names("json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::page::escape;

    fn render(answer: FailureReply, accept: &str, local: bool) -> (ResponseHead, String) {
        let request = RequestHead::of_test("GET", "/", &[("Accept", accept)]);
        let audience = Audience { request_id: "id-1", local, url: "http://a/<x>'", own: None };
        let (head, body) = LocalReply::from(answer).render(&request, audience);
        (head, String::from_utf8(body.to_vec()).expect("text"))
    }

    fn field<'h>(head: &'h ResponseHead, name: &'h str) -> &'h str {
        std::str::from_utf8(head.fields.get_named(name.as_bytes()).expect("there")).expect("text")
    }

    #[test]
    fn a_reply_without_a_body_has_its_status_and_fields_and_ends_with_its_head() {
        let answer = FailureReply::new(Reason::Overloaded).with_retry_after(RETRY_AFTER).with_detail("why");
        for accept in ["text/html", "application/json"] {
            let (head, body) = render(answer.clone().without_body(), accept, true);
            assert_eq!((head.status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
            assert_eq!((field(&head, "retry-after"), field(&head, "content-length")), ("2", "0"));
            assert!(head.fields.get_named(b"content-type").is_none());
        }
    }

    #[test]
    fn only_the_local_network_sees_what_is_wrong() {
        let answer = FailureReply::new(Reason::UpstreamRefused).with_detail("172.20.0.3:80 refused <it>");
        let (_, outside) = render(answer.clone(), "*/*", false);
        assert!(!outside.contains("172.20") && !outside.contains("explain"), "{outside}");
        let (_, inside) = render(answer.clone(), "text/html", true);
        assert!(inside.contains("172.20.0.3:80 refused &lt;it&gt;") && inside.contains("gangway explain"), "{inside}");
        assert!(!inside.contains("<x>"), "{inside}");
    }

    #[test]
    fn a_page_says_what_is_wrong_in_words_and_a_command_that_can_be_pasted() {
        let request = RequestHead::of_test("GET", "/", &[]);
        let page = |own| {
            let audience = Audience { request_id: "id", local: true, url: "https://a.test/?x='", own };
            let answer = FailureReply::new(Reason::NoRoute).with_detail("container `a-1` <is> `stopped`, or `not");
            let (_, body) = LocalReply::from(answer).render(&request, audience);
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
        let request = RequestHead::of_test("HEAD", "/", &[]);
        let audience = Audience { request_id: "id", local: false, url: "", own: None };
        let (head, body) = LocalReply::from(FailureReply::new(Reason::NoRoute)).render(&request, audience);
        assert!(body.is_empty() && head.body == BodyLength::Empty && field(&head, "content-length") != "0");
        assert_eq!((field(&head, "cache-control"), field(&head, "x-request-id")), ("no-store", "id"));
    }

    #[test]
    fn an_answer_of_our_own_to_a_log_in_has_the_id_of_the_request_and_one_of_a_service_stays_as_it_is() {
        let request = RequestHead::of_test("GET", "/", &[]);
        let audience = Audience { request_id: "id-1", local: false, url: "", own: None };
        let ids = |reply: AuthReply| {
            let (head, _) = LocalReply::from(reply).render(&request, audience);
            let ids = head.fields.all_named(b"x-request-id");
            ids.map(|id| String::from_utf8(id.to_vec()).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(ids(AuthReply::redirect("/sign-in")), ["id-1"]);
        assert_eq!(ids(AuthReply::own(StatusCode::OK, Fields::default(), Bytes::new())), ["id-1"]);
        let of_service = |fields| AuthReply::of_service(StatusCode::FORBIDDEN, fields, Bytes::new());
        let mut fields = Fields::default();
        assert!(ids(of_service(fields.clone())).is_empty());
        fields.push(b"X-Request-ID", b"theirs");
        assert_eq!(ids(of_service(fields)), ["theirs"]);
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
                let (head, body) = render(FailureReply::new(Reason::UpstreamTimeout), accept, local);
                assert_eq!(head.status, 504);
                assert!(body.contains("upstream-timeout") && body.contains("id-1"), "{body}");
                assert_eq!(head.body, BodyLength::Sized(body.len() as u64));
                assert_eq!(field(&head, "content-length"), body.len().to_string());
            }
        }
        let (head, _) = render(FailureReply::new(Reason::MethodNotAllowed), "*/*", false);
        assert!(head.fields.get_named(b"allow").is_some());
        let (head, _) =
            render(FailureReply::new(Reason::NotReady).with_retry_after(Duration::from_millis(10)), "*/*", false);
        assert_eq!(field(&head, "retry-after"), "1");
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_a_url_or_a_detail_breaks_out(url in "[ -~\u{e4}]{1,40}", detail in "\\PC{0,40}") {
            let request = RequestHead::of_test("GET", "/", &[]);
            let answer = LocalReply::from(FailureReply::new(Reason::NoRoute).with_detail(detail.clone()));
            let audience = Audience { request_id: "id", local: true, url: &url, own: None };
            let (_, html) = answer.render(&request, audience);
            let html = String::from_utf8(html.to_vec()).expect("text");
            let (_, plain) = answer.render(&request, Audience { url: "u", ..audience });
            let tags = |html: &str| html.matches('<').count();
            proptest::prop_assert_eq!(tags(&html), tags(&String::from_utf8_lossy(&plain)));
            let said = html.replace("<code>", "`").replace("</code>", "`");
            proptest::prop_assert!(said.contains(&escape(&detail)));
            let request = RequestHead::of_test("GET", "/", &[("accept", "application/json")]);
            let (_, json) = answer.render(&request, audience);
            let object: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
            proptest::prop_assert_eq!(object["detail"].as_str(), Some(&*detail));
            // One word for a shell: quoted, and no quote within.
            let line = object["explain"].as_str().expect("a line").strip_prefix("gangway explain '").expect("quoted");
            proptest::prop_assert_eq!(line.find('\''), Some(line.len() - 1));
        }
    }

    #[test]
    fn programs_get_json_and_the_token() {
        let (head, body) = render(FailureReply::new(Reason::NoRoute), "application/json", false);
        assert_eq!(head.status, 404);
        let parsed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&parsed["reason"], &parsed["request_id"]), (&"no-route".into(), &"id-1".into()));
        assert!(parsed.get("detail").is_none());
    }

    #[test]
    fn grpc_is_told_in_its_own_terms() {
        let request = RequestHead::of_test("POST", "/", &[("content-type", "application/grpc+proto")]);
        let audience = Audience { request_id: "id", local: false, url: "", own: None };
        let (head, body) = LocalReply::from(FailureReply::new(Reason::NoEndpoint)).render(&request, audience);
        assert_eq!((head.status.as_u16(), field(&head, "grpc-status"), body.len()), (200, "14", 0));
    }
}
