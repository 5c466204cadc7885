//! Questions to name servers: where a record's CNAMEs end, which zone the record is in, and whether the zone's own
//! servers have it. Nothing is cached, since the records have just changed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Deadline of one question to one server.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// A longer chain of CNAMEs is taken for a loop.
const CNAMES_MAX: usize = 8;

/// At most this many servers of a zone are asked; no zone needs more.
const SERVERS_MAX: usize = 8;

/// The longest answer that is read over UDP.
const ANSWER_BYTES_MAX: usize = 4096;

/// The system's list of name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Asks name servers.
#[derive(Debug)]
pub(super) struct Resolver {
    /// Recursive servers.
    servers: Vec<SocketAddr>,
    /// The port that the servers of zones listen on.
    port: u16,
}

/// The servers to ask for a record.
#[derive(Debug)]
pub(super) struct Servers {
    addresses: Vec<SocketAddr>,
    /// Whether the servers are recursive and may have cached that the record was absent.
    are_resolvers: bool,
}

/// The reason why a lookup failed. Reads well after "could not be made".
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("`{0}` is no name")]
    NoName(String),
    #[error("no name server answers: {0}")]
    Silent(String),
    #[error("no name server is known")]
    NoServer,
    #[error("no zone is found that `{0}` is in")]
    NoZone(String),
}

impl Resolver {
    /// A resolver that asks the given servers, or those of the system if none are given.
    pub(super) fn new(servers: &[SocketAddr], port: u16) -> Self {
        let servers = if servers.is_empty() { system_servers() } else { servers.to_vec() };
        Self { servers, port }
    }

    /// The name at the end of the CNAMEs; the name itself if nothing is known.
    pub(super) async fn end_of_cnames(&self, name: &str) -> String {
        let mut end = name.to_owned();
        for _ in 0..CNAMES_MAX {
            let Ok(answer) = self.ask(&end, RecordType::CNAME).await else { break };
            let Some(next) = answer.answers.iter().find_map(|record| alias(record, &end)) else { break };
            end = next;
        }
        end
    }

    /// The name of the zone that a record is in, or would be in. An authoritative answer names it (RFC 2308,
    /// section 3).
    pub(super) async fn zone_of(&self, name: &str) -> Result<String, LookupError> {
        let mut candidate = name;
        loop {
            let answer = self.ask(candidate, RecordType::SOA).await?;
            let mut records = answer.answers.iter().chain(&answer.authorities);
            let zone = records.find(|record| matches!(record.data, RData::SOA(_))).map(|record| plain(&record.name));
            if let Some(zone) = zone.filter(|zone| name == zone || name.ends_with(&format!(".{zone}"))) {
                return Ok(zone);
            }
            candidate = match candidate.split_once('.') {
                Some((_, parent)) if parent.contains('.') => parent,
                _ => return Err(LookupError::NoZone(name.to_owned())),
            };
        }
    }

    /// The name servers of the zone that a record is in, or the recursive servers if those cannot be found or
    /// reached.
    pub(super) async fn servers_of(&self, name: &str) -> Servers {
        let resolvers = || Servers { addresses: self.servers.clone(), are_resolvers: true };
        let Ok(zone) = self.zone_of(name).await else { return resolvers() };
        let Ok(answer) = self.ask(&zone, RecordType::NS).await else { return resolvers() };
        let names = answer.answers.iter().filter_map(|record| match &record.data {
            RData::NS(server) => Some(plain(&server.0)),
            _ => None,
        });
        let mut addresses = Vec::new();
        for server in names.take(SERVERS_MAX).collect::<Vec<_>>() {
            let Some(address) = self.address_of(&server).await else { continue };
            let address = SocketAddr::new(address, self.port);
            if ask_at(address, &zone, RecordType::SOA, false).await.is_ok() {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { resolvers() } else { Servers { addresses, are_resolvers: false } }
    }

    /// Whether all of the servers have the value at that name.
    pub(super) async fn all_have(&self, servers: &Servers, name: &str, value: &str) -> bool {
        for server in &servers.addresses {
            let has = match ask_at(*server, name, RecordType::TXT, servers.are_resolvers).await {
                Ok(answer) => answer.answers.iter().any(|record| is_text(record, value)),
                Err(_) => false,
            };
            // One resolver is as good as another.
            if has == servers.are_resolvers {
                return has;
            }
        }
        !servers.are_resolvers
    }

    async fn address_of(&self, host: &str) -> Option<IpAddr> {
        for kind in [RecordType::A, RecordType::AAAA] {
            let Ok(answer) = self.ask(host, kind).await else { continue };
            let address = answer.answers.iter().find_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            });
            if address.is_some() {
                return address;
            }
        }
        None
    }

    /// Returns the first answer of the recursive servers.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Message, LookupError> {
        let mut outcome = Err(LookupError::NoServer);
        for server in &self.servers {
            outcome = ask_at(*server, name, kind, true).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// Asks one question. An empty answer is an answer; a server that fails gives an error.
async fn ask_at(server: SocketAddr, name: &str, kind: RecordType, recurse: bool) -> Result<Message, LookupError> {
    let owner = Name::from_str(&format!("{name}.")).map_err(|_| LookupError::NoName(name.to_owned()))?;
    let mut message = Message::query();
    message.metadata.recursion_desired = recurse;
    message.add_query(Query::query(owner, kind));
    let silent = |error: String| LookupError::Silent(format!("{server}: {error}"));
    let wire = message.to_vec().map_err(|error| silent(error.to_string()))?;
    let answer = match within(by_datagram(server, &wire)).await {
        Ok(answer) if !answer.truncation => answer,
        // The answer is too long for one datagram, or datagrams do not come through.
        _ => within(by_stream(server, &wire)).await.map_err(|error| silent(error.to_string()))?,
    };
    match answer.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if answer.id == message.id => Ok(answer),
        code => Err(silent(code.to_string())),
    }
}

async fn within(answer: impl Future<Output = std::io::Result<Message>>) -> std::io::Result<Message> {
    tokio::time::timeout(ANSWER_DEADLINE, answer).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

async fn by_datagram(server: SocketAddr, wire: &[u8]) -> std::io::Result<Message> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).await?;
    // The socket then receives only packets from that server.
    socket.connect(server).await?;
    socket.send(wire).await?;
    let mut answer = [0; ANSWER_BYTES_MAX];
    let len = socket.recv(&mut answer).await?;
    Message::from_vec(&answer[..len]).map_err(std::io::Error::other)
}

async fn by_stream(server: SocketAddr, wire: &[u8]) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(wire.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), wire].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(std::io::Error::other)
}

fn alias(record: &Record, of: &str) -> Option<String> {
    match &record.data {
        RData::CNAME(end) if plain(&record.name) == of.to_ascii_lowercase() => Some(plain(&end.0)),
        _ => None,
    }
}

/// Whether the record holds the value. A long text is kept in pieces (RFC 7208, section 3.3).
fn is_text(record: &Record, value: &str) -> bool {
    match &record.data {
        RData::TXT(text) => text.txt_data.concat() == value.as_bytes(),
        _ => false,
    }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn system_servers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    servers_in(&text)
}

fn servers_in(resolv_conf: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let text = line.trim().strip_prefix("nameserver")?.trim();
        // A zone such as `%eth0` cannot be kept in an address.
        text.split('%').next()?.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53))
    };
    resolv_conf.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_read() {
        let text = "# by somebody\nsearch example.org\nnameserver 127.0.0.11\n nameserver fe80::1%eth0\noptions x\n";
        let servers: Vec<_> = servers_in(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.11:53", "[fe80::1]:53"]);
    }
}
