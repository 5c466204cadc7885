//! One page of a list: `search`, `status`, `serviceName`, `middlewareName`, `page` and `per_page` of a query.

use std::collections::BTreeMap;

use serde_json::Value;

/// Items of a page where nothing is said.
const PER_PAGE: usize = 100;

/// What a query asks of a list.
#[derive(Debug, Default)]
pub(super) struct Listing {
    search: String,
    status: String,
    service: String,
    middleware: String,
    page: usize,
    per_page: usize,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    /// The number of the next page; 1 after the last one.
    pub(super) next: usize,
}

impl Listing {
    /// Reads a query; the error is for the client.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut listing = Self { page: 1, per_page: PER_PAGE, ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse().ok().filter(|number| *number > 0);
            match &*name {
                "search" => listing.search = value.to_lowercase(),
                "status" => listing.status = value.into_owned(),
                "serviceName" => listing.service = value.into_owned(),
                "middlewareName" => listing.middleware = value.into_owned(),
                "page" => listing.page = number().ok_or_else(|| format!("invalid page: {value}"))?,
                "per_page" => listing.per_page = number().ok_or_else(|| format!("invalid per_page: {value}"))?,
                _ => {}
            }
        }
        Ok(listing)
    }

    /// The page that was asked for. A page behind the last one is an error, unless it is the first.
    pub(super) fn page(&self, all: &BTreeMap<String, Value>) -> Result<Page, String> {
        let found: Vec<&Value> =
            all.iter().filter(|(name, item)| self.takes(name, item)).map(|(_, item)| item).collect();
        let Self { page, per_page, .. } = self;
        let begin = (page - 1).saturating_mul(*per_page);
        if begin >= found.len() && *page > 1 {
            return Err(format!("invalid request: page: {page}, per_page: {per_page}"));
        }
        let end = begin.saturating_add(*per_page).min(found.len());
        let next = if end < found.len() { page + 1 } else { 1 };
        Ok(Page { items: found[begin..end].iter().map(|item| (*item).clone()).collect(), next })
    }

    fn takes(&self, name: &str, item: &Value) -> bool {
        let is_found = |text: &str| text.to_lowercase().contains(&self.search);
        let is_searched = self.search.is_empty() || is_found(name) || item["rule"].as_str().is_some_and(is_found);
        let has_status = self.status.is_empty() || item["status"].as_str() == Some(&self.status);
        let has_service = self.service.is_empty() || item["service"].as_str() == Some(&self.service);
        let has_middleware = self.middleware.is_empty()
            || item["middlewares"].as_array().is_some_and(|all| all.iter().any(|one| *one == *self.middleware));
        is_searched && has_status && has_service && has_middleware
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(query: &str) -> Result<(Vec<String>, usize), String> {
        let item = |name: &str, status: &str| (name.to_owned(), json!({"name": name, "status": status}));
        let all = [item("a@docker", "enabled"), item("b@docker", "disabled"), item("c@file", "enabled")].into();
        let Page { items, next } = Listing::parse(query)?.page(&all)?;
        Ok((items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect(), next))
    }

    #[test]
    fn a_list_has_pages_and_filters() {
        let names = |names: &[&str], next: usize| Ok((names.iter().map(|name| (*name).to_owned()).collect(), next));
        assert_eq!(page(""), names(&["a@docker", "b@docker", "c@file"], 1));
        assert_eq!(page("per_page=2"), names(&["a@docker", "b@docker"], 2));
        assert_eq!(page("per_page=2&page=2"), names(&["c@file"], 1));
        assert_eq!(page("search=FILE&per_page=1"), names(&["c@file"], 1));
        assert_eq!(page("status=disabled"), names(&["b@docker"], 1));
        assert_eq!(page("status=error"), names(&[], 1));
        for wrong in ["page=3", "page=0", "per_page=x"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }
}
