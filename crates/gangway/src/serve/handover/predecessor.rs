//! The successor's side: finds the instance that listens already, gets its sockets and takes its place.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::probe::PROBE_TIME;
use super::protocol::{
    ANOTHER, LEAVING, READY, SILENT, STAYS, STEP_TIME, overlapping, peer_process, socket_name, unexpected,
};
use super::secret::{HandoverChallenge, HandoverSecret, Side, Signature, challenge, sign_with};
use super::socket_passing::receive;

/// The pause before a process whose queue is full is asked again.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// The instances whose place this one may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Consent {
    /// Any that serves from the same volume: the user asked for it.
    AnyInstance,
    /// One in another container. This process is the one that its container was made for, so a user who starts that
    /// container beside the other one wants this.
    OtherContainers,
    /// No instance: a user who types `gangway` where an instance runs may have meant anything.
    None,
}

/// A running instance that has given its sockets to this one.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    /// Its number, if it can be seen from here.
    pub(crate) process: Option<i32>,
    /// Its listening sockets.
    pub(crate) sockets: Vec<Arc<TcpListener>>,
}

/// The result of taking over.
#[derive(Debug)]
pub(crate) enum Relief {
    /// This instance serves alone. The predecessor takes its place back if this one ends before the predecessor leaves.
    Relieved(RelievedPredecessor),
    /// The predecessor has ended, or does not react: only this instance is left.
    Alone(io::Error),
    /// The predecessor goes on, or another successor was faster.
    Refused(&'static str),
}

/// A predecessor that was relieved and may still take its place back.
#[derive(Debug)]
pub(crate) struct RelievedPredecessor(UnixStream);

impl Predecessor {
    /// The instance that listens on one of these addresses, serves from the same volume and hands its sockets over.
    pub(crate) async fn find(
        addresses: impl IntoIterator<Item = SocketAddr>,
        secret: &HandoverSecret,
        consent: Consent,
    ) -> Option<Self> {
        if consent == Consent::None {
            return None;
        }
        for address in addresses.into_iter().flat_map(overlapping) {
            let stream = match timeout(STEP_TIME, connect(address)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Ok(Err(error)) => {
                    tracing::warn!(%address, %error, "the process that listens there cannot be asked for its sockets");
                    continue;
                }
                Err(_) => {
                    tracing::warn!(%address, "the process that listens there does not take the request for its sockets");
                    continue;
                }
            };
            match timeout(STEP_TIME, Self::ask(stream, secret, consent)).await {
                Ok(Ok(predecessor)) => return Some(predecessor),
                Ok(Err(error)) => {
                    tracing::warn!(%address, %error, "the process that listens there does not hand its sockets over");
                }
                Err(_) => tracing::warn!(%address, "the process that listens there did not answer in time"),
            }
        }
        None
    }

    async fn ask(mut stream: UnixStream, secret: &HandoverSecret, consent: Consent) -> io::Result<Self> {
        let process = peer_process(&stream)?;
        if consent == Consent::OtherContainers && process.is_some() {
            return Err(io::Error::other("it runs in this container; --take-over takes its place"));
        }
        let (mut theirs, mut signature, ours) = (HandoverChallenge::default(), Signature::default(), challenge()?);
        stream.write_all(&ours).await?;
        stream.read_exact(&mut signature).await?;
        stream.read_exact(&mut theirs).await?;
        let key = secret.verify(Side::Predecessor, &ours, &theirs, &signature)?;
        stream.write_all(&sign_with(&key, Side::Successor, &theirs, &ours)).await?;
        let mut sockets = Vec::new();
        while let Some(socket) = receive(&stream).await? {
            sockets.push(Arc::new(socket));
        }
        Ok(Self { stream, process, sockets })
    }

    /// Its socket that listens on this address, if it has one.
    pub(crate) fn socket(&self, address: SocketAddr) -> Option<Arc<TcpListener>> {
        let listens = |socket: &&Arc<TcpListener>| socket.local_addr().is_ok_and(|actual| actual == address);
        self.sockets.iter().find(listens).cloned()
    }

    /// Tells it that this instance serves, and waits until it takes no more connections.
    pub(crate) async fn relieve(mut self) -> Relief {
        // If the write fails, the byte that the predecessor sent before may still say why.
        let written = self.stream.write_all(&[READY]).await;
        // It tests first whether this instance answers clients.
        let reply = match timeout(PROBE_TIME + STEP_TIME, self.stream.read_u8()).await {
            Ok(reply) => reply.map_err(|error| written.err().unwrap_or(error)),
            Err(late) => Err(late.into()),
        };
        match reply {
            Ok(LEAVING) => Relief::Relieved(RelievedPredecessor(self.stream)),
            Ok(SILENT) => Relief::Refused("it asked at its addresses as clients do, and this one did not answer"),
            Ok(ANOTHER) => Relief::Refused("another process takes over there"),
            Ok(other) => Relief::Alone(unexpected(other)),
            Err(error) => Relief::Alone(error),
        }
    }
}

impl RelievedPredecessor {
    /// Tells it that this instance has handed over in turn, so that it need not wait any longer.
    pub(crate) async fn settle(mut self) {
        // An error means that it is gone already, which is as good.
        let _ = timeout(STEP_TIME, self.0.write_all(&[STAYS])).await;
    }
}

/// Connects without ever blocking the thread, even if the process that holds the name accepts nothing.
async fn connect(address: SocketAddr) -> io::Result<UnixStream> {
    let path = format!("\0{}", socket_name(address));
    loop {
        match UnixStream::connect(OsStr::from_bytes(path.as_bytes())).await {
            // The queue of the listener is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(CONNECT_PAUSE).await,
            connected => return connected,
        }
    }
}

/// Whether an instance at this address could be asked for its sockets.
pub(crate) fn is_behind(address: SocketAddr) -> bool {
    /// `__SO_ACCEPTCON` of the kernel. The name is also listed for each accepted connection.
    const LISTENING: &str = "00010000";
    let sought: Vec<String> = overlapping(address).map(|address| format!("@{}", socket_name(address))).collect();
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(3) == Some(LISTENING) && fields.last().is_some_and(|name| sought.iter().any(|sought| sought == name))
    })
}
