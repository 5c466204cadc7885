//! Secrets in a line of a file, as a report shows it.

use std::ops::Range;

use super::mask::MASK;
use super::name::is_secret_name;

/// Keys below `auth` that hold no secret.
const OPEN_BELOW_AUTH: [&str; 3] = ["forward", "headers", "skip"];

/// Whether the value of a label, an option or a key of a file usually has a secret. Its parts are parted by dots, and names that
/// users give count for nothing: a router may be called `auth`.
pub fn is_secret_key(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let mut parts = lower.rsplit('.');
    let last = parts.next().unwrap_or_default();
    let bare_len = last.find('[').unwrap_or(last.len());
    let (bare, above) = (&last[..bare_len], parts.next().unwrap_or_default());
    let is_below = |names: &[&str]| lower.split('.').any(|part| names.contains(&part));
    let is_named_so = matches!(parts.next(), Some("routes" | "routers" | "middlewares" | "services"));
    let is_of_log_in = above == "auth" && !is_named_so;
    if is_of_log_in && OPEN_BELOW_AUTH.contains(&bare) || bare.ends_with("headers") || bare.ends_with("headersregex") {
        return false;
    }
    // Their case tells the parts of a name.
    let written = &key[key.len() - last.len()..][..bare_len];
    is_of_log_in
        || is_secret_name(written)
        || bare.ends_with("hmacencoded")
        || is_below(&["plugin"])
        || is_below(&["basicauth", "digestauth"]) && matches!(bare, "user" | "users")
}

/// The text with [`MASK`] in place of users and passwords of URLs, and the range in it that shows what `span` shows.
pub fn masked_urls(text: &str, span: Range<usize>) -> (String, Range<usize>) {
    masked(text, &credentials(text), span)
}

/// The line with [`MASK`] in place of values whose key says that they are secrets, and of users and passwords of URLs; and the
/// range in it that shows what `span` shows.
///
/// `is_secret` says that the line is of a value that has a secret, although its key may stand on another line.
pub fn masked_line(line: &str, span: Range<usize>, is_secret: bool) -> (String, Range<usize>) {
    let (mut secrets, has_key) = values(line);
    if is_secret && !has_key {
        let content = line.find(|char: char| !char.is_whitespace() && !"-\"'[".contains(char)).unwrap_or(line.len());
        let quote = line[..content].chars().next_back().filter(|char| matches!(char, '"' | '\''));
        let end = quote.and_then(|quote| line[content..].find(quote)).map_or(line.len(), |len| content + len);
        secrets.push(content..end);
    }
    secrets.extend(credentials(line));
    masked(line, &secrets, span)
}

/// The values of secret keys, and whether there is such a key.
fn values(line: &str) -> (Vec<Range<usize>>, bool) {
    let (mut found, mut has_key) = (Vec::new(), false);
    for (at, separator) in line.char_indices().filter(|(_, char)| matches!(char, '=' | ':' | ' ')) {
        let behind = &line[at + 1..];
        let before = line[..at].trim_end_matches(' ');
        let before = before.strip_suffix(['"', '\'']).filter(|_| separator != ' ').unwrap_or(before);
        let is_of_key = |char: char| char.is_alphanumeric() || "._-[]@".contains(char);
        let begin = before
            .rfind(|char| !is_of_key(char))
            .map_or(0, |end| end + before[end..].chars().next().map_or(1, char::len_utf8));
        let key = &before[begin..];
        let is_separator = match separator {
            ':' => behind.is_empty() || behind.starts_with([' ', '"', '\'']),
            // A flag and its value may be two words.
            ' ' => key.starts_with("--") && !behind.starts_with(['-', ' ', '=', ':']),
            _ => true,
        };
        if !is_separator || !is_secret_key(key.trim_start_matches('-')) {
            continue;
        }
        has_key = true;
        let value = at + 1 + (behind.len() - behind.trim_start_matches(' ').len());
        found.push(value_range(line, begin, key, value));
    }
    (found.into_iter().filter(|range| !range.is_empty() && !is_reference(&line[range.clone()])).collect(), has_key)
}

/// Whether the text names a variable and says nothing of its value.
fn is_reference(text: &str) -> bool {
    let name = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// The bytes of the value that begins at `value`, of the key that begins at `begin`.
fn value_range(line: &str, begin: usize, key: &str, value: usize) -> Range<usize> {
    let quotes = ['"', '\''];
    let until = |start: usize, end: &[char]| start..line[start..].find(end).map_or(line.len(), |len| start + len);
    let above = &line[..begin];
    let is_open = |open: char, close: char| above.matches(open).count() > above.matches(close).count();
    match (line[value..].chars().next(), above.chars().next_back()) {
        (Some(quote), _) if quotes.contains(&quote) => until(value + 1, &[quote]),
        // The section below holds values of its own.
        (Some('{'), _) => value..value,
        (_, Some(quote)) if quotes.contains(&quote) && above.matches(quote).count() % 2 == 1 => until(value, &[quote]),
        _ if is_open('[', ']') || is_open('{', '}') => until(value, &[',', ']', '}']),
        _ if key.starts_with("--") && !above.trim().trim_start_matches('-').is_empty() => until(value, &[' ']),
        _ => value..line.len(),
    }
}

/// What stands between the scheme and the host of URLs.
fn credentials(text: &str) -> Vec<Range<usize>> {
    let begins = text.match_indices("://").map(|(at, sign)| at + sign.len());
    let of_url = |begin: usize| {
        let ends = |char: char| char.is_whitespace() || "/?#\"'`,]}".contains(char);
        let end = text[begin..].find(ends).map_or(text.len(), |len| begin + len);
        text[begin..end].rfind('@').map(|len| begin..begin + len)
    };
    begins.filter_map(of_url).collect()
}

fn masked(text: &str, secrets: &[Range<usize>], span: Range<usize>) -> (String, Range<usize>) {
    let mut secrets = secrets.to_vec();
    secrets.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let (mut shown, mut done) = (String::new(), 0);
    let (mut start, mut end) = (None, None);
    for secret in secrets {
        if secret.start < done {
            // One lies in the other.
            continue;
        }
        let moved = |at: usize, shown: &String| shown.len() + at - done;
        if span.start <= secret.start && start.is_none() {
            start = Some(moved(span.start, &shown));
        }
        if span.end <= secret.start && end.is_none() {
            end = Some(moved(span.end, &shown));
        }
        shown.push_str(&text[done..secret.start]);
        if span.start < secret.end && start.is_none() {
            start = Some(shown.len());
        }
        shown.push_str(MASK);
        if span.end <= secret.end && end.is_none() {
            end = Some(shown.len());
        }
        done = secret.end;
    }
    let moved = |at: usize| shown.len() + at.saturating_sub(done);
    let (start, end) = (start.unwrap_or_else(|| moved(span.start)), end.unwrap_or_else(|| moved(span.end)));
    shown.push_str(&text[done..]);
    (shown, start..end.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_and_names_that_users_give_do_not() {
        for key in [
            "providers.docker.password",
            "hub.token",
            "traefik.http.middlewares.m.basicAuth.users",
            "http.middlewares.m.basicAuth.users[0]",
            "traefik.http.middlewares.m.digestauth.users",
            "traefik.http.middlewares.p.plugin.x.site",
            "traefik.http.middlewares.h.headers.customrequestheaders.X-Api-Key",
            "certificatesresolvers.le.acme.eab.hmacencoded",
            "TRAEFIK_CERTIFICATESRESOLVERS_LE_ACME_EAB_HMACENCODED",
            "CF_DNS_API_TOKEN",
            "gangway.auth.basic",
            "gangway.routes.web.auth.basic",
            "oidc-client-secret",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "traefik.http.routers.auth.rule",
            "traefik.http.routers.token.middlewares",
            "traefik.http.middlewares.f.forwardauth.authresponseheaders",
            "traefik.http.middlewares.m.basicauth.usersfile",
            "gangway.routes.auth.host",
            "gangway.auth.forward",
            "gangway.auth.skip",
            "image",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn secrets_of_a_line_are_masked_and_the_rest_keeps_its_place() {
        for (line, marked, shown, below) in [
            ("  - --hub.token=hunter2", "--hub.token", "  - --hub.token=***", "--hub.token"),
            ("  - --hub.token=hunter2", "hunter2", "  - --hub.token=***", "***"),
            ("  - --hub.token=hunter2", "--hub.token=hunter2", "  - --hub.token=***", "--hub.token=***"),
            ("command: --hub.token hunter2 --api=x", "--api", "command: --hub.token *** --api=x", "--api"),
            ("command: --hub.token=hunter2 --api=x", "--api", "command: --hub.token=*** --api=x", "--api"),
            ("command: [\"--hub.token=hunter2\", --api]", "--api", "command: [\"--hub.token=***\", --api]", "--api"),
            ("  HUB_TOKEN: 'hunter2' # x", "HUB_TOKEN", "  HUB_TOKEN: '***' # x", "HUB_TOKEN"),
            ("\"auth.basic\" = \"a:hunter2\"", "hunter2", "\"auth.basic\" = \"***\"", "***"),
            ("a: {token: hunter2, x: y}", "x", "a: {token: ***, x: y}", "x"),
            ("x=http://u:hunter2@auth:9091/", "auth", "x=http://***@auth:9091/", "auth"),
            ("  TOKEN: ${TOKEN}", "${TOKEN}", "  TOKEN: ${TOKEN}", "${TOKEN}"),
            ("  TOKEN: ${TOKEN:-hunter2}", "TOKEN", "  TOKEN: ***", "TOKEN"),
            ("- x.rule=Host(`a`)", "Host", "- x.rule=Host(`a`)", "Host"),
            ("auth: {forwardAuth: {address: x}}", "x", "auth: {forwardAuth: {address: x}}", "x"),
        ] {
            let at = line.find(marked).expect("a part");
            let (text, span) = masked_line(line, at..at + marked.len(), false);
            assert_eq!((text.as_str(), &text[span]), (shown, below), "{line}");
        }
        assert_eq!(masked_line("    - \"a:hunter2\"", 7..9, true).0, "    - \"***\"");
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic_and_a_range_stays_one(
            line in "[-a-z=:. \"'\\[\\]{}@/,ü#]{0,30}(token|auth\\.basic|--hub\\.token|://)[-a-z=:. \"'@/,ü]{0,30}",
            one in 0_usize..60, other in 0_usize..60, is_secret: bool,
        ) {
            let inside = |at: usize| (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            let (one, other) = (inside(one), inside(other));
            let (text, span) = masked_line(&line, one.min(other)..one.max(other), is_secret);
            proptest::prop_assert!(text.get(span).is_some());
        }
    }
}
