//! What engines say of containers in a form that makes no sense.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::label::{Source, cut};
use crate::settings::{FileRoute, Settings};
use crate::snapshot::{Container, LeftOut, Snapshot};
use crate::value::and_list;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Diagnostic, Place};
use gangway_diagnostic::{Finding, quoted};

/// Parts that are named in one diagnostic.
const PARTS_MAX: usize = 10;

/// Tells it of each container that is ours, and of what is not even recognised as a container.
pub(super) fn report(snapshot: &Snapshot, ours: &[&Container], settings: &Settings, found: &mut Vec<Diagnostic>) {
    if snapshot.left_out.values().all(BTreeMap::is_empty) {
        return;
    }
    let key = |container: &Container| (container.engine.clone(), container.id.clone());
    let ours: HashMap<_, &Container> = ours.iter().map(|container| (key(container), *container)).collect();
    let listed: HashSet<_> = snapshot.containers.iter().map(key).collect();
    let all = snapshot.left_out.iter();
    let all =
        all.flat_map(|(engine, of_engine)| of_engine.iter().map(move |(id, one)| ((engine.clone(), id.clone()), one)));
    for (key, left_out) in all {
        if let Some(container) = ours.get(&key) {
            let effect = "it is as if that were not said; a label counts as empty";
            found.push(Source::Container(container).about(finding(left_out, &container.name), effect.into()));
        } else if !listed.contains(&key) && settings.select.is_empty() {
            let file = FileRoute::default();
            let effect = "the container is not routed";
            let unplaced = Source::File(&file).about(finding(left_out, &left_out.container), effect.into());
            let place = Place::container_named(cut(&left_out.container));
            found.push(Diagnostic { place, ..unplaced });
        }
    }
}

fn finding(left_out: &LeftOut, name: &str) -> Finding {
    let parts = and_list(left_out.parts.iter().take(PARTS_MAX).map(|part| &**part));
    let more = if left_out.parts.len() > PARTS_MAX { " and more" } else { "" };
    Finding::error(
        codes::LISTING_MALFORMED,
        0..0,
        format!("the engine describes the container in a form that makes no sense: {parts}{more}"),
        "",
        format!("see what `docker inspect {}` says there", quoted(name).trim_matches('`')),
    )
}
