//! Credentials that authenticate a connection instead of its requests: NTLM and Negotiate (RFC 4559).

use http::StatusCode;

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;

/// Whether a request carries credentials that authenticate the connection.
pub(crate) fn carries_credentials(request: &Fields) -> bool {
    let kinds = [FieldKind::Authorization, FieldKind::ProxyAuthorization];
    request.iter().any(|field| kinds.contains(&field.kind) && is_of_connections(field.value))
}

/// Whether a response asks for such credentials.
pub(crate) fn asks_for_credentials(response: &ResponseHead) -> bool {
    let kind = match response.status {
        StatusCode::UNAUTHORIZED => FieldKind::WwwAuthenticate,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => FieldKind::ProxyAuthenticate,
        _ => return false,
    };
    // One field may list several challenges. A comma within quotes can only add a harmless one.
    response.fields.all(kind).any(|value| value.split(|byte| *byte == b',').any(is_of_connections))
}

fn is_of_connections(credentials: &[u8]) -> bool {
    let scheme = credentials.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_schemes_of_connections_count() {
        let asked = |status: u16, name: &str, value: &str| {
            let mut response =
                ResponseHead { status: StatusCode::from_u16(status).expect("a status"), ..Default::default() };
            response.fields.push(name.as_bytes(), value.as_bytes());
            asks_for_credentials(&response)
        };
        assert!(asked(401, "www-authenticate", "NTLM"));
        assert!(asked(401, "www-authenticate", "Basic realm=\"a, b\", negotiate"));
        assert!(asked(401, "WWW-Authenticate", "Negotiate dG9rZW4="));
        assert!(asked(407, "proxy-authenticate", "ntlm dG9rZW4="));
        assert!(!asked(401, "www-authenticate", "Basic realm=\"NTLM\""));
        assert!(!asked(401, "proxy-authenticate", "NTLM"));
        assert!(!asked(200, "www-authenticate", "NTLM"));
        let carried = |value: &str| {
            let mut fields = Fields::default();
            fields.push(b"Authorization", value.as_bytes());
            carries_credentials(&fields)
        };
        assert!(carried("NTLM TlRMTVNTUAAB") && carried("negotiate YII="));
        assert!(!carried("Basic TlRMTQ==") && !carried("Bearer NTLM"));
    }
}
