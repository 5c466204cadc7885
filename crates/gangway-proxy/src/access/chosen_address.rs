//! The address of a client, as a middleware would have it.

use std::net::IpAddr;

use gangway_model::{AddressChoice, AddressSource};

use crate::downstream::connection::ClientConnection;
use crate::message::fields::Fields;
use crate::request::client_origin::{ClientOrigin, forwarded};

/// An address that counts as the client's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ChosenAddress {
    /// None where the request does not tell it.
    pub(crate) address: Option<IpAddr>,
    /// Whether it is certainly the address that is meant.
    pub(crate) is_certain: bool,
    /// Whether it is a gateway's, so that it says nothing about the client.
    pub(crate) is_anonymous: bool,
}

/// The address of the client that has sent these fields. A list of addresses counts only where a trusted proxy has sent it.
pub(crate) fn chosen_address(
    choice: &AddressChoice,
    fields: &Fields,
    connection: &ClientConnection,
    origin: ClientOrigin,
) -> ChosenAddress {
    let told = |address| ChosenAddress { address, is_certain: true, is_anonymous: false };
    let chosen = match &choice.source {
        AddressSource::Client => {
            let ClientOrigin { client, is_anonymous, is_certain, .. } = origin;
            ChosenAddress { address: Some(client), is_certain, is_anonymous }
        }
        AddressSource::Connection => {
            let is_anonymous = connection.is_anonymous;
            ChosenAddress { address: Some(connection.peer_ip()), is_certain: !is_anonymous, is_anonymous }
        }
        AddressSource::ForwardedAt(_) | AddressSource::ForwardedBefore(_) if !connection.trusted => told(None),
        source @ (AddressSource::ForwardedAt(_) | AddressSource::ForwardedBefore(_)) => {
            told(source.of_list(forwarded(fields)))
        }
    };
    ChosenAddress { address: chosen.address.map(|address| choice.part(address)), ..chosen }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::message::request_head::RequestHead;
    use crate::request::client_origin::client_origin;
    use crate::samples;
    use crate::trusted_proxies::TrustedProxies;

    fn chosen(source: AddressSource, trusted: &str, sent: &[(&str, &str)]) -> Option<String> {
        let choice = AddressChoice { source, ipv6_len: None };
        let listener = samples::listener_trusting(TrustedProxies::parse(trusted).expect("valid"));
        let connection = ClientConnection::new(([192, 0, 2, 7], 5000).into(), listener);
        let fields = RequestHead::of_test("GET", "/", sent).fields;
        let origin = client_origin(&fields, &connection, |_| false);
        chosen_address(&choice, &fields, &connection, origin).address.map(|address| address.to_string())
    }

    #[test]
    fn a_list_is_believed_from_a_trusted_proxy_alone_and_counted_from_its_end() {
        let at = |place| AddressSource::ForwardedAt(NonZeroU8::new(place).expect("a place"));
        let before = || AddressSource::ForwardedBefore(["2.2.2.2/32".parse().expect("a network")].into());
        let (one, two) = ([("x-forwarded-for", "1.1.1.1")], [("x-forwarded-for", "1.1.1.1, 2.2.2.2")]);
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")];
        for (source, trusted, sent, address) in [
            (at(2), "192.0.2.7", &two[..], Some("1.1.1.1")),
            (at(1), "192.0.2.7", &two, Some("2.2.2.2")),
            (at(2), "192.0.2.7", &lines, Some("1.1.1.1")),
            (at(2), "192.0.2.7", &one, None),
            (at(2), "192.0.2.7", &[], None),
            (at(2), "", &two, None),
            (at(1), "192.0.2.7", &[("x-forwarded-for", "1.1.1.1,")], None),
            (at(2), "192.0.2.7", &[("x-forwarded-for", "1.1.1.1, ,2.2.2.2")], None),
            (before(), "192.0.2.7", &two, Some("1.1.1.1")),
            (before(), "", &two, None),
            (AddressSource::Connection, "192.0.2.7", &two, Some("192.0.2.7")),
            (AddressSource::Connection, "", &two, Some("192.0.2.7")),
            (AddressSource::Client, "192.0.2.7", &two, Some("2.2.2.2")),
        ] {
            assert_eq!(chosen(source.clone(), trusted, sent).as_deref(), address, "{source} {trusted} {sent:?}");
        }
    }
}
