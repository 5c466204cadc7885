//! Where a successor finds us, and what we say to it.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
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

use super::log_limit::Tally;
use super::{
    ALL, ANOTHER, Answer, Challenge, Event, LEAVING, READY, SILENT, STAYS, STEP_TIME, Secret, Side, challenge, name,
    peer, send, unexpected,
};

/// Who has not proved anything yet, at once. With more of them, the oldest makes room: somebody silent keeps
/// nobody waiting.
const STRANGERS_MAX: usize = 32;

/// A name may be held for a moment by a successor that is just ending.
const OPEN_PAUSE: Duration = Duration::from_millis(200);

/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where a successor finds us.
pub(in crate::serve) struct Door {
    addresses: Vec<SocketAddr>,
    /// For each address, where it is open.
    listeners: Vec<Option<UnixListener>>,
    sockets: Arc<[Arc<TcpListener>]>,
    secret: Arc<Secret>,
    strangers: JoinSet<io::Result<Known>>,
    oldest: VecDeque<AbortHandle>,
    waiting: JoinSet<io::Result<Successor>>,
    another: CancellationToken,
    refused: Tally,
    is_shut_out: bool,
}

/// It knows the secret, and has the sockets.
struct Known {
    stream: UnixStream,
    process: Option<i32>,
}

/// A successor that says that it serves.
#[derive(Debug)]
pub(in crate::serve) struct Successor {
    stream: UnixStream,
    /// Its number, where it can be seen from here.
    pub(in crate::serve) process: Option<i32>,
}

impl Door {
    /// For whoever would listen where these sockets do. It is opened by waiting for somebody.
    pub(in crate::serve) fn new(sockets: Vec<Arc<TcpListener>>, secret: Secret) -> Self {
        let mut addresses: Vec<_> = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            listeners: addresses.iter().map(|_| None).collect(),
            addresses,
            sockets: sockets.into(),
            secret: Arc::new(secret),
            strangers: JoinSet::new(),
            oldest: VecDeque::new(),
            waiting: JoinSet::new(),
            another: CancellationToken::new(),
            refused: Tally::default(),
            is_shut_out: false,
        }
    }

    /// Waits for one that serves. Cancel-safe: whoever was being waited for may go on where it was.
    pub(in crate::serve) async fn successor(&mut self) -> Successor {
        loop {
            let is_open = self.open();
            tokio::select! {
                accepted = accept(&self.listeners) => match accepted {
                    Ok(stream) => self.admit(stream),
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(known) = self.strangers.join_next() => match known {
                    Ok(Ok(known)) => self.wait_for(known),
                    Ok(Err(error)) => self.refuse(&error),
                    // It made room for another.
                    Err(_) => self.refuse(&io::ErrorKind::TimedOut.into()),
                },
                Some(ready) = self.waiting.join_next() => match ready {
                    Ok(Ok(successor)) => return successor,
                    Ok(Err(error)) => tracing::warn!(%error, "a successor had the sockets and did not take over"),
                    Err(_) => {}
                },
                () = sleep(OPEN_PAUSE), if !is_open => {}
            }
        }
    }

    /// From now on nobody finds us: the names are a successor's. Whoever waits is told that another was faster.
    pub(in crate::serve) async fn close(&mut self) {
        self.listeners.iter_mut().for_each(|listener| *listener = None);
        self.strangers.abort_all();
        self.another.cancel();
        while let Some(waited) = self.waiting.join_next().await {
            if let Ok(Ok(mut successor)) = waited {
                successor.say(ANOTHER).await;
            }
        }
        self.another = CancellationToken::new();
    }

    /// Whether it is open for every address now.
    fn open(&mut self) -> bool {
        for (address, listener) in self.addresses.iter().zip(&mut self.listeners) {
            if listener.is_some() {
                continue;
            }
            match bind(*address) {
                Ok(opened) => *listener = Some(opened),
                Err(error) if !self.is_shut_out => {
                    self.is_shut_out = true;
                    tracing::warn!(%address, %error, "no successor can take over at this address for now");
                }
                Err(_) => {}
            }
        }
        let is_open = self.listeners.iter().all(Option::is_some);
        self.is_shut_out &= !is_open;
        is_open
    }

    fn admit(&mut self, stream: UnixStream) {
        // Before anything else: whoever else is here can be no successor.
        let process = match peer(&stream) {
            Ok(process) => process,
            Err(error) => return self.refuse(&error),
        };
        self.oldest.retain(|stranger| !stranger.is_finished());
        if self.oldest.len() >= STRANGERS_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            oldest.abort();
        }
        let stranger = know(stream, process, Arc::clone(&self.sockets), Arc::clone(&self.secret));
        let stranger = async { timeout(STEP_TIME, stranger).await? };
        self.oldest.push_back(self.strangers.spawn(stranger));
    }

    fn wait_for(&mut self, known: Known) {
        tracing::info!(process = known.process, "a successor has the sockets; it takes over once it can serve");
        let another = self.another.clone();
        self.waiting.spawn(ready(known, another));
    }

    fn refuse(&mut self, error: &io::Error) {
        if let Some(times) = self.refused.count(Instant::now()) {
            tracing::warn!(%error, times, "somebody asked for the sockets and does not get them");
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UnixListener> {
    let listener = StdUnixListener::bind_addr(&UnixAddr::from_abstract_name(name(address))?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn accept(listeners: &[Option<UnixListener>]) -> io::Result<UnixStream> {
    let accepted = std::future::poll_fn(|cx| {
        let mut ready = listeners.iter().flatten().map(|listener| listener.poll_accept(cx));
        ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
    });
    accepted.await.map(|(stream, _)| stream)
}

/// Gives the sockets to one that knows the secret.
async fn know(
    mut stream: UnixStream,
    process: Option<i32>,
    sockets: Arc<[Arc<TcpListener>]>,
    secret: Arc<Secret>,
) -> io::Result<Known> {
    let (mut theirs, mut answer, ours) = (Challenge::default(), Answer::default(), challenge()?);
    stream.read_exact(&mut theirs).await?;
    stream.write_all(&secret.answer(Side::Predecessor, &theirs, &ours)?).await?;
    stream.write_all(&ours).await?;
    stream.read_exact(&mut answer).await?;
    secret.check(Side::Successor, &ours, &theirs, &answer)?;
    for socket in &*sockets {
        send(&stream, socket).await?;
    }
    stream.write_all(&[ALL]).await?;
    Ok(Known { stream, process })
}

/// Waits until it can serve, for as long as that takes.
async fn ready(known: Known, another: CancellationToken) -> io::Result<Successor> {
    let Known { stream, process } = known;
    let mut successor = Successor { stream, process };
    tokio::select! {
        said = successor.stream.read_u8() => match said? {
            READY => return Ok(successor),
            other => return Err(unexpected(other)),
        },
        () = another.cancelled() => {}
    }
    successor.say(ANOTHER).await;
    Err(io::Error::other("another was faster"))
}

impl Successor {
    /// Tells it that it is alone now.
    pub(in crate::serve) async fn tell_leaving(&mut self) {
        self.say(LEAVING).await;
    }

    /// Tells it that nobody sees it serving.
    pub(in crate::serve) async fn tell_silent(&mut self) {
        self.say(SILENT).await;
    }

    async fn say(&mut self, what: u8) {
        // If it is gone, nobody can be helped any more.
        let _ = timeout(STEP_TIME, self.stream.write_all(&[what])).await;
    }

    /// What becomes of it, which may take for ever. Cancel-safe.
    pub(in crate::serve) async fn end(&mut self) -> Event {
        let mut said = [0];
        match self.stream.read(&mut said).await {
            Ok(1..) if said[0] == STAYS => Event::Stays,
            _ => Event::Gone,
        }
    }
}
