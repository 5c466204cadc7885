//! `!reset` and `!override`, which remove values of earlier files.
//!
//! As in compose, both tags name a path, and the values of earlier files at that path are dropped before the file is
//! merged. The tagged node itself is dropped for `!reset`, and kept for `!override`.

use crate::yaml::{MergeTag, Node, NodeKind};

/// The length of the longest path that is read: `services.web.deploy.labels.key`.
const DEPTH_MAX: usize = 5;

/// Paths to drop, in the order written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resets(Vec<Vec<String>>);

impl Resets {
    /// Removes the nodes with `!reset` from a document, and collects the paths of both tags.
    pub(crate) fn take_from(root: &mut Node) -> Self {
        let mut resets = Self::default();
        resets.walk(root, &mut Vec::new());
        resets
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The paths below a service, relative to it.
    pub(crate) fn of_service<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [String]> {
        self.paths().filter_map(move |path| match path {
            [services, service, below @ ..] if services == "services" && service == name && !below.is_empty() => {
                Some(below)
            }
            _ => None,
        })
    }

    fn walk(&mut self, node: &mut Node, path: &mut Vec<String>) {
        match &mut node.kind {
            NodeKind::Map(entries) => entries.retain_mut(|(key, node)| {
                path.push(key.as_str().to_owned());
                let stays = self.stays(node, path);
                path.pop();
                stays
            }),
            // A path into a list has no meaning, because items of lists in two files do not correspond.
            NodeKind::List(items) => items.retain(|item| item.tag != Some(MergeTag::Reset)),
            NodeKind::Null | NodeKind::Scalar(_) => {}
        }
    }

    /// Collects the path of a tagged node. False where the node is to be removed.
    fn stays(&mut self, node: &mut Node, path: &mut Vec<String>) -> bool {
        if node.tag.is_some() && path.len() <= DEPTH_MAX {
            self.0.push(path.clone());
        }
        if node.tag == Some(MergeTag::Reset) {
            return false;
        }
        self.walk(node, path);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::SourceMap;
    use crate::yaml::parse;

    #[test]
    fn paths_are_taken_from_everywhere() {
        let text = concat!(
            "services:\n  old: !reset null\n  web:\n    labels:\n      gangway.host: !reset null\n      b: c\n",
            "    ports: !override [80]\n    command: [a, !reset b]\n",
        );
        let file = SourceMap::default().add("compose.yaml".into(), text.into());
        let mut root = parse(file, text).expect("valid").remove(0);
        let resets = Resets::take_from(&mut root);
        let paths: Vec<_> = resets.paths().map(|path| path.join("/")).collect();
        assert_eq!(paths, ["services/old", "services/web/labels/gangway.host", "services/web/ports"]);
        assert_eq!(resets.of_service("web").map(<[String]>::len).collect::<Vec<_>>(), [2, 1]);
        let web = root.get("services").and_then(|services| services.get("web")).expect("web");
        assert!(root.get("services").is_some_and(|services| services.get("old").is_none()));
        assert_eq!(web.get("labels").map(|labels| labels.entries().len()), Some(1));
        assert_eq!(web.get("command").map(|command| command.items().len()), Some(1));
    }
}
