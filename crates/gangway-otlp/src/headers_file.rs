//! The fields that each request carries, from a file.

use std::path::Path;

use gangway_http_client::read_small_file;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::export_error::ExportError;

/// Longer than any key.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Fields that say what we send, and how.
const OURS: [HeaderName; 6] = [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING];

/// Reads the fields. Their values are marked as secrets.
pub(crate) async fn read(file: &Path) -> Result<HeaderMap, ExportError> {
    let text = read_small_file(file, FILE_BYTES_MAX).await.map_err(ExportError::Headers)?;
    parse(&text).map_err(ExportError::Headers)
}

/// One field a line, `Name: value`. Empty lines and lines that begin with `#` say nothing. An error names the line by its
/// number alone: it may hold a secret.
fn parse(text: &str) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| format!("line {} {what}", number + 1);
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("is not `Name: value`"))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong("has no name of a field"))?;
        if OURS.contains(&name) {
            return Err(wrong("has a field that Gangway sets itself"));
        }
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong("has no value of a field"))?;
        value.set_sensitive(true);
        fields.append(name, value);
    }
    match fields.is_empty() {
        true => Err("it has no field".to_owned()),
        false => Ok(fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_fields_and_no_error_shows_one() {
        let fields = parse("# for Grafana\n\nAuthorization: Basic c2VjcmV0\r\nx-scope: a:b \n").expect("fields");
        assert!(fields.len() == 2 && fields["authorization"] == "Basic c2VjcmV0" && fields["x-scope"] == "a:b");
        assert!(!format!("{fields:?}").contains("c2VjcmV0"));
        for (wrong, why) in [
            ("", "it has no field"),
            ("# a\n", "it has no field"),
            ("s3cret", "line 1 is not `Name: value`"),
            ("A: b\ns3cret name: x", "line 2 has no name of a field"),
            ("A: s3cret\u{7}", "line 1 has no value of a field"),
            ("Content-Type: s3cret", "line 1 has a field that Gangway sets itself"),
        ] {
            assert_eq!(parse(wrong).expect_err("wrong"), why);
        }
    }
}
