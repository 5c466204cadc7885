//! Looks up hosts in a table of a given size, so that what a look-up costs can be counted.
//!
//! `lookup 10000 5000000` looks up ten hosts of a table with ten thousand, five million times, and prints
//! nanoseconds per look-up and what building took. Under callgrind, the difference between two numbers of
//! look-ups is what they cost in instructions, whatever else the machine is doing:
//!
//! ```text
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/lookup 10000 100000
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/lookup 10000 200000
//! ```
//!
//! Without arguments, it measures 10 against 10,000 hosts in turns and prints the ratio: once for the same
//! number of hosts asked for, and once for every host in turn, where the memory is what takes time.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::disallowed_methods, reason = "there is no clock to be paused here")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gangway_model::path::PathPattern;
use gangway_model::{Arrival, Entry, HostPattern, ListenerScope, Matcher, RequestView, RoutingTable};
use http::{HeaderMap, Method};

/// So many hosts are asked for in every table, so that only its size differs.
const ASKED: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().expect("a number"));
    match (arguments.next(), arguments.next()) {
        (Some(hosts), count) => {
            let count = count.unwrap_or(1_000_000);
            let began = Instant::now();
            let table = table(hosts);
            let built = began.elapsed();
            let took = look_up(&table, &spread(hosts), count);
            println!("{hosts} hosts: built in {built:?}, {:.1} ns a look-up", nanos(took, count));
        }
        (None, _) => {
            compare("ten hosts asked for", spread);
            compare("every host asked for", |hosts| (0..hosts).map(host).collect());
        }
    }
}

/// Measures both sizes in turns, so that whatever slows the machine down slows both, and compares the
/// fastest rounds.
fn compare(what: &str, asked: impl Fn(usize) -> Vec<String>) {
    const ROUNDS: usize = 40;
    const COUNT: usize = 100_000;
    let sides = [10, 10_000].map(|hosts| (table(hosts), asked(hosts)));
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (fastest, (table, asked)) in fastest.iter_mut().zip(&sides) {
            *fastest = (*fastest).min(look_up(table, asked, COUNT));
        }
    }
    let [small, large] = fastest.map(|took| nanos(took, COUNT));
    println!("{what}: 10 hosts {small:.1} ns, 10,000 hosts {large:.1} ns a look-up, ratio {:.2}", large / small);
}

fn nanos(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

fn host(number: usize) -> String {
    format!("app-{number:05}.apps.example.org")
}

/// Hosts from all over the table; one of them has a second route, however many hosts there are.
fn spread(hosts: usize) -> Vec<String> {
    (0..ASKED).map(|number| host(hosts / ASKED / 10 * 10 * number + number)).collect()
}

/// As compiling would: one exact host each, every tenth with a second route below a path, and one
/// wildcard.
fn table(hosts: usize) -> RoutingTable<usize> {
    let mut findings = Vec::new();
    let mut entries = Vec::with_capacity(hosts);
    let mut add = |host: &str, path: Option<&str>| {
        let host = HostPattern::parse(host, &mut findings).expect("a host");
        let paths = path.map(|path| PathPattern::parse(path, &mut findings).expect("a path"));
        let matcher =
            Matcher::from_lists(vec![host], paths.into_iter().collect(), &mut findings).expect("one alternative");
        let payload = entries.len();
        entries.push(Entry {
            matcher,
            scope: ListenerScope::default(),
            priority: 0,
            age: 0,
            id: format!("project/app/{payload:05}").into(),
            payload,
        });
    };
    for number in 0..hosts {
        add(&host(number), None);
        if number % 10 == 0 {
            add(&host(number), Some("/api"));
        }
    }
    add("*.apps.example.org", None);
    RoutingTable::build(entries)
}

#[inline(never)]
fn look_up(table: &RoutingTable<usize>, asked: &[String], count: usize) -> Duration {
    let headers = HeaderMap::new();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let began = Instant::now();
    let mut sum = 0;
    for host in asked.iter().cycle().take(count) {
        let request = RequestView {
            host,
            path: "/api/v1/items",
            query: "",
            method: &Method::GET,
            headers: &headers,
            client,
            arrival: Arrival::HTTPS,
        };
        sum += table.find(std::hint::black_box(&request)).map_or(0, |found| *found.route);
    }
    std::hint::black_box(sum);
    began.elapsed()
}
