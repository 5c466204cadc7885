//! Settings from variables. Every one that begins with our prefix must be known.

use std::ffi::OsString;

use gangway_model::diagnostic::Span;
use gangway_model::rule::nearest;
use gangway_model::{Code, Diagnostic, Place, Severity, codes};

use super::schema::{FLAGS, Flag, VARIABLE_PREFIX, flag};
use super::{Given, Layer};

/// The settings among `variables`. An empty one counts as not given: that is what compose makes of
/// `${NAME:-}`.
pub(crate) fn variables(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    effect: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let Some(flag) = FLAGS.iter().find(|flag| flag.variable() == name) else {
            diagnostics.push(unknown(&name, effect));
            continue;
        };
        match value.into_string() {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => drop(layer.insert(flag.name, vec![Given::variable(text)])),
            Err(_) => diagnostics.push(no_text(flag, effect)),
        }
    }
    layer
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
        (variables(pairs, "nothing", &mut diagnostics), diagnostics)
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
        assert!(variables([pair], "nothing", &mut diagnostics).is_empty());
        assert!(diagnostics[0].message.contains("GANGWAY_DATA"));
    }
}
