//! The prefix of our labels, and the names of routes behind it.

use crate::label::{Mark, Source, whole};
use crate::snapshot::Container;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Diagnostic, Severity};
use gangway_diagnostic::{Finding, distance, quoted};

/// The beginning of all our labels.
pub(crate) const PREFIX: &str = "gangway.";

/// At most this many labels of one container are read.
pub(super) const LABELS_MAX: usize = 256;

/// The longest name of a route in a label, in characters.
const NAME_LEN_MAX: usize = 63;

/// A label under our prefix.
pub(super) struct OwnLabel<'a> {
    /// The part behind the prefix.
    pub rest: &'a str,
    pub mark: Mark<'a>,
}

/// Our labels, and those that nearly are.
pub(super) fn sort_out(container: &Container) -> (Vec<OwnLabel<'_>>, Vec<(Mark<'_>, &str)>) {
    let (mut ours, mut misses) = (Vec::new(), Vec::new());
    for (label, value) in &container.labels {
        let mark = Mark { label, value, place: None };
        match label.get(..PREFIX.len()) {
            Some(begin) if begin.eq_ignore_ascii_case(PREFIX) => {
                ours.push(OwnLabel { rest: &label[PREFIX.len()..], mark });
            }
            _ => misses.extend(near_miss(label).map(|rest| (mark, rest))),
        }
    }
    (ours, misses)
}

pub(super) fn report_near_misses(source: Source<'_>, misses: &[(Mark<'_>, &str)], found: &mut Vec<Diagnostic>) {
    for (mark, rest) in misses.iter().take(LABELS_MAX) {
        let help = match rest {
            &"" => "labels of Gangway begin with `gangway.`, such as `gangway.enable`".to_owned(),
            rest => format!("did you mean {}?", quoted(&format!("{PREFIX}{rest}"))),
        };
        let finding = Finding {
            severity: Severity::Warning,
            ..whole(
                codes::LABEL_NEAR_MISS,
                format!("label {} just outside the prefix `gangway.`", quoted(mark.label)),
                "not ours as it is written",
                help,
            )
        };
        found.push(source.about_key(*mark, finding, "the label does nothing".into()));
    }
}

/// Letters, digits, hyphens and underscores.
pub(super) fn is_route_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

pub(super) fn bad_name(source: Source<'_>, name: &str) -> Finding {
    let help = match source {
        Source::Container(_) => "write `gangway.routes.<name>.<key>`, such as `gangway.routes.api.host`",
        Source::Definition(_) => "write `[middlewares.<name>]`, such as `[middlewares.lan-only]`",
        Source::File(_) | Source::Provider(_) => "write `[routes.<name>]`, such as `[routes.nas]`",
    };
    whole(
        codes::ROUTE_NAME,
        format!("{} is not a name of a route", quoted(name)),
        "1 to 63 letters, digits, hyphens and underscores",
        help,
    )
}

/// The part behind the prefix of a key whose prefix is a misspelling of ours.
pub(crate) fn near_miss(label: &str) -> Option<&str> {
    const PREFIX: &str = "gangway";
    // Nearly all labels of a container are others', so they have to be told apart quickly.
    let separates = |byte| matches!(byte, b'.' | b'-' | b'_' | b':' | b'/');
    let end = label.bytes().take(PREFIX.len() + 2).position(separates).unwrap_or(label.len());
    if end.abs_diff(PREFIX.len()) > 1 {
        return None;
    }
    // One slip leaves the first or the last letter as it is, and the prefix of Traefik is as long as ours.
    let (ours, written) = (PREFIX.as_bytes(), &label.as_bytes()[..end]);
    let agrees = |one: Option<&u8>, other: Option<&u8>| one.zip(other).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    if !agrees(written.first(), ours.first()) && !agrees(written.last(), ours.last()) {
        return None;
    }
    let is_ours = label.as_bytes().get(end) == Some(&b'.') && label[..end].eq_ignore_ascii_case(PREFIX);
    let is_near = distance(&label[..end], PREFIX, 1).is_some();
    (is_near && !is_ours).then(|| label.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_misses_of_our_prefix_are_seen() {
        assert_eq!(near_miss("gangaway.host"), Some("host"));
        assert_eq!(near_miss("gangway-host"), Some("host"));
        assert_eq!(near_miss("gangway_host"), Some("host"));
        assert_eq!(near_miss("gangway"), Some(""));
        assert_eq!(near_miss("gnagway.host"), Some("host"));
        assert_eq!(near_miss("ganway.enable"), Some("enable"));
        for label in [
            "gangway.host",
            "Gangway.host",
            "gateway.host",
            "traefik.enable",
            "com.docker.x",
            "gang.host",
            "",
            "ü",
            "railway.x",
        ] {
            assert_eq!(near_miss(label), None, "{label}");
        }
    }
}
