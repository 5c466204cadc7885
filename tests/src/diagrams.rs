//! Sequence diagrams in pages, in the form of [Mermaid](https://mermaid.js.org/syntax/sequenceDiagram.html).
//!
//! Only the little that the project's diagrams use is read: participants and messages. A participant is called after a
//! module, such as `watcher/reading`, or after something outside, such as `engine`.

use std::collections::BTreeMap;

/// One line of a diagram that says who asks whom for what.
#[derive(Debug, Eq, PartialEq)]
pub struct Message {
    /// The name of the participant that the arrow leads to.
    pub to: String,
    /// What stands behind the colon.
    pub text: String,
}

/// The names of all participants and the messages of all diagrams in a page.
#[must_use]
pub fn read(page: &str) -> (Vec<String>, Vec<Message>) {
    let mut names = BTreeMap::new();
    let mut messages = Vec::new();
    let mut is_diagram = false;
    for line in page.lines().map(str::trim) {
        match line {
            "```mermaid" => is_diagram = true,
            "```" => is_diagram = false,
            _ if !is_diagram => {}
            _ => {
                if let Some((short, name)) = line.strip_prefix("participant ").and_then(|rest| rest.split_once(" as "))
                {
                    names.insert(short, name);
                } else if let Some((arrow, text)) = line.split_once(": ") {
                    let short = arrow.rsplit(['>', ')']).next().unwrap_or_default().trim();
                    let to = names.get(short).unwrap_or(&short);
                    messages.push(Message { to: (*to).to_owned(), text: text.to_owned() });
                }
            }
        }
    }
    (names.into_values().map(str::to_owned).collect(), messages)
}

/// The functions that a message names: words before `()`.
#[must_use]
pub fn functions(text: &str) -> Vec<&str> {
    words(text).into_iter().filter_map(|word| word.strip_suffix("()")).collect()
}

/// The types that a message names: words with a capital inside, such as `RoutingTable`.
#[must_use]
pub fn types(text: &str) -> Vec<&str> {
    let is_type = |word: &&str| {
        word.starts_with(char::is_uppercase)
            && word[1..].contains(char::is_uppercase)
            && word.contains(char::is_lowercase)
            && word.chars().all(char::is_alphanumeric)
    };
    words(text).into_iter().filter(is_type).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || "_()".contains(c))).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_and_messages_are_read() {
        let page = "text\n```mermaid\nsequenceDiagram\n  participant E as engine\n  participant R as watcher/reading\n  \
                    E->>R: a hint, then read() of a Snapshot\n  R-->>E: GetRequest\n  Note over R: nothing\n```\nA->>B: no\n";
        let (names, messages) = read(page);
        assert_eq!(names, ["engine", "watcher/reading"]);
        assert_eq!(
            messages.iter().map(|message| message.to.as_str()).collect::<Vec<_>>(),
            ["watcher/reading", "engine", "Note over R"]
        );
        assert_eq!(functions(&messages[0].text), ["read"]);
        assert_eq!(types(&messages[1].text), ["GetRequest"]);
    }
}
