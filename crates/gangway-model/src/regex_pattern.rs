//! A regular expression together with its text. It matches in linear time, and its size is bounded.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use gangway_diagnostic::{Finding, codes, quoted};
use regex::{Regex, RegexBuilder};
use regex_syntax::ast::ErrorKind;

/// The largest size of a compiled expression; a larger one is refused. Every user who may start a container can
/// write a label, and its expression costs every request to its host.
pub const REGEX_SIZE_MAX: usize = 64 << 10;

/// The largest size of the automaton that is built while matching. Beyond it, the automaton is built anew.
const AUTOMATON_SIZE_MAX: usize = 512 << 10;

/// A compiled regular expression. Two are equal if their texts are.
///
/// It matches anywhere unless it is anchored by `^` or `$`. `\w`, `\d` and `\s` mean ASCII: the Unicode classes
/// are so large that two `\w+` would exceed [`REGEX_SIZE_MAX`].
///
/// A clone shares the automata: making them anew takes longer than all the rest of a route.
#[derive(Clone, Debug)]
pub struct RegexPattern(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: Box<str>,
    regex: Regex,
}

/// Whether upper and lower case letters differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LetterCase {
    Matters,
    Ignored,
}

impl RegexPattern {
    /// Reads a regular expression; spans are relative to `text`.
    pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        Self::build(text, LetterCase::Matters, findings)
    }

    /// Reads a regular expression for hosts, which are compared in lower case.
    pub(crate) fn parse_for_host(text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        Self::build(text, LetterCase::Ignored, findings)
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The compiled expression, for replacements.
    pub fn regex(&self) -> &Regex {
        &self.0.regex
    }

    /// Whether it matches somewhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.regex.is_match(text)
    }

    /// The cost of building it, in lookups of a plain value. It is estimated from the text alone, and never much too
    /// low.
    pub(crate) fn cost(text: &str) -> usize {
        /// Even the smallest expression has automata of its own.
        const LEAST: usize = 16;
        /// A class has to be sorted and joined with its other case.
        const CLASS: usize = 2;
        /// A class of Unicode has hundreds of ranges.
        const CLASS_OF_UNICODE: usize = 32;
        /// The compiler refuses a larger expression before it is complete.
        const REPEATED_MAX: usize = 512;
        let classes = text.matches('[').count() + text.matches('\\').count();
        let repeated =
            text.len().saturating_mul(repetitions(text)).min(REGEX_SIZE_MAX) / (REGEX_SIZE_MAX / REPEATED_MAX);
        LEAST + text.len() / 32 + repeated + CLASS * classes + CLASS_OF_UNICODE * classes_of_unicode(text)
    }

    fn build(text: &str, letter_case: LetterCase, findings: &mut Vec<Finding>) -> Option<Self> {
        let built = RegexBuilder::new(&ascii_classes(text))
            .case_insensitive(letter_case == LetterCase::Ignored)
            .size_limit(REGEX_SIZE_MAX)
            .dfa_size_limit(AUTOMATON_SIZE_MAX)
            .build();
        match built {
            // An expression that is valid only because its classes were written out is not the known syntax.
            Ok(regex) if has_syntax(text) => Some(Self(Arc::new(Compiled { text: text.into(), regex }))),
            // Parse the text as written again, because errors must have positions in it.
            Ok(_) | Err(regex::Error::Syntax(_)) => {
                let generic = || not_built(text, &regex::Error::Syntax(String::new()));
                findings.push(syntax(text).err().unwrap_or_else(generic));
                None
            }
            Err(error) => {
                findings.push(syntax(text).err().unwrap_or_else(|| not_built(text, &error)));
                None
            }
        }
    }
}

impl PartialEq for RegexPattern {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Eq for RegexPattern {}

impl Ord for RegexPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.text.cmp(&other.0.text)
    }
}

impl PartialOrd for RegexPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for RegexPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// The most repetitions of the innermost part, by the product of all counted repetitions.
fn repetitions(text: &str) -> usize {
    let bound = |rest: &str| -> Option<usize> {
        let (bounds, _) = rest.split_once('}')?;
        bounds.rsplit(',').next()?.trim().parse().or_else(|_| bounds.split(',').next().unwrap_or_default().parse()).ok()
    };
    text.split('{').skip(1).filter_map(bound).fold(1_usize, |product, bound| product.saturating_mul(bound.max(1)))
}

/// The number of properties such as `\p{L}`.
fn classes_of_unicode(text: &str) -> usize {
    text.matches("\\p").count() + text.matches("\\P").count()
}

/// Whether it is well formed. Classes, which take longest to read, are not looked up.
fn has_syntax(text: &str) -> bool {
    !text.is_empty() && regex_syntax::ast::parse::Parser::new().parse(text).is_ok()
}

fn syntax(text: &str) -> Result<(), Finding> {
    if text.is_empty() {
        return Err(Finding::error(
            codes::REGEX_INVALID,
            0..0,
            "empty regular expression",
            "nothing here",
            "write an expression; `.*` matches everything",
        ));
    }
    let (span, reason) = match regex_syntax::Parser::new().parse(text) {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => {
            let span = error.span().start.offset..error.span().end.offset;
            if matches!(error.kind(), ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference) {
                return Err(not_linear(error.kind(), span, text));
            }
            // An empty place, as in front of a `*`, shows better with what follows it.
            let next_len = text[span.end..].chars().next().map_or(0, char::len_utf8);
            let span = if span.is_empty() { span.start..span.end + next_len } else { span };
            (span, error.kind().to_string())
        }
        Err(regex_syntax::Error::Translate(error)) => {
            (error.span().start.offset..error.span().end.offset, error.kind().to_string())
        }
        Err(error) => (0..text.len(), error.to_string()),
    };
    if let Some(template) = template(text) {
        return Err(Finding::error(
            codes::REGEX_TEMPLATE,
            template.clone(),
            format!("template {} instead of a regular expression", quoted(&text[template])),
            "the notation of Traefik 2",
            "write the expression itself, such as `^[a-z]+\\.example\\.org$`",
        ));
    }
    Err(Finding::error(
        codes::REGEX_INVALID,
        span,
        format!("invalid regular expression {}", quoted(text)),
        reason,
        if text.starts_with('*') {
            "`*` repeats what stands before it; `.*` matches everything"
        } else {
            "correct the expression; to match a special character itself, put a backslash in front of it"
        },
    ))
}

fn not_linear(kind: &ErrorKind, span: Range<usize>, text: &str) -> Finding {
    let (what, help) = match kind {
        ErrorKind::UnsupportedLookAround => {
            ("look-around", "leave it out; a matcher with `!` in front excludes requests, such as !PathRegexp(`…`)")
        }
        _ => ("a back-reference", "leave it out and write the repeated part itself"),
    };
    Finding::error(
        codes::REGEX_NOT_LINEAR,
        span,
        format!("{what} in regular expression {}", quoted(text)),
        "not supported: expressions are matched in linear time only",
        help,
    )
}

fn not_built(text: &str, error: &regex::Error) -> Finding {
    match error {
        regex::Error::CompiledTooBig(_) => Finding::error(
            codes::REGEX_TOO_LARGE,
            0..text.len(),
            format!("regular expression {} is too large", quoted(text)),
            "takes more than 64 KiB when compiled",
            "avoid counted repetitions such as `{1,1000}` and Unicode classes such as `\\p{L}`",
        ),
        _ => Finding::error(
            codes::REGEX_INVALID,
            0..text.len(),
            format!("invalid regular expression {}", quoted(text)),
            "not understood",
            "correct the expression",
        ),
    }
}

/// The place of a `{name}` or `{name:expression}` of Traefik 2. `\p{Greek}` is no such template.
fn template(text: &str) -> Option<Range<usize>> {
    text.match_indices('{').find_map(|(start, _)| {
        let rest = &text[start + 1..];
        let name_len = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_' && char != '-')?;
        let is_class = ["\\p", "\\P", "\\x", "\\u"].iter().any(|class| text[..start].ends_with(class));
        let is_name = rest.starts_with(|char: char| char.is_ascii_alphabetic());
        let is_template = is_name && !is_class && rest[name_len..].starts_with([':', '}']);
        is_template.then(|| start..rest.find('}').map_or(text.len(), |end| start + 1 + end + 1))
    })
}

/// The expression with its Perl classes written out as ASCII. Brackets may stand inside brackets, so the place of
/// the class does not matter.
fn ascii_classes(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len() + 16);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            ascii.push(char);
            continue;
        }
        match chars.next() {
            Some('w') => ascii.push_str("[0-9A-Za-z_]"),
            Some('W') => ascii.push_str("[^0-9A-Za-z_]"),
            Some('d') => ascii.push_str("[0-9]"),
            Some('D') => ascii.push_str("[^0-9]"),
            // With `(?x)`, a plain space would be ignored.
            Some('s') => ascii.push_str(r"[\t\n\x0B\f\r\x20]"),
            Some('S') => ascii.push_str(r"[^\t\n\x0B\f\r\x20]"),
            other => {
                ascii.push('\\');
                ascii.extend(other);
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use gangway_diagnostic::Code;

    fn pattern(text: &str) -> RegexPattern {
        let mut findings = Vec::new();
        let pattern = RegexPattern::parse(text, &mut findings);
        assert_eq!(findings, []);
        pattern.expect("no finding, so a pattern")
    }

    fn finding(text: &str) -> (Code, Range<usize>, String) {
        let mut findings = Vec::new();
        assert!(RegexPattern::parse(text, &mut findings).is_none(), "{text}");
        let [finding] = &findings[..] else { panic!("one finding: {findings:?}") };
        (finding.code, finding.span.start..finding.span.end, finding.message.clone())
    }

    #[test]
    fn it_matches_anywhere_unless_anchored() {
        assert!(pattern("b+").is_match("abbc"));
        assert!(!pattern("^b+").is_match("abbc"));
        assert!(pattern(r"^/é.$").is_match("/éü"));
    }

    #[test]
    fn a_class_of_white_space_has_the_space_in_every_mode() {
        assert!(pattern(r"(?x) ^a \s b$").is_match("a b") && !pattern(r"(?x) ^a \S b$").is_match("a b"));
        assert!(pattern(r"(?x) ^a [\s\d] b$").is_match("a b"));
    }

    #[test]
    fn classes_mean_ascii_and_stay_small() {
        let everyday = pattern(r"^/(\w+)/([\w.-]+)/(\d{4})/(\S+)\s?[^\W\d]$");
        assert!(everyday.is_match("/a_b/c.d-e/2024/x y"));
        assert!(!pattern(r"^\w$").is_match("é"));
        assert!(pattern(r"^\\w$").is_match(r"\w"));
        assert!(pattern(r"^[\\w]$").is_match("w"));
    }

    #[test]
    fn what_would_backtrack_is_refused_with_its_place() {
        assert_eq!(finding(r"^/a(?!b)").0, codes::REGEX_NOT_LINEAR);
        assert_eq!(finding(r"^/a(?!b)").1, 3..6);
        assert_eq!(finding(r"(a)\1").0, codes::REGEX_NOT_LINEAR);
        assert_eq!(finding(r"(?<=x)y").0, codes::REGEX_NOT_LINEAR);
    }

    #[test]
    fn errors_have_a_place() {
        assert_eq!(finding("^/a(b").0, codes::REGEX_INVALID);
        assert_eq!(finding("^/a(b").1, 3..4);
        assert_eq!(finding("*.example.org").0, codes::REGEX_INVALID);
        assert_eq!(finding("").0, codes::REGEX_INVALID);
        assert_eq!(finding(r"\p{Nonsense}").0, codes::REGEX_INVALID);
    }

    #[test]
    fn large_ones_are_refused() {
        assert_eq!(finding("(a{1,1000}){1,1000}").0, codes::REGEX_TOO_LARGE);
        assert_eq!(finding(&"(".repeat(2000)).0, codes::REGEX_INVALID);
    }

    #[test]
    fn a_template_of_traefik_2_is_recognised() {
        assert_eq!(finding("{sub:[a-z]+}.example.org").0, codes::REGEX_TEMPLATE);
        assert_eq!(finding("{sub:[a-z]+}.example.org").1, 0..12);
        assert_eq!(finding("x{catchall}").0, codes::REGEX_TEMPLATE);
    }
}
