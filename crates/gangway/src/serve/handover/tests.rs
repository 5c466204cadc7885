//! Both sides of a hand-over, in one process.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::listener::HandoverListener;
use super::predecessor::{Consent, Predecessor, Relief, is_behind};
use super::protocol::{STEP_TIME, socket_name};
use super::secret::HandoverSecret;
use super::sockets_at_hand::SocketsAtHand;
use super::state::HandoverEvent;

fn listening() -> (Vec<Arc<TcpListener>>, SocketAddr) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let another = socket.try_clone().expect("the same once more");
    (vec![Arc::new(socket), Arc::new(another)], address)
}

fn at_hand(sockets: Vec<Arc<TcpListener>>) -> SocketsAtHand {
    SocketsAtHand { listening: watch::channel(sockets).1, admin: None }
}

fn of_volume(volume: &'static str) -> HandoverSecret {
    HandoverSecret::from(move || vec![volume.into()])
}

async fn find(address: SocketAddr, volume: &'static str) -> Option<Predecessor> {
    Predecessor::find([address], &of_volume(volume), Consent::AnyInstance).await
}

/// A process that connects and stays silent.
fn connect_silently(address: SocketAddr) -> StdUnixStream {
    let name = UnixAddr::from_abstract_name(socket_name(address)).expect("a name");
    StdUnixStream::connect_addr(&name).expect("the listener is open")
}

#[tokio::test]
async fn a_successor_gets_the_sockets_and_the_predecessor_hears_when_it_serves() {
    let (sockets, address) = listening();
    let mut listener = HandoverListener::new(at_hand(sockets), of_volume("one"));
    let ourselves = Some(std::process::id().cast_signed());
    let (relieved, mut successor) = tokio::join!(
        async {
            let predecessor = eventually(address, "one").await;
            assert_eq!(predecessor.process, ourselves);
            let addresses = predecessor.sockets.iter().map(|socket| socket.local_addr().expect("it listens"));
            assert_eq!(addresses.collect::<Vec<_>>(), [address, address]);
            match predecessor.relieve().await {
                Relief::Relieved(relieved) => relieved,
                other => panic!("{other:?}"),
            }
        },
        async {
            let mut successor = listener.successor().await;
            listener.close().await;
            successor.tell_leaving().await;
            successor
        },
    );
    assert_eq!(successor.process, ourselves);
    assert!(find(address, "one").await.is_none() && !is_behind(address), "the names are the successor's now");
    relieved.settle().await;
    assert_eq!(successor.end().await, HandoverEvent::Stays);
}

#[tokio::test]
async fn a_predecessor_that_knows_only_the_former_secret_hands_over_to_one_that_has_both() {
    let both = || HandoverSecret::from(|| vec![b"the secret of the volume".to_vec(), b"the key of the CA".to_vec()]);
    for secret in [of_volume("the key of the CA"), both()] {
        let (sockets, address) = listening();
        let mut listener = HandoverListener::new(at_hand(sockets), secret);
        let found = async || Predecessor::find([address], &both(), Consent::AnyInstance).await;
        let asking = async {
            let found = gangway_testkit::wait::eventually("the listener is open", STEP_TIME, found).await;
            assert!(matches!(found.relieve().await, Relief::Relieved(_)));
        };
        tokio::join!(asking, async { listener.successor().await.tell_leaving().await });
    }
}

/// Asks until the listener is open.
async fn eventually(address: SocketAddr, volume: &'static str) -> Predecessor {
    gangway_testkit::wait::eventually("the listener is open", STEP_TIME, async || find(address, volume).await).await
}

#[tokio::test]
async fn a_successor_that_goes_away_unready_or_serves_another_volume_changes_nothing() {
    let (sockets, address) = listening();
    let mut listener = HandoverListener::new(at_hand(sockets), of_volume("one"));
    let asked = async {
        drop(eventually(address, "one").await);
        let nothing = HandoverSecret::from(Vec::new);
        assert!(Predecessor::find([address], &nothing, Consent::AnyInstance).await.is_none(), "nothing can be proved");
        assert!(find(address, "another").await.is_none(), "it is no concern of ours");
        find(address, "one").await.expect("it is still there").relieve().await
    };
    let serving = async {
        let mut successor = listener.successor().await;
        successor.tell_silent().await;
        successor
    };
    let (refused, mut successor) = tokio::join!(asked, serving);
    assert!(matches!(refused, Relief::Refused(_)), "{refused:?}");
    drop(refused);
    assert_eq!(successor.end().await, HandoverEvent::Gone);
    // And the next one may try.
    let (left, ()) =
        tokio::join!(async { find(address, "one").await.expect("it is open again").relieve().await }, async {
            listener.successor().await.tell_leaving().await;
        });
    assert!(matches!(left, Relief::Relieved(_)), "{left:?}");
}

#[tokio::test]
async fn an_instance_takes_over_only_with_consent() {
    let (sockets, address) = listening();
    let mut listener = HandoverListener::new(at_hand(sockets), of_volume("one"));
    let asking = async {
        drop(eventually(address, "one").await);
        for consent in [Consent::None, Consent::OtherContainers] {
            // This very process is in no other container.
            assert!(Predecessor::find([address], &of_volume("one"), consent).await.is_none(), "{consent:?}");
        }
        assert!(is_behind(address), "the error about the address in use can name this instance");
    };
    tokio::select! {
        () = asking => {}
        _ = listener.successor() => panic!("no successor is ready"),
    }
}

#[tokio::test]
async fn silent_connections_keep_no_successor_waiting() {
    let (sockets, address) = listening();
    let mut listener = HandoverListener::new(at_hand(sockets), of_volume("one"));
    let asking = async {
        drop(eventually(address, "one").await);
        let silent: Vec<_> = (0..100).map(|_| connect_silently(address)).collect();
        let begun = Instant::now();
        let relief = find(address, "one").await.expect("it is answered").relieve().await;
        assert!(begun.elapsed() < STEP_TIME, "one of the silent ones was waited for");
        drop(silent);
        relief
    };
    let (relief, ()) = tokio::join!(asking, async {
        listener.successor().await.tell_leaving().await;
    });
    assert!(matches!(relief, Relief::Relieved(_)), "{relief:?}");
}

#[tokio::test]
async fn a_successor_that_listens_on_both_families_finds_a_predecessor_that_listens_on_one() {
    let socket = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    let mut listener = HandoverListener::new(at_hand(vec![Arc::new(socket)]), of_volume("one"));
    let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    tokio::select! {
        predecessor = eventually(every, "one") => assert_eq!(predecessor.sockets.len(), 1),
        _ = listener.successor() => panic!("no successor is ready"),
    }
    assert!(is_behind(every), "the error about the address in use can name this instance");
}

#[tokio::test]
async fn of_two_successors_the_slower_one_is_refused() {
    let (sockets, address) = listening();
    let mut listener = HandoverListener::new(at_hand(sockets), of_volume("one"));
    let two = async {
        let slow = eventually(address, "one").await;
        let fast = find(address, "one").await.expect("both are given the sockets");
        (fast.relieve().await, slow.relieve().await)
    };
    let ((fast, slow), _successor) = tokio::join!(two, async {
        let mut successor = listener.successor().await;
        listener.close().await;
        successor.tell_leaving().await;
        successor
    });
    assert!(matches!(fast, Relief::Relieved(_)), "{fast:?}");
    assert!(matches!(slow, Relief::Refused(_)), "it would serve beside the other: {slow:?}");
}

#[tokio::test]
async fn a_successor_serves_alone_after_its_predecessor_dies() {
    let (sockets, address) = listening();
    let mut listener = HandoverListener::new(at_hand(sockets), of_volume("one"));
    let predecessor = tokio::select! {
        predecessor = eventually(address, "one") => predecessor,
        _ = listener.successor() => panic!("no successor is ready"),
    };
    drop(listener);
    assert!(matches!(predecessor.relieve().await, Relief::Alone(_)));
}

#[tokio::test]
async fn a_process_that_holds_the_name_and_accepts_nothing_stalls_no_start() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let name = UnixAddr::from_abstract_name(socket_name(address)).expect("a name");
    let held = StdUnixListener::bind_addr(&name).expect("the name is free");
    rustix::net::listen(&held, 0).expect("it listens");
    // The one place of its queue.
    let _first = StdUnixStream::connect_addr(&name).expect("there is room for one");
    let begun = Instant::now();
    // On this one thread: a call that blocks would never come back.
    assert!(find(address, "one").await.is_none());
    assert!(begun.elapsed() >= STEP_TIME, "it was knocked at for as long as a step takes");
}
