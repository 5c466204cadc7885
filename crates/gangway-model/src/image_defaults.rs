//! Defaults for well-known images, by their names. The data is `image_defaults.txt`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::route::Scheme;

/// The defaults for one image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ImageDefaults {
    /// The port at which it listens.
    pub port: u16,
    /// The protocol, where it does not follow from the port.
    pub scheme: Option<Scheme>,
}

#[derive(Debug, Default)]
struct Catalogue {
    by_name: HashMap<&'static str, ImageDefaults, ahash::RandomState>,
    skipped: HashMap<&'static str, &'static str, ahash::RandomState>,
    hidden: Vec<&'static str>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| read(include_str!("image_defaults.txt")));

/// The defaults for an image; none for an unknown one.
pub(crate) fn find(image: &str) -> Option<ImageDefaults> {
    CATALOGUE.by_name.get(name(image)?).copied()
}

/// The path patterns that a log-in in front of the image usually leaves out, as its own clients log in at the application;
/// none for an image of which none are known. `/` is all of it.
pub(crate) fn skipped(image: &str) -> Option<impl Iterator<Item = &'static str>> {
    let patterns = CATALOGUE.skipped.get(name(image)?)?;
    Some(patterns.split(','))
}

/// Whether the image is a database, a cache, a broker, or a server of another protocol.
pub(crate) fn is_hidden(image: &str) -> bool {
    let Some(name) = name(image) else { return false };
    let last = name.rsplit('/').next().unwrap_or(name);
    CATALOGUE.hidden.iter().any(|hidden| *hidden == if hidden.contains('/') { name } else { last })
}

/// The name of an image without registry, tag and digest, and without the `library/` of official
/// images. None for an image that is only known by its id.
pub(crate) fn name(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let is_registry = first.contains(['.', ':']) || first == "localhost";
    let path = if is_registry { rest } else { image };
    let path = path.strip_prefix("library/").unwrap_or(path);
    // A tag stands behind the last slash; a colon before it is a registry's port.
    let tag_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let end = path[tag_at..].find(':').map_or(path.len(), |colon| tag_at + colon);
    let name = &path[..end];
    let is_id = image.starts_with("sha256:") || (name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (!name.is_empty() && !is_id).then_some(name)
}

fn read(text: &'static str) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (first, names) = line.split_once(' ').expect("a line of the catalogue has names");
        if first == "hidden" {
            catalogue.hidden.extend(names.split(' '));
            continue;
        }
        if first == "skip" {
            let (patterns, names) = names.split_once(' ').expect("a line of the catalogue has names");
            catalogue.skipped.extend(names.split(' ').map(|name| (name, patterns)));
            continue;
        }
        let (port, scheme) = first.split_once('/').unwrap_or((first, ""));
        let scheme = match scheme {
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        };
        let port = port.parse().expect("a line of the catalogue begins with a port");
        catalogue.by_name.extend(names.split(' ').map(|name| (name, ImageDefaults { port, scheme })));
    }
    catalogue
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathPattern;

    #[test]
    fn images_are_known_whatever_registry_and_tag_they_have() {
        for image in [
            "jellyfin/jellyfin",
            "jellyfin/jellyfin:10.10",
            "docker.io/jellyfin/jellyfin:latest",
            "localhost/jellyfin/jellyfin",
            "registry.example:5000/jellyfin/jellyfin:10@sha256:0123456789abcdef",
        ] {
            assert_eq!(find(image), Some(ImageDefaults { port: 8096, scheme: None }), "{image}");
        }
        assert_eq!(find("library/nextcloud:apache").map(|preset| preset.port), Some(80));
        assert_eq!(
            find("linuxserver/nextcloud").map(|preset| (preset.port, preset.scheme)),
            Some((443, Some(Scheme::Https)))
        );
        for image in ["sha256:0123456789abcdef", "0123456789ab", "", "jellyfin", "x/jellyfin", "@", ":", "/"] {
            assert_eq!(find(image), None, "{image}");
        }
    }

    #[test]
    fn databases_are_known_by_the_last_part_of_their_name() {
        for image in [
            "postgres:16",
            "library/redis",
            "registry.example/immich-app/postgres:14-vectorchord",
            "bitnami/rabbitmq",
            "mssql/server:2022",
        ] {
            assert!(is_hidden(image), "{image}");
        }
        for image in ["actualbudget/actual-server", "postgres-ui", "redis/insight", "minecraft/server", "sha256:00"] {
            assert!(!is_hidden(image), "{image}");
        }
    }

    #[test]
    fn the_data_is_whole() {
        let catalogue = read(include_str!("image_defaults.txt"));
        let names = include_str!("image_defaults.txt")
            .lines()
            .filter(|line| line.starts_with(|char: char| char.is_ascii_digit()));
        let written: usize = names.map(|line| line.split(' ').count() - 1).sum();
        assert_eq!(catalogue.by_name.len(), written, "a name stands twice");
        assert!(catalogue.by_name.keys().chain(&catalogue.hidden).all(|listed| name(listed) == Some(listed)));
        for (image, patterns) in &catalogue.skipped {
            assert!(catalogue.by_name.contains_key(image), "{image} is spelt in another way");
            for pattern in patterns.split(',') {
                let mut findings = Vec::new();
                assert!(PathPattern::parse(pattern, &mut findings).is_some(), "{image}: {findings:?}");
                assert!(findings.is_empty(), "{image}: {findings:?}");
            }
        }
        let skip_lines = include_str!("image_defaults.txt").lines().filter_map(|line| line.strip_prefix("skip "));
        let written: usize = skip_lines.map(|line| line.split(' ').count() - 1).sum();
        assert_eq!(catalogue.skipped.len(), written, "a name stands twice");
    }

    #[test]
    fn what_applications_ask_a_log_in_for_themselves_is_known() {
        let skipped = |image| skipped(image).map(Iterator::collect::<Vec<_>>);
        assert_eq!(skipped("ghcr.io/immich-app/immich-server:v2"), Some(vec!["/api"]));
        assert_eq!(skipped("linuxserver/tautulli"), Some(vec!["/api", "/newsletter", "/image"]));
        assert_eq!(skipped("jellyfin/jellyfin"), Some(vec!["/"]), "all of it");
        for image in ["n8nio/n8n", "immich-server", "example/immich-server", "sha256:0123456789abcdef", ""] {
            assert_eq!(skipped(image), None, "{image}");
        }
    }

    #[test]
    fn large_files_are_skipped_below_a_repository_only() {
        let pattern = skipped("gitea/gitea").into_iter().flatten().find(|pattern| pattern.contains("lfs"));
        let pattern = PathPattern::parse(pattern.expect("for large files"), &mut Vec::new()).expect("a pattern");
        for path in ["/ann/notes.git/info/lfs", "/ann/notes.git/info/lfs/objects/batch"] {
            assert!(pattern.matches(path), "{path}");
        }
        for path in ["/info/lfs", "/ann/notes", "/ann/notes/settings/info/lfs", "/ann/notes.git/info/lfsx"] {
            assert!(!pattern.matches(path), "{path}");
        }
    }
}
