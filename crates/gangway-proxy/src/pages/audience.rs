//! Whether an answer is for people, who get a page, or for programs, which read what the application says.

use http::Method;

use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;

/// Who reads an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PageAudience {
    People,
    Programs,
}

/// The destinations of requests (Fetch standard) whose answers a browser shows as pages.
const SHOWN: [&[u8]; 6] = [b"document", b"embed", b"fencedframe", b"frame", b"iframe", b"object"];

impl PageAudience {
    /// The audience of an answer; none if it gets no page at all.
    pub(super) fn of(request: &RequestHead, response: &ResponseHead) -> Option<Self> {
        let fields = &request.fields;
        let is_grpc = fields.get(FieldKind::ContentType).is_some_and(|kind| kind.starts_with(b"application/grpc"));
        if is_grpc || fields.has(FieldKind::Upgrade) {
            return None;
        }
        // Browsers send no other method but by a script.
        if ![Method::GET, Method::HEAD, Method::POST].contains(&request.method) {
            return Some(Self::Programs);
        }
        if fields.all_named(b"sec-fetch-dest").any(|dest| !SHOWN.contains(&dest)) {
            return Some(Self::Programs);
        }
        let accepts = |kind: &str| fields.all(FieldKind::Accept).any(|accept| contains(accept, kind));
        if accepts("text/html") || accepts("application/xhtml") {
            return Some(Self::People);
        }
        let is_for_programs = |value: &[u8]| contains(value, "json") || contains(value, "xml");
        let is_read_by_program = fields.all(FieldKind::Accept).any(is_for_programs);
        // A client that takes anything reads what the application has chosen for it.
        let kind = response.fields.get(FieldKind::ContentType);
        let is_written_for_program = kind.is_some_and(|kind| is_for_programs(kind) && !contains(kind, "xhtml"));
        Some(if is_read_by_program || is_written_for_program { Self::Programs } else { Self::People })
    }
}

fn contains(value: &[u8], part: &str) -> bool {
    memchr::memmem::find(value, part.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_for_people_and_programs_read_what_the_application_says() {
        const PEOPLE: Option<PageAudience> = Some(PageAudience::People);
        const PROGRAMS: Option<PageAudience> = Some(PageAudience::Programs);
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (method, fields, kind, audience) in [
            ("GET", &[][..], "text/html", PEOPLE),
            ("GET", &[("accept", "*/*")], "text/html", PEOPLE),
            ("GET", &[("accept", "*/*")], "", PEOPLE),
            ("HEAD", &[("accept", browser)], "application/json", PEOPLE),
            ("POST", &[("accept", browser), ("sec-fetch-dest", "document")], "text/html", PEOPLE),
            ("GET", &[("accept", browser), ("sec-fetch-dest", "iframe")], "text/html", PEOPLE),
            ("GET", &[("accept", "application/xhtml+xml")], "text/html", PEOPLE),
            ("GET", &[], "application/xhtml+xml", PEOPLE),
            ("GET", &[("accept", "*/*")], "application/problem+json", PROGRAMS),
            ("GET", &[("accept", "application/json, text/plain, */*")], "text/html", PROGRAMS),
            ("GET", &[("accept", "text/xml")], "text/html", PROGRAMS),
            ("GET", &[("accept", "*/*"), ("sec-fetch-dest", "empty")], "text/html", PROGRAMS),
            ("GET", &[("accept", "image/avif,*/*"), ("sec-fetch-dest", "image")], "text/html", PROGRAMS),
            ("DELETE", &[("accept", browser)], "text/html", PROGRAMS),
            ("PROPFIND", &[], "text/html", PROGRAMS),
            ("GET", &[("upgrade", "websocket")], "text/html", None),
            ("POST", &[("content-type", "application/grpc+proto")], "text/html", None),
        ] {
            let request = RequestHead::of_test(method, "/", fields);
            let mut response = ResponseHead::default();
            if !kind.is_empty() {
                response.fields.push(b"Content-Type", kind.as_bytes());
            }
            assert_eq!(PageAudience::of(&request, &response), audience, "{method} {fields:?} {kind}");
        }
    }
}
