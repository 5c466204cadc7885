//! Which source of the static configuration counts, and what it gives.

use std::path::{Path, PathBuf};

use gangway_diagnostic::{Diagnostic, Diagnostics, FilePosition, Place, codes};

use crate::apply::{Applied, apply};
use crate::catalogue::{CATALOGUE, Found, look_up};
use crate::config::StaticConfig;
use crate::entry::Entry;
use crate::file::{Form, SourceFile, read_file};
use crate::files_on_disk::{CONFIGURATION_LEN_MAX, read_text};
use crate::flags::{Flags, read_flags};
use crate::setting::GivenOption;
use crate::variables::{self, read_variables};

/// The source of a static configuration. Traefik reads one, the first of these that there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The command line.
    Flags,
    /// Variables that begin with `TRAEFIK_`.
    Variables,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticReading {
    /// Everything that is in force.
    pub config: StaticConfig,
    /// Where it comes from; none where nothing is configured.
    pub source: Option<Source>,
    /// Each option that is in force, in the order of its source.
    pub given: Vec<GivenOption>,
    /// How many options are in force.
    pub in_force: usize,
    /// How many options do nothing, because they are unknown, unusable, or nothing that Gangway does.
    pub without_effect: usize,
    /// A finding for each of the latter.
    pub diagnostics: Diagnostics,
}

/// What a file that gives nothing causes.
const NOTHING_OF_IT: &str = "nothing of the file is in force";

/// Whether these arguments are meant for Traefik: one of them is an option of it.
pub fn is_command_line<'a>(arguments: impl IntoIterator<Item = &'a str>) -> bool {
    arguments.into_iter().any(|argument| {
        let Some(body) = argument.strip_prefix("--") else { return false };
        let name = body.split_once('=').map_or(body, |(name, _)| name);
        let first = name.split(['.', '[']).next().unwrap_or_default();
        let is_top = |path: &str| path.split('.').next().is_some_and(|top| top.eq_ignore_ascii_case(first));
        name.eq_ignore_ascii_case("configfile") || CATALOGUE.iter().any(|option| is_top(option.path))
    })
}

/// Whether these names of variables are meant for Traefik: one of them is an option of it, or names its file. A name that only
/// begins like one, as `TRAEFIK_VERSION`, is none.
pub fn are_variables<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let mut names = names.into_iter();
    names.any(|name| {
        let is_option = |entry: &Entry| matches!(look_up(&entry.path), Found::Option { .. });
        name == variables::CONFIG_FILE || read_variables([(name, "")]).iter().any(is_option)
    })
}

/// Reads the static configuration as Traefik finds it: the file that `--configFile` or `TRAEFIK_CONFIGFILE` names, or
/// the first of `traefik.toml`, `traefik.yaml` and `traefik.yml` in `folders`; or else the flags; or else the variables.
///
/// Never fails: whatever is wrong is a diagnostic, and the rest is in force.
pub fn read_static(arguments: &[String], variables: &[(String, String)], folders: &[PathBuf]) -> StaticReading {
    let flags = read_flags(arguments.iter().map(String::as_str));
    let from_variables = read_variables(variables.iter().map(|(name, value)| (&**name, &**value)));
    let Flags { entries: from_flags, config_file, diagnostics: mut found } = flags;
    let named = config_file.map(|file| PathBuf::from(&*file)).or_else(|| {
        let file = variables.iter().find(|(name, value)| *name == variables::CONFIG_FILE && !value.is_empty());
        file.map(|(_, file)| PathBuf::from(file))
    });
    let (source, entries) = match file_that_counts(named, folders, &mut found) {
        Some((file, entries)) => {
            found.extend(ignored(&from_flags, "the file", &file));
            found.extend(ignored(&from_variables, "the file", &file));
            (Some(Source::File(file)), entries)
        }
        None if !from_flags.is_empty() => {
            found.extend(ignored(&from_variables, "the flags", Path::new("")));
            (Some(Source::Flags), from_flags)
        }
        None if !from_variables.is_empty() => (Some(Source::Variables), from_variables),
        None => (None, Vec::new()),
    };
    let Applied { config, in_force, without_effect, given, diagnostics } = apply(&entries);
    let diagnostics = diagnostics.into_iter().chain(found).collect();
    StaticReading { config, source, given, in_force, without_effect, diagnostics }
}

/// The names that Traefik's file may have, in the order in which they are looked for in a folder.
pub const FILE_NAMES: [&str; 3] = ["traefik.toml", "traefik.yaml", "traefik.yml"];

/// The file that counts, if there is one, with its leaves.
fn file_that_counts(
    named: Option<PathBuf>,
    folders: &[PathBuf],
    found: &mut Vec<Diagnostic>,
) -> Option<(PathBuf, Vec<Entry>)> {
    let in_folders = || {
        let mut paths = folders.iter().flat_map(|folder| FILE_NAMES.map(|name| folder.join(name)));
        paths.find(|path| path.is_file())
    };
    let path = named.or_else(in_folders)?;
    let name = path.display().to_string();
    let about = |message: String, help: &str| {
        let at = FilePosition { file: name.as_str().into(), line: 1, column: 1 };
        Diagnostic::warning(codes::TRAEFIK_FILE_BROKEN, Place::ConfigFile { key: None, at }, message)
            .with_help(help)
            .with_effect(NOTHING_OF_IT)
    };
    let Some(form) = Form::of(&name) else {
        found.push(about(
            format!("`{name}` is neither YAML nor TOML"),
            "name a file that ends in `.yml`, `.yaml` or `.toml`",
        ));
        return None;
    };
    let text = match read_text(&path, CONFIGURATION_LEN_MAX) {
        Ok(text) => text,
        Err(error) => {
            found.push(about(format!("`{name}` cannot be read: {error}"), error.help()));
            return None;
        }
    };
    let source = SourceFile { name: &name, text: &text, original: &text, origin: &|byte| byte };
    match read_file(&source, form, NOTHING_OF_IT) {
        Ok(entries) => Some((path, entries)),
        Err(broken) => {
            found.push(*broken);
            // The file is what counts, although it gives nothing: flags beside it never do.
            Some((path, Vec::new()))
        }
    }
}

/// One finding for all entries of a source that does not count.
fn ignored(entries: &[Entry], counts: &str, file: &Path) -> Option<Diagnostic> {
    // A variable that only happens to begin with the prefix is not worth a word.
    let first = entries.iter().find(|entry| !matches!(look_up(&entry.path), Found::Unknown { .. }))?;
    let count = if file.as_os_str().is_empty() { counts.to_owned() } else { format!("{counts} `{}`", file.display()) };
    let others = match entries.len() {
        1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    let message = format!("`{}`{others} do not count, because {count} does", first.written);
    Some(
        Diagnostic::warning(codes::TRAEFIK_SOURCE_IGNORED, first.key_place.clone(), message)
            .with_help("write it where the rest stands; Traefik reads one place alone")
            .with_effect("it is left out, as by Traefik"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_count_by_the_options_that_they_name() {
        for name in [
            "TRAEFIK_PROVIDERS_DOCKER",
            "TRAEFIK_ENTRYPOINTS_WEB_ADDRESS",
            "TRAEFIK_API",
            "TRAEFIK_CONFIGFILE",
            "TRAEFIK_ENTRYPOINTS_WEB_HTTP_TLS_DOMAINS_0_MAIN",
        ] {
            assert!(are_variables(["PATH", name]), "{name}");
        }
        for name in ["TRAEFIK_FOO", "TRAEFIK_VERSION", "TRAEFIK_PORT_80_TCP", "TRAEFIK_", "TRAEFIK_PROVIDERS", "API"] {
            assert!(!are_variables([name]), "{name}");
        }
    }
}
