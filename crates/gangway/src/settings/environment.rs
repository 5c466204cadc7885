//! The layer of settings from environment variables.
//!
//! A variable that begins with `GANGWAY_` must be a known setting, unless other software made it: container links
//! and Kubernetes make variables that are named after services, and a service called `gangway` makes `GANGWAY_PORT`.

use std::ffi::OsString;

use gangway_diagnostic::{Code, Diagnostic, Place, Severity, Span, codes, nearest};

use super::schema::{FLAGS, Flag, VARIABLE_PREFIX, flag};
use super::value::{Layer, SettingValue};

/// The variables that begin with `GANGWAY_`.
#[derive(Debug, Default)]
pub(crate) struct EnvironmentLayer {
    pub(crate) layer: Layer,
    /// The names of those that other software made for a service called `gangway`.
    pub(crate) foreign: Vec<String>,
    /// Unknown variables and values that are not text.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads the settings among `variables`; `effect` says what a wrong one causes. An empty variable counts as not
/// given, because compose makes one of `${NAME:-}`.
pub(crate) fn read_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    effect: &str,
) -> EnvironmentLayer {
    let mut environment = EnvironmentLayer::default();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let Some(flag) = FLAGS.iter().find(|flag| flag.variable() == name) else {
            if is_made_for_a_service(rest, &value.to_string_lossy()) {
                environment.foreign.push(name);
            } else {
                environment.diagnostics.push(unknown(&name, rest, effect));
            }
            continue;
        };
        match value.into_string() {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => environment.layer.set(flag, vec![SettingValue::variable(text)]),
            Err(_) => environment.diagnostics.push(not_utf8(flag, effect)),
        }
    }
    environment.foreign.sort_unstable();
    environment
}

/// Whether a container link or Kubernetes makes a variable called `GANGWAY_<rest>`, for a service `gangway` or
/// `gangway-<…>`. The value decides if a user could have guessed the name as that of a setting.
fn is_made_for_a_service(rest: &str, value: &str) -> bool {
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
        // `GANGWAY_SERVICE_PORT_HTTPS`: the name of the port comes last.
        _ => has(&["SERVICE", "HOST"]) || has(&["SERVICE", "PORT"]),
    }
}

/// `rest` is the name without the prefix. The prefix would make every name near to every other.
fn unknown(name: &str, rest: &str, effect: &str) -> Diagnostic {
    let word = rest.to_ascii_lowercase().replace('_', "-");
    let help = match nearest(&word, FLAGS.iter().map(|flag| flag.name)).and_then(flag) {
        Some(nearest) => format!("did you mean `{}`?", nearest.variable()),
        None => "unset it; `gangway serve --help` lists the variables".to_owned(),
    };
    Diagnostic {
        message: format!("unknown variable `{name}`"),
        text: name.to_owned(),
        span: Span { start: 0, end: name.len() },
        note: "not a setting".into(),
        ..about_variable(codes::VARIABLE_UNKNOWN, name, help, effect)
    }
}

fn not_utf8(flag: &Flag, effect: &str) -> Diagnostic {
    let name = flag.variable();
    Diagnostic {
        message: format!("variable `{name}` is not UTF-8 text"),
        ..about_variable(codes::SETTING_UNUSABLE, &name, "write it in UTF-8".into(), effect)
    }
}

fn about_variable(code: Code, name: &str, help: String, effect: &str) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        message: String::new(),
        place: Place::Variable(name.into()),
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
    use crate::settings::schema::HTTP;

    fn read(pairs: &[(&str, &str)]) -> (Layer, Vec<Diagnostic>) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let EnvironmentLayer { layer, foreign, diagnostics } = read_environment(pairs, "nothing");
        assert_eq!(foreign, [""; 0]);
        (layer, diagnostics)
    }

    #[test]
    fn variables_made_for_a_service_called_gangway_are_left_alone() {
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
        let pairs = made.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let EnvironmentLayer { layer, foreign, diagnostics } = read_environment(pairs, "nothing");
        assert_eq!((foreign.len(), layer, diagnostics), (made.len(), Layer::default(), Vec::new()));
    }

    #[test]
    fn a_guess_at_a_setting_is_unknown_and_not_foreign() {
        for pair in
            [("GANGWAY_PORT", "8080"), ("GANGWAY_HTTP_PORT", "80"), ("GANGWAY_NAME", "home"), ("GANGWAY_ENV", "x")]
        {
            assert_eq!(read(&[pair]).1.len(), 1, "{pair:?}");
        }
    }

    #[test]
    fn only_the_prefix_counts_and_an_empty_variable_is_not_given() {
        let (layer, diagnostics) = read(&[("GANGWAY_HTTP", ":81"), ("GANGWAY_DOMAIN", " "), ("HTTP", "x")]);
        let expected: Layer = [(&HTTP, vec![SettingValue::variable(":81")])].into_iter().collect();
        assert_eq!(layer, expected);
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
    fn a_value_that_is_not_text_is_named() {
        let pair = ("GANGWAY_DATA".into(), OsString::from_vec(vec![0xff, 0xfe]));
        let EnvironmentLayer { layer, diagnostics, .. } = read_environment([pair], "nothing");
        assert_eq!(layer, Layer::default());
        assert!(diagnostics[0].message.contains("GANGWAY_DATA"));
    }
}
