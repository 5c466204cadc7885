//! Passes listening sockets over a Unix stream (`SCM_RIGHTS` of `unix(7)`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::protocol::{ALL, SOCKET, unexpected};

/// Sends one socket.
pub(super) async fn send(stream: &UnixStream, socket: &TcpListener) -> io::Result<()> {
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

/// Receives the next socket; none after the last one.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<Option<TcpListener>> {
    let receive = || {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut along, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let socket: Option<OwnedFd> = along.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        match (byte[0], socket) {
            (SOCKET, Some(socket)) => Ok(Some(TcpListener::from(socket))),
            (ALL, None) => Ok(None),
            (other, _) => Err(unexpected(other)),
        }
    };
    stream.async_io(Interest::READABLE, receive).await
}
