//! Recognises requests for a WebSocket.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Version};
use pingora::http::RequestHeader;

/// Whether a request asks for a WebSocket and for nothing else.
///
/// Agrees exactly with the gate. Otherwise Pingora could tunnel bytes that the gate reads as requests, and the
/// connection would stall.
pub(crate) fn asks_for_websocket(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    let mut upgrades = headers.get_all(UPGRADE).iter();
    if !upgrades.next().is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return false;
    }
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    upgrades.next().is_none()
        && options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        && request.version == Version::HTTP_11
        && request.method == Method::GET
        && !headers.contains_key(TRANSFER_ENCODING)
        && headers.get(CONTENT_LENGTH).is_none_or(|len| len.as_bytes().iter().all(|digit| *digit == b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_asked_for_as_the_gate_reads_it() {
        let cases: [&[(&str, &str)]; 9] = [
            &[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")],
            &[("connection", "upgrade"), ("upgrade", "websocket"), ("content-length", "0")],
            &[("upgrade", "websocket")],
            &[("connection", "upgrade")],
            &[("connection", "upgrade"), ("upgrade", "h2c")],
            &[("connection", "upgrade"), ("upgrade", "websocket, h2c")],
            &[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")],
            &[("connection", "upgrade"), ("upgrade", "websocket"), ("content-length", "1")],
            &[("connection", "upgrade"), ("upgrade", "websocket"), ("transfer-encoding", "chunked")],
        ];
        for method in ["GET", "POST"] {
            for fields in cases {
                let mut head = format!("{method} / HTTP/1.1\r\nhost: a\r\n");
                let mut request = RequestHeader::build(method, b"/", None).expect("valid");
                for (name, value) in fields {
                    head += &format!("{name}: {value}\r\n");
                    request.append_header(name.to_string(), *value).expect("valid");
                }
                head += "\r\n";
                let bounds = crate::http1::request_parser::HeadBounds { bytes: 1000, fields: 10, target: 10 };
                let read = crate::http1::head::HeadReader::new(bounds).read(head.as_bytes());
                let by_gate = matches!(read, Ok(Some((_, crate::http1::head::Framing::None { upgrade: true }))));
                assert_eq!(asks_for_websocket(&request), by_gate, "{head}");
            }
        }
    }
}
