//! The queries of the views.

use std::hash::{DefaultHasher, Hash, Hasher};

use form_urlencoded::Serializer;

use crate::api::RouteView;

/// A link names a route by its id up to this many bytes: a list has many links, and names can be of any length.
const ID_LEN_MAX: usize = 200;

/// What the query of a view may say. Anything else is ignored.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageQuery {
    /// The names of the parts of the view that are asked for.
    pub(crate) fragment: Option<String>,
    /// The text that rows must have, in lower case.
    pub(crate) text: String,
    /// The state or level that rows must have. Empty for all.
    pub(crate) state: String,
    /// The page of a list, from 1.
    pub(crate) page: usize,
    /// The id of a route.
    pub(crate) route: String,
}

impl PageQuery {
    /// Parses the query of a view.
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self { page: 1, ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "fragment" => parsed.fragment = Some(value.into_owned()),
                "q" => parsed.text = value.trim().to_lowercase(),
                "state" => parsed.state = value.into_owned(),
                "page" => parsed.page = value.parse().unwrap_or(1).max(1),
                "route" => parsed.route = value.into_owned(),
                _ => {}
            }
        }
        parsed
    }

    /// Whether one of these texts has the text that is looked for.
    pub(super) fn takes<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> bool {
        self.text.is_empty() || texts.into_iter().any(|text| text.to_lowercase().contains(&self.text))
    }

    /// The query of another page of the same list.
    pub(super) fn with_page(&self, page: usize) -> String {
        let mut query = Serializer::for_suffix(String::from("?"), 1);
        for (name, value) in [("q", &self.text), ("state", &self.state)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &page.to_string());
        query.finish()
    }
}

/// The query of `/api/v1/explain` for what the form of the view sends. `None` if no URL was written.
pub(crate) fn explain_query(form: &str) -> Option<String> {
    let mut query = Serializer::new(String::new());
    let mut has_url = false;
    for (name, value) in form_urlencoded::parse(form.as_bytes()) {
        let value = value.trim();
        match &*name {
            "fragment" => {}
            // One field a line.
            "header" => {
                for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    query.append_pair("header", line);
                }
            }
            _ if value.is_empty() => {}
            _ => {
                has_url |= name == "url";
                query.append_pair(&name, value);
            }
        }
    }
    has_url.then(|| query.finish())
}

/// A link of a view to another one about this thing.
pub(super) fn link(view: &str, name: &str, value: &str) -> String {
    let begin = format!("{view}?");
    let len = begin.len();
    let mut query = Serializer::for_suffix(begin, len);
    query.append_pair(name, value);
    query.finish()
}

/// The link to the view of a route.
pub(super) fn site(id: &str) -> String {
    link("site", "route", &reference(id))
}

fn reference(id: &str) -> String {
    if id.len() <= ID_LEN_MAX {
        return id.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("~{:016x}", hasher.finish())
}

/// The route that a query names: by its id, as a link does, or by a name that only one route has.
pub(crate) fn route<'r>(routes: &'r [RouteView], asked: &str) -> Option<&'r RouteView> {
    let by_id = routes.iter().find(|route| route.id == asked || reference(&route.id) == asked);
    let mut by_name = routes.iter().filter(|route| route.name == asked);
    by_id.or_else(|| by_name.next().filter(|_| by_name.next().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_empty_in_the_form_is_not_asked() {
        let query = explain_query("url=https%3A%2F%2Fa.test%2F&method=&from=&header=A:+1%0D%0A%0D%0AB:+2&listener=");
        assert_eq!(query.as_deref(), Some("url=https%3A%2F%2Fa.test%2F&header=A%3A+1&header=B%3A+2"));
        assert_eq!(explain_query("url=+&method=GET"), None);
    }

    #[test]
    fn a_route_is_found_by_its_link_and_by_a_name_of_its_own() {
        let route_of = |id: &str, name: &str| RouteView { id: id.into(), name: name.into(), ..RouteView::default() };
        let long = "x".repeat(4096);
        let routes = [route_of("a/web", "web"), route_of("b/web", "web"), route_of(&long, "long")];
        let found = |asked: &str| route(&routes, asked).map(|route| &*route.id);
        assert_eq!(
            [found("a/web"), found("web"), found("long"), found("~0")],
            [Some("a/web"), None, Some(&*long), None]
        );
        let link = site(&long);
        assert!(link.len() < 50, "{link}");
        let asked = PageQuery::parse(link.split_once('?').expect("a query").1).route;
        assert_eq!(found(&asked), Some(&*long));
    }

    #[test]
    fn a_list_keeps_its_filter_on_every_page() {
        let query = PageQuery::parse("q=A+%26&state=up&page=0&fragment=sites&x=y");
        assert_eq!((query.page, query.with_page(3).as_str()), (1, "?q=a+%26&state=up&page=3"));
        assert_eq!(link("site", "route", "a/b"), "site?route=a%2Fb");
        assert!(query.takes(["x", "AA & B"]) && !query.takes(["a"]));
    }
}
