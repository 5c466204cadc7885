//! A client whose address, server name and protocol are all explicit.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
pub use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The number of servers of which a client of its own sessions remembers some.
const SESSIONS_MAX: usize = 8;

/// A connected stream, with TLS or without.
pub type Stream = Box<dyn Wire>;

/// A stream that can be read and written.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// The version of HTTP that a client uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaks {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, without TLS by prior knowledge.
    H2,
}

/// Sends requests to one address, for any host.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    from: Option<IpAddr>,
    /// Sent before anything else.
    preface: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
    speaks: Speaks,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The version of HTTP.
    pub version: Version,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The fields after the body.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Null if it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A field as text. Empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    /// Plain HTTP/1.1.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, from: None, preface: Vec::new(), tls: None, speaks: Speaks::H1 }
    }

    /// HTTP/1.1 over TLS, trusting only these roots.
    pub fn tls(address: SocketAddr, roots_pem: &str) -> io::Result<Self> {
        let config = client_config(roots_pem, aws_lc_rs::default_provider())?;
        Ok(Self { address, from: None, preface: Vec::new(), tls: Some(Arc::new(config)), speaks: Speaks::H1 })
    }

    /// HTTP/1.1 over TLS, trusting every certificate.
    pub fn tls_unverified(address: SocketAddr) -> io::Result<Self> {
        let mut config = client_config("", aws_lc_rs::default_provider())?;
        config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate));
        Ok(Self { address, from: None, preface: Vec::new(), tls: Some(Arc::new(config)), speaks: Speaks::H1 })
    }

    /// Like [`Self::tls`], without resumption and with the one key exchange that every server supports.
    pub fn tls_with_full_handshakes(address: SocketAddr, roots_pem: &str) -> io::Result<Self> {
        Self::tls_with_x25519(address, roots_pem, Resumption::disabled())
    }

    /// Like [`Self::tls_with_full_handshakes`], but a connection resumes a session of one before.
    pub fn tls_with_resumption(address: SocketAddr, roots_pem: &str) -> io::Result<Self> {
        Self::tls_with_x25519(address, roots_pem, Resumption::default())
    }

    fn tls_with_x25519(address: SocketAddr, roots_pem: &str, resumption: Resumption) -> io::Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
        let mut config = client_config(roots_pem, provider)?;
        config.resumption = resumption;
        Ok(Self { address, from: None, preface: Vec::new(), tls: Some(Arc::new(config)), speaks: Speaks::H1 })
    }

    /// The same client, which shares no session with its clones.
    #[must_use]
    pub fn with_own_sessions(mut self) -> Self {
        if let Some(config) = &self.tls {
            let mut config = ClientConfig::clone(config);
            config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
            self.tls = Some(Arc::new(config));
        }
        self
    }

    /// The same client with another version of HTTP.
    #[must_use]
    pub fn speaking(mut self, speaks: Speaks) -> Self {
        self.speaks = speaks;
        if let Some(config) = &self.tls {
            let mut config = ClientConfig::clone(config);
            config.alpn_protocols = match speaks {
                Speaks::H1 => vec![b"http/1.1".to_vec()],
                Speaks::H2 => vec![b"h2".to_vec()],
            };
            self.tls = Some(Arc::new(config));
        }
        self
    }

    /// The same client with another source address. All of 127.0.0.0/8 belongs to this machine.
    #[must_use]
    pub fn leaving_from(mut self, address: IpAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// The same client, which sends these bytes first on each connection, as a proxy does that says whom it speaks for.
    #[must_use]
    pub fn beginning_with(mut self, preface: impl Into<Vec<u8>>) -> Self {
        self.preface = preface.into();
        self
    }

    /// Connects. With TLS, `name` is sent as SNI.
    pub async fn stream(&self, name: &str) -> io::Result<Stream> {
        Ok(self.stream_with_handshake(name).await?.0)
    }

    /// Connects; the stream, and with TLS the kind of its handshake.
    pub async fn stream_with_handshake(&self, name: &str) -> io::Result<(Stream, Option<HandshakeKind>)> {
        let mut stream = match self.from {
            None => TcpStream::connect(self.address).await?,
            Some(from) => {
                let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind((from, 0).into())?;
                socket.connect(self.address).await?
            }
        };
        stream.set_nodelay(true)?;
        stream.write_all(&self.preface).await?;
        let Some(config) = &self.tls else { return Ok((Box::new(stream), None)) };
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        let kind = stream.get_ref().1.handshake_kind();
        Ok((Box::new(stream), kind))
    }

    /// Opens a connection for any number of requests for one host.
    pub async fn connect(&self, host: &str) -> io::Result<Connection> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let stream = TokioIo::new(self.stream(name).await?);
        let sender = match self.speaks {
            Speaks::H1 => {
                let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(connection.with_upgrades());
                Sender::H1(sender)
            }
            Speaks::H2 => {
                let (sender, connection) =
                    http2::Builder::new(TokioExecutor::new()).handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(connection);
                Sender::H2(sender)
            }
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(Connection { sender, host: host.to_owned(), scheme })
    }

    /// Sends one GET on a connection of its own.
    pub async fn get(&self, host: &str, path: &str) -> io::Result<Answer> {
        self.connect(host).await?.get(path).await
    }

    /// Sends these bytes on a connection of their own and reads until the other side closes.
    pub async fn raw(&self, name: &str, bytes: &[u8]) -> io::Result<String> {
        let mut stream = self.stream(name).await?;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        // TLS that ends without close_notify, or a reset after the answer, counts as an end.
        if let Err(error) = stream.read_to_end(&mut answer).await
            && answer.is_empty()
        {
            return Err(error);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client_config(roots_pem: &str, provider: CryptoProvider) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
        roots.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// One connection to one host.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    host: String,
    scheme: &'static str,
}

#[derive(Debug)]
enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Sends a GET.
    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, &[], Bytes::new()).await
    }

    /// Sends any request, and reads the whole answer into memory.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> io::Result<Answer> {
        let response = self.begin(method, path, headers, body).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        let trailers = body.trailers().cloned();
        Ok(Answer {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            body: body.to_bytes(),
            trailers,
        })
    }

    /// Another handle to the same connection. `None` if it cannot carry requests at the same time.
    pub fn beside(&self) -> Option<Self> {
        match &self.sender {
            Sender::H1(_) => None,
            Sender::H2(sender) => {
                Some(Self { sender: Sender::H2(sender.clone()), host: self.host.clone(), scheme: self.scheme })
            }
        }
    }

    /// Whether the next request can be sent on the connection, as far as is known.
    pub fn is_open(&self) -> bool {
        match &self.sender {
            Sender::H1(sender) => !sender.is_closed(),
            Sender::H2(sender) => !sender.is_closed(),
        }
    }

    /// Like [`Self::ask`], but returns as soon as the head of the answer has arrived.
    ///
    /// An error of the kind `NotConnected` says that the other side had ended the connection before any of
    /// the request went out, so that every client asks again on another one.
    pub async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> io::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method);
        request = match &self.sender {
            Sender::H1(_) => request.uri(path).header("host", &self.host),
            Sender::H2(_) => request.uri(format!("{}://{}{path}", self.scheme, self.host)),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(io::Error::other)?;
        match &mut self.sender {
            Sender::H1(sender) => {
                sender.ready().await.map_err(not_sent)?;
                sender.try_send_request(request).await.map_err(unless_sent)
            }
            Sender::H2(sender) => {
                sender.ready().await.map_err(not_sent)?;
                sender.try_send_request(request).await.map_err(unless_sent)
            }
        }
    }
}

fn unless_sent<B>(mut error: TrySendError<Request<B>>) -> io::Error {
    let is_unsent = error.take_message().is_some();
    let error = error.into_error();
    if is_unsent || is_not_taken(&error) { not_sent(error) } else { io::Error::other(error) }
}

/// Whether the other side went away, and said that it had not begun with this request: the others that are
/// under way see nothing of it (RFC 9113, section 6.8).
fn is_not_taken(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

fn not_sent(error: hyper::Error) -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, error)
}
