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
//!    | ready ---------------------------------> |  both accept; then the successor alone, which is asked
//!    | <------------------------------- leaving |  something as clients ask
//!    | stays ---------------------------------> |  it has handed over in turn; or a minute is over:
//!    |                                          |  the predecessor finishes what it has begun
//! ```
//!
//! Where the stream ends before that, the predecessor accepts again.

mod listener;
mod log_limit;
mod predecessor;
mod probe;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use aws_lc_rs::hmac;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

pub(super) use self::listener::{Door, Successor};
pub(super) use self::predecessor::{Consent, Predecessor, Relief, Relieved, is_behind};
pub(super) use self::probe::answers;
pub(super) use self::state::{Act, Event, PROBATION, Stage};

/// Of what is said here; another one would have another name, and not be found.
const VERSION: u8 = 2;

/// For each step of the other side that needs no waiting.
const STEP_TIME: Duration = Duration::from_secs(5);

const SOCKET: u8 = b's';
const ALL: u8 = b'.';
const READY: u8 = b'r';
const LEAVING: u8 = b'l';
/// Instead of leaving: nobody answers where the successor says that it serves.
const SILENT: u8 = b'q';
/// Instead of leaving: another successor was faster.
const ANOTHER: u8 = b'a';
const STAYS: u8 = b'y';

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

/// What two instances on one volume both know.
pub(super) struct Secret(Box<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>);

impl Secret {
    /// Read each time it is needed, since a new volume has none yet; without one, nobody is trusted. The newest secret comes
    /// first; the others are for an instance of a version that knows no newer one.
    pub(super) fn from(read: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    /// The newest first, never empty.
    fn keys(&self) -> io::Result<Vec<hmac::Key>> {
        let secrets = (self.0)();
        if secrets.is_empty() {
            return Err(io::Error::other("the volume holds no secret to know each other by"));
        }
        Ok(secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect())
    }

    /// The answer of the side that speaks first, under the newest secret.
    fn answer(&self, side: Side, asked: &Challenge, own: &Challenge) -> io::Result<Answer> {
        Ok(answer_under(&self.keys()?[0], side, asked, own))
    }

    /// Gives the key that the other side has proved to know: one that knows no other can only check that one.
    fn check(&self, side: Side, asked: &Challenge, own: &Challenge, answer: &Answer) -> io::Result<hmac::Key> {
        let text = signed(side, asked, own);
        let known = self.keys()?.into_iter().find(|key| hmac::verify(key, &text, answer).is_ok());
        known.ok_or_else(|| io::Error::other("it does not serve from this data folder"))
    }
}

fn answer_under(key: &hmac::Key, side: Side, asked: &Challenge, own: &Challenge) -> Answer {
    hmac::sign(key, &signed(side, asked, own)).as_ref().try_into().expect("SHA-256 has 32 bytes")
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

/// Of the abstract socket, without the zero that it begins with.
fn name(address: SocketAddr) -> String {
    format!("gangway/handover/{VERSION}/{address}")
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
