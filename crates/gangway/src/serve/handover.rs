//! Hands the listening sockets to a successor that is started beside us, so that an upgrade loses nothing.
//!
//! Whoever listens on an address can be asked for its sockets at an abstract Unix socket (`unix(7)`) that is
//! named after it. Both are of one network namespace, so who is found there listens where we would. Anybody
//! of that namespace can speak there: each side must be of the other's user, and prove that it knows the
//! secret of the volume, without showing it.
//!
//! ```text
//! successor                               predecessor
//!    | a challenge ---------------------------> |
//!    | <------------ its answer, and another    |
//!    | the answer ----------------------------> |
//!    | <-- a socket, … and that these were all  |  both listen, one accepts
//!    |  reads engine and volume                 |
//!    | ready ---------------------------------> |  both accept
//!    | <------------------------------- leaving |  one accepts; the other finishes what it has begun
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Of what is said here; another one would have another name, and not be found.
const VERSION: u8 = 1;

/// For each step of the other side that needs no waiting.
const STEP_TIME: Duration = Duration::from_secs(5);

const SOCKET: u8 = b's';
const ALL: u8 = b'.';
const READY: u8 = b'r';
const LEAVING: u8 = b'l';

/// What a side is asked to sign; never the same twice.
type Challenge = [u8; 32];

/// A signature of both challenges.
type Answer = [u8; 32];

/// Who signs: nobody can send back what it was sent.
#[derive(Clone, Copy)]
enum Side {
    Predecessor,
    Successor,
}

/// What both know who serve from one volume.
pub(super) struct Secret(Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>);

impl Secret {
    /// Read each time it is needed, since a new volume has none yet; without it, nobody is trusted.
    pub(super) fn from(read: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    fn key(&self) -> io::Result<hmac::Key> {
        let kept = (self.0)().ok_or_else(|| io::Error::other("the volume holds no secret to know each other by"))?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &kept))
    }

    fn answer(&self, side: Side, asked: &Challenge, own: &Challenge) -> io::Result<Answer> {
        let tag = hmac::sign(&self.key()?, &signed(side, asked, own));
        Ok(tag.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    fn check(&self, side: Side, asked: &Challenge, own: &Challenge, answer: &Answer) -> io::Result<()> {
        hmac::verify(&self.key()?, &signed(side, asked, own), answer)
            .map_err(|_| io::Error::other("it does not serve from this data folder"))
    }
}

fn signed(side: Side, asked: &Challenge, own: &Challenge) -> Vec<u8> {
    let side: &[u8] = match side {
        Side::Predecessor => b"handover\0predecessor\0",
        Side::Successor => b"handover\0successor\0",
    };
    [side, asked, own].concat()
}

fn challenge() -> io::Result<Challenge> {
    let mut challenge = Challenge::default();
    aws_lc_rs::rand::fill(&mut challenge).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(challenge)
}

/// Where a successor finds us.
pub(super) struct Door {
    listeners: Vec<UnixListener>,
    sockets: Vec<Arc<TcpListener>>,
    secret: Secret,
}

/// A successor that serves, and waits for us to leave.
#[derive(Debug)]
pub(super) struct Successor {
    stream: UnixStream,
    /// Its number, where it can be seen from here.
    pub(super) process: Option<i32>,
}

impl Door {
    /// Opens it for the addresses of these sockets. Where that is not possible, a successor finds nobody, and
    /// says that the addresses are taken.
    pub(super) fn open(sockets: Vec<Arc<TcpListener>>, secret: Secret) -> Self {
        let mut listeners = Vec::new();
        let mut addresses: Vec<_> = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            let opened = name(address).and_then(|name| StdUnixListener::bind_addr(&name)).and_then(|listener| {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener)
            });
            match opened {
                Ok(listener) => listeners.push(listener),
                Err(error) => tracing::warn!(%address, %error, "no successor will be able to take over"),
            }
        }
        Self { listeners, sockets, secret }
    }

    /// Waits for one that serves. Cancel-safe: whoever was being waited for goes away.
    pub(super) async fn successor(&self) -> Successor {
        loop {
            let accepted = std::future::poll_fn(|cx| {
                let mut ready = self.listeners.iter().map(|listener| listener.poll_accept(cx));
                ready.find(std::task::Poll::is_ready).unwrap_or(std::task::Poll::Pending)
            });
            let Ok((stream, _)) = accepted.await else {
                tokio::time::sleep(STEP_TIME).await;
                continue;
            };
            match self.serve(stream).await {
                Ok(successor) => return successor,
                Err(error) => tracing::warn!(%error, "a successor asked for the sockets and did not take over"),
            }
        }
    }

    async fn serve(&self, mut stream: UnixStream) -> io::Result<Successor> {
        let process = peer(&stream)?;
        timeout(STEP_TIME, self.know(&mut stream)).await??;
        for socket in &self.sockets {
            timeout(STEP_TIME, send(&stream, socket)).await??;
        }
        stream.write_all(&[ALL]).await?;
        tracing::info!(process, "a successor has the sockets; it takes over once it can serve");
        match stream.read_u8().await? {
            READY => Ok(Successor { stream, process }),
            other => Err(unexpected(other)),
        }
    }

    /// An error where the other side does not know the secret.
    async fn know(&self, stream: &mut UnixStream) -> io::Result<()> {
        let (mut theirs, mut answer, ours) = (Challenge::default(), Answer::default(), challenge()?);
        stream.read_exact(&mut theirs).await?;
        stream.write_all(&self.secret.answer(Side::Predecessor, &theirs, &ours)?).await?;
        stream.write_all(&ours).await?;
        stream.read_exact(&mut answer).await?;
        self.secret.check(Side::Successor, &ours, &theirs, &answer)
    }
}

impl Successor {
    /// Tells it that it is alone now.
    pub(super) async fn tell(mut self) {
        // If it is gone, nobody can be helped any more.
        let _ = self.stream.write_all(&[LEAVING]).await;
    }
}

/// Who listens where we are to.
#[derive(Debug)]
pub(super) struct Predecessor {
    stream: UnixStream,
    /// Its number, where it can be seen from here.
    pub(super) process: Option<i32>,
    /// Its sockets.
    pub(super) sockets: Vec<Arc<TcpListener>>,
}

impl Predecessor {
    /// The one that listens on one of these addresses, serves from our volume, and hands its sockets over.
    pub(super) async fn find(addresses: impl IntoIterator<Item = SocketAddr>, secret: &Secret) -> Option<Self> {
        for address in addresses {
            let Ok(stream) = name(address).and_then(|name| StdUnixStream::connect_addr(&name)) else { continue };
            match timeout(STEP_TIME, Self::ask(stream, secret)).await {
                Ok(Ok(predecessor)) => return Some(predecessor),
                Ok(Err(error)) => tracing::warn!(%address, %error, "who listens there does not hand its sockets over"),
                Err(_) => tracing::warn!(%address, "who listens there did not answer in time"),
            }
        }
        None
    }

    async fn ask(stream: StdUnixStream, secret: &Secret) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut stream = UnixStream::from_std(stream)?;
        let process = peer(&stream)?;
        let (mut theirs, mut answer, ours) = (Challenge::default(), Answer::default(), challenge()?);
        stream.write_all(&ours).await?;
        stream.read_exact(&mut answer).await?;
        stream.read_exact(&mut theirs).await?;
        secret.check(Side::Predecessor, &ours, &theirs, &answer)?;
        stream.write_all(&secret.answer(Side::Successor, &theirs, &ours)?).await?;
        let mut sockets = Vec::new();
        while let Some(socket) = receive(&stream).await? {
            sockets.push(Arc::new(socket));
        }
        Ok(Self { stream, process, sockets })
    }

    /// Its socket that listens on this address, if it has one.
    pub(super) fn socket(&self, address: SocketAddr) -> Option<Arc<TcpListener>> {
        let listens = |socket: &&Arc<TcpListener>| socket.local_addr().is_ok_and(|actual| actual == address);
        self.sockets.iter().find(listens).cloned()
    }

    /// Tells it that we serve, and waits until it takes no connections any more.
    pub(super) async fn relieve(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY]).await?;
        match timeout(STEP_TIME, self.stream.read_u8()).await?? {
            LEAVING => Ok(()),
            other => Err(unexpected(other)),
        }
    }
}

fn name(address: SocketAddr) -> io::Result<UnixAddr> {
    UnixAddr::from_abstract_name(format!("gangway/handover/{VERSION}/{address}"))
}

/// The process at the other end; an error where it is not of our user.
fn peer(stream: &UnixStream) -> io::Result<Option<i32>> {
    let peer = stream.peer_cred()?;
    let (user, ours) = (peer.uid(), rustix::process::geteuid().as_raw());
    if user != ours {
        return Err(io::Error::other(format!("it runs as user {user}, not as {ours}")));
    }
    // The processes of other containers have none.
    Ok(peer.pid().filter(|process| *process != 0))
}

async fn send(stream: &UnixStream, socket: &TcpListener) -> io::Result<()> {
    let send = || {
        let sockets = [socket.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        let fits = along.push(SendAncillaryMessage::ScmRights(&sockets));
        debug_assert!(fits, "the space is for one");
        sendmsg(stream, &[IoSlice::new(&[SOCKET])], &mut along, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, send).await
}

/// The next socket; none when those were all.
async fn receive(stream: &UnixStream) -> io::Result<Option<TcpListener>> {
    let receive = || {
        let mut said = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut said)], &mut along, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let socket: Option<OwnedFd> = along.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        match (said[0], socket) {
            (SOCKET, Some(socket)) => Ok(Some(TcpListener::from(socket))),
            (ALL, None) => Ok(None),
            (other, _) => Err(unexpected(other)),
        }
    };
    stream.async_io(Interest::READABLE, receive).await
}

fn unexpected(said: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it said {:?}", char::from(said)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn listening() -> (Vec<Arc<TcpListener>>, SocketAddr) {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let another = socket.try_clone().expect("the same once more");
        (vec![Arc::new(socket), Arc::new(another)], address)
    }

    fn of_volume(volume: &'static str) -> Secret {
        Secret::from(move || Some(volume.into()))
    }

    #[tokio::test]
    async fn a_successor_gets_the_sockets_and_the_predecessor_hears_when_it_serves() {
        let (sockets, address) = listening();
        let door = Door::open(sockets, of_volume("one"));
        let ((), successor) = tokio::join!(
            async {
                let predecessor = Predecessor::find([address], &of_volume("one")).await.expect("it is there");
                assert_eq!(predecessor.process, Some(std::process::id().cast_signed()));
                let addresses = predecessor.sockets.iter().map(|socket| socket.local_addr().expect("it listens"));
                assert_eq!(addresses.collect::<Vec<_>>(), [address, address]);
                predecessor.relieve().await.expect("it leaves");
            },
            async {
                let successor = door.successor().await;
                let process = successor.process;
                successor.tell().await;
                process
            },
        );
        assert_eq!(successor, Some(std::process::id().cast_signed()));
        drop(door);
        assert!(Predecessor::find([address], &of_volume("one")).await.is_none(), "nobody is there any more");
    }

    #[tokio::test]
    async fn one_that_goes_away_unready_or_serves_another_volume_changes_nothing() {
        let (sockets, address) = listening();
        let door = Door::open(sockets, of_volume("one"));
        let asked = async {
            assert!(Predecessor::find([address], &Secret::from(|| None)).await.is_none(), "nothing can be proved");
            assert!(Predecessor::find([address], &of_volume("another")).await.is_none(), "it is no concern of ours");
            drop(Predecessor::find([address], &of_volume("one")).await.expect("it is there"));
            Predecessor::find([address], &of_volume("one")).await.expect("it is still there").relieve().await
        };
        let (left, ()) = tokio::join!(asked, async { door.successor().await.tell().await });
        left.expect("the third one takes over");
    }
}
