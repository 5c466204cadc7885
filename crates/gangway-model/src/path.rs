//! Paths and patterns of them. Paths are compared in a percent-decoded, normalised copy; the original bytes go
//! upstream.
//!
//! The form in which paths are compared, made by [`normalise`]:
//!
//! - It begins with a slash. `//` is one slash, `/./` and `/../` are resolved, never above `/`.
//! - `%XX` is decoded once, so `/%61dmin` is `/admin` and `/%2e%2e/` is `/../`. What stays encoded,
//!   with capital digits, is `%2F` (it is not a slash), `%25` (it would be decoded twice), control
//!   characters, and what is not UTF-8. A percent sign that encodes nothing becomes `%25`, and a control
//!   character that is not encoded becomes encoded.
//! - Case, a final slash, `;` and `\` stay.
//!
//! Applications disagree about three more things: `%2F` and `\` are a slash to some, and some cut
//! segments at `;`. If `/admin` is protected and `/` is not, `/admin%2Fx`, `/admin;x` and
//! `/public/..;/admin` must not reach the application by way of `/`; and the other way round, where the
//! application takes `%2F` for itself, `/public%2Fx` must not be let in because `/public` is open. Such a path is
//! therefore looked up in all its readings. Where they do not lead to the same route, no route takes it: closed on
//! doubt. Nothing is lost where one route has all readings, as with `%2F` in the file names of a repository.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use gangway_diagnostic::{Finding, codes, quoted};

use crate::regex_pattern::RegexPattern;

/// One item of a `path` list.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PathPattern {
    /// `/stash`: itself and everything below it, on a segment border. `/` is everything. A final slash would mean
    /// the same and is removed.
    Prefix(Box<str>),
    /// `=/exact`.
    Exact(Box<str>),
    /// `~^/re`.
    Regex(RegexPattern),
}

impl PathPattern {
    /// The pattern that matches every path.
    pub fn everything() -> Self {
        Self::Prefix("/".into())
    }

    /// Reads one item of a `path` list; spans are relative to `text`.
    pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        let mut found = Vec::new();
        let (offset, pattern) = if let Some(exact) = text.strip_prefix('=') {
            (1, parse_exact(exact, &mut found).map(Self::Exact))
        } else if let Some(regex) = text.strip_prefix("~*") {
            found.push(Finding::error(
                codes::REGEX_INVALID,
                0..1,
                "`~*` in front of a regular expression",
                "the notation of nginx",
                format!("write {}", quoted(&format!("~(?i){regex}"))),
            ));
            (1, None)
        } else if let Some(regex) = text.strip_prefix('~') {
            (1, RegexPattern::parse(regex, &mut found).map(Self::Regex))
        } else {
            (0, parse_prefix(text, &mut found).map(Self::Prefix))
        };
        findings.extend(found.into_iter().map(|finding| finding.shifted(offset)));
        pattern
    }

    /// Whether it matches a normalised path.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => begins_with(path, prefix),
            Self::Exact(exact) => **exact == *path,
            Self::Regex(pattern) => pattern.is_match(path),
        }
    }
}

/// The text that a label would have.
impl Display for PathPattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => f.write_str(&escaped(prefix)),
            Self::Exact(exact) => write!(f, "={}", escaped(exact)),
            Self::Regex(pattern) => write!(f, "~{}", pattern.as_str()),
        }
    }
}

/// Whether `path` is the prefix itself or below it, on a segment border. Both are normalised.
pub fn begins_with(path: &str, prefix: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The form of a path in which it is compared; see the module's documentation. `path` is the path of a request
/// target, without the query. Idempotent, and without allocation where there is nothing to change.
pub fn normalise(path: &str) -> Cow<'_, str> {
    if is_normal(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let normal = resolved(&decoded(path));
    if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) }
}

/// The other ways in which an application may read a normalised path. Nearly all paths have none.
pub(crate) fn other_readings(path: &str) -> Vec<String> {
    let mut readings = Vec::new();
    if !is_doubtful(path) {
        return readings;
    }
    let slashes = |path: &str| path.replace("%2F", "/").replace('\\', "/");
    for reading in [
        resolved(&slashes(path)),
        resolved(&without_parameters(path)),
        resolved(&without_parameters(&slashes(path))),
        resolved(&slashes(&without_parameters(path))),
    ] {
        if reading != path && !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    readings
}

/// Whether applications may read a normalised path in several ways.
pub(crate) fn is_doubtful(path: &str) -> bool {
    // Without branches, so that the compiler looks at many bytes at once: every request pays for this.
    let special = path.bytes().fold(false, |special, byte| special | (byte == b'%') | (byte == b';') | (byte == b'\\'));
    special && (path.contains([';', '\\']) || path.contains("%2F"))
}

/// The rest of a path as sent, without a normalised prefix. It begins with exactly one slash, or is empty where
/// the path is the prefix itself. None where the path is not below the prefix.
///
/// The rest consists of the original bytes, with two exceptions. Slashes that are doubled right after the prefix
/// become one: an application that redirects to its own path would otherwise send clients to another host
/// (`//evil.example`). Dot segments are resolved, because the segments that they refer to are gone.
pub fn strip_prefix<'p>(path: &'p str, prefix: &str) -> Option<Cow<'p, str>> {
    if is_normal(path.as_bytes()) && begins_with(path, prefix) {
        let rest = if prefix == "/" { path } else { &path[prefix.len()..] };
        return Some(Cow::Borrowed(rest));
    }
    if has_dot_segments(path) {
        let resolved = resolved_as_sent(path).into_owned();
        return strip_prefix(&resolved, prefix).map(|rest| Cow::Owned(rest.into_owned()));
    }
    let mut segments = prefix.split('/').filter(|segment| !segment.is_empty());
    let mut rest = path;
    loop {
        rest = rest.trim_start_matches('/');
        let Some(expected) = segments.next() else { break };
        let end = rest.find('/').unwrap_or(rest.len());
        if decoded(&rest[..end]) != expected {
            return None;
        }
        rest = &rest[end..];
    }
    // Step back by one slash, if there was any: `rest` is a part of `path`.
    let start = path.len() - rest.len();
    let slash = usize::from(path[..start].ends_with('/'));
    Some(Cow::Borrowed(&path[start - slash..]))
}

/// Whether a path as sent has segments `.` or `..`, encoded or not.
pub(crate) fn has_dot_segments(path: &str) -> bool {
    path.split('/').any(|segment| matches!(&*decoded(segment), "." | ".."))
}

/// The path as sent, unless it has dot segments: those are resolved, as browsers do before they ask. Slashes are merged then.
pub fn without_dot_segments(path: &str) -> Cow<'_, str> {
    if has_dot_segments(path) { resolved_as_sent(path) } else { Cow::Borrowed(path) }
}

/// The path with dot segments resolved and slashes merged, as [`normalise`] does it. All other bytes stay as sent.
pub(crate) fn resolved_as_sent(path: &str) -> Cow<'_, str> {
    if is_normal(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(resolve(path, decoded))
}

/// Whether an application may read a segment `..` in a path where we see none: some take `%2F` or a backslash for a
/// slash, or cut segments at a semicolon.
pub(crate) fn hides_parent_segments(path: &str) -> bool {
    let hides = |segment: &str| {
        let normal = decoded(segment);
        let pieces = normal.split(['\\', '/']).flat_map(|piece| piece.split("%2F"));
        is_doubtful(&normal) && pieces.map(|piece| piece.split(';').next()).any(|piece| piece == Some(".."))
    };
    path.split('/').any(hides)
}

/// A path in the form in which it is compared, with the way back to the bytes as sent.
pub(crate) struct SpelledPath<'p> {
    sent: Cow<'p, str>,
    /// The normal form, and for each of its bytes the position in `sent` where its spelling begins. None if both are the
    /// same.
    normal: Option<(String, Vec<usize>)>,
}

impl<'p> SpelledPath<'p> {
    pub(crate) fn of(path: &'p str) -> Self {
        if is_normal(path.as_bytes()) {
            return Self { sent: Cow::Borrowed(path), normal: None };
        }
        // Without dot segments, normalising only decodes and merges slashes, so the order of bytes stays.
        let sent = without_dot_segments(path);
        let (mut normal, mut begins) = (String::with_capacity(sent.len() + 1), Vec::with_capacity(sent.len() + 1));
        let mut position = 0;
        if !sent.starts_with('/') {
            normal.push('/');
            begins.push(0);
        }
        for segment in sent.split_inclusive('/') {
            let (bare, slash) = segment.split_at(segment.strip_suffix('/').map_or(segment.len(), str::len));
            let mut at = position;
            normal.push_str(&decode(bare, |decoded, spelled| {
                // Where both have as many bytes, they are the same bytes.
                begins.extend((0..decoded).map(|byte| at + if decoded == spelled { byte } else { 0 }));
                at += spelled;
            }));
            position += bare.len();
            if !slash.is_empty() && !normal.ends_with('/') {
                normal.push('/');
                begins.push(position);
            }
            position += slash.len();
        }
        Self { sent, normal: Some((normal, begins)) }
    }

    /// The path in the form in which it is compared.
    pub(crate) fn normal(&self) -> &str {
        self.normal.as_ref().map_or(&self.sent, |(normal, _)| normal)
    }

    /// The bytes as sent of a part of the normal form.
    pub(crate) fn as_sent(&self, part: Range<usize>) -> &str {
        let part = match &self.normal {
            None => part,
            Some((_, begins)) => {
                let begin = |at: usize| begins.get(at).copied().unwrap_or(self.sent.len());
                begin(part.start)..begin(part.end)
            }
        };
        self.sent.get(part).unwrap_or_default()
    }
}

/// A normalised path in the form in which it can be sent, or written in a label or a rule: characters with a
/// meaning there are percent-encoded.
pub(crate) fn escaped(path: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#,\"<>`{}|^".contains(&byte);
    if path.bytes().all(is_plain) {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::with_capacity(path.len() + 8);
    for byte in path.bytes() {
        if is_plain(byte) { escaped.push(char::from(byte)) } else { push_encoded(&mut escaped, byte) }
    }
    Cow::Owned(escaped)
}

/// Reads the path of `=/exact` or `Path`.
pub(crate) fn parse_exact(text: &str, findings: &mut Vec<Finding>) -> Option<Box<str>> {
    parse(text, findings).map(Into::into)
}

/// Reads the path of `/prefix` or `PathPrefix`.
pub(crate) fn parse_prefix(text: &str, findings: &mut Vec<Finding>) -> Option<Box<str>> {
    let path = parse(text, findings)?;
    let prefix = if path.len() > 1 { path.strip_suffix('/').unwrap_or(&path) } else { &path };
    Some(prefix.into())
}

fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let mut wrong = |code, span, message: &str, note: &str, help: &str| {
        findings.push(Finding::error(code, span, format!("{} {message}", quoted(text)), note, help));
        None
    };
    if !text.starts_with('/') {
        let help = match text.find("://").and_then(|scheme| text[scheme + 3..].find('/').map(|path| scheme + 3 + path))
        {
            Some(path) => format!("write {}; the host is said by `host`", quoted(&text[path..])),
            None => format!("write {}", quoted(&format!("/{text}"))),
        };
        let end = text.chars().next().map_or(0, char::len_utf8);
        return wrong(codes::PATH_NO_SLASH, 0..end, "does not begin with a slash", "a `/` is missing", &help);
    }
    if let Some(position) = text.find(['?', '#']) {
        return wrong(
            codes::PATH_WITH_QUERY,
            position..text.len(),
            "is more than a path",
            "not part of the path",
            "remove it; a query is compared by Query(`name`, `value`) in a rule",
        );
    }
    let normal = normalise(text);
    if is_doubtful(&normal) {
        let doubtful = |(position, _): &(usize, char)| {
            let rest = &text[*position..];
            rest.starts_with([';', '\\'])
                || ["%2f", "%5c", "%3b"]
                    .iter()
                    .any(|code| rest.get(..3).is_some_and(|at| at.eq_ignore_ascii_case(code)))
        };
        let position = text.char_indices().find(doubtful).map_or(0, |(position, _)| position);
        let len = if text[position..].starts_with('%') { 3 } else { 1 };
        return wrong(
            codes::PATH_DOUBTFUL,
            position..position + len,
            "is read differently by applications",
            "a slash or the end of a segment to some, not to others",
            "write only the part before it",
        );
    }
    let mut warn = |code, span, message: &str, note: String, help: String| {
        findings.push(Finding::error(code, span, format!("{} {message}", quoted(text)), note, help).warning());
    };
    if let Some(position) = text.find('*') {
        let help = match text.strip_suffix("/*").or_else(|| text.strip_suffix("/**")) {
            Some("") => "write `/`, which is everything".to_owned(),
            Some(prefix) if !prefix.contains('*') => {
                format!("write {} as a prefix, which takes everything below it", quoted(prefix))
            }
            _ => "write a regular expression: `~^/…` in `path`, PathRegexp(`…`) in a rule".to_owned(),
        };
        warn(
            codes::PATH_GLOB,
            position..position + 1,
            "has an asterisk",
            "an ordinary character here".to_owned(),
            help,
        );
    }
    // Undone percent-encoding is no surprise, so it gets no warning.
    if normal != decoded(text) {
        warn(
            codes::PATH_NOT_NORMAL,
            0..text.len(),
            "is not in normal form",
            format!("compared as {}", quoted(&normal)),
            format!("write {}", quoted(&normal)),
        );
    }
    Some(normal.into_owned())
}

fn is_normal(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut previous = 0;
    for (position, &byte) in path.iter().enumerate() {
        let begins_segment = previous == b'/';
        // `/.well-known` is common and normal, so a dot is looked at twice.
        let is_changed = match byte {
            // Also the first byte of the control characters beyond ASCII.
            b'%' | 0..=0x1F | 0x7F | 0xC2 => true,
            b'/' => begins_segment,
            b'.' => begins_segment && is_dot_segment(&path[position..]),
            _ => false,
        };
        if is_changed {
            return false;
        }
        previous = byte;
    }
    true
}

/// Whether the text begins with a segment `.` or `..`.
fn is_dot_segment(rest: &[u8]) -> bool {
    matches!(rest, [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
}

/// The path with percent-encoding undone, except for what stays encoded.
fn decoded(path: &str) -> String {
    decode(path, |_, _| {})
}

/// Undoes percent-encoding, piece by piece. `piece` gets the length of each piece of the result, and of the piece of
/// the path that it comes from.
fn decode(path: &str, mut piece: impl FnMut(usize, usize)) -> String {
    let mut decoded = String::with_capacity(path.len() + 8);
    let mut run = Vec::new();
    let mut rest = path;
    while let Some((position, char)) = rest.char_indices().find(|(_, char)| *char == '%' || char.is_control()) {
        decoded.push_str(&rest[..position]);
        piece(position, position);
        rest = &rest[position..];
        run.clear();
        while let Some(byte) = encoded_byte(rest.as_bytes()) {
            run.push(byte);
            rest = &rest[3..];
        }
        if run.is_empty() {
            let len = decoded.len();
            push_encoded_char(&mut decoded, char);
            piece(decoded.len() - len, char.len_utf8());
            rest = &rest[char.len_utf8()..];
        }
        push_run(&mut decoded, &run, &mut piece);
    }
    decoded.push_str(rest);
    piece(rest.len(), rest.len());
    decoded
}

/// The byte of a `%XX` at the beginning.
fn encoded_byte(rest: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = rest else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Appends a run of bytes that were all encoded, in three bytes each.
fn push_run(decoded: &mut String, run: &[u8], piece: &mut impl FnMut(usize, usize)) {
    for chunk in run.utf8_chunks() {
        for char in chunk.valid().chars() {
            let stays_encoded = char.is_control() || char == '/' || char == '%';
            if stays_encoded {
                push_encoded_char(decoded, char);
            } else {
                decoded.push(char);
            }
            (0..char.len_utf8()).for_each(|_| piece(if stays_encoded { 3 } else { 1 }, 3));
        }
        for byte in chunk.invalid() {
            push_encoded(decoded, *byte);
            piece(3, 3);
        }
    }
}

pub(crate) fn push_encoded_char(text: &mut String, char: char) {
    char.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_encoded(text, byte));
}

fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The path with slashes merged and dot segments resolved.
fn resolved(path: &str) -> String {
    resolve(path, |segment| segment)
}

/// Merges slashes and resolves dot segments, which are recognised by the reading of each segment.
fn resolve<'p, R: AsRef<str>>(path: &'p str, reading: impl Fn(&'p str) -> R) -> String {
    let mut resolved = String::with_capacity(path.len() + 1);
    let mut ends_in_slash = true;
    for segment in path.split('/') {
        let read = reading(segment);
        ends_in_slash = matches!(read.as_ref(), "" | "." | "..");
        match read.as_ref() {
            "" | "." => {}
            ".." => resolved.truncate(resolved.rfind('/').unwrap_or(0)),
            _ => {
                resolved.push('/');
                resolved.push_str(segment);
            }
        }
    }
    if ends_in_slash {
        resolved.push('/');
    }
    resolved
}

/// The path without `;…` at the end of each segment.
fn without_parameters(path: &str) -> String {
    let mut without = String::with_capacity(path.len());
    for (position, segment) in path.split('/').enumerate() {
        if position > 0 {
            without.push('/');
        }
        without.push_str(segment.split(';').next().unwrap_or_default());
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;
    use gangway_diagnostic::Code;

    fn pattern(text: &str) -> PathPattern {
        let mut findings = Vec::new();
        let pattern = PathPattern::parse(text, &mut findings);
        assert_eq!(findings, [], "{text}");
        pattern.expect("no finding, so a pattern")
    }

    fn findings(text: &str) -> Vec<(Code, Range<usize>)> {
        let mut findings = Vec::new();
        PathPattern::parse(text, &mut findings);
        findings.into_iter().map(|finding| (finding.code, finding.span.start..finding.span.end)).collect()
    }

    #[test]
    fn equivalent_paths_have_one_form() {
        for (path, normal) in [
            ("/", "/"),
            ("", "/"),
            ("*", "/*"),
            ("/admin", "/admin"),
            ("/admin/", "/admin/"),
            ("/%61dmin", "/admin"),
            ("/%61%64min", "/admin"),
            ("//admin", "/admin"),
            ("/x//admin///", "/x/admin/"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/../../admin", "/admin"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/..x/...", "/..x/..."),
            ("/admin%2fx", "/admin%2Fx"),
            ("/admin%252Fx", "/admin%252Fx"),
            ("/100%", "/100%25"),
            ("/%zz%%36%31", "/%25zz%2561"),
            ("/%", "/%25"),
            ("/%4", "/%254"),
            ("/a%20b", "/a b"),
            ("/%c3%a9", "/é"),
            ("/%c3%28%e2%82", "/%C3(%E2%82"),
            ("/%00%0d%7f\n\u{85}", "/%00%0D%7F%0A%C2%85"),
            ("/\u{a1}", "/\u{a1}"),
            ("/%5c;%3B", "/\\;;"),
            ("/é%C3%A9é", "/ééé"),
        ] {
            assert_eq!(normalise(path), normal, "{path}");
            assert_eq!(normalise(normal), normal, "twice: {path}");
        }
    }

    #[test]
    fn a_normal_path_costs_no_allocation() {
        for path in ["/", "/a/b.c/", "/.well-known/acme-challenge/x", "/a%2Fb", "/é", "/..."] {
            assert!(matches!(normalise(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn what_applications_read_differently_has_other_readings() {
        assert_eq!(other_readings("/admin/x"), [] as [&str; 0]);
        assert_eq!(other_readings("/100%25"), [] as [&str; 0]);
        assert_eq!(other_readings("/admin%2Fx"), ["/admin/x"]);
        assert_eq!(other_readings("/admin\\x"), ["/admin/x"]);
        assert_eq!(other_readings("/admin;a=1/x"), ["/admin/x"]);
        assert_eq!(other_readings("/public/..;/admin"), ["/admin"]);
        assert_eq!(other_readings("/public%2F..%2Fadmin"), ["/admin"]);
        assert_eq!(other_readings("/a;b%2Fc"), ["/a;b/c", "/a", "/a/c"]);
    }

    proptest::proptest! {
        #[test]
        fn the_normal_form_and_its_spelling_belong_together(path in "/?(%2[ef5]|%c3%a9|%[0-9a-f]{2}|[/.%;é \u{80}\n-]|a){0,12}") {
            let spelled = SpelledPath::of(&path);
            proptest::prop_assert_eq!(spelled.normal(), &*normalise(&path));
            let len = spelled.normal().len();
            proptest::prop_assert_eq!(&*normalise(spelled.as_sent(0..len)), spelled.normal());
            let resolved = resolved_as_sent(&path);
            proptest::prop_assert_eq!(&*normalise(&resolved), spelled.normal());
            // Cut at any border of segments, both parts mean what they mean in the normal form.
            for (at, _) in spelled.normal().match_indices('/') {
                let (before, after) = (spelled.as_sent(0..at), spelled.as_sent(at..len));
                proptest::prop_assert_eq!(&*normalise(after), &spelled.normal()[at..]);
                proptest::prop_assert_eq!(format!("{before}{after}"), spelled.as_sent(0..len));
            }
        }
    }

    #[test]
    fn a_prefix_ends_on_a_segment_border() {
        assert!(pattern("/stash").matches("/stash"));
        assert!(pattern("/stash").matches("/stash/"));
        assert!(pattern("/stash").matches("/stash/x"));
        assert!(!pattern("/stash").matches("/stashed"));
        assert!(!pattern("/stash").matches("/"));
        assert!(pattern("/").matches("/stash"));
        assert_eq!(pattern("/stash/"), pattern("/stash"));
        assert!(pattern("=/stash/").matches("/stash/"));
        assert!(!pattern("=/stash/").matches("/stash"));
        assert!(pattern("~^/v[0-9]+/").matches("/v12/x"));
    }

    #[test]
    fn patterns_are_compared_in_the_same_form_as_paths() {
        assert_eq!(pattern("/a%20b"), pattern("/%61 b"));
        for text in ["/", "/stash", "=/a/", "/a%20b", "=/x%2Cy", "=/%3Fq", "~^/a.b$"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_precisely() {
        assert_eq!(findings(""), [(codes::PATH_NO_SLASH, 0..0)]);
        assert_eq!(findings("stash"), [(codes::PATH_NO_SLASH, 0..1)]);
        assert_eq!(findings("=stash"), [(codes::PATH_NO_SLASH, 1..2)]);
        assert_eq!(findings("https://a.org/x"), [(codes::PATH_NO_SLASH, 0..1)]);
        assert_eq!(findings("/a?b"), [(codes::PATH_WITH_QUERY, 2..4)]);
        assert_eq!(findings("=/a%2fb"), [(codes::PATH_DOUBTFUL, 3..6)]);
        assert_eq!(findings("/é;b"), [(codes::PATH_DOUBTFUL, 3..4)]);
        assert_eq!(findings("/api/*"), [(codes::PATH_GLOB, 5..6)]);
        assert_eq!(findings("/a//b"), [(codes::PATH_NOT_NORMAL, 0..5)]);
        assert_eq!(findings("~^/a("), [(codes::REGEX_INVALID, 4..5)]);
        assert_eq!(findings("~*^/a"), [(codes::REGEX_INVALID, 1..2)]);
    }

    #[test]
    fn stripping_keeps_the_original_bytes() {
        for (path, prefix, rest) in [
            ("/stash/a%2Fb//c", "/stash", Some("/a%2Fb//c")),
            ("/stash", "/stash", Some("")),
            ("/stash/", "/stash", Some("/")),
            ("/%73tash/%61", "/stash", Some("/%61")),
            ("//stash//a", "/stash", Some("/a")),
            ("/a//b/c/", "/a/b", Some("/c/")),
            ("/x/../stash/%61//%20", "/stash", Some("/%61/%20")),
            ("/stash/../stash/y", "/stash", Some("/y")),
            ("/stash/..", "/stash", None),
            ("/stashed", "/stash", None),
            ("/other", "/stash", None),
            ("/a/b", "/", Some("/a/b")),
            ("/a%20b/c", "/a b", Some("/c")),
        ] {
            assert_eq!(strip_prefix(path, prefix).as_deref(), rest, "{path} without {prefix}");
        }
    }
}
