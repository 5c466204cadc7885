//! The schedule of orders, questions and waits: a pure function of the present state.
//!
//! The schedule alone keeps gangway within the CAs' limits, so that no bug in other modules can spend a budget that
//! takes a week to come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use gangway_tls::{CertName, UnixTime, without_star};

use crate::directory_url::DirectoryUrl;
use crate::failure::Failure;
use crate::order_history::{OrderHistory, Renewal};
use crate::stored_certificate::StoredCertificate;

mod names;
mod times;
mod units;

use names::registered_domain;
pub(crate) use names::{is_orderable, is_shared_domain};
use times::lifetime;
pub(crate) use times::{interrupted, renewal_time, retry_ca_time, retry_time};
use units::{DAY, HOUR, MINUTE, WEEK};

/// Orders under way at once. More would finish no sooner: validation takes most of the time.
const ORDERS_MAX: usize = 8;

/// Questions under way at once; with thousands of certificates they are asked one after the other.
const ASKS_MAX: usize = 4;

/// Orders begun within ten seconds, and within three hours; Let's Encrypt allows 300 in three hours.
const STARTS_SOON_MAX: usize = 10;
const STARTS_MAX: usize = 250;

/// Certificates for one name within a week. Let's Encrypt allows five, and one is reserved for a person.
const SAME_NAME_MAX: usize = 4;

/// Certificates below one domain within a week. Let's Encrypt allows fifty.
const SAME_DOMAIN_MAX: usize = 40;

/// An order lives for a week at most CAs; an older one is not resumed.
const ORDER_LIFETIME: Duration = DAY.saturating_mul(5);

/// Attempts at one CA before the next CA is asked for the name, if the next one would meet the same failure.
const ATTEMPTS_BEFORE_NEXT_CA: u32 = 3;

/// A name whose renewal was not permitted is asked about again after this.
const ASK_PERMISSION_EVERY: Duration = HOUR;

/// The pause before a look at an order that another instance has under way.
pub(crate) const BUSY_ELSEWHERE: Duration = Duration::from_secs(10);

/// The settings of the schedule, which do not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct SchedulePolicy {
    /// Directories of the CAs, in the order in which they are asked.
    pub(crate) directories: Vec<DirectoryUrl>,
    /// Those of them that are asked only for names for which they are chosen.
    pub(crate) only_chosen: BTreeSet<DirectoryUrl>,
    /// Domains below which one certificate with a star is used.
    pub(crate) wildcards: Vec<Box<str>>,
    /// Whether DNS-01 can be answered.
    pub(crate) has_dns: bool,
}

/// The state of the certificate for a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameState {
    pub(crate) stored: Option<StoredCertificate>,
    pub(crate) history: OrderHistory,
    /// The earliest time of the next order, for reasons that are not written to the volume: another instance has an
    /// order under way, or the CA has no renewal information.
    pub(crate) order_after: UnixTime,
    pub(crate) ask_after: UnixTime,
    /// The earliest time of the next question whether the certificate may be renewed.
    pub(crate) permission_after: UnixTime,
}

/// The state of a CA.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaState {
    pub(crate) failures: u32,
    /// The earliest time for the next request to the CA.
    pub(crate) next: UnixTime,
    pub(crate) last: Option<Failure>,
}

/// The input of a schedule.
pub(crate) struct ScheduleInput<'a> {
    pub(crate) policy: &'a SchedulePolicy,
    /// The CAs that alone are asked for some names.
    pub(crate) chosen: &'a BTreeMap<Box<str>, DirectoryUrl>,
    /// Names that need a certificate of a public CA.
    pub(crate) wanted: &'a BTreeSet<Box<str>>,
    /// Further names that need permission, with the end of each permit; none of them is in `wanted`.
    pub(crate) on_demand: &'a BTreeMap<Box<str>, UnixTime>,
    /// States by the name of the certificate.
    pub(crate) states: &'a BTreeMap<Box<str>, NameState>,
    /// States of the CAs by directory.
    pub(crate) cas: &'a HashMap<DirectoryUrl, CaState>,
    /// Certificates with an action under way.
    pub(crate) running: &'a BTreeSet<Box<str>>,
    /// The times at which orders were begun, the latest last.
    pub(crate) starts: &'a [UnixTime],
    /// Whether a new certificate can be stored.
    pub(crate) can_store: bool,
    /// The volume has been unusable long enough to show that this process is not restarting again and again,
    /// forgetting its orders each time.
    pub(crate) may_lose: bool,
}

/// The actions that are due, and the reasons for those that are not.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) tasks: Vec<Task>,
    /// The certificate that serves each wanted name, or will serve it.
    pub(crate) served_by: BTreeMap<Box<str>, Box<str>>,
    /// The names that cannot be ordered at present, and why.
    pub(crate) refused: BTreeMap<Box<str>, OrderRefusal>,
    /// The time of each certificate's renewal or next attempt, by its name.
    pub(crate) due: BTreeMap<Box<str>, UnixTime>,
    /// The time at which the schedule must be computed again.
    pub(crate) next: UnixTime,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Obtain a certificate.
    Order(CertificateOrder),
    /// Ask the CA when to renew this certificate.
    AskRenewal { name: Box<str> },
    /// Ask the operator's service whether the certificate may be renewed.
    AskPermission { name: Box<str>, again: UnixTime },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CertificateOrder {
    /// The name of the certificate.
    pub(crate) name: Box<str>,
    /// The names that it must carry.
    pub(crate) names: Vec<Box<str>>,
    pub(crate) directory: DirectoryUrl,
    /// The certificate that it replaces, by the CA's identifier.
    pub(crate) replaces: Option<Box<str>>,
    /// The number of failures in a row at this CA.
    pub(crate) failures: u32,
    /// The volume cannot be written and the need is pressing: a certificate in memory is better than none.
    pub(crate) may_be_lost: bool,
}

/// The reason why a name cannot be ordered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OrderRefusal {
    /// A wildcard needs DNS-01.
    NeedsDns,
    /// No CA could sign for it.
    NotPublic,
    /// Too many certificates for it in the last week.
    Budget,
    /// The certificate could not be stored.
    Storage,
}

/// Decides about every wanted name.
pub(crate) fn schedule(moment: &ScheduleInput<'_>, now: UnixTime) -> Schedule {
    let mut schedule = Schedule { next: UnixTime::NEVER, ..Schedule::default() };
    let mut certificates: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
    for name in moment.wanted.iter().chain(moment.on_demand.keys()) {
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

/// An order that may begin now, and its precedence over others.
struct DueOrder {
    order: CertificateOrder,
    /// Names without a certificate come first, then names that a route lists, then those with the fewest failures,
    /// then those whose certificate ends first.
    precedence: (bool, bool, u32, UnixTime),
    counts_for_budget: bool,
}

impl NameState {
    /// Notes the CA's suggestion.
    pub(crate) fn learn(&mut self, name: &str, renewal: Renewal) {
        let before = self.history.renewal.as_ref().filter(|known| known.id == renewal.id);
        if before.is_some_and(|known| renewal.end < known.start) {
            let explanation = renewal.explanation.as_deref().unwrap_or("no reason is given");
            tracing::warn!(name, explanation, "the CA wants the certificate renewed earlier");
        }
        self.history.renewal = Some(renewal);
    }
}

impl Schedule {
    fn consider(
        &mut self,
        moment: &ScheduleInput<'_>,
        name: Box<str>,
        names: Vec<Box<str>>,
        now: UnixTime,
        due: &mut Vec<DueOrder>,
    ) {
        let unknown = NameState::default();
        let state = moment.states.get(&name).unwrap_or(&unknown);
        if moment.running.contains(&name) {
            return;
        }
        // A certificate counts only if it carries all the names that are needed now.
        let stored = state.stored.as_ref().filter(|stored| names.iter().all(|name| stored.bundle.names.contains(name)));
        if let Some(stored) = stored {
            let at = renewal_time(stored, state.history.renewal.as_ref());
            if at > now {
                self.due.insert(name.clone(), at);
                self.look_again_at(at, now);
                self.ask_renewal(moment, name, state, stored, now);
                return;
            }
        }
        let is_on_demand = moment.on_demand.contains_key(&name);
        if moment.on_demand.get(&name).is_some_and(|until| *until <= now) {
            return self.ask_permission(name, state, now);
        }
        let directory = match moment.choose_ca(&name, state, now) {
            Ok(directory) => directory,
            Err(later) => {
                self.due.insert(name, later);
                return self.look_again_at(later, now);
            }
        };
        let history = &state.history;
        let attempts = history.attempts.get(&directory);
        let replaces = stored.filter(|stored| stored.directory == directory && !stored.account.is_empty());
        let replaces = replaces
            .and_then(|stored| stored.id.as_ref())
            .filter(|_| !attempts.is_some_and(|all| all.without_replaces));
        let is_valid = stored.is_some_and(|stored| stored.bundle.is_valid_at(now));
        let is_first = !history.orders.contains_key(&directory);
        if is_first
            && replaces.is_none()
            && history.issued.iter().filter(|time| now.since(**time) < WEEK).count() >= SAME_NAME_MAX
        {
            let later =
                history.issued.iter().filter(|time| now.since(**time) < WEEK).min().map_or(now, |time| *time + WEEK);
            self.refused.insert(name.clone(), OrderRefusal::Budget);
            self.due.insert(name, later);
            return self.look_again_at(later, now);
        }
        // Never spend an order on a certificate that the next restart would forget, unless the need is pressing.
        let is_pressing = stored.is_some_and(|stored| now >= stored.bundle.not_after - lifetime(stored) / 4);
        let may_be_lost = moment.may_lose && is_pressing;
        if !moment.can_store && !may_be_lost {
            self.refused.insert(name, OrderRefusal::Storage);
            return;
        }
        let failures = attempts.map_or(0, |attempts| attempts.failures);
        let precedence =
            (is_valid, is_on_demand, failures, stored.map_or(UnixTime::EPOCH, |stored| stored.bundle.not_after));
        let replaces = replaces.map(|id| id.to_string().into());
        let counts_for_budget = replaces.is_none() && is_first;
        due.push(DueOrder {
            order: CertificateOrder { name, names, directory, replaces, failures, may_be_lost },
            precedence,
            counts_for_budget,
        });
    }

    /// Begins as many orders as the CAs' limits and ours allow.
    fn begin(&mut self, moment: &ScheduleInput<'_>, mut due: Vec<DueOrder>, now: UnixTime) {
        due.sort_by(|a, b| (a.precedence, &a.order.name).cmp(&(b.precedence, &b.order.name)));
        let since = |span: Duration| moment.starts.iter().filter(|start| now.since(**start) < span).count();
        let room_soon = STARTS_SOON_MAX.saturating_sub(since(Duration::from_secs(10)));
        let room = STARTS_MAX.saturating_sub(since(3 * HOUR)).min(room_soon);
        let mut domains: HashMap<String, usize> = HashMap::new();
        for (name, state) in moment.states {
            let week = state.history.issued.iter().filter(|time| now.since(**time) < WEEK).count();
            *domains.entry(registered_domain(name)).or_default() += week;
        }
        let mut free = ORDERS_MAX.saturating_sub(moment.running.len()).min(room);
        for DueOrder { order, counts_for_budget, .. } in due {
            let of_domain = domains.entry(registered_domain(&order.name)).or_default();
            if counts_for_budget && *of_domain >= SAME_DOMAIN_MAX {
                self.due.insert(order.name.clone(), now + HOUR);
                self.refused.insert(order.name, OrderRefusal::Budget);
                self.look_again_at(now + HOUR, now);
            } else if free == 0 {
                // The end of an order triggers a new schedule as well; this time is for the throttle.
                self.look_again_at(now + if room == 0 { Duration::from_secs(10) } else { MINUTE }, now);
            } else {
                free -= 1;
                *of_domain += usize::from(counts_for_budget);
                self.tasks.push(Task::Order(order));
            }
        }
    }

    fn ask_renewal(
        &mut self,
        moment: &ScheduleInput<'_>,
        name: Box<str>,
        state: &NameState,
        stored: &StoredCertificate,
        now: UnixTime,
    ) {
        let Some(id) = &stored.id else { return };
        if !moment.policy.directories.contains(&stored.directory) {
            return;
        }
        let known = state.history.renewal.as_ref().filter(|renewal| *renewal.id == *id.to_string());
        let at = known.map_or(UnixTime::EPOCH, |renewal| renewal.ask_again).max(state.ask_after);
        if at > now {
            self.look_again_at(at, now);
        } else if self.tasks.len() + moment.running.len() < ASKS_MAX {
            self.tasks.push(Task::AskRenewal { name });
        }
    }

    fn ask_permission(&mut self, name: Box<str>, state: &NameState, now: UnixTime) {
        let at = state.permission_after;
        if at > now {
            self.due.insert(name, at);
            return self.look_again_at(at, now);
        }
        self.due.insert(name.clone(), now);
        self.tasks.push(Task::AskPermission { name, again: now + ASK_PERMISSION_EVERY });
    }

    fn look_again_at(&mut self, time: UnixTime, now: UnixTime) {
        self.next = self.next.min(time.max(now + Duration::from_secs(1)));
    }
}

impl ScheduleInput<'_> {
    /// The certificate that serves a name, and all names that it must carry.
    fn certificate_for(&self, name: &str, now: UnixTime) -> Result<(Box<str>, Vec<Box<str>>), OrderRefusal> {
        let is_wildcard = CertName::parse(name).is_wildcard();
        let base = without_star(name);
        let parent = base.split_once('.').map_or("", |(_, parent)| parent);
        let configured = |domain: &str| domain == base || !is_wildcard && domain == parent;
        let domain = self.policy.wildcards.iter().find(|domain| configured(domain));
        if let Some(domain) = domain.filter(|_| self.policy.has_dns) {
            let star: Box<str> = CertName::Wildcard(domain).to_string().into();
            return Ok((star.clone(), vec![star, domain.clone()]));
        }
        // A wildcard certificate that exists already, however it was ordered, serves until it ends.
        let star: Box<str> = CertName::Wildcard(parent).to_string().into();
        let stored = self.states.get(&star).and_then(|state| Some((state, state.stored.as_ref()?)));
        if let Some((state, stored)) =
            stored.filter(|(_, stored)| stored.bundle.is_valid_at(now) && stored.bundle.carries(name))
            && (self.policy.has_dns || now < renewal_time(stored, state.history.renewal.as_ref()))
        {
            return Ok((star.clone(), vec![star]));
        }
        // A wildcard certificate that is on its way serves names on demand; listed names are ordered separately all
        // the same.
        if self.policy.has_dns && self.on_demand.contains_key(name) && self.wanted.contains(&star) {
            return Ok((star.clone(), vec![star]));
        }
        if !is_orderable(base) {
            return Err(OrderRefusal::NotPublic);
        }
        if is_wildcard && !self.policy.has_dns {
            return Err(OrderRefusal::NeedsDns);
        }
        Ok((name.into(), vec![name.into()]))
    }

    /// The CA to ask now, or the time at which there will be one.
    fn choose_ca(&self, name: &str, state: &NameState, now: UnixTime) -> Result<DirectoryUrl, UnixTime> {
        if state.order_after > now {
            return Err(state.order_after);
        }
        let ready_at = |directory: &DirectoryUrl| {
            let attempts = state.history.attempts.get(directory).map_or(UnixTime::EPOCH, |attempts| attempts.next);
            self.cas.get(directory).map_or(UnixTime::EPOCH, |ca| ca.next).max(attempts)
        };
        let is_open = |directory: &DirectoryUrl| {
            state.history.orders.get(directory).is_some_and(|order| now.since(order.begun) < ORDER_LIFETIME)
        };
        // An order is finished at the CA where it was begun, as soon as that CA can serve; until then the others
        // are asked as if there were no such order.
        let chosen = self.chosen.get(name);
        let may_be_asked = |directory: &&DirectoryUrl| match chosen {
            Some(chosen) => *directory == chosen,
            None => !self.policy.only_chosen.contains(*directory),
        };
        let mut directories = self.policy.directories.iter().filter(may_be_asked);
        if let Some(directory) = directories.find(|directory| is_open(directory) && ready_at(directory) <= now) {
            return Ok(directory.clone());
        }
        let mut earliest = UnixTime::NEVER;
        for directory in self.policy.directories.iter().filter(may_be_asked) {
            let at = ready_at(directory);
            if at <= now {
                return Ok(directory.clone());
            }
            earliest = earliest.min(at);
            let attempts = state.history.attempts.get(directory);
            let is_the_same_elsewhere = attempts.is_some_and(|attempts| {
                attempts.failures < ATTEMPTS_BEFORE_NEXT_CA
                    && attempts.last.as_ref().is_some_and(|failure| failure.kind.is_the_same_elsewhere())
            });
            if is_the_same_elsewhere {
                break;
            }
        }
        Err(earliest)
    }
}

#[cfg(test)]
mod tests;
