//! Our own dialect: `gangway.<key>` and `gangway.routes.<name>.<key>`, and the tables of the configuration
//! file, which have the same keys.
//!
//! Reading has three steps. Labels are sorted by their route and by their key in the [schema]; labels that are not in
//! the schema are kept aside. Then it is decided which routes there are, and which of them are closed because of a label
//! that may have been meant to protect them. Finally the labels of each route become a spec, key by key.

mod access;
mod collect;
mod default_host;
mod definitions;
mod draft;
mod error_pages;
mod forward_auth;
mod header;
mod label;
mod limits;
mod listen;
mod oidc_auth;
mod prefix;
mod print;
mod readers;
mod redirect;
mod rewrite;
mod route_fields;
pub(crate) mod schema;
mod suggest;
mod unknown_key;
mod values;
mod vocabulary;

use self::collect::RouteCollector;
pub(crate) use self::definitions::check as check_definitions;
use self::label::Label;
use self::prefix::{LABELS_MAX, OwnLabel, bad_name, is_route_name, report_near_misses, sort_out};
pub(crate) use self::prefix::{PREFIX, near_miss};
pub use self::print::NativeLabels;
use self::schema::{KEYS, KeyId};
use crate::image_defaults;
use crate::label::{Mark, Source, whole};
use crate::settings::{Expose, FileRoute, Settings};
use crate::snapshot::Container;
use crate::spec::{Declarations, Declared, RouteSpec};
use crate::value;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::codes;

/// Reads the labels of a container.
pub(crate) fn read<'a>(container: &'a Container, settings: &'a Settings, found: &mut Vec<Diagnostic>) -> Declared<'a> {
    let source = Source::Container(container);
    let (mut ours, misses) = sort_out(container);
    report_near_misses(source, &misses, found);
    let left_out = ours.split_off(ours.len().min(LABELS_MAX));
    // Of several that differ in case the one in lower case counts: it stands last.
    let is_enable = |label: &OwnLabel<'_>| label.rest.eq_ignore_ascii_case("enable");
    let enable = ours.iter().rposition(is_enable).map(|at| ours.remove(at));
    match enabled(container, enable.as_ref(), !ours.is_empty(), settings, found) {
        Ok(()) => {}
        Err(why) => return Declared::NotRouted(why),
    }
    let by_label = enable.is_some() || !ours.is_empty();
    let mut collector = RouteCollector::new(source, container.app_name());
    for OwnLabel { rest, mark } in ours {
        collector.add(rest, mark, found);
    }
    collector.close_what_was_left_out(&left_out, found);
    let declarations = Declarations { routes: collector.read(settings, found), ..Declarations::default() };
    Declared::Routed { declarations, by_label }
}

/// Reads a table of the configuration file.
pub(crate) fn read_file<'a>(
    route: &'a FileRoute,
    settings: &'a Settings,
    found: &mut Vec<Diagnostic>,
) -> Option<RouteSpec<'a>> {
    let source = Source::File(route);
    if !is_route_name(&route.name) {
        let effect = "this route is not served; others are unaffected";
        found.push(source.about(bad_name(source, &route.name), effect.into()));
        return None;
    }
    let mut collector = RouteCollector::new(source, &route.name);
    for (key, value, place) in &route.keys {
        let label = place.subject().unwrap_or(key);
        collector.add_key(None, key, Mark { label, value, place: Some(place) }, found);
    }
    collector.read(settings, found).pop()
}

/// Reports labels on our own container, which cannot be in force.
pub(crate) fn report_own(container: &Container, found: &mut Vec<Diagnostic>) {
    let (ours, _) = sort_out(container);
    if let Some(first) = ours.first() {
        let finding = whole(
            codes::LABEL_OF_OWN,
            "label on Gangway itself",
            "Gangway does not route to itself",
            "remove the label; a route to the admin address can be made in the configuration file",
        );
        let effect = "Gangway's own container is not routed".to_owned();
        found.push(Source::Container(container).about_key(first.mark, finding, effect));
    }
}

/// Whether the container is routed; the error says why it is not.
fn enabled(
    container: &Container,
    enable: Option<&OwnLabel<'_>>,
    has_others: bool,
    settings: &Settings,
    found: &mut Vec<Diagnostic>,
) -> Result<(), String> {
    let without = match settings.expose {
        _ if has_others => Ok(()),
        Expose::Labelled => Err("no label asks for it, and `--expose` is `labelled`".to_owned()),
        Expose::All if image_defaults::is_hidden(&container.image) => {
            Err("its image is a database, a cache or a broker; `gangway.enable` `true` would route it".to_owned())
        }
        Expose::All => Ok(()),
    };
    let Some(OwnLabel { mark, .. }) = enable else { return without };
    let label = Label {
        source: Source::Container(container),
        key: KEYS.iter().find(|key| key.id() == Some(KeyId::Enable)).expect("`enable` is in the schema"),
        tail: "",
        mark: *mark,
    };
    match label.check().and_then(|()| value::boolean(label.value())) {
        Ok(true) => Ok(()),
        Ok(false) => Err("`gangway.enable` says no".to_owned()),
        Err(finding) => {
            let routed = if without.is_ok() { "the container is routed" } else { "the container is not routed" };
            found.push(label.found(finding, format!("{routed}, as if the label were not there")));
            without
        }
    }
}
