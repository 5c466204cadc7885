//! IP addresses as text, without the heap.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use crate::message::decimal::Decimal;

/// The longest text: an IPv6 address that ends in the form of IPv4.
const TEXT_MAX: usize = 45;

/// The text of an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressText {
    bytes: [u8; TEXT_MAX],
    len: u8,
}

impl AddressText {
    pub(crate) fn of(address: IpAddr) -> Self {
        let mut bytes = [0; TEXT_MAX];
        let len = match address {
            IpAddr::V4(address) => write_ipv4(address, &mut bytes),
            IpAddr::V6(address) => {
                let mut rest = &mut bytes[..];
                // There is room for every address.
                let _ = write!(rest, "{address}");
                TEXT_MAX - rest.len()
            }
        };
        Self { bytes, len: u8::try_from(len).unwrap_or_default() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// As the standard library writes it, which takes ten times as long.
fn write_ipv4(address: Ipv4Addr, bytes: &mut [u8; TEXT_MAX]) -> usize {
    let mut len = 0;
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            bytes[len] = b'.';
            len += 1;
        }
        let octet = Decimal::of(octet.into());
        let digits = octet.bytes();
        bytes[len..len + digits.len()].copy_from_slice(digits);
        len += digits.len();
    }
    len
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    proptest::proptest! {
        #[test]
        fn an_address_is_written_as_always(v4: u32, v6: u128) {
            let longest = Ipv4Addr::BROADCAST.to_ipv6_mapped();
            for address in [
                IpAddr::V4(Ipv4Addr::from_bits(v4)),
                IpAddr::V6(Ipv6Addr::from_bits(v6)),
                IpAddr::V6(Ipv6Addr::from_bits(v6 >> 100)),
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V4(Ipv4Addr::BROADCAST),
                IpAddr::V6(longest),
                IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
            ] {
                proptest::prop_assert!(AddressText::of(address).bytes() == address.to_string().as_bytes(), "{}", address);
            }
        }
    }
}
