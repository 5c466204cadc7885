//! `entrypoint` and `command`: a list of words, or one line that a shell would split.

use super::value_reader::{Relevance, ValueReader};
use crate::spanned_text::SpannedText;
use crate::yaml::Node;

/// The words of a command.
pub(crate) fn command(reader: &mut ValueReader<'_, '_>, node: Option<&Node>) -> Vec<SpannedText> {
    match node.and_then(Node::text) {
        Some(line) => words(&reader.resolve(line, Relevance::GangwayOnly)),
        None => reader.texts(node, Relevance::GangwayOnly),
    }
}

/// Splits a line as a shell does, and takes off quotes.
fn words(line: &SpannedText) -> Vec<SpannedText> {
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    let text = line.as_str();
    for (at, char) in text.char_indices().chain([(text.len(), ' ')]) {
        match quote {
            Some(open) if open == char => quote = None,
            Some(_) => {}
            None if char.is_whitespace() => {
                if let Some(start) = start.take() {
                    words.push(without_quotes(line, start, at));
                }
                continue;
            }
            None if matches!(char, '"' | '\'') => quote = Some(char),
            None => {}
        }
        start.get_or_insert(at);
    }
    words
}

fn without_quotes(line: &SpannedText, start: usize, end: usize) -> SpannedText {
    let word = &line.as_str()[start..end];
    let is_quoted = |quote| word.len() > 1 && word.starts_with(quote) && word.ends_with(quote);
    if is_quoted('"') || is_quoted('\'') { line.slice(start + 1..end - 1) } else { line.slice(start..end) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::SourceMap;

    #[test]
    fn a_command_in_one_line_is_split_as_a_shell_does() {
        let text = " serve  --domain \"home lan\" --x='y z' ";
        let file = SourceMap::default().add("compose.yaml".into(), text.into());
        let words = words(&SpannedText::copied(file, text, 0..text.len()));
        let shown: Vec<_> = words.iter().map(SpannedText::as_str).collect();
        assert_eq!(shown, ["serve", "--domain", "home lan", "--x='y z'"]);
        assert_eq!((words[2].span().start, words[2].span().end), (18, 26));
    }
}
