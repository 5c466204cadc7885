//! What to order, ask and wait for: a pure function of a moment.
//!
//! It holds us within the CAs' limits by itself, so that no bug elsewhere can spend a budget that
//! takes a week to come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use super::failure::{Failure, FailureKind};
use super::held::Held;
use super::journal::{Journal, Renewal};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// Orders under way at once. More would finish no sooner: validation is what takes time.
const ORDERS_MAX: usize = 8;

/// Questions under way at once; with thousands of certificates they are asked one after the other.
const ASKS_MAX: usize = 4;

/// Orders begun within ten seconds, and within three hours; Let's Encrypt allows 300 in three hours.
const STARTS_SOON_MAX: usize = 10;
const STARTS_MAX: usize = 250;

/// Certificates for one name within a week. Let's Encrypt gives five, and one is kept for a person.
const SAME_NAME_MAX: usize = 4;

/// Certificates below one domain within a week. Let's Encrypt gives fifty.
const SAME_DOMAIN_MAX: usize = 40;

/// After so many failures in a row the next attempt waits so long: at most five in the first hour, which is
/// what Let's Encrypt allows. The second comes soon, since it tries another challenge.
const RETRY: [i64; 9] = [5, 5 * MINUTE, 15 * MINUTE, 40 * MINUTE, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY];

/// The same for a CA that does not answer, which costs no budget.
const RETRY_CA: [i64; 5] = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR];

/// An order lives for a week at most CAs; an older one is not taken up again.
const ORDER_LIFETIME: i64 = 5 * DAY;

/// So often the same CA is asked about a name before the next one is, where the next would find the same.
const ATTEMPTS_BEFORE_NEXT_CA: u32 = 3;

/// Another instance has an order under way; it is looked at again after this.
pub(crate) const BUSY_ELSEWHERE: i64 = 10;

/// What does not change from one moment to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// Directories of the CAs, in the order in which they are asked.
    pub(crate) directories: Vec<Box<str>>,
    /// Domains below which one certificate with a star is used.
    pub(crate) wildcards: Vec<Box<str>>,
    /// DNS-01 can be answered.
    pub(crate) has_dns: bool,
}

/// What is known about the certificate for a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameState {
    pub(crate) held: Option<Held>,
    pub(crate) journal: Journal,
    /// Not before then, for reasons that are not written down: another instance is at it, or the CA has no
    /// renewal information.
    pub(crate) order_after: i64,
    pub(crate) ask_after: i64,
}

/// What is known about a CA.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaState {
    pub(crate) failures: u32,
    /// Not before then.
    pub(crate) next: i64,
    pub(crate) last: Option<Failure>,
}

/// What a schedule is made from.
pub(crate) struct Moment<'a> {
    pub(crate) policy: &'a Policy,
    /// Names that need a certificate of a public CA.
    pub(crate) wanted: &'a BTreeSet<Box<str>>,
    /// By the name of the certificate.
    pub(crate) states: &'a BTreeMap<Box<str>, NameState>,
    /// By directory.
    pub(crate) cas: &'a HashMap<Box<str>, CaState>,
    /// Certificates that something is being done about.
    pub(crate) running: &'a BTreeSet<Box<str>>,
    /// When orders were begun, the latest last.
    pub(crate) starts: &'a [i64],
    /// What is ordered can be kept.
    pub(crate) can_store: bool,
}

/// What to do.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) tasks: Vec<Task>,
    /// By which certificate each wanted name is served, or will be.
    pub(crate) served_by: BTreeMap<Box<str>, Box<str>>,
    /// What cannot be ordered as things are, and why.
    pub(crate) refused: BTreeMap<Box<str>, Refusal>,
    /// When a certificate is to be renewed or tried again, by its name.
    pub(crate) due: BTreeMap<Box<str>, i64>,
    /// By when, in seconds since the epoch, another schedule would look different.
    pub(crate) next: i64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Get a certificate.
    Order(Order),
    /// Ask the CA when it would like this one renewed.
    AskRenewal { name: Box<str> },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Order {
    /// Of the certificate.
    pub(crate) name: Box<str>,
    /// What it is to carry.
    pub(crate) names: Vec<Box<str>>,
    pub(crate) directory: Box<str>,
    /// The certificate that it is to take the place of, as the CA calls it.
    pub(crate) replaces: Option<Box<str>>,
    /// How often it has failed at this CA.
    pub(crate) failures: u32,
}

/// Why a name cannot be ordered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// A star needs DNS-01.
    NeedsDns,
    /// No CA could sign for it.
    NotPublic,
    /// Too many certificates for it in the last week.
    Budget,
    /// What is ordered could not be kept.
    Storage,
}

/// Decides about every wanted name.
pub(crate) fn schedule(moment: &Moment<'_>, now: i64) -> Schedule {
    let mut schedule = Schedule { next: i64::MAX, ..Schedule::default() };
    let mut certificates: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
    for name in moment.wanted {
        match moment.certificate_for(name, now) {
            Ok((certificate, names)) => {
                schedule.served_by.insert(name.clone(), certificate.clone());
                certificates.insert(certificate, names);
            }
            Err(refusal) => drop(schedule.refused.insert(name.clone(), refusal)),
        }
    }
    let mut due = Vec::new();
    for (name, names) in certificates {
        schedule.consider(moment, name, names, now, &mut due);
    }
    schedule.begin(moment, due, now);
    schedule
}

/// An order that may begin now, and what speaks for it before others.
struct Due {
    order: Order,
    /// Names without any certificate first, then those that have failed least, then what ends first.
    precedence: (bool, u32, i64),
    counts_for_budget: bool,
}

impl NameState {
    /// Notes what the CA suggests.
    pub(crate) fn learn(&mut self, name: &str, renewal: Renewal) {
        let before = self.journal.renewal.as_ref().filter(|known| known.id == renewal.id);
        if before.is_some_and(|known| renewal.end < known.start) {
            let explanation = renewal.explanation.as_deref().unwrap_or("no reason is given");
            tracing::warn!(name, explanation, "the CA wants the certificate renewed earlier");
        }
        self.journal.renewal = Some(renewal);
    }
}

impl Schedule {
    fn consider(&mut self, moment: &Moment<'_>, name: Box<str>, names: Vec<Box<str>>, now: i64, due: &mut Vec<Due>) {
        let unknown = NameState::default();
        let state = moment.states.get(&name).unwrap_or(&unknown);
        if moment.running.contains(&name) {
            return;
        }
        // A certificate is only good for what it carries now.
        let held = state.held.as_ref().filter(|held| names.iter().all(|name| held.bundle.names.contains(name)));
        if let Some(held) = held {
            let at = renewal_time(held, state.journal.renewal.as_ref());
            if at > now {
                self.due.insert(name.clone(), at);
                self.look_again_at(at, now);
                self.ask_renewal(moment, name, state, held, now);
                return;
            }
        }
        let directory = match moment.choose_ca(state, now) {
            Ok(directory) => directory,
            Err(later) => {
                self.due.insert(name, later);
                return self.look_again_at(later, now);
            }
        };
        let journal = &state.journal;
        let attempts = journal.attempts.get(&directory);
        let replaces = held.filter(|held| held.directory == directory && !held.account.is_empty());
        let replaces =
            replaces.and_then(|held| held.id.as_ref()).filter(|_| !attempts.is_some_and(|all| all.without_replaces));
        let is_valid = held.is_some_and(|held| held.bundle.is_valid_at(now));
        let is_first = journal.order.is_none();
        if is_first
            && replaces.is_none()
            && journal.issued.iter().filter(|time| now - **time < WEEK).count() >= SAME_NAME_MAX
        {
            let later = journal.issued.iter().filter(|time| now - **time < WEEK).min().map_or(now, |time| time + WEEK);
            self.refused.insert(name.clone(), Refusal::Budget);
            self.due.insert(name, later);
            return self.look_again_at(later, now);
        }
        // Never spend an order on what the next restart would forget, unless the need is pressing.
        let is_pressing = held.is_some_and(|held| now >= held.bundle.not_after - lifetime(held) / 4);
        if !moment.can_store && !is_pressing {
            self.refused.insert(name, Refusal::Storage);
            return;
        }
        let failures = attempts.map_or(0, |attempts| attempts.failures);
        let precedence = (is_valid, failures, held.map_or(0, |held| held.bundle.not_after));
        let replaces = replaces.map(|id| id.to_string().into());
        let counts_for_budget = replaces.is_none() && is_first;
        due.push(Due { order: Order { name, names, directory, replaces, failures }, precedence, counts_for_budget });
    }

    /// Begins as many orders as the CAs' limits and ours allow.
    fn begin(&mut self, moment: &Moment<'_>, mut due: Vec<Due>, now: i64) {
        due.sort_by(|a, b| (a.precedence, &a.order.name).cmp(&(b.precedence, &b.order.name)));
        let since = |span: i64| moment.starts.iter().filter(|start| now - **start < span).count();
        let room_soon = STARTS_SOON_MAX.saturating_sub(since(10));
        let room = STARTS_MAX.saturating_sub(since(3 * HOUR)).min(room_soon);
        let mut domains: HashMap<String, usize> = HashMap::new();
        for (name, state) in moment.states {
            let week = state.journal.issued.iter().filter(|time| now - **time < WEEK).count();
            *domains.entry(registered_domain(name)).or_default() += week;
        }
        let mut free = ORDERS_MAX.saturating_sub(moment.running.len()).min(room);
        for Due { order, counts_for_budget, .. } in due {
            let of_domain = domains.entry(registered_domain(&order.name)).or_default();
            if counts_for_budget && *of_domain >= SAME_DOMAIN_MAX {
                self.due.insert(order.name.clone(), now + HOUR);
                self.refused.insert(order.name, Refusal::Budget);
                self.look_again_at(now + HOUR, now);
            } else if free == 0 {
                // An order that ends wakes us as well; this is for the throttle.
                self.look_again_at(now + if room == 0 { 10 } else { 60 }, now);
            } else {
                free -= 1;
                *of_domain += usize::from(counts_for_budget);
                self.tasks.push(Task::Order(order));
            }
        }
    }

    fn ask_renewal(&mut self, moment: &Moment<'_>, name: Box<str>, state: &NameState, held: &Held, now: i64) {
        let Some(id) = &held.id else { return };
        if !moment.policy.directories.contains(&held.directory) {
            return;
        }
        let known = state.journal.renewal.as_ref().filter(|renewal| *renewal.id == *id.to_string());
        let at = known.map_or(0, |renewal| renewal.ask_again).max(state.ask_after);
        if at > now {
            self.look_again_at(at, now);
        } else if self.tasks.len() + moment.running.len() < ASKS_MAX {
            self.tasks.push(Task::AskRenewal { name });
        }
    }

    fn look_again_at(&mut self, time: i64, now: i64) {
        self.next = self.next.min(time.max(now + 1));
    }
}

impl Moment<'_> {
    /// The certificate that serves a name, and all names that it is to carry.
    fn certificate_for(&self, name: &str, now: i64) -> Result<(Box<str>, Vec<Box<str>>), Refusal> {
        let base = name.strip_prefix("*.").unwrap_or(name);
        let parent = base.split_once('.').map_or("", |(_, parent)| parent);
        let configured = |domain: &str| domain == base || !name.starts_with("*.") && domain == parent;
        let domain = self.policy.wildcards.iter().find(|domain| configured(domain));
        if let Some(domain) = domain.filter(|_| self.policy.has_dns) {
            let star: Box<str> = format!("*.{domain}").into();
            return Ok((star.clone(), vec![star, domain.clone()]));
        }
        // One that is there already, however it came, serves as long as it lasts.
        let star: Box<str> = format!("*.{parent}").into();
        let held = self.states.get(&star).and_then(|state| Some((state, state.held.as_ref()?)));
        if let Some((state, held)) = held.filter(|(_, held)| held.bundle.is_valid_at(now) && held.bundle.carries(name))
            && (self.policy.has_dns || now < renewal_time(held, state.journal.renewal.as_ref()))
        {
            return Ok((star.clone(), vec![star]));
        }
        if !is_orderable(base) {
            return Err(Refusal::NotPublic);
        }
        if name.starts_with("*.") && !self.policy.has_dns {
            return Err(Refusal::NeedsDns);
        }
        Ok((name.into(), vec![name.into()]))
    }

    /// The CA to ask now, or when there will be one.
    fn choose_ca(&self, state: &NameState, now: i64) -> Result<Box<str>, i64> {
        if state.order_after > now {
            return Err(state.order_after);
        }
        let open = state.journal.order.as_ref().filter(|order| now - order.begun < ORDER_LIFETIME);
        let ready_at = |directory: &str| {
            let attempts = state.journal.attempts.get(directory).map_or(0, |attempts| attempts.next);
            self.cas.get(directory).map_or(0, |ca| ca.next).max(attempts)
        };
        // What was begun is finished where it was begun.
        if let Some(order) = open.filter(|order| self.policy.directories.contains(&order.directory)) {
            let at = ready_at(&order.directory);
            return if at > now { Err(at) } else { Ok(order.directory.clone()) };
        }
        let mut earliest = i64::MAX;
        for directory in &self.policy.directories {
            let at = ready_at(directory);
            if at <= now {
                return Ok(directory.clone());
            }
            earliest = earliest.min(at);
            let attempts = state.journal.attempts.get(directory);
            let is_of_the_name = attempts.is_some_and(|attempts| {
                attempts.failures < ATTEMPTS_BEFORE_NEXT_CA
                    && attempts.last.as_ref().is_some_and(|failure| failure.kind.is_of_the_name())
            });
            if is_of_the_name {
                break;
            }
        }
        Err(earliest)
    }
}

/// When to order the next certificate: when the CA suggests, else with a third of its time left, or half
/// of it where it has less than ten days.
pub(crate) fn renewal_time(held: &Held, renewal: Option<&Renewal>) -> i64 {
    let lifetime = lifetime(held);
    let left = if lifetime < 10 * DAY { lifetime / 2 } else { lifetime / 3 };
    // A week after a hundred certificates were ordered at once they must not all be ordered at once again.
    let early = spread(&held.bundle.serial, lifetime / 50);
    let by_lifetime = held.bundle.not_after - left - early;
    let id = held.id.as_ref().map(ToString::to_string);
    match renewal.filter(|renewal| id.as_deref() == Some(&*renewal.id)) {
        // The same moment each time, as long as the window is the same.
        Some(renewal) => {
            let chosen =
                renewal.start + spread(&(&renewal.id, renewal.start, renewal.end), renewal.end - renewal.start);
            // A CA that suggests the last minute is not to be trusted with it.
            chosen.min(held.bundle.not_after - lifetime / 20)
        }
        None => by_lifetime,
    }
}

/// How long to wait after so many failures in a row, the last of which was of this kind.
pub(crate) fn retry_time(name: &str, failures: u32, kind: FailureKind, retry_at: Option<i64>, now: i64) -> i64 {
    let at_least = match kind {
        FailureKind::Rejected | FailureKind::NoChallenge => DAY,
        FailureKind::Caa | FailureKind::RateLimited => HOUR,
        _ => 0,
    };
    let delay = after(&RETRY, failures).max(at_least);
    let delay = match kind {
        // A volume is soon mended, and costs no budget.
        FailureKind::Storage => MINUTE,
        // One restart is no fault of the name's; many are somebody's.
        FailureKind::Interrupted if failures <= 1 => 2,
        _ => delay,
    };
    let at = now + delay + spread(&(name, failures), delay / 10);
    retry_at.map_or(at, |told| at.max(told))
}

/// How long to leave a CA alone that has failed so often in a row.
pub(crate) fn retry_ca_time(directory: &str, failures: u32, retry_at: Option<i64>, now: i64) -> i64 {
    let delay = after(&RETRY_CA, failures);
    let at = now + delay + spread(&(directory, failures), delay / 10);
    retry_at.map_or(at, |told| at.max(told))
}

fn after(table: &[i64], failures: u32) -> i64 {
    let index = (failures.max(1) as usize - 1).min(table.len() - 1);
    table[index]
}

/// A number from 0 to `range`, always the same for the same thing.
fn spread(of: &impl std::hash::Hash, range: i64) -> i64 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(of);
    if range <= 0 { 0 } else { (hash % range.unsigned_abs()) as i64 }
}

fn lifetime(held: &Held) -> i64 {
    held.bundle.not_after - held.bundle.not_before
}

/// Whether a public CA could sign for it: a name below a public domain, or a public address.
fn is_orderable(name: &str) -> bool {
    if let Ok(address) = name.parse::<IpAddr>() {
        return !gangway_tls::is_internal(name) && !address.is_unspecified() && !address.is_multicast();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && !gangway_tls::is_internal(name)
        && name.rsplit('.').next().is_some_and(|top| !top.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The domain that a CA counts by. The list of all public suffixes is deliberately not here: counting by
/// too wide a domain only delays who gets more than forty certificates a week.
fn registered_domain(name: &str) -> String {
    let name = name.strip_prefix("*.").unwrap_or(name);
    if name.parse::<IpAddr>().is_ok() {
        return name.to_owned();
    }
    let labels: Vec<&str> = name.rsplit('.').collect();
    let second = labels.get(1).copied().unwrap_or_default();
    // `example.co.uk`, and names that a dynamic DNS service gives away.
    let is_shared = labels[0].len() == 2
        && matches!(second, "co" | "com" | "net" | "org" | "gov" | "edu" | "ac" | "or" | "ne")
        || SHARED_DOMAINS.iter().any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    let count = if is_shared { 3 } else { 2 };
    labels[..labels.len().min(count)].iter().rev().copied().collect::<Vec<_>>().join(".")
}

/// Where everybody has a name of their own.
const SHARED_DOMAINS: [&str; 14] = [
    "duckdns.org",
    "dynv6.net",
    "ddns.net",
    "hopto.org",
    "zapto.org",
    "no-ip.org",
    "dedyn.io",
    "freeddns.org",
    "mooo.com",
    "myds.me",
    "synology.me",
    "spdns.de",
    "selfhost.eu",
    "ipv64.net",
];

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use gangway_tls::{Bundle, InternalCa, Origin, Scope};

    use super::*;
    use crate::acme::held::CertificateId;
    use crate::acme::journal::OpenOrder;

    const NOW: i64 = 1_700_000_000;
    const CA: &str = "https://ca.test/dir";
    const OTHER: &str = "https://other.test/dir";

    fn held(name: &str, directory: &str, not_before: i64, not_after: i64) -> Held {
        static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
            let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
            ca.issue("a.test", NOW).expect("signs")
        });
        let bundle = Bundle {
            key: Arc::clone(&BUNDLE.key),
            names: vec![name.into()],
            issuer: "a CA".into(),
            serial: format!("{name}{not_before}").into(),
            not_before,
            not_after,
            origin: Origin::Acme,
            private: Arc::clone(&BUNDLE.private),
        };
        let id = CertificateId { authority: "aki".into(), serial: format!("{name}-{not_before}") };
        Held { bundle: Arc::new(bundle), directory: directory.into(), account: "acct".into(), id: Some(id) }
    }

    /// A world in which orders end at once.
    struct World {
        policy: Policy,
        wanted: BTreeSet<Box<str>>,
        states: BTreeMap<Box<str>, NameState>,
        cas: HashMap<Box<str>, CaState>,
        running: BTreeSet<Box<str>>,
        starts: Vec<i64>,
        can_store: bool,
        now: i64,
        /// Of what is issued.
        lifetime: i64,
        orders: Vec<(i64, Order)>,
    }

    impl World {
        fn new(names: &[&str]) -> Self {
            Self {
                policy: Policy { directories: vec![CA.into(), OTHER.into()], ..Policy::default() },
                wanted: names.iter().map(|name| Box::from(*name)).collect(),
                states: BTreeMap::new(),
                cas: HashMap::new(),
                running: BTreeSet::new(),
                starts: Vec::new(),
                can_store: true,
                now: NOW,
                lifetime: 90 * DAY,
                orders: Vec::new(),
            }
        }

        fn schedule(&self) -> Schedule {
            let moment = Moment {
                policy: &self.policy,
                wanted: &self.wanted,
                states: &self.states,
                cas: &self.cas,
                running: &self.running,
                starts: &self.starts,
                can_store: self.can_store,
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

        /// One turn of the worker; `outcome` says what comes of an order, and `renewal` what the CA suggests.
        fn turn(
            &mut self,
            outcome: impl Fn(&Order) -> Result<(), FailureKind>,
            renewal: impl Fn(&Held, i64) -> Option<Renewal>,
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
                                state.held = Some(held(&order.name, &order.directory, now, now + lifetime));
                                state.journal.succeed(now);
                            }
                            Err(kind) => {
                                let next = retry_time(&order.name, order.failures + 1, kind, None, now);
                                state.journal.fail(&order.directory, Failure::new(kind, "no"), next);
                            }
                        }
                        self.orders.push((now, order));
                    }
                    Task::AskRenewal { name } => {
                        let state = self.state(&name);
                        match state.held.as_ref().and_then(|held| renewal(held, now)) {
                            Some(renewal) => state.learn(&name, renewal),
                            None => state.ask_after = now + DAY,
                        }
                    }
                }
            }
            // A task that ends makes the worker look again at once.
            if is_idle {
                self.now = schedule.next.clamp(self.now + 1, self.now + HOUR);
            }
        }

        fn most_within(&self, span: i64) -> usize {
            let times: Vec<i64> = self.orders.iter().map(|(time, _)| *time).collect();
            times
                .iter()
                .map(|start| times.iter().filter(|time| (*start..*start + span).contains(*time)).count())
                .max()
                .unwrap_or(0)
        }
    }

    fn no_suggestion(_: &Held, _: i64) -> Option<Renewal> {
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
                    .all(|state| state.held.as_ref().is_some_and(|held| held.bundle.is_valid_at(world.now)));
                assert!(all && world.states.len() == 2, "at {}", world.now - NOW);
            }
            let per_name = world.orders.len() / 2;
            assert!((least..=most).contains(&per_name), "{per_name} certificates in a year of {lifetime}");
        }
    }

    #[test]
    fn the_ca_says_when_to_renew_and_what_is_replaced() {
        let mut world = World::new(&["a.example.org"]);
        let (start, end) = (NOW + 20 * DAY, NOW + 21 * DAY);
        let suggest = |held: &Held, now: i64| {
            let id = held.id.as_ref().expect("has one").to_string().into();
            Some(Renewal { id, start, end, explanation: None, ask_again: now + 6 * HOUR })
        };
        while world.orders.len() < 2 {
            world.turn(|_| Ok(()), suggest);
        }
        let (at, order) = &world.orders[1];
        assert!((start..=end + HOUR).contains(at));
        assert_eq!(order.replaces.as_deref(), Some(&*format!("aki.a.example.org-{NOW}")));
        assert_eq!(world.orders[0].1.replaces, None);
    }

    #[test]
    fn a_suggestion_that_moves_into_the_past_is_followed_at_once() {
        let mut world = World::new(&["a.example.org"]);
        world.turn(|_| Ok(()), no_suggestion);
        assert!(world.ordered().is_empty());
        let id = world.states["a.example.org"]
            .held
            .as_ref()
            .and_then(|held| held.id.as_ref())
            .expect("has one")
            .to_string()
            .into();
        world.state("a.example.org").learn(
            "a.example.org",
            Renewal {
                id,
                start: NOW - DAY,
                end: NOW - HOUR,
                explanation: Some("revoked".into()),
                ask_again: NOW + DAY,
            },
        );
        assert_eq!(world.ordered(), ["a.example.org"]);
    }

    #[test]
    fn a_suggestion_too_late_is_not_followed() {
        let held = held("a.example.org", CA, NOW, NOW + 90 * DAY);
        let id: Box<str> = held.id.as_ref().expect("has one").to_string().into();
        let late = Renewal { id, start: NOW + 200 * DAY, end: NOW + 201 * DAY, explanation: None, ask_again: 0 };
        assert!(renewal_time(&held, Some(&late)) < NOW + 87 * DAY);
        let of_another = Renewal { id: "x.y".into(), ..late };
        assert!(renewal_time(&held, Some(&of_another)) <= NOW + 60 * DAY);
    }

    #[test]
    fn the_moment_within_a_window_is_always_the_same_and_not_the_same_for_all() {
        let window = |name: &str| {
            let held = held(name, CA, NOW, NOW + 90 * DAY);
            let id = held.id.as_ref().expect("has one").to_string().into();
            let renewal = Renewal { id, start: NOW + 30 * DAY, end: NOW + 40 * DAY, explanation: None, ask_again: 0 };
            renewal_time(&held, Some(&renewal))
        };
        assert_eq!(window("a.example.org"), window("a.example.org"));
        let all: BTreeSet<i64> = (0..50).map(|number| window(&format!("n{number}.example.org"))).collect();
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
        let is_bad = |order: &Order| order.name.contains("n7");
        while world.now < NOW + HOUR {
            world.turn(|order| if is_bad(order) { Err(FailureKind::Dns) } else { Ok(()) }, no_suggestion);
        }
        let issued = world.states.values().filter(|state| state.held.is_some()).count();
        assert_eq!(issued, 200 - 11);
        let took = world.orders.iter().filter(|(_, order)| !is_bad(order)).map(|(time, _)| time - NOW).max();
        assert!(took.is_some_and(|took| took < 600), "{took:?}");
        assert!(world.most_within(10) <= STARTS_SOON_MAX && world.most_within(3 * HOUR) <= STARTS_MAX);
    }

    #[test]
    fn one_domain_cannot_spend_more_than_its_share_of_a_week() {
        let names: Vec<String> = (0..100).map(|number| format!("n{number}.example.org")).collect();
        let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        while world.now < NOW + 6 * DAY {
            world.turn(|_| Ok(()), no_suggestion);
        }
        assert_eq!(world.orders.len(), SAME_DOMAIN_MAX);
        assert!(world.schedule().refused.values().all(|refusal| *refusal == Refusal::Budget));
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
            world.state(name).held = Some(held(name, CA, NOW - 89 * DAY, NOW + DAY));
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
            // Somebody takes the files away.
            world.state("a.example.org").held = None;
            world.turn(|_| Ok(()), no_suggestion);
        }
        assert_eq!(world.orders.len(), SAME_NAME_MAX);
        assert_eq!(world.schedule().refused.get("a.example.org"), Some(&Refusal::Budget));
    }

    #[test]
    fn the_next_ca_is_asked_at_once_where_the_first_is_at_fault_and_later_where_the_name_is() {
        for (kind, asked_at_once) in
            [(FailureKind::RateLimited, true), (FailureKind::Rejected, true), (FailureKind::Dns, false)]
        {
            let mut world = World::new(&["a.example.org"]);
            world.turn(|_| Err(kind), no_suggestion);
            let next = world.schedule().tasks;
            let directory =
                next.iter().find_map(|task| if let Task::Order(order) = task { Some(&*order.directory) } else { None });
            assert_eq!(directory, asked_at_once.then_some(OTHER), "{kind:?}");
        }
        let mut world = World::new(&["a.example.org"]);
        while world.orders.iter().all(|(_, order)| *order.directory != *OTHER) {
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
        assert!(retry_time("a", 1, FailureKind::RateLimited, Some(NOW + 1), NOW) >= NOW + HOUR);
        assert_eq!(retry_ca_time(CA, 1, Some(NOW + DAY), NOW), NOW + DAY);
    }

    #[test]
    fn an_order_under_way_is_finished_where_it_was_begun() {
        let mut world = World::new(&["a.example.org"]);
        world.state("a.example.org").journal.order = Some(OpenOrder {
            directory: OTHER.into(),
            url: "https://other.test/order/1".into(),
            key: "k".into(),
            begun: NOW - HOUR,
        });
        let directory = |world: &World| match world.schedule().tasks.pop() {
            Some(Task::Order(order)) => order.directory,
            other => panic!("{other:?}"),
        };
        assert_eq!(&*directory(&world), OTHER);
        world.now = NOW + 30 * DAY;
        assert_eq!(&*directory(&world), CA, "an old one is given up");
    }

    #[test]
    fn a_wildcard_that_is_configured_serves_all_names_below_it() {
        let mut world =
            World::new(&["a.example.org", "b.example.org", "example.org", "x.y.example.org", "example.net"]);
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
        world.state("*.example.org").held = Some(held("*.example.org", "", NOW - DAY, NOW + 89 * DAY));
        assert!(world.ordered().is_empty());
        world.now = NOW + 80 * DAY;
        assert_eq!(world.ordered(), ["a.example.org"], "it cannot be renewed without DNS-01");
    }

    #[test]
    fn names_that_no_ca_signs_for_are_not_asked_for() {
        let names = [
            "bad_name.example.org",
            "-a.example.org",
            "nodots",
            "a.local",
            "10.0.0.1",
            "1.2.3",
            "*.example.org",
            "a..org",
        ];
        let world = World::new(&names);
        let schedule = world.schedule();
        assert!(schedule.tasks.is_empty());
        assert_eq!(schedule.refused.len(), names.len());
        assert_eq!(schedule.refused["*.example.org"], Refusal::NeedsDns);
        assert_eq!(World::new(&["192.0.2.1", "2001:db8::1", "xn--bcher-kva.example"]).ordered().len(), 3);
    }

    #[test]
    fn nothing_is_ordered_that_could_not_be_kept_unless_the_need_is_pressing() {
        let mut world = World::new(&["a.example.org", "b.example.org", "c.example.org"]);
        world.can_store = false;
        world.state("b.example.org").held = Some(held("b.example.org", CA, NOW - 61 * DAY, NOW + 29 * DAY));
        world.state("c.example.org").held = Some(held("c.example.org", CA, NOW - 80 * DAY, NOW + 10 * DAY));
        assert_eq!(world.ordered(), ["c.example.org"]);
    }

    #[test]
    fn names_without_a_certificate_come_before_renewals() {
        let names: Vec<String> = (0..30).map(|number| format!("old{number}.d{number}.org")).collect();
        let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
        all.push("zzz.example.org");
        let mut world = World::new(&all);
        for name in &names {
            world.state(name).held = Some(held(name, CA, NOW - 70 * DAY, NOW + 20 * DAY));
        }
        assert_eq!(world.ordered()[0], "zzz.example.org");
        assert!(world.ordered().len() <= ORDERS_MAX);
    }

    #[test]
    fn a_refused_replacement_is_not_asked_for_again() {
        let mut world = World::new(&["a.example.org"]);
        world.state("a.example.org").held = Some(held("a.example.org", CA, NOW - 70 * DAY, NOW + 20 * DAY));
        let replaces = |world: &World| match world.schedule().tasks.pop() {
            Some(Task::Order(order)) => order.replaces,
            other => panic!("{other:?}"),
        };
        assert!(replaces(&world).is_some());
        world.state("a.example.org").journal.attempts.entry(CA.into()).or_default().without_replaces = true;
        assert!(replaces(&world).is_none());
        let imported = Held { account: "".into(), ..held("a.example.org", CA, NOW - 70 * DAY, NOW + 20 * DAY) };
        *world.state("a.example.org") = NameState { held: Some(imported), ..NameState::default() };
        assert!(replaces(&world).is_none(), "another account ordered it");
    }

    #[test]
    fn a_clock_that_jumps_gives_no_burst_of_orders() {
        let mut world = World::new(&["a.example.org"]);
        world.turn(|_| Ok(()), no_suggestion);
        for jump in [-365 * DAY, 91 * DAY] {
            let mut jumped = World { now: NOW + jump, ..World::new(&["a.example.org"]) };
            jumped.states.clone_from(&world.states);
            for _ in 0..20 {
                jumped.turn(|_| Ok(()), no_suggestion);
            }
            assert!(jumped.orders.len() <= 1, "{} orders after {jump}", jumped.orders.len());
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
}
