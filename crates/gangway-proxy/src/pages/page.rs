//! A page, and what it replaces of an answer.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::{Field, Fields};
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::overload::memory_budget::MemoryLease;

/// Bytes of a page: a page, and not a download.
pub(crate) const PAGE_BYTES_MAX: usize = 256 * 1024;

/// A page in place of an error.
#[derive(Debug)]
pub(crate) struct Page {
    /// The fields that describe it.
    pub(crate) fields: Fields,
    pub(crate) body: Bytes,
    /// The status in place of the error's.
    pub(crate) status: Option<StatusCode>,
    /// Whether its fields are those of the whole answer, and not only of its content.
    pub(crate) is_whole: bool,
    /// The memory that the body takes, if nobody else has it.
    pub(crate) _memory: Option<MemoryLease>,
}

/// Fields, besides those that begin with `content-`, that describe the content of an answer, or its bytes.
const DESCRIBES_CONTENT: [&[u8]; 12] = [
    b"accept-ranges",
    b"digest",
    b"etag",
    b"last-modified",
    b"link",
    b"refresh",
    b"repr-digest",
    b"signature",
    b"signature-input",
    b"sourcemap",
    b"trailer",
    b"x-content-encoded-by",
];

/// Fields of an error that tell a client what to do. No answer of a page service says them for it.
const SAYS_WHAT_TO_DO: [&[u8]; 6] =
    [b"allow", b"location", b"retry-after", b"set-cookie", b"www-authenticate", b"x-request-id"];

/// Puts the page into the head of an answer. The status stays unless the page has one of its own, and so do fields that say something else than what the
/// content is: cookies, challenges, `Retry-After`, `Location`, whether it may be kept. Returns the body to send.
pub(crate) fn replace(page: &Page, request: &RequestHead, response: &mut ResponseHead) -> Bytes {
    response.status = page.status.unwrap_or(response.status);
    response.fields.retain(|field| match page.is_whole {
        true => SAYS_WHAT_TO_DO.iter().any(|name| field.name.eq_ignore_ascii_case(name)),
        false => !describes_content(&field),
    });
    response.fields.extend_from(&page.fields, |_| true);
    let len = page.body.len() as u64;
    response.fields.push_known(FieldKind::ContentLength, b"Content-Length", &[Decimal::of(len).bytes()]);
    if request.method == Method::HEAD {
        response.body = BodyLength::Empty;
        return Bytes::new();
    }
    response.body = BodyLength::Sized(len);
    page.body.clone()
}

fn describes_content(field: &Field<'_>) -> bool {
    const BEGIN: &[u8] = b"content-";
    let begins = field.name.get(..BEGIN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(BEGIN));
    begins || DESCRIBES_CONTENT.iter().any(|name| field.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_whole_answer_leaves_what_a_client_has_to_do() {
        let mut response = ResponseHead { status: StatusCode::UNAUTHORIZED, ..ResponseHead::default() };
        [("WWW-Authenticate", "Basic"), ("X-App", "app"), ("Cache-Control", "public"), ("Content-Length", "7")]
            .iter()
            .for_each(|(name, value)| response.fields.push(name.as_bytes(), value.as_bytes()));
        let (status, body) = (Some(StatusCode::OK), Bytes::from_static(b"{}"));
        let mut page = Page { fields: Fields::default(), body, status, is_whole: true, _memory: None };
        page.fields.push(b"X-App", b"page");
        replace(&page, &RequestHead::of_test("GET", "/", &[]), &mut response);
        let text = |bytes| std::str::from_utf8(bytes).expect("text");
        let fields: Vec<_> = response.fields.iter().map(|field| (text(field.name), text(field.value))).collect();
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(fields, [("WWW-Authenticate", "Basic"), ("X-App", "page"), ("Content-Length", "2")]);
    }

    #[test]
    fn what_describes_the_content_goes_and_what_says_something_else_stays() {
        let mut response = ResponseHead { status: StatusCode::UNAUTHORIZED, ..ResponseHead::default() };
        let stays = [
            ("Set-Cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("WWW-Authenticate", "Bearer"),
            ("Retry-After", "5"),
            ("Location", "/x"),
            ("Allow", "GET"),
            ("Cache-Control", "max-age=60"),
            ("Expires", "0"),
            ("Vary", "Cookie"),
            ("Access-Control-Allow-Origin", "*"),
            ("X-Frame-Options", "DENY"),
            ("X-Request-Id", "1"),
            ("Contentious", "1"),
        ];
        let goes = [
            "Content-Length",
            "content-type",
            "Content-Encoding",
            "Content-Range",
            "Content-Language",
            "Content-Security-Policy",
            "Content-Disposition",
            "ETag",
            "Last-Modified",
            "Accept-Ranges",
            "Digest",
            "Repr-Digest",
            "Link",
        ];
        goes.iter().for_each(|name| response.fields.push(name.as_bytes(), b"7"));
        stays.iter().for_each(|(name, value)| response.fields.push(name.as_bytes(), value.as_bytes()));
        let mut page = Page {
            fields: Fields::default(),
            body: Bytes::from_static(b"<h1>"),
            status: None,
            is_whole: false,
            _memory: None,
        };
        page.fields.push(b"Content-Type", b"text/html");
        for (method, sent, body) in [("GET", "<h1>", BodyLength::Sized(4)), ("HEAD", "", BodyLength::Empty)] {
            let mut response = response.clone();
            let bytes = replace(&page, &RequestHead::of_test(method, "/", &[]), &mut response);
            assert_eq!((response.status.as_u16(), response.body, &*bytes), (401, body, sent.as_bytes()));
            let text = |bytes| std::str::from_utf8(bytes).expect("text");
            let fields: Vec<_> = response.fields.iter().map(|field| (text(field.name), text(field.value))).collect();
            let all: Vec<_> =
                stays.into_iter().chain([("Content-Type", "text/html"), ("Content-Length", "4")]).collect();
            assert_eq!(fields, all);
        }
    }
}
