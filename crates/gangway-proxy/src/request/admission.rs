//! Checks whether a parsed request may be served, in all versions of HTTP, and keeps what it names.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use gangway_model::RequestView;
use gangway_model::path::normalise;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;

use crate::grammar::{
    FIELD_OVERHEAD, absolute_authority, content_length, has_whole_escapes, host_of_authority, is_target,
};
use crate::limits::Limits;
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;
use crate::request::client_origin::ClientOrigin;

/// A request that may be served, with everything about it that does not depend on a table.
///
/// Computed once and never changed: a decision by a later table repeats none of it. The path and the query stay in
/// the request's target; only their positions are kept.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The host in the form in which hosts are compared: lower case, without port and final dot, IPv6 in brackets and
    /// in its shortest form.
    pub(crate) host: String,
    /// The port that the client named.
    pub(crate) port: Option<u16>,
    pub(crate) origin: ClientOrigin,
    /// Whether the request asks for a WebSocket.
    pub(crate) is_upgrade: bool,
    /// The position of the path, without the query. Empty for a target in absolute form that has no path.
    path: Range<usize>,
    /// The position of the query, without the question mark.
    query: Range<usize>,
    /// The path in the form in which paths are compared, if it was sent in another form.
    normal_path: Option<String>,
}

impl Admission {
    /// Checks what the gate cannot see (HTTP/2) and what holds for all versions.
    pub(crate) fn of(
        head: &RequestHeader,
        origin: ClientOrigin,
        is_upgrade: bool,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        if head.version > Version::HTTP_11 {
            check_http2(head, limits)?;
        }
        let (host, port) =
            split_authority(authority(head)?).ok_or(Rejection::bad("Host is no host name with a port"))?;
        let target = std::str::from_utf8(head.raw_path()).map_err(|_| Rejection::bad("the target is not ASCII"))?;
        let start = absolute_authority(target.as_bytes()).map_or(0, |authority| authority.end);
        let mark = target[start..].find('?').map(|at| start + at);
        let path = start..mark.unwrap_or(target.len());
        let query = mark.map_or(target.len(), |mark| mark + 1)..target.len();
        if !has_whole_escapes(&target[path.clone()]) {
            return Err(Rejection::bad("a percent sign in the path is not followed by two digits"));
        }
        let normal_path = match normalise(&target[path.clone()]) {
            Cow::Borrowed(_) => None,
            Cow::Owned(normal) => Some(normal),
        };
        Ok(Self { host: host.into_owned(), port, origin, is_upgrade, path, query, normal_path })
    }

    /// The path as sent. `head` is the head that was admitted.
    pub(crate) fn path<'h>(&self, head: &'h RequestHeader) -> &'h str {
        match part(head, &self.path) {
            "" => "/",
            path => path,
        }
    }

    /// The request as routes match it. `head` is the head that was admitted.
    pub(crate) fn view<'a>(&'a self, head: &'a RequestHeader) -> RequestView<'a> {
        RequestView {
            host: &self.host,
            path: self.normal_path.as_deref().unwrap_or_else(|| self.path(head)),
            query: part(head, &self.query),
            method: &head.method,
            headers: &head.headers,
            // A gateway's address says nothing about the client, so it must match no network.
            client: if self.origin.is_anonymous { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { self.origin.client },
        }
    }
}

/// A part of the head's target. Empty where the positions do not fit, which would be a bug.
fn part<'h>(head: &'h RequestHeader, part: &Range<usize>) -> &'h str {
    let bytes = head.raw_path().get(part.clone()).unwrap_or_default();
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn check_http2(request: &RequestHeader, limits: &Limits) -> Result<(), Rejection> {
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Rejection::new(Reason::MethodNotAllowed, "CONNECT and TRACE are not served"));
    }
    let target = request.raw_path();
    if target.len() > limits.target_bytes {
        return Err(Rejection::target_too_long(limits.target_bytes));
    }
    if !(target.starts_with(b"/") || target == b"*" && request.method == Method::OPTIONS) || !is_target(target) {
        return Err(Rejection::bad("the path is not in the form it must have"));
    }
    let headers = &request.headers;
    // The client sent four pseudo-fields as fields.
    let size = headers.iter().fold(target.len() + 4 * FIELD_OVERHEAD, |size, (name, value)| {
        size + name.as_str().len() + value.len() + FIELD_OVERHEAD
    });
    if size > limits.head_bytes {
        return Err(Rejection::head_too_large(limits.head_bytes));
    }
    if fields(headers) > limits.head_fields {
        return Err(Rejection::too_many_fields(limits.head_fields));
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

/// The number of fields as the client counts them: browsers send each cookie as a field of its own (RFC 9113, section
/// 8.2.3).
fn fields(headers: &HeaderMap) -> usize {
    headers.len() - headers.get_all(COOKIE).iter().count().saturating_sub(1)
}

/// The single authority that a request names.
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

/// Splits an authority into host and port. None if it has any other part.
fn split_authority(authority: &str) -> Option<(Cow<'_, str>, Option<u16>)> {
    let host = host_of_authority(authority.as_bytes())?;
    let port = match authority.as_bytes().get(host.len()..)? {
        [] => None,
        // An empty port means the default port (RFC 3986, section 3.2.3).
        [b':'] => None,
        _ => Some(authority[host.len() + 1..].parse().ok()?),
    };
    Some((comparable(&authority[..host.len()]), port))
}

/// The form in which a host is compared. Allocates only if the host was sent in another form.
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

    fn admit(head: &RequestHeader) -> Result<Admission, Rejection> {
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let origin = ClientOrigin { client, secure: false, local: false, is_anonymous: false };
        Admission::of(head, origin, false, &Limits::default())
    }

    fn request(build: impl FnOnce(&mut RequestHeader)) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/a?b=c", None).expect("valid");
        build(&mut request);
        request
    }

    fn refused(build: impl FnOnce(&mut RequestHeader)) -> Option<u16> {
        admit(&request(build)).err().map(|rejection| rejection.reason.status())
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_final_dot() {
        let request = request(|r| r.insert_header("Host", "Shop.Example.ORG.:8443").expect("valid"));
        let admitted = admit(&request).expect("in order");
        assert_eq!((&*admitted.host, admitted.port), ("shop.example.org", Some(8443)));
        assert_eq!((admitted.path(&request), admitted.view(&request).query), ("/a", "b=c"));
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
            let admitted = admit(&request).expect("in order");
            assert_eq!((admitted.path(&request), admitted.view(&request).query), (path, query), "{target}");
        }
    }

    #[test]
    fn a_path_must_mean_the_same_to_every_decoder() {
        let refused = |target: &str| {
            let mut request = RequestHeader::build("GET", target.as_bytes(), None).expect("valid");
            request.insert_header("host", "a").expect("valid");
            admit(&request).err().map(|rejection| rejection.reason.status())
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

    proptest::proptest! {
        #[test]
        fn hosts_are_compared_in_the_form_that_the_model_knows(
            host in "[A-Za-z0-9._-]{1,12}|\\[[0-9a-fA-F:]{2,8}\\]",
            port in "|:[0-9]{0,5}",
        ) {
            use gangway_model::{HOST_LEN_MAX, canonical_host};

            let authority = format!("{host}{port}");
            let Some((host, _)) = split_authority(&authority) else { return Ok(()) };
            // A single dot is a host that no route has here, and no host in the model.
            let known = canonical_host(&authority, &mut [0; HOST_LEN_MAX]).unwrap_or(".").to_owned();
            proptest::prop_assert_eq!(&*host, known);
        }
    }
}
