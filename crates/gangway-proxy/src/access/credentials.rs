//! The credentials of the `Basic` scheme (RFC 7617).

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::{alphabet, engine::DecodePaddingMode};

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;

/// Longer ones are no password that a human or a program would have, and each costs a hash.
const LEN_MAX: usize = 1024;

/// Clients with and without padding exist.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user name and a password, as sent.
pub(crate) struct Credentials {
    text: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Those of a request. None where it has none, several, or such that nobody can have.
    pub(crate) fn of(fields: &Fields) -> Option<Self> {
        let mut all = fields.all(FieldKind::Authorization);
        let (value, None) = (all.next()?, all.next()) else { return None };
        let encoded = basic(value)?;
        if encoded.len() > LEN_MAX {
            return None;
        }
        let text = BASE64.decode(encoded).ok()?;
        let colon = memchr::memchr(b':', &text)?;
        let is_text = std::str::from_utf8(&text[..colon]).is_ok();
        // RFC 7617, section 2: neither has control characters.
        let is_clean = !text.iter().any(u8::is_ascii_control);
        (colon > 0 && is_text && is_clean).then_some(Self { text, colon })
    }

    pub(crate) fn user(&self) -> &str {
        std::str::from_utf8(&self.text[..self.colon]).unwrap_or_default()
    }

    pub(crate) fn password(&self) -> &[u8] {
        &self.text[self.colon + 1..]
    }
}

/// The part behind the scheme, if the scheme is `Basic`.
fn basic(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(5)?;
    let encoded = rest.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(b"basic") && encoded.len() < rest.len()).then_some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<(String, Vec<u8>)> {
        let mut fields = Fields::default();
        for value in values {
            fields.push(b"Authorization", value.as_bytes());
        }
        Credentials::of(&fields).map(|credentials| (credentials.user().to_owned(), credentials.password().to_vec()))
    }

    #[test]
    fn a_user_and_a_password_with_colons() {
        let expected = Some(("Aladdin".to_owned(), b"open sesame".to_vec()));
        for value in ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ"] {
            assert_eq!(read(&[value]), expected, "{value}");
        }
        // The example of RFC 7617, section 2.1.
        assert_eq!(read(&["Basic dGVzdDoxMjPCow=="]), Some(("test".to_owned(), "123£".as_bytes().to_vec())));
        assert_eq!(read(&["Basic YTo6Yg=="]), Some(("a".to_owned(), b":b".to_vec())));
        assert_eq!(read(&["Basic YTo="]), Some(("a".to_owned(), Vec::new())));
    }

    #[test]
    fn anything_else_is_none() {
        let long = format!("Basic {}", "QUFB".repeat(300));
        for value in [
            "",
            "Basic",
            "Basic ",
            "BasicYTpi",
            "Bearer YTpi",
            "Basic YWI=",
            "Basic OmI=",
            "Basic YQo6Yg==",
            "Basic !!!",
            "Basic YTpi YTpi",
            "Basic YTpi,",
            "Basic _zpi",
            &long,
        ] {
            assert_eq!(read(&[value]), None, "{value}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Basic YTpi", "Basic YTpi"]), None, "which of them counts is not for us to guess");
    }
}
