//! Which routers are the same, and what differs in the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use gangway_model::{NativeLabels, Route, RoutingTable, Transport};

use super::raw_data::{RawData, whole_name};

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

/// A router as requests meet it, in words that can be compared.
#[derive(Default)]
struct Met(BTreeMap<&'static str, BTreeSet<String>>);

impl Report {
    /// Compares two tables by the names of their routers.
    pub(super) fn new(raw: &RawData, theirs: &RoutingTable, ours: &RoutingTable) -> Self {
        let (theirs, ours) = (by_router(theirs), by_router(ours));
        let names = raw.routers().keys().chain(ours.keys());
        let mut verdicts = BTreeMap::new();
        for name in names {
            let told = raw.routers().get(name);
            let verdict = match (told, theirs.get(name), ours.get(name)) {
                (Some(told), _, None) if !told.is_enabled => Verdict::OnlyTraefik(told.errors.clone()),
                (Some(_), Some(theirs), Some(ours)) => compared(told.is_some_and(|told| told.is_enabled), theirs, ours),
                (Some(told), None, Some(_)) => Verdict::Differs(vec![Difference {
                    part: "status",
                    traefik: format!("what cannot be read ({})", told.errors.join("; ")),
                    gangway: "a router".to_owned(),
                }]),
                (Some(told), _, None) => Verdict::OnlyTraefik(told.errors.clone()),
                (None, _, _) => Verdict::OnlyGangway,
            };
            verdicts.insert(name.clone(), verdict);
        }
        Self(verdicts)
    }

    pub(super) fn is_same(&self) -> bool {
        self.0.values().all(|verdict| matches!(verdict, Verdict::Same))
    }
}

/// The routes of each router, by its whole name. Entry points that redirect have none.
fn by_router(table: &RoutingTable) -> BTreeMap<String, Met> {
    let mut routers: BTreeMap<String, Met> = BTreeMap::new();
    let routes = table.routes();
    let mut priorities: BTreeMap<usize, i64> = BTreeMap::new();
    table.precedences().for_each(|(position, precedence)| _ = priorities.insert(position, precedence.priority));
    let names: BTreeSet<String> = routes.iter().map(|route| whole_name(&route.name)).collect();
    for (position, route) in routes.iter().enumerate().filter(|(_, route)| !route.name.ends_with("@internal")) {
        // A router of which entry points demand different things is several routes: `<entry point>-<name>`.
        let name = whole_name(&route.name);
        let first = route.listener.scope.names.iter().flatten().next();
        let of = first
            .and_then(|entry_point| name.strip_prefix(&format!("{entry_point}-")))
            .filter(|of| names.contains(*of));
        let router = of.map_or_else(|| name.clone(), str::to_owned);
        routers.entry(router).or_default().add(route, priorities.get(&position).copied().unwrap_or_default());
    }
    routers
}

impl Met {
    fn add(&mut self, route: &Arc<Route>, priority: i64) {
        let mut put = |part, text: String| _ = self.0.entry(part).or_default().insert(text);
        put("rule", route.rule.to_string());
        put("priority", priority.to_string());
        let transport = match route.listener.scope.transport {
            Transport::Any => "",
            Transport::Plain => " in clear",
            Transport::Tls => " over TLS",
        };
        for name in route.listener.scope.names.iter().flatten() {
            put("entry points", format!("{name}{transport}"));
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

fn compared(is_enabled: bool, theirs: &Met, ours: &Met) -> Verdict {
    let shown = |met: &Met, part| {
        let texts = met.0.get(part).into_iter().flatten();
        let joined = texts.cloned().collect::<Vec<_>>().join(", ");
        if joined.is_empty() { "none".to_owned() } else { joined }
    };
    let parts = ["status", "rule", "entry points", "middlewares", "servers", "tls", "priority"];
    let mut differences = Vec::new();
    for part in parts {
        let (traefik, gangway) = (shown(theirs, part), shown(ours, part));
        // What could not be read of Traefik's answer is not what Traefik serves.
        let traefik =
            if part == "status" { if is_enabled { "served" } else { "disabled" }.to_owned() } else { traefik };
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
