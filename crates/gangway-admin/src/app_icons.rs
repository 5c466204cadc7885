//! Icons of applications for the start page: which bytes are an icon, where a page names one, and those that are there.
//!
//! What an application sends is foreign. Its kind is read from its bytes, and it is shown under our host in a way in which
//! it can run nothing. All of it is pure: the binary asks the applications.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use gangway_model::path::without_dot_segments;
use gangway_model::{Route, TileIcon};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Bytes;

use crate::response;
use crate::rule_path::path_below;

/// The bytes of an icon. Those for browsers have a few thousand.
pub const ICON_LEN_MAX: usize = 64 * 1024;

/// Icons that are kept. With [`ICON_LEN_MAX`], this bounds their memory to 16 MiB.
pub const ICONS_MAX: usize = 256;

/// Icons that a page may name and that are tried.
const LINKS_MAX: usize = 3;

/// Links of any kind that are looked at, and the bytes of one. Pages have a few dozen.
const LINK_TAGS_MAX: usize = 100;
const LINK_TAG_LEN_MAX: usize = 4096;

/// Where icons stand below the start page.
const FOLDER: &str = "icons/";

/// An icon under this name never changes. It is for those who see the start page, and for no cache between.
const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// Nothing in a picture may run or be fetched, not even where somebody opens it by itself.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// The kinds of pictures that are taken for icons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum IconKind {
    Png,
    Ico,
    Svg,
}

/// An icon of an application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppIcon {
    kind: IconKind,
    bytes: Bytes,
    /// Tells one icon from another. No secret hangs on it.
    name: Box<str>,
}

/// The icons of routes, by their ids. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AppIcons(Arc<BTreeMap<Box<str>, AppIcon>>);

/// What an icon of a route is looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WantedIcon {
    /// The one at this path.
    At(Box<str>),
    /// The one that the application names on its page at this path, which ends with a slash, or has at the usual place below.
    Below(Box<str>),
}

impl WantedIcon {
    /// What is to be looked for, if anything: nothing for a route that the start page does not show or that has an icon by a
    /// label, and nothing where a label that protects could not be applied.
    pub fn of(route: &Route) -> Option<Self> {
        if route.closed || route.tile.hidden || route.upstream.internal.is_some() {
            return None;
        }
        match &route.tile.icon {
            Some(TileIcon::Text(_)) => None,
            Some(TileIcon::Path(path)) => Some(Self::At(path.clone())),
            None => Some(Self::Below(match path_below(&route.rule).map(|path| path.trim_end_matches('/')) {
                None | Some("") => "/".into(),
                Some(path) => format!("/{path}/").into(),
            })),
        }
    }
}

impl AppIcon {
    /// An icon of these bytes; none if they are no picture of a kind that is taken, or too many.
    pub fn read(bytes: Bytes, content_type: Option<&str>) -> Option<Self> {
        let kind = IconKind::of(&bytes, content_type).filter(|_| bytes.len() <= ICON_LEN_MAX)?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Some(Self { kind, name: format!("{:016x}", hasher.finish()).into(), bytes })
    }

    /// The path of the icon below the start page, without the first slash.
    pub(crate) fn path(&self) -> String {
        format!("{FOLDER}{}", self.name)
    }

    fn response(&self) -> Response<Bytes> {
        let kind = match self.kind {
            IconKind::Png => "image/png",
            IconKind::Ico => "image/x-icon",
            IconKind::Svg => "image/svg+xml",
        };
        let empty = response::response(StatusCode::OK, HeaderValue::from_static(kind), String::new());
        let mut response = empty.map(|_| self.bytes.clone());
        response.headers_mut().insert(CACHE_CONTROL, FOR_EVER);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
        response
    }
}

impl IconKind {
    fn of(bytes: &[u8], content_type: Option<&str>) -> Option<Self> {
        const SVG_BEGIN_MAX: usize = 1024;
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(&[0, 0, 1, 0]) {
            return Some(Self::Ico);
        }
        // An error page in HTML may hold an SVG, so the application must say that it is one.
        let is_said =
            content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("image/svg+xml"));
        let begin = &bytes[..bytes.len().min(SVG_BEGIN_MAX)];
        (is_said && begin.windows(4).any(|piece| piece == b"<svg")).then_some(Self::Svg)
    }
}

impl AppIcons {
    /// The same icons with those of one route replaced, up to [`ICONS_MAX`].
    #[must_use]
    pub fn with(&self, route: &str, icon: AppIcon) -> Self {
        let mut icons = BTreeMap::clone(&self.0);
        if icons.len() < ICONS_MAX || icons.contains_key(route) {
            icons.insert(route.into(), icon);
        }
        Self(Arc::new(icons))
    }

    /// The same icons without those of routes that `stays` does not take.
    #[must_use]
    pub fn retain(&self, stays: impl Fn(&str) -> bool) -> Self {
        if self.0.keys().all(|route| stays(route)) {
            return self.clone();
        }
        Self(Arc::new(self.0.iter().filter(|(route, _)| stays(route)).map(|(a, b)| (a.clone(), b.clone())).collect()))
    }

    /// The icon of a route.
    pub fn of(&self, route: &str) -> Option<&AppIcon> {
        self.0.get(route)
    }

    /// The answer with the icon at a path.
    pub(crate) fn at(&self, path: &str) -> Option<Response<Bytes>> {
        let name = path.strip_prefix('/')?.strip_prefix(FOLDER)?;
        self.0.values().find(|icon| *icon.name == *name).map(AppIcon::response)
    }
}

/// The paths of the icons that a page names, the best first: a few, and of its own host alone. `html` may be cut off, and
/// `at` is the path of the page.
pub fn icon_links(html: &str, at: &str, host: &str) -> Vec<String> {
    let is_link = |tag: &&str| {
        let name = tag.as_bytes().get(..5);
        name.is_some_and(|name| name[..4].eq_ignore_ascii_case(b"link") && name[4].is_ascii_whitespace())
    };
    let tags = html.match_indices('<').map(|(begin, _)| &html[begin + 1..]).filter(is_link).take(LINK_TAGS_MAX);
    // One that has no end is cut off, or hostile.
    let whole = tags.filter_map(|tag| Some(&tag[..tag.bytes().take(LINK_TAG_LEN_MAX).position(|byte| byte == b'>')?]));
    let icon = |tag: &str| {
        let rel = attribute(tag, "rel")?.to_ascii_lowercase();
        let is_icon = rel.split_ascii_whitespace().any(|word| word == "icon" || word == "apple-touch-icon");
        let target = attribute(tag, "href").filter(|_| is_icon).and_then(|href| same_host(&href, at, host))?;
        Some((rank(tag), target))
    };
    let mut links: Vec<(u32, String)> = whole.filter_map(icon).collect();
    // The order of the page decides between equals.
    links.sort_by_key(|(rank, _)| *rank);
    links.dedup();
    links.into_iter().map(|(_, target)| target).take(LINKS_MAX).collect()
}

/// Which of several icons is preferred: one of any size, then one that is large enough for a tile and not much larger.
fn rank(tag: &str) -> u32 {
    const WANTED: u32 = 96;
    let sizes = attribute(tag, "sizes").unwrap_or_default().to_ascii_lowercase();
    let is_svg = attribute(tag, "type").is_some_and(|kind| kind.contains("svg"));
    if sizes == "any" || is_svg {
        return 0;
    }
    let size = sizes.split('x').next().and_then(|size| size.trim().parse::<u32>().ok());
    size.map_or(WANTED, |size| size.abs_diff(WANTED).saturating_add(1))
}

/// The value of an attribute of a tag, with the one character reference that stands in URLs.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    while let Some(at) = rest.find('=') {
        let (before, after) = (&rest[..at], rest[at + 1..].trim_start());
        let key = before.trim_end().rsplit(|char: char| char.is_ascii_whitespace()).next().unwrap_or_default();
        let (value, behind) = match after.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => after[1..].split_once(char::from(*quote))?,
            _ => after.split_once(|char: char| char.is_ascii_whitespace()).unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.trim().replace("&amp;", "&"));
        }
        rest = behind;
    }
    None
}

/// The path with its query to which a reference leads from the page at `at`. None if it leads to another host, or to what
/// cannot be asked for.
pub fn same_host(reference: &str, at: &str, host: &str) -> Option<String> {
    const LEN_MAX: usize = 1024;
    let reference = reference.split('#').next().unwrap_or_default();
    if reference.is_empty() || reference.len() > LEN_MAX || !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let lower = reference.to_ascii_lowercase();
    let authority_at = ["https://", "http://", "//"].into_iter().find(|begin| lower.starts_with(begin)).map(str::len);
    let path = if let Some(begin) = authority_at {
        let rest = &reference[begin..];
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // The port is the public one, which the application may have got wrong.
        let named = authority.rsplit_once(':').map_or(authority, |(named, _)| named);
        if !named.eq_ignore_ascii_case(host) {
            return None;
        }
        path.to_owned()
    } else if reference.starts_with('/') {
        reference.to_owned()
    } else if reference.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        // `data:` and the like.
        return None;
    } else if reference.starts_with('?') {
        format!("{}{reference}", at.split('?').next().unwrap_or_default())
    } else {
        let folder = at.split('?').next().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
        format!("{folder}/{reference}")
    };
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    if path.starts_with("//") || path.contains('\\') {
        return None;
    }
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    Some(format!("{}{query}", without_dot_segments(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";

    fn icon(bytes: &'static [u8], kind: Option<&str>) -> Option<AppIcon> {
        AppIcon::read(Bytes::from_static(bytes), kind)
    }

    #[test]
    fn an_icon_is_known_by_its_bytes_and_an_svg_by_its_type_too() {
        let svg = b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>";
        assert!(icon(PNG, Some("text/html")).is_some() && icon(&[0, 0, 1, 0, 1, 0], None).is_some());
        assert!(icon(svg, Some("image/svg+xml; charset=utf-8")).is_some());
        for (bytes, kind) in [(&svg[..], "text/html"), (b"<html></html>", "image/png"), (b"", "image/svg+xml")] {
            assert!(icon(bytes, Some(kind)).is_none(), "{kind}");
        }
        let large = [PNG, &vec![0; ICON_LEN_MAX]].concat();
        assert!(AppIcon::read(large.into(), Some("image/png")).is_none());
    }

    #[test]
    fn an_icon_is_shown_so_that_nothing_in_it_runs() {
        let svg = icon(b"<svg><script>alert(1)</script></svg>", Some("image/svg+xml")).expect("an icon");
        let icons = AppIcons::default().with("a/web", svg.clone());
        let answer = icons.at(&format!("/{}", svg.path())).expect("it is there");
        let field = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(field("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(field("x-content-type-options"), "nosniff");
        assert_eq!(field("content-type"), "image/svg+xml");
        assert!(field("cache-control").starts_with("private"));
        for path in ["/icons/", "/icons/0", "/icons", "/", "icons/x"] {
            assert!(icons.at(path).is_none(), "{path}");
        }
        assert!(icons.retain(|route| route == "b/web").of("a/web").is_none());
        assert!(icons.retain(|route| route == "a/web").of("a/web").is_some());
    }

    #[test]
    fn icons_are_bounded_in_number_and_those_that_are_there_can_change() {
        let one = icon(PNG, None).expect("an icon");
        let mut icons = AppIcons::default();
        for at in 0..=ICONS_MAX {
            icons = icons.with(&at.to_string(), one.clone());
        }
        assert!(icons.of(&(ICONS_MAX - 1).to_string()).is_some() && icons.of(&ICONS_MAX.to_string()).is_none());
        let other = icon(&[0, 0, 1, 0], None).expect("an icon");
        assert_eq!(icons.with("0", other.clone()).of("0"), Some(&other));
    }

    #[test]
    fn a_page_names_icons_of_its_own_host_alone_and_the_best_first() {
        let html = "<html><HEAD><link rel=stylesheet href=/a.css>\
            <link rel='shortcut icon' href='favicon-16.png' sizes=16x16>\
            <link href=\"/static/i.png?a=1&amp;b=2\" rel=\"icon\" sizes=\"96x96\">\
            <link rel=\"icon\" href=\"https://cdn.example/i.png\">\
            <link rel=icon href=data:image/png;base64,AAAA>\
            <LINK REL=\"icon\" TYPE=\"image/svg+xml\" HREF=\"../i.svg\"><link rel=icon href=\"/cut";
        let links = icon_links(html, "/web/index.html", "app.test");
        assert_eq!(links, ["/i.svg", "/static/i.png?a=1&b=2", "/web/favicon-16.png"]);
        let hidden = format!("{}<link rel=icon href=a.png>", "<link rel=preload>".repeat(LINK_TAGS_MAX));
        let endless = format!("<link rel=icon href=a.png {}>", "x".repeat(LINK_TAG_LEN_MAX));
        assert_eq!([&hidden, &endless].map(|html| icon_links(html, "/", "app.test").len()), [0, 0]);
        let many = "<link rel=icon href=a.png>".repeat(1000);
        assert!(icon_links(&many, "/", "app.test").len() <= LINKS_MAX);
        for odd in [
            "<",
            "<link ",
            "<link rel=icon>",
            "<link rel=icon href>",
            "<link rel=icon href=''>",
            "<link é",
            "<lin\u{e9}k ",
        ] {
            assert!(icon_links(odd, "/", "app.test").is_empty(), "{odd}");
        }
    }

    #[test]
    fn a_reference_leads_to_the_same_host_or_nowhere() {
        let lead = |reference| same_host(reference, "/web/index.html?x=1", "app.test");
        for (reference, path) in [
            ("/login", "/login"),
            ("login/", "/web/login/"),
            ("./", "/web/"),
            ("..", "/"),
            ("../../../a", "/a"),
            ("?y", "/web/index.html?y"),
            ("https://APP.test:8443/a?b#c", "/a?b"),
            ("//app.test", "/"),
            ("http://app.test?a", "/?a"),
        ] {
            assert_eq!(lead(reference).as_deref(), Some(path), "{reference}");
        }
        for none in [
            "https://elsewhere.test/",
            "//elsewhere.test/a",
            "https://app.test.evil/",
            "https://u@app.test/",
            "data:x",
            "javascript:a",
            "/\\evil",
            "https://app.test//evil",
            "",
            "#a",
            "/a b",
            "/é",
        ] {
            assert_eq!(lead(none), None, "{none}");
        }
    }
}
