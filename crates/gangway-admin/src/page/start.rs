//! The start page: what there is, for people who look for an application. It tells nothing else.

use maud::{Markup, html};

use super::frame::{EVENTS, Follows, Part, View};
use super::overview::url;
use super::parts::{self, Paged, shown, state};
use super::query::PageQuery;
use crate::api::{RouteView, StatusResponse};
use crate::app_icons::{AppIcon, AppIcons};
use crate::rule_path::path_below;

/// What the start page shows.
pub(crate) struct StartFacts<'f> {
    pub(crate) status: &'f StatusResponse,
    pub(crate) routes: &'f [RouteView],
    /// The icons of applications.
    pub(crate) icons: &'f AppIcons,
}

/// A route with the place to which its tile leads.
struct Tile<'f> {
    route: &'f RouteView,
    name: &'f str,
    group: Option<&'f str>,
    /// What the application gives itself.
    picture: Option<&'f AppIcon>,
    url: String,
}

pub(super) fn view(facts: &StartFacts<'_>, query: &PageQuery) -> View {
    View {
        title: "Start".to_owned(),
        page: None,
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![
            // Outside of what is fetched again: somebody may be writing into it.
            Part::new("filter", Follows::Nothing, parts::filter("tiles", query, "Filter applications", &[])),
            Part::new("tiles", Follows::Table, tiles(facts, query)),
        ],
        aside: Vec::new(),
    }
}

fn tiles(facts: &StartFacts<'_>, query: &PageQuery) -> Markup {
    let mut tiles: Vec<Tile<'_>> = facts.routes.iter().filter_map(|route| tile(route, facts)).collect();
    tiles.retain(|tile| query.takes([tile.name, &tile.url].into_iter().chain(tile.route.tile.description.as_deref())));
    // Those without a group come last.
    tiles.sort_by_key(|tile| {
        (tile.group.is_none(), tile.group, tile.route.tile.order, tile.name.to_lowercase(), tile.route.id.as_str())
    });
    let paged = Paged::of(&tiles, query);
    html! {
        @if tiles.is_empty() { p.empty { "There is nothing to show." } }
        @for group in paged.rows.chunk_by(|one, next| one.group == next.group) {
            @if let Some(name) = group[0].group {
                h2 { (shown(name)) }
            } @else if group.len() < tiles.len() {
                h2 { "Others" }
            }
            ul.tiles { @for tile in group { (tile.markup()) } }
        }
        (paged.links(query))
    }
}

/// None where a browser would not find the route, or where it is left out.
fn tile<'f>(route: &'f RouteView, facts: &StartFacts<'f>) -> Option<Tile<'f>> {
    let mut url = url(route, facts.status).filter(|_| !route.tile.hidden)?;
    if let Some(path) = path_below(&route.rule) {
        url.push_str(path);
    }
    let name = route.tile.name.as_deref().unwrap_or(&route.name);
    Some(Tile { route, name, group: route.tile.group.as_deref(), picture: facts.icons.of(&route.id), url })
}

impl Tile<'_> {
    /// The emoji or the letters that a label says.
    fn said(&self) -> Option<&str> {
        self.route.tile.icon.as_deref().filter(|icon| !icon.starts_with('/'))
    }

    fn markup(&self) -> Markup {
        let route = self.route;
        html! {
            li {
                a href=(self.url) rel="noreferrer" {
                    span.icon aria-hidden="true" {
                        // A label that names a path asks for a picture.
                        @match (self.said(), self.picture) {
                            (Some(icon), _) => (shown(icon)),
                            (None, Some(picture)) => {
                                img src=(picture.path()) alt="" width="40" height="40" loading="lazy" decoding="async";
                            }
                            (None, None) => (shown(&initials(self.name))),
                        }
                    }
                    span {
                        b { (shown(self.name)) }
                        @if let Some(description) = &route.tile.description { small { (shown(description)) } }
                        @if route.state != "up" { small { (state(&route.state)) } }
                    }
                }
            }
        }
    }
}

/// The first characters of the first two words.
fn initials(name: &str) -> String {
    let words = name.split(|char: char| !char.is_alphanumeric()).filter_map(|word| word.chars().next());
    words.take(2).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_two_words() {
        for (name, expected) in
            [("photos", "P"), ("home-assistant", "HA"), ("My own cloud", "MO"), ("写真", "写"), ("", "")]
        {
            assert_eq!(initials(name), expected, "{name}");
        }
    }
}
