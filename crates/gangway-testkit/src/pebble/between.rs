//! Somebody between a client and its CA, who sees what is asked and may answer instead.

use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Ca, certify_api};

/// A running one.
pub struct Between {
    /// Where the CA's API begins, as clients are to know it.
    pub directory: String,
    /// Of this API.
    pub api_root: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    unanswered: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What a client has asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of the request.
    pub method: String,
    /// With what follows it.
    pub path: String,
    /// What the client has signed, where that is JSON.
    pub payload: Option<Value>,
    /// When.
    pub at: std::time::SystemTime,
}

/// What becomes of a request.
pub enum Reply {
    /// The CA's answer.
    Pass,
    /// The CA's answer, which is JSON, changed.
    Change(Box<dyn FnOnce(&mut Value) + Send>),
    /// Another answer: status line and fields, and a body.
    Answer(String, String),
    /// None, for ever; the CA hears nothing of it.
    Hang,
    /// None, for ever, though the CA has answered.
    Lose,
}

impl Between {
    /// Stands before `ca` and does with each request what `decide` says.
    pub async fn start(ca: &Ca, decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let api_root = certify_api(folder.path());
        let read = |name: &str| std::fs::read(folder.path().join(name)).expect("is there");
        let chain = vec![CertificateDer::from_pem_slice(&read("api.pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(&read("api.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider);
        let server = server.with_safe_default_protocol_versions().expect("has suites").with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(server.with_single_cert(chain, key).expect("a pair")));
        let connector = connector(&ca.api_root);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("is bound").port();
        let (asked, unanswered) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let silence = Arc::clone(&unanswered);
        let (log, api, decide) = (Arc::clone(&asked), ca.api, Arc::new(decide));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let (log, decide, unanswered) = (Arc::clone(&log), Arc::clone(&decide), Arc::clone(&silence));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    let mut stream = BufReader::new(stream);
                    let (head, body) = message(&mut stream).await?;
                    let question = Asked::read(&head, &body);
                    log.lock().expect("is whole").push(question.clone());
                    let (head, body) = match decide(&question) {
                        Reply::Hang => {
                            unanswered.lock().expect("is whole").push(question.path);
                            std::future::pending().await
                        }
                        Reply::Lose => {
                            pass(&connector, api, &head, &body).await?;
                            unanswered.lock().expect("is whole").push(question.path);
                            std::future::pending().await
                        }
                        Reply::Answer(head, body) => (format!("HTTP/1.1 {head}\r\n"), body.into_bytes()),
                        Reply::Pass => pass(&connector, api, &head, &body).await?,
                        Reply::Change(change) => {
                            let (head, body) = pass(&connector, api, &head, &body).await?;
                            let mut value = serde_json::from_slice(&body).expect("JSON");
                            change(&mut value);
                            (head, value.to_string().into_bytes())
                        }
                    };
                    let fields = head.lines().filter(|line| !is_about_the_connection(line) && !line.is_empty());
                    let head: String = fields.map(|line| format!("{line}\r\n")).collect();
                    let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                    stream.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
                    stream.shutdown().await.ok()
                });
            }
        });
        Self { directory: format!("https://localhost:{own}/dir"), api_root, asked, unanswered, task }
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("is whole").clone()
    }

    /// How many requests for a path were not answered, as it was decided.
    pub fn unanswered(&self, path: &str) -> usize {
        self.unanswered.lock().expect("is whole").iter().filter(|one| *one == path).count()
    }

    /// What was signed in new orders.
    pub fn orders(&self) -> Vec<Value> {
        let orders = self.asked().into_iter().filter(|asked| asked.path.starts_with("/order-plz"));
        orders.filter_map(|asked| asked.payload).collect()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asked {
    fn read(head: &str, body: &[u8]) -> Self {
        let mut words = head.split(' ').map(str::to_owned);
        let signed: Option<Value> = serde_json::from_slice(body).ok();
        let payload = signed.as_ref().and_then(|signed| signed.get("payload")?.as_str());
        let payload = payload.and_then(|payload| serde_json::from_slice(&base64url(payload)).ok());
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Self { method, path, payload, at: std::time::SystemTime::now() }
    }
}

/// Trusts this root alone.
fn connector(root: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("a root")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("has suites").with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

/// Serves there with a certificate of this root.
pub(super) async fn get(port: u16, path: &str, root: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (_, body) = pass(&connector(root), port, &head, &[]).await.expect("an answer");
    String::from_utf8(body).expect("text")
}

/// The CA makes its URLs from the Host that it is asked at, so they lead here.
async fn pass(connector: &TlsConnector, api: u16, head: &str, body: &[u8]) -> Option<(String, Vec<u8>)> {
    let tcp = TcpStream::connect(("127.0.0.1", api)).await.ok()?;
    let mut stream = connector.connect(ServerName::try_from("localhost").expect("a name"), tcp).await.ok()?;
    let fields = head.lines().filter(|line| !is_about_the_connection(line) && !line.is_empty());
    let head: String = fields.map(|line| format!("{line}\r\n")).collect();
    let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
    message(&mut BufReader::new(stream)).await
}

/// A head and as much of a body as it announces, or all there is.
async fn message(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let field = |name: &str| {
        let value = |line: &str| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.lines().find_map(value)
    };
    let is_request = !head.starts_with("HTTP/");
    let mut body = vec![0; field("content-length").and_then(|len| len.parse().ok()).unwrap_or(0)];
    if field("content-length").is_none() && !is_request {
        let is_chunked = field("transfer-encoding").is_some();
        stream.read_to_end(&mut body).await.ok()?;
        return Some((head, if is_chunked { joined(&body) } else { body }));
    }
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// A body that came in chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a size");
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = chunks.get(end + size + 4..).unwrap_or_default();
    }
    body
}

fn is_about_the_connection(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    ["connection", "content-length", "transfer-encoding"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn base64url(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for digit in text.bytes().filter_map(|byte| ALPHABET.iter().position(|known| *known == byte)) {
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
