//! Who listens where we are to, and how we take its place.

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
use super::{
    ANOTHER, Answer, Challenge, LEAVING, READY, SILENT, STAYS, STEP_TIME, Secret, Side, answer_under, challenge, name,
    peer, receive, unexpected,
};

/// Before somebody whose queue is full is knocked at again.
const KNOCK_PAUSE: Duration = Duration::from_millis(50);

/// Whose place we may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::serve) enum Consent {
    /// Anybody's who serves from our volume: that was asked for.
    Anybody,
    /// That of one in another container: we are the process that ours was made for, so whoever made it beside
    /// the other wants that.
    OtherContainers,
    /// Nobody's: whoever typed our name where an instance runs may have meant anything.
    Nobody,
}

/// Who listens where we are to.
#[derive(Debug)]
pub(in crate::serve) struct Predecessor {
    stream: UnixStream,
    /// Its number, where it can be seen from here.
    pub(in crate::serve) process: Option<i32>,
    /// Its sockets.
    pub(in crate::serve) sockets: Vec<Arc<TcpListener>>,
}

/// What becomes of our taking over.
#[derive(Debug)]
pub(in crate::serve) enum Relief {
    /// We are alone, and the other takes back what we have if we end before it leaves.
    Relieved(Relieved),
    /// The other ended, or does not react: nobody but us is left.
    Alone(io::Error),
    /// The other goes on, or somebody else does.
    Refused(&'static str),
}

/// One that was relieved, for as long as it may take back.
#[derive(Debug)]
pub(in crate::serve) struct Relieved(UnixStream);

impl Predecessor {
    /// The one that listens on one of these addresses, serves from our volume, and hands its sockets over.
    pub(in crate::serve) async fn find(
        addresses: impl IntoIterator<Item = SocketAddr>,
        secret: &Secret,
        consent: Consent,
    ) -> Option<Self> {
        if consent == Consent::Nobody {
            return None;
        }
        for address in addresses {
            let stream = match timeout(STEP_TIME, connect(address)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Ok(Err(error)) => {
                    tracing::warn!(%address, %error, "who listens there cannot be asked for its sockets");
                    continue;
                }
                Err(_) => {
                    tracing::warn!(%address, "who listens there does not take the question for its sockets");
                    continue;
                }
            };
            match timeout(STEP_TIME, Self::ask(stream, secret, consent)).await {
                Ok(Ok(predecessor)) => return Some(predecessor),
                Ok(Err(error)) => tracing::warn!(%address, %error, "who listens there does not hand its sockets over"),
                Err(_) => tracing::warn!(%address, "who listens there did not answer in time"),
            }
        }
        None
    }

    async fn ask(mut stream: UnixStream, secret: &Secret, consent: Consent) -> io::Result<Self> {
        let process = peer(&stream)?;
        if consent == Consent::OtherContainers && process.is_some() {
            return Err(io::Error::other("it runs in this container; --take-over takes its place"));
        }
        let (mut theirs, mut answer, ours) = (Challenge::default(), Answer::default(), challenge()?);
        stream.write_all(&ours).await?;
        stream.read_exact(&mut answer).await?;
        stream.read_exact(&mut theirs).await?;
        let known = secret.check(Side::Predecessor, &ours, &theirs, &answer)?;
        stream.write_all(&answer_under(&known, Side::Successor, &theirs, &ours)).await?;
        let mut sockets = Vec::new();
        while let Some(socket) = receive(&stream).await? {
            sockets.push(Arc::new(socket));
        }
        Ok(Self { stream, process, sockets })
    }

    /// Its socket that listens on this address, if it has one.
    pub(in crate::serve) fn socket(&self, address: SocketAddr) -> Option<Arc<TcpListener>> {
        let listens = |socket: &&Arc<TcpListener>| socket.local_addr().is_ok_and(|actual| actual == address);
        self.sockets.iter().find(listens).cloned()
    }

    /// Tells it that we serve, and waits until it takes no connections any more.
    pub(in crate::serve) async fn relieve(mut self) -> Relief {
        // Whoever does not listen any more may have said why.
        let told = self.stream.write_all(&[READY]).await;
        // It looks whether we do.
        let said = match timeout(PROBE_TIME + STEP_TIME, self.stream.read_u8()).await {
            Ok(said) => said.map_err(|error| told.err().unwrap_or(error)),
            Err(late) => Err(late.into()),
        };
        match said {
            Ok(LEAVING) => Relief::Relieved(Relieved(self.stream)),
            Ok(SILENT) => Relief::Refused("it asked at its addresses as clients do, and we did not answer"),
            Ok(ANOTHER) => Relief::Refused("another process takes over there"),
            Ok(other) => Relief::Alone(unexpected(other)),
            Err(error) => Relief::Alone(error),
        }
    }
}

impl Relieved {
    /// Tells it that somebody else takes our place: it is needed no more.
    pub(in crate::serve) async fn settle(mut self) {
        // Where it is gone already, so much the better.
        let _ = timeout(STEP_TIME, self.0.write_all(&[STAYS])).await;
    }
}

/// Never blocks, whoever holds the name.
async fn connect(address: SocketAddr) -> io::Result<UnixStream> {
    let path = format!("\0{}", name(address));
    loop {
        match UnixStream::connect(OsStr::from_bytes(path.as_bytes())).await {
            // Its queue is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(KNOCK_PAUSE).await,
            connected => return connected,
        }
    }
}

/// Whether somebody at this address could be asked for its sockets.
pub(in crate::serve) fn is_behind(address: SocketAddr) -> bool {
    /// `__SO_ACCEPTCON` of the kernel; the name also stands beside each connection that was taken.
    const LISTENING: &str = "00010000";
    let sought = format!("@{}", name(address));
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(3) == Some(LISTENING) && fields.last() == Some(&*sought)
    })
}
