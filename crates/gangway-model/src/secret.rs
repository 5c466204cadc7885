//! What may be a secret in what is shown: the one list for the access log, our own pages, the log and the API.
//!
//! A secret is recognised by the name that it has, because a value looks like any other; in paths, where nothing has a
//! name, by the shapes that apps are known to use. In doubt it is one: a line of a log that hides too much is a nuisance,
//! one that hides too little lets its readers in.

mod line;
mod mask;
mod name;
mod path;
mod percent;

use std::borrow::Cow;

pub use self::line::{is_secret_key, masked_line, masked_urls};
pub use self::mask::MASK;
pub use self::name::is_secret_name;
use self::name::is_secret_parameter;
use self::path::{is_token_by_itself, masked_path};
use self::percent::percent_decoded;

/// Replaces what may be secrets in the target of a request, or in a URL, by [`MASK`]. Borrows a text without any.
pub fn masked_target(target: &str) -> Cow<'_, str> {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let (path, query) = target.split_at(end);
    let path = masked_path(path);
    let query = masked_query(query);
    match (path, query) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(target),
        (path, query) => Cow::Owned(format!("{path}{query}")),
    }
}

/// The URL without its user and password.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{MASK}{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// A value of a setting, which may be a URL with a password or with secret parameters.
pub fn masked_value(value: &str) -> String {
    masked_target(&without_password(value)).into_owned()
}

/// Masks the values of parameters. `query` begins with its question mark. Some applications separate parameters with
/// semicolons, and fragments of log-ins look like queries.
fn masked_query(query: &str) -> Cow<'_, str> {
    const SEPARATORS: [char; 3] = ['&', ';', '#'];
    let begin = query.find(|char| !matches!(char, '?' | '#')).unwrap_or(query.len());
    if !query[begin..].split(SEPARATORS).any(|parameter| secret_of(parameter) != Secret::None) {
        return Cow::Borrowed(query);
    }
    let mut masked = String::with_capacity(query.len());
    masked.push_str(&query[..begin]);
    for parameter in query[begin..].split_inclusive(SEPARATORS) {
        let (bare, separator) = match parameter.strip_suffix(SEPARATORS) {
            Some(bare) => (bare, &parameter[bare.len()..]),
            None => (parameter, ""),
        };
        match secret_of(bare) {
            Secret::None => masked.push_str(bare),
            Secret::Value(at) => {
                masked.push_str(&bare[..at]);
                masked.push_str(MASK);
            }
        }
        masked.push_str(separator);
    }
    Cow::Owned(masked)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Secret {
    None,
    /// From this position on.
    Value(usize),
}

/// The secret in one parameter: its value by its name, or a query in its value that has a secret.
fn secret_of(parameter: &str) -> Secret {
    let Some((name, value)) = parameter.split_once('=') else {
        return if is_token_by_itself(parameter) { Secret::Value(0) } else { Secret::None };
    };
    if value.is_empty() || value == MASK {
        return Secret::None;
    }
    // Behind a second question mark another query begins.
    let inner = name.rfind('?').map_or(0, |mark| mark + 1);
    if is_secret_parameter(&percent_decoded(&name[inner..])) || is_token_by_itself(value) {
        return Secret::Value(name.len() + 1);
    }
    // A URL to come back to, usually encoded.
    let mut nested = percent_decoded(value);
    for _ in 0..NESTED_MAX {
        if has_secret_query(&nested) {
            return Secret::Value(name.len() + 1);
        }
        match percent_decoded(&nested) {
            Cow::Borrowed(_) => break,
            Cow::Owned(inner) => nested = Cow::Owned(inner),
        }
    }
    Secret::None
}

/// How often a URL in a URL is encoded, at most.
const NESTED_MAX: usize = 3;

fn has_secret_query(value: &str) -> bool {
    let mut parameters = value.split(['?', '&', ';', '#']);
    parameters.any(|parameter| match parameter.split_once('=') {
        Some((name, secret)) => !secret.is_empty() && secret != MASK && is_secret_parameter(&percent_decoded(name)),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_name_and_the_rest_is_left() {
        for (target, shown) in [
            ("/a?x=1&API_KEY=abc&y=2", "/a?x=1&API_KEY=***&y=2"),
            ("/a?%61pi_key=abc", "/a?%61pi_key=***"),
            ("/a?X-Plex-Token=t", "/a?X-Plex-Token=***"),
            ("/a?token[]=t&auth%5Btoken%5D=u", "/a?token[]=***&auth%5Btoken%5D=***"),
            ("/a?tokens=1&token=", "/a?tokens=1&token="),
            ("/?#access_token=a&b=c", "/?#access_token=***&b=c"),
            ("/x#access_token=a", "/x#access_token=***"),
            ("/x?a=b?token=c", "/x?a=***"),
            ("/x?eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", "/x?***"),
            ("/x?v=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln&a=b", "/x?v=***&a=b"),
        ] {
            assert_eq!(masked_target(target), shown, "{target}");
        }
        let open = "/api/assets?q=hello&sort_key=name&page=2&url=https%3A%2F%2Fa.org%2F%3Fx%3D1";
        assert!(matches!(masked_target(open), Cow::Borrowed(shown) if shown == open));
    }

    #[test]
    fn a_secret_in_a_url_to_come_back_to_is_masked() {
        for target in [
            "/login?rd=https%3A%2F%2Fa.org%2F%3Fcode%3DS3",
            "/login?rd=https%253A%252F%252Fa.org%252F%253Fa%253Db%2526code%253DS3",
            "/login?rd=/x?a=b;api_key=S3",
            "/login?rd=%2Fx%23access_token%3DS3",
        ] {
            let shown = masked_target(target);
            assert!(!shown.contains("S3"), "{target}: {shown}");
        }
    }

    #[test]
    fn no_way_of_writing_a_parameter_shows_its_secret() {
        for name in ["api_key", "token", "authSig", "code", "X-Amz-Signature", "p", "auth[token]"] {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for name in [name.to_string(), name.to_uppercase(), encoded.clone(), encoded.to_uppercase()] {
                for query in
                    ["{}=S3", "a=b&{}=S3", "{}=S3&a=b", "a=b;{}=S3;c", "a?{}&{}=S3=S3", "&&{}=S3&", "?a=b&{}=S3?x=S3"]
                {
                    let written = format!("/x?{}", query.replace("{}", &name));
                    let shown = masked_target(&written);
                    assert!(!shown.contains("S3") && shown.contains(&name), "{written} as {shown}");
                }
            }
        }
    }

    #[test]
    fn passwords_leave_urls() {
        assert_eq!(without_password("http://a:b@nas:5000/x@y"), "http://***@nas:5000/x@y");
        assert_eq!(without_password("http://nas:5000/x@y"), "http://nas:5000/x@y");
        assert_eq!(without_password("shop-web-1"), "shop-web-1");
    }

    proptest::proptest! {
        #[test]
        fn a_target_without_secrets_is_shown_as_it_is(text in "[ -~]{0,40}") {
            let shown = masked_target(&text).into_owned();
            proptest::prop_assert!(shown == text || shown.contains(MASK));
            let again = masked_target(&shown).into_owned();
            proptest::prop_assert_eq!(again, shown);
        }
    }
}
