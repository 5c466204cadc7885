//! The config file: TOML text → global settings and routes, each with its place.
//!
//! A file is used as a whole or not at all: whoever reads half of it would serve what nobody meant. What
//! a route's keys mean is not decided here but by the model, which says what it makes of each as it
//! does for labels.

mod flatten;
mod source_text;
mod value_positions;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use gangway_model::diagnostic::{FilePosition, Span};
use gangway_model::rule::nearest;
use gangway_model::settings::FileRoute;
use gangway_model::{Code, Diagnostic, Place, Severity, codes};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use value_positions::Values;

use self::flatten::{flatten, scalar_texts};
use self::source_text::Source;
use crate::settings::schema::{CONFIG, FLAGS, Flag};
use crate::settings::{Given, Layer, Origin};

/// A larger file is surely not meant; ten thousand routes take about one.
const FILE_LEN_MAX: u64 = 4 << 20;

/// Errors of syntax that are reported at once: after the first few, most follow from them.
const SYNTAX_ERRORS_MAX: usize = 5;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    pub(crate) globals: Layer,
    pub(crate) routes: Vec<FileRoute>,
}

/// The whole file.
pub(crate) fn read(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ReadError::Io)?;
    file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| ReadError::NoText)
}

/// Reads a file's text; `name` is what the user calls the file, and `effect` what becomes of a broken one.
pub(crate) fn parse(name: &str, text: &str, effect: &str) -> Result<Config, Vec<Diagnostic>> {
    let (config, diagnostics) = parse_all(name, text, effect);
    if diagnostics.is_empty() { Ok(config) } else { Err(diagnostics) }
}

/// What can be understood of a file, to find what else is wrong with it. It is never used where anything is found.
pub(crate) fn parse_all(name: &str, text: &str, effect: &str) -> (Config, Vec<Diagnostic>) {
    let source = Source { name, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut found = Findings { source, effect, diagnostics: Vec::new() };
    for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
        found.syntax(error);
    }
    if !found.diagnostics.is_empty() {
        return (Config::default(), found.diagnostics);
    }
    let config = found.config(document.get_ref());
    (config, found.diagnostics)
}

/// What is wrong with one file.
struct Findings<'s> {
    source: Source<'s>,
    effect: &'s str,
    diagnostics: Vec<Diagnostic>,
}

impl Findings<'_> {
    fn config(&mut self, document: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (key, value) in document {
            let name = key.get_ref().as_ref();
            if name == "routes" {
                config.routes = self.routes(value);
            } else if let Some(flag) = FLAGS.iter().find(|flag| flag.is_key() && flag.name == name) {
                config.globals.insert(flag.name, self.global(flag, value));
            } else {
                self.unknown(key);
            }
        }
        config
    }

    fn global(&mut self, flag: &'static Flag, value: &Spanned<DeValue<'_>>) -> Vec<Given> {
        let given = |text, span| Given { text, origin: Origin::File(self.source.spot(span)) };
        match scalar_texts(value) {
            Some(texts) => texts.into_iter().map(|(text, span)| given(text, span)).collect(),
            None => {
                let help = format!("write `{} = \"…\"`", flag.name);
                let message = format!("`{}` takes a value", flag.name);
                self.wrong(codes::KEY_MISPLACED, flag.name, value.span(), message, "not one value", help);
                Vec::new()
            }
        }
    }

    fn routes(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<FileRoute> {
        let Some(tables) = value.get_ref().as_table() else {
            let help = "write `[routes.<name>]` above the keys of each route".to_owned();
            let message = "`routes` holds one table for each route".to_owned();
            self.wrong(codes::KEY_MISPLACED, "routes", value.span(), message, "not a table", help);
            return Vec::new();
        };
        tables.iter().filter_map(|(name, route)| self.route(name, route)).collect()
    }

    fn route(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Option<FileRoute> {
        let path = format!("routes.{}", name.get_ref());
        let Some(table) = value.get_ref().as_table() else {
            let help = format!("write `[{path}]` and the route's keys below it");
            let message = format!("`{path}` is a route, which is a table");
            self.wrong(codes::KEY_MISPLACED, &path, value.span(), message, "not a table", help);
            return None;
        };
        let flat = flatten(table, self.source.text);
        for clash in &flat.clashes {
            let key = format!("{path}.{}", clash.key);
            let help = "leave one of them out".to_owned();
            let message = format!("`{key}` is there twice");
            self.wrong(codes::KEY_MISPLACED, &key, clash.span.clone(), message, clash.note, help);
        }
        let place = |label: String, span| Place {
            label: label.into(),
            file: Some(self.source.position(span)),
            ..Place::default()
        };
        let keys = flat.keys.into_iter().map(|entry| {
            let label = format!("{path}.{}", entry.key);
            (entry.key.into(), entry.value.into(), place(label, entry.span.start))
        });
        Some(FileRoute {
            name: name.get_ref().as_ref().into(),
            keys: keys.collect(),
            place: place(path.clone(), name.span().start),
        })
    }

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let name = key.get_ref().as_ref();
        let known = FLAGS.iter().filter(|flag| flag.is_key()).map(|flag| flag.name).chain(["routes"]);
        let help = match nearest(name, known) {
            _ if name == CONFIG.name => "the file cannot name itself; take it out".to_owned(),
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "take it out; the keys are the names of the flags of `gangway serve`, and `routes`".to_owned(),
        };
        let message = format!("unknown key `{name}`");
        self.wrong(codes::KEY_UNKNOWN, name, key.span(), message, "not a setting", help);
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let end = self.source.text.len();
        let span = error.span().unwrap_or(end..end);
        let help = "repair the line; strings stand in double quotes".to_owned();
        let note = error.message().lines().next().unwrap_or_default().to_owned();
        let message = format!("`{}` is not TOML", self.source.name);
        self.wrong(codes::CONFIG_BROKEN, "", span, message, &note, help);
    }

    fn wrong(
        &mut self,
        code: Code,
        key: &str,
        span: std::ops::Range<usize>,
        message: String,
        note: &str,
        help: String,
    ) {
        let spot = self.source.spot(span);
        self.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            message,
            place: Place { label: key.into(), file: Some(spot.position), ..Place::default() },
            text: spot.line,
            span: spot.span,
            note: note.to_owned(),
            help,
            effect: self.effect.to_owned(),
        });
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Io(io::Error),
    #[error("it is larger than 4 MiB")]
    TooLarge,
    #[error("it is no UTF-8 text")]
    NoText,
    #[error("it was emptied")]
    Emptied,
}

impl ReadError {
    /// As a finding about the file.
    pub(crate) fn diagnostic(&self, path: &Path, effect: &str) -> Diagnostic {
        let name = path.display().to_string();
        let help = match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "check the path; in a container, the folder of the file must be mounted"
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that Gangway runs as read it"
            }
            Self::Io(_) => "check the path",
            Self::TooLarge | Self::NoText => "is it the right file?",
            Self::Emptied => "write it again; a line such as `# no routes` says that none are wanted",
        };
        let file = FilePosition { file: name.as_str().into(), line: 1, column: 1 };
        Diagnostic {
            code: codes::CONFIG_UNREADABLE,
            severity: Severity::Error,
            message: format!("config file `{name}` cannot be read: {self}"),
            place: Place { file: Some(file), ..Place::default() },
            text: String::new(),
            span: Span::default(),
            note: String::new(),
            help: help.to_owned(),
            effect: effect.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Config {
        parse("gangway.toml", text, "nothing").unwrap_or_else(|found| panic!("{found:#?}"))
    }

    /// Code, key, line, column, and what stands under the caret.
    fn bad(text: &str) -> Vec<(u16, String, u32, u32, String)> {
        let found = parse("gangway.toml", text, "nothing").expect_err("nothing was found");
        let shown = |diagnostic: &Diagnostic| {
            let file = diagnostic.place.file.as_ref().expect("findings about a file have a place");
            let under = diagnostic.text[diagnostic.span.start..diagnostic.span.end].to_owned();
            (diagnostic.code.0, diagnostic.place.label.to_string(), file.line, file.column, under)
        };
        found.iter().map(shown).collect()
    }

    fn keys(route: &FileRoute) -> Vec<(&str, &str, u32, u32)> {
        let shown = route.keys.iter().map(|(key, value, place)| {
            let file = place.file.as_ref().expect("keys have a place");
            (&**key, &**value, file.line, file.column)
        });
        shown.collect()
    }

    #[test]
    fn globals_are_values_or_lists_under_the_names_of_flags() {
        let config = good("http = \":81\"\ndocker = [\"unix:///a\", \"tcp://b:1\"]\n");
        let texts: Vec<_> = config
            .globals
            .iter()
            .map(|(name, given)| (*name, given.iter().map(|one| &*one.text).collect::<Vec<_>>()))
            .collect();
        assert_eq!(texts, [("docker", vec!["unix:///a", "tcp://b:1"]), ("http", vec![":81"])]);
    }

    #[test]
    fn a_route_is_flattened_to_the_keys_of_labels() {
        let config = good(concat!(
            "[routes.nas]\n",
            "host = [\"nas.test\", \"store.test\"]\n",
            "upstream = \"http://192.0.2.9:5006\"\n",
            "priority = 1_000\n",
            "strip-prefix = true\n",
            "weight = 0x10\n",
            "\"timeout.response\" = \"10m\"\n",
            "response.header.X-Robots-Tag = \"noindex\"\n",
            "[routes.nas.health]\n",
            "path = \"/ok\"\n",
        ));
        let [route] = config.routes.as_slice() else { panic!("{config:?}") };
        assert_eq!((&*route.name, &*route.place.label), ("nas", "routes.nas"));
        assert_eq!(route.place.file.as_ref().map(|file| (file.line, file.column)), Some((1, 9)));
        assert_eq!(
            keys(route),
            [
                ("health.path", "/ok", 10, 8),
                ("host", "nas.test,store.test", 2, 8),
                ("priority", "1000", 4, 12),
                ("response.header.X-Robots-Tag", "noindex", 8, 32),
                ("strip-prefix", "true", 5, 16),
                ("timeout.response", "10m", 7, 22),
                ("upstream", "http://192.0.2.9:5006", 3, 12),
                ("weight", "16", 6, 10),
            ]
        );
        assert_eq!(&*route.keys[0].2.label, "routes.nas.health.path");
    }

    #[test]
    fn what_is_no_single_value_reaches_the_model_as_it_was_written() {
        // So that a protecting key with such a value closes its route instead of vanishing.
        let config = good("[routes.a]\nallow = [{ country = \"DE\" }, [1]]\n");
        assert_eq!(keys(&config.routes[0]), [("allow", "{ country = \"DE\" },[1]", 2, 9)]);
    }

    #[test]
    fn unknown_keys_name_the_nearest_and_all_are_reported() {
        let text = "doman = \"x\"\nacme_email = \"a@b.test\"\n[route.x]\nhost = \"y\"\n";
        let found = parse("gangway.toml", text, "nothing").expect_err("unknown keys");
        let helps: Vec<_> = found.iter().map(|diagnostic| diagnostic.help.as_str()).collect();
        assert_eq!(helps, ["did you mean `acme-email`?", "did you mean `domain`?", "did you mean `routes`?"]);
        assert_eq!(bad("config = \"x\"\n")[0].0, 901);
    }

    #[test]
    fn a_file_cut_in_half_is_named_where_it_ends() {
        let found = bad("[routes.a]\nhost = \"a.test\"\nupstream = \"http://1");
        assert_eq!((found[0].0, found[0].2), (904, 3));
        assert_eq!(bad("[routes.a\n")[0].0, 904);
    }

    #[test]
    fn no_key_is_value_and_table() {
        assert_eq!(bad("routes = 1\n"), [(907, "routes".into(), 1, 10, "1".into())]);
        assert_eq!(bad("[routes]\na = \"x\"\n")[0].1, "routes.a");
        assert_eq!(bad("[[routes.a]]\nhost = \"x\"\n")[0].0, 907);
        assert_eq!(bad("[http]\nport = 80\n")[0].0, 907);
        let twice = "[routes.a]\n\"timeout.connect\" = 1\ntimeout.connect = 2\n";
        assert_eq!(bad(twice)[0].1, "routes.a.timeout.connect");
        let both = "[routes.a]\n\"response.header\" = \"x\"\nresponse.header.X = \"y\"\n";
        assert_eq!(bad(both)[0].1, "routes.a.response.header");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(bad("# ü\n\"tür\" = 1\n"), [(901, "tür".into(), 2, 1, "\"tür\"".into())]);
    }
}
