//! What one container costs the others: `cargo run --release -p gangway-model --example bombs [CONTAINERS [NAME]]`.
//!
//! Beside so many ordinary containers stands one whose labels ask for as much as labels can. Printed is how long
//! compiling takes: from nothing, and again after another container was started.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gangway_model::{Compiler, Container, Health, Settings, Snapshot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUTES: usize = 255;
const ROUNDS: usize = 3;

#[expect(clippy::print_stdout, reason = "it measures, for people")]
fn main() {
    let containers = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    println!("{:<34} {:>12} {:>12} {:>10} {:>9}", "one container with", "from nothing", "another", "slots", "findings");
    let wanted = std::env::args().nth(2).unwrap_or_default();
    for (name, labels) in bombs().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let mut snapshot = Snapshot { containers: (0..containers).map(ordinary).collect(), ..Snapshot::default() };
        snapshot.containers.push(container("bomb", 1_000_000, labels));
        let settings = Settings::default();
        let mut compiler = Compiler::default();
        let (first, mut compiled) = timed(|| compiler.compile(&snapshot, &settings));
        let mut again = Duration::MAX;
        for round in 0..ROUNDS {
            let number = 2_000_000 + i64::try_from(round).expect("few");
            snapshot.containers.push(container(
                &format!("new-{round}"),
                number,
                host(&format!("new-{round}.localhost")),
            ));
            snapshot.holdings = compiled.holdings;
            let time;
            (time, compiled) = timed(|| compiler.compile(&snapshot, &settings));
            again = again.min(time);
        }
        let slots: usize = compiled.table.routes().iter().map(|route| route.hosts.len()).sum();
        println!("{name:<34} {first:>12.2?} {again:>12.2?} {slots:>10} {:>9}", compiled.diagnostics.len());
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = act();
    (start.elapsed(), done)
}

type Labels = Vec<(String, String)>;

fn host(host: &str) -> Labels {
    vec![("gangway.host".into(), host.into())]
}

/// 255 routes with one key each.
fn routes(key: &str, value: impl Fn(usize) -> String) -> Labels {
    (0..ROUTES).map(|number| (format!("gangway.routes.r{number}.{key}"), value(number))).collect()
}

/// As much of a text as one label holds.
fn filled(begin: &str, part: impl Fn(usize) -> String, join: &str, end: &str) -> String {
    let mut value = begin.to_owned();
    for number in 0.. {
        let part = part(number);
        if value.len() + join.len() + part.len() + end.len() > 4096 {
            break;
        }
        if number > 0 {
            value.push_str(join);
        }
        value.push_str(&part);
    }
    value + end
}

fn bombs() -> Vec<(&'static str, Labels)> {
    let query = |number: usize| format!("(Query(`a{number}`)||Query(`b{number}`))");
    let product: Vec<String> = (0..10).map(query).collect();
    let product = product.join("&&");
    let rule = |name: &str| filled(&format!("Host(`{name}`) && ("), |n| format!("Query(`q{n}`)"), "||", ")");
    vec![
        ("one host", host("bomb.localhost")),
        ("products, one host", routes("rule", |_| format!("Host(`q.localhost`)&&{product}"))),
        ("products, hosts", routes("rule", |number| format!("Host(`q{number}.localhost`)&&{product}"))),
        ("a product too many", routes("rule", |_| format!("Host(`q`)&&{product}&&(Query(`c`)||Query(`d`))"))),
        ("long rules, one host", routes("rule", |_| rule("q.localhost"))),
        ("hosts", routes("host", |number| filled("", |n| format!("h{n}.r{number}.localhost"), ",", ""))),
        ("short hosts", routes("host", |number| filled("", |n| format!("h{n}-{number}"), ",", ""))),
        ("hosts and paths", {
            let mut labels =
                routes("host", |number| filled("", |n| format!("h{}.r{number}.localhost", n % 30), ",", ""));
            labels.truncate(127);
            labels.extend(routes("path", |_| filled("", |n| format!("/p{}", n % 30), ",", "")).into_iter().take(127));
            labels
        }),
        ("wrong hosts", routes("host", |_| filled("", |n| format!("h_{n}..x"), ",", ""))),
        ("wildcards and any domain", routes("host", |number| filled("", |n| format!("a{n}-{number}.*"), ",", ""))),
        (
            "expressions in rules",
            routes("rule", |number| {
                filled("Host(`q.localhost`)&&(", |n| format!("PathRegexp(`^/{number}-{n}x+`)"), "||", ")")
            }),
        ),
        (
            "large expressions",
            routes("path", |number| filled("", |n| format!("~^/{number}-{n}[a-z]{{1,300}}"), "\n", "")),
        ),
        ("expressions too large", routes("path", |number| format!("~{number}{}", "(a{1,1000}){1,1000}".repeat(200)))),
        ("unicode classes", routes("path", |number| format!("~{number}{}", r"\p{L}".repeat(800)))),
        ("unicode without case", routes("path", |number| format!("~(?i){number}{}", r"\p{L}".repeat(800)))),
        ("negated unicode sets", routes("path", |number| format!("~(?i){number}{}", r"[\p{L}--\p{Lu}]".repeat(250)))),
        ("nested sets", routes("path", |number| format!("~{number}{}{}", "[".repeat(200), "]".repeat(200)))),
        ("rewritings", routes("rewrite", |number| format!("~^/{number}{} -> /", "[a-z]{1,300}"))),
        (
            "allowed clients",
            routes("rule", |_| {
                filled("Host(`q.localhost`)&&ClientIP(", |n| format!("`10.{}.{}.0/24`", n / 256, n % 256), ",", ")")
            }),
        ),
        ("priorities", routes("priority", |number| number.to_string())),
        ("unknown keys", routes("hots", |_| "x".repeat(4096))),
        ("labels of 4 KiB elsewhere", (0..ROUTES).map(|n| (format!("org.example.{n}"), "x".repeat(4096))).collect()),
    ]
}

fn ordinary(number: u16) -> Container {
    let labels = [
        ("com.docker.compose.project", format!("project-{number}")),
        ("com.docker.compose.service", "web".to_owned()),
        ("com.docker.compose.config-hash", "0123456789abcdef".repeat(4)),
        ("com.docker.compose.oneoff", "False".to_owned()),
        ("gangway.host", format!("app-{number}.example.org, www.app-{number}.example.org")),
        ("gangway.path", "/app".to_owned()),
        ("gangway.port", "8080".to_owned()),
        ("gangway.strip-prefix", "true".to_owned()),
        ("gangway.response.header.X-Frame-Options", "DENY".to_owned()),
    ];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    container(&format!("project-{number}-web-1"), i64::from(number), labels)
}

fn container(name: &str, created: i64, labels: Labels) -> Container {
    Container {
        id: format!("{name}-{created}").into(),
        image: "registry.example/team/app:1.2.3".into(),
        created,
        health: Health::Healthy,
        labels: labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        ..Container::named(name).reached_at("edge", IpAddr::V4(Ipv4Addr::new(172, 20, 0, 3)), 8080)
    }
}
