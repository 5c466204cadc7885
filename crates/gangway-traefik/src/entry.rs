//! One option or key as it was written, wherever it was.

use gangway_diagnostic::{Place, Span};

/// A leaf of a configuration, with the way to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The segments of the way. Items of lists have their position: `[0]`.
    pub path: Vec<Box<str>>,
    pub value: EntryValue,
    /// The way as the user wrote it: `--api.insecure`, `TRAEFIK_API_INSECURE`, or the dotted key of a file.
    pub written: Box<str>,
    /// Where the key stands.
    pub key_place: Place,
    /// Where the value stands.
    pub value_place: Place,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EntryValue {
    Text(Box<str>),
    /// Nothing stands there: `ping:`.
    Null,
    EmptyMap,
    EmptyList,
}

impl Entry {
    /// The text of the value; empty where there is none.
    pub(crate) fn text(&self) -> &str {
        match &self.value {
            EntryValue::Text(text) => text,
            EntryValue::Null | EntryValue::EmptyMap | EntryValue::EmptyList => "",
        }
    }

    /// The written way without its last segment, if that is the position in a list.
    pub(crate) fn written_list(&self) -> &str {
        let has_position = self.path.last().is_some_and(|last| last.starts_with('['));
        let separator = if matches!(self.key_place, Place::Variable(_)) { '_' } else { '[' };
        match self.written.rsplit_once(separator) {
            Some((list, _)) if has_position => list,
            Some(_) | None => &self.written,
        }
    }

    /// The bytes of the written way that name the segment at `position`. Below a list item, or where a name holds
    /// dots, it is the whole way.
    pub(crate) fn segment_span(&self, position: usize) -> Span {
        let start_of_path = if self.written.starts_with("--") { 2 } else { 0 };
        let separator = if matches!(self.key_place, Place::Variable(_)) { '_' } else { '.' };
        let names: Vec<&str> = self.path.iter().map(|segment| &**segment).collect();
        let is_plain = names.iter().all(|name| !name.contains(separator) && !name.starts_with('['));
        let whole = Span { start: 0, end: self.written.len() };
        let (Some(segment), true) = (names.get(position), is_plain) else { return whole };
        let prefix = if separator == '_' { "TRAEFIK_".len() } else { start_of_path };
        let start = prefix + names[..position].iter().map(|name| name.len() + 1).sum::<usize>();
        let span = Span { start, end: start + segment.len() };
        if self.written.get(span.start..span.end).is_some() { span } else { whole }
    }
}

/// The segments of a dotted way, with positions of lists as segments of their own: `domains[0].main`.
pub(crate) fn segments(dotted: &str) -> Vec<Box<str>> {
    let mut segments = Vec::new();
    for part in dotted.split('.') {
        let (name, positions) = match part.find('[') {
            Some(at) if part.ends_with(']') => part.split_at(at),
            _ => (part, ""),
        };
        segments.push(name.into());
        segments.extend(positions.split_inclusive(']').map(Into::into));
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_lists_are_segments() {
        let split = |text| segments(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(split("a.b[0].c"), ["a", "b", "[0]", "c"]);
        assert_eq!(split("a[0][1]"), ["a", "[0]", "[1]"]);
        assert_eq!(split("a[0"), ["a[0"]);
        assert_eq!(split(""), [""]);
    }
}
