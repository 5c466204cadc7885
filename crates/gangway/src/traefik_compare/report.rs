//! Which routers are the same, and what differs in the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use gangway_model::{NativeLabels, Route, RoutingTable, Transport};

use super::raw_data::{RawData, RawRouter, whole_name};

/// What was found out about each router.
pub(super) struct Report(BTreeMap<String, Verdict>);

enum Verdict {
    Same,
    /// What differs, and how.
    Differs(Vec<Difference>),
    /// Traefik has it alone; these are Traefik's own errors.
    OnlyTraefik(Vec<String>),
    /// Gangway has it alone.
    OnlyGangway,
}

struct Difference {
    part: &'static str,
    traefik: String,
    gangway: String,
}

/// A router as requests meet it, in words that can be compared: each text of a part with the entry points for which it holds.
#[derive(Default)]
struct Met {
    parts: BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>,
    entry_points: BTreeSet<String>,
}

/// What Traefik tells of a router itself.
#[derive(Default)]
struct Told {
    statuses: BTreeSet<&'static str>,
    errors: Vec<String>,
}

impl Report {
    /// Compares two tables by the routers that a user has written.
    pub(super) fn new(raw: &RawData, theirs: &RoutingTable, ours: &RoutingTable) -> Self {
        let (their_routes, our_routes) = (routes(theirs), routes(ours));
        let mut their_names = Names::of(their_routes.iter().map(|(part, ..)| part));
        let told: Vec<(RouterPart, &RawRouter)> =
            raw.routers().iter().map(|(name, told)| (RouterPart::told(name, told), told)).collect();
        told.iter().for_each(|(part, _)| their_names.add(part));
        let our_names = Names::of(our_routes.iter().map(|(part, ..)| part));

        let mut of_traefik: BTreeMap<String, Told> = BTreeMap::new();
        for (part, router) in told {
            let told = of_traefik.entry(part.router(&their_names, &our_names)).or_default();
            told.statuses.insert(if router.is_enabled { "served" } else { "disabled" });
            told.errors.extend(router.errors.iter().cloned());
        }
        let theirs = by_router(their_routes, &their_names, &our_names);
        let ours = by_router(our_routes, &our_names, &their_names);
        let names: BTreeSet<&String> = of_traefik.keys().chain(ours.keys()).collect();
        let verdict = |name: &String| match (of_traefik.get(name), theirs.get(name), ours.get(name)) {
            (Some(told), _, None) => Verdict::OnlyTraefik(told.errors.clone()),
            (Some(told), Some(theirs), Some(ours)) => compared(told, theirs, ours),
            (Some(told), None, Some(_)) => Verdict::Differs(vec![Difference {
                part: "status",
                traefik: format!("what cannot be read ({})", told.errors.join("; ")),
                gangway: "a router".to_owned(),
            }]),
            (None, _, _) => Verdict::OnlyGangway,
        };
        Self(names.into_iter().map(|name| (name.clone(), verdict(name))).collect())
    }

    pub(super) fn is_same(&self) -> bool {
        self.0.values().all(|verdict| matches!(verdict, Verdict::Same))
    }
}

/// A router as one side knows it. A router to which entry points say different things is several there, named
/// `<entry point>-<name>`, and which of them keeps the plain name is not the same on both sides.
#[derive(Debug)]
struct RouterPart {
    /// Its whole name.
    name: String,
    entry_points: Vec<String>,
    /// The rule as it was written, which all parts of a router have.
    rule: String,
}

impl RouterPart {
    fn told(name: &str, router: &RawRouter) -> Self {
        Self { name: name.to_owned(), entry_points: router.entry_points.clone(), rule: router.rule.clone() }
    }

    fn of(route: &Route) -> Self {
        let rule = route.router.as_ref().map_or(&route.rule, |router| &router.rule);
        let entry_points = route.listener.scope.names.iter().flatten().map(ToString::to_string).collect();
        Self { name: whole_name(&route.name), entry_points, rule: rule.to_string() }
    }

    /// The name of the router of which this is a part; `own` are the names of this side. Another router that only has such
    /// a name has a rule of its own.
    fn router(&self, own: &Names, other: &Names) -> String {
        let is_router = |name: &&str| match own.0.get(*name) {
            Some(rules) => rules.contains(&self.rule),
            // It has the plain name on the other side alone.
            None => other
                .0
                .get(*name)
                .is_some_and(|rules| other.0.get(&self.name).is_none_or(|of_same_name| of_same_name.is_subset(rules))),
        };
        let mut plain =
            self.entry_points.iter().filter_map(|entry_point| self.name.strip_prefix(entry_point)?.strip_prefix('-'));
        plain.find(is_router).unwrap_or(&self.name).to_owned()
    }
}

/// The names of one side, with the rules that they have.
#[derive(Default)]
struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    fn of<'p>(parts: impl Iterator<Item = &'p RouterPart>) -> Self {
        let mut names = Self::default();
        parts.for_each(|part| names.add(part));
        names
    }

    fn add(&mut self, part: &RouterPart) {
        self.0.entry(part.name.clone()).or_default().insert(part.rule.clone());
    }
}

/// The routes of a table with their priorities. Entry points that redirect have none.
fn routes(table: &RoutingTable) -> Vec<(RouterPart, &Arc<Route>, i64)> {
    let mut priorities: BTreeMap<usize, i64> = BTreeMap::new();
    table.precedences().for_each(|(position, precedence)| _ = priorities.insert(position, precedence.priority));
    let routes = table.routes().iter().enumerate().filter(|(_, route)| !route.name.ends_with("@internal"));
    let priority = |position| priorities.get(&position).copied().unwrap_or_default();
    routes.map(|(position, route)| (RouterPart::of(route), route, priority(position))).collect()
}

fn by_router(routes: Vec<(RouterPart, &Arc<Route>, i64)>, own: &Names, other: &Names) -> BTreeMap<String, Met> {
    let mut routers: BTreeMap<String, Met> = BTreeMap::new();
    for (part, route, priority) in routes {
        routers.entry(part.router(own, other)).or_default().add(route, priority);
    }
    routers
}

impl Met {
    fn add(&mut self, route: &Arc<Route>, priority: i64) {
        let Self { parts, entry_points } = self;
        let names = || route.listener.scope.names.iter().flatten().map(ToString::to_string);
        entry_points.extend(names());
        let mut put = |part, text: String| parts.entry(part).or_default().entry(text).or_default().extend(names());
        put("rule", route.rule.to_string());
        put("priority", priority.to_string());
        let transport = match route.listener.scope.transport {
            Transport::Any => "",
            Transport::Plain => " in clear",
            Transport::Tls => " over TLS",
        };
        for name in names() {
            put(ENTRY_POINTS, format!("{name}{transport}"));
        }
        for endpoint in &route.upstream.endpoints {
            let scheme = match endpoint.scheme {
                gangway_model::Scheme::Http => "http",
                gangway_model::Scheme::Https => "https",
                gangway_model::Scheme::H2c => "h2c",
            };
            put("servers", format!("{scheme}://{}", endpoint.key.address));
        }
        if let Some(ca) = &route.listener.client_ca {
            put("tls", format!("certificates of clients by {ca}"));
        }
        if route.listener.tls_min != gangway_model::TlsVersion::default() {
            put("tls", "1.3 at least".to_owned());
        }
        route.listener.cert_names.iter().for_each(|name| put("tls", format!("a certificate for {name}")));
        put("status", if route.closed { "closed" } else { "served" }.to_owned());
        let NativeLabels { labels, differences } = NativeLabels::of(route, &|basic| {
            Some(basic.users.iter().map(|user| &*user.name).collect::<Vec<_>>().join(", ").into())
        });
        let elsewhere = ["host", "path", "rule", "port", "scheme", "upstream", "weight"];
        for (key, value) in labels.iter().filter(|(key, _)| !elsewhere.contains(&&**key)) {
            put("middlewares", format!("{key} {value}"));
        }
        for difference in differences.iter().filter(|difference| difference.starts_with("no label redirects")) {
            put("middlewares", difference.to_string());
        }
    }
}

/// The part that says itself for which entry points it holds.
const ENTRY_POINTS: &str = "entry points";

impl Met {
    /// A part in words, with the entry points of what does not hold for all of them.
    fn shown(&self, part: &str) -> String {
        let shown = |(text, of): (&String, &BTreeSet<String>)| {
            if part == ENTRY_POINTS || *of == self.entry_points {
                return text.clone();
            }
            format!("{text} at {}", of.iter().map(String::as_str).collect::<Vec<_>>().join(" and "))
        };
        let joined = self.parts.get(part).into_iter().flatten().map(shown).collect::<Vec<_>>().join(", ");
        if joined.is_empty() { "none".to_owned() } else { joined }
    }
}

fn compared(told: &Told, theirs: &Met, ours: &Met) -> Verdict {
    let parts = ["status", "rule", ENTRY_POINTS, "middlewares", "servers", "tls", "priority"];
    let mut differences = Vec::new();
    for part in parts {
        // What could not be read of Traefik's answer is not what Traefik serves.
        let traefik = match part {
            "status" => told.statuses.iter().copied().collect::<Vec<_>>().join(", "),
            part => theirs.shown(part),
        };
        let gangway = ours.shown(part);
        if traefik != gangway {
            differences.push(Difference { part, traefik, gangway });
        }
    }
    if differences.is_empty() { Verdict::Same } else { Verdict::Differs(differences) }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mut same, mut differing) = (0_usize, 0_usize);
        for (name, verdict) in &self.0 {
            match verdict {
                Verdict::Same => {
                    same += 1;
                    writeln!(f, "same     {name}")?;
                }
                Verdict::Differs(differences) => {
                    differing += 1;
                    writeln!(f, "differs  {name}")?;
                    for Difference { part, traefik, gangway } in differences {
                        writeln!(f, "           {part}")?;
                        writeln!(f, "             Traefik: {traefik}")?;
                        writeln!(f, "             Gangway: {gangway}")?;
                    }
                }
                Verdict::OnlyTraefik(errors) => {
                    differing += 1;
                    writeln!(f, "missing  {name}: only Traefik has it")?;
                    errors.iter().try_for_each(|error| writeln!(f, "           Traefik: {error}"))?;
                }
                Verdict::OnlyGangway => {
                    differing += 1;
                    writeln!(f, "new      {name}: only Gangway has it")?;
                }
            }
        }
        let plural = |count| if count == 1 { "router is" } else { "routers are" };
        write!(f, "{same} {} the same", plural(same))?;
        if differing > 0 { writeln!(f, ", {differing} not") } else { writeln!(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a side: name, entry points with spaces between them, and rule.
    type Side<'s> = &'s [(&'s str, &'s str, &'s str)];

    fn parts(side: Side<'_>) -> Vec<RouterPart> {
        let part = |(name, entry_points, rule): &(&str, &str, &str)| RouterPart {
            name: (*name).to_owned(),
            entry_points: entry_points.split(' ').map(str::to_owned).collect(),
            rule: (*rule).to_owned(),
        };
        side.iter().map(part).collect()
    }

    /// The routers of both sides.
    fn routers(theirs: Side<'_>, ours: Side<'_>) -> [Vec<String>; 2] {
        let (theirs, ours) = (parts(theirs), parts(ours));
        let (their_names, our_names) = (Names::of(theirs.iter()), Names::of(ours.iter()));
        [
            theirs.iter().map(|part| part.router(&their_names, &our_names)).collect(),
            ours.iter().map(|part| part.router(&our_names, &their_names)).collect(),
        ]
    }

    #[test]
    fn parts_are_of_one_router_whichever_of_them_keeps_the_name() {
        let plain: Side<'_> = &[("a@docker", "web", "R"), ("websecure-a@docker", "websecure", "R")];
        let grouped: Side<'_> = &[("a@docker", "lan web", "R"), ("websecure-a@docker", "websecure", "R")];
        let none_plain: Side<'_> = &[("web-a@docker", "web", "R"), ("websecure-a@docker", "websecure", "R")];
        let whole: Side<'_> = &[("a@docker", "web websecure", "R")];
        for (theirs, ours) in [
            (plain, plain),
            (none_plain, plain),
            (plain, none_plain),
            (whole, plain),
            (none_plain, whole),
            (grouped, none_plain),
        ] {
            let routers = routers(theirs, ours);
            assert!(routers.iter().flatten().all(|name| name == "a@docker"), "{theirs:?} {ours:?}: {routers:?}");
        }
        // Where neither side has the plain name, the parts are compared by themselves.
        assert_eq!(routers(none_plain, none_plain)[0], ["web-a@docker", "websecure-a@docker"]);
        // A rule that differs is a difference, and the router is the same one.
        let changed: Side<'_> = &[("a@docker", "web", "S"), ("websecure-a@docker", "websecure", "S")];
        assert_eq!(routers(none_plain, changed)[0], ["a@docker", "a@docker"]);
    }

    #[test]
    fn a_router_that_only_has_such_a_name_is_its_own() {
        let both: Side<'_> = &[("a@docker", "web", "R"), ("websecure-a@docker", "websecure", "S")];
        let alone: Side<'_> = &[("websecure-a@docker", "websecure", "S")];
        for (theirs, ours) in [(both, both), (both, alone), (alone, both)] {
            for side in routers(theirs, ours) {
                assert_eq!(side.last().map(String::as_str), Some("websecure-a@docker"), "{theirs:?} {ours:?}");
            }
        }
        let elsewhere: Side<'_> = &[("a@docker", "web", "R"), ("websecure-a@docker", "web", "R")];
        assert_eq!(routers(elsewhere, elsewhere)[0], ["a@docker", "websecure-a@docker"]);
    }
}
