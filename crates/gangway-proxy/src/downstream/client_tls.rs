//! TLS towards a client, with records that leave together.
//!
//! A system call costs more than a record, and so does each segment on its way through the kernel. So a record waits for
//! the next one until it is flushed. A session flushes as soon as it has nothing more to write; thus nothing is delayed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::downstream::peeked_tcp::PeekedTcp;

/// The bytes of the records that leave together, and that a connection keeps until its client takes them: three records.
/// Every slow client occupies as many, so a fourth would cost more than it saves.
const HELD_MAX: usize = 3 * RECORD_LEN;

/// The most bytes of a record.
const RECORD_LEN: usize = 16 * 1024;

/// A TLS connection whose handshake is finished.
#[derive(Debug)]
pub(crate) struct ClientTls {
    /// On the heap, since its state is large and moves through several layers.
    tls: Box<TlsStream<PeekedTcp>>,
    /// The bytes that were encrypted since all of them were written.
    held: usize,
    /// Whether they were not written because the client takes none.
    is_behind: bool,
}

impl ClientTls {
    pub(crate) fn new(mut tls: Box<TlsStream<PeekedTcp>>) -> Self {
        // No limit of its own: a record would be cut where it ends.
        tls.get_mut().1.set_buffer_limit(None);
        Self { tls, held: 0, is_behind: false }
    }

    /// The bytes below TLS.
    pub(crate) fn tcp(&self) -> &PeekedTcp {
        self.tls.get_ref().0
    }

    /// Writes the records that are held.
    fn poll_write_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.tls).poll_flush(cx);
        self.is_behind = outcome.is_pending();
        ready!(outcome)?;
        self.held = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether records are held because the client does not take them.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }
}

impl AsyncRead for ClientTls {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientTls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.held > 0 && self.held + len > HELD_MAX {
            ready!(self.poll_write_held(cx))?;
        }
        let mut writer = self.tls.get_mut().1.writer();
        let taken = if len <= HELD_MAX {
            io::Write::write_vectored(&mut writer, slices)?
        } else {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            io::Write::write(&mut writer, &first[..first.len().min(HELD_MAX)])?
        };
        self.held += taken;
        if self.held + RECORD_LEN > HELD_MAX {
            // Another record has no room. The writer of the next one waits, if these cannot leave now.
            let _ = self.poll_write_held(cx)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_held(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::ClientConfig;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::ServerName;
    use rustls::pki_types::pem::PemObject as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (ClientTls, tokio_rustls::client::TlsStream<TcpStream>) {
        let (config, certificate) = gangway_testkit::app::self_signed(&["a"], &[]);
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM"))
            .expect("valid");
        let trusting = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let serving = async {
            let (tcp, _) = listener.accept().await.expect("it comes");
            TlsAcceptor::from(config)
                .accept(PeekedTcp::new(tcp.into_std().expect("a socket")))
                .await
                .expect("a handshake")
        };
        let asking = async {
            let tcp = TcpStream::connect(address).await.expect("it listens");
            let name = ServerName::try_from("a").expect("a name");
            TlsConnector::from(Arc::new(trusting)).connect(name, tcp).await.expect("a handshake")
        };
        let (served, asked) = tokio::join!(serving, asking);
        let mut served = ClientTls::new(Box::new(served));
        served.flush().await.expect("open");
        (served, asked)
    }

    #[tokio::test]
    async fn records_wait_until_they_are_flushed_or_would_be_too_many() {
        const LEN: usize = HELD_MAX / 4 + 1;
        let (mut server, mut client) = pair().await;
        let before = server.tcp().written();
        for _ in 0..2 {
            server.write_all(&[1; LEN]).await.expect("room");
            assert_eq!(server.tcp().written(), before, "it is held");
        }
        server.write_all(&[1; LEN]).await.expect("room");
        let written = server.tcp().written() - before;
        assert!((3 * LEN as u64..4 * LEN as u64).contains(&written), "{written}: another record would have no room");
        assert!(!server.is_behind());
        server.write_all(&[1; LEN]).await.expect("room");
        assert_eq!(server.tcp().written() - before, written, "it is held");
        server.flush().await.expect("open");
        assert!(server.tcp().written() - before > 4 * LEN as u64);
        // More than is held at once.
        let all = vec![1; 3 * HELD_MAX];
        let (sent, _) = tokio::join!(
            async {
                server.write_all(&all).await.expect("room");
                server.shutdown().await
            },
            async {
                let mut read = Vec::new();
                client.read_to_end(&mut read).await.expect("whole");
                assert_eq!(read.len(), 4 * LEN + all.len());
            }
        );
        sent.expect("open");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_has_no_more_kept_for_it() {
        let (mut server, client) = pair().await;
        let mut taken = 0;
        let full = std::future::poll_fn(|cx| {
            while let Poll::Ready(len) = Pin::new(&mut server).poll_write(cx, &[1; 16 * 1024]) {
                taken += len.expect("open") as u64;
            }
            Poll::Ready(server.tcp().written())
        });
        let written = full.await;
        // Records have a header and a tag.
        assert!(taken <= written + HELD_MAX as u64, "{taken} were taken, of which {written} are written");
        assert!(server.is_behind(), "nothing wide is to be read for it");
        drop(client);
    }
}
