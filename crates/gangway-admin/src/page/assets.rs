//! The style sheet, the script and the icon, each under a name that changes with its content.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

/// A file that the views refer to.
pub(super) struct Asset {
    /// The path, relative to the views.
    pub(super) path: String,
    /// The content type.
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

/// The files, each with its extension.
const FILES: [(&str, &str, &str); 3] = [
    ("css", "text/css; charset=utf-8", include_str!("page.css")),
    ("js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("svg", "image/svg+xml", include_str!("icon.svg")),
];

/// All assets.
pub(super) fn all() -> &'static [Asset] {
    static ALL: OnceLock<Vec<Asset>> = OnceLock::new();
    ALL.get_or_init(|| {
        let asset = |(extension, kind, text): (&str, &'static str, &'static str)| {
            // No secret hangs on it: it only tells one version from another.
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            Asset { path: format!("assets/page-{:016x}.{extension}", hasher.finish()), kind, text }
        };
        FILES.into_iter().map(asset).collect()
    })
}

/// The path of the asset with this extension.
pub(super) fn path(extension: &str) -> &'static str {
    all().iter().find(|asset| asset.path.ends_with(extension)).map_or("", |asset| &asset.path)
}
