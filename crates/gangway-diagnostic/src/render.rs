//! A diagnostic as text, the same everywhere.
//!
//! Text that the user wrote comes out on one line and without a character that could command a terminal.

use std::fmt::{self, Display, Formatter};

use crate::diagnostic::Diagnostic;
use crate::excerpt::excerpt;
use crate::printable::printable;
use crate::span::Span;

/// A line of a file, for [`Diagnostic::in_source`].
#[derive(Clone, Copy, Debug)]
pub struct SourceLine<'t> {
    /// 1-based.
    pub number: u32,
    /// The line without its end. Nothing is shown of an empty one.
    pub text: &'t str,
    /// The byte range of the line under the caret.
    pub span: Span,
}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.fmt_head(f)?;
        f.write_str("  |\n")?;
        if !self.text.is_empty() {
            fmt_excerpt(f, ["  | ", "  | "], &self.text, self.span, &self.note)?;
            f.write_str("  |\n")?;
        }
        self.fmt_remedy(f)
    }
}

impl Diagnostic {
    /// The same text with a line of the file above the caret, for a reader who has the file at hand.
    ///
    /// `text` of the diagnostic follows the line where it is not empty: it holds a value that the file does not
    /// show, such as one that came from variables.
    pub fn in_source<'d>(&'d self, line: SourceLine<'d>) -> impl Display + 'd {
        InSource { diagnostic: self, line }
    }

    fn fmt_head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}[{}]: {}", self.severity, self.code, printable(&self.message))?;
        writeln!(f, "  in {}", self.place)
    }

    /// The last lines, without an end of the last one.
    fn fmt_remedy(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.help.is_empty() {
            writeln!(f, "  help: {}", printable(&self.help))?;
        }
        write!(f, "  effect: {}", printable(&self.effect))
    }
}

struct InSource<'d> {
    diagnostic: &'d Diagnostic,
    line: SourceLine<'d>,
}

impl Display for InSource<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { diagnostic, line } = self;
        let number = line.number.to_string();
        let gutter = " ".repeat(number.len());
        let shows_value = !diagnostic.text.is_empty();
        diagnostic.fmt_head(f)?;
        writeln!(f, "  {gutter} |")?;
        if !line.text.is_empty() {
            let note = if shows_value { "" } else { &diagnostic.note };
            let indents = [&*format!("  {number} | "), &*format!("  {gutter} | ")];
            fmt_excerpt(f, indents, line.text, line.span, note)?;
        }
        if shows_value {
            let indents = [&*format!("  {gutter} = "), &*format!("  {gutter}   ")];
            fmt_excerpt(f, indents, &diagnostic.text, diagnostic.span, &diagnostic.note)?;
        }
        writeln!(f, "  {gutter} |")?;
        diagnostic.fmt_remedy(f)
    }
}

/// A line of text, and the carets under it with the note. `indents` begin the two lines.
fn fmt_excerpt(f: &mut Formatter<'_>, indents: [&str; 2], text: &str, span: Span, note: &str) -> fmt::Result {
    let (line, carets) = excerpt(text, span);
    writeln!(f, "{}{line}", indents[0])?;
    writeln!(f, "{}{}", indents[1], format!("{carets} {}", printable(note)).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::place::{FilePosition, Place};
    use crate::printable::is_formatting;

    fn diagnostic() -> Diagnostic {
        let place = Place::Container {
            name: "shop-web-1".into(),
            project: None,
            label: Some("gangway.routes.web.rule".into()),
        };
        Diagnostic::error(Code(104), place, "unknown matcher `Hosts`")
            .with_caret("PathPrefix(`/shop`) && Hosts(`shop.example.com`)", 23..28, "not a matcher")
            .with_help("did you mean `Host`?")
            .with_effect("route `web` is not served; other routes are unaffected")
    }

    #[test]
    fn it_points_at_what_is_meant() {
        assert_eq!(
            diagnostic().to_string(),
            "error[G104]: unknown matcher `Hosts`
  in container `shop-web-1`, label `gangway.routes.web.rule`
  |
  | PathPrefix(`/shop`) && Hosts(`shop.example.com`)
  |                        ^^^^^ not a matcher
  |
  help: did you mean `Host`?
  effect: route `web` is not served; other routes are unaffected"
        );
    }

    #[test]
    fn a_line_of_the_file_has_its_number() {
        let at = FilePosition { file: "compose.yaml".into(), line: 12, column: 22 };
        let place = Place::ComposeFile { at, service: Some("web".into()), label: Some("gangway.rule".into()) };
        let line = SourceLine { number: 12, text: "      gangway.rule: ${RULE}", span: Span { start: 20, end: 27 } };
        let diagnostic = Diagnostic { place, ..diagnostic() };
        assert_eq!(
            diagnostic.in_source(line).to_string(),
            "error[G104]: unknown matcher `Hosts`
  in compose.yaml:12:22, service `web`, label `gangway.rule`
     |
  12 |       gangway.rule: ${RULE}
     |                     ^^^^^^^
     = PathPrefix(`/shop`) && Hosts(`shop.example.com`)
                              ^^^^^ not a matcher
     |
  help: did you mean `Host`?
  effect: route `web` is not served; other routes are unaffected"
        );
    }

    #[test]
    fn no_label_commands_a_terminal() {
        let hostile = "a\u{1b}[2J\u{202e}b\nc\u{9b}d";
        let shown = Diagnostic { text: hostile.into(), message: hostile.into(), ..diagnostic() }.to_string();
        assert!(shown.chars().all(|char| char == '\n' || !(char.is_control() || is_formatting(char))), "{shown:?}");
    }
}
