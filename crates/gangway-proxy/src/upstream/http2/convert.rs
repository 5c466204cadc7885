//! Heads as the HTTP/2 library has them.

use http::header::{HeaderName, HeaderValue, TE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::stream::upstream_request::UpstreamRequest;

/// The head of a request. Fails if it cannot be said in HTTP/2.
pub(super) fn request(request: &UpstreamRequest<'_>, scheme: Scheme) -> Result<Request<()>, &'static str> {
    let mut hosts = request.fields.all(FieldKind::Host);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err("the request has no host") };
    let path = path_and_query(request.target).ok_or("the target cannot be sent over HTTP/2")?;
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let mut converted = Request::new(());
    *converted.method_mut() = request.method.clone();
    *converted.uri_mut() = uri.map_err(|_| "the host cannot be sent over HTTP/2")?;
    *converted.version_mut() = Version::HTTP_2;
    let fields = converted.headers_mut();
    fields.reserve(request.fields.len());
    append(request.fields, fields)?;
    // Servers of gRPC insist on it, and it concerns only this connection, on which trailers are read.
    let content_type = request.fields.get(FieldKind::ContentType);
    if content_type.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(converted)
}

/// Trailers of a request.
pub(super) fn trailers(trailers: &Fields) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(trailers.len());
    // What HTTP/2 has no words for is left out: the request itself is whole.
    for field in trailers.iter().filter(|field| is_sent(field.kind)) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value)) {
            fields.append(name, value);
        }
    }
    fields
}

/// Fills `head` from a response. `has_ended`: no body follows.
pub(super) fn response<B>(
    response: &Response<B>,
    has_ended: bool,
    head: &mut ResponseHead,
) -> Result<(), &'static str> {
    head.clear();
    head.status = response.status();
    head.version = Version::HTTP_2;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err("HTTP/2 has no 101");
    }
    fields(response.headers(), &mut head.fields);
    head.body = match content_length(&head.fields)? {
        _ if has_ended => BodyLength::Empty,
        Some(0) => BodyLength::Empty,
        Some(len) => BodyLength::Sized(len),
        None => BodyLength::Framed,
    };
    Ok(())
}

/// Appends the fields that may be passed on.
pub(super) fn fields(from: &HeaderMap, to: &mut Fields) {
    for (name, value) in from {
        let kind = FieldKind::of(name.as_str().as_bytes());
        if !kind.is_for_one_hop() {
            to.push_known(kind, name.as_str().as_bytes(), &[value.as_bytes()]);
        }
    }
}

fn content_length(fields: &Fields) -> Result<Option<u64>, &'static str> {
    let mut length = None;
    for value in fields.all(FieldKind::ContentLength) {
        let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let this = text.and_then(|text| text.parse().ok()).ok_or("Content-Length is no number")?;
        if length.is_some_and(|known| known != this) {
            return Err("two lengths");
        }
        length = Some(this);
    }
    Ok(length)
}

fn append(from: &Fields, to: &mut HeaderMap) -> Result<(), &'static str> {
    for field in from.iter().filter(|field| is_sent(field.kind)) {
        let name = HeaderName::from_bytes(field.name).map_err(|_| "a field cannot be sent over HTTP/2")?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| "a field cannot be sent over HTTP/2")?;
        to.append(name, value);
    }
    Ok(())
}

/// HTTP/2 has its own words for the host, and no fields for a single connection.
fn is_sent(kind: FieldKind) -> bool {
    kind != FieldKind::Host && !kind.is_for_one_hop()
}

/// The target, with those bytes percent-encoded that the library does not take.
fn path_and_query(target: &str) -> Option<PathAndQuery> {
    if let Ok(path) = PathAndQuery::try_from(target) {
        return Some(path);
    }
    /// Bytes that some reader of a path or a query does not take.
    const ENCODED: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`');
    let encoded = utf8_percent_encode(target, ENCODED).to_string();
    PathAndQuery::try_from(encoded).ok()
}
