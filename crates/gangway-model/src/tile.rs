//! How a route appears on the start page.

use std::collections::BTreeMap;

use crate::label::VALUE_LEN_MAX;

/// What labels say about a route for people who look for an application. Only the start page asks for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tile {
    /// `page.name`, or what the image is called.
    pub name: Option<Box<str>>,
    /// `page.icon`.
    pub icon: Option<TileIcon>,
    /// `page.group`.
    pub group: Option<Box<str>>,
    /// `page.description`.
    pub description: Option<Box<str>>,
    /// `page.order`: the smallest stands first.
    pub order: Option<i64>,
    /// `page.hide`.
    pub hidden: bool,
}

/// What stands before the name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TileIcon {
    /// An emoji, or up to three characters.
    Text(Box<str>),
    /// The path of a picture, which the application itself gives. It begins with one slash, and is in ASCII.
    Path(Box<str>),
}

impl Tile {
    /// Takes what it does not say itself from the labels by which the start page Homepage knows a container. Its icons are
    /// names of files elsewhere, and count only where they are an emoji.
    pub(crate) fn or_of_homepage(&mut self, labels: &BTreeMap<Box<str>, Box<str>>) {
        let said = |key: &str| {
            let text = labels.get(format!("homepage.{key}").as_str())?.trim();
            (!text.is_empty() && text.len() <= VALUE_LEN_MAX).then(|| Box::<str>::from(text))
        };
        let take = |own: &mut Option<Box<str>>, key: &str| {
            if own.is_none() {
                *own = said(key);
            }
        };
        take(&mut self.name, "name");
        take(&mut self.group, "group");
        take(&mut self.description, "description");
        self.icon = self.icon.take().or_else(|| TileIcon::text(&said("icon")?));
        self.order = self.order.or_else(|| said("weight")?.parse().ok());
    }

    /// Takes the name of the application where no label says one. Where its container has several routes, their names tell
    /// them apart.
    pub(crate) fn or_of_app(&mut self, app: Option<&str>, route: &str, is_only: bool) {
        if let (None, Some(app)) = (&self.name, app) {
            self.name = Some(if is_only { app.into() } else { format!("{app} ({route})").into() });
        }
    }
}

impl TileIcon {
    /// What a label says; none if that is neither.
    pub(crate) fn parse(said: &str) -> Option<Self> {
        Self::text(said).or_else(|| is_path(said).then(|| Self::Path(said.into())))
    }

    fn text(said: &str) -> Option<Self> {
        is_icon(said).then(|| Self::Text(said.into()))
    }
}

/// Whether a text is a path on the host of a route, and can be nothing else.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>');
    text.starts_with('/') && !text.starts_with("//") && text.len() <= VALUE_LEN_MAX && text.bytes().all(is_plain)
}

/// Whether a text is an emoji, which may be of several characters, or a few letters.
fn is_icon(text: &str) -> bool {
    const CHARS_MAX: usize = 10;
    const ASCII_MAX: usize = 3;
    let is_shown = !text.is_empty()
        && !text.starts_with('/')
        && !text.contains(|char: char| char.is_control() || char.is_whitespace());
    is_shown && text.chars().count() <= CHARS_MAX && text.chars().filter(char::is_ascii).count() <= ASCII_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icon_is_an_emoji_or_a_few_letters() {
        for icon in ["📷", "👩‍👩‍👧‍👦", "🇯🇵", "NC", "A+", "写真"] {
            assert!(is_icon(icon), "{icon}");
        }
        for none in
            ["", "mdi-home", "nextcloud.png", "https://a.example/i.png", "a b", "\u{7}", "📷📷📷📷📷📷📷📷📷📷📷"]
        {
            assert!(!is_icon(none), "{none}");
        }
    }

    #[test]
    fn an_icon_may_be_a_path_of_the_application() {
        let path = |text: &str| TileIcon::parse(text) == Some(TileIcon::Path(text.into()));
        assert!(path("/static/icon.png") && path("/a?size=32"));
        for none in [
            "//elsewhere.example/i.png",
            "/a b",
            "/a#b",
            "/\\elsewhere",
            "/é",
            "static/icon.png",
            "https://a.example/i.png",
        ] {
            assert_eq!(TileIcon::parse(none), None, "{none}");
        }
    }

    #[test]
    fn the_name_of_the_application_counts_where_nothing_is_said() {
        let mut tile = Tile::default();
        tile.or_of_app(None, "web", true);
        assert_eq!(tile.name, None);
        tile.or_of_app(Some("Gitea"), "web", false);
        assert_eq!(tile.name.as_deref(), Some("Gitea (web)"));
        tile.or_of_app(Some("Grafana"), "web", true);
        assert_eq!(tile.name.as_deref(), Some("Gitea (web)"), "what is said stays");
    }

    #[test]
    fn labels_of_homepage_fill_what_ours_leave_open() {
        let labels = [
            ("homepage.name", "Photos "),
            ("homepage.group", "Media"),
            ("homepage.icon", "immich.png"),
            ("homepage.weight", "7"),
            ("homepage.description", ""),
            ("homepage.href", "https://evil.example"),
        ];
        let labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut tile = Tile { group: Some("Pictures".into()), ..Tile::default() };
        tile.or_of_homepage(&labels);
        let expected =
            Tile { name: Some("Photos".into()), group: Some("Pictures".into()), order: Some(7), ..Tile::default() };
        assert_eq!(tile, expected);
    }
}
