//! The header of the PROXY protocol, version 1 or 2, by which a proxy says whose connection it passes on.
//!
//! It is read of peers that a setting names, and of these it is demanded: a connection whose origin is unknown would
//! pass for one of the proxy itself. Of all other peers nothing is read here, so that a header of theirs is what
//! follows it: no request and no handshake.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{Command, Protocol};
use ppp::{PartialResult, v1, v2};

use crate::downstream::peeked_tcp::PeekedTcp;

/// The longest header. Those of real proxies have some hundred bytes, with everything that they say of TLS.
const LEN_MAX: usize = 4096;

/// The beginning of a header of version 1.
const V1_BEGIN: &[u8] = b"PROXY ";

/// The longest header of version 1, with the end of its line.
const V1_LEN_MAX: usize = 107;

/// A whole header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ProxyHeader {
    len: usize,
    /// The client of the proxy. None where the proxy speaks for itself, or does not tell by an address.
    client: Option<SocketAddr>,
}

/// Reads the header and leaves what follows it. Returns the client that the proxy names, if it names one.
///
/// # Errors
///
/// The connection ends or begins with something else, or the header is longer than [`LEN_MAX`].
pub(crate) async fn read(conn: &mut PeekedTcp) -> io::Result<Option<SocketAddr>> {
    loop {
        if let Some(ProxyHeader { len, client }) = parse(conn.ahead())? {
            conn.skip(len);
            return Ok(client);
        }
        if conn.read_ahead().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// None where more bytes are needed.
fn parse(bytes: &[u8]) -> io::Result<Option<ProxyHeader>> {
    let is_text = bytes.starts_with(V1_BEGIN) || V1_BEGIN.starts_with(bytes);
    let header = if is_text { parse_v1(bytes)? } else { parse_v2(bytes)? };
    let Some(ProxyHeader { len, client }) = header else {
        return if bytes.len() < LEN_MAX { Ok(None) } else { Err(refused("its header is too long")) };
    };
    if len > LEN_MAX {
        return Err(refused("its header is too long"));
    }
    let client = client.map(|client| SocketAddr::new(client.ip().to_canonical(), client.port()));
    Ok(Some(ProxyHeader { len, client }))
}

/// The parser takes some beginnings of a line for lines that are wrong, so it gets whole ones.
fn parse_v1(bytes: &[u8]) -> io::Result<Option<ProxyHeader>> {
    let line = &bytes[..bytes.len().min(V1_LEN_MAX)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return if line.len() < V1_LEN_MAX { Ok(None) } else { Err(refused("its header is too long")) };
    };
    let line = &line[..=end];
    let header = v1::Header::try_from(line).map_err(|_| refused("its header is wrong"))?;
    if header.header.len() != line.len() {
        return Err(refused("its header is wrong"));
    }
    let client = match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Tcp6(of) => Some((of.source_address, of.source_port).into()),
    };
    Ok(Some(ProxyHeader { len: line.len(), client }))
}

fn parse_v2(bytes: &[u8]) -> io::Result<Option<ProxyHeader>> {
    let parsed = v2::Header::try_from(bytes);
    if parsed.is_incomplete() {
        return Ok(None);
    }
    let header = parsed.map_err(|_| refused("it begins with no header"))?;
    if header.protocol == Protocol::Datagram {
        return Err(refused("its header is about datagrams"));
    }
    let client = match (header.command, header.addresses) {
        // A check of the proxy's own.
        (Command::Local, _) => None,
        (Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        (Command::Proxy, v2::Addresses::IPv4(of)) => Some((of.source_address, of.source_port).into()),
        (Command::Proxy, v2::Addresses::IPv6(of)) => Some((of.source_address, of.source_port).into()),
    };
    Ok(Some(ProxyHeader { len: header.header.len(), client }))
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    /// A header of version 2.
    fn v2_header(version_and_command: u8, family_and_protocol: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).expect("short");
        [SIGNATURE, &[version_and_command, family_and_protocol], &len.to_be_bytes(), rest].concat()
    }

    fn ipv4(tlvs: &[u8]) -> Vec<u8> {
        let addresses = [203, 0, 113, 7, 192, 0, 2, 1, 0x30, 0x39, 0x01, 0xbb];
        v2_header(0x21, 0x11, &[&addresses[..], tlvs].concat())
    }

    fn ipv6() -> Vec<u8> {
        let mut addresses = [0; 36];
        addresses[..2].copy_from_slice(&[0x20, 0x01]);
        addresses[15] = 7;
        addresses[32..34].copy_from_slice(&12345_u16.to_be_bytes());
        v2_header(0x21, 0x21, &addresses)
    }

    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        vec![
            (b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n".to_vec(), Some("203.0.113.7:12345")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n".to_vec(), Some("[2001:db8::7]:12345")),
            (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 12345 443\r\n".to_vec(), Some("203.0.113.7:12345")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n".to_vec(), None),
            (ipv4(b""), Some("203.0.113.7:12345")),
            // Type, length and value that nobody here asks for.
            (ipv4(&[0x02, 0, 3, b'a', b'.', b'b', 0x04, 0, 0]), Some("203.0.113.7:12345")),
            (ipv6(), Some("[2001::7]:12345")),
            (v2_header(0x20, 0x11, &[203, 0, 113, 7, 0, 0, 0, 0, 0, 0, 0, 0]), None),
            (v2_header(0x20, 0x00, b""), None),
            (v2_header(0x21, 0x00, &[0xea, 0, 1, 7]), None),
            (v2_header(0x21, 0x31, &[b'x'; 216]), None),
        ]
    }

    #[test]
    fn a_header_is_whole_with_its_last_byte_and_what_follows_is_left() {
        for (header, client) in headers() {
            for len in 0..header.len() {
                assert_eq!(parse(&header[..len]).expect("a beginning"), None, "{len} of {header:?}");
            }
            let read = parse(&[&header, &b"GET / HTTP/1.1\r\n"[..]].concat()).expect("a header").expect("whole");
            assert_eq!(read.len, header.len());
            assert_eq!(read.client.map(|client| client.to_string()).as_deref(), client);
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_is_known() {
        let too_long = v2_header(0x21, 0x11, &[0; LEN_MAX]);
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PRI * HTTP/2.0\r\n",
            b"\x16\x03\x01",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 65536\r\n",
            b"PROXY TCP4 2001:db8::7 192.0.2.1 12345 443\r\n",
            b"PROXY UDP4 203.0.113.7 192.0.2.1 12345 443\r\n",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\r\n",
            &v2_header(0x11, 0x11, &[0; 12]),
            &v2_header(0x22, 0x11, &[0; 12]),
            &v2_header(0x21, 0x41, &[0; 12]),
            &v2_header(0x21, 0x12, &[0; 12]),
            &v2_header(0x21, 0x11, &[0; 11]),
            &too_long,
            &[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse(&too_long[..LEN_MAX]).is_err(), "no more of it is waited for");
    }

    proptest! {
        #[test]
        fn no_bytes_make_more_of_themselves(bytes in prop::collection::vec(any::<u8>(), 0..300), begun in any::<bool>()) {
            let bytes = if begun { [SIGNATURE, &bytes[..]].concat() } else { bytes };
            if let Ok(Some(header)) = parse(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
        }
    }
}
