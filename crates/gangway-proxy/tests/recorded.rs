//! What the data plane did with a great many odd and ordinary messages, recorded once and compared ever since.
//!
//! A client connection is replayed byte by byte, and what its endpoint got is compared with what was recorded, up to
//! the case and the order of fields and the bounds of chunks; likewise the answers of endpoints as HTTP/1.1, HTTP/1.0
//! and HTTP/2 clients get them. What was changed on purpose stands in [`CHANGES`].
//!
//! `UPDATE_RECORDED=1 cargo test -p gangway-proxy --test recorded` records new cases, and what changes cover.

mod common;

#[path = "recorded/answers.rs"]
mod answers;
#[path = "recorded/changes.rs"]
mod changes;
#[path = "recorded/record.rs"]
mod record;
#[path = "recorded/requests/mod.rs"]
mod requests;
#[path = "recorded/streams.rs"]
mod streams;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use answers::AnswerCase;
use bytes::Bytes;
use changes::CHANGES;
use common::{Plane, RouteToServe, route};
use gangway_model::{HostHeader, Middleware, RedirectPart, RedirectTarget, RegexPattern, Replacement};
use gangway_proxy::TrustedProxies;
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::recording::{AfterAnswer, AnswerMoment, CASE_FIELD, RecordingEndpoint, WrittenAnswer};
use gangway_testkit::wire_message::{WireMessage, latin1, latin1_bytes, read_answers};
use gangway_tls::{Store, UnixTime};
use http::{HeaderName, HeaderValue, Request};
use record::{Recorded, are_alike, difference, is_recording, message, packed, unpacked};
use requests::{HOST, LAST, Listener, RequestCase};
use serde_json::{Value, json};
use streams::{StreamCase, StreamEnd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// A test that waits longer is stuck. The bound does not measure anything.
const STUCK: Duration = Duration::from_secs(30);

/// Connections at a time.
const AT_ONCE: usize = 8;

/// How often each case is run where it is recorded: what differs between runs is no record of anything.
const RECORDING_RUNS: usize = 6;

/// How many connections are cut anew, and the seed that says which and where.
const DRAWN: usize = 600;
const DRAWN_SEED: u64 = 0x6375_7473;

/// Both data planes and the endpoint behind them.
struct Recording {
    endpoint: RecordingEndpoint,
    plain: Plane,
    trusting: Plane,
}

impl Recording {
    async fn start() -> Self {
        let endpoint = RecordingEndpoint::start().await.expect("a free port");
        let plain = Plane::serving(routes(&endpoint)).await;
        let mut trusting =
            Plane::start_with(|settings| settings.trusted_proxies = TrustedProxies::parse("lan").expect("valid"));
        trusting.serve(routes(&endpoint)).await;
        Self { endpoint, plain, trusting }
    }

    fn client(&self, listener: Listener) -> Client {
        match listener {
            Listener::Plain => self.plain.http(),
            Listener::Tls => self.plain.https(),
            Listener::Trusting => self.trusting.http(),
        }
    }

    /// What comes of one client connection.
    async fn exchange(&self, case: &RequestCase) -> Value {
        let bytes = sent(&self.client(case.listener), &case.id, &case.pieces, case.is_half_closed).await;
        let is_to_head = case.pieces.concat().starts_with(b"HEAD ");
        let statuses: Vec<u16> = read_answers(&bytes, is_to_head).iter().map(WireMessage::status).collect();
        let got = self.endpoint.taken(&case.id).await;
        json!({ "statuses": statuses, "got": got.iter().map(|message| self.written(message)).collect::<Vec<_>>() })
    }

    /// What comes of one stream.
    async fn stream(&self, case: &StreamCase) -> Value {
        let client = self.plain.https().speaking(Speaks::H2);
        let ended = tokio::time::timeout(STUCK, stream(&client, case)).await;
        let ended = ended.unwrap_or_else(|_| panic!("{} does not end", case.id));
        let got = self.endpoint.taken(&case.id).await;
        json!({ "ended": ended, "got": got.iter().map(|message| self.written(message)).collect::<Vec<_>>() })
    }

    fn written(&self, got: &WireMessage) -> Value {
        // The last request of each connection is the same everywhere.
        if got.line == format!("GET {LAST} HTTP/1.1") && got.is_whole && got.body.is_empty() {
            return json!({ "head": got.line });
        }
        let mut got = got.clone();
        let own = self.endpoint.address.to_string();
        got.line = got.line.replace(&own, "ENDPOINT");
        for (_, value) in &mut got.fields {
            *value = value.replace(&own, "ENDPOINT");
        }
        message(&got)
    }
}

/// The routes of the recorded data planes.
fn routes(endpoint: &RecordingEndpoint) -> Vec<RouteToServe> {
    let at = |path: &'static str, middlewares: Vec<Middleware>| RouteToServe {
        path,
        middlewares,
        ..route(HOST, endpoint.address)
    };
    let name = HeaderName::from_static;
    let text = |value| Some(HeaderValue::from_static(value));
    let pattern = RegexPattern::parse("^/re/(.*)$", &mut Vec::new()).expect("valid");
    let replacement = Replacement::parse("/new/$1?from=re", pattern.regex()).expect("valid");
    let rewrite = Middleware::Rewrite { pattern, replacement };
    let target = RedirectTarget(vec![RedirectPart::Text("https://other.example".into()), RedirectPart::Path]);
    let mut named = route("named.localhost", endpoint.address);
    named.change =
        Box::new(|route| route.host_header = HostHeader::Named(HeaderValue::from_static("inner.example:8080")));
    let mut upstream = route("upstream.localhost", endpoint.address);
    upstream.change = Box::new(|route| route.host_header = HostHeader::Upstream);
    vec![
        at("/", Vec::new()),
        at("/strip", vec![Middleware::StripPrefix(vec!["/strip".into()])]),
        at("/add", vec![Middleware::AddPrefix("/added".into())]),
        at("/re", vec![rewrite]),
        at("/both", vec![Middleware::StripPrefix(vec!["/both".into()]), Middleware::AddPrefix("/added".into())]),
        at(
            "/fields",
            vec![
                Middleware::RequestHeader(name("x-set").into(), text("ours")),
                Middleware::RequestHeader(name("x-gone").into(), None),
                Middleware::RequestHeader(name("x-forwarded-for").into(), text("overridden")),
            ],
        ),
        at("/small", vec![Middleware::BodyLimit(10)]),
        at("/redirect", vec![Middleware::Redirect { status: 307, target }]),
        at("/answer", vec![Middleware::ResponseHeader(name("x-set").into(), text("ours"))]),
        named,
        upstream,
    ]
}

/// Sends these bytes and reads until the connection ends.
async fn sent(client: &Client, id: &str, pieces: &[Vec<u8>], is_half_closed: bool) -> Vec<u8> {
    let stream = client.stream(HOST).await.expect("it listens");
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        for piece in pieces {
            // It may have been refused before its end.
            if writing.write_all(piece).await.is_err() || writing.flush().await.is_err() {
                return;
            }
            // Otherwise the pieces could be joined into one segment before the first is read.
            tokio::task::yield_now().await;
        }
        if is_half_closed {
            let _ = writing.shutdown().await;
        }
    };
    let mut bytes = Vec::new();
    let read = async {
        // A reset after the answer is an end as well.
        let _ = reading.read_to_end(&mut bytes).await;
    };
    let both = tokio::time::timeout(STUCK, async { tokio::join!(write, read) }).await;
    assert!(both.is_ok(), "{id} does not end; so far {:?}", latin1(&bytes));
    bytes
}

/// Sends one stream over a connection of its own. Returns the status of the answer and how the stream ended.
async fn stream(client: &Client, case: &StreamCase) -> String {
    let io = client.stream(HOST).await.expect("it listens");
    let (sender, connection) = h2::client::handshake(io).await.expect("it speaks HTTP/2");
    let driven = tokio::spawn(connection);
    let mut request = Request::builder().method(&*case.method).uri(&case.url).header(CASE_FIELD, &case.id);
    for (name, value) in &case.fields {
        request = request.header(name, value);
    }
    let request = request.body(()).expect("the h2 crate allows it");
    let mut sender = sender.ready().await.expect("a new connection");
    let is_end = case.end == StreamEnd::Head;
    let (answer, mut body) = match sender.send_request(request, is_end) {
        Ok(sent) => sent,
        Err(error) => return format!("not sent: {error}"),
    };
    for (number, data) in case.data.iter().enumerate() {
        let is_end = case.end == StreamEnd::Data && number + 1 == case.data.len();
        // It may have been refused before its end.
        let _ = body.send_data(Bytes::from(data.clone()), is_end);
    }
    match &case.end {
        StreamEnd::Head | StreamEnd::Data => {}
        StreamEnd::EmptyData => drop(body.send_data(Bytes::new(), true)),
        StreamEnd::Trailers(trailers) => {
            let fields = trailers.iter().map(|(name, value)| {
                (name.parse::<HeaderName>().expect("valid"), value.parse::<HeaderValue>().expect("valid"))
            });
            drop(body.send_trailers(fields.collect()));
        }
        StreamEnd::Reset => body.send_reset(h2::Reason::CANCEL),
    }
    let ended = match answer.await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let mut body = answer.into_body();
            loop {
                match body.data().await {
                    Some(Ok(data)) => drop(body.flow_control().release_capacity(data.len())),
                    Some(Err(error)) => break format!("{status}, then {}", reason_of(&error)),
                    None => break status.to_string(),
                }
            }
        }
        Err(error) => reason_of(&error),
    };
    driven.abort();
    ended
}

fn reason_of(error: &h2::Error) -> String {
    error.reason().map_or_else(|| "closed".to_owned(), |reason| format!("{reason:?}"))
}

/// A case that is run in a world `W`.
trait Case<W>: Send + Sync + 'static {
    fn id(&self) -> &str;

    /// What comes of it.
    fn run(&self, world: &W) -> impl Future<Output = Value> + Send;
}

impl Case<Recording> for RequestCase {
    fn id(&self) -> &str {
        &self.id
    }

    fn run(&self, recording: &Recording) -> impl Future<Output = Value> + Send {
        recording.exchange(self)
    }
}

impl Case<Recording> for StreamCase {
    fn id(&self) -> &str {
        &self.id
    }

    fn run(&self, recording: &Recording) -> impl Future<Output = Value> + Send {
        recording.stream(self)
    }
}

impl Case<AnswerRecording> for AnswerCase {
    fn id(&self) -> &str {
        &self.id
    }

    fn run(&self, recording: &AnswerRecording) -> impl Future<Output = Value> + Send {
        recording.answer(self)
    }
}

/// Runs all cases, some at a time.
async fn run_all<W, C>(world: &Arc<W>, cases: Vec<C>) -> BTreeMap<String, Value>
where
    W: Send + Sync + 'static,
    C: Case<W>,
{
    let cases = Arc::new(cases);
    let (next, outcomes) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeMap::new())));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (world, cases, next, outcomes) =
            (Arc::clone(world), Arc::clone(&cases), Arc::clone(&next), Arc::clone(&outcomes));
        workers.spawn(async move {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = case.run(&world).await;
                outcomes.lock().expect("no worker has panicked").insert(case.id().to_owned(), outcome);
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        if let Err(error) = worker {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    let outcomes = outcomes.lock().expect("no worker has panicked");
    outcomes.clone()
}

/// The cases of a file, and for recording those that are drawn anew.
fn cases(file: &str, drawn: impl Iterator<Item = (String, Value)>) -> Vec<Recorded> {
    let mut recorded = record::read(file);
    if !is_recording() {
        assert!(!recorded.is_empty(), "nothing was recorded");
        return recorded;
    }
    drawn
        .map(|(id, given)| {
            let same = recorded.iter().position(|case| case.id == id && case.given == given);
            same.map_or(Recorded { id, given, was: Value::Null, now: None }, |at| recorded.swap_remove(at))
        })
        .collect()
}

/// Runs the cases of a file and compares what comes of them with the record. For recording, those that do not come out
/// alike each time are left out.
async fn replay<W, C>(
    file: &str,
    world: W,
    cases: Vec<Recorded>,
    parse: fn(&Recorded) -> C,
    is_alike: fn(&Value, &Value) -> bool,
) where
    W: Send + Sync + 'static,
    C: Case<W>,
{
    let world = Arc::new(world);
    let parsed = || cases.iter().map(parse).collect::<Vec<_>>();
    let outcomes = run_all(&world, parsed()).await;
    let mut unsteady = Vec::new();
    for _ in 1..if is_recording() { RECORDING_RUNS } else { 1 } {
        let again = run_all(&world, parsed()).await;
        for id in outcomes.keys().filter(|id| !is_alike(&outcomes[*id], &again[*id])) {
            eprintln!("unsteady: {id}\n    {}\n    {}", outcomes[id], again[id]);
            unsteady.push(id.clone());
        }
    }
    let cases = cases.into_iter().filter(|case| !unsteady.contains(&case.id)).collect();
    record::compare(file, cases, &outcomes, CHANGES, is_alike);
}

/// A record that no case belongs to any more would be compared for ever without being made again.
#[test]
fn every_recorded_case_is_made_alike_again() {
    for (file, made) in [
        ("requests", requests::all().iter().map(given_of).collect::<BTreeMap<_, _>>()),
        ("streams", streams::all().iter().map(stream_given).collect()),
        ("answers", answers::all().iter().map(answer_given).collect()),
    ] {
        for recorded in record::read(file) {
            assert_eq!(made.get(&recorded.id), Some(&recorded.given), "{file}: {}", recorded.id);
        }
    }
}

fn given_of(case: &RequestCase) -> (String, Value) {
    let listener = match case.listener {
        Listener::Plain => "plain",
        Listener::Tls => "tls",
        Listener::Trusting => "trusting",
    };
    let mut given = json!({ "on": listener, "send": packed(&latin1(&case.pieces.concat())) });
    if case.pieces.len() > 1 {
        given["pieces"] = case.pieces.iter().map(Vec::len).collect::<Vec<_>>().into();
    }
    if case.is_half_closed {
        given["end"] = true.into();
    }
    (case.id.clone(), given)
}

fn request_case(recorded: &Recorded) -> RequestCase {
    let given = &recorded.given;
    let mut rest = &*latin1_bytes(&unpacked(given["send"].as_str().unwrap_or_default()));
    let mut pieces = Vec::new();
    for len in given["pieces"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
        let (piece, behind) = rest.split_at(usize::try_from(len).expect("it was written by a test"));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(rest.to_vec());
    }
    RequestCase {
        id: recorded.id.clone(),
        listener: match given["on"].as_str() {
            Some("tls") => Listener::Tls,
            Some("trusting") => Listener::Trusting,
            _ => Listener::Plain,
        },
        pieces,
        is_half_closed: given["end"] == true,
    }
}

fn requests_are_alike(one: &Value, other: &Value) -> bool {
    one["statuses"] == other["statuses"] && one["ended"] == other["ended"] && are_alike(&one["got"], &other["got"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_sees_of_http1_requests_what_was_recorded() {
    let cases = cases("requests", requests::all().iter().map(given_of));
    replay("requests", Recording::start().await, cases, request_case, requests_are_alike).await;
}

/// Cuts the bytes of a connection anew, and now and then puts another request before them.
///
/// Neither may change what becomes of them: a head is no other one because it came in two segments, or second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_the_same_however_they_are_cut_and_whatever_came_before() {
    let recording = Arc::new(Recording::start().await);
    let recorded = record::read("requests");
    let mut rng = fastrand::Rng::with_seed(DRAWN_SEED);
    let mut expected = BTreeMap::new();
    let mut drawn = Vec::new();
    for number in 0..DRAWN {
        let Some(recorded) = rng.choice(&recorded) else { return };
        let mut case = request_case(recorded);
        let old = case.id.clone();
        case.id = format!("{old}-drawn-{number}");
        let (mark, new_mark) = (format!(": {old}\r\n"), format!(": {}\r\n", case.id));
        let mut bytes = latin1(&case.pieces.concat()).replace(&mark, &new_mark);
        let has_first = !case.is_half_closed && rng.bool();
        if has_first {
            bytes = format!("GET /first HTTP/1.1\r\nHost: {HOST}\r\n{CASE_FIELD}: {}\r\n\r\n{bytes}", case.id);
        }
        let mut rest = &*latin1_bytes(&bytes);
        let most = [1, 2, 30, 1000, rest.len().max(1)][rng.usize(..5)].max(rest.len() / 500 + 1);
        case.pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rng.usize(1..=most).min(rest.len()));
            case.pieces.push(piece.to_vec());
            rest = behind;
        }
        let was = recorded.now.as_ref().map_or(&recorded.was, |(_, now)| now);
        let was: Value = serde_json::from_str(&was.to_string().replace(&old, &case.id)).expect("only a name changed");
        expected.insert(case.id.clone(), (has_first, was));
        drawn.push(case);
    }
    for (id, mut outcome) in run_all(&recording, drawn).await {
        let (has_first, expected) = &expected[&id];
        if *has_first {
            for list in ["statuses", "got"] {
                let list = outcome[list].as_array_mut().expect("a list");
                assert!(!list.is_empty(), "{id}: the request before it was not served");
                let first = list.remove(0);
                let head = first["head"].as_str().unwrap_or_default();
                assert!(first == 200 || head.starts_with("GET /first HTTP/1.1\n"), "{id}: {first}");
            }
        }
        assert!(requests_are_alike(expected, &outcome), "{id}:\n{}", difference(expected, &outcome));
    }
}

fn stream_given(case: &StreamCase) -> (String, Value) {
    let fields = |fields: &[(String, String)]| -> Vec<Value> {
        fields.iter().map(|(name, value)| json!([name, value])).collect()
    };
    let data: Vec<String> = case.data.iter().map(|data| packed(data)).collect();
    let end = match &case.end {
        StreamEnd::Head => json!("head"),
        StreamEnd::Data => json!("data"),
        StreamEnd::EmptyData => json!("empty data"),
        StreamEnd::Reset => json!("reset"),
        StreamEnd::Trailers(trailers) => fields(trailers).into(),
    };
    let given =
        json!({ "method": case.method, "url": case.url, "fields": fields(&case.fields), "data": data, "end": end });
    (case.id.clone(), given)
}

fn stream_case(recorded: &Recorded) -> StreamCase {
    let given = &recorded.given;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let fields = |value: &Value| list(value).iter().map(|field| (text(&field[0]), text(&field[1]))).collect();
    StreamCase {
        id: recorded.id.clone(),
        method: text(&given["method"]),
        url: text(&given["url"]),
        fields: fields(&given["fields"]),
        data: list(&given["data"]).iter().map(|data| unpacked(&text(data))).collect(),
        end: match given["end"].as_str() {
            Some("head") => StreamEnd::Head,
            Some("data") => StreamEnd::Data,
            Some("empty data") => StreamEnd::EmptyData,
            Some("reset") => StreamEnd::Reset,
            _ => StreamEnd::Trailers(fields(&given["end"])),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_sees_of_http2_requests_what_was_recorded() {
    let cases = cases("streams", streams::all().iter().map(stream_given));
    replay("streams", Recording::start().await, cases, stream_case, requests_are_alike).await;
}

/// The data plane for answers, with an endpoint for each case: what one leaves behind on a connection is of no concern
/// to the others.
struct AnswerRecording {
    plane: Plane,
    endpoints: BTreeMap<String, RecordingEndpoint>,
}

impl AnswerRecording {
    async fn start(cases: &[Recorded]) -> Self {
        let mut endpoints = BTreeMap::new();
        let mut routes = vec![];
        for case in cases {
            let endpoint = RecordingEndpoint::start().await.expect("a free port");
            // Paths of routes live as long as the test.
            let path: &'static str = format!("/{}", case.id).leak();
            routes.push(RouteToServe { path, ..route(HOST, endpoint.address) });
            endpoints.insert(case.id.clone(), endpoint);
        }
        let mut plane = Plane::start_with(|_| {});
        let certificate = Arc::new(plane.ca.issue(HOST, UnixTime::now()).expect("internal"));
        plane.store.publish(Store::new(vec![certificate], UnixTime::now()));
        plane.serve_table(routes).await;
        Self { plane, endpoints }
    }

    /// What clients of each version get of one answer.
    async fn answer(&self, case: &AnswerCase) -> Value {
        let endpoint = &self.endpoints[&case.id];
        endpoint.answer(&case.id, case.answer.clone());
        let mut outcome = json!({});
        for (version, name) in [("HTTP/1.1", "h1"), ("HTTP/1.0", "h1.0")] {
            outcome[name] = self.over_http1(case, version).await;
            outcome[name]["asked"] = asked(case, &endpoint.taken(&case.id).await);
        }
        let ended = tokio::time::timeout(STUCK, self.over_http2(case)).await;
        outcome["h2"] = ended.unwrap_or_else(|_| panic!("{} does not end over HTTP/2", case.id));
        outcome["h2"]["asked"] = asked(case, &endpoint.taken(&case.id).await);
        outcome
    }

    async fn over_http1(&self, case: &AnswerCase, version: &str) -> Value {
        let (method, id) = (&case.method, &case.id);
        let mut request = format!(
            "{method} /{id} {version}\r\nHost: {HOST}\r\n{CASE_FIELD}: {id}\r\nAccept: application/json\r\n\
             Connection: close\r\n"
        );
        request += if *method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
        let bytes = sent(&self.plane.http(), id, &[request.into_bytes()], false).await;
        let answers = read_answers(&bytes, *method == "HEAD");
        json!({ "answers": answers.into_iter().map(client_side).collect::<Vec<_>>() })
    }

    async fn over_http2(&self, case: &AnswerCase) -> Value {
        let io = self.plane.https().speaking(Speaks::H2).stream(HOST).await.expect("it listens");
        let (sender, connection) = h2::client::handshake(io).await.expect("it speaks HTTP/2");
        let driven = tokio::spawn(connection);
        let request = Request::builder()
            .method(case.method)
            .uri(format!("https://{HOST}/{}", case.id))
            .header(CASE_FIELD, &case.id)
            .header("accept", "application/json")
            .body(())
            .expect("valid");
        let mut sender = sender.ready().await.expect("a new connection");
        let has_body = case.method == "POST";
        let (mut answer, mut body) = sender.send_request(request, !has_body).expect("a new connection");
        if has_body {
            let _ = body.send_data(Bytes::from_static(b"body"), true);
        }
        let mut interim = Vec::new();
        while let Some(Ok(head)) = std::future::poll_fn(|context| answer.poll_informational(context)).await {
            interim.push(head.status().as_u16());
        }
        let mut got = WireMessage::default();
        let ended = match answer.await {
            Ok(answer) => {
                got.line = format!("HTTP/2 {}", answer.status().as_u16());
                got.fields = fields_of(answer.headers());
                let mut body = answer.into_body();
                loop {
                    match body.data().await {
                        Some(Ok(data)) => {
                            got.body.extend_from_slice(&data);
                            drop(body.flow_control().release_capacity(data.len()));
                        }
                        Some(Err(error)) => break reason_of(&error),
                        None => {
                            got.trailers =
                                body.trailers().await.ok().flatten().as_ref().map(fields_of).unwrap_or_default();
                            got.is_whole = true;
                            break "whole".to_owned();
                        }
                    }
                }
            }
            Err(error) => reason_of(&error),
        };
        driven.abort();
        json!({ "interim": interim, "answers": [client_side(got)], "ended": ended })
    }
}

/// How often the endpoint was asked, where that does not depend on the retry budget, which all cases share.
fn asked(case: &AnswerCase, got: &[WireMessage]) -> Value {
    if case.method == "POST" { got.len().into() } else { Value::Null }
}

fn fields_of(fields: &http::HeaderMap) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.to_string(), latin1(value.as_bytes()))).collect()
}

/// An answer as it is compared: without what differs each time, and of our own only its reason.
fn client_side(mut answer: WireMessage) -> Value {
    answer.fields.retain(|(name, value)| {
        let name = name.to_ascii_lowercase();
        name != "date" && (name != "x-request-id" || value == "mine")
    });
    let page: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    // The length of a page that HEAD does not get says nothing of it.
    if answer.status() >= 400 && answer.body.is_empty() && answer.field("cache-control") == "no-store" {
        answer.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    }
    if let Some(reason) = page["reason"].as_str() {
        answer.body = format!("local reply: {reason}").into_bytes();
        answer.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    }
    message(&answer)
}

fn answer_given(case: &AnswerCase) -> (String, Value) {
    let mut given = json!({ "to": case.method, "answer": packed(&latin1(&case.answer.bytes)) });
    if case.answer.moment == AnswerMoment::RequestHead {
        given["early"] = true.into();
    }
    given["then"] = match case.answer.after {
        AfterAnswer::Stays => "stays",
        AfterAnswer::Closes => "closes",
        AfterAnswer::Resets => "resets",
    }
    .into();
    (case.id.clone(), given)
}

fn answer_case(recorded: &Recorded) -> AnswerCase {
    let given = &recorded.given;
    AnswerCase {
        id: recorded.id.clone(),
        method: match given["to"].as_str() {
            Some("HEAD") => "HEAD",
            Some("POST") => "POST",
            _ => "GET",
        },
        answer: WrittenAnswer {
            bytes: latin1_bytes(&unpacked(given["answer"].as_str().unwrap_or_default())),
            moment: if given["early"] == true { AnswerMoment::RequestHead } else { AnswerMoment::WholeRequest },
            after: match given["then"].as_str() {
                Some("stays") => AfterAnswer::Stays,
                Some("resets") => AfterAnswer::Resets,
                _ => AfterAnswer::Closes,
            },
        },
    }
}

/// How much of a cut answer came is a matter of time.
fn answers_are_alike(one: &Value, other: &Value) -> bool {
    ["h1", "h1.0", "h2"].into_iter().all(|version| {
        let (one, other) = (&one[version], &other[version]);
        are_alike(&one["answers"], &other["answers"])
            && ["asked", "interim", "ended"].iter().all(|key| one[key] == other[key])
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_get_of_an_endpoints_bytes_what_was_recorded() {
    let cases = cases("answers", answers::all().iter().map(answer_given));
    let world = AnswerRecording::start(&cases).await;
    replay("answers", world, cases, answer_case, answers_are_alike).await;
}
