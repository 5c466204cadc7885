//! Nobody can keep the others waiting: what containers may ask for is bounded, one by one and together.

mod common;

use gangway_diagnostic::Code;
use gangway_model::{
    ALTERNATIVES_IN_ALL_MAX, Compiled, Compiler, Container, FOUND_IN_ALL_MAX, FOUND_MAX, Settings, Snapshot, compile,
};

const ROUTES: usize = 255;

/// Routes with as many values as a label holds, and as many combinations as a route may have.
fn bomb(name: &str) -> Container {
    let product: Vec<String> = (0..10).map(|number| format!("(Query(`a{number}`)||Query(`b{number}`))")).collect();
    let mut bomb = common::plain(name, &[]);
    for number in 0..ROUTES {
        let rule = format!("Host(`{number}.{name}.localhost`)&&{}", product.join("&&"));
        bomb.labels.insert(format!("gangway.routes.r{number}.rule").into(), rule.into());
    }
    bomb
}

/// One with as many hosts as may be on one container, spread over its routes.
fn large(name: &str, hosts: usize) -> Container {
    let mut large = common::plain(name, &[]);
    for route in 0..hosts / 256 {
        let hosts: Vec<String> = (0..256).map(|number| format!("h{number}.r{route}.{name}")).collect();
        large.labels.insert(format!("gangway.routes.r{route}.host").into(), hosts.join(",").into());
    }
    large
}

fn compiled(containers: Vec<Container>) -> Compiled {
    let mut snapshot = Snapshot { containers, ..Snapshot::default() };
    for container in &mut snapshot.containers {
        container.id = container.name.clone();
    }
    compile(&snapshot, &Settings::default())
}

fn served(compiled: &Compiled, container: &str) -> usize {
    compiled.containers.iter().find(|report| *report.name == *container).expect("it was read").routes.len()
}

fn count(compiled: &Compiled, code: u16) -> usize {
    compiled.diagnostics.iter().filter(|found| found.code == Code(code)).count()
}

#[test]
fn a_bomb_has_few_of_its_routes_and_costs_no_other_container_any() {
    let compiled = compiled(vec![bomb("bomb"), common::plain("app", &[("gangway.host", "app.localhost")])]);
    assert_eq!((served(&compiled, "bomb"), served(&compiled, "app")), (4, 1));
    assert_eq!(count(&compiled, 146), FOUND_MAX, "and how many more is said");
    assert_eq!(count(&compiled, 15), 1);
}

#[test]
fn where_all_ask_for_too_much_those_who_ask_for_little_have_all_of_it() {
    let large_ones = ALTERNATIVES_IN_ALL_MAX / 4096 + 2;
    let mut containers: Vec<Container> = (0..large_ones).map(|number| large(&format!("l{number:02}"), 4096)).collect();
    containers.push(large("small", 512));
    containers.push(common::plain("app", &[("gangway.host", "app.localhost")]));
    let compiled = compiled(containers);
    assert_eq!((served(&compiled, "small"), served(&compiled, "app")), (2, 1));
    let of_large: Vec<usize> = (0..large_ones).map(|number| served(&compiled, &format!("l{number:02}"))).collect();
    assert!(of_large.iter().all(|routes| *routes == of_large[0] && *routes < 16), "{of_large:?}");
    assert_eq!(count(&compiled, 310), large_ones * (16 - of_large[0]));
    let finding = compiled.diagnostics.iter().find(|found| found.code == Code(310)).expect("there is one");
    assert_eq!(
        finding.place.subject(),
        Some("gangway.routes.r8.host"),
        "the last of equal routes are left out: {finding}"
    );
}

#[test]
fn who_loses_a_route_to_the_bound_keeps_its_hosts() {
    let mut snapshot = Snapshot { now: 1_000, ..Snapshot::default() };
    let add = |snapshot: &mut Snapshot, mut container: Container| {
        container.id = container.name.clone();
        snapshot.containers.push(container);
    };
    let look = |snapshot: &mut Snapshot| {
        let compiled = compile(snapshot, &Settings::default());
        snapshot.holdings = compiled.holdings.clone();
        snapshot.now += 100;
        compiled
    };
    add(&mut snapshot, large("victim", 4096));
    assert_eq!(served(&look(&mut snapshot), "victim"), 16);
    let flood = ALTERNATIVES_IN_ALL_MAX / 4096 + 2;
    (0..flood).for_each(|number| add(&mut snapshot, large(&format!("l{number:02}"), 4096)));
    let left = served(&look(&mut snapshot), "victim");
    assert!(left < 16);
    look(&mut snapshot);
    let host = "h0.r9.victim";
    let created = snapshot.now;
    add(&mut snapshot, Container { created, ..common::plain("thief", &[("gangway.host", host)]) });
    assert_eq!(served(&look(&mut snapshot), "thief"), 0, "it is there, served or not");
    snapshot.containers.retain(|container| !container.name.starts_with('l'));
    let compiled = look(&mut snapshot);
    assert_eq!((served(&compiled, "victim"), served(&compiled, "thief")), (16, 0));
}

#[test]
fn replicas_count_once() {
    let mut snapshot = Snapshot::default();
    for number in 0..ALTERNATIVES_IN_ALL_MAX / 4096 + 2 {
        let mut replica = large("shop", 4096);
        replica.labels.insert("com.docker.compose.project".into(), "shop".into());
        replica.labels.insert("com.docker.compose.service".into(), "web".into());
        replica.id = number.to_string().into();
        snapshot.containers.push(replica);
    }
    let compiled = compile(&snapshot, &Settings::default());
    assert_eq!((compiled.table.routes().len(), count(&compiled, 310)), (16, 0));
}

#[test]
fn a_thousand_mistakes_in_each_of_many_labels_are_told_briefly() {
    let wrong: String = (0..300).map(|number| format!("wrong..{number},")).collect();
    let containers = (0..110).map(|number| {
        let mut container = common::plain(&format!("wrong-{number:03}"), &[("gangway.host", "app.localhost")]);
        for route in 0..12 {
            container.labels.insert(format!("gangway.routes.r{route}.host").into(), wrong.as_str().into());
        }
        container
    });
    let compiled = compiled(containers.collect());
    let shown = compiled.diagnostics.len();
    assert!(shown <= FOUND_IN_ALL_MAX + 110, "{shown}");
    let of_each = |number| {
        let name = format!("wrong-{number:03}");
        compiled.diagnostics.iter().filter(|found| found.place.container() == Some(&*name)).count()
    };
    assert_eq!(of_each(0), of_each(109), "all have the same share");
}

#[test]
fn what_is_remembered_changes_nothing() {
    let mut compiler = Compiler::default();
    let app = |host: &str| {
        common::plain("app", &[("gangway.host", host), ("gangway.port", "80"), ("gangway.prioritty", "1")])
    };
    let moved = |mut container: Container| {
        container.attachments[0].address = None;
        container
    };
    let rounds = [
        vec![app("a.localhost"), bomb("bomb")],
        vec![app("b.localhost"), bomb("bomb")],
        vec![moved(app("b.localhost")), bomb("other")],
        vec![app("a.localhost")],
        vec![],
        vec![app("a.localhost"), bomb("bomb")],
    ];
    for containers in rounds {
        let snapshot = Snapshot { containers, ..Snapshot::default() };
        for domain in ["localhost", "home.arpa"] {
            let settings = Settings { domain: domain.into(), ..Settings::default() };
            let (fresh, kept) = (compile(&snapshot, &settings), compiler.compile(&snapshot, &settings));
            assert_eq!(common::shown(&fresh), common::shown(&kept));
        }
    }
}
