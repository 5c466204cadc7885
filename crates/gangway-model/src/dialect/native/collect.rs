//! The routes of one container while its labels are sorted.
//!
//! Whatever cannot be understood may have been meant to protect a route. Which one that is, and which
//! routes there are at all, is only known when all labels were seen.

use std::collections::{BTreeMap, BTreeSet};

use super::default_host::default_host;
use super::definitions;
use super::draft::{ReadRoute, RouteDraft};
use super::label::Label;
use super::limits;
use super::prefix::{LABELS_MAX, OwnLabel, PREFIX, bad_name, is_route_name};
use super::route_fields::closed;
use super::schema::{Key, KeyId, Placement, ResolvedKey, resolve};
use super::suggest::Suggestion;
use super::unknown_key::{UnknownKey, UnknownKind};
use crate::host::HostPattern;
use crate::label::Mark;
use crate::label::{Source, cut, whole};
use crate::settings::Settings;
use crate::spec::RouteSpec;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::codes;
use gangway_diagnostic::quoted;

/// The routes of one container while its labels are sorted.
pub(super) struct RouteCollector<'a> {
    source: Source<'a>,
    /// The container's one route.
    main: RouteDraft<'a>,
    /// Further routes, by name in lower case.
    others: BTreeMap<String, RouteDraft<'a>>,
    /// Labels whose keys are not in the schema.
    unknown: Vec<UnknownKey<'a>>,
}

impl<'a> RouteCollector<'a> {
    pub(super) fn new(source: Source<'a>, name: &str) -> Self {
        let main = RouteDraft::new(source, &cut(name));
        Self { source, main, others: BTreeMap::new(), unknown: Vec::new() }
    }

    /// Sorts in what stands behind our prefix.
    pub(super) fn add(&mut self, rest: &'a str, mark: Mark<'a>, found: &mut Vec<Diagnostic>) {
        const ROUTES: &str = "routes";
        let Some(named) = rest.get(..ROUTES.len()).filter(|begin| begin.eq_ignore_ascii_case(ROUTES)) else {
            return self.add_key(None, rest, mark, found);
        };
        match rest[named.len()..].strip_prefix('.').map(|named| named.split_once('.').unwrap_or((named, ""))) {
            Some((name, key)) if is_route_name(name) && !key.is_empty() => self.add_key(Some(name), key, mark, found),
            Some((name, _)) if !is_route_name(name) && rest.len() > ROUTES.len() + 1 => {
                let finding = bad_name(self.source, name);
                found.push(self.source.about_key(mark, finding, "the label does nothing".into()));
            }
            None if rest.len() > ROUTES.len() => self.add_key(None, rest, mark, found),
            _ => self.unknown.push(UnknownKey { route: None, key: rest, mark, kind: UnknownKind::Incomplete }),
        }
    }

    pub(super) fn add_key(
        &mut self,
        route: Option<&'a str>,
        key: &'a str,
        mark: Mark<'a>,
        found: &mut Vec<Diagnostic>,
    ) {
        let kind = match resolve(key) {
            ResolvedKey::Known(known, tail) => {
                let forbidden = match self.source {
                    Source::Container(_) => Placement::InTheFile,
                    Source::File(_) | Source::Definition(_) | Source::Provider(_) => Placement::OnContainers,
                };
                if known.place == forbidden || known.place == Placement::InDefinitions {
                    return found.push(misplaced(self.source, known, mark));
                }
                let label = Label { source: self.source, key: known, tail, mark };
                return self.draft(route).add(label, found);
            }
            ResolvedKey::Group => UnknownKind::Incomplete,
            ResolvedKey::Below(known) => UnknownKind::Below(known),
            ResolvedKey::Unknown => UnknownKind::Unknown,
        };
        self.unknown.push(UnknownKey { route, key, mark, kind });
    }

    fn draft(&mut self, route: Option<&str>) -> &mut RouteDraft<'a> {
        match route.map(str::to_ascii_lowercase) {
            Some(name) if !self.main.name.eq_ignore_ascii_case(&name) => {
                let source = self.source;
                let shown = name.clone().into();
                let empty = || RouteDraft { name: shown, ..RouteDraft::new(source, "") };
                self.others.entry(name).or_insert_with(empty)
            }
            _ => &mut self.main,
        }
    }

    /// A route of which labels were left out may have lost its protection.
    pub(super) fn close_what_was_left_out(&mut self, left_out: &[OwnLabel<'a>], found: &mut Vec<Diagnostic>) {
        let Some(first) = left_out.first() else { return };
        let mut touched = BTreeSet::new();
        for OwnLabel { rest, .. } in left_out {
            let named = rest.get(..7).filter(|begin| begin.eq_ignore_ascii_case("routes.")).map(|_| &rest[7..]);
            let name = named.and_then(|named| named.split('.').next()).unwrap_or(&self.main.name).to_ascii_lowercase();
            let is_main = self.main.name.eq_ignore_ascii_case(&name);
            match self.others.get_mut(&name) {
                _ if is_main => self.main.closed = true,
                Some(draft) => draft.closed = true,
                None => continue,
            }
            touched.insert(name);
        }
        let count = LABELS_MAX + left_out.len();
        let finding = whole(
            codes::LABELS_TOO_MANY,
            format!("{count} labels are too many"),
            "the first that is left out",
            format!(
                "at most {LABELS_MAX} are read; spread the routes over several containers or the configuration file"
            ),
        );
        let left = format!("{} labels are left out", left_out.len());
        let effect = match touched.len() {
            0 => left,
            _ => format!("{left}, and routes of which some were left out are closed: {}", some_of(touched.iter())),
        };
        found.push(self.source.about_key(first.mark, finding, effect));
    }

    /// Decides which routes there are, and reads them.
    pub(super) fn read(mut self, settings: &'a Settings, found: &mut Vec<Diagnostic>) -> Vec<RouteSpec<'a>> {
        let for_all = |label: &Label<'_>| label.key.id() == Some(KeyId::Network);
        let of_main = || self.main.labels.iter().filter(|label| !for_all(label));
        let only_protects = of_main().count() > 0 && of_main().all(|label| label.key.protects());
        let has_main = self.others.is_empty() || (of_main().count() > 0 && !only_protects);
        if !has_main && only_protects {
            self.close_all_for(found);
        }
        for unknown in std::mem::take(&mut self.unknown) {
            self.settle(&unknown, has_main, settings, found);
        }
        if has_main && !self.others.is_empty() {
            self.report_by_itself(settings, found);
        }
        if let Some(network) = self.main.labels.iter().find(|label| for_all(label)).cloned() {
            let lacking = self.others.values_mut().filter(|draft| !draft.labels.iter().any(for_all));
            lacking.for_each(|draft| draft.labels.push(network.clone()));
        }
        let main = has_main.then_some(self.main);
        let mut drafts: Vec<RouteDraft<'a>> = main.into_iter().chain(self.others.into_values()).collect();
        let mut left_out = match self.source {
            Source::Container(_) => limits::labels_beyond(drafts.iter().map(|draft| &draft.labels[..])),
            // The owner of the machine writes the file, so only the machine limits it.
            Source::File(_) | Source::Definition(_) | Source::Provider(_) => BTreeMap::new(),
        };
        definitions::apply_to_all(&mut drafts, settings, found);
        let read_routes = drafts.into_iter().enumerate().filter_map(|(position, draft)| {
            draft.read(&left_out.remove(&position).unwrap_or_default(), settings, found)
        });
        let read_routes: Vec<ReadRoute<'a>> = read_routes.collect();
        let mut beyond = match self.source {
            Source::Container(_) => limits::routes_beyond(read_routes.iter().map(|route| (route.size(), route.name()))),
            Source::File(_) | Source::Definition(_) | Source::Provider(_) => BTreeMap::new(),
        };
        let mut specs = Vec::with_capacity(read_routes.len());
        for (position, route) in read_routes.into_iter().enumerate() {
            match beyond.remove(&position) {
                Some(size) => route.leave_out(size, found),
                None => specs.extend(route.spec(settings, found)),
            }
        }
        specs
    }

    /// `gangway.allow` belongs to the container's one route; beside further routes and nothing else of
    /// its own, it was surely meant for those.
    fn close_all_for(&mut self, found: &mut Vec<Diagnostic>) {
        let example = self.others.keys().next().cloned().unwrap_or_default();
        for label in self.main.labels.iter().filter(|label| label.key.protects()) {
            let finding = whole(
                codes::LABEL_DOUBTFUL,
                format!("{} protects none of the routes", quoted(label.mark.label)),
                "belongs to a route that has no other label",
                format!("write it for each route, such as `{PREFIX}routes.{example}.{}`", label.key.name),
            );
            let effect = format!("all routes of the container are closed: {}", some_of(self.others.keys()));
            found.push(label.source.about_key(label.mark, finding, effect));
        }
        self.others.values_mut().for_each(|draft| draft.closed = true);
    }

    /// Reports that a label such as `gangway.port` beside further routes opens the whole application at a host that is
    /// not written anywhere.
    fn report_by_itself(&self, settings: &Settings, found: &mut Vec<Diagnostic>) {
        let is_written = [KeyId::Host, KeyId::Path, KeyId::Rule].into_iter().any(|key| self.main.label(key).is_some());
        let own = || self.main.labels.iter().filter(|label| label.key.id() != Some(KeyId::Network));
        let Some(first) = own().next().filter(|_| !is_written && matches!(self.source, Source::Container(_))) else {
            return;
        };
        let Some(host) = default_host(&self.main.name, &settings.domain) else { return };
        let other = self.others.keys().next().cloned().unwrap_or_default();
        let key = format!("{}{}", first.key.stem(), first.tail);
        let finding = whole(
            codes::ROUTE_BY_ITSELF,
            format!("route {} appears by itself", quoted(&self.main.name)),
            "makes a route of its own",
            format!(
                "write {} where it was meant for that route; add `{PREFIX}host` where this one is wanted as well",
                quoted(&format!("{PREFIX}routes.{other}.{key}"))
            ),
        );
        let effect = format!("route `{}` is served at `{host}`, on all paths", self.main.name);
        found.push(self.source.about_key(first.mark, finding.warning(), effect));
    }

    /// Reports a label whose key is not in the schema, and closes the routes that it may have been meant to protect.
    fn settle(&mut self, unknown: &UnknownKey<'a>, has_main: bool, settings: &Settings, found: &mut Vec<Diagnostic>) {
        let guess = unknown.guess();
        let noun = self.source.noun();
        let effect = if guess.protects {
            let closing = self.meant_by(unknown, has_main);
            match &closing[..] {
                [] => format!("the {noun} does nothing"),
                [only] => closed(only),
                several => format!("routes that it may have been meant for are closed: {}", some_of(several.iter())),
            }
        } else {
            match unknown.route {
                Some(name) if !self.others.contains_key(&name.to_ascii_lowercase()) && !self.is_main(name) => {
                    format!("the {noun} does nothing; there is no route `{name}`")
                }
                name => {
                    let name = name.map_or(&*self.main.name, |name| name);
                    match self.host_instead(unknown, &guess, settings) {
                        Some(host) => format!("the {noun} does nothing; route `{name}` is served at `{host}`"),
                        None => format!("the {noun} does nothing; the rest of route `{name}` is in force"),
                    }
                }
            }
        };
        found.push(self.source.about_key(unknown.mark, unknown.finding(self.source, &guess), effect));
    }

    /// The default host of a route that is served there because the label of its host is misspelt.
    fn host_instead(&self, unknown: &UnknownKey<'a>, guess: &Suggestion, settings: &Settings) -> Option<HostPattern> {
        let meant = guess.meant.as_deref()?;
        let says_where = matches!(meant, "host" | "rule");
        let draft = match unknown.route {
            Some(name) if !self.is_main(name) => self.others.get(&name.to_ascii_lowercase())?,
            _ => &self.main,
        };
        let is_written = [KeyId::Host, KeyId::Rule].into_iter().any(|key| draft.label(key).is_some());
        if !says_where || is_written || draft.closed || matches!(self.source, Source::File(_)) {
            return None;
        }
        default_host(&draft.name, &settings.domain)
    }

    fn is_main(&self, name: &str) -> bool {
        self.main.name.eq_ignore_ascii_case(name)
    }

    /// Closes the routes that an unknown label may have been meant for; their names.
    fn meant_by(&mut self, unknown: &UnknownKey<'a>, has_main: bool) -> Vec<String> {
        let named: Vec<String> = match unknown.route {
            Some(name) => vec![name.to_ascii_lowercase()],
            None => unknown.key.split('.').map(str::to_ascii_lowercase).collect(),
        };
        let is_named = |name: &str| named.iter().any(|named| named.eq_ignore_ascii_case(name));
        let any_named = self.others.keys().any(|name| is_named(name)) || (has_main && is_named(&self.main.name));
        let mut closing = Vec::new();
        let only_main = !any_named && has_main && unknown.route.is_none();
        if has_main && (only_main || is_named(&self.main.name)) {
            self.main.closed = true;
            closing.push(self.main.name.to_string());
        }
        // A label of a route that does not exist closes nothing: nothing is served that it could protect.
        let all_others = !any_named && !has_main && unknown.route.is_none();
        for (name, draft) in &mut self.others {
            if all_others || is_named(name) {
                draft.closed = true;
                closing.push(name.clone());
            }
        }
        closing
    }
}

impl<'a> RouteDraft<'a> {
    /// Adds a label; of two that are the same, the one in lower case stays.
    pub(super) fn add(&mut self, label: Label<'a>, found: &mut Vec<Diagnostic>) {
        let Some(at) = self.labels.iter().position(|other| other.is_same_key(&label)) else {
            return self.labels.push(label);
        };
        let other = self.labels[at].clone();
        let stays = !other.mark.label.bytes().any(|byte| byte.is_ascii_uppercase());
        let (winner, loser) = if stays { (other.mark.label, label.mark) } else { (label.mark.label, other.mark) };
        let finding = whole(
            codes::LABEL_TWICE,
            format!("{} is written twice", quoted(winner)),
            format!("the same label as {}", quoted(winner)).as_str(),
            cure_of_double(&self.name, winner, loser.label),
        );
        let effect = if label.key.protects() { self.close() } else { format!("{} is in force", quoted(winner)) };
        found.push(label.source.about_key(loser, finding, effect));
        if !stays {
            self.labels[at] = label;
        }
    }
}

/// The help for a label of the route that is written in two forms.
fn cure_of_double(name: &str, winner: &str, loser: &str) -> String {
    let long = [winner, loser].into_iter().find(|label| is_of_named_route(label));
    match long {
        // `gangway.host` beside `gangway.routes.www.host` in a service `www`: two routes were meant.
        Some(long) if !winner.eq_ignore_ascii_case(loser) => {
            let key = long.splitn(4, '.').nth(3).unwrap_or_default();
            format!(
                "remove one of them; or, where a second route was meant, call it otherwise than its service, such as {}: \
                 route `{name}` is the container's one route",
                quoted(&format!("{PREFIX}routes.{name}-2.{key}"))
            )
        }
        _ => "remove one of them".to_owned(),
    }
}

/// `gangway.routes.<name>.<key>`.
fn is_of_named_route(label: &str) -> bool {
    let begin = "gangway.routes.";
    label.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin))
}

fn misplaced(source: Source<'_>, key: &Key, mark: Mark<'_>) -> Diagnostic {
    let (note, help) = match source {
        _ if key.place == Placement::InDefinitions => (
            "for shared definitions of the configuration file only",
            "remove it; only the owner of the file decides this",
        ),
        Source::Container(_) => {
            ("for routes of the configuration file only", "a container is its own upstream; remove it")
        }
        Source::File(_) if matches!(key.id(), Some(KeyId::Scheme | KeyId::Port)) => {
            ("for containers only", "write it in the URL of `upstream`, such as `h2c://192.0.2.9:50051`")
        }
        Source::File(_) | Source::Definition(_) | Source::Provider(_) => ("for containers only", "remove it"),
    };
    let finding = whole(codes::LABEL_MISPLACED, format!("`{}` cannot stand here", key.name), note, help);
    source.about_key(mark, finding, "it does nothing; the rest of the route is in force".into())
}

/// The first few of many names.
fn some_of(names: impl ExactSizeIterator<Item = impl AsRef<str>>) -> String {
    const NAMED_MAX: usize = 5;
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut text: Vec<String> = names.take(NAMED_MAX).map(|name| quoted(name.as_ref())).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}
