//! Flags → entries.

use gangway_diagnostic::{Diagnostic, Place, codes, printable};

use crate::catalogue::{Found, Kind, look_up};
use crate::entry::{Entry, EntryValue, segments};

/// The flag that names a file. It is no option of the configuration.
const CONFIG_FILE: &str = "configfile";

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub entries: Vec<Entry>,
    /// `--configFile`.
    pub config_file: Option<Box<str>>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads flags in any case: `--a.b=c`, `--a.b c`, and `--a.b` alone for what is switched on.
///
/// A flag that is repeated counts as the last one; where it is a list, as all of them.
pub(crate) fn read_flags<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Flags {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let Some(body) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            flags.diagnostics.push(not_a_flag(argument));
            continue;
        };
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let path = segments(name);
        let kind = match look_up(&path) {
            Found::Option { option, .. } => Some(option.kind),
            Found::Section | Found::Unknown { .. } => None,
        };
        let stands_alone = matches!(kind, Some(Kind::Bool | Kind::Section));
        let is_config_file = name.eq_ignore_ascii_case(CONFIG_FILE);
        let value = value.map(str::to_owned).or_else(|| {
            let next = arguments.next_if(|next| !stands_alone && !next.starts_with('-'));
            next.map(str::to_owned)
        });
        if is_config_file {
            flags.config_file = value.filter(|value| !value.is_empty()).map(Into::into);
            continue;
        }
        let written: Box<str> = format!("--{name}").into();
        let place = Place::Flag(written.clone());
        let value = match value {
            Some(value) => value,
            // Alone, every flag means that it is on. A later step reports those that need a text.
            None => "true".to_owned(),
        };
        let repeated = flags.entries.iter_mut().find(|entry| is_same(&entry.path, &path));
        match repeated {
            Some(entry) if kind == Some(Kind::List) => {
                entry.value = EntryValue::Text(format!("{},{value}", entry.text()).into());
            }
            Some(entry) => entry.value = EntryValue::Text(value.into()),
            None => flags.entries.push(Entry {
                path,
                value: EntryValue::Text(value.into()),
                written,
                key_place: place.clone(),
                value_place: place,
            }),
        }
    }
    flags
}

fn is_same(one: &[Box<str>], other: &[Box<str>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

fn not_a_flag(argument: &str) -> Diagnostic {
    let shown = printable(argument);
    let message = format!("`{shown}` is no flag");
    Diagnostic::warning(codes::TRAEFIK_OPTION_UNKNOWN, Place::Flag(shown.as_str().into()), message)
        .with_help("flags begin with `--`; does a value with spaces lack its quotes?")
        .with_effect("the word is left out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Vec<String> {
        let flags = read_flags(arguments.iter().copied());
        assert_eq!(flags.diagnostics, []);
        flags.entries.iter().map(|entry| format!("{}={}", entry.path.join("/"), entry.text())).collect()
    }

    #[test]
    fn every_form_of_a_flag_is_read() {
        assert_eq!(
            read(&[
                "--entrypoints.web.address=:80",
                "--EntryPoints.websecure.Address",
                ":443",
                "--api",
                "--api.insecure",
                "--providers.docker.exposedByDefault=false",
                "-log.level=DEBUG",
                "--entrypoints.websecure.http.tls.domains[0].main=a.test",
            ]),
            [
                "entrypoints/web/address=:80",
                "EntryPoints/websecure/Address=:443",
                "api=true",
                "api/insecure=true",
                "providers/docker/exposedByDefault=false",
                "log/level=DEBUG",
                "entrypoints/websecure/http/tls/domains/[0]/main=a.test",
            ]
        );
    }

    #[test]
    fn a_repeated_flag_counts_as_the_last_and_lists_are_joined() {
        assert_eq!(
            read(&[
                "--log.level=INFO",
                "--LOG.level=DEBUG",
                "--entrypoints.web.forwardedheaders.trustedips=192.0.2.1",
                "--entrypoints.web.forwardedHeaders.trustedIPs=192.0.2.2,192.0.2.3",
            ]),
            ["log/level=DEBUG", "entrypoints/web/forwardedheaders/trustedips=192.0.2.1,192.0.2.2,192.0.2.3"]
        );
    }

    #[test]
    fn the_file_is_named_and_a_word_too_many_is_told() {
        let flags = read_flags(["--configFile=/x.yml", "oops"]);
        assert_eq!(flags.config_file.as_deref(), Some("/x.yml"));
        assert!(flags.entries.is_empty());
        assert_eq!(flags.diagnostics[0].message, "`oops` is no flag");
    }
}
