//! Logs what is served: a line for each route at the start and at each change, and one for each container that should
//! serve and does not run.
//!
//! Each table is compared with what was logged before. The resulting lines are a value, and time is an argument. A route
//! that changes again and again, such as one of a container in a crash loop, is logged less and less often.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::time::Duration;

use gangway_model::{
    Compiled, ContainerReport, ContainerState, Endpoint, Middleware, PublicPorts, Readiness, Route, Scheme, TlsMode,
    mention,
};
use gangway_proxy::Whereabouts;
use gangway_publish::{Generation, Reader};
use gangway_tls::UnixTime;
use tokio::time::{Instant, sleep_until};

use super::changes::{Changes, Subject};
use super::route_ports::RoutePorts;

/// The target of these lines. Their messages contain what the fields say, so the text format leaves the fields out.
pub(super) const TARGET: &str = "gangway::served";

/// The number of lines for one table; `gangway routes` lists all routes.
const LINES_MAX: usize = 100;

/// The number of URLs and endpoints of one route that a line names.
const NAMED_MAX: usize = 3;

/// A route that was logged is not logged again within this time. The time doubles whenever the route changes before it is
/// over.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// A created container may wait this long for another one that it depends on, before it counts as never started.
const START_TIME: Duration = Duration::from_secs(60);

/// An engine that cannot be read may never say which ports are published. After this long, lines have the ports that we
/// listen on.
const PORTS_TIME: Duration = Duration::from_secs(30);

/// A container that was started again and again counts as well when it has run for this long.
const WELL_TIME: Duration = Duration::from_secs(60);

/// Logs the changes of all tables, for ever. `ports` gives the ports that clients connect to.
pub(super) async fn follow(
    mut compiled: Reader<Compiled>,
    mut whereabouts: Reader<Whereabouts>,
    ports: impl Fn(&Whereabouts) -> RoutePorts,
    changes: Changes,
) -> Infallible {
    let mut log = RouteLog::default();
    let mut guess_at = None;
    loop {
        let mut again = None;
        if compiled.generation() != Generation::INITIAL {
            let (current, place) = (compiled.load_full(), whereabouts.load_full());
            let now = Instant::now();
            let guess_at = *guess_at.get_or_insert(now + PORTS_TIME);
            if place.is_known || guess_at <= now {
                // What is served from the beginning is no change.
                let is_begun = log.is_begun;
                let lines = log.lines(&current, &ports(&place), now, UnixTime::now().seconds());
                LogLine::log_all(&lines, current.table.routes().len());
                if is_begun {
                    LogLine::shown(&lines).0.iter().for_each(|line| changes.note(line.subject(), &line.change()));
                }
                again = log.next_look;
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

/// The routes and containers as they were logged last.
#[derive(Debug, Default)]
struct RouteLog {
    routes: BTreeMap<Box<str>, LoggedRoute>,
    containers: HashMap<Box<str>, LoggedContainer>,
    /// A table was logged before.
    is_begun: bool,
    /// When something has to be logged although nothing changes.
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct LoggedRoute {
    /// The route as it was logged. `None` after the line that it is no longer served.
    served: Option<ServedRoute>,
    at: Instant,
    /// The route is not logged again before this is over.
    pause: Duration,
}

/// The parts of a route that its line shows.
#[derive(Clone, Debug, Eq, PartialEq)]
struct ServedRoute {
    rule: Box<str>,
    tls: TlsMode,
    /// The port that clients connect to.
    port: u16,
    redirect: Option<String>,
    endpoints: Vec<Endpoint>,
    /// The URLs in its line, for the line that it is no longer served.
    urls: String,
}

#[derive(Debug)]
struct LoggedContainer {
    state: ContainerState,
    since: Instant,
    /// A trouble was logged, and the container did not run steadily since.
    is_in_trouble: bool,
    /// The ids of the routes that it stands behind, or stood behind before it ended.
    routes: Vec<Box<str>>,
}

/// One line of the log.
#[derive(Debug, Eq, PartialEq)]
enum LogLine {
    Serving { route: Box<str>, url: String, endpoint: String, text: String, recreated: Option<String> },
    NoLonger { route: Box<str>, url: String },
    Trouble { container: Box<str>, routes: Vec<Box<str>>, exit_code: Option<i32>, text: String },
    Stopped { container: Box<str>, routes: Vec<Box<str>>, exit_code: Option<i32> },
    Well { container: Box<str>, routes: Vec<Box<str>> },
}

impl RouteLog {
    /// The lines for this table. `epoch` is the moment `now` in seconds since the epoch.
    fn lines(&mut self, compiled: &Compiled, ports: &RoutePorts, now: Instant, epoch: i64) -> Vec<LogLine> {
        self.next_look = None;
        let container_lines = self.container_lines(compiled, now, epoch);
        let mut lines = self.route_lines(compiled, ports, now);
        lines.extend(container_lines);
        self.is_begun = true;
        lines
    }

    fn route_lines(&mut self, compiled: &Compiled, ports: &RoutePorts, now: Instant) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut before = std::mem::take(&mut self.routes);
        let mut named: Option<HashMap<&str, &ContainerReport>> = None;
        let mut places: Option<Vec<Vec<String>>> = None;
        let troubled = self.troubled(compiled);
        for (position, route) in compiled.table.routes().iter().enumerate() {
            let last = before.remove(&route.id);
            // A held route waits for the next container, so nothing has changed yet. For a container that starts again
            // and again, the trouble was logged instead.
            if route.upstream.held || troubled.contains(&*route.id) {
                self.routes.extend(last.map(|last| (route.id.clone(), last)));
                continue;
            }
            let known = last.as_ref().and_then(|last| last.served.as_ref());
            let ports = ports.of(&route.listener.scope);
            let served = ServedRoute::of(route, ports, known);
            if served.as_ref().map(ServedRoute::parts) == known.map(ServedRoute::parts) {
                self.routes.extend(last.map(|last| (route.id.clone(), last)));
                continue;
            }
            if let Some(last) = last.as_ref().filter(|last| now < last.at + last.pause) {
                self.look_again(last.at + last.pause);
                self.routes.insert(route.id.clone(), LoggedRoute { served: last.served.clone(), ..*last });
                continue;
            }
            let places = places.get_or_insert_with(|| compiled.table.places());
            let urls = |ports| urls(&places[position], route.listener.tls, ports);
            // A port that became known meanwhile does not mean that the URL is no longer served.
            let is_elsewhere = |known: &ServedRoute| known.urls != urls(known.with_port(ports));
            let urls = urls(ports);
            if let Some(known) = known.filter(|known| served.is_none() || is_elsewhere(known)) {
                lines.push(LogLine::NoLonger { route: route.id.clone(), url: known.urls.clone() });
            }
            let served = served.map(|served| ServedRoute { urls: urls.clone(), ..served });
            if let Some(served) = &served {
                let reports = named.get_or_insert_with(|| by_id(&compiled.containers));
                lines.push(serving_line(route, served, known, reports));
            }
            if served.is_some() || known.is_some() {
                self.routes.insert(route.id.clone(), LoggedRoute::logged(served, last.as_ref(), now));
            }
        }
        for (id, last) in before {
            let Some(known) = &last.served else {
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
            lines.push(LogLine::NoLonger { route: id.clone(), url: known.urls.clone() });
            self.routes.insert(id, LoggedRoute::logged(None, Some(&last), now));
        }
        lines
    }

    /// The routes of which all containers are in a logged trouble.
    fn troubled<'c>(&self, compiled: &'c Compiled) -> HashSet<&'c str> {
        let is_in_trouble =
            |report: &ContainerReport| self.containers.get(&report.id).is_some_and(|known| known.is_in_trouble);
        let routes = |in_trouble: bool| {
            let reports = compiled.containers.iter().filter(move |report| is_in_trouble(report) == in_trouble);
            reports.flat_map(|report| report.routes.iter().map(|id| &**id)).collect::<HashSet<&str>>()
        };
        let mut troubled = routes(true);
        if !troubled.is_empty() {
            let others = routes(false);
            troubled.retain(|id| !others.contains(id));
        }
        troubled
    }

    fn container_lines(&mut self, compiled: &Compiled, now: Instant, epoch: i64) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut before = std::mem::take(&mut self.containers);
        for report in compiled.containers.iter().filter(|report| report.asks()) {
            let state = report.state;
            let fresh = || LoggedContainer { state, since: now, is_in_trouble: false, routes: Vec::new() };
            let mut known = before.remove(&report.id).unwrap_or_else(fresh);
            if !report.routes.is_empty() {
                known.routes.clone_from(&report.routes);
            }
            let was = known.state;
            if was != state {
                (known.state, known.since) = (state, now);
            }
            lines.extend(self.container_line(report, &mut known, was, now, epoch));
            self.containers.insert(report.id.clone(), known);
        }
        lines
    }

    /// The line for one container, which was in the state `was` before.
    fn container_line(
        &mut self,
        report: &ContainerReport,
        known: &mut LoggedContainer,
        was: ContainerState,
        now: Instant,
        epoch: i64,
    ) -> Option<LogLine> {
        let exit_code = exit_code(report);
        let container = || report.name.clone();
        let trouble = |known: &mut LoggedContainer| {
            known.is_in_trouble = true;
            let (routes, text) = (known.routes.clone(), trouble_text(report, epoch));
            Some(LogLine::Trouble { container: container(), routes, exit_code, text })
        };
        match known.state {
            ContainerState::Restarting if !known.is_in_trouble => trouble(known),
            ContainerState::Created if !known.is_in_trouble => {
                self.is_due(known.since + START_TIME, now).then(|| trouble(known)).flatten()
            }
            // Containers that had ended before the first table are not logged.
            ContainerState::Exited | ContainerState::Dead if was != known.state && self.is_begun => match exit_code {
                // The container ended by itself, or by SIGINT, SIGKILL or SIGTERM.
                None | Some(0 | 130 | 137 | 143) => {
                    Some(LogLine::Stopped { container: container(), routes: known.routes.clone(), exit_code })
                }
                Some(_) if !known.is_in_trouble => trouble(known),
                Some(_) => None,
            },
            ContainerState::Running if known.is_in_trouble => self.is_due(known.since + WELL_TIME, now).then(|| {
                known.is_in_trouble = false;
                LogLine::Well { container: container(), routes: known.routes.clone() }
            }),
            ContainerState::Created
            | ContainerState::Running
            | ContainerState::Paused
            | ContainerState::Restarting
            | ContainerState::Removing
            | ContainerState::Exited
            | ContainerState::Dead => None,
        }
    }

    /// Whether this moment has come. If not, the table is looked at again then.
    fn is_due(&mut self, due: Instant, now: Instant) -> bool {
        if due > now {
            self.look_again(due);
        }
        due <= now
    }

    fn look_again(&mut self, at: Instant) {
        self.next_look = Some(self.next_look.map_or(at, |known| known.min(at)));
    }
}

impl LoggedRoute {
    fn logged(served: Option<ServedRoute>, last: Option<&Self>, now: Instant) -> Self {
        // Deployments that are far apart are each logged at once.
        let pause = last.filter(|last| now < last.at + 2 * last.pause.max(PAUSE_MIN));
        Self { served, at: now, pause: pause.map_or(PAUSE_MIN, |last| (2 * last.pause).min(PAUSE_MAX)) }
    }
}

impl ServedRoute {
    /// The summary of a route, without URLs, which take longer to find out. `None` if the route serves nothing.
    fn of(route: &Route, ports: PublicPorts, known: Option<&Self>) -> Option<Self> {
        if route.closed {
            return None;
        }
        let redirect = route.middlewares.iter().find_map(|middleware| match middleware {
            Middleware::Redirect { status, target } => Some(format!("{status} to {target}")),
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::UrlRedirect(_)
            | Middleware::PathChange(_)
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_)
            | Middleware::SecureHeaders { .. }
            | Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::Appsec(_)
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Authentication(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cors(_)
            | Middleware::AllowedHosts(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cache(_) => None,
        });
        let all = &route.upstream.endpoints;
        // Endpoints that are unhealthy are logged by the health checks.
        let staying = all.iter().filter(|one| !matches!(one.readiness, Readiness::Leaving | Readiness::Restarting));
        let mut endpoints: Vec<Endpoint> = staying.cloned().collect();
        let is_ready = endpoints.iter().any(|one| one.readiness == Readiness::Ready);
        endpoints.iter_mut().for_each(|one| one.readiness = Readiness::Ready);
        if !all.is_empty() && !is_ready && redirect.is_none() {
            return known.cloned();
        }
        let is_own = route.upstream.internal.is_some() && !route.hosts.is_empty();
        let serves = redirect.is_some() || is_own || !endpoints.is_empty();
        let (rule, tls, urls) = (route.rule.clone(), route.listener.tls, String::new());
        let port = if tls == TlsMode::Off { ports.http } else { ports.https };
        serves.then_some(Self { rule, tls, port, redirect, endpoints, urls })
    }

    /// These ports, but for the scheme of this route the port in its line.
    fn with_port(&self, ports: PublicPorts) -> PublicPorts {
        match self.tls {
            TlsMode::Off => PublicPorts { http: self.port, ..ports },
            TlsMode::Auto | TlsMode::Internal => PublicPorts { https: self.port, ..ports },
        }
    }

    /// All parts but the URLs.
    fn parts(&self) -> (&str, TlsMode, u16, &Option<String>, &[Endpoint]) {
        (&self.rule, self.tls, self.port, &self.redirect, &self.endpoints)
    }
}

fn by_id(reports: &[ContainerReport]) -> HashMap<&str, &ContainerReport> {
    reports.iter().map(|report| (&*report.id, report)).collect()
}

fn exit_code(report: &ContainerReport) -> Option<i32> {
    report.ended.and_then(|ended| ended.code)
}

/// The trouble of a container that should serve.
fn trouble_text(report: &ContainerReport, epoch: i64) -> String {
    let name = &report.name;
    match report.state {
        ContainerState::Created => format!("was created and never started; `docker start {name}` says why"),
        ContainerState::Exited | ContainerState::Dead => {
            let code = exit_code(report).map_or_else(String::new, |code| format!(" with exit code {code}"));
            format!("has ended{code}; see `docker logs {name}`")
        }
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting | ContainerState::Removing => {
            mention::state(report, epoch).unwrap_or_default()
        }
    }
}

/// The URLs of these places as a line shows them.
fn urls(places: &[String], tls: TlsMode, ports: PublicPorts) -> String {
    let url = |place: &String| if tls == TlsMode::Off { ports.http_url(place) } else { ports.https_url(place) };
    some_of(&places.iter().map(url).collect::<Vec<String>>())
}

/// The first items as in `a, b, c and 5 more`.
fn some_of(all: &[String]) -> String {
    let shown = all.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The containers that took the place of others with the same names, as far as that is all that has changed.
fn recreated(known: Option<&ServedRoute>, served: &ServedRoute) -> Option<String> {
    let known = known?;
    let sorted = |route: &ServedRoute| {
        let of_containers = route.endpoints.iter().filter(|one| !one.key.container.is_empty());
        let mut all: Vec<_> = of_containers.map(|one| (one.name.clone(), one.key.container.clone())).collect();
        all.sort();
        all
    };
    let (before, now) = (sorted(known), sorted(served));
    let are_the_same = before.len() == now.len() && before.iter().zip(&now).all(|(a, b)| a.0 == b.0);
    let others = before.iter().zip(&now).filter(|(a, b)| a.1 != b.1);
    let names: Vec<String> = others.map(|(_, (name, _))| format!("`{name}`")).collect();
    (are_the_same && !names.is_empty()).then(|| some_of(&names))
}

fn serving_line(
    route: &Route,
    served: &ServedRoute,
    known: Option<&ServedRoute>,
    reports: &HashMap<&str, &ContainerReport>,
) -> LogLine {
    let mut way = None;
    let endpoints: Vec<String> = served
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
            let way_of_container = reports.get(&*endpoint.key.container).map(|report| report.way(&route.name));
            let chosen = way_of_container.and_then(|way| way.strip_prefix(&format!("{address}, ")));
            way = way.take().or_else(|| chosen.map(str::to_owned));
            format!("{} {scheme}{address}", endpoint.name)
        })
        .collect();
    let endpoint = match route.upstream.internal {
        Some(service) => format!("Gangway itself, as {service}"),
        None => some_of(&endpoints),
    };
    let way = way.filter(|_| served.redirect.is_none()).map_or_else(String::new, |way| format!(" ({way})"));
    let to = served.redirect.as_ref().map_or_else(|| endpoint.clone(), |to| format!("a redirection, {to}"));
    let text = format!("serving {} → {to}{way}", served.urls);
    let recreated = recreated(known, served);
    LogLine::Serving { route: route.id.clone(), url: served.urls.clone(), endpoint, text, recreated }
}

impl LogLine {
    fn subject(&self) -> Subject<'_> {
        match self {
            Self::Serving { route, .. } | Self::NoLonger { route, .. } => Subject::Route(route),
            Self::Trouble { routes, .. } | Self::Stopped { routes, .. } | Self::Well { routes, .. } => {
                Subject::Container(routes)
            }
        }
    }

    /// The line as a change, in one clause.
    fn change(&self) -> String {
        match self {
            Self::Serving { recreated: Some(names), .. } => format!("{names} recreated"),
            Self::Serving { text, .. } => text.clone(),
            Self::NoLonger { url, .. } => format!("no longer serving {url}"),
            Self::Trouble { container, text, .. } => format!("container `{container}` {text}"),
            Self::Stopped { container, .. } => format!("container `{container}` has stopped"),
            Self::Well { container, .. } => format!("container `{container}` runs steadily again"),
        }
    }

    /// The lines that are logged, and the number of further ones.
    fn shown(lines: &[Self]) -> (&[Self], usize) {
        let (shown, more) = lines.split_at(lines.len().min(LINES_MAX));
        (shown, more.len())
    }

    fn log_all(lines: &[Self], routes: usize) {
        let (shown, more) = Self::shown(lines);
        shown.iter().for_each(Self::log);
        if more > 0 {
            tracing::info!(more, routes, "more changes than are logged at once; `gangway routes` lists all routes");
        }
    }

    fn log(&self) {
        match self {
            Self::Serving { route, url, endpoint, text, recreated: _ } => {
                tracing::info!(target: TARGET, route = &**route, url, endpoint, "{text}");
            }
            Self::NoLonger { route, url } => {
                tracing::info!(target: TARGET, route = &**route, url, "no longer serving {url}");
            }
            Self::Trouble { container, exit_code, text, routes: _ } => {
                tracing::warn!(target: TARGET, container = &**container, exit_code, "container `{container}` {text}");
            }
            Self::Stopped { container, exit_code, routes: _ } => {
                tracing::info!(target: TARGET, container = &**container, exit_code, "container `{container}` has stopped");
            }
            Self::Well { container, routes: _ } => {
                tracing::info!(target: TARGET, container = &**container, "container `{container}` runs steadily again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
