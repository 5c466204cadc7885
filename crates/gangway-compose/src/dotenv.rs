//! `.env`, `env_file` and `label_file`: lines of `KEY=value`.
//!
//! Quotes, comments, `export` and variables are read as compose reads them. Each value keeps its place in the file.

use std::ops::Range;

use crate::environment::Environment;
use crate::interpolation::interpolate;
use crate::source_map::FileId;
use crate::spanned_text::SpannedText;

/// A line that sets or names a variable.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) key: SpannedText,
    /// None for a name alone, where the environment does not set its variable.
    pub(crate) value: Option<SpannedText>,
}

/// The assignments of a file, and the ranges of lines that are no assignments.
pub(crate) fn parse(file: FileId, text: &str, environment: &Environment) -> (Vec<Assignment>, Vec<Range<usize>>) {
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    let mut known = environment.clone();
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let (start, written) = trim(text, at..end);
        at = end + 1;
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let (start, written) = match written.strip_prefix("export ") {
            Some(rest) => (start + "export ".len() + (rest.len() - rest.trim_start().len()), rest.trim_start()),
            None => (start, written),
        };
        let separator = written.find(['=', ':']);
        let key = written[..separator.unwrap_or(written.len())].trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            bad.push(start..start + written.len());
            continue;
        }
        let key_text = SpannedText::copied(file, text, start..start + key.len());
        let Some(separator) = separator else {
            let value = known.get(key).map(|value| SpannedText::generated(file, value, start..start + key.len()));
            lines.push(Assignment { key: key_text, value });
            continue;
        };
        let Some((value, behind)) = value(file, text, start + separator + 1, end, &known) else {
            bad.push(start..start + written.len());
            continue;
        };
        at = at.max(behind);
        // The process's own environment wins over the file, and a later line over an earlier one.
        if environment.get(key).is_none() {
            known.set(key, value.as_str());
        }
        lines.push(Assignment { key: key_text, value: Some(value) });
    }
    (lines, bad)
}

/// The value that begins at `start`, and the byte at which the next line begins. None for an open quote.
fn value(file: FileId, text: &str, start: usize, line_end: usize, known: &Environment) -> Option<(SpannedText, usize)> {
    let (start, written) = trim(text, start..line_end);
    let next_line = |end: usize| text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
    if written.starts_with('\'') {
        let end = start + 1 + text[start + 1..].find('\'')?;
        return Some((SpannedText::copied(file, text, start + 1..end), next_line(end)));
    }
    if written.starts_with('"') {
        let (value, end) = double_quoted(file, text, start)?;
        return Some((interpolate(&value, known, &mut Vec::new()), next_line(end)));
    }
    let comment = if written.starts_with('#') { Some(0) } else { written.find(" #").or_else(|| written.find("\t#")) };
    let len = written[..comment.unwrap_or(written.len())].trim_end().len();
    let value = SpannedText::copied(file, text, start..start + len);
    Some((interpolate(&value, known, &mut Vec::new()), line_end + 1))
}

/// The text of a double-quoted value with its escapes resolved, and the byte of the closing quote.
fn double_quoted(file: FileId, text: &str, start: usize) -> Option<(SpannedText, usize)> {
    let mut value = SpannedText::begun(file, start..start);
    let mut at = start + 1;
    loop {
        let stop = at + text[at..].find(['"', '\\'])?;
        if stop > at {
            value.push_copied(&text[at..stop], at);
        }
        if text[stop..].starts_with('"') {
            return Some((value, stop));
        }
        let escape = text[stop + 1..].chars().next()?;
        let written = stop..stop + 1 + escape.len_utf8();
        match escape {
            'n' => value.push_syntax("\n", written.clone()),
            'r' => value.push_syntax("\r", written.clone()),
            't' => value.push_syntax("\t", written.clone()),
            // Interpolation follows, and takes two dollar signs for one.
            '$' => value.push_syntax("$$", written.clone()),
            other => value.push_syntax(other.encode_utf8(&mut [0; 4]), written.clone()),
        }
        at = written.end;
    }
}

/// The part of a text without blanks at both ends, and the byte at which it begins.
fn trim(text: &str, range: Range<usize>) -> (usize, &str) {
    let part = &text[range.clone()];
    (range.start + (part.len() - part.trim_start().len()), part.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::SourceMap;

    fn read(text: &str) -> Vec<(String, Option<String>)> {
        let mut environment = Environment::default();
        environment.set_default("HOME", "/root");
        let file = SourceMap::default().add(".env".into(), text.into());
        let (lines, bad) = parse(file, text, &environment);
        assert!(bad.is_empty(), "{text}");
        let text = |text: SpannedText| text.as_str().to_owned();
        lines.into_iter().map(|line| (text(line.key), line.value.map(text))).collect()
    }

    fn only(text: &str) -> String {
        read(text).remove(0).1.expect("a value")
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        for (text, expected) in [
            ("A=b", "b"),
            ("A = b ", "b"),
            ("export A=b", "b"),
            ("A=b # c", "b"),
            ("A=b#c", "b#c"),
            ("A='b # $HOME'", "b # $HOME"),
            ("A=\"b\\tc\" # d", "b\tc"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=$HOME/x", "/root/x"),
            ("A=\"${HOME}/x\"", "/root/x"),
            ("A=\"\\$HOME\"", "$HOME"),
            ("A=", ""),
            ("A=http://x:1/?a=b", "http://x:1/?a=b"),
            ("A: b", "b"),
        ] {
            assert_eq!(only(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_alone_takes_the_value_of_the_environment() {
        assert_eq!(read("HOME\nNONE\n"), [("HOME".into(), Some("/root".into())), ("NONE".into(), None)]);
    }

    #[test]
    fn lines_may_use_those_before_them() {
        assert_eq!(read("A=x\n\n# c\nB=$A.org\r\n")[1], ("B".into(), Some("x.org".into())));
    }

    #[test]
    fn a_line_without_a_key_and_an_open_quote_are_reported() {
        let file = SourceMap::default().add(".env".into(), String::new());
        for text in ["=x", "a b=c", "A='x", "A=\"x\\"] {
            assert_eq!(parse(file, text, &Environment::default()).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn a_value_keeps_its_place() {
        let text = "# c\ngangway.host = shop.example.org\n";
        let file = SourceMap::default().add("web.labels".into(), text.into());
        let lines = parse(file, text, &Environment::default()).0;
        let span = lines[0].value.as_ref().expect("a value").locate(5..12).span;
        assert_eq!(&text[span.start..span.end], "example");
    }
}
