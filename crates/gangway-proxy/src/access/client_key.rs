//! What tells one client from another, for limits.

use std::net::IpAddr;

use gangway_model::ClientKey;

use crate::address_key::AddressKey;
use crate::message::fields::Fields;

/// A client of one limit of a route, as the key of its count. It is hashed and never kept.
#[derive(Debug, Eq, Hash, PartialEq)]
pub(super) struct LimitedClient<'r> {
    route: &'r str,
    /// Which of the route's limits of its kind.
    limit: usize,
    identity: ClientIdentity<'r>,
}

#[derive(Debug, Eq, Hash, PartialEq)]
enum ClientIdentity<'r> {
    Address(AddressKey),
    Header(&'r [u8]),
    User(&'r str),
    Host(&'r str),
    /// All whose address is not told.
    Unknown,
}

impl<'r> LimitedClient<'r> {
    /// The client of a request. Where the request does not have what the key asks for, the address counts. `address` is the
    /// one that the key asks for, or the client's. `host` is looked for where the key asks for it.
    pub(super) fn of(
        (route, limit): (&'r str, usize),
        key: &'r ClientKey,
        address: Option<IpAddr>,
        (host, fields): (impl FnOnce() -> &'r str, &'r Fields),
        user: Option<&'r str>,
    ) -> Self {
        let by_address =
            address.map_or(ClientIdentity::Unknown, |address| ClientIdentity::Address(AddressKey::of(address)));
        let identity = match key {
            ClientKey::Address | ClientKey::AddressBy(_) => by_address,
            ClientKey::Host => ClientIdentity::Host(host()),
            ClientKey::Header(name) => {
                let mut values = fields.all_named(name.as_str().as_bytes());
                // Several values would be several clients.
                match (values.next(), values.next()) {
                    (Some(value), None) if !value.is_empty() => ClientIdentity::Header(value),
                    (Some(_) | None, _) => by_address,
                }
            }
            ClientKey::User => user.map_or(by_address, ClientIdentity::User),
        };
        Self { route, limit, identity }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn fields(values: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        values.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    #[test]
    fn clients_are_told_apart_as_the_label_says() {
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let by_header = ClientKey::Header(HeaderName::from_static("x-key"));
        let (a, b) = (fields(&[("X-Key", "a")]), fields(&[("x-key", "b")]));
        let (none, two) = (fields(&[]), fields(&[("X-Key", "a"), ("X-Key", "b")]));
        let client = |key, address, fields, user| {
            LimitedClient::of(("route", 0), key, Some(address), (|| "a.test", fields), user)
        };
        assert_ne!(client(&ClientKey::Address, one, &a, None), client(&ClientKey::Address, other, &a, None));
        assert_eq!(client(&by_header, one, &a, None), client(&by_header, other, &a, None));
        assert_ne!(client(&by_header, one, &a, None), client(&by_header, one, &b, None));
        assert_eq!(client(&by_header, one, &none, None), client(&by_header, one, &two, None));
        assert_ne!(client(&by_header, one, &none, None), client(&by_header, other, &two, None));
        assert_eq!(client(&ClientKey::User, one, &a, Some("ann")), client(&ClientKey::User, other, &b, Some("ann")));
        assert_ne!(client(&ClientKey::User, one, &a, Some("ann")), client(&ClientKey::User, one, &a, Some("bob")));
        assert_ne!(
            client(&ClientKey::Address, one, &a, None),
            LimitedClient::of(("other", 0), &ClientKey::Address, Some(one), (|| "a.test", &a), None)
        );
        assert_ne!(
            client(&ClientKey::Address, one, &a, None),
            LimitedClient::of(("route", 1), &ClientKey::Address, Some(one), (|| "a.test", &a), None)
        );
        let by_choice = ClientKey::AddressBy(gangway_model::AddressChoice::of_connection());
        let told =
            |key, address, host: &'static str| LimitedClient::of(("route", 0), key, address, (|| host, &a), None);
        assert_eq!(told(&by_choice, None, "a"), told(&by_choice, None, "b"), "nobody knows them apart");
        assert_ne!(told(&by_choice, None, "a"), told(&by_choice, Some(one), "a"));
        assert_eq!(told(&ClientKey::Host, Some(one), "a"), told(&ClientKey::Host, Some(other), "a"));
        assert_ne!(told(&ClientKey::Host, Some(one), "a"), told(&ClientKey::Host, Some(one), "b"));
    }
}
