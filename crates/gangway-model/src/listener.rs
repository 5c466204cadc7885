//! The names of listeners, and what routes say about them.

use std::fmt::{self, Display, Formatter};
use std::ops::Deref;

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
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListenerScope {
    /// The listeners that the route is served on, sorted; all where it is none.
    pub names: Option<Box<[ListenerName]>>,
    /// Over which transport.
    pub transport: Transport,
}

/// Whether a route is served over TLS, in clear, or both.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport {
    /// Both.
    #[default]
    Any,
    /// Only in clear: over TLS there is no such route.
    Plain,
    /// Only over TLS: in clear there is no such route.
    Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

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
