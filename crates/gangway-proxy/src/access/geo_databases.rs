//! Databases that tell the country and the autonomous system of addresses: files in the MMDB format.
//!
//! The files are others' and may be damaged. So they are read whole and bounded, are looked up one address at a time, and
//! are never walked through: a tree that leads back into itself has no end. Whatever cannot be read is [`Located::Unavailable`].

use std::fmt::{self, Debug, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use gangway_model::{CountryCode, Geography, Located, PlaceKind};
use gangway_publish::Reader;
use maxminddb::{MaxMindDbError, PathElement};

use crate::trusted_proxies::is_lan;

/// Characters of a text of a file that are repeated.
const SHOWN_MAX: usize = 120;

const COUNTRY: &[PathElement<'_>] = &[PathElement::Key("country"), PathElement::Key("iso_code")];
const AUTONOMOUS_SYSTEM: &[PathElement<'_>] = &[PathElement::Key("autonomous_system_number")];

/// One database, in memory.
pub struct GeoDatabase {
    reader: maxminddb::Reader<Box<[u8]>>,
    kind: PlaceKind,
}

/// The databases in force: at most one of each kind.
#[derive(Clone, Debug, Default)]
pub struct GeoDatabases {
    /// Tells countries.
    pub country: Option<Arc<GeoDatabase>>,
    /// Tells the numbers of autonomous systems.
    pub autonomous_system: Option<Arc<GeoDatabase>>,
}

/// Why a file is not a database that can be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GeoDatabaseError {
    /// It is not in the format, or damaged.
    #[error("it is not a whole file in the MMDB format: {0}")]
    Malformed(String),
    /// It tells something else.
    #[error("it tells neither countries nor AS numbers: its type is {0}")]
    OtherKind(String),
    /// It has one version of IP only, so half of all clients would be in no place.
    #[error("it has no addresses of IPv6")]
    WithoutIpv6,
}

impl GeoDatabase {
    /// The size of the largest file that is taken. A database of cities has half of it.
    pub const BYTES_MAX: u64 = 128 << 20;

    /// Reads a file, and looks some addresses up to see whether it is whole.
    pub fn parse(content: Box<[u8]>) -> Result<Self, GeoDatabaseError> {
        let reader = maxminddb::Reader::from_source(content).map_err(|error| malformed(&error))?;
        let metadata = reader.metadata();
        let kind = kind(&metadata.database_type)
            .ok_or_else(|| GeoDatabaseError::OtherKind(format!("`{}`", shown(&metadata.database_type))))?;
        if metadata.ip_version != 6 {
            return Err(GeoDatabaseError::WithoutIpv6);
        }
        let database = Self { reader, kind };
        database.probe().map_err(|error| malformed(&error))?;
        Ok(database)
    }

    /// What it tells.
    pub fn kind(&self) -> PlaceKind {
        self.kind
    }

    /// Looks addresses up from all over the networks.
    fn probe(&self) -> Result<(), MaxMindDbError> {
        let v4 = (0..=u8::MAX).map(|first| IpAddr::V4(Ipv4Addr::new(first, 1, 1, 1)));
        let v6 = (0..=u8::MAX).map(|second| IpAddr::V6(Ipv6Addr::new(0x2000 | u16::from(second), 0, 0, 0, 0, 0, 0, 1)));
        for address in v4.chain(v6) {
            match self.kind {
                PlaceKind::Country => self.country(address).map(drop)?,
                PlaceKind::AutonomousSystem => self.autonomous_system(address).map(drop)?,
            }
        }
        Ok(())
    }

    fn country(&self, address: IpAddr) -> Result<Option<CountryCode>, MaxMindDbError> {
        let code = self.reader.lookup(address)?.decode_path::<&str>(COUNTRY)?;
        Ok(code.and_then(CountryCode::of))
    }

    fn autonomous_system(&self, address: IpAddr) -> Result<Option<u32>, MaxMindDbError> {
        self.reader.lookup(address)?.decode_path::<u32>(AUTONOMOUS_SYSTEM)
    }
}

impl Geography for GeoDatabases {
    fn country(&self, address: IpAddr) -> Located<CountryCode> {
        located(self.country.as_deref(), address, GeoDatabase::country)
    }

    fn autonomous_system(&self, address: IpAddr) -> Located<u32> {
        located(self.autonomous_system.as_deref(), address, GeoDatabase::autonomous_system)
    }
}

/// The databases that are in force when somebody asks, loaded only then.
#[derive(Debug)]
pub(crate) struct PublishedGeography<'a>(pub(crate) &'a Reader<GeoDatabases>);

impl Geography for PublishedGeography<'_> {
    fn country(&self, address: IpAddr) -> Located<CountryCode> {
        self.0.load().country(address)
    }

    fn autonomous_system(&self, address: IpAddr) -> Located<u32> {
        self.0.load().autonomous_system(address)
    }
}

fn located<T>(
    database: Option<&GeoDatabase>,
    address: IpAddr,
    look_up: impl Fn(&GeoDatabase, IpAddr) -> Result<Option<T>, MaxMindDbError>,
) -> Located<T> {
    let Some(database) = database else { return Located::Unavailable };
    let address = address.to_canonical();
    if is_lan(address) {
        // Such an address is in as many places as there are local networks, whatever a file says.
        return Located::Unknown;
    }
    match look_up(database, address) {
        Ok(Some(place)) => Located::Known(place),
        Ok(None) => Located::Unknown,
        // Damaged at this address; others may be whole.
        Err(_) => Located::Unavailable,
    }
}

/// What a database of this type tells: `GeoLite2-Country`, `DBIP-City-Lite`, `GeoIP2-ISP`.
fn kind(database_type: &str) -> Option<PlaceKind> {
    let name = database_type.to_ascii_lowercase();
    let tells = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match (tells(&["country", "city", "enterprise"]), tells(&["asn", "isp"])) {
        (true, false) => Some(PlaceKind::Country),
        (false, true) => Some(PlaceKind::AutonomousSystem),
        // A file of both has fields by other names.
        (true, true) | (false, false) => None,
    }
}

fn malformed(error: &MaxMindDbError) -> GeoDatabaseError {
    GeoDatabaseError::Malformed(shown(&error.to_string()))
}

/// The beginning of a text that may be of any length and have any characters.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

impl Debug for GeoDatabase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeoDatabase").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use gangway_testkit::mmdb::{self, Mmdb};
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn parse(content: &[u8]) -> Result<GeoDatabase, GeoDatabaseError> {
        GeoDatabase::parse(content.into())
    }

    fn of_countries(content: &[u8]) -> GeoDatabases {
        GeoDatabases { country: parse(content).map(Arc::new).ok(), ..GeoDatabases::default() }
    }

    fn code(text: &str) -> Located<CountryCode> {
        Located::Known(CountryCode::of(text).expect("two letters"))
    }

    /// Countries of all addresses, in which the data of one network is `data`.
    fn with_data(database_type: &str, data: Vec<u8>) -> Mmdb {
        Mmdb::of(database_type, [("198.51.100.0/24", data)].into_iter())
    }

    #[test]
    fn the_place_of_an_address_is_that_of_its_narrowest_network() {
        let networks =
            [("203.0.113.0/24", "DE"), ("203.0.113.64/26", "FR"), ("2001:db8::/32", "at"), ("10.0.0.0/8", "US")];
        let mut file = Mmdb::of("DBIP-Country-Lite", networks.iter().map(|(net, code)| (*net, mmdb::country(code))));
        for record_size in [24, 28, 32] {
            file.record_size = record_size;
            let databases = of_countries(&file.bytes());
            for (address, expected) in [
                ("203.0.113.1", code("DE")),
                ("::ffff:203.0.113.1", code("DE")),
                ("203.0.113.65", code("FR")),
                ("203.0.113.128", code("DE")),
                ("203.0.114.1", Located::Unknown),
                ("2001:db8:1::1", code("AT")),
                ("2001:db9::1", Located::Unknown),
                ("10.1.2.3", Located::Unknown),
                ("fe80::1", Located::Unknown),
            ] {
                assert_eq!(databases.country(ip(address)), expected, "{address} in {record_size}");
            }
            assert_eq!(databases.autonomous_system(ip("203.0.113.1")), Located::Unavailable);
        }
        let database = parse(&mmdb::autonomous_systems(&[("203.0.113.0/24", 64_500), ("2001:db8::/32", u32::MAX)]));
        let database = Arc::new(database.expect("whole"));
        assert_eq!(database.kind(), PlaceKind::AutonomousSystem);
        let databases = GeoDatabases { autonomous_system: Some(database), ..GeoDatabases::default() };
        assert_eq!(databases.autonomous_system(ip("203.0.113.1")), Located::Known(64_500));
        assert_eq!(databases.autonomous_system(ip("2001:db8::1")), Located::Known(u32::MAX));
        assert_eq!(databases.autonomous_system(ip("192.168.1.1")), Located::Unknown);
        assert_eq!(GeoDatabases::default().country(ip("192.168.1.1")), Located::Unavailable, "nobody can be asked");
    }

    #[test]
    fn a_place_without_a_code_is_unknown_and_one_that_makes_no_sense_is_unavailable() {
        for (data, expected) in [
            (mmdb::map(&[]), Located::Unknown),
            (mmdb::map(&[("country", mmdb::map(&[]))]), Located::Unknown),
            (mmdb::country("EUR"), Located::Unknown),
            (mmdb::country(""), Located::Unknown),
            (mmdb::text("DE"), Located::Unavailable),
            (mmdb::map(&[("country", mmdb::text("DE"))]), Located::Unavailable),
            (mmdb::map(&[("country", mmdb::map(&[("iso_code", mmdb::number32(49))]))]), Located::Unavailable),
            // A map of 65,000 entries, of which there is none.
            (vec![0xFF, 0xFF, 0xFF, 0xFF], Located::Unavailable),
            // A pointer to itself, a pointer beyond the end, and an end within a value.
            (vec![0x20, 0x00], Located::Unavailable),
            (vec![0x38, 0xFF, 0xFF, 0xFF, 0xFF], Located::Unavailable),
            (vec![0xE1, 0x47, b'c'], Located::Unavailable),
        ] {
            let databases = of_countries(&with_data("GeoLite2-Country", data.clone()).bytes());
            assert!(databases.country.is_some(), "other addresses can be looked up");
            assert_eq!(databases.country(ip("198.51.100.1")), expected, "{data:x?}");
            assert_eq!(databases.country(ip("203.0.113.1")), Located::Unknown, "{data:x?}");
        }
    }

    #[test]
    fn only_files_of_countries_and_of_as_numbers_are_taken() {
        for (database_type, expected) in [
            ("GeoLite2-Country", Some(PlaceKind::Country)),
            ("GeoIP2-City-Europe", Some(PlaceKind::Country)),
            ("GeoIP2-Enterprise", Some(PlaceKind::Country)),
            ("DBIP-Country-Lite", Some(PlaceKind::Country)),
            ("GeoLite2-ASN", Some(PlaceKind::AutonomousSystem)),
            ("DBIP-ASN-Lite (compat=GeoLite2-ASN)", Some(PlaceKind::AutonomousSystem)),
            ("GeoIP2-ISP", Some(PlaceKind::AutonomousSystem)),
            ("GeoIP2-Anonymous-IP", None),
            ("GeoIP2-Connection-Type", None),
            ("provider country_asn.mmdb", None),
            ("", None),
        ] {
            let found = parse(&with_data(database_type, mmdb::map(&[])).bytes()).map(|database| database.kind());
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{database_type}: {found:?}");
            assert!(expected.is_some() || matches!(found, Err(GeoDatabaseError::OtherKind(_))), "{found:?}");
        }
        let lying = with_data(&format!("x\n\u{1b}[31m{}", "y".repeat(150)), mmdb::map(&[]));
        let said = parse(&lying.bytes()).expect_err("no such type").to_string();
        assert!(!said.contains(char::is_control) && said.len() < 300, "{said}");
    }

    #[test]
    fn a_file_that_is_damaged_is_not_taken() {
        let whole = mmdb::countries(&[("0.0.0.0/1", "DE"), ("2000::/3", "FR")]);
        assert!(parse(&whole).is_ok());
        for len in 0..whole.len() {
            // What is cut off at the end takes the description along, without which nothing is understood.
            assert!(parse(&whole[..len]).is_err(), "the first {len} bytes");
        }
        let damaged = |change: fn(&mut Mmdb)| {
            let mut file = with_data("GeoLite2-Country", mmdb::country("DE"));
            change(&mut file);
            parse(&file.bytes()).expect_err("damaged")
        };
        assert_eq!(damaged(|file| file.ip_version = 4), GeoDatabaseError::WithoutIpv6);
        for change in [
            (|file| file.nodes.clear()) as fn(&mut Mmdb),
            // Data beyond the end, and in the zeros before the data.
            |file| file.nodes[0] = [0x0FFF_FFFF; 2],
            |file| file.nodes[0] = [u32::try_from(file.nodes.len()).expect("few") + 1; 2],
            |file| file.record_size = 7,
            |file| file.ip_version = 5,
            |file| {
                // Everybody has a value that is none.
                file.nodes = vec![[1 + 16; 2]];
                file.data = vec![0x20, 0x00];
            },
        ] {
            let error = damaged(change);
            assert!(matches!(error, GeoDatabaseError::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn a_tree_that_leads_back_into_itself_ends() {
        for nodes in [vec![[0, 0]], vec![[1, 1], [0, 0]], vec![[0, 1], [1, 0]]] {
            let mut file = with_data("GeoLite2-Country", mmdb::country("DE"));
            file.nodes = nodes;
            let databases = of_countries(&file.bytes());
            for address in ["203.0.113.1", "2001:db8::1", "::", "255.255.255.255"] {
                let place = databases.country(ip(address));
                assert!(!matches!(place, Located::Known(_)), "{address}: {place:?}");
            }
        }
    }

    /// Looks up whatever a file says, which must come to an end.
    fn look_around(content: &[u8], addresses: &[u128]) {
        let Ok(database) = parse(content) else { return };
        let kind = database.kind();
        let mut databases = GeoDatabases::default();
        match kind {
            PlaceKind::Country => databases.country = Some(Arc::new(database)),
            PlaceKind::AutonomousSystem => databases.autonomous_system = Some(Arc::new(database)),
        }
        for address in addresses {
            for address in [IpAddr::V6(Ipv6Addr::from(*address)), IpAddr::V4(Ipv4Addr::from(*address as u32))] {
                databases.country(address);
                databases.autonomous_system(address);
            }
        }
    }

    proptest! {
        /// No file makes the reader panic or go on for ever: bytes by chance, behind which the mark of the format stands.
        #[test]
        fn bytes_by_chance_are_read_to_an_end(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600), at in any::<prop::sample::Index>(),
            addresses in prop::collection::vec(any::<u128>(), 8),
        ) {
            look_around(&bytes, &addresses);
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, *b"\xab\xcd\xefMaxMind.com");
            look_around(&bytes, &addresses);
        }

        /// The same for a whole file of which some bytes were changed.
        #[test]
        fn a_file_with_other_bytes_is_read_to_an_end(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            addresses in prop::collection::vec(any::<u128>(), 8), of_countries in any::<bool>(),
        ) {
            let mut bytes = match of_countries {
                true => mmdb::countries(&[("0.0.0.0/1", "DE"), ("128.0.0.0/2", "FR"), ("2000::/3", "AT")]),
                false => mmdb::autonomous_systems(&[("0.0.0.0/1", 64_500), ("128.0.0.0/2", 1), ("2000::/3", 70_000)]),
            };
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            look_around(&bytes, &addresses);
        }

        /// The same for a tree and data by chance, in a file that says of itself what a whole one says.
        #[test]
        fn trees_and_data_by_chance_are_read_to_an_end(
            nodes in prop::collection::vec(any::<[u16; 2]>(), 1..40), data in prop::collection::vec(any::<u8>(), 0..200),
            record_size in prop::sample::select(vec![24_u16, 28, 32]), addresses in prop::collection::vec(any::<u128>(), 8),
        ) {
            let count = u32::try_from(nodes.len()).expect("few");
            let reach = count + 16 + u32::try_from(data.len()).expect("few") + 1;
            let nodes: Vec<[u32; 2]> = nodes.into_iter().map(|node| node.map(|record| u32::from(record) % reach)).collect();
            for database_type in ["GeoLite2-Country", "GeoLite2-ASN"] {
                let file = Mmdb { database_type: database_type.into(), ip_version: 6, record_size, nodes: nodes.clone(), data: data.clone() };
                look_around(&file.bytes(), &addresses);
            }
        }
    }
}
