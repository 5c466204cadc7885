//! The beginnings of texts that a client chooses.

/// Bytes of a path, a query, or another text that a client chooses.
const TEXT_MAX: usize = 1024;

/// The beginning of a text, in whole characters.
pub(super) fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_clients_are_bounded_and_stay_whole_characters() {
        assert_eq!(bounded("/x"), "/x");
        assert_eq!(bounded(&"x".repeat(5000)).len(), TEXT_MAX);
        assert_eq!(bounded(&format!("{}\u{e4}", "x".repeat(TEXT_MAX - 1))).len(), TEXT_MAX - 1);
    }
}
