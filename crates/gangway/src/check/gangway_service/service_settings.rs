//! The settings that a compose file gives Gangway's service, by its command and its variables.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;
use gangway_compose::{FileSpan, SourceDiagnostic, SpannedText};
use gangway_diagnostic::codes::ARGUMENT_UNKNOWN;
use gangway_diagnostic::{Diagnostic, nearest};
use gangway_model::{Expose, KnownListener};

use super::context::GangwayService;
use crate::cli::Cli;
use crate::settings::schema::{
    CONFIG, CROWDSEC_APPSEC_URL, CROWDSEC_URL, Count, DEFAULT_USE, DOMAIN, EXPOSE, Flag, GEOIP, LISTEN, NETWORK, flag,
};
use crate::settings::{Layer, ListenItem, NOT_STARTED, OwnPage, RawSettings, SettingValue, read_environment};

/// The settings that a service gives Gangway.
pub(crate) struct ServiceSettings {
    pub(crate) raw: RawSettings,
    /// Each value with the name that a diagnostic gives it, such as `--http` or `GANGWAY_HTTP`.
    written: Vec<(String, SpannedText)>,
}

impl ServiceSettings {
    /// Reads the command and the variables of a service. Unknown ones become diagnostics. None where the service does not
    /// serve, or runs another program.
    pub(crate) fn read(gangway: GangwayService<'_>, found: &mut Vec<SourceDiagnostic>) -> Option<Self> {
        let arguments = arguments(gangway, found)?;
        let mut result = Self { raw: RawSettings::default(), written: Vec::new() };
        let flags = result.flags(gangway, &arguments, found);
        let set = gangway.service.variables();
        result.written.extend(set.iter().map(|(name, (_, value))| (name.clone(), value.clone())));
        let pairs = set.iter().map(|(name, (_, value))| (OsString::from(name), OsString::from(value.as_str())));
        let environment = read_environment(pairs, NOT_STARTED);
        result.raw.layer = environment.layer.overlaid_by(flags);
        found.extend(environment.diagnostics.iter().map(|diagnostic| {
            let key = diagnostic.place.subject().and_then(|name| set.get(name));
            gangway.moved(diagnostic, key.map_or(&gangway.service.name, |(key, _)| key).span())
        }));
        Some(result)
    }

    /// Whether Gangway has no other settings than these and those of the config file, as far as files tell.
    pub(crate) fn are_all(&self, gangway: GangwayService<'_>, is_config_given: bool) -> bool {
        gangway.is_whole() && (is_config_given || !self.raw.layer.contains(&CONFIG))
    }

    /// The settings of the config file, with those that the service sets put over them.
    pub(crate) fn over(&self, mut settings: gangway_model::Settings) -> gangway_model::Settings {
        let last = |flag: &Flag| self.raw.layer.last(flag).map(str::trim);
        if let Some(domain) = last(&DOMAIN) {
            settings.domain = domain.into();
        }
        if let Some(network) = last(&NETWORK) {
            settings.network = Some(network.into());
        }
        if self.raw.layer.contains(&DEFAULT_USE) {
            let values = self.raw.layer.get(&DEFAULT_USE).iter();
            let names = values.flat_map(|value| value.text.split(|char: char| char == ',' || char.is_whitespace()));
            settings.default_use = names.filter(|name| !name.is_empty()).map(Into::into).collect();
        }
        if let Some(expose) = last(&EXPOSE) {
            settings.expose = if expose == "all" { Expose::All } else { Expose::Labelled };
        }
        for value in self.raw.layer.get(&LISTEN) {
            let items = ListenItem::texts(&value.text).filter_map(|item| ListenItem::parse(item).ok());
            let known = items.map(|ListenItem { name, protocol, .. }| KnownListener { name, protocol });
            settings.listeners.extend(known);
        }
        settings.file_routes = OwnPage::all(&self.raw.layer).iter().fold(settings.file_routes, OwnPage::added_to);
        if self.raw.layer.contains(&GEOIP) {
            settings.has_geoip = true;
        }
        if self.raw.layer.contains(&CROWDSEC_URL) {
            settings.has_crowdsec = true;
        }
        if self.raw.layer.contains(&CROWDSEC_APPSEC_URL) {
            settings.has_appsec = true;
        }
        settings
    }
}

/// The arguments of `serve`. None where another command is given, or a program that is not Gangway.
fn arguments(gangway: GangwayService<'_>, found: &mut Vec<SourceDiagnostic>) -> Option<Vec<SpannedText>> {
    // A flag may end in a folder of that name.
    let is_ours = |word: &SpannedText| {
        !word.as_str().starts_with('-') && Path::new(word.as_str()).file_name().is_some_and(|name| name == "gangway")
    };
    let mut words: Vec<SpannedText> = Vec::new();
    if let Some((program, rest)) = gangway.service.entrypoint.split_first() {
        is_ours(program).then(|| words.extend(rest.iter().cloned()))?;
    }
    words.extend(gangway.service.command.iter().cloned());
    if words.first().is_some_and(is_ours) {
        let program = words.remove(0);
        let help = "take it out; the image runs it by itself, and `command` is what stands behind it";
        found.push(refused(gangway, program.span(), &program, "unexpected argument", help));
    }
    let Some(first) = words.first().filter(|first| !first.as_str().starts_with('-')) else { return Some(words) };
    let command = Cli::command();
    let known = || command.get_subcommands().map(clap::Command::get_name);
    if known().any(|name| name == first.as_str()) {
        return (first.as_str() == "serve").then(|| words.split_off(1));
    }
    let help = match nearest(first.as_str(), known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "take it out; `gangway --help` lists the commands".to_owned(),
    };
    found.push(refused(gangway, first.span(), first, "unknown command", help));
    Some(words.split_off(1))
}

impl ServiceSettings {
    /// The settings of the arguments.
    fn flags(
        &mut self,
        gangway: GangwayService<'_>,
        arguments: &[SpannedText],
        found: &mut Vec<SourceDiagnostic>,
    ) -> Layer {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap_or(&command);
        let known = || serve.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument)));
        let mut layer = Layer::default();
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            let text = word.as_str();
            let name = text.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or_default());
            if matches!(text, "-h" | "-V" | "--help" | "--version") {
                continue;
            }
            let Some((_, argument)) = known().find(|(long, _)| Some(*long) == name) else {
                found.push(unknown(gangway, word, name, known().map(|(long, _)| long)));
                // The next word was meant as its value.
                if name.is_some() && !text.contains('=') {
                    words.next_if(|next| !next.as_str().starts_with('-'));
                }
                continue;
            };
            if !argument.get_action().takes_values() {
                continue;
            }
            let setting = name.and_then(flag);
            let switch = setting.filter(|flag| flag.count == Count::Switch && !text.contains('='));
            if let Some(switch) = switch {
                layer.push(switch, SettingValue::flag("true"));
                continue;
            }
            let value = match text.find('=') {
                Some(at) => Some(word.slice(at + 1..text.len())),
                None => words.next().cloned(),
            };
            let Some(value) = value else {
                found.push(without_value(gangway, word));
                continue;
            };
            let Some(flag) = setting else { continue };
            layer.push(flag, SettingValue::flag(value.as_str()));
            self.written.push((format!("--{}", flag.name), value));
        }
        layer
    }

    /// The place of the value that a diagnostic about a setting is about.
    pub(crate) fn span(&self, diagnostic: &Diagnostic) -> Option<FileSpan> {
        let subject = diagnostic.place.subject();
        let is_meant =
            |(name, value): &&(String, SpannedText)| Some(&**name) == subject && value.as_str() == diagnostic.text;
        let by_name = || self.written.iter().find(|(name, _)| Some(&**name) == subject);
        let (_, value) = self.written.iter().find(is_meant).or_else(by_name)?;
        let end = diagnostic.span.end.min(value.as_str().len());
        Some(value.locate(diagnostic.span.start.min(end)..end).span)
    }

    /// The items of a list that a setting gives, as written.
    pub(crate) fn items(&self, flag: &Flag) -> Vec<&str> {
        let given = self.raw.layer.get(flag);
        let split = |text| str::split(text, |char: char| char == ',' || char.is_whitespace());
        given.iter().flat_map(|given| split(&given.text)).filter(|item| !item.is_empty()).collect()
    }
}

fn unknown<'k>(
    gangway: GangwayService<'_>,
    word: &SpannedText,
    name: Option<&str>,
    known: impl Iterator<Item = &'k str>,
) -> SourceDiagnostic {
    let Some(name) = name else {
        let help = "take it out; a flag begins with two dashes, and its value stands behind it";
        return refused(gangway, word.span(), word, "unexpected argument", help);
    };
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `--{near}`?"),
        None => "take it out; `gangway serve --help` lists the flags".to_owned(),
    };
    refused(gangway, word.locate(0.."--".len() + name.len()).span, word, "unknown flag", help)
}

fn refused(
    gangway: GangwayService<'_>,
    span: FileSpan,
    word: &SpannedText,
    problem: &str,
    help: impl Into<String>,
) -> SourceDiagnostic {
    gangway
        .error(ARGUMENT_UNKNOWN, span, format!("{problem} `{}`", shown(word.as_str())))
        .with_note("`serve` does not take it")
        .with_help(help)
        .with_effect(NOT_STARTED)
}

fn without_value(gangway: GangwayService<'_>, word: &SpannedText) -> SourceDiagnostic {
    gangway
        .error(ARGUMENT_UNKNOWN, word.span(), format!("`{}` has no value", shown(word.as_str())))
        .with_note("a value is missing")
        .with_help("write the value behind it")
        .with_effect(NOT_STARTED)
}

/// The beginning of an argument without its value, enough to recognise it.
fn shown(text: &str) -> String {
    text.split('=').next().unwrap_or_default().chars().take(80).collect()
}
