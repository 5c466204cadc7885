//! TOML text → global settings and routes, each with its place.

use std::borrow::Cow;
use std::ops::Range;

use gangway_diagnostic::{Code, Diagnostic, Place, Severity, codes, nearest};
use gangway_model::{FileRoute, MiddlewareTable};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::flatten::{flatten, scalar_texts};
use super::source_text::SourceText;
use crate::settings::listener_table::ListenerTable;
use crate::settings::oidc_table::OidcTable;
use crate::settings::schema::{CONFIG, FLAGS, Flag};
use crate::settings::user_table::UserTable;
use crate::settings::value::{Layer, SettingOrigin, SettingValue};

/// Syntax errors that are reported at once: after the first few, most follow from these.
const SYNTAX_ERRORS_MAX: usize = 5;

/// The content of a config file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConfigFile {
    pub(crate) globals: Layer,
    pub(crate) routes: Vec<FileRoute>,
    pub(crate) middlewares: Vec<MiddlewareTable>,
    pub(crate) users: Vec<UserTable>,
    pub(crate) oidc: Vec<OidcTable>,
    pub(crate) listeners: Vec<ListenerTable>,
}

/// A kind of tables, each with a name: `[routes.<name>]`.
#[derive(Clone, Copy)]
struct TableKind {
    /// The key that holds them.
    key: &'static str,
    /// What one of them is, for people.
    noun: &'static str,
}

const ROUTES: TableKind = TableKind { key: "routes", noun: "route" };
const MIDDLEWARES: TableKind = TableKind { key: "middlewares", noun: "shared definition" };

const USERS: TableKind = TableKind { key: "users", noun: "list of users" };

const OIDC: TableKind = TableKind { key: "oidc", noun: "OpenID provider" };

const LISTENERS: TableKind = TableKind { key: "listeners", noun: "listener" };

/// Keys of the file that hold tables.
const TABLE_KINDS: [TableKind; 5] = [ROUTES, MIDDLEWARES, USERS, OIDC, LISTENERS];

/// A named table, flattened to the keys of the label language.
struct NamedTable {
    name: Box<str>,
    keys: Vec<(Box<str>, Box<str>, Place)>,
    place: Place,
}

/// Parses the text of a file. `name` is the user's name for the file, and `effect` says what a broken file causes.
///
/// # Errors
///
/// Everything that is wrong with the file.
pub(crate) fn parse(name: &str, text: &str, effect: &str) -> Result<ConfigFile, Vec<Diagnostic>> {
    let (config, diagnostics) = parse_partially(name, text, effect);
    if diagnostics.is_empty() { Ok(config) } else { Err(diagnostics) }
}

/// Parses what can be understood of a file, so that its other mistakes can be found too. A file with diagnostics is
/// never put in force.
pub(crate) fn parse_partially(name: &str, text: &str, effect: &str) -> (ConfigFile, Vec<Diagnostic>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut parser = FileParser { source: SourceText::new(name, text), effect, diagnostics: Vec::new() };
    for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
        parser.syntax(error);
    }
    if !parser.diagnostics.is_empty() {
        return (ConfigFile::default(), parser.diagnostics);
    }
    let config = parser.config(document.get_ref());
    (config, parser.diagnostics)
}

/// Walks through one document and collects what is wrong with it.
struct FileParser<'s> {
    source: SourceText<'s>,
    effect: &'s str,
    diagnostics: Vec<Diagnostic>,
}

impl FileParser<'_> {
    fn config(&mut self, document: &DeTable<'_>) -> ConfigFile {
        let mut config = ConfigFile::default();
        for (key, value) in document {
            let name = key.get_ref().as_ref();
            if name == ROUTES.key {
                let route = |NamedTable { name, keys, place }| FileRoute { name, keys, place };
                config.routes = self.tables(ROUTES, value).map(route).collect();
            } else if name == MIDDLEWARES.key {
                let table = |NamedTable { name, keys, place }| MiddlewareTable { name, keys, place };
                config.middlewares = self.tables(MIDDLEWARES, value).map(table).collect();
            } else if name == USERS.key {
                let table = |NamedTable { name, keys: users, place }| UserTable { name, users, place };
                config.users = self.tables(USERS, value).map(table).collect();
            } else if name == OIDC.key {
                let table = |NamedTable { name, keys, place }| OidcTable::new(name, keys, place);
                config.oidc = self.tables(OIDC, value).map(table).collect();
            } else if name == LISTENERS.key {
                let table = |NamedTable { name, keys, place }| ListenerTable::new(&name, keys, place);
                config.listeners = self.tables(LISTENERS, value).map(table).collect();
            } else if let Some(flag) = FLAGS.iter().find(|flag| flag.is_key() && flag.name == name) {
                let values = self.global(flag, value);
                config.globals.set(flag, values);
            } else {
                self.unknown(key);
            }
        }
        config
    }

    fn global(&mut self, flag: &'static Flag, value: &Spanned<DeValue<'_>>) -> Vec<SettingValue> {
        let value_at = |text, span| SettingValue { text, origin: SettingOrigin::File(self.source.spot(span)) };
        match scalar_texts(value) {
            Some(texts) => texts.into_iter().map(|(text, span)| value_at(text, span)).collect(),
            None => {
                let help = format!("write `{} = \"…\"`", flag.name);
                let message = format!("`{}` takes a value", flag.name);
                self.wrong(codes::KEY_MISPLACED, flag.name, value.span(), message, "not one value", help);
                Vec::new()
            }
        }
    }

    fn tables(&mut self, kind: TableKind, value: &Spanned<DeValue<'_>>) -> std::vec::IntoIter<NamedTable> {
        let TableKind { key, noun } = kind;
        let tables: Vec<NamedTable> = match value.get_ref().as_table() {
            Some(tables) => tables.iter().filter_map(|(name, table)| self.table(kind, name, table)).collect(),
            None => {
                let help = format!("write `[{key}.<name>]` above the keys of each {noun}");
                let message = format!("`{key}` holds one table for each {noun}");
                self.wrong(codes::KEY_MISPLACED, key, value.span(), message, "not a table", help);
                Vec::new()
            }
        };
        tables.into_iter()
    }

    fn table(
        &mut self,
        kind: TableKind,
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<NamedTable> {
        let path = format!("{}.{}", kind.key, name.get_ref());
        let Some(table) = value.get_ref().as_table() else {
            let help = format!("write `[{path}]` and its keys below it");
            let message = format!("`{path}` is a {}, which is a table", kind.noun);
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
        let place = |key: String, span| Place::ConfigFile { key: Some(key.into()), at: self.source.position(span) };
        let keys = flat.keys.into_iter().map(|entry| {
            let label = format!("{path}.{}", entry.key);
            (entry.key.into(), entry.value.into(), place(label, entry.span.start))
        });
        Some(NamedTable {
            name: name.get_ref().as_ref().into(),
            keys: keys.collect(),
            place: place(path.clone(), name.span().start),
        })
    }

    fn unknown(&mut self, key: &Spanned<Cow<'_, str>>) {
        let name = key.get_ref().as_ref();
        let known =
            FLAGS.iter().filter(|flag| flag.is_key()).map(|flag| flag.name).chain(TABLE_KINDS.map(|kind| kind.key));
        let help = match nearest(name, known) {
            _ if name == CONFIG.name => "the file cannot name itself; take it out".to_owned(),
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "take it out; the keys are the names of the flags of `gangway serve`, `routes`, `middlewares`, `users`, `oidc` and `listeners`"
                .to_owned(),
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

    fn wrong(&mut self, code: Code, key: &str, span: Range<usize>, message: String, note: &str, help: String) {
        let spot = self.source.spot(span);
        self.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            message,
            place: Place::ConfigFile {
                key: Some(key).filter(|key| !key.is_empty()).map(Into::into),
                at: spot.position,
            },
            text: spot.line,
            span: spot.span,
            note: note.to_owned(),
            help,
            effect: self.effect.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::schema::{DOCKER, HTTP};

    fn good(text: &str) -> ConfigFile {
        parse("gangway.toml", text, "nothing").unwrap_or_else(|found| panic!("{found:#?}"))
    }

    /// Code, key, line, column, and what stands under the caret.
    fn bad(text: &str) -> Vec<(u16, String, u32, u32, String)> {
        let found = parse("gangway.toml", text, "nothing").expect_err("nothing was found");
        let shown = |diagnostic: &Diagnostic| {
            let file = diagnostic.place.position().expect("findings about a file have a place");
            let under = diagnostic.text[diagnostic.span.start..diagnostic.span.end].to_owned();
            (
                diagnostic.code.0,
                diagnostic.place.subject().unwrap_or_default().to_owned(),
                file.line,
                file.column,
                under,
            )
        };
        found.iter().map(shown).collect()
    }

    fn keys(route: &FileRoute) -> Vec<(&str, &str, u32, u32)> {
        let shown = route.keys.iter().map(|(key, value, place)| {
            let file = place.position().expect("keys have a place");
            (&**key, &**value, file.line, file.column)
        });
        shown.collect()
    }

    #[test]
    fn globals_are_values_or_lists_under_the_names_of_flags() {
        let config = good("http = \":81\"\ndocker = [\"unix:///a\", \"tcp://b:1\"]\n");
        let texts = |flag| config.globals.get(flag).iter().map(|value| value.text.as_str()).collect::<Vec<_>>();
        assert_eq!((texts(&DOCKER), texts(&HTTP)), (vec!["unix:///a", "tcp://b:1"], vec![":81"]));
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
        assert_eq!((&*route.name, route.place.subject()), ("nas", Some("routes.nas")));
        assert_eq!(route.place.position().map(|file| (file.line, file.column)), Some((1, 9)));
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
        assert_eq!(route.keys[0].2.subject(), Some("routes.nas.health.path"));
    }

    #[test]
    fn a_value_without_a_label_form_reaches_the_model_as_written() {
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
    fn no_key_is_both_value_and_table() {
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
    fn shared_definitions_are_flattened_as_routes_are() {
        let config = good("[middlewares.lan-only]\nallow = [\"lan\", \"192.0.2.1\"]\nresponse.header.X-By = \"us\"\n");
        let [table] = config.middlewares.as_slice() else { panic!("{config:?}") };
        assert_eq!((&*table.name, table.place.subject()), ("lan-only", Some("middlewares.lan-only")));
        let keys: Vec<_> = table.keys.iter().map(|(key, value, place)| (&**key, &**value, place.subject())).collect();
        assert_eq!(
            keys,
            [
                ("allow", "lan,192.0.2.1", Some("middlewares.lan-only.allow")),
                ("response.header.X-By", "us", Some("middlewares.lan-only.response.header.X-By")),
            ]
        );
        assert_eq!(bad("middlewares = 1\n")[0].1, "middlewares");
        assert_eq!(bad("[middlewares]\nlan = \"x\"\n")[0].1, "middlewares.lan");
        let found = parse("gangway.toml", "[middleware.x]\nallow = \"lan\"\n", "nothing").expect_err("unknown key");
        assert_eq!(found[0].help, "did you mean `middlewares`?");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(bad("# ü\n\"tür\" = 1\n"), [(901, "tür".into(), 2, 1, "\"tür\"".into())]);
    }
}
