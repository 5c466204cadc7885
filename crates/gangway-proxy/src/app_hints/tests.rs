//! Answers as applications give them, in pieces of every size; and answers that look alike.

use std::sync::Arc;
use std::time::Duration;

use gangway_model::{HostPattern, Hostname};
use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::Refusal;
use super::refusal::LOOKED_AT_MAX;
use super::search::{Answered, Search};
use crate::message::body_length::BodyLength;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::request::admission::Admission;
use crate::request::client_origin::ClientOrigin;
use crate::samples::table;
use crate::serving_table::ActiveRoute;

const HOST: &str = "docs.example.com";

/// What a request is: a method and its fields beside `Host`.
type Request = (&'static str, &'static [(&'static str, &'static str)]);

const PAGE: Request = ("GET", &[]);
const EVENT_STREAM: Request = ("GET", &[("accept", "text/event-stream")]);
const FORM: Request = ("POST", &[("origin", "https://docs.example.com"), ("cookie", "a=b; csrftoken=c")]);
const OWN_ORIGIN: Request = ("POST", &[("origin", "https://docs.example.com")]);

/// What any client can send, and Grafana refuses as well.
const OTHER_ORIGINS: [Request; 3] = [
    ("POST", &[("origin", "https://a b")]),
    ("GET", &[("origin", "https://evil.example"), ("cookie", "grafana_session=x")]),
    ("GET", &[("origin", "https://docs.example.com.evil.example"), ("cookie", "grafana_session=x")]),
];

/// The answers in `tests/refusals`, each with what they are recognised as, and the request that gets them.
const ANSWERS: &[(&str, Refusal, Request)] = &[
    (include_str!("../../tests/refusals/home-assistant.http"), Refusal::AnyRequestOfAiohttp, PAGE),
    (include_str!("../../tests/refusals/nextcloud-page.http"), Refusal::HostOfNextcloud, PAGE),
    (include_str!("../../tests/refusals/nextcloud-status.http"), Refusal::HostOfNextcloud, PAGE),
    (include_str!("../../tests/refusals/django-form.http"), Refusal::FormOfDjango, FORM),
    (include_str!("../../tests/refusals/django-form-debug.http"), Refusal::FormOfDjango, FORM),
    (include_str!("../../tests/refusals/django-form-api.http"), Refusal::FormOfDjango, FORM),
    (include_str!("../../tests/refusals/django-host.http"), Refusal::HostOfDjango, PAGE),
    (include_str!("../../tests/refusals/django-host-debug.http"), Refusal::HostOfDjango, PAGE),
    (include_str!("../../tests/refusals/grafana.http"), Refusal::OriginOfGrafana, OWN_ORIGIN),
    (include_str!("../../tests/refusals/n8n-event-stream.http"), Refusal::EventStreamOfN8n, EVENT_STREAM),
    (include_str!("../../tests/refusals/rails.http"), Refusal::HostOfRails, PAGE),
    (include_str!("../../tests/refusals/rails-6.http"), Refusal::HostOfRails, PAGE),
    (include_str!("../../tests/refusals/vite.http"), Refusal::HostOfVite, PAGE),
    (include_str!("../../tests/refusals/vite-preview.http"), Refusal::HostOfVitePreview, PAGE),
];

/// The frame by which n8n ends a WebSocket, and the one that closes it.
const FRAMES_OF_N8N: &[u8] = b"\x81\x0fInvalid origin!\x88\x02\x03\xf0";

/// An answer as it passes.
#[derive(Clone)]
struct Passing {
    head: ResponseHead,
    body: Vec<u8>,
    piece_len: usize,
}

impl Passing {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let mut passing = Self::with(status.parse().expect("a number"), body.as_bytes());
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a field");
            passing.head.fields.push(name.as_bytes(), value.as_bytes());
        }
        passing
    }

    fn with(status: u16, body: &[u8]) -> Self {
        let (status, len) = (StatusCode::from_u16(status).expect("a status"), body.len() as u64);
        let head = ResponseHead { status, body: BodyLength::Sized(len), ..ResponseHead::default() };
        Self { head, body: body.to_vec(), piece_len: usize::MAX }
    }

    fn switched(body: &[u8]) -> Self {
        let mut passing = Self::with(101, body);
        passing.head.body = BodyLength::UntilClose;
        passing
    }

    fn in_pieces(mut self, len: usize) -> Self {
        self.piece_len = len;
        self
    }

    fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Lets it pass, and returns what the route is then known to refuse.
    fn refusals(&self, (method, fields): Request, active: &Arc<ActiveRoute>) -> Vec<(Refusal, String, String)> {
        let fields = [&[("host", HOST)], fields].concat();
        let head = RequestHead::of_test(method, "/", &fields);
        let admission = admission(&head);
        let news = Arc::default();
        let answered = Answered { head: &head, admission: &admission, active, endpoint: &active.ready[0], news: &news };
        if let Some(mut search) = Search::begin(&answered, &self.head) {
            let mut pieces = self.body.chunks(self.piece_len.min(self.body.len().max(1)));
            let _ = pieces.all(|piece| search.push(piece));
        }
        let present = active.state.refusals.present(0, Instant::now());
        present.into_iter().map(|(refusal, seen)| (refusal, seen.origin.into(), seen.host.into())).collect()
    }

    fn is_recognised(&self, request: Request) -> bool {
        !self.refusals(request, &route(true)).is_empty()
    }
}

/// A request by https.
fn admission(head: &RequestHead) -> Admission {
    Admission::of(head, origin(true)).expect("in order")
}

fn origin(secure: bool) -> ClientOrigin {
    let client = [192, 0, 2, 7].into();
    ClientOrigin { client, secure, local: false, is_anonymous: false, is_certain: true }
}

/// A route for a certain host, or for all.
fn route(has_host: bool) -> Arc<ActiveRoute> {
    let table = table(|route| {
        route.hosts = match has_host {
            true => vec![HostPattern::Exact(Hostname::parse(HOST, &mut Vec::new()).expect("a name"))],
            // As a route without a host is compiled.
            false => vec![HostPattern::Any, HostPattern::AnyDomain("docs".into())],
        };
    });
    table.routes().iter().find(|active| !active.ready.is_empty()).expect("the route").clone()
}

#[test]
fn every_answer_is_recognised_in_pieces_of_every_size() {
    let origin = format!("https://{HOST}");
    for (text, refusal, request) in ANSWERS {
        for len in [1, 2, 7, 49, 50, 51, 100, 4096, usize::MAX] {
            let found = Passing::of(text).in_pieces(len).refusals(*request, &route(true));
            assert_eq!(found, [(*refusal, origin.clone(), HOST.to_owned())], "pieces of {len}:\n{text}");
        }
    }
    for len in [1, 5, 17, usize::MAX] {
        let found = Passing::switched(FRAMES_OF_N8N).in_pieces(len).refusals(OWN_ORIGIN, &route(true));
        assert_eq!(found[0].0, Refusal::WebSocketOfN8n, "pieces of {len}");
    }
}

#[test]
fn an_answer_of_another_status_or_type_or_coding_is_none() {
    for (text, refusal, request) in ANSWERS {
        let own = Passing::of(text).head.status.as_u16();
        for status in [101, 200, 302, 400, 401, 403, 404, 422, 500, 503].into_iter().filter(|status| *status != own) {
            let other =
                Passing::of(text).changed(|passing| passing.head.status = StatusCode::from_u16(status).expect("one"));
            assert!(!other.is_recognised(*request), "{refusal:?} with {status}");
        }
        let encoded = Passing::of(text).changed(|passing| passing.head.fields.push(b"content-encoding", b"gzip"));
        assert!(!encoded.is_recognised(*request), "{refusal:?}");
        let image = Passing::of(text).changed(|passing| passing.head.fields.set(b"content-type", b"image/png"));
        assert!(!image.is_recognised(*request), "{refusal:?}");
        let untyped = Passing::of(text).changed(|passing| passing.head.fields.remove_named(b"content-type"));
        assert!(!untyped.is_recognised(*request), "{refusal:?}");
        let of_head = Passing::of(text).changed(|passing| {
            passing.head.body = BodyLength::Empty;
            passing.body.clear();
        });
        assert!(!of_head.is_recognised(("HEAD", request.1)), "{refusal:?}");
    }
}

#[test]
fn an_answer_that_ends_before_its_text_is_whole_is_none() {
    for (text, refusal, request) in ANSWERS {
        let whole = Passing::of(text);
        // The shortest beginning that is recognised, told apart from the one that is a byte shorter.
        let of_len = |len: usize| whole.clone().changed(|passing| passing.body.truncate(len));
        let shortest = (0..=whole.body.len()).find(|len| of_len(*len).is_recognised(*request)).expect("the whole");
        for len in [1, 50] {
            assert!(!of_len(shortest - 1).in_pieces(len).is_recognised(*request), "{refusal:?}");
            assert!(of_len(shortest).in_pieces(len).is_recognised(*request), "{refusal:?}");
        }
    }
}

#[test]
fn only_the_beginning_of_an_answer_is_looked_at() {
    for (text, refusal, request) in ANSWERS {
        let late = Passing::of(text).changed(|passing| {
            let body = std::mem::replace(&mut passing.body, vec![b' '; 64 * 1024]);
            passing.body.extend(body);
        });
        for len in [1000, 4096, usize::MAX] {
            assert!(!late.clone().in_pieces(len).is_recognised(*request), "{refusal:?}");
        }
    }
    let mut late = vec![0x81, 0x01, b'x'];
    late.extend(FRAMES_OF_N8N);
    assert!(!Passing::switched(&late).is_recognised(OWN_ORIGIN));
}

#[test]
fn requests_that_anybody_can_make_up_say_nothing() {
    let named = |name: Refusal| ANSWERS.iter().filter(move |(_, refusal, _)| *refusal == name);
    let forms: [Request; 5] = [
        ("POST", &[("origin", "https://evil.example"), ("cookie", "csrftoken=c")]),
        ("POST", &[("origin", "https://docs.example.com.evil.example"), ("cookie", "csrftoken=c")]),
        ("POST", &[("origin", "https://docs.example.com")]),
        ("POST", &[("cookie", "csrftoken=c")]),
        ("POST", &[("origin", "null"), ("cookie", "csrftoken=c")]),
    ];
    for (text, ..) in named(Refusal::FormOfDjango) {
        for form in forms {
            assert!(!Passing::of(text).is_recognised(form), "{form:?}");
        }
        // What a client says of scheme and port is not told.
        let plain = ("POST", &[("origin", "http://docs.example.com:8080"), ("cookie", "csrftoken=c")][..]);
        let found = Passing::of(text).refusals(plain, &route(true));
        assert_eq!(found, [(Refusal::FormOfDjango, format!("https://{HOST}"), HOST.to_owned())]);
    }
    for name in [Refusal::AnyRequestOfAiohttp, Refusal::HostOfDjango] {
        for (text, ..) in named(name).filter(|(text, ..)| !text.contains("DisallowedHost")) {
            assert!(!Passing::of(text).is_recognised(("POST", &[])), "{name:?}");
        }
    }
    for (text, ..) in named(Refusal::OriginOfGrafana) {
        assert!(!Passing::of(text).is_recognised(PAGE));
        for request in OTHER_ORIGINS {
            assert!(!Passing::of(text).is_recognised(request), "{request:?}");
        }
    }
    for (text, ..) in named(Refusal::EventStreamOfN8n) {
        assert!(!Passing::of(text).is_recognised(("GET", &[("origin", "https://evil.example")])));
    }
    let of_hosts = [
        Refusal::HostOfNextcloud,
        Refusal::HostOfDjango,
        Refusal::HostOfRails,
        Refusal::HostOfVite,
        Refusal::HostOfVitePreview,
        Refusal::OriginOfGrafana,
        Refusal::FormOfDjango,
    ];
    for (text, refusal, request) in ANSWERS.iter().filter(|(_, refusal, _)| of_hosts.contains(refusal)) {
        let found = Passing::of(text).refusals(*request, &route(false));
        assert!(found.is_empty(), "{refusal:?}: a route for all hosts is asked for any");
    }
}

#[test]
fn a_hint_names_the_address_that_was_asked_for() {
    let vite = Passing::of(include_str!("../../tests/refusals/vite.http"));
    let https: &[(&str, &str)] = &[("origin", "https://docs.example.com")];
    let other: &[(&str, &str)] = &[("origin", "https://evil.example")];
    for (secure, host, fields, told) in [
        (true, HOST, &[][..], "https://docs.example.com"),
        (true, "docs.example.com:443", &[], "https://docs.example.com"),
        (true, "docs.example.com:8443", &[], "https://docs.example.com:8443"),
        (true, "docs.example.com:80", &[], "https://docs.example.com:80"),
        (false, HOST, &[], "http://docs.example.com"),
        (false, "docs.example.com:80", &[], "http://docs.example.com"),
        (false, "docs.example.com:443", &[], "http://docs.example.com:443"),
        // A proxy before Gangway speaks TLS.
        (false, HOST, https, "https://docs.example.com"),
        (false, HOST, other, "http://docs.example.com"),
    ] {
        let head = RequestHead::of_test("GET", "/", &[&[("host", host)], fields].concat());
        let admission = Admission::of(&head, origin(secure)).expect("in order");
        let (active, news) = (route(true), Arc::default());
        let endpoint = &active.ready[0];
        let answered = Answered { head: &head, admission: &admission, active: &active, endpoint, news: &news };
        Search::begin(&answered, &vite.head).expect("it may be one").push(&vite.body);
        let (_, seen) = active.state.refusals.present(0, Instant::now()).pop().expect("a refusal");
        assert_eq!((&*seen.origin, &*seen.host), (told, HOST), "{secure} {host} {fields:?}");
    }
}

#[test]
fn a_route_for_a_wildcard_is_for_its_hosts_by_name() {
    let vite = Passing::of(include_str!("../../tests/refusals/vite.http"));
    for (pattern, is_recognised) in [("*.example.com", true), ("*.example.org", false)] {
        let table = table(|route| {
            let pattern = HostPattern::parse(pattern, &mut Vec::new()).expect("a pattern");
            route.hosts = vec![pattern];
        });
        let active = table.routes().iter().find(|active| !active.ready.is_empty()).expect("the route").clone();
        assert_eq!(!vite.refusals(PAGE, &active).is_empty(), is_recognised, "{pattern}");
    }
}

#[test]
fn no_more_is_looked_at_than_may_be_of_use() {
    let head = RequestHead::of_test("GET", "/", &[("host", HOST)]);
    let (admission, active, news) = (admission(&head), route(true), Arc::default());
    let begin = |passing: &Passing| {
        let endpoint = &active.ready[0];
        Search::begin(
            &Answered { head: &head, admission: &admission, active: &active, endpoint, news: &news },
            &passing.head,
        )
    };
    let vite = Passing::of(include_str!("../../tests/refusals/vite.http"));
    let mut search = begin(&vite).expect("it may be one");
    assert!(search.push(&[b' '; LOOKED_AT_MAX - 1]) && !search.push(b" "));
    let of_head = vite.clone().changed(|passing| passing.head.body = BodyLength::Empty);
    assert!(begin(&of_head).is_none());
    assert!(begin(&vite.clone().changed(|passing| passing.head.status = StatusCode::OK)).is_none());
    for (kind, length) in [("Text/PLAIN", BodyLength::Framed), ("text/plain", BodyLength::UntilClose)] {
        let other = vite.clone().changed(|passing| {
            passing.head.fields.set(b"content-type", kind.as_bytes());
            passing.head.body = length;
        });
        assert!(other.is_recognised(PAGE), "{kind}");
    }
}

#[test]
fn answers_that_look_alike_are_none() {
    let html = |status, body: &str| {
        Passing::with(status, body.as_bytes())
            .changed(|passing| passing.head.fields.push(b"content-type", b"text/html; charset=utf-8"))
    };
    let plain = |status, body: &str| {
        Passing::with(status, body.as_bytes())
            .changed(|passing| passing.head.fields.push(b"content-type", b"text/plain; charset=utf-8"))
    };
    for (passing, request) in [
        // aiohttp with a reason of its own.
        (plain(400, "400: Bad Request. No token"), PAGE),
        (plain(400, "400: Bad requesT"), PAGE),
        (html(400, "<h1>Bad Request</h1>"), PAGE),
        (html(400, "400: Bad Request"), PAGE),
        // Pages that speak of the setting.
        (html(400, "how to set trusted_domains"), PAGE),
        (html(403, "<title>403 Forbidden</title><h1>Forbidden <span>(403)</span></h1>"), FORM),
        (html(403, "<center><h1>403 Forbidden</h1></center><hr><center>nginx</center>"), FORM),
        (html(400, "<title>Bad Request (400)</title><h1>Bad Request (400)</h1><p>No file</p>"), PAGE),
        (plain(403, "origin not allowed"), OWN_ORIGIN),
        (plain(403, "your origin is not allowed"), OWN_ORIGIN),
        (plain(403, "Blocked request. This host is not allowed."), PAGE),
        (plain(403, "Blocked host: add it to the configuration"), PAGE),
    ] {
        for len in [1, usize::MAX] {
            assert!(!passing.clone().in_pieces(len).is_recognised(request), "{}", passing.text());
        }
    }
    let endless = plain(400, "400: Bad Request").changed(|passing| passing.head.body = BodyLength::Framed);
    assert!(!endless.is_recognised(PAGE), "it is never as long");
}

#[tokio::test]
async fn news_are_told_once() {
    let (active, news) = (route(true), Arc::<Notify>::default());
    let head = RequestHead::of_test("GET", "/", &[("host", HOST)]);
    let admission = admission(&head);
    let vite = Passing::of(include_str!("../../tests/refusals/vite.http"));
    for is_news in [true, false, false] {
        let answered =
            Answered { head: &head, admission: &admission, active: &active, endpoint: &active.ready[0], news: &news };
        let mut search = Search::begin(&answered, &vite.head).expect("it may be one");
        assert!(!search.push(&vite.body), "nothing more is looked at");
        assert_eq!(timeout(Duration::ZERO, news.notified()).await.is_ok(), is_news);
    }
}
