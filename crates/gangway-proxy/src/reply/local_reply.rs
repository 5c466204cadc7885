//! Local replies: short, neutral, and in the form that the client reads.
//!
//! Every client sees a status, one sentence, the reason token and the request's id. Only a client on the local
//! network sees what is wrong inside and what to do about it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, header};
use pingora::http::{RequestHeader, ResponseHeader};

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
    Redirect { status: u16, location: Vec<u8> },
}

/// Why a request cannot be served.
#[derive(Clone, Debug)]
pub(crate) struct FailureReply {
    reason: Reason,
    retry_after: Option<Duration>,
    /// For clients on the local network only.
    detail: Option<String>,
}

impl FailureReply {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, retry_after: None, detail: None }
    }

    pub(crate) fn with_retry_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

impl From<FailureReply> for LocalReply {
    fn from(failure: FailureReply) -> Self {
        Self::Failure(failure)
    }
}

impl From<Rejection> for LocalReply {
    fn from(rejection: Rejection) -> Self {
        FailureReply::new(rejection.reason).with_detail(rejection.to_string()).into()
    }
}

impl LocalReply {
    pub(crate) fn redirect(status: u16, location: Vec<u8>) -> Self {
        Self::Redirect { status, location }
    }

    fn as_failure(&self) -> Option<&FailureReply> {
        match self {
            Self::Failure(failure) => Some(failure),
            Self::Redirect { .. } | Self::Challenge { .. } => None,
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
    pub(crate) fn render(
        &self,
        request: &RequestHeader,
        audience: Audience<'_>,
    ) -> pingora::Result<(ResponseHeader, Bytes)> {
        match self {
            Self::Challenge { key_authorization } => challenge(key_authorization, request),
            Self::Redirect { status, location } => redirection(*status, location, audience),
            Self::Failure(failure) if is_grpc(request) => grpc_failure(failure.reason, audience),
            Self::Failure(failure) => failure.page(request, audience),
        }
    }
}

fn challenge(key_authorization: &str, request: &RequestHeader) -> pingora::Result<(ResponseHeader, Bytes)> {
    let mut head = ResponseHeader::build(200, Some(3))?;
    head.insert_header(CONTENT_TYPE, "application/octet-stream")?;
    head.insert_header(CONTENT_LENGTH, key_authorization.len())?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    let body = if request.method == Method::HEAD { "" } else { key_authorization };
    Ok((head, Bytes::copy_from_slice(body.as_bytes())))
}

fn redirection(status: u16, location: &[u8], audience: Audience<'_>) -> pingora::Result<(ResponseHeader, Bytes)> {
    let mut head = ResponseHeader::build(status, Some(4))?;
    let location = HeaderValue::from_bytes(location).unwrap_or(HeaderValue::from_static("/"));
    head.insert_header(LOCATION, location)?;
    head.insert_header(CONTENT_LENGTH, 0)?;
    head.insert_header("x-request-id", audience.request_id)?;
    Ok((head, Bytes::new()))
}

fn grpc_failure(reason: Reason, audience: Audience<'_>) -> pingora::Result<(ResponseHeader, Bytes)> {
    let mut head = ResponseHeader::build(200, Some(5))?;
    head.insert_header(CONTENT_TYPE, "application/grpc")?;
    head.insert_header("grpc-status", reason.grpc_status())?;
    head.insert_header("grpc-message", reason.token())?;
    head.insert_header("x-request-id", audience.request_id)?;
    Ok((head, Bytes::new()))
}

impl FailureReply {
    fn page(&self, request: &RequestHeader, audience: Audience<'_>) -> pingora::Result<(ResponseHeader, Bytes)> {
        let Self { reason, retry_after, detail } = self;
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
            head.insert_header(header::RETRY_AFTER, pause.as_secs().max(1))?;
        }
        if *reason == Reason::MethodNotAllowed {
            head.insert_header(ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
        }
        let body = if request.method == Method::HEAD { Bytes::new() } else { Bytes::from(body) };
        Ok((head, body))
    }
}

fn is_grpc(request: &RequestHeader) -> bool {
    request.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Whether the client gets JSON. A client that accepts HTML gets HTML, also if it accepts JSON.
fn wants_json(request: &RequestHeader) -> bool {
    let Some(accept) = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()) else { return false };
    !accept.contains("text/html") && accept.contains("json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::page::escape;

    fn render(answer: FailureReply, accept: &str, local: bool) -> (ResponseHeader, String) {
        let mut request = RequestHeader::build("GET", b"/", None).expect("valid");
        request.insert_header("accept", accept).expect("valid");
        let audience = Audience { request_id: "id-1", local, url: "http://a/<x>'", own: None };
        let (head, body) = LocalReply::from(answer).render(&request, audience).expect("valid");
        (head, String::from_utf8(body.to_vec()).expect("text"))
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
        let request = RequestHeader::build("GET", b"/", None).expect("valid");
        let page = |own| {
            let audience = Audience { request_id: "id", local: true, url: "https://a.test/?x='", own };
            let answer = FailureReply::new(Reason::NoRoute).with_detail("container `a-1` <is> `stopped`, or `not");
            let (_, body) = LocalReply::from(answer).render(&request, audience).expect("valid");
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
        let (head, body) =
            LocalReply::from(FailureReply::new(Reason::NoRoute)).render(&request, audience).expect("valid");
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
                let (head, body) = render(FailureReply::new(Reason::UpstreamTimeout), accept, local);
                assert_eq!(head.status, 504);
                assert!(body.contains("upstream-timeout") && body.contains("id-1"), "{body}");
                assert_eq!(head.headers[CONTENT_LENGTH].to_str().ok(), Some(&*body.len().to_string()));
            }
        }
        let (head, _) = render(FailureReply::new(Reason::MethodNotAllowed), "*/*", false);
        assert!(head.headers.contains_key(ALLOW));
        let (head, _) =
            render(FailureReply::new(Reason::NotReady).with_retry_after(Duration::from_millis(10)), "*/*", false);
        assert_eq!(head.headers[header::RETRY_AFTER], "1");
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_a_url_or_a_detail_breaks_out(url in "[ -~\u{e4}]{1,40}", detail in "\\PC{0,40}") {
            let mut request = RequestHeader::build("GET", b"/", None).expect("valid");
            let answer = LocalReply::from(FailureReply::new(Reason::NoRoute).with_detail(detail.clone()));
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
        let (head, body) = render(FailureReply::new(Reason::NoRoute), "application/json", false);
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
        let (head, body) =
            LocalReply::from(FailureReply::new(Reason::NoEndpoint)).render(&request, audience).expect("valid");
        assert_eq!(
            (head.status.as_u16(), &head.headers["grpc-status"], body.len()),
            (200, &HeaderValue::from_static("14"), 0)
        );
    }
}
