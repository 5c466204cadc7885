//! Removes secrets from logged targets: values of query parameters, by name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Parameters whose value gives access (Jellyfin, Plex, Stash, Jupyter, OAuth, signed URLs).
const SECRET: &[&str] =
    &["api_key", "apikey", "token", "access_token", "x-plex-token", "auth", "code", "sig", "password"];

/// Replaces the values of secret parameters by `***`. Borrows the target if it has none.
pub(crate) fn target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return Cow::Borrowed(target) };
    if !query.split(['&', ';']).any(is_secret) {
        return Cow::Borrowed(target);
    }
    let mut masked = String::with_capacity(target.len());
    masked.push_str(path);
    masked.push('?');
    for parameter in query.split_inclusive(['&', ';']) {
        // Some applications separate parameters with semicolons.
        let (bare, separator) = match parameter.strip_suffix(['&', ';']) {
            Some(bare) => (bare, &parameter[bare.len()..]),
            None => (parameter, ""),
        };
        match bare.split_once('=') {
            Some((name, _)) if is_secret(bare) => {
                masked.push_str(name);
                masked.push_str("=***");
            }
            _ => masked.push_str(bare),
        }
        masked.push_str(separator);
    }
    Cow::Owned(masked)
}

fn is_secret(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    !value.is_empty() && {
        let name = decoded(name);
        SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
    }
}

/// Decodes a percent-encoded name, as applications do.
fn decoded(name: &str) -> Cow<'_, str> {
    percent_decode_str(name).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_name_and_the_rest_is_left() {
        assert_eq!(target("/a?x=1&API_KEY=abc&y=2"), "/a?x=1&API_KEY=***&y=2");
        assert_eq!(target("/a?%61pi_key=abc"), "/a?%61pi_key=***");
        assert_eq!(target("/a?X-Plex-Token=t"), "/a?X-Plex-Token=***");
        assert_eq!(target("/token=x?tokens=1&token="), "/token=x?tokens=1&token=");
    }

    #[test]
    fn no_way_of_writing_a_parameter_shows_its_secret() {
        for name in SECRET {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for name in [name.to_string(), name.to_uppercase(), encoded.clone(), encoded.to_uppercase()] {
                for query in
                    ["{}=S3", "a=b&{}=S3", "{}=S3&a=b", "a=b;{}=S3;c", "a?{}&{}=S3=S3", "&&{}=S3&", "?a=b&{}=S3?x=S3"]
                {
                    let written = format!("/x?{}", query.replace("{}", &name));
                    let shown = target(&written);
                    assert!(!shown.contains("S3") && shown.contains(&name), "{written} as {shown}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_target_without_secrets_is_shown_as_it_is(text in "[ -~]{0,40}") {
            let shown = target(&text);
            proptest::prop_assert!(shown == text || shown.contains("=***"));
            proptest::prop_assert_eq!(target(&shown), shown.as_ref());
        }
    }
}
