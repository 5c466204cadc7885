//! What all views have in common: the head, the list of views, and the parts that are fetched again.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::extent::{Extent, Page};
use super::parts::shown;
use crate::api::ErrorResponse;

/// The events after which a part is fetched again, as the script reads them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Follows {
    /// Never.
    Nothing,
    /// A new table or new findings.
    Table,
    /// Also with each reading of figures.
    Figures,
    /// Each request of the route.
    Requests,
    /// Each line of the log.
    Log,
}

impl Follows {
    fn events(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Table => Some("table diagnostics change"),
            Self::Figures => Some("table diagnostics change figures"),
            Self::Requests => Some("table request"),
            Self::Log => Some("log"),
        }
    }
}

/// How a view that is open learns what has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Updates {
    /// By events, as they happen.
    Events,
    /// It asks now and then: a stream through a route would be a request that never ends, and nothing answers one.
    Asked,
}

/// A part of a view.
pub(super) struct Part {
    /// The name in `?fragment=`, and the id of the element.
    pub(super) name: &'static str,
    pub(super) follows: Follows,
    pub(super) content: Markup,
}

impl Part {
    pub(super) fn new(name: &'static str, follows: Follows, content: Markup) -> Self {
        Self { name, follows, content }
    }

    fn markup(&self) -> Markup {
        html! { div.part id=(self.name) data-live=[self.follows.events()] { (self.content) } }
    }
}

/// A view, in parts.
pub(super) struct View {
    /// The title, and the heading.
    pub(super) title: String,
    /// Which one it is; none where there are no others, or where nothing was found.
    pub(super) page: Option<Page>,
    /// Where its events come from, from the path of the view.
    pub(super) events: String,
    /// What stands beside the heading.
    pub(super) beside: Markup,
    /// The parts of the view, one below the other.
    pub(super) parts: Vec<Part>,
    /// The parts beside those, where there is room.
    pub(super) aside: Vec<Part>,
}

/// What of the frame depends on where the view stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) updates: Updates,
    /// The views that it leads to.
    pub(crate) extent: Extent,
    /// The folders between the path of the view and the root of the page.
    pub(crate) depth: usize,
}

/// Where the events of all routes come from.
pub(super) const EVENTS: &str = "api/v1/events";

impl View {
    /// The parts with these names, separated by commas. A name that no part has gives nothing.
    pub(super) fn fragment(&self, names: &str) -> Markup {
        let is_named = |part: &&Part| names.split(',').any(|name| name == part.name);
        html! { @for part in self.parts.iter().chain(&self.aside).filter(is_named) { (part.markup()) } }
    }

    pub(super) fn whole(&self, frame: Frame) -> Markup {
        let events = match frame.updates {
            Updates::Events => Some(&self.events),
            Updates::Asked => None,
        };
        let root = "../".repeat(frame.depth);
        let title = shown(&self.title);
        let named = |page: Page| page.name().filter(|_| frame.extent.has(page)).map(|name| (page, name));
        let views: Vec<_> = Page::ALL.into_iter().filter_map(named).collect();
        html! {
            (DOCTYPE)
            html lang="en" data-events=[events] {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · Gangway" }
                    link rel="icon" href={ (root) (assets::path("svg")) } type="image/svg+xml";
                    link rel="stylesheet" href={ (root) (assets::path("css")) };
                    script defer src={ (root) (assets::path("js")) } {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.bar {
                        a.brand href={ "./" (root) } { img src={ (root) (assets::path("svg")) } alt="" width="22" height="22"; "Gangway" }
                        @if !views.is_empty() {
                            nav aria-label="Views" {
                                @for (page, name) in views {
                                    @let begin = if page.path().is_empty() { "./" } else { "" };
                                    a href={ (begin) (root) (page.path()) } aria-current=[(self.page == Some(page)).then_some("page")] { (name) }
                                }
                            }
                        }
                        span #live role="status" {}
                    }
                    main #main {
                        div.head { h1 { (title) } (self.beside) }
                        @if self.aside.is_empty() {
                            @for part in &self.parts { (part.markup()) }
                        } @else {
                            div.columns {
                                div { @for part in &self.parts { (part.markup()) } }
                                aside aria-label="The instance" { @for part in &self.aside { (part.markup()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The view in the place of one that does not exist.
pub(super) fn missing(error: &ErrorResponse) -> View {
    let content = html! { p.empty { (shown(&error.error)) ": " (shown(&error.help)) "." } };
    View {
        title: "Not found".to_owned(),
        page: None,
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![Part::new("missing", Follows::Nothing, content)],
        aside: Vec::new(),
    }
}
