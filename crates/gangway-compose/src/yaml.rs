//! YAML as a tree that knows where everything was written.
//!
//! The parser resolves anchors, aliases and merge keys, so nobody else knows them. A value that
//! came by an alias points to where its anchor stands. Size and depth are bounded, because nine lines of aliases
//! can name more nodes than there is memory.
//!
//! Values stay texts: the reader of a value decides whether `8080` is a number.

mod node;
mod number;
mod parse;
mod scalar;

pub use node::{MergeTag, Node, NodeKind, YamlError};
pub use parse::parse;

#[cfg(test)]
mod tests {
    use super::node::YamlError;
    use super::*;
    use crate::source_map::SourceMap;
    use crate::spanned_text::SpannedText;

    fn tree(text: &str) -> Result<Node, YamlError> {
        let mut files = SourceMap::default();
        let id = files.add("compose.yaml".into(), text.into());
        Ok(parse(id, text)?.remove(0))
    }

    fn value(text: &str) -> SpannedText {
        tree(text).expect("valid").get("a").and_then(Node::text).expect("a scalar").clone()
    }

    /// The written text under each character of the value, joined.
    fn under(text: &str, part: &str) -> String {
        let value = value(text);
        let at = value.as_str().find(part).expect("in the value");
        let span = value.locate(at..at + part.len()).span;
        text[span.start..span.end].to_owned()
    }

    #[test]
    fn a_part_of_a_value_is_found_in_every_style_of_scalar() {
        assert_eq!(under("a: one two\n", "two"), "two");
        assert_eq!(under("a: 'it''s two'\n", "two"), "two");
        assert_eq!(under("a: 'it''s two'\n", "'s"), "''s");
        assert_eq!(under("a: \"\\u0041 \\\"two\\\"\"\n", "two"), "two");
        assert_eq!(under("a: \"t\\ab two\"\n", "two"), "two");
        assert_eq!(under("a: |\n  one\n    two\n  three\n", "three"), "three");
        assert_eq!(under("a: >-\n  one\n  two\n\n  three\n", "three"), "three");
        assert_eq!(under("a: one\n   two\n   three\n", "three"), "three");
        assert_eq!(under("a: \"one\n   two \\\n   three\"\n", "three"), "three");
        assert_eq!(under("ü: ö\na: ä two\n", "two"), "two");
    }

    #[test]
    fn a_crlf_file_is_read_like_any_other() {
        assert_eq!(value("a: |\r\n  one\r\n  two\r\nb: x\r\n").as_str(), "one\ntwo\n");
        assert_eq!(under("a: |\r\n  one\r\n  two\r\nb: x\r\n", "two"), "two");
    }

    #[test]
    fn merge_keys_yield_to_what_stands_in_the_mapping() {
        let node = tree("x: &x {p: 1, q: 2}\ny: &y {q: 3, r: 4}\nz:\n  <<: [*x, *y]\n  p: 0\n").expect("valid");
        let z = node.get("z").expect("z");
        let get = |key| z.get(key).and_then(Node::text).map(|text| text.as_str().to_owned());
        assert_eq!([get("p"), get("q"), get("r")], [Some("0".into()), Some("2".into()), Some("4".into())]);
    }

    #[test]
    fn an_alias_points_to_its_anchor() {
        let text = "x: &x shop\na: *x\n";
        let span = value(text).span();
        assert_eq!(&text[span.start..span.end], "shop");
    }

    #[test]
    fn alias_bombs_and_deep_nesting_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let of = level - 1;
            bomb += &format!("a{level}: &a{level} [*a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}]\n");
        }
        assert!(tree(&bomb).expect_err("a bomb").message.contains("200000 values"));
        // The parser has a bound of its own for this one.
        assert!(tree(&"[".repeat(100_000)).is_err());
        assert!(
            tree(&format!("{}{}", "[".repeat(100), "]".repeat(100))).expect_err("deep").message.contains("64 levels")
        );
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..200 {
            chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert!(tree(&chain).expect_err("deep").message.contains("64 levels"));
    }

    #[test]
    fn several_documents_are_read() {
        let text = "a: b\n---\n---\nc: d\n...\n";
        let file = SourceMap::default().add("compose.yaml".into(), text.into());
        let documents = parse(file, text).expect("three");
        assert_eq!(documents.iter().map(|node| node.entries().len()).collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(parse(file, "").expect("one").len(), 1);
    }

    #[test]
    fn plain_numbers_are_what_compose_makes_of_them() {
        for (written, expected) in [
            ("0o17", "15"),
            ("017", "15"),
            ("1_0", "10"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("-1_0", "-10"),
            ("+1", "1"),
            ("08", "8"),
            ("1.20", "1.2"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("0.00001", "1e-05"),
            ("8080", "8080"),
            ("10.0.0.1", "10.0.0.1"),
            ("80:8080", "80:8080"),
            ("5s", "5s"),
            ("1_0s", "1_0s"),
            ("_1", "_1"),
            ("on", "on"),
            ("True", "true"),
            ("'0o17'", "0o17"),
            ("\"1_0\"", "1_0"),
            ("!!str 0o17", "0o17"),
        ] {
            assert_eq!(value(&format!("a: {written}\n")).as_str(), expected, "{written}");
        }
    }

    #[test]
    fn a_double_key_and_a_self_alias_are_refused() {
        assert_eq!(tree("a: b\na: d\n").expect_err("double").message, "`a` stands here twice");
        assert_eq!(tree("a: &a [*a]\n").expect_err("itself").message, "this alias names itself");
        assert!(tree("---\na: b\n...\n").is_ok());
    }
}
