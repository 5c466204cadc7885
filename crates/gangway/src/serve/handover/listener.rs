//! The predecessor's side: waits for a successor, gives it the sockets and talks to it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener as StdUnixListener};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::log_limit::LogLimit;
use super::protocol::{ALL, ANOTHER, LEAVING, READY, SILENT, STAYS, STEP_TIME, peer_process, socket_name, unexpected};
use super::secret::{HandoverChallenge, HandoverSecret, Side, Signature, challenge};
use super::socket_passing::send;
use super::sockets_at_hand::SocketsAtHand;
use super::state::HandoverEvent;

/// Connections that have proved nothing yet, at once. With more of them the oldest is closed, so that silent ones
/// keep no successor waiting.
const STRANGERS_MAX: usize = 32;

/// The pause before a name is tried again: a successor that is just ending may hold it for a moment.
const OPEN_PAUSE: Duration = Duration::from_millis(200);

/// The pause after a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The abstract sockets at which successors ask for the listening sockets.
pub(crate) struct HandoverListener {
    sockets: SocketsAtHand,
    /// For each address, the socket, unless another process holds its name.
    listeners: BTreeMap<SocketAddr, Option<UnixListener>>,
    secret: Arc<HandoverSecret>,
    strangers: JoinSet<io::Result<VerifiedPeer>>,
    oldest: VecDeque<AbortHandle>,
    waiting: JoinSet<io::Result<Successor>>,
    /// Cancelled when another successor was faster.
    another: CancellationToken,
    refused: LogLimit,
    /// Whether it was logged that a name cannot be had.
    is_blocked: bool,
}

/// A peer that knows the secret and has the sockets.
struct VerifiedPeer {
    stream: UnixStream,
    process: Option<i32>,
}

/// A successor that says that it serves.
#[derive(Debug)]
pub(crate) struct Successor {
    stream: UnixStream,
    /// Its number, if it can be seen from here.
    pub(crate) process: Option<i32>,
}

impl HandoverListener {
    /// For successors that would listen where these sockets do. It opens with the first wait for a successor.
    pub(crate) fn new(mut sockets: SocketsAtHand, secret: HandoverSecret) -> Self {
        Self {
            listeners: sockets.addresses().into_iter().map(|address| (address, None)).collect(),
            sockets,
            secret: Arc::new(secret),
            strangers: JoinSet::new(),
            oldest: VecDeque::new(),
            waiting: JoinSet::new(),
            another: CancellationToken::new(),
            refused: LogLimit::default(),
            is_blocked: false,
        }
    }

    /// Waits for a successor that serves. Cancel-safe: the next call goes on with those that were waited for.
    pub(crate) async fn successor(&mut self) -> Successor {
        loop {
            let is_open = self.open();
            tokio::select! {
                accepted = accept(&self.listeners) => match accepted {
                    Ok(stream) => self.admit(stream),
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(verified) = self.strangers.join_next() => match verified {
                    Ok(Ok(peer)) => self.wait_for(peer),
                    Ok(Err(error)) => self.refuse(&error),
                    // It was closed to make room for another.
                    Err(_) => self.refuse(&io::ErrorKind::TimedOut.into()),
                },
                Some(ready) = self.waiting.join_next() => match ready {
                    Ok(Ok(successor)) => return successor,
                    Ok(Err(error)) => tracing::warn!(%error, "a successor had the sockets and did not take over"),
                    Err(_) => {}
                },
                () = sleep(OPEN_PAUSE), if !is_open => {}
                Ok(()) = self.sockets.listening.changed() => self.follow_sockets(),
            }
        }
    }

    /// Gives the names up, so that a successor can take them. Other successors that wait get the answer that one was faster.
    pub(crate) async fn close(&mut self) {
        self.listeners.values_mut().for_each(|listener| *listener = None);
        self.strangers.abort_all();
        self.another.cancel();
        while let Some(waited) = self.waiting.join_next().await {
            if let Ok(Ok(mut successor)) = waited {
                successor.send(ANOTHER).await;
            }
        }
        self.another = CancellationToken::new();
    }

    /// Has a name for each address as they are now. Those of addresses that stay remain.
    fn follow_sockets(&mut self) {
        let mut before = std::mem::take(&mut self.listeners);
        let addresses = self.sockets.addresses().into_iter();
        self.listeners = addresses.map(|address| (address, before.remove(&address).flatten())).collect();
    }

    /// Opens what is not open yet, and returns whether every address is.
    fn open(&mut self) -> bool {
        for (address, listener) in &mut self.listeners {
            if listener.is_some() {
                continue;
            }
            match bind(*address) {
                Ok(opened) => *listener = Some(opened),
                Err(error) if !self.is_blocked => {
                    self.is_blocked = true;
                    tracing::warn!(%address, %error, "no successor can take over at this address for now");
                }
                Err(_) => {}
            }
        }
        let is_open = self.listeners.values().all(Option::is_some);
        self.is_blocked &= !is_open;
        is_open
    }

    fn admit(&mut self, stream: UnixStream) {
        // Before anything else: a process of another user cannot be a successor.
        let process = match peer_process(&stream) {
            Ok(process) => process,
            Err(error) => return self.refuse(&error),
        };
        self.oldest.retain(|stranger| !stranger.is_finished());
        if self.oldest.len() >= STRANGERS_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            oldest.abort();
        }
        let stranger = verify(stream, process, self.sockets.clone(), Arc::clone(&self.secret));
        let stranger = async { timeout(STEP_TIME, stranger).await? };
        self.oldest.push_back(self.strangers.spawn(stranger));
    }

    fn wait_for(&mut self, peer: VerifiedPeer) {
        tracing::info!(process = peer.process, "a successor has the sockets; it takes over once it can serve");
        let another = self.another.clone();
        self.waiting.spawn(ready(peer, another));
    }

    fn refuse(&mut self, error: &io::Error) {
        if let Some(times) = self.refused.count(Instant::now()) {
            tracing::warn!(%error, times, "a process asked for the sockets and does not get them");
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UnixListener> {
    let listener = StdUnixListener::bind_addr(&UnixAddr::from_abstract_name(socket_name(address))?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn accept(listeners: &BTreeMap<SocketAddr, Option<UnixListener>>) -> io::Result<UnixStream> {
    let accepted = std::future::poll_fn(|cx| {
        let mut ready = listeners.values().flatten().map(|listener| listener.poll_accept(cx));
        ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
    });
    accepted.await.map(|(stream, _)| stream)
}

/// Gives the sockets to a peer that knows the secret.
async fn verify(
    mut stream: UnixStream,
    process: Option<i32>,
    sockets: SocketsAtHand,
    secret: Arc<HandoverSecret>,
) -> io::Result<VerifiedPeer> {
    let (mut theirs, mut signature, ours) = (HandoverChallenge::default(), Signature::default(), challenge()?);
    stream.read_exact(&mut theirs).await?;
    stream.write_all(&secret.sign(Side::Predecessor, &theirs, &ours)?).await?;
    stream.write_all(&ours).await?;
    stream.read_exact(&mut signature).await?;
    secret.verify(Side::Successor, &ours, &theirs, &signature)?;
    for socket in sockets.all() {
        send(&stream, &socket).await?;
    }
    stream.write_all(&[ALL]).await?;
    Ok(VerifiedPeer { stream, process })
}

/// Waits until the peer can serve, for as long as that takes.
async fn ready(peer: VerifiedPeer, another: CancellationToken) -> io::Result<Successor> {
    let VerifiedPeer { stream, process } = peer;
    let mut successor = Successor { stream, process };
    tokio::select! {
        byte = successor.stream.read_u8() => match byte? {
            READY => return Ok(successor),
            other => return Err(unexpected(other)),
        },
        () = another.cancelled() => {}
    }
    successor.send(ANOTHER).await;
    Err(io::Error::other("another was faster"))
}

impl Successor {
    /// Tells it that it is alone now.
    pub(crate) async fn tell_leaving(&mut self) {
        self.send(LEAVING).await;
    }

    /// Tells it that it does not answer clients.
    pub(crate) async fn tell_silent(&mut self) {
        self.send(SILENT).await;
    }

    async fn send(&mut self, byte: u8) {
        // An error means that it is gone, which the next read of its state shows.
        let _ = timeout(STEP_TIME, self.stream.write_all(&[byte])).await;
    }

    /// Waits until it ends or hands over in turn, which may never happen. Cancel-safe.
    pub(crate) async fn end(&mut self) -> HandoverEvent {
        let mut byte = [0];
        match self.stream.read(&mut byte).await {
            Ok(1..) if byte[0] == STAYS => HandoverEvent::Stays,
            Ok(_) | Err(_) => HandoverEvent::Gone,
        }
    }
}
