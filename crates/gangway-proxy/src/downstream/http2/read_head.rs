//! Reads the head of a request as the h2 library gives it, and rejects what must not be served.
//!
//! The library has reset heads that are malformed by the rules of HTTP/2 alone: wrong pseudo-fields, fields of HTTP/1,
//! bytes that may not stand in a name or a value, a Content-Length that the body contradicts.

use http::header::COOKIE;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Version};

use crate::grammar::{FIELD_OVERHEAD, content_length, push_target};
use crate::limits::Limits;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;

/// The pseudo-fields that every request has.
const PSEUDO_FIELDS: usize = 4;

/// Whether the request has ended with its head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestEnd {
    WithHead,
    Later,
}

/// Fills `head`. If the request is rejected, as much of it is filled as is needed to record the request.
pub(super) fn read_head(
    parts: &Parts,
    end: RequestEnd,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), Rejection> {
    head.clear();
    head.version = Version::HTTP_2;
    head.method.clone_from(&parts.method);
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > limits.target_bytes {
        return Err(Rejection::target_too_long(limits.target_bytes));
    }
    let is_target = push_target(target.as_bytes(), &mut head.target);
    let authority = parts.uri.authority().map(Authority::as_str);
    if let Some(authority) = authority {
        head.fields.push_known(FieldKind::Host, b"host", &[authority.as_bytes()]);
    }
    check_size(&parts.headers, target.len(), limits)?;
    let facts = copy_fields(&parts.headers, authority, &mut head.fields)?;
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Rejection::new(Reason::MethodNotAllowed, "CONNECT and TRACE are not served"));
    }
    // Nothing is derived from the scheme: a client behind a proxy without TLS of its own, or with it, may name either.
    if parts.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(Rejection::bad("the scheme is neither http nor https"));
    }
    let is_path = target.starts_with('/') || target == "*" && parts.method == Method::OPTIONS;
    if !is_path || !is_target {
        return Err(Rejection::bad("the path is not in the form it must have"));
    }
    if !facts.has_host {
        return Err(Rejection::bad("no Host"));
    }
    head.body = match (end, facts.content_length) {
        (RequestEnd::WithHead, _) | (RequestEnd::Later, Some(0)) => BodyLength::Empty,
        (RequestEnd::Later, Some(len)) => BodyLength::Sized(len),
        (RequestEnd::Later, None) => BodyLength::Framed,
    };
    head.expects_continue = facts.expects_continue && head.body != BodyLength::Empty;
    Ok(())
}

/// Checks the bounds before anything is copied.
fn check_size(headers: &HeaderMap, target_len: usize, limits: &Limits) -> Result<(), Rejection> {
    let size = headers.iter().fold(target_len + PSEUDO_FIELDS * FIELD_OVERHEAD, |size, (name, value)| {
        size + name.as_str().len() + value.len() + FIELD_OVERHEAD
    });
    if size > limits.head_bytes {
        return Err(Rejection::head_too_large(limits.head_bytes));
    }
    // Browsers send each cookie as a field of its own (RFC 9113, section 8.2.3).
    let further_cookies = headers.get_all(COOKIE).iter().count().saturating_sub(1);
    if headers.len() - further_cookies > limits.head_fields {
        return Err(Rejection::too_many_fields(limits.head_fields));
    }
    Ok(())
}

/// What the fields tell about the request.
#[derive(Debug, Default)]
struct FieldFacts {
    has_host: bool,
    content_length: Option<u64>,
    expects_continue: bool,
}

/// Copies the fields: one Host, which equals the authority if there is one, and one field for all cookies.
fn copy_fields(headers: &HeaderMap, authority: Option<&str>, fields: &mut Fields) -> Result<FieldFacts, Rejection> {
    let mut facts = FieldFacts { has_host: authority.is_some(), ..FieldFacts::default() };
    let mut has_host_field = false;
    let mut has_cookies = false;
    for (name, value) in headers {
        let value = value.as_bytes().trim_ascii();
        let kind = FieldKind::of(name.as_str().as_bytes());
        match kind {
            FieldKind::Host => {
                if std::mem::replace(&mut has_host_field, true) {
                    return Err(Rejection::bad("several Hosts"));
                }
                match authority {
                    Some(authority) if !authority.as_bytes().eq_ignore_ascii_case(value) => {
                        return Err(Rejection::bad(":authority and Host differ"));
                    }
                    Some(_) => continue,
                    None => facts.has_host = true,
                }
            }
            FieldKind::Cookie => {
                if !std::mem::replace(&mut has_cookies, true) {
                    push_cookies(headers, fields);
                }
                continue;
            }
            FieldKind::ContentLength => {
                let len = content_length(value).filter(|_| facts.content_length.is_none());
                facts.content_length = Some(len.ok_or(Rejection::bad("Content-Length is no single number"))?);
            }
            FieldKind::Expect => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Rejection::new(Reason::ExpectationFailed, "only 100-continue may be expected"));
                }
                facts.expects_continue = true;
            }
            FieldKind::Accept
            | FieldKind::Authorization
            | FieldKind::Connection
            | FieldKind::ContentType
            | FieldKind::Date
            | FieldKind::Http2Settings
            | FieldKind::KeepAlive
            | FieldKind::ProxyAuthenticate
            | FieldKind::ProxyAuthorization
            | FieldKind::ProxyConnection
            | FieldKind::Referer
            | FieldKind::SecWebSocketAccept
            | FieldKind::SecWebSocketKey
            | FieldKind::SetCookie
            | FieldKind::Te
            | FieldKind::Trailer
            | FieldKind::TransferEncoding
            | FieldKind::Upgrade
            | FieldKind::UserAgent
            | FieldKind::Via
            | FieldKind::WwwAuthenticate
            | FieldKind::XForwardedFor
            | FieldKind::XForwardedHost
            | FieldKind::XForwardedPort
            | FieldKind::XForwardedProto
            | FieldKind::Spoofable
            | FieldKind::Other => {}
        }
        fields.push_known(kind, name.as_str().as_bytes(), &[value]);
    }
    Ok(facts)
}

/// Joins the cookies to one field, since applications that speak HTTP/1 expect no more (RFC 9113, section 8.2.3).
fn push_cookies(headers: &HeaderMap, fields: &mut Fields) {
    let mut cookies = headers.get_all(COOKIE).iter().map(|cookie| cookie.as_bytes().trim_ascii());
    let Some(first) = cookies.next() else { return };
    let Some(second) = cookies.next() else { return fields.push_known(FieldKind::Cookie, b"cookie", &[first]) };
    let mut parts: Vec<&[u8]> = vec![first, b"; ", second];
    for cookie in cookies {
        parts.extend([&b"; "[..], cookie]);
    }
    fields.push_known(FieldKind::Cookie, b"cookie", &parts);
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::HOST;

    use super::*;

    fn read(request: &Request<()>, end: RequestEnd) -> (RequestHead, Result<(), Rejection>) {
        let mut head = RequestHead::default();
        let (parts, ()) = request.clone().into_parts();
        let outcome = read_head(&parts, end, &Limits::default(), &mut head);
        (head, outcome)
    }

    fn lines(head: &RequestHead) -> String {
        let mut out = Vec::new();
        head.fields.write_lines(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get("https://shop.example/a?b=c").body(()).expect("valid");
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        request
    }

    fn status(fields: &[(&str, &str)]) -> u16 {
        read(&request(fields), RequestEnd::Later).1.map_or_else(|rejection| rejection.reason.status(), |()| 200)
    }

    #[test]
    fn a_head_has_one_host_and_one_cookie() {
        let request =
            request(&[("cookie", "a=1"), ("x", " y "), ("cookie", "b=2"), ("host", "Shop.example"), ("cookie", "c=3")]);
        let (head, outcome) = read(&request, RequestEnd::WithHead);
        assert_eq!(outcome, Ok(()));
        assert_eq!(lines(&head), "host: shop.example\r\ncookie: a=1; b=2; c=3\r\nx: y\r\n");
        assert_eq!((&*head.target, head.version, head.body), ("/a?b=c", Version::HTTP_2, BodyLength::Empty));
    }

    #[test]
    fn the_length_of_a_body_is_known_where_it_is_said() {
        for (fields, end, expected) in [
            (&[][..], RequestEnd::Later, BodyLength::Framed),
            (&[("content-length", "5")], RequestEnd::Later, BodyLength::Sized(5)),
            (&[("content-length", "0")], RequestEnd::Later, BodyLength::Empty),
            (&[], RequestEnd::WithHead, BodyLength::Empty),
        ] {
            let (head, outcome) = read(&request(fields), end);
            assert_eq!((head.body, outcome), (expected, Ok(())), "{fields:?}");
        }
        let expecting = request(&[("expect", "100-Continue")]);
        assert!(read(&expecting, RequestEnd::Later).0.expects_continue);
        assert!(!read(&expecting, RequestEnd::WithHead).0.expects_continue);
    }

    #[test]
    fn http2_is_held_to_the_same_bounds() {
        assert_eq!(status(&[("te", "trailers")]), 200);
        assert_eq!(status(&[("host", "other.example")]), 400);
        assert_eq!(status(&[("host", "shop.example"), ("host", "shop.example")]), 400);
        assert_eq!(status(&[("content-length", "5, 5")]), 400);
        assert_eq!(status(&[("content-length", "5"), ("content-length", "5")]), 400);
        assert_eq!(status(&[("expect", "wonders")]), 417);
        assert_eq!(status(&[("x", &"y".repeat(33_000))]), 431);
        assert_eq!(status(&[("x", "y"); 101]), 431);
        assert_eq!(status(&[("cookie", "a=b"); 110]), 200);
        let of = |request: http::request::Builder| {
            let request = request.body(()).expect("valid");
            read(&request, RequestEnd::WithHead).1.map_or_else(|rejection| rejection.reason.status(), |()| 200)
        };
        assert_eq!(of(Request::builder().method("TRACE").uri("https://a/")), 405);
        assert_eq!(of(Request::builder().method("CONNECT").uri("a:1")), 405);
        assert_eq!(of(Request::get(format!("https://a/{}", "x".repeat(9000)))), 414);
        assert_eq!(of(Request::get("ftp://a/")), 400);
        assert_eq!(of(Request::get("/")), 400);
        assert_eq!(of(Request::get("/").header(HOST, "a")), 200);
        assert_eq!(of(Request::options("*").header(HOST, "a")), 200);
        assert_eq!(of(Request::get("*").header(HOST, "a")), 400);
    }
}
