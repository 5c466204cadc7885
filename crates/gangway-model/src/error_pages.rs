//! Pages that clients get in place of errors.

use std::fmt::{self, Display, Formatter};

/// The folder on the volume that pages lie in.
pub const PAGES_FOLDER: &str = "errors";

/// The part of a text that stands for the status.
pub(crate) const STATUS: &str = "{status}";

/// The statuses that may get a page.
pub(crate) const FIRST: u16 = 400;
pub(crate) const LAST: u16 = 599;

/// `errors`: rules in their order. The first one with a status counts for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ErrorPages {
    /// Never empty.
    pub rules: Vec<ErrorRule>,
}

/// The page for some statuses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ErrorRule {
    /// Each range with both of its ends.
    pub statuses: Vec<(u16, u16)>,
    /// Where the page is from.
    pub source: PageSource,
}

/// Where a page is from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PageSource {
    /// A file, by its path below [`PAGES_FOLDER`] on the volume.
    File(StatusText),
    /// A folder of pages, by its path below [`PAGES_FOLDER`] on the volume; empty for that folder itself.
    Folder(StatusText),
    /// A service that is asked.
    Service {
        /// As written, without the target.
        name: Box<str>,
        /// What is asked for.
        target: StatusText,
    },
    /// A service whose answer every client gets, whatever it is: as Traefik does.
    Answer {
        /// As written.
        name: Box<str>,
        /// What is asked for.
        target: StatusText,
        /// The first one of a status says which one clients get.
        rewrites: Box<[StatusRewrite]>,
    },
}

/// Another status in place of some.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StatusRewrite {
    /// The range of statuses, with both of its ends.
    pub from: (u16, u16),
    /// The one in their place.
    pub to: u16,
}

/// What a file on the volume is as a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PageKind {
    /// For people.
    Html,
    /// For people.
    Xhtml,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A text in which `{status}` stands for a status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusText(Box<str>);

impl PageKind {
    /// The extensions of pages, in the order in which a folder is looked at.
    pub const EXTENSIONS: [(&str, Self); 5] =
        [("html", Self::Html), ("htm", Self::Html), ("xhtml", Self::Xhtml), ("txt", Self::Text), ("json", Self::Json)];

    /// The kind of a file, by the extension of its name; none for what is no page.
    pub fn of_file(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Self::EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, kind)| *kind)
    }
}

impl ErrorPages {
    /// The rule for a status, with its position.
    pub fn rule(&self, status: u16) -> Option<(usize, &ErrorRule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.is_for(status))
    }
}

impl StatusRewrite {
    /// The status that clients get in place of this one.
    pub fn apply(rewrites: &[Self], status: u16) -> u16 {
        let rewrite = rewrites.iter().find(|rewrite| (rewrite.from.0..=rewrite.from.1).contains(&status));
        rewrite.map_or(status, |rewrite| rewrite.to)
    }
}

impl ErrorRule {
    fn is_for(&self, status: u16) -> bool {
        self.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

impl StatusText {
    /// A text with or without `{status}`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text for a status.
    pub fn of(&self, status: u16) -> String {
        self.0.replace(STATUS, &status.to_string())
    }

    /// The text for a status that clients get in place of another one, with `{url}` as the escaped URL of the request.
    pub fn of_answer(&self, status: u16, original: u16, url: &str) -> String {
        // The URL comes last: what a client writes is no placeholder.
        self.of(status).replace("{originalStatus}", &original.to_string()).replace("{url}", url)
    }
}

impl Display for StatusText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As it may be written in a label.
impl Display for ErrorRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.statuses.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        write!(f, " -> ")?;
        match &self.source {
            PageSource::File(path) => write!(f, "{PAGES_FOLDER}/{path}"),
            PageSource::Folder(path) if path.0.is_empty() => write!(f, "{PAGES_FOLDER}/"),
            PageSource::Folder(path) => write!(f, "{PAGES_FOLDER}/{path}/"),
            PageSource::Service { name, target } => write!(f, "{name}{target}"),
            PageSource::Answer { name, target, rewrites } => {
                write!(f, "{name}{target}")?;
                rewrites.iter().try_for_each(|StatusRewrite { from: (first, last), to }| {
                    write!(f, ", {first}-{last} becomes {to}")
                })
            }
        }
    }
}

impl Display for ErrorPages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self.rules.iter().map(ErrorRule::to_string).collect();
        f.write_str(&rules.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_with_a_status_counts() {
        let rule = |statuses: &[(u16, u16)], file: &str| ErrorRule {
            statuses: statuses.to_vec(),
            source: PageSource::File(StatusText::new(file)),
        };
        let pages = ErrorPages { rules: vec![rule(&[(404, 404), (500, 502)], "a"), rule(&[(400, 599)], "b")] };
        for (status, position) in
            [(399, None), (400, Some(1)), (404, Some(0)), (502, Some(0)), (503, Some(1)), (600, None)]
        {
            assert_eq!(pages.rule(status).map(|(position, _)| position), position, "{status}");
        }
        assert_eq!(pages.to_string(), "404,500-502 -> errors/a; 400-599 -> errors/b");
        let target = StatusText::new("/{status}/{originalStatus}?u={url}");
        assert_eq!(target.of_answer(200, 503, "http%3A%2F%2Fa%2F{status}"), "/200/503?u=http%3A%2F%2Fa%2F{status}");
        let rewrites = [((500, 501), 200), ((500, 599), 404)].map(|(from, to)| StatusRewrite { from, to });
        assert_eq!([500, 502, 404].map(|status| StatusRewrite::apply(&rewrites, status)), [200, 404, 404]);
        assert_eq!(StatusText::new("/{status}/x?{status}").of(404), "/404/x?404");
    }
}
