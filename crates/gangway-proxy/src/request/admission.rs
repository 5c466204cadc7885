//! Checks what holds for the requests of every version of HTTP, and keeps what a request names.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gangway_model::path::normalise;
use gangway_model::{Arrival, RequestView};

use crate::grammar::{has_whole_escapes, host_of_authority, port};
use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::reply::rejection::Rejection;
use crate::request::client_origin::ClientOrigin;

/// A request that may be served, with everything about it that does not depend on a table.
///
/// Computed once and never changed: a decision by a later table repeats none of it. The host, the path and the query
/// stay in the request's head; only their lengths are kept, so that an ordinary request costs no allocation.
#[derive(Debug)]
pub(crate) struct Admission {
    host: AdmittedHost,
    /// The port that the client named.
    pub(crate) port: Option<u16>,
    pub(crate) origin: ClientOrigin,
    /// The length of the path in the target.
    path_len: usize,
    /// The path in the form in which paths are compared, if it was sent in another form.
    normal_path: Option<String>,
}

/// The host in the form in which hosts are compared: lower case, without port and final dot, IPv6 in brackets and in
/// its shortest form.
#[derive(Debug)]
enum AdmittedHost {
    /// The `Host` field begins with it; this is its length.
    AsSent(usize),
    /// It was sent in another form.
    Changed(Box<str>),
}

impl Admission {
    /// Checks what the session of the client's version of HTTP leaves to be checked.
    pub(crate) fn of(head: &RequestHead, origin: ClientOrigin) -> Result<Self, Rejection> {
        let authority = authority(head)?;
        let host_len = match head.host_len {
            Some(len) => Some(len),
            None => host_of_authority(authority).map(<[u8]>::len),
        };
        let split = host_len.and_then(|len| split_authority(authority, len));
        let (host, port) = split.ok_or(Rejection::bad("Host is no host name with a port"))?;
        let target = &*head.target;
        // Without branches, so that the compiler looks at many bytes at once.
        let is_special = |byte: u8| (byte == b'?') | (byte == b'%');
        let has_special = target.bytes().fold(false, |found, byte| found | is_special(byte));
        let path_len = if has_special { target.find('?').unwrap_or(target.len()) } else { target.len() };
        let path = &target[..path_len];
        if has_special && !has_whole_escapes(path) {
            return Err(Rejection::bad("a percent sign in the path is not followed by two digits"));
        }
        let normal_path = match normalise(path) {
            Cow::Borrowed(_) => None,
            Cow::Owned(normal) => Some(normal),
        };
        Ok(Self { host, port, origin, path_len, normal_path })
    }

    /// The host in the form in which hosts are compared. `head` is the head that was admitted, like below.
    pub(crate) fn host<'a>(&'a self, head: &'a RequestHead) -> &'a str {
        match &self.host {
            AdmittedHost::Changed(host) => host,
            AdmittedHost::AsSent(len) => {
                // Empty where the length does not fit, which would be a bug.
                let host = head.fields.get(FieldKind::Host).and_then(|host| host.get(..*len)).unwrap_or_default();
                std::str::from_utf8(host).unwrap_or_default()
            }
        }
    }

    /// The path as sent.
    pub(crate) fn path<'h>(&self, head: &'h RequestHead) -> &'h str {
        head.target.get(..self.path_len).unwrap_or_default()
    }

    /// The path in the form in which paths are compared.
    pub(crate) fn normal_path<'a>(&'a self, head: &'a RequestHead) -> &'a str {
        self.normal_path.as_deref().unwrap_or_else(|| self.path(head))
    }

    /// The query as sent, without the question mark.
    pub(crate) fn query<'h>(&self, head: &'h RequestHead) -> &'h str {
        head.target.get(self.path_len + 1..).unwrap_or_default()
    }

    /// The request as routes match it.
    pub(crate) fn view<'a>(&'a self, head: &'a RequestHead, arrival: Arrival<'a>) -> RequestView<'a> {
        RequestView {
            host: self.host(head),
            path: self.normal_path(head),
            query: self.query(head),
            method: &head.method,
            headers: &head.fields,
            // A gateway's address says nothing about the client, so it must match no network.
            client: if self.origin.is_anonymous { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { self.origin.client },
            arrival,
        }
    }
}

/// The single authority that a request names.
fn authority(head: &RequestHead) -> Result<&[u8], Rejection> {
    let mut hosts = head.fields.all(FieldKind::Host);
    let host = hosts.next().ok_or(Rejection::bad("no Host"))?;
    if hosts.next().is_some() {
        return Err(Rejection::bad("several Hosts"));
    }
    Some(host).filter(|host| host.is_ascii()).ok_or(Rejection::bad("Host is not ASCII"))
}

/// Splits an authority, whose host has this length, into host and port. None if it has any other part.
fn split_authority(authority: &[u8], host_len: usize) -> Option<(AdmittedHost, Option<u16>)> {
    let (host, rest) = authority.split_at_checked(host_len)?;
    let port = match rest {
        // An empty port means the default port (RFC 3986, section 3.2.3).
        [] | [b':'] => None,
        [_, digits @ ..] => Some(port(digits)?),
    };
    Some((comparable(host)?, port))
}

/// The form in which a host is compared. Allocates only if the host was sent in another form.
fn comparable(host: &[u8]) -> Option<AdmittedHost> {
    if let [b'[', address @ .., b']'] = host {
        let address: Ipv6Addr = std::str::from_utf8(address).ok()?.parse().ok()?;
        let short = format!("[{address}]");
        return Some(match short.as_bytes() == host {
            true => AdmittedHost::AsSent(host.len()),
            false => AdmittedHost::Changed(short.into()),
        });
    }
    let host = host.strip_suffix(b".").filter(|host| !host.is_empty()).unwrap_or(host);
    if host.iter().any(u8::is_ascii_uppercase) {
        let host = std::str::from_utf8(host).ok()?;
        return Some(AdmittedHost::Changed(host.to_ascii_lowercase().into()));
    }
    Some(AdmittedHost::AsSent(host.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(head: &RequestHead) -> Result<Admission, Rejection> {
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Admission::of(head, ClientOrigin { client, secure: false, local: false, is_anonymous: false, is_certain: true })
    }

    fn refused(target: &str, fields: &[(&str, &str)]) -> Option<u16> {
        admit(&RequestHead::of_test("GET", target, fields)).err().map(|rejection| rejection.reason.status())
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_final_dot() {
        for (sent, host, port) in [
            ("Shop.Example.ORG.:8443", "shop.example.org", Some(8443)),
            ("shop.example.org.", "shop.example.org", None),
            ("[0:0:0:0:0:0:0:1]:8080", "[::1]", Some(8080)),
            ("a:", "a", None),
        ] {
            let request = RequestHead::of_test("GET", "/a?b=c", &[("x", "y"), ("hOST", sent)]);
            let admitted = admit(&request).expect("in order");
            assert_eq!((admitted.host(&request), admitted.port), (host, port));
            let view = admitted.view(&request, Arrival::HTTP);
            assert_eq!((view.host, admitted.path(&request), view.path, view.query), (host, "/a", "/a", "b=c"));
        }
    }

    #[test]
    fn a_host_costs_nothing_where_it_is_in_order() {
        for (sent, changed, port) in [
            ("shop.example.org:80", None, Some(80)),
            ("shop.example.org.", None, None),
            ("[::1]", None, None),
            ("[0:0:0:0:0:0:0:1]:8080", Some("[::1]"), Some(8080)),
            ("Shop", Some("shop"), None),
            (".", None, None),
        ] {
            let admitted = admit(&RequestHead::of_test("GET", "/", &[("host", sent)])).expect("in order");
            let is = match &admitted.host {
                AdmittedHost::AsSent(_) => None,
                AdmittedHost::Changed(host) => Some(&**host),
            };
            assert_eq!((is, admitted.port), (changed, port), "{sent}");
        }
    }

    #[test]
    fn a_host_that_the_session_has_checked_is_split_alike() {
        for sent in ["a", "a.b.:8080", "[::1]", "[::1]:9", "A:", "127.0.0.1:65535"] {
            let mut head = RequestHead::of_test("GET", "/", &[("host", sent)]);
            let unchecked = admit(&head).expect("in order");
            head.host_len = host_of_authority(sent.as_bytes()).map(<[u8]>::len);
            let checked = admit(&head).expect("in order");
            assert_eq!((checked.host(&head), checked.port), (unchecked.host(&head), unchecked.port), "{sent}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(refused("/", &[]), Some(400));
        assert_eq!(refused("/", &[("host", "a"), ("Host", "a")]), Some(400));
        assert_eq!(refused("/", &[("host", "\u{e4}")]), Some(400));
        assert_eq!(refused("/", &[("host", "a/b")]), Some(400));
        assert_eq!(refused("/", &[("host", "a")]), None);
    }

    #[test]
    fn a_target_is_split_at_its_first_question_mark() {
        for (target, path, query) in [
            ("/x?y=z", "/x", "y=z"),
            ("/", "/", ""),
            ("/?", "/", ""),
            ("/x?y=http://b/?", "/x", "y=http://b/?"),
            ("/http://a/x", "/http://a/x", ""),
            ("*", "*", ""),
        ] {
            let request = RequestHead::of_test("OPTIONS", target, &[("host", "a")]);
            let admitted = admit(&request).expect("in order");
            assert_eq!(
                (admitted.path(&request), admitted.view(&request, Arrival::HTTP).query),
                (path, query),
                "{target}"
            );
        }
    }

    #[test]
    fn a_path_must_mean_the_same_to_every_decoder() {
        for good in ["/", "/%2F%2f//x", "/%00", "/a?100%", "/a?%zz"] {
            assert_eq!(refused(good, &[("host", "a")]), None, "{good}");
        }
        for bad in ["/%", "/%a", "/%zz/x", "/%u0041", "/100%?x=%41", "/%%41"] {
            assert_eq!(refused(bad, &[("host", "a")]), Some(400), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hosts_are_compared_in_the_form_that_the_model_knows(
            host in "[A-Za-z0-9._-]{1,12}|\\[[0-9a-fA-F:]{2,8}\\]",
            port in "|:[0-9]{0,5}",
        ) {
            use gangway_model::{HOST_LEN_MAX, canonical_host};

            let authority = format!("{host}{port}");
            let head = RequestHead::of_test("GET", "/", &[("host", &authority)]);
            let Ok(admitted) = admit(&head) else { return Ok(()) };
            // A single dot is a host that no route has here, and no host in the model.
            let known = canonical_host(&authority, &mut [0; HOST_LEN_MAX]).unwrap_or(".").to_owned();
            proptest::prop_assert_eq!(admitted.host(&head), known);
        }
    }
}
