//! Which of Traefik's files a text is, by its content.
//!
//! Lines are looked at, and nothing is parsed: a file that is broken, or a template that is not filled in, is still the kind of
//! file that it was meant to be.

use crate::catalogue::CATALOGUE;
use crate::file::Form;

/// A kind of file that Traefik reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// The static configuration: `traefik.yml`.
    Static,
    /// A file of the file provider.
    Dynamic,
}

/// What stands at the top of files of the file provider.
const DYNAMIC: [&str; 4] = ["http", "tcp", "udp", "tls"];

/// What stands at the top of compose files and of no file of Traefik.
const COMPOSE: [&str; 3] = ["services", "include", "volumes"];

/// The kind of a file, or None for one that is not Traefik's. `name` says by its end whether it is YAML or TOML.
pub fn file_kind(name: &str, text: &str) -> Option<FileKind> {
    let keys = match Form::of(name)? {
        Form::Yaml => yaml_keys(text),
        Form::Toml => toml_tables(text),
    };
    let has = |known: &[&str]| keys.iter().any(|key| known.iter().any(|known| key.eq_ignore_ascii_case(known)));
    let is_static = |key: &&str| {
        CATALOGUE
            .iter()
            .any(|option| option.path.split(['.', '[']).next().is_some_and(|top| top.eq_ignore_ascii_case(key)))
    };
    if has(&COMPOSE) {
        None
    } else if keys.iter().any(is_static) {
        Some(FileKind::Static)
    } else if has(&DYNAMIC) {
        Some(FileKind::Dynamic)
    } else {
        None
    }
}

/// The keys that stand at the beginning of lines.
fn yaml_keys(text: &str) -> Vec<&str> {
    let key = |line: &'_ str| -> Option<std::ops::Range<usize>> {
        let written = line[..line.find(':')?].trim_end();
        let begin = written.len() - written.trim_start_matches(['"', '\'']).len();
        Some(begin..written.trim_end_matches(['"', '\'']).len().max(begin))
    };
    let lines = text.trim_start_matches('\u{feff}').lines();
    let keys = lines.filter_map(|line| line.get(key(line)?));
    keys.filter(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric())).collect()
}

/// The first names of tables, and of dotted keys before any table.
fn toml_tables(text: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut is_in_table = false;
    for line in text.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            is_in_table = true;
            keys.extend(table.trim_start_matches('[').split(['.', ']']).next().map(str::trim));
        } else if !is_in_table
            && let Some((way, _)) = line.split_once('=')
            && let Some((first, _)) = way.split_once('.')
        {
            keys.push(first.trim());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_content() {
        for (name, text, kind) in [
            ("a.yml", "entryPoints:\n  web:\n    address: :80\n", Some(FileKind::Static)),
            ("a.yml", "# x\n\"certificatesResolvers\": {}\n", Some(FileKind::Static)),
            ("a.yml", "http:\n  routers: {{ env \"X\" }}\n", Some(FileKind::Dynamic)),
            ("a.yaml", "tls:\n  options: [broken\n", Some(FileKind::Dynamic)),
            ("a.yml", "services:\n  app:\n    image: x\n", None),
            ("a.yml", "x-common: {}\n", None),
            ("a.yml", "services:\n  log: {}\nlog:\n", None),
            ("a.toml", "[entryPoints.web]\naddress = \":80\"\n", Some(FileKind::Static)),
            ("a.toml", "providers.docker.network = \"proxy\"\n", Some(FileKind::Static)),
            ("a.toml", "[[tls.certificates]]\ncertFile = \"x\"\n", Some(FileKind::Dynamic)),
            ("a.toml", "http = \":80\"\n[routes.a]\nhost = \"a.test\"\n", None),
            ("a.json", "{\"http\": {}}", None),
        ] {
            assert_eq!(file_kind(name, text), kind, "{text}");
        }
    }
}
