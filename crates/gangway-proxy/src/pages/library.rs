//! The pages on the volume.

use std::collections::BTreeMap;

use bytes::Bytes;
use gangway_model::PageKind;

use crate::message::fields::Fields;
use crate::pages::audience::PageAudience;
use crate::pages::page::{PAGE_BYTES_MAX, Page};

/// The pages on the volume by their paths below its folder of pages. They are in memory, so that no request waits for a
/// disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageLibrary(BTreeMap<Box<str>, Bytes>);

impl PageLibrary {
    /// Adds a page, or replaces it.
    pub fn put(&mut self, path: &str, content: Vec<u8>) {
        self.0.insert(path.into(), content.into());
    }

    /// Removes the pages whose paths are not wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|path, _| is_wanted(path));
    }

    /// Bytes of the largest page.
    pub const PAGE_BYTES_MAX: usize = PAGE_BYTES_MAX;

    /// Whether a file with this name is a page, by its extension.
    pub fn is_page(name: &str) -> bool {
        PageKind::of_file(name).is_some()
    }

    /// Whether there is a page at this path.
    pub fn has_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Whether a folder has a page for a status.
    pub fn has_page(&self, folder: &str, status: u16) -> bool {
        let any = [PageAudience::People, PageAudience::Programs];
        any.into_iter().any(|audience| self.in_folder(folder, status, audience).is_some())
    }

    /// The page at a path, if it is for this audience.
    pub(super) fn file(&self, path: &str, audience: PageAudience) -> Option<Page> {
        let (content_type, of_audience) = described(PageKind::of_file(path)?);
        let body = self.0.get(path).filter(|_| of_audience == audience)?;
        let mut fields = Fields::default();
        fields.push(b"Content-Type", content_type.as_bytes());
        Some(Page { fields, body: body.clone(), status: None, is_whole: false, _memory: None })
    }

    /// The page of a folder for a status: its own, that of its class, or the one for all.
    pub(super) fn in_folder(&self, folder: &str, status: u16, audience: PageAudience) -> Option<Page> {
        let slash = if folder.is_empty() { "" } else { "/" };
        let stems = [status.to_string(), format!("{}xx", status / 100), "index".to_owned()];
        let paths = stems.iter().flat_map(|stem| {
            PageKind::EXTENSIONS.iter().map(move |(extension, _)| format!("{folder}{slash}{stem}.{extension}"))
        });
        paths.into_iter().find_map(|path| self.file(&path, audience))
    }
}

/// The type of a page, and who reads it.
fn described(kind: PageKind) -> (&'static str, PageAudience) {
    match kind {
        PageKind::Html => ("text/html; charset=utf-8", PageAudience::People),
        PageKind::Xhtml => ("application/xhtml+xml; charset=utf-8", PageAudience::People),
        PageKind::Text => ("text/plain; charset=utf-8", PageAudience::People),
        PageKind::Json => ("application/json", PageAudience::Programs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_page_of_the_status_of_its_class_or_for_all() {
        let pages = ["404.html", "4xx.htm", "index.txt", "shop/404.json", "shop/5xx.json", "shop/x.html", "shop/y.png"];
        let mut library = PageLibrary::default();
        pages.iter().for_each(|path| library.put(path, path.as_bytes().to_vec()));
        let (people, programs) = (PageAudience::People, PageAudience::Programs);
        for (folder, status, audience, path) in [
            ("", 404, people, Some("404.html")),
            ("", 405, people, Some("4xx.htm")),
            ("", 500, people, Some("index.txt")),
            ("", 404, programs, None),
            ("shop", 404, people, None),
            ("shop", 404, programs, Some("shop/404.json")),
            ("shop", 503, programs, Some("shop/5xx.json")),
            ("shop", 400, programs, None),
            ("none", 404, people, None),
        ] {
            let found = library.in_folder(folder, status, audience);
            assert_eq!(found.as_ref().map(|page| &*page.body), path.map(str::as_bytes), "{folder} {status}");
        }
        for (path, audience, is_there) in [
            ("shop/x.html", people, true),
            ("shop/x.html", programs, false),
            ("shop/404.json", programs, true),
            ("shop/y.png", people, false),
            ("shop/../404.html", people, false),
        ] {
            assert_eq!(library.file(path, audience).is_some(), is_there, "{path}");
        }
    }
}
