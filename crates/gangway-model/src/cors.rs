//! What pages of other origins may do with an application: cross-origin resource sharing (CORS, Fetch standard).

use std::fmt::{self, Display, Formatter};

use http::HeaderValue;

use crate::regex_pattern::RegexPattern;

/// What is answered to browsers that ask for pages of other origins, in place of the application.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cors {
    /// The origins that may read answers, as browsers write them; `*` is every origin.
    pub origins: Box<[Box<str>]>,
    /// Origins in which one of these matches somewhere may do so too.
    pub origin_patterns: Box<[RegexPattern]>,
    /// Whether browsers send credentials along, and show such answers to pages.
    pub credentials: bool,
    /// `Access-Control-Allow-Methods`.
    pub methods: Option<HeaderValue>,
    /// `Access-Control-Allow-Headers`.
    pub headers: Option<HeaderValue>,
    /// `Access-Control-Expose-Headers`.
    pub exposed: Option<HeaderValue>,
    /// For how many seconds browsers remember the answer to a preflight.
    pub max_age: Option<u64>,
    /// Whether `Vary` tells caches that answers differ by origin.
    pub varies: bool,
}

/// Every origin.
const EVERY: &str = "*";

impl Cors {
    /// The value of `Access-Control-Allow-Origin` for requests of this origin; none where it is not allowed.
    pub fn allowed<'o>(&self, origin: &'o str) -> Option<&'o str> {
        for known in &self.origins {
            match (&**known, self.credentials) {
                (EVERY, false) => return Some(EVERY),
                // Browsers take no wildcard where there are credentials.
                (EVERY, true) => return Some(origin).filter(|origin| !origin.is_empty()),
                (known, _) if known == origin => return Some(origin),
                _ => {}
            }
        }
        let is_match = !origin.is_empty() && self.origin_patterns.iter().any(|pattern| pattern.is_match(origin));
        is_match.then_some(origin)
    }

    /// Whether pages of every origin may read what the application shows to the users who look at them.
    pub fn is_open_with_credentials(&self) -> bool {
        self.credentials && self.origins.iter().any(|origin| &**origin == EVERY)
    }
}

/// For people.
impl Display for Cors {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let origins = self.origins.iter().map(ToString::to_string);
        let patterns = self.origin_patterns.iter().map(|pattern| format!("~{}", pattern.as_str()));
        let all: Vec<String> = origins.chain(patterns).collect();
        write!(f, "origins {}", if all.is_empty() { "as the application says".to_owned() } else { all.join(" ") })?;
        f.write_str(if self.credentials { ", with credentials" } else { "" })?;
        for (what, value) in [("methods", &self.methods), ("headers", &self.headers), ("exposed", &self.exposed)] {
            if let Some(value) = value {
                write!(f, "; {what} {}", String::from_utf8_lossy(value.as_bytes()))?;
            }
        }
        if let Some(seconds) = self.max_age {
            write!(f, "; for {seconds} s")?;
        }
        f.write_str(if self.varies { "; varies" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_allowed_by_name_by_pattern_or_with_all() {
        let pattern = RegexPattern::parse(r"https://(.*)\.o\.test$", &mut Vec::new()).expect("valid");
        let listed = Cors { origins: ["https://a.test".into(), "app://x".into()].into(), ..Cors::default() };
        let by_pattern = Cors { origin_patterns: [pattern].into(), ..Cors::default() };
        let all = Cors { origins: ["*".into()].into(), ..Cors::default() };
        let all_with_credentials = Cors { credentials: true, ..all.clone() };
        for (cors, origin, allowed) in [
            (&listed, "https://a.test", Some("https://a.test")),
            (&listed, "app://x", Some("app://x")),
            (&listed, "https://a.test.evil", None),
            (&listed, "null", None),
            (&listed, "", None),
            (&by_pattern, "https://q.o.test", Some("https://q.o.test")),
            (&by_pattern, "https://q.x.test", None),
            (&all, "https://b.test", Some("*")),
            (&all, "", Some("*")),
            (&all_with_credentials, "https://b.test", Some("https://b.test")),
            (&all_with_credentials, "", None),
        ] {
            assert_eq!(cors.allowed(origin), allowed, "{origin} {cors}");
        }
        assert!(all_with_credentials.is_open_with_credentials() && !all.is_open_with_credentials());
    }
}
