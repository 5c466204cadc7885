//! How a route appears on the start page.

use std::collections::BTreeMap;

use crate::label::VALUE_LEN_MAX;

/// What labels say about a route for people who look for an application. Only the start page asks for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tile {
    /// `page.name`.
    pub name: Option<Box<str>>,
    /// `page.icon`: an emoji, or up to three characters.
    pub icon: Option<Box<str>>,
    /// `page.group`.
    pub group: Option<Box<str>>,
    /// `page.description`.
    pub description: Option<Box<str>>,
    /// `page.order`: the smallest stands first.
    pub order: Option<i64>,
    /// `page.hide`.
    pub hidden: bool,
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
        self.icon = self.icon.take().or_else(|| said("icon").filter(|icon| is_icon(icon)));
        self.order = self.order.or_else(|| said("weight")?.parse().ok());
    }
}

/// Whether a text is an emoji, which may be of several characters, or a few letters.
pub(crate) fn is_icon(text: &str) -> bool {
    const CHARS_MAX: usize = 10;
    const ASCII_MAX: usize = 3;
    let is_shown = !text.is_empty() && !text.contains(|char: char| char.is_control() || char.is_whitespace());
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
