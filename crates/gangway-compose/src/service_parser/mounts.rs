//! `volumes` of a service, in their short and long forms.

use std::collections::BTreeMap;

use super::value_reader::{Relevance, ValueReader};
use crate::service::VolumeMount;
use crate::yaml::Node;

/// The mounts by their path inside the container.
pub(crate) fn mounts(reader: &mut ValueReader<'_, '_>, node: Option<&Node>) -> BTreeMap<String, VolumeMount> {
    let mut mounts = BTreeMap::new();
    for item in node.map(Node::items).unwrap_or_default() {
        let long = reader.text(item.get("target"), Relevance::GangwayOnly).map(|target| {
            let source = reader.text(item.get("source"), Relevance::GangwayOnly);
            let is_read_only = item.get("read_only").is_some_and(|node| node.is_scalar("true"));
            (target.as_str().to_owned(), source.map(|source| source.as_str().to_owned()), is_read_only)
        });
        let short = || Some(short_mount(reader.scalar(item, Relevance::GangwayOnly)?.as_str()));
        if let Some((target, source, is_read_only)) = long.or_else(short) {
            let mount = VolumeMount { source, is_read_only, span: item.span() };
            mounts.insert(target.trim_end_matches('/').to_owned(), mount);
        }
    }
    mounts
}

/// The short form `[source:]target[:mode]`: the target, the source, and whether the mount is read-only.
fn short_mount(text: &str) -> (String, Option<String>, bool) {
    let mut parts = text.split(':');
    let (first, second, mode) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
    let is_read_only = mode.split(',').any(|word| word == "ro");
    match second {
        Some(target) => (target.to_owned(), Some(first.to_owned()), is_read_only),
        None => (first.to_owned(), None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_in_their_short_form() {
        let mount = |target: &str, source: Option<&str>, ro| (target.to_owned(), source.map(str::to_owned), ro);
        assert_eq!(short_mount("/data"), mount("/data", None, false));
        assert_eq!(short_mount("data:/data"), mount("/data", Some("data"), false));
        assert_eq!(short_mount("./data:/data:ro,z"), mount("/data", Some("./data"), true));
    }
}
