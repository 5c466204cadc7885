//! Every option of Traefik's static configuration, with what becomes of it.
//!
//! The list is that of Traefik 3.7. It decides three things: what an option takes, whether it is in force, and which
//! name an unknown one resembles.

mod option;
mod options;

use gangway_diagnostic::nearest;

pub use self::option::{Fate, Kind, StaticOption};
pub use self::options::CATALOGUE;

/// What a way leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Option {
        option: &'static StaticOption,
        /// What stands for each `<name>` and `[n]`, in order, as written.
        names: Vec<Box<str>>,
    },
    /// Options stand below it, but it is none itself.
    Section,
    Unknown {
        /// The position of the first segment that is wrong.
        segment: usize,
        /// The way that was surely meant.
        nearest: Option<String>,
    },
}

/// Looks a way up, in any case.
pub(crate) fn look_up(path: &[Box<str>]) -> Found {
    let mut is_section = false;
    // How far the way was right, with what could stand behind.
    let mut right = 0;
    let mut next: Vec<&'static str> = Vec::new();
    for option in CATALOGUE {
        let pattern: Vec<&'static str> = pattern_segments(option.path).collect();
        let matched = pattern.iter().zip(path).take_while(|(pattern, segment)| fits(pattern, segment)).count();
        // A list may be written item by item, and what stands for everything below a way is that way itself too.
        let is_item = option.kind == Kind::List && path.len() == matched + 1 && path[matched].starts_with('[');
        let is_below = pattern.last() == Some(&"**") && matched + 1 >= pattern.len();
        if matched == pattern.len() && (matched == path.len() || is_item) || is_below {
            let names = pattern.iter().zip(path).filter(|(pattern, _)| is_free(pattern)).map(|(_, name)| name.clone());
            return Found::Option { option, names: names.collect() };
        }
        is_section |= matched == path.len();
        if matched > right {
            right = matched;
            next.clear();
        }
        if matched == right
            && let Some(segment) = pattern.get(matched)
        {
            next.push(segment);
        }
    }
    if is_section {
        return Found::Section;
    }
    Found::Unknown { segment: right, nearest: meant(path, right, &next) }
}

fn pattern_segments(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('.')
        .flat_map(|part| match part.strip_suffix("[n]") {
            Some(name) => [Some(name), Some("[n]")],
            None => [Some(part), None],
        })
        .flatten()
}

fn is_free(pattern: &str) -> bool {
    matches!(pattern, "<name>" | "[n]")
}

fn fits(pattern: &str, segment: &str) -> bool {
    match pattern {
        "**" => true,
        "<name>" => !segment.is_empty() && !segment.starts_with('['),
        "[n]" => segment.starts_with('['),
        _ => pattern.eq_ignore_ascii_case(segment),
    }
}

/// The way with its first wrong segment repaired, or another one that ends in the same words.
fn meant(path: &[Box<str>], wrong: usize, next: &[&'static str]) -> Option<String> {
    let word = &**path.get(wrong)?;
    let candidates = next.iter().copied().filter(|next| !is_free(next) && *next != "**");
    if let Some(near) = nearest(word, candidates) {
        let mut repaired: Vec<&str> = path.iter().map(|segment| &**segment).collect();
        repaired[wrong] = near;
        // What follows may be wrong too, and is left out then.
        let whole: Vec<Box<str>> = repaired.iter().map(|segment| (*segment).into()).collect();
        let len = if matches!(look_up_once(&whole), Some(len) if len == whole.len()) { whole.len() } else { wrong + 1 };
        return Some(joined(&repaired[..len]));
    }
    let last = &**path.last()?;
    let mut same = CATALOGUE.iter().filter(|option| {
        pattern_segments(option.path).last().is_some_and(|end| !is_free(end) && end.eq_ignore_ascii_case(last))
    });
    // Of several, none is surely meant.
    same.next().filter(|_| same.next().is_none()).map(|option| option.path.to_owned())
}

/// How many segments of a way lead somewhere.
fn look_up_once(path: &[Box<str>]) -> Option<usize> {
    CATALOGUE
        .iter()
        .map(|option| {
            pattern_segments(option.path).zip(path).take_while(|(pattern, segment)| fits(pattern, segment)).count()
        })
        .max()
}

fn joined(path: &[&str]) -> String {
    let mut joined = String::new();
    for segment in path {
        if !joined.is_empty() && !segment.starts_with('[') {
            joined.push('.');
        }
        joined.push_str(segment);
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::entry::segments;

    fn nearest_to(path: &str) -> (usize, String) {
        match look_up(&segments(path)) {
            Found::Unknown { segment, nearest } => (segment, nearest.unwrap_or_default()),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn options_are_found_in_any_case() {
        let Found::Option { option, names } = look_up(&segments("entrypoints.WEB.Address")) else { panic!() };
        assert_eq!((option.path, &*names[0]), ("entryPoints.<name>.address", "WEB"));
        let Found::Option { option, names } = look_up(&segments("entryPoints.a.http.tls.domains[1].main")) else {
            panic!()
        };
        assert_eq!((option.path, names.len(), &*names[1]), ("entryPoints.<name>.http.tls.domains[n].main", 2, "[1]"));
        assert_eq!(look_up(&segments("providers")), Found::Section);
        for path in ["experimental.plugins.x.y.z", "tracing", "entryPoints.a.http.middlewares[0]", "api"] {
            assert!(matches!(look_up(&segments(path)), Found::Option { .. }), "{path}");
        }
    }

    #[test]
    fn the_nearest_option_is_named() {
        for (path, segment, nearest) in [
            ("entryPoints.web.adress", 2, "entryPoints.web.address"),
            ("entrypoint.web.address", 0, "entryPoints.web.address"),
            ("providers.docker.exposeByDefault", 2, "providers.docker.exposedByDefault"),
            ("exposedByDefault", 0, "providers.docker.exposedByDefault"),
            ("certificatesResolvers.le.email", 2, "certificatesResolvers.<name>.acme.email"),
            (
                "certificatesResolvers.le.acme.dnsChalenge.provider",
                3,
                "certificatesResolvers.le.acme.dnsChallenge.provider",
            ),
            ("nope", 0, ""),
            ("defaultRule", 0, "providers.docker.defaultRule"),
            ("exposedbydefaults", 0, ""),
        ] {
            assert_eq!(nearest_to(path), (segment, nearest.to_owned()), "{path}");
        }
        assert_eq!(nearest_to("insecureskipverify.x").1, "");
    }

    #[test]
    fn every_option_stands_once_and_says_what_happens_instead() {
        let mut paths = BTreeSet::new();
        let mut settings = BTreeSet::new();
        for option in CATALOGUE {
            assert!(paths.insert(option.path.to_ascii_lowercase()), "{} twice", option.path);
            match option.fate {
                Fate::InForce(setting) => assert!(settings.insert(setting), "{setting:?} twice"),
                Fate::WithoutEffect(sentence) => {
                    let is_word = |first: char| first.is_lowercase() || first == '`';
                    let is_name = ["Gangway", "HTTP", "UDP"].iter().any(|name| sentence.starts_with(name));
                    let first = is_name || sentence.starts_with(is_word);
                    assert!(first && !sentence.ends_with('.'), "{}: {sentence}", option.path);
                }
            }
        }
    }
}
