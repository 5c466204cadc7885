//! The schedule over a year of simulated time, in a world in which orders end at once.

use std::sync::{Arc, LazyLock};

use gangway_tls::{Bundle, InternalCa, Origin, Scope};

use super::units::MINUTE;
use super::*;
use crate::failure::FailureKind;
use crate::order_history::OpenOrder;
use crate::stored_certificate::CertificateId;

const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
const CA: &str = "https://ca.test/dir";
const OTHER: &str = "https://other.test/dir";

fn stored(name: &str, directory: &str, not_before: UnixTime, not_after: UnixTime) -> StoredCertificate {
    static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        ca.issue("a.test", NOW).expect("signs")
    });
    let bundle = Bundle {
        key: Arc::clone(&BUNDLE.key),
        names: vec![name.into()],
        issuer: "a CA".into(),
        serial: format!("{name}{}", not_before.seconds()).into(),
        not_before,
        not_after,
        chain: Arc::default(),
        origin: Origin::Acme,
        private: Arc::clone(&BUNDLE.private),
    };
    let id = CertificateId { authority: "aki".into(), serial: format!("{name}-{}", not_before.seconds()) };
    StoredCertificate { bundle: Arc::new(bundle), directory: directory.into(), account: "acct".into(), id: Some(id) }
}

/// A world in which orders end at once.
struct World {
    policy: SchedulePolicy,
    chosen: BTreeMap<Box<str>, DirectoryUrl>,
    wanted: BTreeSet<Box<str>>,
    on_demand: BTreeMap<Box<str>, UnixTime>,
    states: BTreeMap<Box<str>, NameState>,
    cas: HashMap<DirectoryUrl, CaState>,
    running: BTreeSet<Box<str>>,
    starts: Vec<UnixTime>,
    can_store: bool,
    may_lose: bool,
    now: UnixTime,
    /// The lifetime of issued certificates.
    lifetime: Duration,
    orders: Vec<(UnixTime, CertificateOrder)>,
    /// The questions whether a certificate may be renewed, with their times.
    asked: Vec<(UnixTime, Box<str>)>,
}

impl World {
    fn new(names: &[&str]) -> Self {
        Self {
            policy: SchedulePolicy { directories: vec![CA.into(), OTHER.into()], ..SchedulePolicy::default() },
            chosen: BTreeMap::new(),
            wanted: names.iter().map(|name| Box::from(*name)).collect(),
            on_demand: BTreeMap::new(),
            states: BTreeMap::new(),
            cas: HashMap::new(),
            running: BTreeSet::new(),
            starts: Vec::new(),
            can_store: true,
            may_lose: false,
            now: NOW,
            lifetime: 90 * DAY,
            orders: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn schedule(&self) -> Schedule {
        let moment = ScheduleInput {
            policy: &self.policy,
            chosen: &self.chosen,
            wanted: &self.wanted,
            on_demand: &self.on_demand,
            states: &self.states,
            cas: &self.cas,
            running: &self.running,
            starts: &self.starts,
            can_store: self.can_store,
            may_lose: self.may_lose,
        };
        schedule(&moment, self.now)
    }

    fn ordered(&self) -> Vec<String> {
        let tasks = self.schedule().tasks.into_iter();
        tasks
            .filter_map(|task| if let Task::Order(order) = task { Some(order.name.to_string()) } else { None })
            .collect()
    }

    fn state(&mut self, name: &str) -> &mut NameState {
        self.states.entry(name.into()).or_default()
    }

    /// Runs one turn of the worker; `outcome` gives the outcome of an order, and `renewal` the CA's suggestion.
    fn turn(
        &mut self,
        outcome: impl Fn(&CertificateOrder) -> Result<(), FailureKind>,
        renewal: impl Fn(&StoredCertificate, UnixTime) -> Option<Renewal>,
    ) {
        let schedule = self.schedule();
        let is_idle = schedule.tasks.is_empty();
        for task in schedule.tasks {
            let now = self.now;
            match task {
                Task::Order(order) => {
                    self.starts.push(now);
                    let lifetime = self.lifetime;
                    let state = self.state(&order.name);
                    match outcome(&order) {
                        Ok(()) => {
                            state.stored = Some(stored(&order.name, order.directory.as_str(), now, now + lifetime));
                            state.history.succeed(now);
                        }
                        Err(kind) => {
                            let next = retry_time(&order.name, order.failures + 1, kind, None, now);
                            state.history.fail(&order.directory, Failure::new(kind, "no"), next);
                        }
                    }
                    self.orders.push((now, order));
                }
                Task::AskPermission { name, again } => {
                    self.state(&name).permission_after = again;
                    self.asked.push((now, name));
                }
                Task::AskRenewal { name } => {
                    let state = self.state(&name);
                    match state.stored.as_ref().and_then(|stored| renewal(stored, now)) {
                        Some(renewal) => state.learn(&name, renewal),
                        None => state.ask_after = now + DAY,
                    }
                }
            }
        }
        // A task that ends makes the worker look again at once.
        if is_idle {
            self.now = schedule.next.clamp(self.now + Duration::from_secs(1), self.now + HOUR);
        }
    }

    fn most_within(&self, span: Duration) -> usize {
        let times: Vec<UnixTime> = self.orders.iter().map(|(time, _)| *time).collect();
        times
            .iter()
            .map(|start| times.iter().filter(|time| (*start..*start + span).contains(*time)).count())
            .max()
            .unwrap_or(0)
    }
}

fn no_suggestion(_: &StoredCertificate, _: UnixTime) -> Option<Renewal> {
    None
}

#[test]
fn a_year_of_renewals_never_lets_one_end() {
    for (lifetime, least, most) in [(90 * DAY, 6, 8), (45 * DAY, 12, 15), (160 * HOUR, 100, 120)] {
        let mut world = World::new(&["a.example.org", "b.example.net"]);
        world.lifetime = lifetime;
        while world.now < NOW + 365 * DAY {
            world.turn(|_| Ok(()), no_suggestion);
            let all = world
                .states
                .values()
                .all(|state| state.stored.as_ref().is_some_and(|stored| stored.bundle.is_valid_at(world.now)));
            assert!(all && world.states.len() == 2, "at {:?}", world.now.since(NOW));
        }
        let per_name = world.orders.len() / 2;
        assert!((least..=most).contains(&per_name), "{per_name} certificates in a year of {lifetime:?}");
    }
}

#[test]
fn the_ca_says_when_to_renew_and_what_is_replaced() {
    let mut world = World::new(&["a.example.org"]);
    let (start, end) = (NOW + 20 * DAY, NOW + 21 * DAY);
    let suggest = |stored: &StoredCertificate, now: UnixTime| {
        let id = stored.id.as_ref().expect("has one").to_string().into();
        Some(Renewal { id, start, end, explanation: None, ask_again: now + 6 * HOUR })
    };
    while world.orders.len() < 2 {
        world.turn(|_| Ok(()), suggest);
    }
    let (at, order) = &world.orders[1];
    assert!((start..=end + HOUR).contains(at));
    assert_eq!(order.replaces.as_deref(), Some(&*format!("aki.a.example.org-{}", NOW.seconds())));
    assert_eq!(world.orders[0].1.replaces, None);
}

#[test]
fn a_suggestion_that_moves_into_the_past_is_followed_at_once() {
    let mut world = World::new(&["a.example.org"]);
    world.turn(|_| Ok(()), no_suggestion);
    assert!(world.ordered().is_empty());
    let id = world.states["a.example.org"]
        .stored
        .as_ref()
        .and_then(|stored| stored.id.as_ref())
        .expect("has one")
        .to_string()
        .into();
    world.state("a.example.org").learn(
        "a.example.org",
        Renewal { id, start: NOW - DAY, end: NOW - HOUR, explanation: Some("revoked".into()), ask_again: NOW + DAY },
    );
    assert_eq!(world.ordered(), ["a.example.org"]);
}

#[test]
fn a_suggestion_too_late_is_not_followed() {
    let stored = stored("a.example.org", CA, NOW, NOW + 90 * DAY);
    let id: Box<str> = stored.id.as_ref().expect("has one").to_string().into();
    let late =
        Renewal { id, start: NOW + 200 * DAY, end: NOW + 201 * DAY, explanation: None, ask_again: UnixTime::EPOCH };
    assert!(renewal_time(&stored, Some(&late)) < NOW + 87 * DAY);
    let of_another = Renewal { id: "x.y".into(), ..late };
    assert!(renewal_time(&stored, Some(&of_another)) <= NOW + 60 * DAY);
}

#[test]
fn the_moment_within_a_window_is_always_the_same_and_not_the_same_for_all() {
    let window = |name: &str| {
        let stored = stored(name, CA, NOW, NOW + 90 * DAY);
        let id = stored.id.as_ref().expect("has one").to_string().into();
        let renewal =
            Renewal { id, start: NOW + 30 * DAY, end: NOW + 40 * DAY, explanation: None, ask_again: UnixTime::EPOCH };
        renewal_time(&stored, Some(&renewal))
    };
    assert_eq!(window("a.example.org"), window("a.example.org"));
    let all: BTreeSet<UnixTime> = (0..50).map(|number| window(&format!("n{number}.example.org"))).collect();
    assert!(all.len() > 40);
}

#[test]
fn what_fails_is_tried_at_most_five_times_in_the_first_hour_and_once_a_day_in_the_end() {
    let mut world = World::new(&["a.example.org"]);
    world.policy.directories = vec![CA.into()];
    while world.now < NOW + 30 * DAY {
        world.turn(|_| Err(FailureKind::Connection), no_suggestion);
    }
    assert!(world.most_within(HOUR) <= 5, "{}", world.most_within(HOUR));
    let last_week = world.orders.iter().filter(|(time, _)| *time > NOW + 23 * DAY).count();
    assert!((5..=8).contains(&last_week), "{last_week}");
}

#[test]
fn two_hundred_names_at_once_stay_within_every_limit_and_the_failing_ones_block_nobody() {
    let names: Vec<String> = (0..200).map(|number| format!("n{number}.d{number}.org")).collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let is_bad = |order: &CertificateOrder| order.name.contains("n7");
    while world.now < NOW + HOUR {
        world.turn(|order| if is_bad(order) { Err(FailureKind::Dns) } else { Ok(()) }, no_suggestion);
    }
    let issued = world.states.values().filter(|state| state.stored.is_some()).count();
    assert_eq!(issued, 200 - 11);
    let took = world.orders.iter().filter(|(_, order)| !is_bad(order)).map(|(time, _)| time.since(NOW)).max();
    assert!(took.is_some_and(|took| took < 10 * MINUTE), "{took:?}");
    assert!(world.most_within(Duration::from_secs(10)) <= STARTS_SOON_MAX && world.most_within(3 * HOUR) <= STARTS_MAX);
}

#[test]
fn one_domain_cannot_spend_more_than_its_share_of_a_week() {
    let names: Vec<String> = (0..100).map(|number| format!("n{number}.example.org")).collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    while world.now < NOW + 6 * DAY {
        world.turn(|_| Ok(()), no_suggestion);
    }
    assert_eq!(world.orders.len(), SAME_DOMAIN_MAX);
    assert!(world.schedule().refused.values().all(|refusal| *refusal == OrderRefusal::Budget));
    while world.now < NOW + 8 * DAY {
        world.turn(|_| Ok(()), no_suggestion);
    }
    assert_eq!(world.orders.len(), 2 * SAME_DOMAIN_MAX, "and then the next ones");
}

#[test]
fn renewals_that_replace_cost_no_share() {
    let names: Vec<String> = (0..60).map(|number| format!("n{number}.example.org")).collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        world.state(name).stored = Some(stored(name, CA, NOW - 89 * DAY, NOW + DAY));
    }
    while world.now < NOW + HOUR {
        world.turn(|_| Ok(()), no_suggestion);
    }
    assert_eq!(world.orders.len(), 60);
}

#[test]
fn a_name_that_is_issued_again_and_again_is_stopped_before_the_ca_does() {
    let mut world = World::new(&["a.example.org"]);
    for _ in 0..100 {
        // The files are removed from the volume.
        world.state("a.example.org").stored = None;
        world.turn(|_| Ok(()), no_suggestion);
    }
    assert_eq!(world.orders.len(), SAME_NAME_MAX);
    assert_eq!(world.schedule().refused.get("a.example.org"), Some(&OrderRefusal::Budget));
}

#[test]
fn the_next_ca_is_asked_at_once_where_the_first_is_at_fault_and_later_where_the_name_is() {
    for (kind, asked_at_once) in
        [(FailureKind::RateLimited, true), (FailureKind::Rejected, true), (FailureKind::Dns, false)]
    {
        let mut world = World::new(&["a.example.org"]);
        world.turn(|_| Err(kind), no_suggestion);
        let next = world.schedule().tasks;
        let directory = next
            .iter()
            .find_map(|task| if let Task::Order(order) = task { Some(order.directory.as_str()) } else { None });
        assert_eq!(directory, asked_at_once.then_some(OTHER), "{kind:?}");
    }
    let mut world = World::new(&["a.example.org"]);
    while world.orders.iter().all(|(_, order)| order.directory.as_str() != OTHER) {
        world.turn(|_| Err(FailureKind::Dns), no_suggestion);
    }
    assert_eq!(world.orders.len() as u32, ATTEMPTS_BEFORE_NEXT_CA + 1);
}

#[test]
fn a_ca_that_is_down_is_left_alone_by_every_name() {
    let mut world = World::new(&["a.example.org", "b.example.org"]);
    world.policy.directories = vec![CA.into()];
    world.cas.insert(CA.into(), CaState { failures: 1, next: NOW + HOUR, last: None });
    assert!(world.ordered().is_empty());
    assert_eq!(world.schedule().next, NOW + HOUR);
    world.now = NOW + HOUR;
    assert_eq!(world.ordered().len(), 2);
}

#[test]
fn what_the_ca_says_about_coming_back_is_kept_exactly_where_it_is_later() {
    assert_eq!(retry_time("a", 1, FailureKind::RateLimited, Some(NOW + 5 * DAY), NOW), NOW + 5 * DAY);
    assert!(retry_time("a", 1, FailureKind::RateLimited, Some(NOW + Duration::from_secs(1)), NOW) >= NOW + HOUR);
    assert_eq!(retry_ca_time(CA, 1, Some(NOW + DAY), NOW), NOW + DAY);
}

#[test]
fn an_order_under_way_is_finished_where_it_was_begun() {
    let mut world = World::new(&["a.example.org"]);
    let order = OpenOrder { url: "https://other.test/order/1".into(), key: "k".into(), begun: NOW - HOUR };
    world.state("a.example.org").history.orders.insert(OTHER.into(), order);
    let directory = |world: &World| match world.schedule().tasks.pop() {
        Some(Task::Order(order)) => order.directory,
        other => panic!("{other:?}"),
    };
    assert_eq!(directory(&world).as_str(), OTHER);
    world.now = NOW + 30 * DAY;
    assert_eq!(directory(&world).as_str(), CA, "an old one is given up");
}

#[test]
fn an_order_whose_ca_cannot_serve_now_pins_nothing_and_is_taken_up_again() {
    let mut world = World::new(&["a.example.org"]);
    let order = OpenOrder { url: "https://ca.test/order/1".into(), key: "k".into(), begun: NOW - MINUTE };
    world.state("a.example.org").history.orders.insert(CA.into(), order.clone());
    let directory = |world: &World| match world.schedule().tasks.pop() {
        Some(Task::Order(order)) => order.directory,
        other => panic!("{other:?}"),
    };
    assert_eq!(directory(&world).as_str(), CA);
    world.cas.insert(CA.into(), CaState { failures: 1, next: NOW + HOUR, last: None });
    assert_eq!(directory(&world).as_str(), OTHER, "the CA is down");
    world.cas.insert(OTHER.into(), CaState { failures: 1, next: NOW + HOUR, last: None });
    assert_eq!(world.schedule().next, NOW + HOUR, "so are both");
    world.cas.clear();
    assert_eq!(directory(&world).as_str(), CA, "and it serves again");
    let next = NOW + 40 * MINUTE;
    let attempts = world.state("a.example.org");
    attempts.history.fail(&CA.into(), Failure::new(FailureKind::Confused, "took too long"), next);
    assert_eq!(attempts.history.orders[&CA.into()], order);
    assert_eq!(directory(&world).as_str(), OTHER, "the name is not to be asked for there yet");
}

#[test]
fn what_is_wrong_here_sends_nobody_to_the_next_ca() {
    for kind in [FailureKind::Storage, FailureKind::Interrupted] {
        let mut world = World::new(&["a.example.org"]);
        world.turn(|_| Err(kind), no_suggestion);
        assert!(world.schedule().tasks.is_empty(), "{kind:?}");
    }
}

#[test]
fn a_wildcard_that_is_configured_serves_all_names_below_it() {
    let mut world = World::new(&["a.example.org", "b.example.org", "example.org", "x.y.example.org", "example.net"]);
    world.policy.wildcards = vec!["example.org".into()];
    let mut without_dns = world.ordered();
    without_dns.sort();
    assert_eq!(without_dns.len(), 5, "it needs DNS-01: {without_dns:?}");
    world.policy.has_dns = true;
    let schedule = world.schedule();
    assert_eq!(&*schedule.served_by["a.example.org"], "*.example.org");
    assert_eq!(&*schedule.served_by["example.org"], "*.example.org");
    assert_eq!(&*schedule.served_by["x.y.example.org"], "x.y.example.org");
    let star = schedule.tasks.iter().find_map(|task| match task {
        Task::Order(order) if order.name.starts_with('*') => Some(order.names.clone()),
        _ => None,
    });
    assert_eq!(star, Some(vec!["*.example.org".into(), "example.org".into()]));
    assert_eq!(schedule.tasks.len(), 3);
}

#[test]
fn a_wildcard_that_is_there_serves_as_long_as_it_lasts() {
    let mut world = World::new(&["a.example.org"]);
    world.state("*.example.org").stored = Some(stored("*.example.org", "", NOW - DAY, NOW + 89 * DAY));
    assert!(world.ordered().is_empty());
    world.now = NOW + 80 * DAY;
    assert_eq!(world.ordered(), ["a.example.org"], "it cannot be renewed without DNS-01");
}

#[test]
fn names_that_no_ca_signs_for_are_not_asked_for() {
    let names =
        ["bad_name.example.org", "-a.example.org", "nodots", "a.local", "10.0.0.1", "1.2.3", "*.example.org", "a..org"];
    let world = World::new(&names);
    let schedule = world.schedule();
    assert!(schedule.tasks.is_empty());
    assert_eq!(schedule.refused.len(), names.len());
    assert_eq!(schedule.refused["*.example.org"], OrderRefusal::NeedsDns);
    assert_eq!(World::new(&["192.0.2.1", "2001:db8::1", "xn--bcher-kva.example"]).ordered().len(), 3);
}

#[test]
fn nothing_is_ordered_that_could_not_be_kept_unless_the_need_is_pressing() {
    let mut world = World::new(&["a.example.org", "b.example.org", "c.example.org"]);
    world.can_store = false;
    world.state("b.example.org").stored = Some(stored("b.example.org", CA, NOW - 61 * DAY, NOW + 29 * DAY));
    world.state("c.example.org").stored = Some(stored("c.example.org", CA, NOW - 80 * DAY, NOW + 10 * DAY));
    assert!(world.ordered().is_empty(), "whoever is started again and again would order each time");
    world.may_lose = true;
    assert_eq!(world.ordered(), ["c.example.org"]);
}

#[test]
fn names_without_a_certificate_come_before_renewals() {
    let names: Vec<String> = (0..30).map(|number| format!("old{number}.d{number}.org")).collect();
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.push("zzz.example.org");
    let mut world = World::new(&all);
    for name in &names {
        world.state(name).stored = Some(stored(name, CA, NOW - 70 * DAY, NOW + 20 * DAY));
    }
    assert_eq!(world.ordered()[0], "zzz.example.org");
    assert!(world.ordered().len() <= ORDERS_MAX);
}

#[test]
fn a_refused_replacement_is_not_asked_for_again() {
    let mut world = World::new(&["a.example.org"]);
    world.state("a.example.org").stored = Some(stored("a.example.org", CA, NOW - 70 * DAY, NOW + 20 * DAY));
    let replaces = |world: &World| match world.schedule().tasks.pop() {
        Some(Task::Order(order)) => order.replaces,
        other => panic!("{other:?}"),
    };
    assert!(replaces(&world).is_some());
    world.state("a.example.org").history.attempts.entry(CA.into()).or_default().without_replaces = true;
    assert!(replaces(&world).is_none());
    let imported =
        StoredCertificate { account: "".into(), ..stored("a.example.org", CA, NOW - 70 * DAY, NOW + 20 * DAY) };
    *world.state("a.example.org") = NameState { stored: Some(imported), ..NameState::default() };
    assert!(replaces(&world).is_none(), "another account ordered it");
}

#[test]
fn a_clock_that_jumps_gives_no_burst_of_orders() {
    let mut world = World::new(&["a.example.org"]);
    world.turn(|_| Ok(()), no_suggestion);
    for now in [NOW - 365 * DAY, NOW + 91 * DAY] {
        let mut jumped = World { now, ..World::new(&["a.example.org"]) };
        jumped.states.clone_from(&world.states);
        for _ in 0..20 {
            jumped.turn(|_| Ok(()), no_suggestion);
        }
        assert!(jumped.orders.len() <= 1, "{} orders at {now:?}", jumped.orders.len());
    }
}

#[test]
fn cas_count_by_registered_domains() {
    let cases = [
        ("a.b.example.org", "example.org"),
        ("*.example.org", "example.org"),
        ("a.example.co.uk", "example.co.uk"),
        ("me.duckdns.org", "me.duckdns.org"),
        ("www.me.duckdns.org", "me.duckdns.org"),
        ("192.0.2.1", "192.0.2.1"),
    ];
    for (name, domain) in cases {
        assert_eq!(registered_domain(name), domain);
    }
}

#[test]
fn what_nobody_has_listed_is_ordered_while_it_is_permitted_and_renewed_only_if_it_is_again() {
    let mut world = World::new(&[]);
    world.policy.directories = vec![CA.into()];
    world.on_demand.insert("a.example.org".into(), NOW + HOUR);
    assert_eq!(world.ordered(), ["a.example.org"]);
    world.turn(|_| Ok(()), no_suggestion);
    // The worker lists the name so once the permit is over.
    world.on_demand.insert("a.example.org".into(), UnixTime::EPOCH);
    while world.now < NOW + 80 * DAY {
        world.turn(|_| Ok(()), no_suggestion);
    }
    assert_eq!(world.orders.len(), 1, "nobody has permitted another");
    let first = world.asked[0].0.since(NOW);
    assert!((57 * DAY..=60 * DAY).contains(&first), "asked when it is due, not before: {first:?}");
    assert!(world.asked.windows(2).all(|pair| pair[1].0.since(pair[0].0) >= HOUR), "and not more often than each hour");
    let now = world.now;
    world.on_demand.insert("a.example.org".into(), now + HOUR);
    assert_eq!(world.ordered(), ["a.example.org"]);
}

#[test]
fn what_somebody_has_listed_comes_before_what_strangers_want() {
    let mut world = World::new(&["zzz.example.org"]);
    for number in 0..30 {
        world.on_demand.insert(format!("a{number}.d{number}.org").into(), NOW + HOUR);
    }
    assert_eq!(world.ordered()[0], "zzz.example.org");
    assert_eq!(world.ordered().len(), ORDERS_MAX);
}

#[test]
fn a_wildcard_that_is_on_its_way_serves_what_is_wanted_below_it() {
    let mut world = World::new(&["*.example.org"]);
    world.policy.has_dns = true;
    world.on_demand.insert("a.example.org".into(), NOW + HOUR);
    assert_eq!(world.ordered(), ["*.example.org"]);
}

#[test]
fn a_domain_below_which_everybody_has_a_name_is_nobodys_site() {
    for (name, is_shared) in [
        ("co.uk", true),
        ("duckdns.org", true),
        ("me.duckdns.org", false),
        ("example.org", false),
        ("example.uk", false),
    ] {
        assert_eq!(is_shared_domain(name), is_shared, "{name}");
    }
}

#[test]
fn a_name_for_which_a_ca_is_chosen_is_ordered_there_alone() {
    let mut world = World::new(&["a.example.org", "b.example.org"]);
    world.chosen.insert("a.example.org".into(), OTHER.into());
    let directories = |world: &World| -> Vec<String> {
        let tasks = world.schedule().tasks.into_iter();
        let directory = |task| if let Task::Order(order) = task { Some(order.directory.to_string()) } else { None };
        tasks.filter_map(directory).collect()
    };
    assert_eq!(directories(&world), [OTHER, CA]);
    world.policy.only_chosen.insert(CA.into());
    assert_eq!(directories(&world), [OTHER, OTHER], "nobody has chosen the first");
    world.cas.insert(OTHER.into(), CaState { next: NOW + DAY, ..CaState::default() });
    assert_eq!(directories(&world), Vec::<String>::new(), "the chosen one fails, and no other is asked");
}
