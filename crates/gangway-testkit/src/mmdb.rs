//! Files in the MaxMind DB format (version 2.0 of its specification), as GeoLite2 and others have them.
//!
//! What is written is whole and in order, unless a test takes the parts and damages them.

use std::net::IpAddr;

/// Zeros between the tree and the data.
const SEPARATOR: usize = 16;

const METADATA_MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The parts of a file.
#[derive(Clone, Debug)]
pub struct Mmdb {
    /// By which readers recognise what the file tells.
    pub database_type: String,
    /// 4, or 6 for both.
    pub ip_version: u16,
    /// Bits of a record: 24, 28 or 32.
    pub record_size: u16,
    /// The search tree: for each bit of an address another node, nothing (the number of nodes), or data (beyond it).
    pub nodes: Vec<[u32; 2]>,
    /// The values that addresses have.
    pub data: Vec<u8>,
}

/// A file that tells the countries of networks such as `203.0.113.0/24`.
pub fn countries(networks: &[(&str, &str)]) -> Vec<u8> {
    Mmdb::of("GeoLite2-Country", networks.iter().map(|(network, code)| (*network, country(code)))).bytes()
}

/// A file that tells the numbers of autonomous systems.
pub fn autonomous_systems(networks: &[(&str, u32)]) -> Vec<u8> {
    Mmdb::of("GeoLite2-ASN", networks.iter().map(|(network, number)| (*network, autonomous_system(*number)))).bytes()
}

/// The value of an address in a country.
pub fn country(code: &str) -> Vec<u8> {
    map(&[
        ("continent", map(&[("code", text("EU")), ("geoname_id", number32(6_255_148))])),
        ("country", map(&[("geoname_id", number32(2_921_044)), ("iso_code", text(code)), ("names", map(&[]))])),
    ])
}

/// The value of an address in an autonomous system.
pub fn autonomous_system(number: u32) -> Vec<u8> {
    map(&[("autonomous_system_number", number32(number)), ("autonomous_system_organization", text("Example"))])
}

/// A text.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = head(2, text.len());
    bytes.extend(text.as_bytes());
    bytes
}

/// A map.
pub fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = head(7, entries.len());
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

/// A whole number of 32 bits.
pub fn number32(number: u32) -> Vec<u8> {
    with_payload(6, &number.to_be_bytes())
}

fn number16(number: u16) -> Vec<u8> {
    with_payload(5, &number.to_be_bytes())
}

fn number64(number: u64) -> Vec<u8> {
    with_payload(9, &number.to_be_bytes())
}

fn with_payload(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(kind, payload.len());
    bytes.extend(payload);
    bytes
}

/// The control bytes of a value of so many bytes or entries.
fn head(kind: u8, len: usize) -> Vec<u8> {
    let (size, more) = match len {
        0..29 => (u8::try_from(len).expect("it is small"), None),
        _ => (29, Some(u8::try_from(len - 29).expect("tests need no longer ones"))),
    };
    let mut bytes = match kind {
        ..8 => vec![kind << 5 | size],
        _ => vec![size, kind - 7],
    };
    bytes.extend(more);
    bytes
}

impl Mmdb {
    /// The file in which networks have these values; a later network counts in an earlier one.
    pub fn of<'n>(database_type: &str, networks: impl Iterator<Item = (&'n str, Vec<u8>)>) -> Self {
        let mut tree = vec![[Record::Nothing; 2]];
        let mut data = Vec::new();
        for (network, value) in networks {
            let (bits, len) = parsed(network);
            insert(&mut tree, bits, len, Record::Data(data.len()));
            data.extend(value);
        }
        let count = tree.len();
        let number = |record: &Record| {
            let number = match record {
                Record::Nothing => count,
                Record::Node(node) => *node,
                Record::Data(offset) => count + SEPARATOR + offset,
            };
            u32::try_from(number).expect("the file is small")
        };
        let nodes = tree.iter().map(|node| [number(&node[0]), number(&node[1])]).collect();
        Self { database_type: database_type.to_owned(), ip_version: 6, record_size: 28, nodes, data }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for [left, right] in &self.nodes {
            let (left, right) = (left.to_be_bytes(), right.to_be_bytes());
            match self.record_size {
                24 => {
                    bytes.extend(&left[1..]);
                    bytes.extend(&right[1..]);
                }
                28 => {
                    bytes.extend(&left[1..]);
                    bytes.push(left[0] << 4 | right[0] & 0x0F);
                    bytes.extend(&right[1..]);
                }
                _ => {
                    bytes.extend(left);
                    bytes.extend(right);
                }
            }
        }
        bytes.extend([0; SEPARATOR]);
        bytes.extend(&self.data);
        bytes.extend(METADATA_MARK);
        let mut languages = head(11, 1);
        languages.extend(text("en"));
        let nodes = u32::try_from(self.nodes.len()).expect("the file is small");
        bytes.extend(map(&[
            ("binary_format_major_version", number16(2)),
            ("binary_format_minor_version", number16(0)),
            ("build_epoch", number64(1_700_000_000)),
            ("database_type", text(&self.database_type)),
            ("description", map(&[("en", text("made for a test"))])),
            ("ip_version", number16(self.ip_version)),
            ("languages", languages),
            ("node_count", number32(nodes)),
            ("record_size", number16(self.record_size)),
        ]));
        bytes
    }
}

#[derive(Clone, Copy, Debug)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// The bits of a network in the tree of IPv6, in which IPv4 is the part that begins with 96 zeros.
fn parsed(network: &str) -> (u128, u32) {
    let (address, len) = network.split_once('/').expect("a network");
    let len: u32 = len.parse().expect("a number of bits");
    match address.parse::<IpAddr>().expect("an address") {
        IpAddr::V4(address) => (u128::from(u32::from(address)), len + 96),
        IpAddr::V6(address) => (u128::from(address), len),
    }
}

fn insert(tree: &mut Vec<[Record; 2]>, bits: u128, len: u32, value: Record) {
    let mut node = 0;
    for depth in 0..len {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == len {
            tree[node][side] = value;
            return;
        }
        node = match tree[node][side] {
            Record::Node(next) => next,
            // What the wider network had, its parts have.
            whole @ (Record::Nothing | Record::Data(_)) => {
                tree.push([whole; 2]);
                tree[node][side] = Record::Node(tree.len() - 1);
                tree.len() - 1
            }
        };
    }
}
