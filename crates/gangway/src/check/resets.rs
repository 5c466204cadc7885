//! What `!reset` and `!override` take away from earlier files.
//!
//! As compose does it: both tags name a path. What earlier files say there is forgotten before the file is
//! put over them; and a node with `!reset` is not there at all, while one with `!override` stands on its own.

use super::yaml::{Kind, MergeTag, Node};

/// `services.web.deploy.labels.key`: deeper than that nothing is read.
const DEPTH_MAX: usize = 5;

/// Paths to forget, in the order written.
#[derive(Clone, Debug, Default)]
pub(super) struct Resets(Vec<Vec<String>>);

impl Resets {
    /// Takes the nodes with `!reset` out of a document, and remembers its paths.
    pub(super) fn take_from(root: &mut Node) -> Self {
        let mut resets = Self::default();
        resets.walk(root, &mut Vec::new());
        resets
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The paths below one service.
    pub(super) fn of_service<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [String]> {
        self.paths().filter_map(move |path| match path {
            [services, service, below @ ..] if services == "services" && service == name && !below.is_empty() => {
                Some(below)
            }
            _ => None,
        })
    }

    fn walk(&mut self, node: &mut Node, path: &mut Vec<String>) {
        match &mut node.kind {
            Kind::Map(entries) => entries.retain_mut(|(key, node)| {
                path.push(key.as_str().to_owned());
                let stays = self.stays(node, path);
                path.pop();
                stays
            }),
            // A path into a list means nothing: compose knows no places of a list that two files share.
            Kind::List(items) => items.retain(|item| item.tag != Some(MergeTag::Reset)),
            Kind::Null | Kind::Scalar(_) => {}
        }
    }

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
    use crate::check::source::Files;
    use crate::check::yaml::parse;

    #[test]
    fn paths_are_taken_from_everywhere() {
        let text = concat!(
            "services:\n  old: !reset null\n  web:\n    labels:\n      gangway.host: !reset null\n      b: c\n",
            "    ports: !override [80]\n    command: [a, !reset b]\n",
        );
        let file = Files::default().add("compose.yaml".into(), text.into());
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
