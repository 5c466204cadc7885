//! The lines about routes that come, change and go.

use gangway_model::{Container, Ended, Health, Settings, Snapshot, compile};

use super::*;

fn container(name: &str, address: &str, labels: &[(&str, &str)]) -> Container {
    let container = Container::named(name).with_labels(labels);
    match address.parse() {
        Ok(address) => container.reached_at("edge", address, 8080),
        Err(_) => container,
    }
}

fn in_state(container: Container, state: ContainerState, code: Option<i32>) -> Container {
    Container { state, ended: code.map(|code| Ended { code: Some(code), at: None }), ..container }
}

fn notes(address: &str) -> Container {
    container("shop-notes-1", address, &[("gangway.host", "notes.example.org")])
}

/// The texts of the lines.
fn logged(log: &mut RouteLog, containers: &[Container], at: Instant) -> Vec<String> {
    logged_with(PublicPorts::default(), log, containers, at)
}

fn logged_with(ports: PublicPorts, log: &mut RouteLog, containers: &[Container], at: Instant) -> Vec<String> {
    let compiled = compile(&Snapshot { containers: containers.to_vec(), ..Snapshot::default() }, &Settings::default());
    let text = |line: LogLine| match line {
        LogLine::Serving { text, .. } => text,
        LogLine::NoLonger { url, .. } => format!("no longer serving {url}"),
        LogLine::Trouble { container, text, .. } => format!("{container} {text}"),
        LogLine::Stopped { container, .. } => format!("{container} has stopped"),
        LogLine::Well { container, .. } => format!("{container} is well"),
    };
    log.lines(&compiled, &ports.into(), at, 0).into_iter().map(text).collect()
}

#[test]
fn a_route_is_logged_when_it_comes_when_it_moves_and_when_it_goes() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let minutes = |count: u64| start + Duration::from_secs(60 * count);
    // Shown by the guide on logs.
    let first = logged(&mut all, &[notes("172.20.0.3")], start);
    assert_eq!(first, [include_str!("../../../tests/log/serving.txt").trim_end()]);
    assert_eq!(logged(&mut all, &[notes("172.20.0.3")], minutes(1)), [] as [&str; 0]);
    let moved = logged(&mut all, &[notes("172.20.0.4")], minutes(2));
    assert_eq!(moved, [first[0].replace("0.3", "0.4")]);
    assert_eq!(logged(&mut all, &[], minutes(3)), ["no longer serving https://notes.example.org"]);
    assert_eq!(logged(&mut all, &[], minutes(4)), [] as [&str; 0]);
    assert_eq!(logged(&mut all, &[notes("172.20.0.3")], minutes(60)), first);
}

#[test]
fn what_befalls_a_container_is_about_the_routes_that_it_stands_or_stood_behind() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let lines = |all: &mut RouteLog, container: Container, at: Instant| {
        let containers = vec![container];
        let compiled = compile(&Snapshot { containers, ..Snapshot::default() }, &Settings::default());
        all.lines(&compiled, &PublicPorts::default().into(), at, 0)
    };
    let served = lines(&mut all, notes("172.20.0.3"), start);
    let [line] = served.as_slice() else { panic!("{served:?}") };
    let Subject::Route(id) = line.subject() else { panic!("{line:?}") };
    for (code, minutes) in [(0, 1), (3, 20)] {
        lines(&mut all, notes("172.20.0.3"), start + Duration::from_secs(60 * (minutes - 1)));
        let ended = in_state(notes(""), ContainerState::Exited, Some(code));
        let lines = lines(&mut all, ended, start + Duration::from_secs(60 * minutes));
        let about: Vec<_> = lines.iter().map(LogLine::subject).collect();
        let of_container = about.iter().find_map(|one| match one {
            Subject::Container(routes) => Some(routes.to_vec()),
            Subject::Route(_) => None,
        });
        assert_eq!(of_container, Some(vec![id.into()]), "{lines:?}");
    }
}

#[test]
fn urls_have_the_ports_that_clients_reach() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let ports = PublicPorts { http: 18080, https: 18443 };
    let labels = [("gangway.host", "plain.test"), ("gangway.path", "/x"), ("gangway.tls", "off")];
    let plain = || container("plain", "172.20.0.4", &labels);
    let lines = logged_with(ports, &mut all, &[notes("172.20.0.3"), plain()], start);
    let urls: Vec<_> = lines.iter().map(|line| line.split(' ').nth(1).unwrap_or_default()).collect();
    assert_eq!(urls, ["http://plain.test:18080/x", "https://notes.example.org:18443"]);
    // A port that becomes known later is logged, and no line says that anything ended.
    let later = PublicPorts { https: 8443, ..ports };
    let lines = logged_with(later, &mut all, &[notes("172.20.0.3"), plain()], start + PAUSE_MAX);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("serving https://notes.example.org:8443 → "), "{lines:?}");
}

/// Until the time for ports is over, no line is logged that an engine may prove wrong.
#[tokio::test(start_paused = true)]
async fn no_line_is_logged_before_the_ports_in_it_are_known() {
    let (mut tables, compiled) = gangway_publish::channel(Compiled::default());
    let (mut places, whereabouts) = gangway_publish::channel(Whereabouts::default());
    let (asked_tx, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let ports = move |place: &Whereabouts| {
        asked_tx.send((place.is_known, Instant::now())).expect("somebody listens");
        RoutePorts::default()
    };
    let metrics = gangway_proxy::Metrics::new(&prometheus::Registry::new()).expect("fresh registry");
    let changes = Changes::new(metrics.route_records(), gangway_admin::EventSink::default());
    let begun = Instant::now();
    tokio::spawn(follow(compiled, whereabouts, ports, changes));
    tables.publish(Compiled::default());
    let (is_known, at) = asked.recv().await.expect("it goes on");
    assert!(!is_known && at >= begun + PORTS_TIME, "a guess, for an engine that says nothing");
    places.publish(Whereabouts { is_known: true, ..Whereabouts::default() });
    let (is_known, at) = asked.recv().await.expect("it goes on");
    assert!(is_known && at < begun + PORTS_TIME + Duration::from_secs(1));
}

#[test]
fn another_host_ends_the_one_before() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    logged(&mut all, &[notes("172.20.0.3")], start);
    let other = container("shop-notes-1", "172.20.0.3", &[("gangway.host", "b.test"), ("gangway.tls", "off")]);
    let lines = logged(&mut all, &[other], start + PAUSE_MAX);
    assert_eq!(lines[0], "no longer serving https://notes.example.org");
    assert!(lines[1].starts_with("serving http://b.test → shop-notes-1 172.20.0.3:8080 ("), "{lines:?}");
}

#[test]
fn a_route_that_serves_nothing_is_not_logged() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let unreachable = Container { attachments: Vec::new(), ..notes("") };
    let starting = Container { health: Health::Starting, ..notes("172.20.0.3") };
    assert_eq!(logged(&mut all, &[unreachable], start), [] as [&str; 0]);
    assert_eq!(logged(&mut all, &[starting], start), [] as [&str; 0], "not before it is healthy");
    assert_eq!(logged(&mut all, &[notes("172.20.0.3")], start).len(), 1);
    let unhealthy = Container { health: Health::Unhealthy, ..notes("172.20.0.3") };
    assert_eq!(logged(&mut all, &[unhealthy], start + PAUSE_MAX), [] as [&str; 0], "its diagnostic tells that");
}

#[test]
fn a_redirection_is_logged_with_its_target() {
    let labels = [("gangway.host", "www.a.test"), ("gangway.redirect", "308 https://a.test{path}")];
    let lines = logged(&mut RouteLog::default(), &[container("www", "172.20.0.3", &labels)], Instant::now());
    assert_eq!(lines, ["serving https://www.a.test → a redirection, 308 to https://a.test{path}"]);
}

#[test]
fn a_crash_loop_is_logged_once_with_its_exit_code() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let loops = |second: u64| match second % 2 {
        0 => notes("172.20.0.3"),
        _ => in_state(notes(""), ContainerState::Restarting, Some(3)),
    };
    let lines: Vec<String> =
        (0..3600).flat_map(|second| logged(&mut all, &[loops(second)], start + Duration::from_secs(second))).collect();
    let trouble: Vec<_> = lines.iter().filter(|line| line.contains("again and again")).collect();
    assert_eq!(
        trouble,
        ["shop-notes-1 ends and is started again and again (exit code 3); see `docker logs shop-notes-1`"]
    );
    assert!(lines.len() < 25, "{} lines in an hour: {lines:#?}", lines.len());
    let well = start + Duration::from_secs(3600);
    logged(&mut all, &[loops(0)], well);
    assert!(logged(&mut all, &[loops(0)], well + WELL_TIME).contains(&"shop-notes-1 is well".to_owned()));
}

#[test]
fn a_container_that_ends_or_never_starts_is_logged_and_a_stopped_one_is_no_trouble() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let created = || in_state(notes(""), ContainerState::Created, None);
    assert_eq!(logged(&mut all, &[created()], start), [] as [&str; 0], "it may wait for another");
    assert_eq!(all.next_look, Some(start + START_TIME));
    let lines = logged(&mut all, &[created()], start + START_TIME);
    assert_eq!(lines, ["shop-notes-1 was created and never started; `docker start shop-notes-1` says why"]);
    let mut all = RouteLog::default();
    let ended = |code| in_state(notes(""), ContainerState::Exited, Some(code));
    assert_eq!(logged(&mut all, &[ended(1)], start), [] as [&str; 0], "history");
    logged(&mut all, &[notes("172.20.0.3")], start);
    let lines = logged(&mut all, &[ended(1)], start + PAUSE_MAX);
    assert!(
        lines.contains(&"shop-notes-1 has ended with exit code 1; see `docker logs shop-notes-1`".to_owned()),
        "{lines:?}"
    );
    let mut all = RouteLog::default();
    logged(&mut all, &[notes("172.20.0.3")], start);
    assert!(logged(&mut all, &[ended(143)], start + PAUSE_MAX).contains(&"shop-notes-1 has stopped".to_owned()));
}

#[test]
fn ten_thousand_routes_make_a_hundred_lines() {
    let containers: Vec<Container> = (0..10_000)
        .map(|number| {
            let host = format!("h{number}.test");
            container(&format!("c{number}"), "172.20.0.3", &[("gangway.host", &*host)])
        })
        .collect();
    let compiled = compile(&Snapshot { containers, ..Snapshot::default() }, &Settings::default());
    let lines = RouteLog::default().lines(&compiled, &RoutePorts::default(), Instant::now(), 0);
    assert_eq!(lines.len(), 10_000);
    assert_eq!(LogLine::shown(&lines), (&lines[..LINES_MAX], 10_000 - LINES_MAX));
}

#[test]
fn a_container_that_takes_the_place_of_one_with_its_name_is_recreated() {
    let (mut all, start) = (RouteLog::default(), Instant::now());
    let mut changed = |container: Container, minute: u64| {
        let snapshot = Snapshot { containers: vec![container], ..Snapshot::default() };
        let compiled = compile(&snapshot, &Settings::default());
        let lines = all.lines(&compiled, &PublicPorts::default().into(), start + Duration::from_secs(60 * minute), 0);
        lines.iter().map(|line| (line.subject().route().map(str::to_owned), line.change())).collect::<Vec<_>>()
    };
    let served = changed(notes("172.20.0.3"), 0);
    let [(Some(route), text)] = served.as_slice() else { panic!("{served:?}") };
    assert!(text.starts_with("serving https://notes.example.org → shop-notes-1 172.20.0.3:8080"), "{text}");
    let recreated = changed(Container { id: "another".into(), ..notes("172.20.0.3") }, 2);
    assert_eq!(recreated, [(Some(route.clone()), "`shop-notes-1` recreated".to_owned())]);
    let moved = changed(Container { id: "another".into(), ..notes("172.20.0.9") }, 4);
    assert!(moved[0].1.contains("172.20.0.9"), "{moved:?}");
}
