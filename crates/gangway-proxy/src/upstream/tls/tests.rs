//! TLS with endpoints whose certificates are odd.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use gangway_model::Scheme;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P521_SHA512};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::upstream::transport::{EndpointProtocol, EndpointTransport};

const NAME: &str = "app.example";

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn params() -> CertificateParams {
    CertificateParams::new(vec![NAME.to_owned()]).expect("a name")
}

/// Accepts TLS with these versions of HTTP.
pub(crate) fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let certificate = params().self_signed(&key).expect("a certificate").der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Accepts TLS with a certificate of version 1, over HTTP/1.
pub(crate) fn acceptor_with_an_old_certificate() -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let certificate = of_version_1(params().self_signed(&key).expect("a certificate").der());
    acceptor_of(certificate, &key, &[&TLS12, &TLS13], &["http/1.1"])
}

/// Accepts TLS with this certificate, whatever is wrong with it.
fn acceptor_of(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static rustls::SupportedProtocolVersion],
    protocols: &[&str],
) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(vec![certificate], key)))));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server with this certificate that counts whole handshakes.
async fn server(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (SocketAddr, Arc<AtomicUsize>) {
    let acceptor = acceptor_of(certificate, key, versions, &["h2", "http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let handshakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handshakes);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("it listens");
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                if tls.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Full) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                let _ = tls.write_all(b"here").await;
            }
        }
    });
    (address, handshakes)
}

async fn handshake(
    tls: &UpstreamTls,
    address: SocketAddr,
    name: &str,
    verify: bool,
    offer: HttpOffer,
) -> Result<Option<Vec<u8>>, UpstreamErrorKind> {
    let settings = Arc::new(TransportSettings { verify, ..TransportSettings::default() });
    let EndpointProtocol::Tls(name) = EndpointTransport::new(Scheme::Https, name, &settings).protocol else {
        panic!("https is TLS")
    };
    let tcp = TcpStream::connect(address).await.expect("it listens");
    let mut stream = tls.handshake(tcp, &name, &settings, offer).await.map_err(|error| error.kind)?;
    // Reads the tickets too.
    let mut said = [0; 4];
    stream.read_exact(&mut said).await.expect("it speaks");
    Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

/// The certificate without its version and its extensions, as old tools make them. The signature does not fit any more.
fn of_version_1(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    fn split(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
        let (header, len) = match bytes[1] {
            0x81 => (3, usize::from(bytes[2])),
            0x82 => (4, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
            len => (2, usize::from(len)),
        };
        (&bytes[..header + len], &bytes[header..header + len], &bytes[header + len..])
    }
    fn sequence(content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).expect("it is short").to_be_bytes();
        [&[0x30, 0x82, len[0], len[1]], content].concat()
    }
    let (_, content, _) = split(certificate);
    let (_, mut body, signature) = split(content);
    let mut kept = Vec::new();
    while !body.is_empty() {
        let (element, _, rest) = split(body);
        if element[0] != 0xa0 && element[0] != 0xa3 {
            kept.extend_from_slice(element);
        }
        body = rest;
    }
    CertificateDer::from(sequence(&[sequence(&kept), signature.to_vec()].concat()))
}

#[tokio::test]
async fn without_a_check_nothing_of_a_certificate_matters_but_its_key() {
    let usual = KeyPair::generate().expect("a key");
    let large = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).expect("a key");
    let mut odd = params();
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], b"\x05\x00".to_vec());
    extension.set_criticality(true);
    odd.custom_extensions.push(extension);
    let plain = params().self_signed(&usual).expect("a certificate").der().clone();
    let cases = [
        ("of another name", plain.clone(), &usual),
        ("of version 1", of_version_1(&plain), &usual),
        ("with an unknown critical extension", odd.self_signed(&usual).expect("a certificate").der().clone(), &usual),
        ("with a key on P-521", params().self_signed(&large).expect("a certificate").der().clone(), &large),
    ];
    for (kind, certificate, key) in cases {
        for versions in [&[&TLS12][..], &[&TLS13]] {
            let (address, _) = server(certificate.clone(), key, versions).await;
            let tls = UpstreamTls::default();
            let outcome = handshake(&tls, address, "10.0.0.1", false, HttpOffer::Http2OrHttp1).await;
            assert_eq!(outcome, Ok(Some(b"h2".to_vec())), "{kind}, {versions:?}");
        }
    }
    // But the key has to be there.
    let other = KeyPair::generate().expect("a key");
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let (address, _) = server(plain.clone(), &other, versions).await;
        let outcome = handshake(&UpstreamTls::default(), address, NAME, false, HttpOffer::Http1).await;
        assert_eq!(outcome, Err(UpstreamErrorKind::TlsUntrusted), "{versions:?}");
    }
}

#[tokio::test]
async fn a_check_wants_a_trusted_certificate_for_the_name() {
    let key = KeyPair::generate().expect("a key");
    let certificate = params().self_signed(&key).expect("a certificate").der().clone();
    let (address, handshakes) = server(certificate.clone(), &key, &[&TLS13]).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let tls = UpstreamTls::trusting(roots);
    for _ in 0..3 {
        let outcome = handshake(&tls, address, NAME, true, HttpOffer::Http1).await;
        assert_eq!(outcome, Ok(Some(b"http/1.1".to_vec())));
    }
    assert_eq!(handshakes.load(Ordering::Relaxed), 1, "the others are resumed");
    for name in ["other.example", "not a name", "127.0.0.1"] {
        let outcome = handshake(&tls, address, name, true, HttpOffer::Http1).await;
        assert_eq!(outcome, Err(UpstreamErrorKind::TlsUntrusted), "{name}");
    }
    let outcome = handshake(&UpstreamTls::default(), address, NAME, true, HttpOffer::Http1).await;
    assert_eq!(outcome, Err(UpstreamErrorKind::TlsUntrusted), "nobody knows the root");
}

#[tokio::test]
async fn a_failed_handshake_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let alert = |description| vec![21, 3, 3, 0, 2, 2, description];
    let cases = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), UpstreamErrorKind::TlsNotSpoken),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), UpstreamErrorKind::TlsNotSpoken),
        (alert(40), UpstreamErrorKind::TlsNothingInCommon),
        (alert(70), UpstreamErrorKind::TlsNothingInCommon),
        (alert(80), UpstreamErrorKind::Tls),
        (Vec::new(), UpstreamErrorKind::Tls),
    ];
    let tls = UpstreamTls::default();
    for (said, kind) in cases {
        let (outcome, ()) = tokio::join!(handshake(&tls, address, NAME, false, HttpOffer::Http1), async {
            let (mut tcp, _) = listener.accept().await.expect("it listens");
            // The hello is read, so that closing does not reset the connection.
            let _ = tcp.read(&mut [0; 4096]).await;
            tcp.write_all(&said).await.expect("written");
        });
        assert_eq!(outcome, Err(kind), "{:?}", String::from_utf8_lossy(&said));
    }
}
