//! Shared definitions: `[middlewares.<name>]` tables of the configuration file, and the routes that use them.
//!
//! The keys of a definition are put among the labels of each route that uses it, before any value is read. So what they
//! mean is said in one place, and no later step knows that they were shared.
//!
//! The owner of the machine writes definitions, and labels of others may use them. So a label never opens what a
//! definition by `--default-use` closes: what protects in such a definition holds beside everything that the route says,
//! unless its `opt-out` names the party. A definition that cannot be used closes the routes that use it.

use std::collections::BTreeSet;

use super::draft::{DefinitionUse, RouteDraft};
use super::label::Label;
use super::limits;
use super::readers::party_name;
use super::route_fields::users_closed;
use super::schema::{KeyId, ResolvedKey, Sharing, resolve};
use super::unknown_key::{UnknownKey, UnknownKind};
use crate::label::{Mark, Source, whole};
use crate::settings::{MiddlewareTable, Settings};
use crate::value;
use gangway_diagnostic::{Diagnostic, Finding, codes, nearest, quoted};

/// Values that the routes of one container may have by names, together: each costs a table its memory, and a name of few
/// bytes may stand for much more.
const USED_VALUES_MAX: usize = 65_536;

/// One definition, its values unread.
struct Definition<'a> {
    /// Its keys, as labels of a route.
    draft: RouteDraft<'a>,
    opt_out: Option<Label<'a>>,
    /// A key that may have been meant to protect cannot stand there.
    is_broken: bool,
}

/// A definition among those of one route.
struct UsedDefinition<'a> {
    used: DefinitionUse<'a>,
    /// What protects in it holds beside what the route says.
    is_fixed: bool,
    definition: Definition<'a>,
}

/// An entry of `use`.
struct Entry<'t> {
    name: &'t str,
    /// `-name`.
    is_left_out: bool,
    offset: usize,
    text: &'t str,
}

/// Reports what is wrong with the definitions themselves, also with those that no route uses.
pub(crate) fn check(settings: &Settings, found: &mut Vec<Diagnostic>) {
    let mut tables: Vec<&MiddlewareTable> = settings.middlewares.iter().collect();
    tables.sort_by_key(|table| (&table.name, &table.place));
    for table in tables {
        let Definition { draft, opt_out, .. } = Definition::sort_out(table, found);
        draft.check_values(settings, found);
        if let Some(label) = opt_out {
            allowed(&label, found);
        }
    }
}

/// Puts the keys of definitions among the labels of the routes of one container or of the file. A route for which there is
/// no room is closed, as it would be without its protection.
pub(super) fn apply_to_all<'a>(drafts: &mut [RouteDraft<'a>], settings: &'a Settings, found: &mut Vec<Diagnostic>) {
    let mut room = USED_VALUES_MAX;
    for draft in drafts {
        let own = draft.labels.len();
        apply(draft, settings, found);
        let values = draft.labels[own..].iter().map(limits::values).sum();
        match room.checked_sub(values) {
            _ if matches!(draft.source, Source::File(_)) => {}
            Some(left) => room = left,
            None => {
                draft.labels.truncate(own);
                let message = format!("more than {USED_VALUES_MAX} values by shared definitions on one container");
                let help = "use networks instead of addresses, or spread the routes over several containers";
                let finding = whole(codes::CONTAINER_VALUES_TOO_MANY, message, "", help);
                found.push(draft.source.about(finding, draft.close()));
            }
        }
    }
}

/// Puts the keys of the definitions that the route uses among its labels, and closes it where one cannot be used.
fn apply<'a>(draft: &mut RouteDraft<'a>, settings: &'a Settings, found: &mut Vec<Diagnostic>) {
    let used = definitions(draft, settings, found);
    let has_log_in = |one: &UsedDefinition<'_>| one.definition.draft.labels.iter().any(Label::is_way_to_log_in);
    let fixed_log_in = used.iter().find(|one| one.is_fixed && has_log_in(one));
    if let Some(fixed) = fixed_log_in {
        let others = draft.labels.iter().filter(|own| own.key.sharing() == Sharing::LogIn);
        let others: Vec<Label<'a>> = others.filter(|own| !fixed.definition.says(own)).cloned().collect();
        found.extend(others.iter().map(|own| draft.contradicted(own, &fixed.used)));
    }
    let mut taken: Vec<(Label<'a>, DefinitionUse<'a>)> = Vec::new();
    for one in &used {
        if one.definition.is_broken {
            draft.close_for(one.used, found);
        }
        for label in &one.definition.draft.labels {
            match draft.verdict(label, one, fixed_log_in, &taken) {
                Verdict::Taken => taken.push((label.clone(), one.used)),
                Verdict::NotTaken => {}
                Verdict::Replaces(before) => {
                    let (earlier, from) = &taken[before];
                    let is_one_list = from.mark.is_some() && one.used.mark.is_some();
                    if is_one_list && earlier.value() != label.value() {
                        found.push(draft.overruled(label, from, &one.used));
                    }
                    taken[before] = (label.clone(), one.used);
                }
                Verdict::ContradictsRoute(own) => found.push(draft.contradicted(&own, &one.used)),
                Verdict::Contradicts(other) => found.push(draft.contradiction(label, &other, &one.used)),
            }
        }
    }
    draft.labels.extend(taken.into_iter().map(|(label, _)| label));
    draft.uses = used.into_iter().map(|one| one.used).collect();
}

/// What becomes of a key of a definition.
enum Verdict<'a> {
    Taken,
    /// The route says it itself, or it is taken already.
    NotTaken,
    /// It counts instead of the one at this position.
    Replaces(usize),
    /// A label of the route says something else, and may not.
    ContradictsRoute(Label<'a>),
    /// Another definition says something else.
    Contradicts(DefinitionUse<'a>),
}

/// The definitions that a route uses, those by default first.
fn definitions<'a>(
    draft: &mut RouteDraft<'a>,
    settings: &'a Settings,
    found: &mut Vec<Diagnostic>,
) -> Vec<UsedDefinition<'a>> {
    // A value that is none is reported when the labels are read, and closes the route.
    let label = draft.label(KeyId::Use).filter(|label| label.check().is_ok()).cloned();
    let entries: Vec<Entry<'a>> = label.iter().flat_map(|label| value::list(label.value()).map(Entry::of)).collect();
    let mut used: Vec<UsedDefinition<'a>> = Vec::new();
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    for name in &settings.default_use {
        let Some(table) = table(settings, name) else {
            let finding = unknown(name, settings, 0..0);
            found.push(draft.source.about(finding, draft.close()));
            continue;
        };
        let definition = Definition::sort_out(table, &mut Vec::new());
        let may = definition.lets_out(draft.source);
        let entry = entries.iter().find(|entry| entry.is_left_out && entry.name == &**name);
        if let (Some(entry), Some(label)) = (entry, &label) {
            left_out.insert(name);
            if may {
                continue;
            }
            found.push(draft.not_let_out(label, entry));
        }
        let used_by_default = DefinitionUse { name, mark: None };
        used.push(UsedDefinition { used: used_by_default, is_fixed: !may, definition });
    }
    for (entry, label) in entries.iter().filter_map(|entry| Some((entry, label.as_ref()?))) {
        let span = entry.offset..entry.offset + entry.text.len();
        if entry.is_left_out {
            if !left_out.contains(entry.name) {
                let message = format!("{} does not hold by default", quoted(entry.name));
                let finding = Finding::error(codes::USE_OF_NOTHING, span, message, "nothing to leave out", "remove it");
                found.push(label.found(finding.warning(), "the entry does nothing".into()));
            }
        } else if used.iter().any(|one| one.used.name == entry.name) {
            // By default, or written twice.
        } else if let Some(table) = table(settings, entry.name) {
            let definition = Definition::sort_out(table, &mut Vec::new());
            used.push(UsedDefinition {
                used: DefinitionUse { name: entry.name, mark: Some(label.mark) },
                is_fixed: false,
                definition,
            });
        } else {
            let effect = draft.close();
            found.push(label.found(unknown(entry.name, settings, span), effect));
        }
    }
    used
}

fn table<'a>(settings: &'a Settings, name: &str) -> Option<&'a MiddlewareTable> {
    settings.middlewares.iter().find(|table| &*table.name == name)
}

fn unknown(name: &str, settings: &Settings, span: std::ops::Range<usize>) -> Finding {
    let names = settings.middlewares.iter().map(|table| &*table.name);
    let help = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => format!("write `[middlewares.{name}]` in the configuration file, or take the name out"),
    };
    let message = format!("there is no shared definition {}", quoted(name));
    Finding::error(codes::USE_UNKNOWN, span, message, "not in the configuration file", help)
}

/// The parties that a definition lets out.
fn allowed<'a>(label: &Label<'a>, found: &mut Vec<Diagnostic>) -> Vec<&'a str> {
    if let Err(finding) = label.check() {
        found.push(label.found(finding, label.key.without.to_owned()));
        return Vec::new();
    }
    let mut parties = Vec::new();
    for (offset, text) in value::list(label.value()) {
        match party_name(text) {
            Ok(party) => parties.push(party),
            Err(finding) => {
                let effect = "the other names may leave the definition out";
                found.push(label.found(finding.shifted(offset), effect.to_owned()));
            }
        }
    }
    parties
}

impl<'t> Entry<'t> {
    fn of((offset, text): (usize, &'t str)) -> Self {
        let left_out = text.strip_prefix('-');
        Self { name: left_out.unwrap_or(text), is_left_out: left_out.is_some(), offset, text }
    }
}

impl<'a> Definition<'a> {
    /// Sorts the keys of a table, and reports those that cannot stand there.
    fn sort_out(table: &'a MiddlewareTable, found: &mut Vec<Diagnostic>) -> Self {
        let source = Source::Definition(table);
        let mut definition = Self { draft: RouteDraft::new(source, &table.name), opt_out: None, is_broken: false };
        for (key, value, place) in &table.keys {
            let mark = Mark { label: place.subject().unwrap_or(key), value, place: Some(place) };
            let kind = match resolve(key) {
                ResolvedKey::Known(known, tail) => {
                    let label = Label { source, key: known, tail, mark };
                    match known.sharing() {
                        Sharing::OfOneRoute => {
                            definition.is_broken |= known.protects();
                            found.push(of_one_route(&label, &table.name));
                        }
                        Sharing::OfDefinition => definition.opt_out = Some(label),
                        Sharing::LaterCounts | Sharing::AllHold | Sharing::Agreed | Sharing::LogIn => {
                            definition.draft.add(label, found);
                        }
                    }
                    continue;
                }
                ResolvedKey::Group => UnknownKind::Incomplete,
                ResolvedKey::Below(known) => UnknownKind::Below(known),
                ResolvedKey::Unknown => UnknownKind::Unknown,
            };
            let unknown = UnknownKey { route: None, key, mark, kind };
            let guess = unknown.guess();
            definition.is_broken |= guess.protects;
            let effect = effect_on_users(&table.name, guess.protects);
            found.push(source.about_key(mark, unknown.finding(source, &guess), effect));
        }
        definition.is_broken |= definition.draft.closed;
        definition
    }

    /// Whether it says exactly this.
    fn says(&self, label: &Label<'_>) -> bool {
        self.draft.labels.iter().any(|one| one.is_same_key(label) && one.value() == label.value())
    }

    /// Whether the owner of the configuration file lets the party behind a route do without it.
    fn lets_out(&self, source: Source<'_>) -> bool {
        let Source::Container(container) = source else { return true };
        let party = container.project().unwrap_or(&container.name);
        let allowed = self.opt_out.as_ref().map(|label| allowed(label, &mut Vec::new())).unwrap_or_default();
        allowed.iter().any(|name| *name == "*" || *name == party)
    }
}

fn effect_on_users(name: &str, is_closed: bool) -> String {
    match is_closed {
        true => users_closed(name),
        false => format!("it does nothing; the rest of definition `{name}` is in force"),
    }
}

fn of_one_route(label: &Label<'_>, name: &str) -> Diagnostic {
    let message = format!("`{}` cannot be shared", label.key.name);
    let finding = whole(codes::LABEL_MISPLACED, message, "about one route", "write it for the route itself");
    label.source.about_key(label.mark, finding, effect_on_users(name, label.key.protects()))
}

impl<'a> RouteDraft<'a> {
    /// Whether a key of a definition is taken beside the labels of the route and what was taken before. The log-in of a
    /// definition that the route may not do without is the only one.
    fn verdict(
        &self,
        label: &Label<'a>,
        one: &UsedDefinition<'a>,
        fixed_log_in: Option<&UsedDefinition<'a>>,
        taken: &[(Label<'a>, DefinitionUse<'a>)],
    ) -> Verdict<'a> {
        let own = self.labels.iter().find(|own| own.is_same_key(label));
        let before = taken.iter().position(|(before, _)| before.is_same_key(label));
        let is_same = |other: &Label<'a>| other.value() == label.value();
        match label.key.sharing() {
            Sharing::OfOneRoute | Sharing::OfDefinition => Verdict::NotTaken,
            Sharing::LaterCounts => match before {
                _ if own.is_some() => Verdict::NotTaken,
                Some(before) => Verdict::Replaces(before),
                None => Verdict::Taken,
            },
            Sharing::AllHold => {
                let is_replaced = own.is_some() && !one.is_fixed && label.key.id() != Some(KeyId::Deny);
                let is_taken = taken.iter().any(|(before, _)| before.is_same_key(label) && is_same(before));
                if is_replaced || is_taken { Verdict::NotTaken } else { Verdict::Taken }
            }
            Sharing::Agreed | Sharing::LogIn => {
                let is_of_log_in = label.key.sharing() == Sharing::LogIn;
                if let Some(fixed) = fixed_log_in.filter(|_| is_of_log_in) {
                    let is_said = self.labels.iter().any(|own| own.is_same_key(label));
                    return match fixed.definition.says(label) {
                        true if is_said || before.is_some() => Verdict::NotTaken,
                        true => Verdict::Taken,
                        false => Verdict::Contradicts(fixed.used),
                    };
                }
                let says_log_in = is_of_log_in && self.labels.iter().any(Label::is_way_to_log_in);
                match (own, before) {
                    (Some(own), _) if one.is_fixed && !is_same(own) => Verdict::ContradictsRoute(own.clone()),
                    (Some(_), _) => Verdict::NotTaken,
                    (None, _) if says_log_in => Verdict::NotTaken,
                    (None, None) => Verdict::Taken,
                    (None, Some(before)) if is_same(&taken[before].0) => Verdict::NotTaken,
                    (None, Some(before)) => Verdict::Contradicts(taken[before].1),
                }
            }
        }
    }

    /// Two definitions say different things, and nobody can tell which was meant.
    fn contradiction(&mut self, label: &Label<'a>, one: &DefinitionUse<'a>, other: &DefinitionUse<'a>) -> Diagnostic {
        let message =
            format!("{} and {} contradict each other about `{}`", quoted(one.name), quoted(other.name), label.key.name);
        let help = "use one of them, or let one definition say it";
        let finding = whole(codes::USE_CONFLICT, message, "which one counts is not known", help);
        let effect = self.close();
        self.about_use(*other, finding, effect)
    }

    /// A label of the route says something else than a definition that it may not do without.
    fn contradicted(&mut self, own: &Label<'a>, fixed: &DefinitionUse<'a>) -> Diagnostic {
        let message = format!("`{}` beside the definition {} of all routes", own.key.name, quoted(fixed.name));
        let help = format!("remove it, or let `opt-out` of `[middlewares.{}]` name this party", fixed.name);
        let finding = whole(codes::USE_CONFLICT, message, "the definition holds", help);
        let effect = self.close();
        own.source.about_key(own.mark, finding, effect)
    }

    /// Two definitions in one `use` say different things, and the later one counts.
    fn overruled(&self, label: &Label<'a>, earlier: &DefinitionUse<'a>, later: &DefinitionUse<'a>) -> Diagnostic {
        let key = format!("{}{}", label.key.stem(), label.tail);
        let message = format!("{} and {} differ in {}", quoted(earlier.name), quoted(later.name), quoted(&key));
        let help = format!("say {} for the route itself, or in one of them", quoted(&key));
        let finding = whole(codes::USE_CONFLICT, message, "both say it", help).warning();
        self.about_use(*later, finding, format!("{} counts, as it stands later", quoted(later.name)))
    }

    /// The definition holds although the label leaves it out.
    fn not_let_out(&self, label: &Label<'a>, entry: &Entry<'a>) -> Diagnostic {
        let name = entry.name;
        let message = format!("{} may not be left out here", quoted(name));
        let help =
            format!("let `opt-out` of `[middlewares.{name}]` name the project or the container, or remove the entry");
        let span = entry.offset..entry.offset + entry.text.len();
        let finding = Finding::error(codes::USE_FIXED, span, message, "holds for every route", help);
        label.found(finding, format!("{} stays in force for route `{}`", quoted(name), self.name))
    }
}
