//! The requests of HTTP/2 that are recorded: their fields, how their bodies are cut, and how they end.

use fastrand::Rng;

const SEED: u64 = 0x6832;

/// One stream of one connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamCase {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) fields: Vec<(String, String)>,
    /// Each is one DATA frame.
    pub(crate) data: Vec<String>,
    pub(crate) end: StreamEnd,
}

/// How a request ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum StreamEnd {
    /// With its head.
    Head,
    /// With its last DATA frame.
    Data,
    /// With an empty DATA frame.
    EmptyData,
    /// With these trailers.
    Trailers(Vec<(String, String)>),
    /// By a reset.
    Reset,
}

/// All cases, in the same order each time.
pub(crate) fn all() -> Vec<StreamCase> {
    let mut rng = Rng::with_seed(SEED);
    let mut cases = Vec::new();
    let mut add =
        |family: &str, method: &str, url: &str, fields: &[(&str, &str)], data: Vec<String>, end: StreamEnd| {
            let id = format!("{family}-h2-{}", cases.len() + 1);
            let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            cases.push(StreamCase { id, method: method.to_owned(), url: url.to_owned(), fields, data, end });
        };
    let root = "https://a.localhost";
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get", "TRACE", "M-SEARCH"] {
        add("method", method, &format!("{root}/m?a"), &[], vec![], StreamEnd::Head);
        add("method", method, &format!("{root}/m"), &[("content-length", "2")], vec!["ab".into()], StreamEnd::Data);
    }
    for path in [
        "",
        "/",
        "//",
        "/?",
        "/?a=b",
        "/a%2Fb",
        "/%",
        "/%zz",
        "/a//b/../c",
        "/?q=%zz",
        "/[a]|^",
        "/?a[]={}",
        "/strip",
        "/strip/x?y",
        "/add/x",
        "/re/x?y",
        "/both/x",
        "/fields",
        "/redirect/x",
        "/answer",
    ] {
        add("target", "GET", &format!("{root}{path}"), &[], vec![], StreamEnd::Head);
    }
    for url in [
        "https://a.localhost:8443/x",
        "https://A.localhost/x",
        "http://a.localhost/x",
        "https://named.localhost/x",
        "https://upstream.localhost/x",
        "https://nobody.localhost/x",
        "https://a.localhost./x",
    ] {
        add("host", "GET", url, &[], vec![], StreamEnd::Head);
        add("host", "GET", url, &[("host", "a.localhost")], vec![], StreamEnd::Head);
    }
    let fields: &[&[(&str, &str)]] = &[
        &[("x", "y")],
        &[("x", "a"), ("y", "b"), ("x", "c")],
        &[("x", "")],
        &[("accept", "a"), ("accept", "b")],
        &[("cookie", "a=b"), ("cookie", "c=d")],
        &[("cookie", "a=b; c=d"), ("cookie", "e=f"), ("cookie", "")],
        &[("cookie", "")],
        &[("te", "trailers")],
        &[("host", "b.localhost")],
        &[("host", "a.localhost")],
        &[("content-length", "0")],
        &[("expect", "100-continue")],
        &[("expect", "x")],
        &[("x-forwarded-for", "1.2.3.4")],
        &[("x-forwarded-proto", "http"), ("forwarded", "for=x")],
        &[("x-forwarded-host", "b"), ("x-forwarded-port", "1")],
        &[("remote-user", "admin")],
        &[("x_y", "z")],
        &[("x-original-url", "/admin"), ("true-client-ip", "1.2.3.4")],
        &[("x-ssl-client-cert", "x")],
        &[("authorization", "Negotiate YII")],
        &[("proxy-authorization", "x")],
        &[("trailer", "x-sum")],
        &[("x-real-ip", "1.2.3.4")],
        &[("content-type", "application/grpc"), ("te", "trailers")],
        &[("via", "2 x")],
        &[("http2-settings", "x")],
        &[("priority", "u=1")],
        &[("x-long", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")],
    ];
    for fields in fields {
        for method in ["GET", "POST"] {
            add("field", method, &format!("{root}/f"), fields, vec![], StreamEnd::Head);
        }
        // A length that is wrong is refused at a moment that depends on when the body comes.
        if fields[0].0 != "content-length" {
            add("field", "POST", &format!("{root}/f"), fields, vec!["body".into()], StreamEnd::Data);
        }
    }
    for turn in 0..120 {
        let pieces = rng.usize(..5);
        let data: Vec<String> = (0..pieces)
            .map(|_| {
                char::from(rng.u8(b'a'..=b'z'))
                    .to_string()
                    .repeat(rng.usize(..if turn % 10 == 0 { 20_000 } else { 60 }))
            })
            .collect();
        let len: usize = data.iter().map(String::len).sum();
        let end = match rng.usize(..5) {
            0 if data.is_empty() => StreamEnd::Head,
            0 | 1 => StreamEnd::EmptyData,
            2 => StreamEnd::Trailers(vec![("x-sum".into(), "1".into())]),
            3 => StreamEnd::Reset,
            _ if data.is_empty() => StreamEnd::EmptyData,
            _ => StreamEnd::Data,
        };
        let len = len.to_string();
        let wrong = (len.len() + 3).to_string();
        let fields: &[(&str, &str)] = match rng.usize(..6) {
            0 | 1 => &[("content-length", &len)],
            2 if turn % 3 == 0 => &[("content-length", &wrong)],
            3 => &[("cookie", "a=b"), ("cookie", "c=d")],
            _ => &[],
        };
        add("body", ["POST", "PUT", "GET"][rng.usize(..3)], &format!("{root}/b/{turn}"), fields, data, end);
    }
    for trailers in [
        &[][..],
        &[("x-sum", "1"), ("x-two", "2")],
        &[("cookie", "a=b")],
        &[("x-forwarded-for", "1.2.3.4")],
        &[("grpc-status", "0")],
        &[("content-length", "4")],
        &[("x_y", "1")],
    ] {
        let trailers: Vec<_> = trailers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for data in [vec![], vec!["body".to_owned()]] {
            add(
                "trailer",
                "POST",
                &format!("{root}/t"),
                &[("te", "trailers")],
                data,
                StreamEnd::Trailers(trailers.clone()),
            );
        }
    }
    cases
}
