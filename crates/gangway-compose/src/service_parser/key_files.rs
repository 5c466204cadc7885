//! `env_file` and `label_file`: entries from files beside the compose file.

use gangway_diagnostic::codes::FILE_UNREADABLE;

use super::value_reader::{Relevance, ValueReader};
use crate::service::Entries;
use crate::spanned_text::SpannedText;
use crate::yaml::{Node, NodeKind};

/// Whether compose starts without a file.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Requirement {
    Required,
    Optional,
}

/// The entries of all files that a node names: a path, a list of them, or of mappings with `path` and `required`.
pub(crate) fn entries(reader: &mut ValueReader<'_, '_>, node: Option<&Node>) -> Entries {
    let Some(node) = node else { return Entries::new() };
    let items = if let NodeKind::List(items) = &node.kind { items.as_slice() } else { std::slice::from_ref(node) };
    let mut entries = Entries::new();
    for item in items {
        let is_optional = item.get("required").is_some_and(|required| required.is_scalar("false"));
        let requirement = if is_optional { Requirement::Optional } else { Requirement::Required };
        let Some(path) = reader.scalar(item.get("path").unwrap_or(item), Relevance::Routing) else { continue };
        entries.extend(entries_of_file(reader, &path, requirement));
    }
    entries
}

/// The entries of one file. A name alone is left out where its variable is not set.
fn entries_of_file(reader: &mut ValueReader<'_, '_>, path: &SpannedText, requirement: Requirement) -> Entries {
    let file = reader.file.folder.join(path.as_str());
    match reader.file.session.assignments(file, reader.file.environment) {
        Ok(assignments) => assignments
            .into_iter()
            .filter_map(|assignment| Some((assignment.key.as_str().to_owned(), (assignment.key, assignment.value?))))
            .collect(),
        Err(error) => {
            if requirement == Requirement::Required || !error.is_missing() {
                let message = format!("failed to read `{}`: {error}", path.as_str());
                let diagnostic = reader
                    .error(FILE_UNREADABLE, path.span(), message)
                    .with_help("make the file, or correct its name; it is looked for beside the compose file")
                    .with_effect("compose starts nothing of this file; it was taken as empty here");
                reader.report(diagnostic);
            }
            Entries::new()
        }
    }
}
