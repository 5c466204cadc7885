//! Tests whether a process answers at the listening addresses, with a request like that of a client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The time for a sign of life. Clients wait meanwhile.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(5);

/// Plain HTTP on every port: a listener for TLS answers with an alert or closes the connection. No host can have this
/// name.
const PROBE_REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: handover.invalid\r\nUser-Agent: gangway-handover\r\nConnection: close\r\n\r\n";

/// Whether a process reacts at one of these addresses. True as well if none can be reached from here: then the test
/// shows nothing, and the successor's word counts.
pub(crate) async fn answers(addresses: impl IntoIterator<Item = SocketAddr>) -> bool {
    answers_within(addresses, PROBE_TIME).await
}

async fn answers_within(addresses: impl IntoIterator<Item = SocketAddr>, time: Duration) -> bool {
    let mut asked: JoinSet<_> = addresses.into_iter().map(|address| ask(local(address), time)).collect();
    let mut is_silent = false;
    while let Some(reaction) = asked.join_next().await {
        match reaction {
            Ok(ProbeResult::Answer) => return true,
            Ok(ProbeResult::Silence) => is_silent = true,
            Ok(ProbeResult::Unreachable) | Err(_) => {}
        }
    }
    !is_silent
}

enum ProbeResult {
    Answer,
    Silence,
    Unreachable,
}

async fn ask(address: SocketAddr, time: Duration) -> ProbeResult {
    let Ok(Ok(mut stream)) = timeout(time, TcpStream::connect(address)).await else {
        return ProbeResult::Unreachable;
    };
    let reaction = timeout(time, async {
        // An error is a reaction as well: only the process there closes a connection.
        let _ = stream.write_all(PROBE_REQUEST).await;
        let _ = stream.read(&mut [0]).await;
    });
    if reaction.await.is_ok() { ProbeResult::Answer } else { ProbeResult::Silence }
}

/// The address by which this machine reaches a listener, which may listen on all addresses.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_listens_and_does_not_accept_is_silent_and_who_closes_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        assert!(!answers_within([address], Duration::from_millis(200)).await, "it only listens");
        let accepting = tokio::spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        assert!(answers([address]).await);
        accepting.abort();
        let _ = accepting.await;
        assert!(answers([address]).await, "nothing is known");
    }

    #[test]
    fn all_addresses_are_reached_at_loopback() {
        for (address, reached) in [("[::]:1", "[::1]:1"), ("0.0.0.0:1", "127.0.0.1:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            let [address, reached] = [address, reached].map(|text| text.parse().expect("an address"));
            assert_eq!(local(address), reached);
        }
    }
}
