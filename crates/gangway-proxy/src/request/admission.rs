//! Whether a parsed request may be served, whatever version of HTTP it came by, and what it names.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;

use crate::grammar::{
    FIELD_OVERHEAD, absolute_authority, content_length, has_whole_escapes, host_of_authority, is_target,
};
use crate::limits::Limits;
use crate::reason::Reason;
use crate::rejection::Rejection;

/// A request that may be served, in the parts by which it is matched.
#[derive(Debug)]
pub(crate) struct Admitted<'r> {
    /// In the form in which hosts are compared: lower case, without port and final dot, IPv6 in brackets
    /// and as short as it gets.
    pub(crate) host: Cow<'r, str>,
    /// The port the client named, if any.
    pub(crate) port: Option<u16>,
    /// As sent, without the query.
    pub(crate) path: &'r str,
    /// As sent, without the question mark.
    pub(crate) query: &'r str,
}

/// Checks what the gate cannot see (HTTP/2) and what holds for every version.
pub(crate) fn admit<'r>(request: &'r RequestHeader, limits: &Limits) -> Result<Admitted<'r>, Rejection> {
    if request.version > Version::HTTP_11 {
        admit_http2(request, limits)?;
    }
    let authority = authority(request)?;
    let (host, port) = split_authority(authority).ok_or(Rejection::bad("Host is no host name with a port"))?;
    let target = std::str::from_utf8(request.raw_path()).map_err(|_| Rejection::bad("the target is not ASCII"))?;
    let target = absolute_authority(target.as_bytes()).map_or(target, |authority| &target[authority.end..]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !has_whole_escapes(path) {
        return Err(Rejection::bad("a percent sign in the path is not followed by two digits"));
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok(Admitted { host, port, path, query })
}

fn admit_http2(request: &RequestHeader, limits: &Limits) -> Result<(), Rejection> {
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Rejection::new(Reason::MethodNotAllowed, "CONNECT and TRACE are not served"));
    }
    let target = request.raw_path();
    if target.len() > limits.target_bytes {
        return Err(Rejection::new(Reason::TargetTooLong, "the target is longer than 8 KiB"));
    }
    if !(target.starts_with(b"/") || target == b"*" && request.method == Method::OPTIONS) || !is_target(target) {
        return Err(Rejection::bad("the path is not in the form it must have"));
    }
    let headers = &request.headers;
    // The four pseudo-fields were fields to the client.
    let size = headers.iter().fold(target.len() + 4 * FIELD_OVERHEAD, |size, (name, value)| {
        size + name.as_str().len() + value.len() + FIELD_OVERHEAD
    });
    if size > limits.head_bytes || fields(headers) > limits.head_fields {
        return Err(Rejection::new(Reason::HeadTooLarge, "the head is larger than 32 KiB or 100 fields"));
    }
    let connection_specific = [CONNECTION, TRANSFER_ENCODING, UPGRADE];
    if connection_specific.iter().any(|name| headers.contains_key(name))
        || headers.contains_key("keep-alive")
        || headers.contains_key("proxy-connection")
        || headers.get_all(TE).iter().any(|te| te != "trailers")
    {
        return Err(Rejection::bad("a field of HTTP/1 in HTTP/2"));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|value| content_length(value.as_bytes()).is_none()) || lengths.next().is_some() {
        return Err(Rejection::bad("Content-Length is no single number"));
    }
    Ok(())
}

/// How many fields the client meant: browsers send each cookie as a field of its own (RFC 9113, section
/// 8.2.3).
fn fields(headers: &HeaderMap) -> usize {
    headers.len() - headers.get_all(COOKIE).iter().count().saturating_sub(1)
}

/// The one authority that a request names.
fn authority(request: &RequestHeader) -> Result<&str, Rejection> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Rejection::bad("several Hosts"));
    }
    let host = host.map(|host| host.to_str()).transpose().map_err(|_| Rejection::bad("Host is not ASCII"))?;
    let pseudo = request.uri.authority().map(http::uri::Authority::as_str);
    match (pseudo, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Rejection::bad(":authority and Host differ"))
        }
        (Some(authority), _) => Ok(authority),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(Rejection::bad("no Host")),
    }
}

/// A host and its port, if an authority is nothing but these.
fn split_authority(authority: &str) -> Option<(Cow<'_, str>, Option<u16>)> {
    let host = host_of_authority(authority.as_bytes())?;
    let port = match authority.as_bytes().get(host.len()..)? {
        [] => None,
        // An empty port is the default one (RFC 3986, section 3.2.3).
        [b':'] => None,
        _ => Some(authority[host.len() + 1..].parse().ok()?),
    };
    Some((comparable(&authority[..host.len()]), port))
}

/// The form in which a host is compared; allocates only where it came in another one.
fn comparable(host: &str) -> Cow<'_, str> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let short = address.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
        return short.ok().filter(|short| short != host).map_or(Cow::Borrowed(host), Cow::Owned);
    }
    let host = host.strip_suffix('.').filter(|host| !host.is_empty()).unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(build: impl FnOnce(&mut RequestHeader)) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/a?b=c", None).expect("valid");
        build(&mut request);
        request
    }

    fn refused(build: impl FnOnce(&mut RequestHeader)) -> Option<u16> {
        admit(&request(build), &Limits::default()).err().map(|refusal| refusal.reason.status())
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_final_dot() {
        let request = request(|r| r.insert_header("Host", "Shop.Example.ORG.:8443").expect("valid"));
        let admitted = admit(&request, &Limits::default()).expect("in order");
        assert_eq!((&*admitted.host, admitted.port), ("shop.example.org", Some(8443)));
        assert_eq!((admitted.path, admitted.query), ("/a", "b=c"));
    }

    #[test]
    fn a_host_costs_nothing_where_it_is_in_order() {
        assert!(matches!(split_authority("shop.example.org:80"), Some((Cow::Borrowed("shop.example.org"), Some(80)))));
        assert!(matches!(split_authority("[::1]"), Some((Cow::Borrowed("[::1]"), None))));
        assert_eq!(split_authority("[0:0:0:0:0:0:0:1]:8080"), Some((Cow::Owned("[::1]".to_owned()), Some(8080))));
        assert_eq!(split_authority("."), Some((Cow::Borrowed("."), None)));
    }

    #[test]
    fn a_target_in_absolute_form_is_matched_by_its_path() {
        for (target, path, query) in [
            ("http://a/x?y=z", "/x", "y=z"),
            ("HTTP://a", "/", ""),
            ("http://a?y=http://b/", "/", "y=http://b/"),
            ("/http://a/x", "/http://a/x", ""),
            ("*", "*", ""),
        ] {
            let mut request = RequestHeader::build("OPTIONS", target.as_bytes(), None).expect("valid");
            request.insert_header("host", "a").expect("valid");
            let admitted = admit(&request, &Limits::default()).expect("in order");
            assert_eq!((admitted.path, admitted.query), (path, query), "{target}");
        }
    }

    #[test]
    fn a_path_must_mean_the_same_to_every_decoder() {
        let refused = |target: &str| {
            let mut request = RequestHeader::build("GET", target.as_bytes(), None).expect("valid");
            request.insert_header("host", "a").expect("valid");
            admit(&request, &Limits::default()).err().map(|refusal| refusal.reason.status())
        };
        for good in ["/", "/%2F%2f//x", "/%00", "/a?100%", "/a?%zz"] {
            assert_eq!(refused(good), None, "{good}");
        }
        for bad in ["/%", "/%a", "/%zz/x", "/%u0041", "/100%?x=%41", "/%%41"] {
            assert_eq!(refused(bad), Some(400), "{bad}");
        }
    }

    #[test]
    fn http2_is_held_to_the_same_bounds() {
        let http2 = |r: &mut RequestHeader| {
            r.set_version(Version::HTTP_2);
            r.insert_header("host", "a").expect("valid");
        };
        assert_eq!(refused(http2), None);
        assert_eq!(
            refused(|r| {
                http2(r);
                r.insert_header("connection", "close").expect("valid");
            }),
            Some(400)
        );
        assert_eq!(
            refused(|r| {
                http2(r);
                r.insert_header("te", "gzip").expect("valid");
            }),
            Some(400)
        );
        assert_eq!(
            refused(|r| {
                http2(r);
                r.insert_header("content-length", "5, 5").expect("valid");
            }),
            Some(400)
        );
        assert_eq!(
            refused(|r| {
                http2(r);
                r.insert_header("x", "y".repeat(33_000)).expect("valid");
            }),
            Some(431)
        );
        assert_eq!(
            refused(|r| {
                http2(r);
                r.set_method(Method::TRACE);
            }),
            Some(405)
        );
        assert_eq!(refused(|r| r.set_version(Version::HTTP_2)), Some(400));
        let many = |name: &'static str| {
            refused(|r| {
                http2(r);
                for _ in 0..100 {
                    let _ = r.append_header(name, "a=b").expect("valid");
                }
            })
        };
        assert_eq!((many("x"), many("cookie")), (Some(431), None));
    }
}
