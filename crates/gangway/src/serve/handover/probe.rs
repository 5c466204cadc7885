//! Whether anybody takes connections where we listen: asked as clients ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// For a sign of life. Clients wait meanwhile.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(5);

/// Plain HTTP, whatever is spoken there: who takes TLS connections only answers with an alert, or closes. The
/// name can be nobody's.
const QUESTION: &[u8] =
    b"GET / HTTP/1.1\r\nHost: handover.invalid\r\nUser-Agent: gangway-handover\r\nConnection: close\r\n\r\n";

/// Whether somebody reacts at one of these addresses. Where none can be connected to from here, there is
/// nothing to be learnt, and the successor's word stands.
pub(in crate::serve) async fn answers(addresses: impl IntoIterator<Item = SocketAddr>) -> bool {
    answers_within(addresses, PROBE_TIME).await
}

async fn answers_within(addresses: impl IntoIterator<Item = SocketAddr>, time: Duration) -> bool {
    let mut asked: JoinSet<_> = addresses.into_iter().map(|address| ask(local(address), time)).collect();
    let mut is_silent = false;
    while let Some(reaction) = asked.join_next().await {
        match reaction {
            Ok(Reaction::Answer) => return true,
            Ok(Reaction::Silence) => is_silent = true,
            Ok(Reaction::Unreachable) | Err(_) => {}
        }
    }
    !is_silent
}

enum Reaction {
    Answer,
    Silence,
    Unreachable,
}

async fn ask(address: SocketAddr, time: Duration) -> Reaction {
    let Ok(Ok(mut stream)) = timeout(time, TcpStream::connect(address)).await else {
        return Reaction::Unreachable;
    };
    let reaction = timeout(time, async {
        // An error is a reaction as well: nobody but the process there closes a connection.
        let _ = stream.write_all(QUESTION).await;
        let _ = stream.read(&mut [0]).await;
    });
    if reaction.await.is_ok() { Reaction::Answer } else { Reaction::Silence }
}

/// Where who listens at all addresses is reached from this machine.
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
