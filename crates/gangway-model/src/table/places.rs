//! The places at which routes are served, as people write them.

use super::RoutingTable;
use crate::matcher::{Alternative, HostCondition};
use crate::path::PathPattern;

/// The most places of one route that are listed.
const PLACES_MAX: usize = 100;

impl<T> RoutingTable<T> {
    /// Hosts with the paths below them that each route is served at, such as `shop.example.org/api`: for each of
    /// [`routes`](Self::routes), the most specific first.
    pub fn places(&self) -> Vec<Vec<String>> {
        let mut all: Vec<Vec<String>> = self.routes.iter().map(|_| Vec::new()).collect();
        for slot in self.index.slots() {
            let place = place(&slot.alternative);
            // Nobody reads thousands of places.
            if let Some(places) = all.get_mut(slot.route as usize)
                && places.len() < PLACES_MAX
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        all
    }
}

fn place(alternative: &Alternative) -> String {
    let host = match alternative.host() {
        HostCondition::Pattern(pattern) => pattern.to_string(),
        HostCondition::Regex(pattern) => format!("~{}", pattern.as_str()),
    };
    match alternative.path() {
        PathPattern::Prefix(path) | PathPattern::Exact(path) if **path == *"/" => host,
        PathPattern::Prefix(path) | PathPattern::Exact(path) => format!("{host}{path}"),
        PathPattern::Regex(pattern) => format!("{host}/~{}", pattern.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use crate::listener::ListenerScope;
    use crate::path::PathPattern;
    use crate::table::{Entry, RoutingTable};
    use crate::{HostPattern, Matcher};

    #[test]
    fn a_place_is_a_host_with_a_path() {
        let mut none = Vec::new();
        let hosts = ["a.test", "*.b.test"].map(|host| HostPattern::parse(host, &mut none).expect("a host"));
        let paths = ["/", "/x"].map(|path| PathPattern::parse(path, &mut none).expect("a path"));
        let matcher = Matcher::from_lists(hosts.to_vec(), paths.to_vec(), &mut none).expect("a matcher");
        let entry =
            Entry { matcher, scope: ListenerScope::default(), priority: 0, age: 0, id: "one".into(), payload: () };
        let table = RoutingTable::build(vec![entry]);
        assert_eq!(table.places(), [["a.test/x", "a.test", "*.b.test/x", "*.b.test"]]);
    }
}
