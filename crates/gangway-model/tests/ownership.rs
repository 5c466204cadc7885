//! Who holds a host over time: recreated, stopped, moved, stolen, lost and listed in any order.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gangway_model::{
    Arrival, Compiled, Container, ContainerState, EngineName, Holdings, HostCondition, RequestView, Settings, Snapshot,
    compile,
};
use http::{HeaderMap, Method};
use proptest::prelude::*;

/// An engine, and Gangway beside it, as time goes by.
struct World {
    containers: Vec<Container>,
    holdings: Holdings,
    unread: BTreeSet<EngineName>,
    released: BTreeSet<HostCondition>,
    settings: Settings,
    now: i64,
    compiled: Compiled,
}

impl World {
    fn new() -> Self {
        Self {
            containers: Vec::new(),
            holdings: Holdings::default(),
            unread: BTreeSet::new(),
            released: BTreeSet::new(),
            settings: Settings::default(),
            now: 1_000_000,
            compiled: Compiled::default(),
        }
    }

    /// A container that was created now; `owner` is `service of project`, or empty.
    fn create(&mut self, id: &str, owner: &str, labels: &[(&str, &str)]) {
        let mut container = common::plain(id, labels);
        (container.id, container.created) = (id.into(), self.now);
        if let Some((service, project)) = owner.split_once(" of ") {
            container.labels.insert("com.docker.compose.service".into(), service.into());
            container.labels.insert("com.docker.compose.project".into(), project.into());
        }
        self.containers.push(container);
        self.look();
    }

    fn set(&mut self, id: &str, state: ContainerState) {
        self.change(id, |container| {
            container.state = state;
            let is_up = matches!(state, ContainerState::Running | ContainerState::Paused);
            container.attachments[0].address = is_up.then_some(IpAddr::from([172, 20, 0, 9]));
        });
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        change(self.containers.iter_mut().find(|one| *one.id == *id).expect("it was created"));
        self.look();
    }

    fn remove(&mut self, id: &str) {
        self.containers.retain(|one| *one.id != *id);
        self.look();
    }

    fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        self.look();
    }

    /// Everything is read, in this order and the other way round.
    fn look(&mut self) {
        let mut snapshot = Snapshot {
            containers: self.containers.clone(),
            holdings: self.holdings.clone(),
            released: std::mem::take(&mut self.released),
            unread: self.unread.clone(),
            now: self.now,
            ..Snapshot::default()
        };
        let compiled = compile(&snapshot, &self.settings);
        snapshot.containers.reverse();
        let other = compile(&snapshot, &self.settings);
        assert_eq!(common::shown(&compiled), common::shown(&other), "the order of listing matters");
        assert_eq!(held(&compiled.holdings), held(&other.holdings), "the order of listing matters");
        self.holdings = compiled.holdings.clone();
        self.compiled = compiled;
    }

    /// The containers that serve a request; nobody, or the reason why not.
    fn serves(&self, host: &str, path: &str) -> String {
        let (method, headers) = (Method::GET, HeaderMap::new());
        let client = IpAddr::from([127, 0, 0, 1]);
        let request =
            RequestView { host, path, query: "", method: &method, headers: &headers, client, arrival: Arrival::HTTPS };
        let Some(found) = self.compiled.table.find(&request) else { return "nobody".into() };
        found.route.origin.join(" ")
    }

    fn told(&self) -> String {
        self.compiled.diagnostics.to_string()
    }
}

fn held(holdings: &Holdings) -> BTreeMap<String, String> {
    holdings.iter().map(|(host, holding)| (host.to_string(), format!("{holding:?}"))).collect()
}

const HOST: &str = "a.test";
const LABELS: &[(&str, &str)] = &[("gangway.host", HOST)];

/// An owner, and somebody with the same label who was refused.
fn contested() -> World {
    let mut world = World::new();
    world.create("app", "web of good", LABELS);
    world.wait(100);
    world.create("evil", "web of evil", LABELS);
    assert_eq!(world.serves(HOST, "/"), "app");
    world
}

#[test]
fn who_takes_a_whole_domain_gets_of_the_files_hosts_what_the_file_shares() {
    for (share, expected) in [("", "nobody"), ("other", "nobody"), ("other, ALL", "all"), ("*", "all")] {
        let share = if share.is_empty() { String::new() } else { format!("  share = {share}\n") };
        let text = format!("route nas\n  host = {HOST}\n  path = /api\n  upstream = http://192.0.2.9\n{share}");
        let mut world = World { settings: common::read(&text).1, ..World::new() };
        world.create("all", "web of all", &[("gangway.host", "*.test")]);
        assert_eq!((world.serves(HOST, "/"), world.serves("b.test", "/")), (expected.into(), "all".into()), "{share}");
    }
}

#[test]
fn who_takes_a_whole_domain_gets_nothing_of_a_host_that_somebody_has() {
    let mut world = World::new();
    world.create("all", "web of all", &[("gangway.host", "*.test")]);
    world.create("any", "web of any", &[("gangway.rule", "HostRegexp(`.*`)")]);
    world.create("app", "web of good", &[("gangway.host", HOST), ("gangway.path", "/api")]);
    world.create("own", "rest of good", &[("gangway.rule", "HostRegexp(`^[ab]\\.test$`) && PathPrefix(`/own`)")]);
    world.create("lone", "", &[("gangway.host", "*.test"), ("gangway.path", "/lone")]);
    let seen = |world: &World| {
        [(HOST, "/api"), (HOST, "/"), (HOST, "/own"), (HOST, "/lone"), ("b.test", "/"), ("b.test", "/lone")]
            .map(|(host, path)| world.serves(host, path))
    };
    let there = ["app", "nobody", "own", "nobody", "all", "all"];
    assert_eq!(seen(&world), there.map(str::to_owned), "{}", world.told());
    world.set("app", ContainerState::Exited);
    assert_eq!(seen(&world)[..4], ["nobody", "nobody", "own", "nobody"]);
    world.remove("own");
    world.wait(86_400);
    assert_eq!(seen(&world)[..2], ["nobody", "nobody"], "it exists");
    world.remove("app");
    world.wait(59);
    assert_eq!(seen(&world)[..2], ["nobody", "nobody"], "for a minute");
    world.wait(1);
    assert_eq!(seen(&world)[..2], ["all", "all"]);
    world.create("app", "web of good", &[("gangway.host", HOST), ("gangway.path", "/api"), ("gangway.share", "ANY")]);
    assert_eq!(seen(&world)[..2], ["app", "any"], "with whom it shares");
    world.change("app", |app| drop(app.labels.insert("gangway.share".into(), "*".into())));
    assert_eq!(seen(&world)[..2], ["app", "all"], "with all");
}

#[test]
fn a_host_is_kept_through_recreation() {
    let mut world = contested();
    world.create("app2", "web of good", LABELS);
    world.set("app", ContainerState::Exited);
    world.remove("app");
    world.wait(86_400);
    assert_eq!(world.serves(HOST, "/"), "app2");
    assert!(
        world.told().contains("is already served by container `app2` of project `good`, which has it since 1970-01-12")
    );
    // By hand: the last one goes first.
    world.remove("app2");
    world.wait(59);
    assert_eq!(world.serves(HOST, "/"), "nobody");
    assert!(world.told().contains("its last container is gone"), "{}", world.told());
    world.create("app3", "web of good", LABELS);
    assert_eq!(world.serves(HOST, "/"), "app3");
    world.wait(3600);
    assert_eq!(world.serves(HOST, "/"), "app3");
}

#[test]
fn a_host_is_kept_in_whatever_state_the_containers_are() {
    use ContainerState::{Created, Dead, Exited, Paused, Restarting, Running};
    for state in [Created, Dead, Exited, Paused, Restarting] {
        let mut world = contested();
        world.set("app", state);
        world.wait(30 * 86_400);
        assert_ne!(world.serves(HOST, "/"), "evil", "{state:?}");
        world.set("app", Running);
        assert_eq!(world.serves(HOST, "/"), "app", "{state:?}");
    }
}

#[test]
fn a_rolling_update_hands_nothing_over() {
    let mut world = World::new();
    world.create("app1", "web of good", LABELS);
    world.create("app2", "web of good", LABELS);
    world.wait(10);
    world.create("evil", "web of evil", LABELS);
    for (old, new) in [("app1", "app3"), ("app2", "app4")] {
        world.wait(10);
        world.create(new, "web of good", LABELS);
        world.remove(old);
    }
    world.wait(1000);
    assert_eq!(world.serves(HOST, "/"), "app3 app4");
}

#[test]
fn one_that_was_refused_waits_for_as_long_as_hosts_are_kept() {
    let mut world = contested();
    world.remove("app");
    world.wait(86_399);
    assert_eq!(world.serves(HOST, "/"), "nobody");
    assert!(
        world.told().contains("it is kept for service `web` of project `good` until 1970-01-13"),
        "{}",
        world.told()
    );
    world.wait(1);
    assert_eq!(world.serves(HOST, "/"), "evil");
}

#[test]
fn the_holder_returns_whenever_nobody_has_taken_its_place() {
    let mut world = contested();
    world.remove("app");
    world.wait(80_000);
    world.create("app2", "web of good", LABELS);
    assert_eq!(world.serves(HOST, "/"), "app2");
    // And if somebody has, it is the one that is refused.
    world.remove("app2");
    world.wait(61);
    world.create("moved", "web of moved", LABELS);
    world.create("app3", "web of good", LABELS);
    world.wait(1000);
    assert_eq!(world.serves(HOST, "/"), "moved");
}

#[test]
fn moving_is_easy_and_told() {
    let mut world = contested();
    world.remove("app");
    world.wait(10);
    world.create("moved", "web of renamed", LABELS);
    assert_eq!(world.serves(HOST, "/"), "nobody", "not within the minute");
    world.wait(50);
    assert_eq!(world.serves(HOST, "/"), "moved");
    let [moved] = world.compiled.moves.as_slice() else { panic!("{:?}", world.compiled.moves) };
    assert_eq!((&*moved.host, &*moved.from.to_string()), (HOST, "service `web` of project `good`"));
    assert_eq!(moved.to.to_string(), "service `web` of project `renamed`");
    world.wait(1);
    assert!(world.compiled.moves.is_empty(), "once");
    // One that was refused need only be created anew.
    world.remove("moved");
    world.wait(61);
    world.remove("evil");
    world.create("evil2", "web of evil", LABELS);
    assert_eq!(world.serves(HOST, "/"), "evil2");
}

#[test]
fn a_host_that_is_released_goes_to_the_one_that_waits() {
    let mut world = contested();
    world.released.insert(HostCondition::parse(HOST).expect("a host"));
    world.look();
    assert_eq!(world.serves(HOST, "/"), "evil");
    world.wait(1000);
    assert_eq!(world.serves(HOST, "/"), "evil", "the one that gave it up is refused now");
    assert!(world.told().contains("is already served by container `evil` of project `evil`"), "{}", world.told());
    // Nobody waits: nothing changes.
    world.remove("app");
    world.released.insert(HostCondition::parse(HOST).expect("a host"));
    world.look();
    assert_eq!(world.serves(HOST, "/"), "evil");
}

#[test]
fn a_former_host_that_is_released_is_free_at_once() {
    let mut world = contested();
    world.remove("app");
    world.wait(100);
    world.released.insert(HostCondition::parse(HOST).expect("a host"));
    world.look();
    assert_eq!(world.serves(HOST, "/"), "evil");
}

#[test]
fn nothing_is_released_while_the_engine_cannot_be_read() {
    let mut world = contested();
    world.change("evil", |container| container.engine = EngineName("other".into()));
    let before = world.holdings.clone();
    // A restart of Gangway: of the two engines only the other one answers.
    let app = world.containers.remove(0);
    world.unread.insert(EngineName::default());
    world.wait(1_000_000);
    assert_eq!(world.serves(HOST, "/"), "nobody");
    assert_eq!(held(&before).len(), held(&world.holdings).len());
    world.unread.clear();
    world.containers.push(app);
    world.wait(1);
    assert_eq!(world.serves(HOST, "/"), "app");
}

#[test]
fn paths_below_a_held_host_are_the_holders_unless_it_shares() {
    for label in [("gangway.path", "=/"), ("gangway.path", "/login"), ("gangway.priority", "1000")] {
        let mut world = World::new();
        world.create("app", "web of good", LABELS);
        world.wait(1);
        world.create("evil", "", &[LABELS[0], label]);
        assert_eq!((world.serves(HOST, "/").as_str(), world.serves(HOST, "/login").as_str()), ("app", "app"));
        assert!(world.told().contains("error[G301]"));
        world.change("app", |app| drop(app.labels.insert("gangway.share".into(), "other, evil".into())));
        let expected = if label.1 == "/login" { ["app", "evil"] } else { ["evil", "app"] };
        let expected = if label.0 == "gangway.priority" { ["app", "app"] } else { expected };
        // What the holder serves itself stays its own; `=/` it does not ask for.
        assert_eq!([world.serves(HOST, "/"), world.serves(HOST, "/login")], expected, "{label:?}");
        // A guest stays a guest while the host is kept, and never becomes its holder.
        world.remove("app");
        world.wait(3600);
        world.create("app2", "web of good", LABELS);
        assert_eq!((world.serves(HOST, "/").as_str(), world.serves(HOST, "/login").as_str()), ("app2", "app2"));
    }
}

#[test]
fn two_services_of_one_project_never_swap_what_they_both_ask_for() {
    let mut world = World::new();
    world.create("nextcloud", "nextcloud of home", LABELS);
    world.wait(1);
    world.create("jellyfin", "jellyfin of home", LABELS);
    assert!(world.told().contains("error[G302]"), "{}", world.told());
    world.wait(1);
    world.create("nextcloud2", "nextcloud of home", LABELS);
    world.remove("nextcloud");
    assert_eq!(world.serves(HOST, "/"), "nextcloud2");
    world.set("nextcloud2", ContainerState::Exited);
    world.wait(1000);
    assert_eq!(world.serves(HOST, "/"), "nobody");
    world.remove("nextcloud2");
    // A service under another name is the same project's: it need not wait.
    world.wait(1);
    world.create("cloud", "cloud of home", LABELS);
    assert_eq!(world.serves(HOST, "/"), "cloud");
}

#[test]
fn a_service_that_was_renamed_while_nobody_looked_has_its_host_at_once() {
    let mut world = World::new();
    world.create("web", "web of shop", LABELS);
    world.wait(100);
    // Gangway is away: the new one is created before Gangway can see that the old one is gone.
    world.containers.clear();
    let created = world.now;
    world.now += 50;
    world.containers = vec![{
        let mut other = World::new();
        other.now = created;
        other.create("site", "site of shop", LABELS);
        other.containers.remove(0)
    }];
    world.look();
    assert_eq!(world.serves(HOST, "/"), "site", "{}", world.told());
    // One that was refused while the old one was there waits, as before.
    let mut world = World::new();
    world.create("web", "web of shop", LABELS);
    world.wait(1);
    world.create("site", "site of shop", LABELS);
    world.wait(1);
    world.remove("web");
    assert_eq!(world.serves(HOST, "/"), "nobody");
}

#[test]
fn a_container_that_is_renamed_stays_what_it_was() {
    let mut world = World::new();
    world.create("notes", "", LABELS);
    world.wait(100);
    world.create("evil", "", LABELS);
    // What tools do that update containers: the old one is renamed, the new one gets its name.
    world.change("notes", |notes| notes.name = "notes_old".into());
    assert_eq!(world.serves(HOST, "/"), "notes_old");
    world.wait(1);
    world.create("notes-new", "", LABELS);
    world.change("notes-new", |new| new.name = "notes".into());
    assert_eq!(world.serves(HOST, "/"), "notes notes_old");
    world.remove("notes");
    world.wait(1000);
    assert_eq!(world.serves(HOST, "/"), "notes");
}

#[test]
fn one_that_cannot_be_reached_takes_nothing() {
    let mut world = World::new();
    world.create("dark", "web of dark", LABELS);
    world.change("dark", |dark| dark.attachments.clear());
    // It was reached for a moment above, so it holds the host; a world in which it never was:
    world.holdings = Holdings::default();
    world.look();
    world.wait(1);
    world.create("app", "web of good", LABELS);
    assert_eq!(world.serves(HOST, "/"), "app");
}

#[test]
fn a_route_of_the_file_goes_before_everybody_and_leaves_no_trace() {
    let mut world = contested();
    let (_, settings) = common::read("route nas\n  host = a.test\n  upstream = http://192.0.2.9:80\n");
    let without = std::mem::replace(&mut world.settings, settings);
    world.look();
    assert_eq!(world.serves(HOST, "/"), "gangway.toml", "{}", common::shown(&world.compiled));
    assert!(world.told().contains("error[G307]"), "{}", world.told());
    world.wait(1000);
    world.settings = without;
    world.look();
    assert_eq!(world.serves(HOST, "/"), "app");
}

#[test]
fn hosts_of_those_that_are_gone_do_not_fill_the_memory() {
    let mut world = World::new();
    for round in 0..60 {
        let hosts: Vec<String> = (0..40).map(|number| format!("h{number}.r{round}.test")).collect();
        world.create("churn", "web of churn", &[("gangway.host", &hosts.join(","))]);
        world.remove("churn");
        world.wait(1);
    }
    assert!(world.holdings.iter().count() <= 1000 + 40, "{}", world.holdings.iter().count());
    assert!(world.holdings.of(&HostCondition::parse("h0.r59.test").expect("a host")).is_some(), "the latest stay");
    world.wait(86_400);
    assert_eq!(world.holdings.iter().count(), 0);
}

#[test]
fn after_a_clock_that_was_wrong_a_host_is_not_kept_for_years() {
    let mut world = contested();
    world.now += 1_000_000_000;
    world.remove("app");
    world.now -= 1_000_000_000;
    world.wait(1);
    world.wait(86_400);
    assert_eq!(world.serves(HOST, "/"), "evil");
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    Create {
        project: u8,
        path: u8,
    },
    Remove {
        project: u8,
    },
    Set {
        project: u8,
        state: ContainerState,
    },
    Wait(i64),
    Unread(bool),
    /// Something happens that is not told before the next event.
    Unheard {
        project: u8,
    },
}

fn event() -> impl Strategy<Value = Event> {
    use ContainerState::{Exited, Paused, Restarting, Running};
    let state = prop::sample::select(vec![Running, Exited, Paused, Restarting]);
    let wait = prop::sample::select(vec![1, 30, 59, 60, 61, 4000, 86_400]);
    prop_oneof![
        4 => (0..3_u8, 0..3_u8).prop_map(|(project, path)| Event::Create { project, path }),
        3 => (0..3_u8).prop_map(|project| Event::Remove { project }),
        3 => (0..3_u8, state).prop_map(|(project, state)| Event::Set { project, state }),
        3 => wait.prop_map(Event::Wait),
        1 => any::<bool>().prop_map(Event::Unread),
        1 => (0..3_u8).prop_map(|project| Event::Unheard { project }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rule, by an oracle that knows nothing of tenures: a project that serves the host serves it until it
    /// has had no container for a minute; and nobody is served on a path of a host beside another one.
    #[test]
    fn whoever_serves_a_host_serves_it_until_the_rule_lets_it_go(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        let mut holder: Option<u8> = None;
        // Since when the holder has been missed, as seen by looks at a readable engine.
        let mut missed: Option<i64> = None;
        let mut number = 0;
        for event in events {
            let of = |world: &World, project: u8| -> Vec<String> {
                let prefix = format!("p{project}-");
                world.containers.iter().filter(|one| one.id.starts_with(&prefix)).map(|one| one.id.to_string()).collect()
            };
            match event {
                Event::Create { project, path } => {
                    number += 1;
                    let path = ["/", "=/", "/x"][usize::from(path)];
                    let labels = [("gangway.host", HOST), ("gangway.path", path)];
                    if world.unread.is_empty() {
                        world.create(&format!("p{project}-{number}"), &format!("web of p{project}"), &labels);
                    }
                }
                Event::Remove { project } => {
                    if let Some(id) = of(&world, project).first() && world.unread.is_empty() {
                        world.remove(id);
                    }
                }
                Event::Set { project, state } => {
                    if let Some(id) = of(&world, project).first() && world.unread.is_empty() {
                        world.set(id, state);
                    }
                }
                Event::Wait(seconds) => world.wait(seconds),
                Event::Unread(unread) => {
                    world.unread = unread.then(EngineName::default).into_iter().collect();
                    world.look();
                }
                Event::Unheard { project } => {
                    if let Some(id) = of(&world, project).first().cloned() {
                        world.containers.retain(|one| *one.id != *id);
                    }
                    continue;
                }
            }
            world.look();
            let projects: BTreeSet<char> = ["/", "/x", "/x/y", "/z"]
                .iter()
                .map(|path| world.serves(HOST, path))
                .filter(|served| served != "nobody")
                .flat_map(|served| served.split(' ').map(|id| id.chars().nth(1).expect("a project")).collect::<Vec<_>>())
                .collect();
            prop_assert!(projects.len() <= 1, "two serve one host: {projects:?}");
            let serving = projects.first().map(|project| *project as u8 - b'0');
            if let Some(holder) = holder {
                let exists = !of(&world, holder).is_empty();
                if exists || !world.unread.is_empty() {
                    if exists { missed = None; }
                    prop_assert!(serving.is_none_or(|serving| serving == holder), "p{holder} was pushed out by {serving:?}");
                } else {
                    let missed = *missed.get_or_insert(world.now);
                    if world.now < missed + 60 {
                        prop_assert!(serving.is_none(), "within the minute");
                    }
                }
            }
            if let Some(serving) = serving && Some(serving) != holder {
                (holder, missed) = (Some(serving), None);
            }
        }
    }
}
