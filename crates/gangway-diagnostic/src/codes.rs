//! Every code of a diagnostic, with its description in the reference.
//!
//! A code is a promise: a number is never given to another finding. All codes stand here, whichever crate reports
//! them, so one page and one test cover the whole list.

mod configuration;
mod conflict;
mod label;
mod network;
mod reference;
mod rule;
mod tls;
mod traefik;
mod traefik_static;

pub use self::configuration::*;
pub use self::conflict::*;
pub use self::label::*;
pub use self::network::*;
pub use self::reference::*;
pub use self::rule::*;
pub use self::tls::*;
pub use self::traefik::*;
pub use self::traefik_static::*;
use crate::code::{Code, CodeDescription};

/// The codes of one hundred, ascending.
#[derive(Clone, Copy, Debug)]
pub struct CodeGroup {
    /// The digit that the codes begin with.
    pub hundred: u16,
    /// The common subject, such as `TLS and certificates`.
    pub subject: &'static str,
    /// The descriptions, ascending by code.
    pub codes: &'static [CodeDescription],
}

/// All groups, ascending.
pub const GROUPS: &[CodeGroup] = &[
    CodeGroup { hundred: 0, subject: "the shape of labels and their values", codes: LABEL_CODES },
    CodeGroup { hundred: 1, subject: "rules, hosts, paths and regular expressions", codes: RULE_CODES },
    CodeGroup { hundred: 2, subject: "references to something else", codes: REFERENCE_CODES },
    CodeGroup { hundred: 3, subject: "conflicts between routes", codes: CONFLICT_CODES },
    CodeGroup { hundred: 4, subject: "networks, addresses, ports and health", codes: NETWORK_CODES },
    CodeGroup { hundred: 5, subject: "TLS and certificates", codes: TLS_CODES },
    CodeGroup {
        hundred: 6,
        subject: "Traefik's static configuration and the files of its file provider",
        codes: TRAEFIK_STATIC_CODES,
    },
    CodeGroup { hundred: 7, subject: "Traefik's labels and files", codes: TRAEFIK_CODES },
    CodeGroup {
        hundred: 9,
        subject: "global settings, the configuration file and compose files",
        codes: CONFIGURATION_CODES,
    },
];

/// Every code, ascending.
pub fn all() -> impl Iterator<Item = &'static CodeDescription> {
    GROUPS.iter().flat_map(|group| group.codes)
}

/// The description of a code; none for a code that is not registered.
pub fn find(code: Code) -> Option<&'static CodeDescription> {
    let group = GROUPS.iter().find(|group| group.hundred == code.0 / 100)?;
    let at = group.codes.binary_search_by_key(&code, |description| description.code).ok()?;
    Some(&group.codes[at])
}

impl Code {
    /// The general meaning: one line, lower case, no full stop. Empty for a code that is not registered.
    pub fn title(self) -> &'static str {
        find(self).map_or("", |description| description.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_in_its_group_and_is_found() {
        let all: Vec<_> = all().collect();
        assert!(all.windows(2).all(|pair| pair[0].code < pair[1].code), "a number was given twice");
        for description in all {
            assert_eq!(find(description.code), Some(description));
        }
    }

    #[test]
    fn titles_and_explanations_are_worded_alike() {
        for CodeDescription { title, explanation, .. } in all() {
            // A title may begin with an abbreviation.
            let mut first = title.chars().take(2).map(char::is_uppercase);
            let is_sentence = (first.next(), first.next()) == (Some(true), Some(false));
            assert!(!title.ends_with('.') && !is_sentence, "{title}");
            assert!(explanation.ends_with('.') && !explanation.contains("  "), "{explanation}");
        }
    }

    #[test]
    fn every_code_has_a_severity() {
        assert!(all().all(|description| !description.severities.is_empty() && description.severities.is_sorted()));
    }

    #[test]
    fn a_code_that_is_not_registered_has_no_title() {
        assert_eq!(Code(104).title(), "unknown matcher");
        assert_eq!((Code(199).title(), Code(777).title()), ("", ""));
    }
}
