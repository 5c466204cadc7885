//! A YAML or TOML text → entries.

use std::borrow::Cow;
use std::ops::Range;

use gangway_compose::yaml::{self, Node, NodeKind};
use gangway_compose::{FileSpan, SourceMap};
use gangway_diagnostic::{Diagnostic, FilePosition, Place, codes, printable};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::entry::{Entry, EntryValue};

/// The form of a file, by the end of its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Yaml,
    Toml,
}

impl Form {
    /// None for a name that Traefik does not take.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "yml" | "yaml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A text with the name of its file, and where its bytes come from.
pub(crate) struct SourceFile<'s> {
    pub name: &'s str,
    /// What is read.
    pub text: &'s str,
    /// The file as it is on disk: `text` may be what a template made of it.
    pub original: &'s str,
    /// The byte of the original from which a byte of the text comes.
    pub origin: &'s dyn Fn(usize) -> usize,
}

/// Levels of maps and lists in a TOML file; in YAML the parser has a bound of its own.
const DEPTH_MAX: usize = 64;

/// Reads a file into its leaves, in the order in which they are written.
///
/// # Errors
///
/// The text is neither YAML nor TOML; `effect` says what that causes.
pub(crate) fn read_file(source: &SourceFile<'_>, form: Form, effect: &str) -> Result<Vec<Entry>, Box<Diagnostic>> {
    let mut sources = SourceMap::default();
    // Two files: positions are those of the original, and the parser wants an id for what it reads.
    let original = sources.add(source.name.into(), source.original.into());
    let read = sources.add(source.name.into(), source.text.into());
    let position = |byte: usize| sources.file_position(&FileSpan::new(original, byte_range((source.origin)(byte))));
    let broken = |range: Range<usize>, message: &str, help: &str| {
        let at = position(range.start);
        let place = Place::ConfigFile { key: None, at };
        let message = format!("the file is broken: {}", printable(message));
        Box::new(
            Diagnostic::warning(codes::TRAEFIK_FILE_BROKEN, place, message)
                .with_help(help.to_owned())
                .with_effect(effect),
        )
    };
    let mut walker = Walker { entries: Vec::new(), position: &position };
    match form {
        Form::Yaml => {
            let documents =
                yaml::parse(read, source.text).map_err(|error| broken(error.range, &error.message, &error.help))?;
            if let Some(document) = documents.first() {
                match document.kind {
                    NodeKind::Map(_) => walker.yaml(&[], document.range.start, document),
                    NodeKind::Null => {}
                    NodeKind::Scalar(_) | NodeKind::List(_) => {
                        return Err(broken(document.range.clone(), "it is no mapping", "write `key: value`"));
                    }
                }
            }
        }
        Form::Toml => {
            let (document, errors) = DeTable::parse_recoverable(source.text);
            if let Some(error) = errors.first() {
                return Err(broken(error.span().unwrap_or(0..0), error.message(), "is a quote or a bracket missing?"));
            }
            if !walker.toml_table(&[], document.get_ref(), DEPTH_MAX) {
                return Err(broken(0..0, "more than 64 levels of tables", "write it with fewer levels"));
            }
        }
    }
    Ok(walker.entries)
}

fn byte_range(byte: usize) -> Range<usize> {
    byte..byte
}

struct Walker<'p> {
    entries: Vec<Entry>,
    position: &'p dyn Fn(usize) -> FilePosition,
}

impl Walker<'_> {
    fn push(&mut self, path: &[Box<str>], key: usize, value_at: usize, value: EntryValue) {
        let written: Box<str> = dotted(path).into();
        let place = |at: FilePosition| Place::ConfigFile { key: Some(written.clone()), at };
        self.entries.push(Entry {
            path: path.to_vec(),
            value,
            key_place: place((self.position)(key)),
            value_place: place((self.position)(value_at)),
            written,
        });
    }

    fn yaml(&mut self, path: &[Box<str>], key: usize, node: &Node) {
        let at = node.range.start;
        match &node.kind {
            NodeKind::Null => self.push(path, key, key, EntryValue::Null),
            NodeKind::Scalar(text) => self.push(path, key, at, EntryValue::Text(text.as_str().into())),
            NodeKind::List(items) if items.is_empty() => self.push(path, key, at, EntryValue::EmptyList),
            NodeKind::Map(entries) if entries.is_empty() && !path.is_empty() => {
                self.push(path, key, at, EntryValue::EmptyMap);
            }
            NodeKind::List(items) => {
                for (position, item) in items.iter().enumerate() {
                    self.yaml(&below(path, &format!("[{position}]")), item.range.start, item);
                }
            }
            NodeKind::Map(entries) => {
                for (name, value) in entries {
                    self.yaml(&below(path, name.as_str()), name.span().start, value);
                }
            }
        }
    }

    /// Whether it was shallow enough.
    fn toml_table(&mut self, path: &[Box<str>], table: &DeTable<'_>, levels: usize) -> bool {
        let mut values: Vec<(&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)> = table.iter().collect();
        values.sort_by_key(|(key, _)| key.span().start);
        values.into_iter().all(|(key, value)| self.toml(&below(path, key.get_ref()), key.span().start, value, levels))
    }

    fn toml(&mut self, path: &[Box<str>], key: usize, value: &Spanned<DeValue<'_>>, levels: usize) -> bool {
        let Some(levels) = levels.checked_sub(1) else { return false };
        let at = value.span().start;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Array(items) if items.is_empty() => {
                self.push(path, key, at, EntryValue::EmptyList);
                return true;
            }
            DeValue::Table(table) if table.is_empty() => {
                self.push(path, key, at, EntryValue::EmptyMap);
                return true;
            }
            DeValue::Array(items) => {
                return items.iter().enumerate().all(|(position, item)| {
                    self.toml(&below(path, &format!("[{position}]")), item.span().start, item, levels)
                });
            }
            DeValue::Table(table) => return self.toml_table(path, table, levels),
        };
        self.push(path, key, at, EntryValue::Text(text.into()));
        true
    }
}

fn below(path: &[Box<str>], segment: &str) -> Vec<Box<str>> {
    let mut below = path.to_vec();
    below.push(segment.into());
    below
}

/// The way with dots, and positions of lists without one before them.
fn dotted(path: &[Box<str>]) -> String {
    let mut dotted = String::new();
    for segment in path {
        if !dotted.is_empty() && !segment.starts_with('[') {
            dotted.push('.');
        }
        dotted.push_str(segment);
    }
    dotted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, form: Form) -> Vec<String> {
        let source = SourceFile { name: "traefik.yml", text, original: text, origin: &|byte| byte };
        let entries = read_file(&source, form, "nothing").expect("a good file");
        entries
            .iter()
            .map(|entry| {
                let value = match &entry.value {
                    EntryValue::Text(text) => format!("={text}"),
                    other => format!(" {other:?}"),
                };
                let at = |place: &Place| place.position().map_or((0, 0), |at| (at.line, at.column));
                format!("{}{value} {:?} {:?}", entry.written, at(&entry.key_place), at(&entry.value_place))
            })
            .collect()
    }

    #[test]
    fn yaml_and_toml_give_the_same_leaves_with_their_places() {
        let yaml = "entryPoints:\n  web:\n    address: \":80\"\n    http: {tls: {}}\nping:\nlist:\n  - a\n  - x: 1\nnone: []\n";
        assert_eq!(
            read(yaml, Form::Yaml),
            [
                "entryPoints.web.address=:80 (3, 5) (3, 14)",
                "entryPoints.web.http.tls EmptyMap (4, 12) (4, 17)",
                "ping Null (5, 1) (5, 1)",
                "list[0]=a (7, 5) (7, 5)",
                "list[1].x=1 (8, 5) (8, 8)",
                "none EmptyList (9, 1) (9, 7)",
            ]
        );
        let toml =
            "list = [\"a\", {x = 1}]\nnone = []\n[entryPoints.web]\naddress = \":80\"\n[entryPoints.web.http.tls]\n";
        assert_eq!(
            read(toml, Form::Toml),
            [
                "list[0]=a (1, 9) (1, 9)",
                "list[1].x=1 (1, 15) (1, 19)",
                "none EmptyList (2, 1) (2, 8)",
                "entryPoints.web.address=:80 (4, 1) (4, 11)",
                "entryPoints.web.http.tls EmptyMap (5, 23) (5, 1)",
            ]
        );
    }

    #[test]
    fn a_broken_file_is_named_where_it_breaks() {
        for (text, form, line) in
            [("a: b\n c: [\n", Form::Yaml, 2), ("a = \"", Form::Toml, 1), ("- a\n", Form::Yaml, 1)]
        {
            let source = SourceFile { name: "f", text, original: text, origin: &|byte| byte };
            let found = read_file(&source, form, "nothing").expect_err("broken");
            assert_eq!(
                (found.code, found.place.position().map(|at| at.line)),
                (codes::TRAEFIK_FILE_BROKEN, Some(line))
            );
            assert_eq!(found.effect, "nothing");
        }
    }
}
