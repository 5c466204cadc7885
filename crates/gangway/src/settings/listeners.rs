//! The listeners: `--http`, `--https`, `--listen`, and the tables `[listeners.<name>]` of the config file.
//!
//! A flag says where a listener listens and what its connections begin with, as a table does; a table says besides whose
//! PROXY headers are read and which proxies are trusted. Where both name one listener, the flag says where.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gangway_diagnostic::nearest;
use gangway_model::{HTTP as HTTP_NAME, HTTPS as HTTPS_NAME, ListenerName, ListenerProtocol};
use gangway_proxy::{ListenerSettings, TrustedProxies};

use super::error::{SettingError, SettingProblem, ValueError};
use super::listener_table::ListenerTable;
use super::parse::network;
use super::raw::RawSettings;
use super::schema::{Flag, HTTP, HTTPS, LISTEN};
use super::value::{SettingValue, items};

/// The name that is taken by the listener of `--admin`, which serves no routes.
const ADMIN_NAME: &str = "admin";

const KEYS: [&str; 4] = ["address", "protocol", "proxy-protocol", "trusted-proxies"];

/// An item of `--listen`: `NAME=ADDR,PROTOCOL`.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ListenItem {
    pub(crate) name: ListenerName,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: ListenerProtocol,
}

impl ListenItem {
    pub(crate) fn parse(text: &str) -> Result<Self, ValueError> {
        const HELP: &str = "write a name, an address and a protocol, such as `internal=:8443,tls`";
        let (name, rest) = text.split_once('=').ok_or_else(|| ValueError::new("no name", HELP))?;
        let (address, protocol) = rest.rsplit_once(',').ok_or_else(|| ValueError::new("no protocol", HELP))?;
        let name = listener_name(name)?;
        if let Some((flag, _)) = usual(&name) {
            let (note, help) =
                (format!("`{name}` has a flag of its own"), format!("write `--{} {address}`", flag.name));
            return Err(ValueError::new(note, help));
        }
        Ok(Self { name, address: network::address(address)?, protocol: listener_protocol(protocol)? })
    }

    /// The items of a value of the flag. Commas belong to an item.
    pub(crate) fn texts(value: &str) -> impl Iterator<Item = &str> {
        value.split(|char: char| char == ';' || char.is_whitespace()).filter(|item| !item.is_empty())
    }
}

/// The listeners that are asked for, and where the config file asks for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WantedListeners {
    pub(crate) listeners: Vec<ListenerSettings>,
    pub(crate) tables: Vec<ListenerTable>,
}

/// The listeners that are asked for: `http`, `https`, then the others by name. And everything that is wrong.
pub(crate) fn listeners(raw: &RawSettings) -> (Vec<ListenerSettings>, Vec<SettingError>) {
    let mut reader = ListenersReader { raw, drafts: BTreeMap::new(), taken: Vec::new(), errors: Vec::new() };
    reader.usual(&HTTP);
    reader.usual(&HTTPS);
    reader.flags();
    raw.listeners.iter().for_each(|table| reader.table(table));
    let ListenersReader { drafts, errors, .. } = reader;
    let listener = |(name, draft): (ListenerName, ListenerDraft)| ListenerSettings {
        name,
        protocol: draft.protocol,
        addresses: draft.addresses,
        proxy_protocol: draft.proxy_protocol,
        trusted_proxies: draft.trusted_proxies,
    };
    let mut listeners: Vec<ListenerSettings> =
        drafts.into_iter().filter(|(_, draft)| !draft.addresses.is_empty()).map(listener).collect();
    listeners.sort_by_key(|listener| {
        [HTTP_NAME, HTTPS_NAME].iter().position(|usual| *listener.name == **usual).unwrap_or(2)
    });
    (listeners, errors)
}

/// The flag of a listener that has one, and what its connections begin with.
fn usual(name: &str) -> Option<(&'static Flag, ListenerProtocol)> {
    match name {
        HTTP_NAME => Some((&HTTP, ListenerProtocol::Plain)),
        HTTPS_NAME => Some((&HTTPS, ListenerProtocol::Tls)),
        _ => None,
    }
}

#[derive(Debug)]
struct ListenerDraft {
    protocol: ListenerProtocol,
    addresses: Vec<SocketAddr>,
    proxy_protocol: TrustedProxies,
    trusted_proxies: Option<TrustedProxies>,
}

impl ListenerDraft {
    fn new(protocol: ListenerProtocol) -> Self {
        Self { protocol, addresses: Vec::new(), proxy_protocol: TrustedProxies::default(), trusted_proxies: None }
    }
}

struct ListenersReader<'a> {
    raw: &'a RawSettings,
    drafts: BTreeMap<ListenerName, ListenerDraft>,
    taken: Vec<SocketAddr>,
    errors: Vec<SettingError>,
}

impl ListenersReader<'_> {
    /// Reads the flag of a usual listener, unless only a table says where it listens.
    fn usual(&mut self, flag: &'static Flag) {
        let Some((name, (_, protocol))) = ListenerName::parse(flag.name).zip(usual(flag.name)) else { return };
        let is_said_in_table = || self.table_of(&name).is_some_and(|table| table.get("address").is_some());
        let values =
            if !self.raw.layer.contains(flag) && is_said_in_table() { Vec::new() } else { self.raw.values(flag) };
        let mut draft = ListenerDraft::new(protocol);
        for value in &values {
            if value.text.trim() != NONE {
                draft.addresses.extend(self.addresses(flag, value));
            }
        }
        self.drafts.insert(name, draft);
    }

    fn flags(&mut self) {
        for value in self.raw.values(&LISTEN) {
            let mut items = ListenItem::texts(&value.text).peekable();
            if items.peek().is_none() {
                self.unusable(&LISTEN, &value, ValueError::empty());
            }
            for item in items {
                match ListenItem::parse(item) {
                    Ok(item) => self.item(item, &value),
                    Err(error) => self.unusable(&LISTEN, &value, error),
                }
            }
        }
    }

    fn item(&mut self, item: ListenItem, value: &SettingValue) {
        let ListenItem { name, address, protocol } = item;
        let known = self.drafts.get(&name).map_or(protocol, |draft| draft.protocol);
        if known != protocol {
            let note = format!("`{name}` has another protocol before");
            return self.unusable(&LISTEN, value, ValueError::new(note, "write the same, or take another name"));
        }
        if self.is_free(&LISTEN, value, address) {
            self.drafts.entry(name).or_insert_with(|| ListenerDraft::new(protocol)).addresses.push(address);
        }
    }

    fn table(&mut self, table: &ListenerTable) {
        for (key, value) in table.keys.iter().filter(|(key, _)| !KEYS.contains(&&**key)) {
            let help = match nearest(key, KEYS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("take it out; the keys are `{}`", KEYS.join("`, `")),
            };
            self.unusable(&LISTEN, value, ValueError::new(format!("unknown key `{key}`"), help));
        }
        let name = match listener_name(&table.name.text) {
            Ok(name) => name,
            Err(error) => return self.unusable(&LISTEN, &table.name, error),
        };
        let protocol = table.get("protocol").and_then(|value| {
            listener_protocol(value.text.trim()).map_err(|error| self.unusable(&LISTEN, value, error)).ok()
        });
        let by_flag = self.drafts.remove(&name);
        let draft = match (by_flag, protocol) {
            (Some(draft), Some(protocol)) if draft.protocol != protocol => {
                let value = table.get("protocol").unwrap_or(&table.name);
                let note = format!("`{name}` has another protocol by its flag");
                self.unusable(&LISTEN, value, ValueError::new(note, "take it out, or take another name"));
                draft
            }
            (Some(draft), _) => draft,
            (None, Some(protocol)) => ListenerDraft::new(protocol),
            (None, None) => {
                if table.get("protocol").is_none() {
                    let help = "add `protocol = \"plain\"`, `\"tls\"` or `\"auto\"`";
                    self.unusable(&LISTEN, &table.name, ValueError::new("no protocol", help));
                }
                return;
            }
        };
        let draft = self.fill(draft, table);
        self.drafts.insert(name, draft);
    }

    fn fill(&mut self, mut draft: ListenerDraft, table: &ListenerTable) -> ListenerDraft {
        match table.get("address") {
            // A flag goes before.
            Some(_) if !draft.addresses.is_empty() => {}
            Some(value) => draft.addresses = self.addresses(&LISTEN, value),
            None if draft.addresses.is_empty() => {
                let help = "add `address = \":8080\"`, or one in a list for each";
                self.unusable(&LISTEN, &table.name, ValueError::new("no address", help));
            }
            None => {}
        }
        let peers = |value: &SettingValue| match TrustedProxies::parse(&value.text) {
            Ok(peers) => Ok(peers),
            Err(item) => {
                let help = "write addresses, networks such as `10.0.0.0/8`, `lan` or `cloudflare`";
                Err(ValueError::new(format!("`{item}` is no network"), help))
            }
        };
        for (key, value) in &table.keys {
            match (&**key, peers(value)) {
                ("proxy-protocol", Ok(peers)) => draft.proxy_protocol = peers,
                ("trusted-proxies", Ok(peers)) => draft.trusted_proxies = Some(peers),
                ("proxy-protocol" | "trusted-proxies", Err(error)) => self.unusable(&LISTEN, value, error),
                _ => {}
            }
        }
        draft
    }

    fn table_of(&self, name: &ListenerName) -> Option<&ListenerTable> {
        self.raw.listeners.iter().find(|table| ListenerName::parse(&table.name.text).as_ref() == Some(name))
    }

    /// The addresses of a list that are free.
    fn addresses(&mut self, flag: &'static Flag, value: &SettingValue) -> Vec<SocketAddr> {
        let texts: Vec<&str> = items(&value.text).collect();
        if texts.is_empty() {
            self.unusable(flag, value, ValueError::empty());
        }
        let mut addresses = Vec::new();
        for item in texts {
            match network::address(item) {
                Ok(address) if self.is_free(flag, value, address) => addresses.push(address),
                Ok(_) => {}
                Err(error) => self.unusable(flag, value, error),
            }
        }
        addresses
    }

    /// Whether no other listener listens there. The system chooses a port for port 0.
    fn is_free(&mut self, flag: &'static Flag, value: &SettingValue, address: SocketAddr) -> bool {
        if self.taken.contains(&address) {
            let note = format!("`{address}` is there twice");
            self.unusable(flag, value, ValueError::new(note, "an address has one listener; take another port"));
            return false;
        }
        self.taken.extend(Some(address).filter(|address| address.port() != 0));
        true
    }

    fn unusable(&mut self, flag: &'static Flag, value: &SettingValue, error: ValueError) {
        self.errors.push(SettingError { flag, value: value.clone(), problem: SettingProblem::Unusable(error) });
    }
}

/// Says that a usual listener is not to be opened.
const NONE: &str = "none";

fn listener_name(text: &str) -> Result<ListenerName, ValueError> {
    let name = ListenerName::parse(text).ok_or_else(|| {
        ValueError::new("not a name of a listener", "write letters, digits, `-`, `_` and `.`, at most 63 of them")
    })?;
    if *name == *ADMIN_NAME {
        return Err(ValueError::new("`admin` is the listener of `--admin`", "take another name"));
    }
    Ok(name)
}

fn listener_protocol(text: &str) -> Result<ListenerProtocol, ValueError> {
    let words = || ListenerProtocol::ALL.map(ListenerProtocol::word);
    ListenerProtocol::parse(text).ok_or_else(|| ValueError::unknown_word(text, &words()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::file::parse;
    use crate::settings::raw::ProcessLayer;
    use crate::settings::value::Layer;

    /// Each listener with what it is, or what is wrong.
    fn read(flags: &[(&'static Flag, &str)], file: &str) -> Result<Vec<String>, Vec<String>> {
        let mut layer = Layer::default();
        flags.iter().for_each(|(flag, text)| layer.push(flag, SettingValue::flag(*text)));
        let config = parse("gangway.toml", file, "nothing").unwrap_or_else(|found| panic!("{found:#?}"));
        let (listeners, errors) = listeners(&ProcessLayer::new(layer, Layer::default()).over(config));
        if !errors.is_empty() {
            let shown = |error: &SettingError| {
                let found = error.diagnostic("nothing");
                format!("{}: {}", found.place.subject().unwrap_or_default(), found.note)
            };
            return Err(errors.iter().map(shown).collect());
        }
        let shown = |listener: &ListenerSettings| {
            let addresses: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
            format!("{} {:?} {}", listener.name, listener.protocol, addresses.join(" "))
        };
        Ok(listeners.iter().map(shown).collect())
    }

    #[test]
    fn the_usual_ones_are_there_and_others_join_them() {
        assert_eq!(read(&[], ""), Ok(vec!["http Plain [::]:80".into(), "https Tls [::]:443".into()]));
        assert_eq!(
            read(&[(&LISTEN, "b=:82,tls"), (&LISTEN, "A=127.0.0.1:81,plain; b=:83,tls"), (&HTTP, ":8080, :8081")], ""),
            Ok(vec![
                "http Plain [::]:8080 [::]:8081".into(),
                "https Tls [::]:443".into(),
                "a Plain 127.0.0.1:81".into(),
                "b Tls [::]:82 [::]:83".into(),
            ])
        );
        assert_eq!(
            read(&[(&HTTP, "none"), (&HTTPS, "none"), (&LISTEN, "a=:1,auto")], ""),
            Ok(vec!["a Detected [::]:1".into()])
        );
    }

    #[test]
    fn tables_say_where_and_whose_headers_are_read() {
        let file = concat!(
            "[listeners.edge]\naddress = [\":8443\", \"127.0.0.1:8444\"]\nprotocol = \"tls\"\n",
            "proxy-protocol = [\"lan\", \"192.0.2.1\"]\ntrusted-proxies = \"\"\n",
            "[listeners.http]\naddress = \":8080\"\nproxy-protocol = \"lan\"\n",
        );
        let expected = ["http Plain [::]:8080", "https Tls [::]:443", "edge Tls [::]:8443 127.0.0.1:8444"];
        assert_eq!(read(&[], file), Ok(expected.map(str::to_owned).to_vec()));
        // A flag goes before.
        let expected = ["http Plain [::]:81", "https Tls [::]:443", "edge Tls [::]:9443"];
        let flags: &[(&'static Flag, &str)] = &[(&HTTP, ":81"), (&LISTEN, "edge=:9443,tls")];
        assert_eq!(read(flags, file), Ok(expected.map(str::to_owned).to_vec()));
        let config = parse("gangway.toml", file, "nothing").expect("good");
        let (listeners, _) = listeners(&ProcessLayer::default().over(config));
        assert_eq!(listeners[0].proxy_protocol, TrustedProxies::parse("lan").expect("good"));
        assert_eq!(listeners[1].proxy_protocol, TrustedProxies::default());
        assert_eq!(listeners[2].proxy_protocol, TrustedProxies::parse("lan, 192.0.2.1").expect("good"));
        let trusted: Vec<_> = listeners.iter().map(|listener| listener.trusted_proxies.clone()).collect();
        assert_eq!(trusted, [None, None, Some(TrustedProxies::default())]);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        for (flag, note) in [
            ("a", "no name"),
            ("a=:1", "no protocol"),
            ("a=:1,udp", "unknown"),
            ("a=x,tls", "not an address with a port"),
            ("a b=:1,tls", "no name"),
            ("ä=:1,tls", "not a name of a listener"),
            ("http=:1,plain", "`http` has a flag of its own"),
            ("admin=:1,plain", "`admin` is the listener of `--admin`"),
            ("a=:80,plain", "`[::]:80` is there twice"),
            ("a=:1,plain a=:2,tls", "`a` has another protocol before"),
            ("", "empty"),
        ] {
            let found = read(&[(&LISTEN, flag)], "").expect_err(flag);
            assert_eq!(found[0], format!("--listen: {note}"), "{flag}");
        }
        for (table, found) in [
            ("[listeners.a]\nprotocol = \"tls\"\n", "listeners.a: no address"),
            ("[listeners.a]\naddress = \":1\"\n", "listeners.a: no protocol"),
            ("[listeners.a]\naddress = \":1\"\nprotocol = \"udp\"\n", "listeners.a.protocol: unknown"),
            (
                "[listeners.a]\naddress = \":x\"\nprotocol = \"tls\"\n",
                "listeners.a.address: not an address with a port",
            ),
            (
                "[listeners.https]\nprotocol = \"plain\"\n",
                "listeners.https.protocol: `https` has another protocol by its flag",
            ),
            ("[listeners.http]\nadress = \":1\"\n", "listeners.http.adress: unknown key `adress`"),
            ("[listeners.http]\nproxy-protocol = \"lam\"\n", "listeners.http.proxy-protocol: `lam` is no network"),
            ("[listeners.\"a b\"]\nprotocol = \"tls\"\n", "listeners.a b: not a name of a listener"),
        ] {
            assert_eq!(read(&[], table).expect_err(table), [found], "{table}");
        }
    }
}
