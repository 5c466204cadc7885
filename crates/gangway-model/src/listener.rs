//! The names of listeners, and what routes say about them.

use std::fmt::{self, Display, Formatter};
use std::ops::Deref;

use crate::value::or_list;

/// The name of a listener: letters in lower case, digits, `-`, `_` and `.`, at most 63 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenerName(Box<str>);

/// The listener for plain HTTP that `--http` opens.
pub const HTTP: &str = "http";
/// The listener for HTTPS that `--https` opens.
pub const HTTPS: &str = "https";

const LEN_MAX: usize = 63;

impl ListenerName {
    /// Reads a name in any case; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = (1..=LEN_MAX).contains(&text.len()) && text.bytes().all(is_fine);
        is_name.then(|| Self(text.to_ascii_lowercase().into()))
    }
}

impl Deref for ListenerName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Display for ListenerName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What connections of a listener begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListenerProtocol {
    /// A request.
    Plain,
    /// A TLS handshake.
    Tls,
    /// Either: the first byte tells.
    Detected,
}

/// A listener, as far as routes may name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownListener {
    /// Its name.
    pub name: ListenerName,
    /// What its connections begin with.
    pub protocol: ListenerProtocol,
}

/// Which requests a route may take, by the way on which they come.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenerScope {
    /// The listeners that the route is served on, sorted; all where it is none.
    pub names: Option<Box<[ListenerName]>>,
    /// Over which transport.
    pub transport: Transport,
}

/// Whether a route is served over TLS, in clear, or both.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// Both.
    #[default]
    Any,
    /// Only in clear: over TLS there is no such route.
    Plain,
    /// Only over TLS: in clear there is no such route.
    Tls,
}

/// The way on which a request has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival<'a> {
    /// The name of the listener.
    pub listener: &'a str,
    /// Whether its connection is TLS.
    pub is_tls: bool,
}

impl Arrival<'static> {
    /// At the listener of `--http`.
    pub const HTTP: Self = Self { listener: HTTP, is_tls: false };
    /// At the listener of `--https`.
    pub const HTTPS: Self = Self { listener: HTTPS, is_tls: true };
}

impl ListenerProtocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Detected];

    /// The word for it in settings and in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::Detected => "auto",
        }
    }

    /// Reads such a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == word)
    }

    /// Whether requests may come over TLS, or in clear.
    pub fn may_be(self, is_tls: bool) -> bool {
        if is_tls { self.may_be_tls() } else { self.may_be_plain() }
    }

    /// Whether requests may come over TLS.
    pub fn may_be_tls(self) -> bool {
        match self {
            Self::Tls | Self::Detected => true,
            Self::Plain => false,
        }
    }

    /// Whether requests may come in clear.
    pub fn may_be_plain(self) -> bool {
        match self {
            Self::Plain | Self::Detected => true,
            Self::Tls => false,
        }
    }
}

impl ListenerScope {
    /// Whether it takes requests on whatever way they come.
    pub fn is_everywhere(&self) -> bool {
        self.names.is_none() && self.transport == Transport::Any
    }

    /// Whether a request that comes on this way is in it.
    pub fn takes(&self, arrival: Arrival<'_>) -> bool {
        self.takes_transport(arrival.is_tls) && self.takes_listener(arrival.listener)
    }

    /// Whether requests that come to this listener may be in it.
    pub fn takes_listener(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|known| **known == *name))
    }

    fn takes_transport(&self, is_tls: bool) -> bool {
        match self.transport {
            Transport::Any => true,
            Transport::Plain => !is_tls,
            Transport::Tls => is_tls,
        }
    }

    /// Whether any request could be in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let by_transport = match (self.transport, other.transport) {
            (Transport::Plain, Transport::Tls) | (Transport::Tls, Transport::Plain) => false,
            (Transport::Any, _) | (_, Transport::Any) => true,
            (Transport::Plain, Transport::Plain) | (Transport::Tls, Transport::Tls) => true,
        };
        let by_name = match (&self.names, &other.names) {
            (Some(names), Some(_)) => names.iter().any(|name| other.takes_listener(name)),
            (None, _) | (_, None) => true,
        };
        by_transport && by_name
    }

    /// Whether requests over TLS are in it that come to one of these listeners.
    pub fn has_tls(&self, listeners: &[KnownListener]) -> bool {
        let has_tls = |known: &KnownListener| known.protocol.may_be_tls() && self.takes_listener(&known.name);
        self.transport != Transport::Plain && listeners.iter().any(has_tls)
    }

    /// The first reason for which a request that comes on this way is not in it.
    pub(crate) fn failure(&self, arrival: Arrival<'_>) -> Option<String> {
        if !self.takes_listener(arrival.listener) {
            let names = self.names.iter().flatten().map(|name| &**name);
            return Some(format!("listener `{}` is not {}", arrival.listener, or_list(names)));
        }
        match self.transport {
            Transport::Plain if arrival.is_tls => Some("it is served in clear only".to_owned()),
            Transport::Tls if !arrival.is_tls => Some("it is served over TLS only".to_owned()),
            Transport::Any | Transport::Plain | Transport::Tls => None,
        }
    }
}

/// What is known of listeners, in a list of anything.
pub trait AsListener {
    /// Its name.
    fn name(&self) -> &str;
    /// What its connections begin with.
    fn protocol(&self) -> ListenerProtocol;
}

impl AsListener for KnownListener {
    fn name(&self) -> &str {
        &self.name
    }

    fn protocol(&self) -> ListenerProtocol {
        self.protocol
    }
}

/// The listener of a scope by which requests come over TLS, or in clear: the usual one, or the first other one.
pub fn usual_listener<'l, L: AsListener>(listeners: &'l [L], scope: &ListenerScope, is_tls: bool) -> Option<&'l L> {
    let usual = if is_tls { HTTPS } else { HTTP };
    let is_fit = |listener: &&L| listener.protocol().may_be(is_tls) && scope.takes_listener(listener.name());
    let fit = || listeners.iter().filter(is_fit);
    fit().find(|listener| listener.name() == usual).or_else(|| fit().next())
}

/// The listener that a request in clear is redirected to: the one that it came to, if that takes TLS as well.
pub fn https_listener<'l, L: AsListener>(listeners: &'l [L], scope: &ListenerScope, came_to: &str) -> Option<&'l L> {
    let is_same = |listener: &&L| listener.name() == came_to && listener.protocol() == ListenerProtocol::Detected;
    listeners.iter().find(is_same).or_else(|| usual_listener(listeners, scope, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOLS: [Transport; 3] = [Transport::Any, Transport::Plain, Transport::Tls];

    fn scopes() -> Vec<ListenerScope> {
        let name = |text: &&str| ListenerName::parse(text).expect("a name");
        let names: [Option<&[&str]>; 4] = [None, Some(&["a"]), Some(&["b"]), Some(&["a", "b"])];
        let scope = |names: Option<&[&str]>, transport| ListenerScope {
            names: names.map(|names| names.iter().map(name).collect()),
            transport,
        };
        names.into_iter().flat_map(|names| PROTOCOLS.map(|transport| scope(names, transport))).collect()
    }

    fn arrivals() -> impl Iterator<Item = Arrival<'static>> {
        ["a", "b", "c"].into_iter().flat_map(|listener| [true, false].map(|is_tls| Arrival { listener, is_tls }))
    }

    #[test]
    fn two_scopes_overlap_where_a_request_is_in_both() {
        for one in scopes() {
            for other in scopes() {
                let are_met = arrivals().any(|arrival| one.takes(arrival) && other.takes(arrival));
                assert_eq!(one.overlaps(&other), are_met, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_is_outside_has_a_reason() {
        for scope in scopes() {
            for arrival in arrivals() {
                assert_eq!(scope.failure(arrival).is_none(), scope.takes(arrival), "{scope:?} {arrival:?}");
            }
        }
    }

    #[test]
    fn a_scope_has_tls_where_one_of_its_listeners_has() {
        let known = |name, protocol| KnownListener { name: ListenerName::parse(name).expect("a name"), protocol };
        let listeners = [known("a", ListenerProtocol::Plain), known("b", ListenerProtocol::Detected)];
        for scope in scopes() {
            let is_met = scope.takes(Arrival { listener: "b", is_tls: true });
            assert_eq!(scope.has_tls(&listeners), is_met, "{scope:?}");
        }
    }

    #[test]
    fn the_usual_listeners_go_first_and_others_take_their_place() {
        let known = |name, protocol| KnownListener { name: ListenerName::parse(name).expect("a name"), protocol };
        let own = [known("mixed", ListenerProtocol::Detected), known("web", ListenerProtocol::Plain)];
        let usual = [known(HTTP, ListenerProtocol::Plain), known(HTTPS, ListenerProtocol::Tls)];
        let all = [&own[..], &usual].concat();
        let scope = |names: &[&str]| ListenerScope {
            names: Some(names.iter().filter_map(|name| ListenerName::parse(name)).collect()),
            ..ListenerScope::default()
        };
        let name = |listener: Option<&KnownListener>| listener.map(|listener| listener.name.to_string());
        for (listeners, scope, plain, tls) in [
            (&own[..], ListenerScope::default(), Some("mixed"), Some("mixed")),
            (&own[1..], ListenerScope::default(), Some("web"), None),
            (&all, ListenerScope::default(), Some(HTTP), Some(HTTPS)),
            (&all, scope(&["web", "mixed"]), Some("mixed"), Some("mixed")),
            (&all, scope(&["web", HTTPS]), Some("web"), Some(HTTPS)),
            (&all, scope(&["web"]), Some("web"), None),
            (&[], ListenerScope::default(), None, None),
        ] {
            let of = |is_tls| name(usual_listener(listeners, &scope, is_tls));
            assert_eq!((of(false).as_deref(), of(true).as_deref()), (plain, tls), "{listeners:?} {scope:?}");
            let redirected = |came_to| name(https_listener(listeners, &scope, came_to));
            assert_eq!(redirected("web").as_deref(), tls, "it has no TLS");
            let is_there = listeners.iter().any(|listener| *listener.name == *"mixed");
            assert_eq!(redirected("mixed").as_deref(), if is_there { Some("mixed") } else { tls });
        }
    }

    #[test]
    fn each_protocol_is_read_by_its_word() {
        for protocol in ListenerProtocol::ALL {
            assert_eq!(ListenerProtocol::parse(protocol.word()), Some(protocol));
            assert_eq!(protocol.may_be(true), protocol.may_be_tls());
            assert_eq!(protocol.may_be(false), protocol.may_be_plain());
        }
        assert_eq!(ListenerProtocol::parse("detected"), None);
    }

    #[test]
    fn names_of_listeners_are_short_and_plain() {
        for (text, name) in [
            ("web", Some("web")),
            ("WebSecure", Some("websecure")),
            ("a-b_c.9", Some("a-b_c.9")),
            ("", None),
            ("a b", None),
            ("ä", None),
            (&"x".repeat(64), None),
        ] {
            assert_eq!(ListenerName::parse(text).as_deref(), name, "{text}");
        }
    }
}
