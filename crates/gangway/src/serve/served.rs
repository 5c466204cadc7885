//! What is served is told: a line for each route at the start and at each change, and one for each container
//! that should serve and does not run.
//!
//! The last table is compared with the next; the lines that come of it are a value, and time is an argument. A
//! route that changes again and again, as one of a container in a crash loop does, is told less and less often.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::time::Duration;

use gangway_model::container_report::ContainerReport;
use gangway_model::location::PublicPorts;
use gangway_model::mention;
use gangway_model::route::{Endpoint, Readiness, Scheme, TlsMode};
use gangway_model::snapshot::ContainerState;
use gangway_model::{Compiled, Middleware, Route};
use gangway_proxy::Whereabouts;
use gangway_publish::{Generation, Reader};
use tokio::time::{Instant, sleep_until};

/// The target of these lines: what their fields say stands in the message too, so people are not shown them.
pub(super) const TARGET: &str = "gangway::served";

/// Lines for one table; `gangway routes` lists all.
const LINES_MAX: usize = 100;

/// URLs and endpoints of one route that a line names.
const NAMED_MAX: usize = 3;

/// A route that was told is not told again so soon, and twice as late each time that it changes before that.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// A container that is made and not started may wait for another that it depends on.
const START_TIME: Duration = Duration::from_secs(60);

/// An engine that cannot be read may never say under which ports ours are published. Then lines are told with
/// ours.
const PORTS_TIME: Duration = Duration::from_secs(30);

/// One that was started again and again is well when it has run for so long.
const WELL_TIME: Duration = Duration::from_secs(60);

/// Tells it, for ever, with the ports that clients reach from where we are.
pub(super) async fn follow(
    mut compiled: Reader<Compiled>,
    mut whereabouts: Reader<Whereabouts>,
    ports: impl Fn(&Whereabouts) -> PublicPorts,
) -> Infallible {
    let mut told = Told::default();
    let mut guess_at = None;
    loop {
        let mut again = None;
        if compiled.generation() != Generation::INITIAL {
            let (current, place) = (compiled.load_full(), whereabouts.load_full());
            let now = Instant::now();
            let guess_at = *guess_at.get_or_insert(now + PORTS_TIME);
            if place.is_known || guess_at <= now {
                let lines = told.lines(&current, ports(&place), now, super::clock::now());
                Line::log_all(&lines, current.table.routes().len());
                again = told.next_look;
            } else {
                again = Some(guess_at);
            }
        }
        tokio::select! {
            outcome = compiled.changed() => if outcome.is_err() {
                std::future::pending::<()>().await;
            },
            outcome = whereabouts.changed() => if outcome.is_err() {
                std::future::pending::<()>().await;
            },
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
        }
    }
}

/// What was told last.
#[derive(Debug, Default)]
struct Told {
    routes: BTreeMap<Box<str>, OfRoute>,
    containers: HashMap<Box<str>, OfContainer>,
    is_begun: bool,
    /// When something has to be looked at again although nothing changes.
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct OfRoute {
    /// As it was told; none once it was told to be gone.
    seen: Option<Seen>,
    at: Instant,
    pause: Duration,
}

/// A route, as far as its line goes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    rule: Box<str>,
    tls: TlsMode,
    /// For clients.
    port: u16,
    redirect: Option<String>,
    endpoints: Vec<Endpoint>,
    /// For the line that says that it has gone.
    urls: String,
}

#[derive(Debug)]
struct OfContainer {
    state: ContainerState,
    since: Instant,
    /// A trouble was told and not taken back.
    is_told: bool,
}

/// One line of the log.
#[derive(Debug, Eq, PartialEq)]
enum Line {
    Serving { route: Box<str>, url: String, endpoint: String, text: String },
    NoLonger { route: Box<str>, url: String },
    Trouble { container: Box<str>, exit_code: Option<i32>, text: String },
    Stopped { container: Box<str>, exit_code: Option<i32> },
    Well { container: Box<str> },
}

impl Told {
    /// What is to be told of this table. `epoch` is the same moment in seconds since the epoch.
    fn lines(&mut self, compiled: &Compiled, ports: PublicPorts, now: Instant, epoch: i64) -> Vec<Line> {
        self.next_look = None;
        let of_containers = self.of_containers(compiled, now, epoch);
        let mut lines = self.of_routes(compiled, ports, now);
        lines.extend(of_containers);
        self.is_begun = true;
        lines
    }

    fn of_routes(&mut self, compiled: &Compiled, ports: PublicPorts, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut before = std::mem::take(&mut self.routes);
        let mut named: Option<HashMap<&str, &ContainerReport>> = None;
        let mut places: Option<Vec<Vec<String>>> = None;
        let troubled = self.troubled(compiled);
        for (position, route) in compiled.table.routes().iter().enumerate() {
            let last = before.remove(&route.id);
            // Its container has just gone, and the next one is waited for: nothing has changed yet. And of one
            // that starts again and again it was said what is wrong.
            if route.upstream.held || troubled.contains(&*route.id) {
                self.routes.extend(last.map(|last| (route.id.clone(), last)));
                continue;
            }
            let known = last.as_ref().and_then(|last| last.seen.as_ref());
            let seen = Seen::of(route, ports, known);
            if seen.as_ref().map(Seen::parts) == known.map(Seen::parts) {
                self.routes.extend(last.map(|last| (route.id.clone(), last)));
                continue;
            }
            if let Some(last) = last.as_ref().filter(|last| now < last.at + last.pause) {
                self.look_again(last.at + last.pause);
                self.routes.insert(route.id.clone(), OfRoute { seen: last.seen.clone(), ..*last });
                continue;
            }
            let places = places.get_or_insert_with(|| compiled.table.places());
            let urls = |ports| urls(&places[position], route.listener.tls, ports);
            // A port that has come to be known is no end of what was served.
            let is_elsewhere = |known: &Seen| known.urls != urls(known.with_port(ports));
            let urls = urls(ports);
            if let Some(known) = known.filter(|known| seen.is_none() || is_elsewhere(known)) {
                lines.push(Line::NoLonger { route: route.id.clone(), url: known.urls.clone() });
            }
            let seen = seen.map(|seen| Seen { urls: urls.clone(), ..seen });
            if let Some(seen) = &seen {
                let reports = named.get_or_insert_with(|| by_id(&compiled.containers));
                lines.push(serving(route, seen, reports));
            }
            if seen.is_some() || known.is_some() {
                self.routes.insert(route.id.clone(), OfRoute::told(seen, last.as_ref(), now));
            }
        }
        for (id, last) in before {
            let Some(known) = &last.seen else {
                if now < last.at + PAUSE_MAX {
                    self.routes.insert(id, last);
                }
                continue;
            };
            if now < last.at + last.pause {
                self.look_again(last.at + last.pause);
                self.routes.insert(id, last);
                continue;
            }
            lines.push(Line::NoLonger { route: id.clone(), url: known.urls.clone() });
            self.routes.insert(id, OfRoute::told(None, Some(&last), now));
        }
        lines
    }

    /// Routes of which all containers are in a trouble that was told.
    fn troubled<'c>(&self, compiled: &'c Compiled) -> HashSet<&'c str> {
        let is_told = |report: &ContainerReport| self.containers.get(&report.id).is_some_and(|known| known.is_told);
        let routes = |told: bool| {
            let reports = compiled.containers.iter().filter(move |report| is_told(report) == told);
            reports.flat_map(|report| report.routes.iter().map(|id| &**id)).collect::<HashSet<&str>>()
        };
        let mut troubled = routes(true);
        if !troubled.is_empty() {
            let others = routes(false);
            troubled.retain(|id| !others.contains(id));
        }
        troubled
    }

    fn of_containers(&mut self, compiled: &Compiled, now: Instant, epoch: i64) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut before = std::mem::take(&mut self.containers);
        for report in compiled.containers.iter().filter(|report| report.asks()) {
            let state = report.state;
            let mut known = before.remove(&report.id).unwrap_or(OfContainer { state, since: now, is_told: false });
            let was = known.state;
            if was != state {
                (known.state, known.since) = (state, now);
            }
            let exit_code = report.ended.and_then(|ended| ended.code);
            let container = || report.name.clone();
            let mut trouble = |known: &mut OfContainer| {
                known.is_told = true;
                let name = &report.name;
                let text = match report.state {
                    ContainerState::Created => {
                        format!("was created and never started; `docker start {name}` says why")
                    }
                    ContainerState::Exited | ContainerState::Dead => {
                        let code = exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
                        format!("has ended{code}; see `docker logs {name}`")
                    }
                    _ => mention::state(report, epoch).unwrap_or_default(),
                };
                lines.push(Line::Trouble { container: container(), exit_code, text });
            };
            match state {
                ContainerState::Restarting if !known.is_told => trouble(&mut known),
                ContainerState::Created if !known.is_told => {
                    let due = known.since + START_TIME;
                    if due <= now { trouble(&mut known) } else { self.look_again(due) }
                }
                // What had ended before we came is history.
                ContainerState::Exited | ContainerState::Dead if was != state && self.is_begun => match exit_code {
                    // By itself, or because it was asked to: SIGINT, SIGKILL, SIGTERM.
                    None | Some(0 | 130 | 137 | 143) => lines.push(Line::Stopped { container: container(), exit_code }),
                    Some(_) if !known.is_told => trouble(&mut known),
                    Some(_) => {}
                },
                ContainerState::Running if known.is_told => {
                    let due = known.since + WELL_TIME;
                    if due <= now {
                        known.is_told = false;
                        lines.push(Line::Well { container: container() });
                    } else {
                        self.look_again(due);
                    }
                }
                _ => {}
            }
            self.containers.insert(report.id.clone(), known);
        }
        lines
    }

    fn look_again(&mut self, at: Instant) {
        self.next_look = Some(self.next_look.map_or(at, |known| known.min(at)));
    }
}

impl OfRoute {
    fn told(seen: Option<Seen>, last: Option<&Self>, now: Instant) -> Self {
        // A deployment now and then is told at once each time.
        let pause = last.filter(|last| now < last.at + 2 * last.pause.max(PAUSE_MIN));
        Self { seen, at: now, pause: pause.map_or(PAUSE_MIN, |last| (2 * last.pause).min(PAUSE_MAX)) }
    }
}

impl Seen {
    /// None where nothing is served. Without URLs, which take longer to find out.
    fn of(route: &Route, ports: PublicPorts, known: Option<&Self>) -> Option<Self> {
        if route.closed {
            return None;
        }
        let redirect = route.middlewares.iter().find_map(|middleware| match middleware {
            Middleware::Redirect { status, target } => Some(format!("{status} to {target}")),
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_) => None,
        });
        let all = &route.upstream.endpoints;
        // Whether it is well now is told by those who find it out.
        let staying = all.iter().filter(|one| !matches!(one.readiness, Readiness::Leaving | Readiness::Restarting));
        let mut endpoints: Vec<Endpoint> = staying.cloned().collect();
        let is_ready = endpoints.iter().any(|one| one.readiness == Readiness::Ready);
        endpoints.iter_mut().for_each(|one| one.readiness = Readiness::Ready);
        if !all.is_empty() && !is_ready && redirect.is_none() {
            return known.cloned();
        }
        let serves = redirect.is_some() || !endpoints.is_empty();
        let (rule, tls, urls) = (route.rule.clone(), route.listener.tls, String::new());
        let port = if tls == TlsMode::Off { ports.http } else { ports.https };
        serves.then_some(Self { rule, tls, port, redirect, endpoints, urls })
    }

    /// These ports, but of its own scheme the one that it was told with.
    fn with_port(&self, ports: PublicPorts) -> PublicPorts {
        match self.tls {
            TlsMode::Off => PublicPorts { http: self.port, ..ports },
            _ => PublicPorts { https: self.port, ..ports },
        }
    }

    /// All but the URLs.
    fn parts(&self) -> (&str, TlsMode, u16, &Option<String>, &[Endpoint]) {
        (&self.rule, self.tls, self.port, &self.redirect, &self.endpoints)
    }
}

fn by_id(reports: &[ContainerReport]) -> HashMap<&str, &ContainerReport> {
    reports.iter().map(|report| (&*report.id, report)).collect()
}

fn urls(places: &[String], tls: TlsMode, ports: PublicPorts) -> String {
    let url = |place: &String| if tls == TlsMode::Off { ports.http_url(place) } else { ports.https_url(place) };
    some_of(&places.iter().map(url).collect::<Vec<String>>())
}

/// `a, b, c and 5 more`.
fn some_of(all: &[String]) -> String {
    let shown = all.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn serving(route: &Route, seen: &Seen, reports: &HashMap<&str, &ContainerReport>) -> Line {
    let mut way = None;
    let endpoints: Vec<String> = seen
        .endpoints
        .iter()
        .map(|endpoint| {
            let scheme = match endpoint.scheme {
                Scheme::Http => "",
                Scheme::Https => "https://",
                Scheme::H2c => "h2c://",
            };
            let address = &endpoint.key.address;
            if endpoint.key.container.is_empty() {
                way.get_or_insert_with(|| route.origin.join(", "));
                let scheme = if scheme.is_empty() { "http://" } else { scheme };
                return format!("{scheme}{address}");
            }
            let told = reports.get(&*endpoint.key.container).map(|report| report.way(&route.name));
            let chosen = told.and_then(|told| told.strip_prefix(&format!("{address}, ")));
            way = way.take().or_else(|| chosen.map(str::to_owned));
            format!("{} {scheme}{address}", endpoint.name)
        })
        .collect();
    let endpoint = some_of(&endpoints);
    let way = way.filter(|_| seen.redirect.is_none()).map_or_else(String::new, |way| format!(" ({way})"));
    let to = seen.redirect.as_ref().map_or_else(|| endpoint.clone(), |to| format!("a redirection, {to}"));
    let text = format!("serving {} → {to}{way}", seen.urls);
    Line::Serving { route: route.id.clone(), url: seen.urls.clone(), endpoint, text }
}

impl Line {
    /// Those that are told, and how many more there are.
    fn shown(lines: &[Self]) -> (&[Self], usize) {
        let (shown, more) = lines.split_at(lines.len().min(LINES_MAX));
        (shown, more.len())
    }

    fn log_all(lines: &[Self], routes: usize) {
        let (shown, more) = Self::shown(lines);
        shown.iter().for_each(Self::log);
        if more > 0 {
            tracing::info!(more, routes, "more changes than are told at once; `gangway routes` lists all routes");
        }
    }

    fn log(&self) {
        match self {
            Self::Serving { route, url, endpoint, text } => {
                tracing::info!(target: TARGET, route = &**route, url, endpoint, "{text}");
            }
            Self::NoLonger { route, url } => {
                tracing::info!(target: TARGET, route = &**route, url, "no longer serving {url}");
            }
            Self::Trouble { container, exit_code, text } => {
                tracing::warn!(target: TARGET, container = &**container, exit_code, "container `{container}` {text}");
            }
            Self::Stopped { container, exit_code } => {
                tracing::info!(target: TARGET, container = &**container, exit_code, "container `{container}` has stopped");
            }
            Self::Well { container } => {
                tracing::info!(target: TARGET, container = &**container, "container `{container}` runs steadily again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
