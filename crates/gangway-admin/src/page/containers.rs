//! All containers: why each one is or is not served, and the label to add.

use std::collections::HashMap;

use maud::{Markup, html};

use super::extent::Page;
use super::frame::{EVENTS, Follows, Part, View};
use super::parts::{self, Paged, prose, shown, state};
use super::query::{PageQuery, site};
use crate::api::{ContainerView, RouteView};

/// The groups by which the list is filtered.
const GROUPS: [&str; 2] = ["served", "not served"];

/// The number of links to routes in a row.
const ROUTES_MAX: usize = 5;

/// What the view of containers shows.
pub(crate) struct ContainersFacts<'f> {
    pub(crate) containers: &'f [ContainerView],
    pub(crate) routes: &'f [RouteView],
}

pub(super) fn view(facts: &ContainersFacts<'_>, query: &PageQuery) -> View {
    View {
        title: "Containers".to_owned(),
        page: Some(Page::Containers),
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![
            Part::new("filter", Follows::Nothing, parts::filter("list", query, "Filter containers", &GROUPS)),
            Part::new("list", Follows::Table, list(facts, query)),
        ],
        aside: Vec::new(),
    }
}

fn is_served(container: &ContainerView) -> bool {
    !container.routes.is_empty()
}

fn list(facts: &ContainersFacts<'_>, query: &PageQuery) -> Markup {
    let is_taken = |one: &&ContainerView| {
        let is_in_group = match &*query.state {
            "served" => is_served(one),
            "not served" => !is_served(one),
            _ => true,
        };
        is_in_group && query.takes([&*one.name, &one.image, &one.reason])
    };
    let mut containers: Vec<&ContainerView> = facts.containers.iter().filter(is_taken).collect();
    containers.sort_by_key(|one| (!is_served(one), &one.name, &one.engine));
    let paged = Paged::of(&containers, query);
    let hosts: HashMap<&str, &RouteView> = facts.routes.iter().map(|route| (&*route.id, route)).collect();
    let domain = domain(facts.routes);
    html! {
        @if containers.is_empty() {
            p.empty {
                @if facts.containers.is_empty() { "No container was read yet." }
                @else { "No container matches the filter." }
            }
        } @else {
            table {
                thead {
                    tr {
                        th scope="col" { "container" }
                        th.mid scope="col" { "state" }
                        th scope="col" { "served" }
                        th scope="col" { "why" }
                    }
                }
                tbody {
                    @for one in paged.rows {
                        tr {
                            th scope="row" { (shown(&one.name)) small { (shown(&one.image)) } }
                            td.mid {
                                (state(&one.state))
                                @if one.health != "none" { small { (one.health) } }
                            }
                            td { (served(one, &hosts)) }
                            td {
                                (prose(&one.reason))
                                @if let Some(key) = &one.missing_label {
                                    small { "add " code { (key) "=" (shown(&host_of(&one.name, domain))) } }
                                }
                            }
                        }
                    }
                }
            }
            (paged.links(query))
        }
    }
}

fn served(container: &ContainerView, routes: &HashMap<&str, &RouteView>) -> Markup {
    html! {
        @if container.routes.is_empty() { span.no { "no" } }
        @for id in container.routes.iter().take(ROUTES_MAX) {
            @let host = routes.get(&**id).and_then(|route| route.hosts.first()).unwrap_or(id);
            div { a href=(site(id)) { (shown(host)) } }
        }
        @if container.routes.len() > ROUTES_MAX { small { "and " (container.routes.len() - ROUTES_MAX) " more" } }
    }
}

/// The domain that most hosts are in.
fn domain(routes: &[RouteView]) -> &str {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for host in routes.iter().filter_map(|route| route.hosts.first()) {
        if let Some((_, domain)) = host.split_once('.').filter(|(first, _)| *first != "*") {
            *counts.entry(domain).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(domain, number)| (*number, std::cmp::Reverse(*domain)));
    most.map_or("example.org", |(domain, _)| domain)
}

/// A host that the container could have.
fn host_of(name: &str, domain: &str) -> String {
    let is_fit = |char: char| char.is_ascii_alphanumeric();
    let name: String = name.chars().map(|char| if is_fit(char) { char.to_ascii_lowercase() } else { '-' }).collect();
    let name = name.trim_matches('-');
    let end = name.len().min(63);
    format!("{}.{domain}", name[..end].trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_is_proposed_is_one() {
        let route = |host: &str| RouteView { hosts: vec![host.to_owned()], ..RouteView::default() };
        let routes = ["a.home.test", "b.home.test", "c.other.test", "*.x.test"].map(route);
        assert_eq!(domain(&routes), "home.test");
        assert_eq!(domain(&[]), "example.org");
        assert_eq!(host_of("/Media_Jelly\"fin-1", "home.test"), "media-jelly-fin-1.home.test");
        assert_eq!(host_of(&"a".repeat(4096), "x").len(), 65);
    }
}
