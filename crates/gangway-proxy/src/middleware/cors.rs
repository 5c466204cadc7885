//! Tells browsers what pages of other origins may do (CORS, Fetch standard).

use gangway_model::Cors;
use http::Method;

use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::vary;
use crate::reply::local_reply::LocalReply;

const ORIGIN: &[u8] = b"origin";
const ALLOW_ORIGIN: &[u8] = b"Access-Control-Allow-Origin";

/// Answers a preflight. Whether the origin is allowed is said as in every response.
pub(crate) fn on_request(cors: &Cors, request: &RequestHead) -> Option<LocalReply> {
    if !is_preflight(request) {
        return None;
    }
    let mut fields = Fields::default();
    let lists =
        [(&b"Access-Control-Allow-Methods"[..], &cors.methods), (b"Access-Control-Allow-Headers", &cors.headers)];
    for (name, value) in lists {
        if let Some(value) = value {
            fields.push(name, value.as_bytes());
        }
    }
    if let Some(seconds) = cors.max_age {
        fields.push(b"Access-Control-Max-Age", seconds.to_string().as_bytes());
    }
    Some(LocalReply::Preflight(Box::new(fields)))
}

/// Says who may read a response. What the application says stays where nothing else is said.
pub(crate) fn on_response(cors: &Cors, request: &RequestHead, fields: &mut Fields) {
    let origin = request.fields.all_named(ORIGIN).next().and_then(|origin| std::str::from_utf8(origin).ok());
    if let Some(allowed) = cors.allowed(origin.unwrap_or_default()) {
        fields.set(ALLOW_ORIGIN, allowed.as_bytes());
    }
    if cors.credentials {
        fields.set(b"Access-Control-Allow-Credentials", b"true");
    }
    if let Some(exposed) = &cors.exposed {
        fields.set(b"Access-Control-Expose-Headers", exposed.as_bytes());
    }
    // No cache keeps the answer to a preflight.
    if cors.varies && !is_preflight(request) {
        vary::add("Origin", fields);
    }
}

/// Whether a browser asks what it may do.
fn is_preflight(request: &RequestHead) -> bool {
    let has = |name: &[u8]| request.fields.all_named(name).next().is_some_and(|value| !value.is_empty());
    request.method == Method::OPTIONS && has(ORIGIN) && has(b"access-control-request-method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_asks_before_a_request_is_answered() {
        let cors = Cors { origins: ["https://a.test".into()].into(), max_age: Some(7), ..Cors::default() };
        let origin = ("Origin", "https://a.test");
        let asks = ("Access-Control-Request-Method", "PUT");
        for (method, fields, is_answered) in [
            ("OPTIONS", &[origin, asks][..], true),
            ("OPTIONS", &[origin], false),
            ("OPTIONS", &[asks], false),
            ("OPTIONS", &[("Origin", ""), asks], false),
            ("GET", &[origin, asks], false),
        ] {
            let request = RequestHead::of_test(method, "/", fields);
            assert_eq!(on_request(&cors, &request).is_some(), is_answered, "{method} {fields:?}");
        }
    }

    #[test]
    fn a_response_names_the_origin_and_keeps_what_the_application_says_to_others() {
        let cors = Cors {
            origins: ["https://a.test".into()].into(),
            credentials: true,
            exposed: Some(http::HeaderValue::from_static("X-E")),
            varies: true,
            ..Cors::default()
        };
        for (origin, allowed) in
            [(Some("https://a.test"), "https://a.test"), (Some("https://b.test"), "app"), (None, "app")]
        {
            let sent: Vec<(&str, &str)> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
            let request = RequestHead::of_test("GET", "/", &sent);
            let mut fields = Fields::default();
            fields.push(ALLOW_ORIGIN, b"app");
            fields.push(b"Vary", b"Accept");
            on_response(&cors, &request, &mut fields);
            let value = |name: &str| {
                let value = fields.get_named(name.as_bytes()).unwrap_or_default();
                String::from_utf8_lossy(value).into_owned()
            };
            assert_eq!(fields.all_named(ALLOW_ORIGIN).count(), 1);
            assert_eq!(value("access-control-allow-origin"), allowed, "{origin:?}");
            assert_eq!(value("access-control-allow-credentials"), "true");
            assert_eq!(
                (value("access-control-expose-headers"), value("vary")),
                ("X-E".to_owned(), "Accept, Origin".to_owned())
            );
        }
    }
}
