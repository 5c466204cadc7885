//! Adds the fields that browsers protect users by, where a response does not have them.

use std::num::NonZeroU64;

use gangway_model::SECURE_HEADERS;

use crate::message::fields::Fields;
use crate::middleware::hsts;
use crate::request::client_origin::ClientScheme;

/// The field that says by whom a page may be framed, and what stands in another one for the same.
const FRAME_OPTIONS: &str = "x-frame-options";
const FRAME_ANCESTORS: &[u8] = b"frame-ancestors";

pub(crate) fn on_response(max_age: Option<NonZeroU64>, scheme: ClientScheme, fields: &mut Fields) {
    for (name, value) in SECURE_HEADERS {
        let is_said = is_there(fields, name.as_bytes()) || name == FRAME_OPTIONS && says_who_may_frame(fields);
        if !is_said {
            fields.push(name.as_bytes(), value.as_bytes());
        }
    }
    if let Some(max_age) = max_age.filter(|_| !is_there(fields, hsts::NAME)) {
        hsts::on_response(gangway_model::Hsts::of(max_age), scheme, fields);
    }
}

fn is_there(fields: &Fields, name: &[u8]) -> bool {
    fields.all_named(name).next().is_some()
}

/// Browsers that know `frame-ancestors` ignore `X-Frame-Options` beside it, and others would be told something else.
fn says_who_may_frame(fields: &Fields) -> bool {
    let has_ancestors = |policy: &[u8]| memchr::memmem::find(&policy.to_ascii_lowercase(), FRAME_ANCESTORS).is_some();
    fields.all_named(b"content-security-policy").any(has_ancestors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_application_says_stays_and_the_rest_is_added() {
        let year = NonZeroU64::new(31_536_000);
        let own: [&[(&str, &str)]; 4] = [
            &[],
            &[
                ("X-Frame-Options", "DENY"),
                ("Referrer-Policy", "no-referrer"),
                ("Strict-Transport-Security", "max-age=0"),
            ],
            &[("Content-Security-Policy", "default-src 'self'; Frame-Ancestors https://b.test")],
            &[("Content-Security-Policy", "default-src 'self'")],
        ];
        for (own, frame, referrer, sts) in [
            (own[0], Some("SAMEORIGIN"), "strict-origin-when-cross-origin", "max-age=31536000"),
            (own[1], Some("DENY"), "no-referrer", "max-age=0"),
            (own[2], None, "strict-origin-when-cross-origin", "max-age=31536000"),
            (own[3], Some("SAMEORIGIN"), "strict-origin-when-cross-origin", "max-age=31536000"),
        ] {
            for (scheme, is_secure) in [(ClientScheme::Https, true), (ClientScheme::Http, false)] {
                let mut fields = Fields::default();
                own.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
                on_response(year, scheme, &mut fields);
                let all = |name: &str| {
                    let values =
                        fields.all_named(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned());
                    values.collect::<Vec<_>>()
                };
                assert_eq!(all("x-content-type-options"), ["nosniff"]);
                assert_eq!(all("x-frame-options"), frame.into_iter().collect::<Vec<_>>(), "{own:?}");
                assert_eq!(all("referrer-policy"), [referrer]);
                if is_secure {
                    assert_eq!(all("strict-transport-security"), [sts]);
                }
            }
        }
        let mut fields = Fields::default();
        on_response(None, ClientScheme::Https, &mut fields);
        assert_eq!(fields.get_named(hsts::NAME), None, "`hsts` says something else");
        let mut fields = Fields::default();
        on_response(year, ClientScheme::Http, &mut fields);
        assert_eq!(fields.get_named(hsts::NAME), None, "browsers ignore it in the clear");
    }
}
