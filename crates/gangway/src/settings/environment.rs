//! Settings from variables. Every one that begins with our prefix must be known, unless it is not ours.
//!
//! Container links and Kubernetes make variables that are named after services, for all who could want to find
//! one: a service that is called `gangway` makes `GANGWAY_PORT`.

use std::ffi::OsString;

use gangway_model::diagnostic::Span;
use gangway_model::rule::nearest;
use gangway_model::{Code, Diagnostic, Place, Severity, codes};

use super::schema::{FLAGS, Flag, VARIABLE_PREFIX, flag};
use super::{Given, Layer};

/// What the variables under our prefix are.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    pub(crate) layer: Layer,
    /// Names of those that others made for a service of our name.
    pub(crate) foreign: Vec<String>,
}

/// The settings among `variables`. An empty one counts as not given: that is what compose makes of
/// `${NAME:-}`.
pub(crate) fn variables(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    effect: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Variables {
    let Variables { mut layer, mut foreign } = Variables::default();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let Some(flag) = FLAGS.iter().find(|flag| flag.variable() == name) else {
            if is_of_a_service(&name[VARIABLE_PREFIX.len()..], &value.to_string_lossy()) {
                foreign.push(name);
            } else {
                diagnostics.push(unknown(&name, effect));
            }
            continue;
        };
        match value.into_string() {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => drop(layer.insert(flag.name, vec![Given::variable(text)])),
            Err(_) => diagnostics.push(no_text(flag, effect)),
        }
    }
    foreign.sort_unstable();
    Variables { layer, foreign }
}

/// Whether a container link or Kubernetes makes a variable that is called `gangway_<rest>`, or is named after a
/// service `gangway-<…>`. By its value as well where the name could be somebody's guess at a setting.
fn is_of_a_service(rest: &str, value: &str) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_protocol = |word: &str| matches!(word, "TCP" | "UDP" | "SCTP");
    let is_number = |word: &str| word.parse::<u16>().is_ok();
    let has = |sought: &[&str]| words.windows(sought.len()).any(|window| window == sought);
    match words.as_slice() {
        // `GANGWAY_ENV_PATH` and `GANGWAY_NAME=/app/gangway`, of a link.
        ["ENV", _, ..] => true,
        ["NAME"] => value.starts_with('/'),
        [.., "PORT"] if is_url => true,
        [.., "PORT", number, protocol] | [.., "PORT", number, protocol, "ADDR" | "PORT" | "PROTO"] => {
            is_number(number) && is_protocol(protocol)
        }
        // `GANGWAY_SERVICE_PORT_HTTPS`: the port's name comes last.
        _ => has(&["SERVICE", "HOST"]) || has(&["SERVICE", "PORT"]),
    }
}

fn unknown(name: &str, effect: &str) -> Diagnostic {
    // Without the prefix, which all have in common: it would make everything near.
    let word = name[VARIABLE_PREFIX.len()..].to_ascii_lowercase().replace('_', "-");
    let help = match nearest(&word, FLAGS.iter().map(|flag| flag.name)).and_then(flag) {
        Some(nearest) => format!("did you mean `{}`?", nearest.variable()),
        None => "unset it; `gangway serve --help` lists the variables".to_owned(),
    };
    Diagnostic {
        message: format!("unknown variable `{name}`"),
        text: name.to_owned(),
        span: Span { start: 0, end: name.len() },
        note: "not a setting".into(),
        ..plain(codes::VARIABLE_UNKNOWN, name, help, effect)
    }
}

fn no_text(flag: &Flag, effect: &str) -> Diagnostic {
    let name = flag.variable();
    Diagnostic {
        message: format!("variable `{name}` is no UTF-8 text"),
        ..plain(codes::SETTING_UNUSABLE, &name, "write it in UTF-8".into(), effect)
    }
}

fn plain(code: Code, name: &str, help: String, effect: &str) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        message: String::new(),
        place: Place { label: name.into(), ..Place::default() },
        text: String::new(),
        span: Span::default(),
        note: String::new(),
        help,
        effect: effect.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Layer, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let Variables { layer, foreign } = variables(pairs, "nothing", &mut diagnostics);
        assert_eq!(foreign, [""; 0]);
        (layer, diagnostics)
    }

    #[test]
    fn what_others_make_for_a_service_of_our_name_is_left_alone() {
        let made = [
            // Kubernetes, for a service `gangway` and another `gangway-web`.
            ("GANGWAY_SERVICE_HOST", "10.0.0.1"),
            ("GANGWAY_SERVICE_PORT", "80"),
            ("GANGWAY_SERVICE_PORT_HTTPS", "443"),
            ("GANGWAY_PORT", "tcp://10.0.0.1:80"),
            ("GANGWAY_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("GANGWAY_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("GANGWAY_PORT_80_TCP_PORT", "80"),
            ("GANGWAY_PORT_53_UDP_PROTO", "udp"),
            ("GANGWAY_WEB_SERVICE_HOST", "10.0.0.2"),
            ("GANGWAY_WEB_PORT_8080_TCP", "tcp://10.0.0.2:8080"),
            // A link.
            ("GANGWAY_NAME", "/app/gangway"),
            ("GANGWAY_ENV_GANGWAY_DOMAIN", "example.org"),
        ];
        let mut diagnostics = Vec::new();
        let pairs = made.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let read = variables(pairs, "nothing", &mut diagnostics);
        assert_eq!((read.foreign.len(), read.layer.len(), diagnostics), (made.len(), 0, Vec::new()));
    }

    #[test]
    fn a_guess_at_a_setting_is_not_taken_for_one_of_those() {
        for pair in
            [("GANGWAY_PORT", "8080"), ("GANGWAY_HTTP_PORT", "80"), ("GANGWAY_NAME", "home"), ("GANGWAY_ENV", "x")]
        {
            assert_eq!(read(&[pair]).1.len(), 1, "{pair:?}");
        }
    }

    #[test]
    fn only_our_prefix_counts_and_empty_is_not_given() {
        let (layer, diagnostics) = read(&[("GANGWAY_HTTP", ":81"), ("GANGWAY_DOMAIN", " "), ("HTTP", "x")]);
        assert_eq!(layer.into_keys().collect::<Vec<_>>(), ["http"]);
        assert_eq!(diagnostics, []);
    }

    #[test]
    fn an_unknown_variable_names_the_nearest_one() {
        let (_, diagnostics) = read(&[("GANGWAY_HTPS", "x"), ("GANGWAY_FROBNICATION", "x")]);
        assert_eq!(diagnostics.len(), 2);
        assert_eq!(diagnostics[0].help, "did you mean `GANGWAY_HTTPS`?");
        assert!(!diagnostics[1].help.contains("did you mean"), "{}", diagnostics[1].help);
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let mut diagnostics = Vec::new();
        let pair = ("GANGWAY_DATA".into(), OsString::from_vec(vec![0xff, 0xfe]));
        assert!(variables([pair], "nothing", &mut diagnostics).layer.is_empty());
        assert!(diagnostics[0].message.contains("GANGWAY_DATA"));
    }
}
