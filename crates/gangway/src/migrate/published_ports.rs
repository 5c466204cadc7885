//! Published ports at which nothing listens any more.

use std::ops::Range;

use gangway_compose::{FileSpan, Service, SourceMap};

use super::lines::FileEdits;

/// What takes a port out of its list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Removal {
    Lines(Range<usize>),
    Bytes(Range<usize>),
}

impl Removal {
    pub(super) fn apply(self, edits: &mut FileEdits) {
        match self {
            Self::Lines(lines) => edits.remove(lines),
            Self::Bytes(bytes) => edits.replace(bytes, String::new()),
        }
    }
}

/// What takes every published form of a port out of the file of the service. None where one of them is written in another way
/// than as one text for this port alone, or where they stand side by side between brackets.
pub(super) fn removals(service: &Service, port: u16, sources: &SourceMap) -> Option<Vec<Removal>> {
    let own = service.name.span().file;
    let is_alone = |span: &FileSpan| service.ports.iter().filter(|other| other.span == *span).count() == 1;
    let of_port = service.ports.iter().filter(|published| published.port == port);
    let removal = |span: &FileSpan| removal(span, sources).filter(|_| span.file == own && is_alone(span));
    let removals: Vec<Removal> = of_port.map(|published| removal(&published.span)).collect::<Option<_>>()?;
    let is_apart = |one: &Removal, other: &Removal| match (one, other) {
        (Removal::Bytes(one), Removal::Bytes(other)) => {
            one == other || one.end <= other.start || other.end <= one.start
        }
        (Removal::Lines(_), _) | (_, Removal::Lines(_)) => true,
    };
    removals.iter().all(|one| removals.iter().all(|other| is_apart(one, other))).then_some(removals)
}

fn removal(span: &FileSpan, sources: &SourceMap) -> Option<Removal> {
    let number = sources.position(span.file, span.start).line;
    let (line, line_start) = sources.line(span.file, number);
    let item = span.start.checked_sub(line_start)?..span.end.checked_sub(line_start)?;
    if line.trim_start().starts_with("ports:") {
        let bytes = in_brackets(line, &item)?;
        return Some(Removal::Bytes(line_start + bytes.start..line_start + bytes.end));
    }
    // The longer form has keys.
    let is_one_text = line.get(..item.start)?.trim() == "-" && !line[item.start..].split(" #").next()?.contains(": ");
    if !is_one_text {
        return None;
    }
    let text = |number: usize| sources.line(span.file, number).0.trim_start();
    let is_first = number > 1 && text(number - 1).trim_end() == "ports:";
    let is_last = number == sources.text(span.file).lines().count() || !text(number + 1).starts_with("- ");
    // A key without an item has no value.
    Some(Removal::Lines(if is_first && is_last { number - 1..number + 1 } else { number..number + 1 }))
}

/// The bytes of an item between brackets, with one of the commas beside it. None where it stands alone.
fn in_brackets(line: &str, item: &Range<usize>) -> Option<Range<usize>> {
    let before = line.get(..item.start)?.rfind(['[', ','])?;
    let after = item.end + line.get(item.end..)?.find([',', ']'])?;
    if line[before..].starts_with(',') {
        return Some(before..after);
    }
    let next = line[after..].strip_prefix(',')?;
    Some(before + 1..line.len() - next.trim_start().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_between_brackets_goes_with_a_comma() {
        let without = |line: &str| {
            let start = line.find("8080:").expect("it is there");
            let bytes = in_brackets(line, &(start..start + "8080:8080".len()))?;
            Some(format!("{}{}", &line[..bytes.start], &line[bytes.end..]))
        };
        for (line, left) in [
            (r#"ports: ["80:80", "8080:8080"]"#, Some(r#"ports: ["80:80"]"#)),
            (r#"ports: ["8080:8080", "80:80"]"#, Some(r#"ports: ["80:80"]"#)),
            ("ports: [80:80, 8080:8080,443:443]", Some("ports: [80:80,443:443]")),
            ("ports: [8080:8080]", None),
        ] {
            assert_eq!(without(line).as_deref(), left, "{line}");
        }
    }
}
