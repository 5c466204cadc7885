//! Fields that no label sets, in whatever dialect.

/// Fields that frame a message or belong to one connection. A label that could set them would break the connection or
/// smuggle requests past other routes' protection.
const OF_CONNECTION: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// By this our admin listener knows that a request was brought to it, and for which host.
const FORWARDED_HOST: &str = "x-forwarded-host";

/// All of them, in lower case.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OF_CONNECTION.into_iter().chain([FORWARDED_HOST])
}

/// Why no label sets the field with this name, which is in lower case; none where labels may.
pub(crate) fn why(name: &str) -> Option<&'static str> {
    match name {
        FORWARDED_HOST => Some("says which host was asked for"),
        name => OF_CONNECTION.contains(&name).then_some("belongs to the connection, not to the route"),
    }
}
