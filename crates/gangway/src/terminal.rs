//! Colours and the width of the terminal. No output relies on colour: a file or a pipe gets the same text.

use std::io::{self, IsTerminal as _};

/// Whether standard output is coloured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Paint {
    Plain,
    Ansi,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tone {
    Neutral,
    Good,
    Warning,
    Bad,
    Strong,
}

impl Paint {
    /// Colours on a terminal that has them, unless `NO_COLOR` is set.
    pub(crate) fn of_stdout() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb { Self::Ansi } else { Self::Plain }
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if self == Self::Plain || text.is_empty() => return text.to_owned(),
            Tone::Neutral => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Colours rendered diagnostics in a text: the severity and code, the message, the marked part, and the words `help`
    /// and `effect`. All other lines stay as they are.
    pub(crate) fn diagnostics(self, text: &str) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        let mut tone = Tone::Neutral;
        text.split_inclusive('\n').map(|line| self.diagnostic_line(line, &mut tone)).collect()
    }

    fn diagnostic_line(self, line: &str, tone: &mut Tone) -> String {
        for (word, of_word) in [("error[", Tone::Bad), ("warning[", Tone::Warning)] {
            if line.starts_with(word)
                && let Some((code, message)) = line.split_once("]: ")
            {
                *tone = of_word;
                let message = message.trim_end_matches('\n');
                let end = &line[code.len() + "]: ".len() + message.len()..];
                return format!(
                    "{}: {}{end}",
                    self.paint(of_word, &format!("{code}]")),
                    self.paint(Tone::Strong, message)
                );
            }
        }
        for word in ["help:", "effect:"] {
            if let Some(rest) = line.trim_start().strip_prefix(word)
                && line.starts_with("  ")
            {
                return format!(
                    "{}{}{rest}",
                    &line[..line.len() - rest.len() - word.len()],
                    self.paint(Tone::Strong, word)
                );
            }
        }
        // The line below the excerpt: a gutter, then carets and a note.
        match line.find('^') {
            Some(caret) if line[..caret].chars().all(|char| char.is_whitespace() || char == '|') => {
                let marked = line[caret..].trim_end_matches('\n');
                format!("{}{}{}", &line[..caret], self.paint(*tone, marked), &line[caret + marked.len()..])
            }
            _ => line.to_owned(),
        }
    }
}

/// The width of standard output in columns, if it is a terminal.
pub(crate) fn width_of_stdout() -> Option<usize> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout))?.ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAGNOSTIC: &str = "\
error[G104]: unknown matcher `Hosts`
  in container `shop-web-1`, label `gangway.rule`
  |
  | Hosts(`a.test`)
  | ^^^^^ not a matcher
  |
  help: did you mean `Host`?
  effect: route `web` is not served
";

    #[test]
    fn only_the_leading_parts_are_coloured() {
        let painted = Paint::Ansi.diagnostics(DIAGNOSTIC);
        for part in [
            "\u{1b}[31merror[G104]\u{1b}[0m: \u{1b}[1munknown matcher `Hosts`\u{1b}[0m\n",
            "  | \u{1b}[31m^^^^^ not a matcher\u{1b}[0m\n",
            "  \u{1b}[1mhelp:\u{1b}[0m did you mean",
        ] {
            assert!(painted.contains(part), "{painted:?} has no {part:?}");
        }
        assert_eq!(painted.lines().count(), DIAGNOSTIC.lines().count());
        let mut bare = painted;
        for code in ["31", "1", "0"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(bare, DIAGNOSTIC, "colours are all that is added");
    }

    #[test]
    fn without_colours_nothing_changes() {
        assert_eq!(Paint::Plain.diagnostics(DIAGNOSTIC), DIAGNOSTIC);
        assert_eq!(Paint::Plain.paint(Tone::Bad, "x"), "x");
    }
}
