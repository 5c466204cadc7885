//! The cost of a request, of a connection and of labels, counted exactly: instructions, allocations, system calls.
//!
//! Time on a busy machine cannot tell a tenth from noise; these counts can. A limit is a promise of
//! `docs/performance.md`: a change that needs more has to be worth it.

use std::sync::LazyLock;

use gangway_tests::cost::{PerRequest, Protocol, Subject, instructions};
use gangway_tests::figures::figure;
use gangway_tests::{artifact, run};

/// The number of requests of the shorter of two runs.
const REQUESTS: u32 = 2000;

/// The same for long answers.
const LONG_REQUESTS: u32 = 200;

/// The same for log-ins that are refused.
const GUESSES: u32 = 40;

/// The number of pairs of which one has to be the same.
const PAIRS_OF_GUESSES: usize = 3;

/// Two runs under valgrind serve for two tests.
static H1: LazyLock<PerRequest> = LazyLock::new(|| counted(Protocol::H1));

fn counted(protocol: Protocol) -> PerRequest {
    run(async { Subject::prepare().await.per_request(protocol, REQUESTS).await })
}

/// Two more runs for two tests, with a connection for each request.
static H1_ANEW: LazyLock<PerRequest> = LazyLock::new(|| counted(Protocol::H1Anew));

/// Fails above the limit. It is a little above the aim where counts vary: timers and background tasks are in them, and the
/// slower the machine, the more of them.
fn at_most(what: &str, count: f64, limit: f64, aim: f64, decimals: usize) {
    figure(format!("{what}: {count:.decimals$} (limit {limit}, aim {aim})"));
    assert!(count > -0.2, "more requests cost less: {count}");
    assert!(count <= limit, "{what}: {count:.decimals$}, more than {limit}");
}

#[test]
fn a_request_by_http1_takes_few_instructions() {
    at_most("instructions per request, h1", H1.instructions, 16_500.0, 16_000.0, 0);
}

#[test]
fn lists_and_limits_take_few_instructions() {
    let keys = "allow = \"10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fd00::/8, 127.0.0.0/8\"\n\
                deny = \"127.0.0.2, 192.0.2.0/24\"\nrate-limit = \"1000000/s\"\nconcurrency = 1000\n";
    let [with, without] = [keys, ""].map(|keys| {
        run(async { Subject::prepare_with(keys).await.per_request(Protocol::H1Alone, REQUESTS).await }).instructions
    });
    let more = with - without;
    at_most("instructions per request for lists and limits, h1", more, 2_800.0, 1_500.0, 0);
}

#[test]
fn a_guess_of_a_password_takes_as_long_whether_the_name_exists_or_not() {
    // The password is `bench`. A cost of four, the least, is so little work that what goes on beside it counts.
    let keys =
        "auth.basic = \"known:$2y$05$BLneeAoO6rgCWstxZ7RuSerMcLyi86It8YylTtKo/AnhYYkQ86QR.\"\nauth.skip = \"=/\"\n";
    // What goes on beside a guess differs from run to run. What a name costs would be in every pair.
    let is_same = (0..PAIRS_OF_GUESSES).any(|_| {
        let [known, unknown] = ["known", "other"].map(|name| {
            run(async { Subject::prepare_with(keys).await.per_request(Protocol::WrongPassword(name), GUESSES).await })
                .instructions
        });
        figure(format!("instructions per wrong password: {known:.0} of a user, {unknown:.0} under an unknown name"));
        assert!(known > 500_000.0, "no hash was computed: {known:.0}");
        (known - unknown).abs() / known < 0.005
    });
    assert!(is_same, "the figures above differ");
}

#[test]
fn a_request_by_http1_allocates_nothing() {
    // Tasks in the background allocate as time passes. A request that allocates does so once at least.
    at_most("allocations per request, h1", H1.allocations, 0.2, 0.0, 2);
}

#[test]
fn a_request_by_http1_over_tls_takes_few_instructions() {
    at_most("instructions per request, h1+TLS", counted(Protocol::H1Tls).instructions, 26_000.0, 26_000.0, 0);
}

#[test]
fn a_request_by_http2_takes_few_instructions() {
    at_most("instructions per request, h2+TLS", counted(Protocol::H2Tls).instructions, 42_500.0, 42_000.0, 0);
}

#[test]
fn a_request_by_http1_makes_few_system_calls() {
    let calls = run(async { Subject::prepare().await.system_calls(Protocol::H1, REQUESTS).await });
    at_most("system calls per request, h1", calls, 4.3, 4.3, 2);
}

#[test]
fn a_long_answer_makes_few_system_calls() {
    let calls = run(async { Subject::prepare().await.system_calls(Protocol::H1TlsLong, LONG_REQUESTS).await });
    // A wide read and the write of its three records: twice for every 48 KiB.
    at_most("system calls per answer of 1 MiB, h1+TLS", calls, 60.0, 50.0, 1);
}

#[test]
fn a_connection_for_one_request_takes_few_instructions() {
    at_most("instructions per connection with one request, h1", H1_ANEW.instructions, 25_000.0, 24_000.0, 0);
}

#[test]
fn a_connection_for_one_request_allocates_little() {
    at_most("allocations per connection with one request, h1", H1_ANEW.allocations, 10.0, 9.0, 2);
}

#[test]
fn a_connection_for_one_request_makes_few_system_calls() {
    let calls = run(async { Subject::prepare().await.system_calls(Protocol::H1Anew, REQUESTS).await });
    // It is accepted, read and closed; the rest is of the request.
    at_most("system calls per connection with one request, h1", calls, 8.0, 7.5, 2);
}

#[test]
fn a_message_over_a_websocket_takes_few_instructions() {
    let instructions = counted(Protocol::WebSocket).instructions;
    at_most("instructions per message and its echo, WebSocket", instructions, 6_900.0, 6_200.0, 0);
}

#[test]
fn a_message_over_a_websocket_makes_few_system_calls() {
    // Two reads and two writes. No read tells what the one before has told, and waits are shared.
    let calls = run(async { Subject::prepare().await.system_calls(Protocol::WebSocket, REQUESTS).await });
    at_most("system calls per message and its echo, WebSocket", calls, 4.4, 4.2, 2);
}

#[test]
fn labels_of_traefik_take_little_more_than_ours() {
    let program = artifact("examples/compile");
    let [ours, traefik, neither] = ["ours", "traefik", "neither"].map(|labels| instructions(&program, labels));
    // All make the same containers; what differs is which of them are compiled.
    let [ours, traefik] =
        [ours, traefik].map(|all| f64::from(u32::try_from(all - neither).expect("below four milliards")));
    assert!(ours > 50_000_000.0, "2,000 containers were not compiled: {ours}");
    at_most("instructions to compile Traefik's labels, as a multiple of ours", traefik / ours, 1.5, 1.5, 2);
}
