//! The TCP socket of a client, which the runtime gets to know once something has to be waited for.
//!
//! Registering a socket costs a system call, taking it back another one, and in between the system wakes the thread to
//! say that the socket can be written. A connection that carries one request needs none of that: its request is mostly
//! there when it is accepted, and its response fits into the buffers of the system.

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A socket of a client.
#[derive(Debug)]
pub(crate) struct ClientSocket(Registration);

#[derive(Debug)]
enum Registration {
    /// Reads and writes are tried and never waited for.
    Unregistered {
        tcp: std::net::TcpStream,
        /// Whether something was read. More is left to the runtime: it shares out time among connections, and knows
        /// without a system call that nothing has come.
        has_read: bool,
    },
    Registered(TcpStream),
    /// The runtime could not take it.
    Lost,
}

impl ClientSocket {
    /// The socket does not block.
    pub(crate) fn new(tcp: std::net::TcpStream) -> Self {
        Self(Registration::Unregistered { tcp, has_read: false })
    }

    /// Whether the runtime wakes tasks when something happens to the socket.
    pub(crate) fn is_registered(&self) -> bool {
        match self.0 {
            Registration::Unregistered { .. } => false,
            Registration::Registered(_) | Registration::Lost => true,
        }
    }

    /// Whether bytes have come that were not read. Costs a system call.
    pub(crate) fn has_unread(&self) -> bool {
        let Some(descriptor) = self.descriptor() else { return false };
        matches!(SockRef::from(&descriptor).peek(&mut [MaybeUninit::uninit()]), Ok(1..))
    }

    /// Whether bytes may have come that were not read, as far as the runtime knows.
    pub(crate) fn may_have_unread(&self) -> bool {
        match &self.0 {
            Registration::Registered(tcp) => tcp.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Registration::Unregistered { .. } | Registration::Lost => true,
        }
    }

    /// Waits until a read may find something. Ready where only a read can tell.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Registration::Unregistered { has_read: false, .. } = self.0 {
            return Poll::Ready(());
        }
        // A read tells of the error.
        self.registered().map_or(Poll::Ready(()), |tcp| tcp.poll_read_ready(cx).map(drop))
    }

    /// The descriptor, for options of the socket.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Registration::Unregistered { tcp, .. } => Some(tcp.as_fd()),
            Registration::Registered(tcp) => Some(tcp.as_fd()),
            Registration::Lost => None,
        }
    }

    fn registered(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let Registration::Unregistered { .. } = self.0
            && let Registration::Unregistered { tcp, .. } = std::mem::replace(&mut self.0, Registration::Lost)
        {
            self.0 = Registration::Registered(TcpStream::from_std(tcp)?);
        }
        match &mut self.0 {
            Registration::Registered(tcp) => Ok(Pin::new(tcp)),
            Registration::Unregistered { .. } | Registration::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What `write` gives on a socket that is not registered. None if that is to be waited for.
    fn write_at_once(
        &self,
        mut write: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let Registration::Unregistered { tcp, .. } = &self.0 else { return None };
        at_once(|| write(tcp))
    }
}

/// What a call that does not block gives. None if it would block.
fn at_once(mut call: impl FnMut() -> io::Result<usize>) -> Option<io::Result<usize>> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Some(outcome),
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Registration::Unregistered { tcp, has_read: has_read @ false } = &mut self.0
            && let Some(outcome) = at_once(|| (&*tcp).read(buf.initialize_unfilled()))
        {
            *has_read = true;
            return Poll::Ready(outcome.map(|len| buf.advance(len)));
        }
        self.registered()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.write_at_once(|mut tcp| tcp.write(bytes)) {
            Some(outcome) => Poll::Ready(outcome),
            None => self.registered()?.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.write_at_once(|mut tcp| tcp.write_vectored(slices)) {
            Some(outcome) => Poll::Ready(outcome),
            None => self.registered()?.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket keeps nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Registration::Unregistered { tcp, .. } => Poll::Ready(tcp.shutdown(Shutdown::Write)),
            Registration::Registered(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Registration::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, ClientSocket) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        let (socket, _) = listener.accept().await.expect("a client");
        (client, ClientSocket::new(socket.into_std().expect("it was registered")))
    }

    #[tokio::test]
    async fn a_short_exchange_needs_no_registration() {
        let (mut client, mut socket) = connected().await;
        client.write_all(b"question").await.expect("room");
        let mut bytes = [0; 100];
        assert_eq!(socket.read(&mut bytes).await.expect("bytes are there"), 8);
        socket.write_all(b"answer").await.expect("room");
        assert!(!socket.is_registered() && !socket.has_unread());
        client.write_all(b"more").await.expect("room");
        assert!(socket.has_unread());
        drop(socket);
        assert_eq!(client.read(&mut bytes).await.expect("an answer"), 6);
    }

    #[tokio::test]
    async fn what_is_not_there_yet_is_waited_for() {
        let (mut client, mut socket) = connected().await;
        let mut bytes = [0; 100];
        let waiting =
            poll_fn(|cx| Poll::Ready(Pin::new(&mut socket).poll_read(cx, &mut ReadBuf::new(&mut bytes)).is_pending()));
        assert!(waiting.await && socket.is_registered());
        assert!(!socket.has_unread());
        client.write_all(b"late").await.expect("room");
        // The runtime had no chance to hear of it yet.
        assert!(socket.has_unread() && !socket.may_have_unread());
        assert_eq!(socket.read(&mut bytes).await.expect("it comes"), 4);
        drop(client);
        assert!(!socket.has_unread(), "the end is no bytes");
        assert_eq!(socket.read(&mut bytes).await.expect("no reset"), 0);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_waited_for() {
        let (mut client, mut socket) = connected().await;
        let len = 16 << 20;
        let writing = async {
            socket.write_all(&vec![7; len]).await.expect("it is taken in the end");
            assert!(socket.is_registered(), "so much does not fit into a socket");
            socket.shutdown().await.expect("it is open");
        };
        let reading = async {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.expect("no reset");
            assert_eq!(all.len(), len);
        };
        tokio::join!(writing, reading);
    }
}
