//! Looks for the icons that applications give themselves, for the start page.
//!
//! Only while there is a start page, one application at a time, and rarely: an icon is looked for again once a day, and
//! where none was found after longer and longer pauses. Applications that do not take requests now are left alone, and
//! none is started for it. What was found stays until something else is found, whatever becomes of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use gangway_admin::{AppIcon, AppIcons, ICON_LEN_MAX, ICONS_MAX, WantedIcon, icon_links, same_host};
use gangway_model::{Compiled, Hostname, InternalService, Route};
use gangway_proxy::{AppFile, AppFiles, NoAppFile};
use gangway_publish::{Publisher, Reader};
use http::StatusCode;
use tokio::time::{Instant, sleep_until};

/// Icons hardly ever change.
const AGAIN: Duration = Duration::from_hours(24);

/// The first pause after nothing was found: an application that has just started may not have all of its pages yet.
const PAUSE_MIN: Duration = Duration::from_secs(30);

/// Each further pause is longer by this factor, up to [`AGAIN`].
const PAUSE_FACTOR: u32 = 4;

/// The pause while no endpoint takes requests. Nothing is sent to find that out.
const NOT_READY_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a page in which icons are looked for: they stand in its head.
const PAGE_LEN_MAX: usize = 64 * 1024;

/// Redirections that are followed, on the application's own host: many lead to a log-in, whose page names the icon.
const REDIRECTS_MAX: usize = 3;

/// What is known of the icon of a route.
struct Search {
    wanted: WantedIcon,
    /// The containers that serve it: others may be another version.
    containers: BTreeSet<Box<str>>,
    due: Instant,
    failures: u32,
}

/// Publishes the icons of applications, for ever.
pub(super) async fn follow(
    files: AppFiles,
    mut compiled: Reader<Compiled>,
    mut output: Publisher<AppIcons>,
) -> Infallible {
    // A restarted task continues from what was published.
    let mut icons = AppIcons::clone(&output.reader().load());
    let mut searches: BTreeMap<Box<str>, Search> = BTreeMap::new();
    loop {
        let table = compiled.load_full();
        let wanted = wanted(&table);
        if searches.len() > ICONS_MAX {
            let stays = |id: &str| wanted.iter().any(|(route, _)| *route.id == *id);
            searches.retain(|id, _| stays(id));
            icons = icons.retain(stays);
        }
        for (route, wanted) in &wanted {
            let now = Instant::now();
            let search = searches.entry(route.id.clone()).or_insert_with(|| Search::new(route, wanted.clone(), now));
            search.follow(route, wanted, now);
            if search.due > now {
                continue;
            }
            let outcome = look(&files, route, &search.wanted).await;
            search.note(&outcome, Instant::now());
            if let Ok(Some(icon)) = outcome
                && icons.of(&route.id) != Some(&icon)
            {
                icons = icons.with(&route.id, icon);
                output.publish(icons.clone());
            }
        }
        let due = next_due(&wanted, &searches).unwrap_or_else(|| Instant::now() + AGAIN);
        tokio::select! {
            outcome = compiled.changed() => if outcome.is_err() {
                std::future::pending::<()>().await;
            },
            () = sleep_until(due) => {}
        }
    }
}

/// The routes whose icons the start page shows, if there is one.
fn wanted(compiled: &Compiled) -> Vec<(&Route, WantedIcon)> {
    let routes = || compiled.table.routes().iter().map(|route| &**route);
    if !routes().any(|route| route.upstream.internal == Some(InternalService::StartPage)) {
        return Vec::new();
    }
    routes().filter_map(|route| Some((route, WantedIcon::of(route)?))).take(ICONS_MAX).collect()
}

/// When the next icon is to be looked for. What is known of routes that are gone is kept, and waits for nothing.
fn next_due(wanted: &[(&Route, WantedIcon)], searches: &BTreeMap<Box<str>, Search>) -> Option<Instant> {
    wanted.iter().filter_map(|(route, _)| Some(searches.get(&route.id)?.due)).min()
}

impl Search {
    fn new(route: &Route, wanted: WantedIcon, now: Instant) -> Self {
        Self { wanted, containers: containers(route), due: now, failures: 0 }
    }

    /// Looks again at once where something else is wanted, or where it is another container's.
    fn follow(&mut self, route: &Route, wanted: &WantedIcon, now: Instant) {
        if self.wanted != *wanted || self.containers != containers(route) {
            *self = Self::new(route, wanted.clone(), now);
        }
    }

    fn note(&mut self, outcome: &Result<Option<AppIcon>, NoAppFile>, now: Instant) {
        let pause = match outcome {
            Ok(Some(_)) => {
                self.failures = 0;
                AGAIN
            }
            Err(NoAppFile::NotReady) => NOT_READY_PAUSE,
            Ok(None) | Err(NoAppFile::NotOfRoute | NoAppFile::NoAnswer) => {
                let pause = PAUSE_MIN.saturating_mul(PAUSE_FACTOR.saturating_pow(self.failures)).min(AGAIN);
                self.failures += 1;
                pause
            }
        };
        self.due = now + pause;
    }
}

fn containers(route: &Route) -> BTreeSet<Box<str>> {
    route.upstream.endpoints.iter().map(|endpoint| endpoint.key.container.clone()).collect()
}

/// The icon of an application; none if it has none that is taken.
async fn look(files: &AppFiles, route: &Route, wanted: &WantedIcon) -> Result<Option<AppIcon>, NoAppFile> {
    let root = match wanted {
        WantedIcon::At(path) => return picture(files, route, path).await,
        WantedIcon::Below(root) => root,
    };
    let mut links = Vec::new();
    if let Some((at, page)) = answer(files, route, root, PAGE_LEN_MAX).await? {
        links = icon_links(&String::from_utf8_lossy(&page.body), &at, host(route));
    }
    links.push(format!("{root}favicon.ico"));
    for link in links {
        match picture(files, route, &link).await {
            // It names a path that another route takes.
            Ok(None) | Err(NoAppFile::NotOfRoute) => {}
            other => return other,
        }
    }
    Ok(None)
}

async fn picture(files: &AppFiles, route: &Route, path: &str) -> Result<Option<AppIcon>, NoAppFile> {
    let answer = answer(files, route, path, ICON_LEN_MAX).await?;
    let whole = answer.map(|(_, file)| file).filter(|file| file.is_whole);
    Ok(whole.and_then(|file| AppIcon::read(file.body, file.content_type.as_deref())))
}

/// A good answer, and the path at which it was found. Redirections are followed on the host of the route.
async fn answer(
    files: &AppFiles,
    route: &Route,
    path: &str,
    max: usize,
) -> Result<Option<(String, AppFile)>, NoAppFile> {
    let mut at = path.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let file = files.read(&route.id, &at, max).await?;
        if file.status == StatusCode::OK {
            return Ok(Some((at, file)));
        }
        let location = file.location.filter(|_| file.status.is_redirection());
        let Some(next) = location.and_then(|location| same_host(&location, &at, host(route))) else { break };
        at = next;
    }
    Ok(None)
}

/// The host under which an application is asked.
fn host(route: &Route) -> &str {
    route.exact_host().map_or("", Hostname::as_str)
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::Place;
    use gangway_model::{FileRoute, Settings, Snapshot, compile};

    use super::*;

    fn compiled(routes: &[(&str, &[(&str, &str)])]) -> Compiled {
        let place = Place::Configuration;
        let file_route = |(name, keys): &(&str, &[(&str, &str)])| FileRoute {
            name: (*name).into(),
            keys: keys.iter().map(|(key, value)| ((*key).into(), (*value).into(), place.clone())).collect(),
            place: place.clone(),
        };
        let file_routes = routes.iter().map(file_route).collect();
        compile(&Snapshot::default(), &Settings { file_routes, ..Settings::default() })
    }

    #[test]
    fn icons_are_looked_for_where_a_start_page_shows_them() {
        let app = ("upstream", "http://192.0.2.9");
        let routes: [(&str, &[(&str, &str)]); 6] = [
            ("start", &[("host", "start.test"), ("upstream", "start-page@internal")]),
            ("a", &[("host", "a.test"), app]),
            ("films", &[("host", "a.test"), ("path", "/films"), app]),
            ("said", &[("host", "said.test"), ("page.icon", "📷"), app]),
            ("shut", &[("host", "shut.test"), ("allow", "nonsense"), app]),
            ("at", &[("host", "at.test"), ("page.icon", "/i.png"), app]),
        ];
        let with = compiled(&routes);
        let wanted: Vec<_> = wanted(&with).into_iter().map(|(route, wanted)| (&*route.name, wanted)).collect();
        let below = |path: &str| WantedIcon::Below(path.into());
        assert_eq!(wanted, [("a", below("/")), ("at", WantedIcon::At("/i.png".into())), ("films", below("/films/"))]);
        assert!(super::wanted(&compiled(&routes[1..])).is_empty(), "nobody would see them");
    }

    #[test]
    fn a_route_that_is_gone_is_waited_for_no_more() {
        let compiled = compiled(&[("a", &[("host", "a.test"), ("upstream", "http://192.0.2.9")])]);
        let route = &*compiled.table.routes()[0];
        let (now, wanted) = (Instant::now(), WantedIcon::Below("/".into()));
        let searches = BTreeMap::from([(route.id.clone(), Search::new(route, wanted.clone(), now))]);
        assert_eq!(next_due(&[(route, wanted)], &searches), Some(now));
        assert_eq!(next_due(&[], &searches), None, "it would be due for ever");
    }

    #[test]
    fn what_is_not_found_is_looked_for_more_and_more_rarely() {
        let compiled = compiled(&[("a", &[("host", "a.test"), ("upstream", "http://192.0.2.9")])]);
        let route = &compiled.table.routes()[0];
        let now = Instant::now();
        let mut search = Search::new(route, WantedIcon::Below("/".into()), now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            search.note(&Ok(None), now);
            pauses.push(search.due - now);
        }
        assert_eq!(pauses[..3], [30, 120, 480].map(Duration::from_secs));
        assert_eq!(pauses[7], AGAIN);
        search.note(&Err(NoAppFile::NotReady), now);
        assert_eq!(search.due - now, NOT_READY_PAUSE);
        search.follow(route, &WantedIcon::At("/i.png".into()), now);
        assert_eq!((search.due, search.failures), (now, 0));
    }
}
