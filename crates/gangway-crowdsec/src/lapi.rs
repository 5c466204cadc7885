//! The local API of a CrowdSec engine (LAPI), as a bouncer uses it: with a key, deadlines, and bounded answers.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gangway_http_client::{innermost_cause, tcp_connector, tls_config, usual_roots};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::lapi_error::LapiError;
use crate::settings::LapiSettings;

/// Deadline of one request and its answer: at the start, some ten thousand decisions.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// More than as many decisions as are kept, which take some 250 bytes each.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Longer than any key.
const KEY_BYTES_MAX: u64 = 4096;

/// Characters of a refusal that are repeated.
const SHOWN_MAX: usize = 120;

/// Which decisions are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pull {
    /// All that are in force.
    All,
    /// What has changed since the last answer to this bouncer.
    Changes,
}

/// Tells decisions.
pub(crate) trait Source {
    /// Asks for decisions. The answer is JSON, as far as is known.
    async fn pull(&self, pull: Pull) -> Result<Bytes, LapiError>;
}

/// A client of one engine.
pub(crate) struct Lapi {
    settings: LapiSettings,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Lapi {
    /// A client that trusts Mozilla's roots and the system's, where the URL is of `https`.
    pub(crate) fn new(settings: LapiSettings) -> Self {
        let config = tls_config(usual_roots());
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Self {
            settings,
            client: Client::builder(TokioExecutor::new())
                .build(connector.wrap_connector(tcp_connector(CONNECT_DEADLINE))),
        }
    }

    /// Tells the engine how much was kept out. False if it is an engine that does not want to know.
    pub(crate) async fn report(&self, metrics: Vec<u8>) -> Result<bool, LapiError> {
        match self.send(Method::POST, "/v1/usage-metrics", metrics.into()).await? {
            // The engine learnt that in version 1.6.3.
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (status, _) if status.is_success() => Ok(true),
            (status, body) => Err(refusal(status, &body)),
        }
    }

    async fn send(&self, method: Method, target: &str, body: Bytes) -> Result<(StatusCode, Bytes), LapiError> {
        let url = format!("{}{target}", self.settings.url.trim_end_matches('/'));
        let name = HeaderValue::from_static(concat!("gangway/", env!("CARGO_PKG_VERSION")));
        let request = Request::builder().method(method).uri(url).header(USER_AGENT, name);
        let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, "application/json");
        let request = request.header("X-Api-Key", key(&self.settings.key_file).await?);
        let invalid = |_| LapiError::Unreachable("the URL cannot be asked".to_owned());
        let request = request.body(Full::new(body)).map_err(invalid)?;
        let answered = tokio::time::timeout(DEADLINE, async {
            let (parts, body) =
                self.client.request(request).await.map_err(|error| innermost_cause(&error))?.into_parts();
            let announced = parts.headers.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
            if announced.is_some_and(|len| len > ANSWER_BYTES_MAX as u64) {
                return Err(format!("its answer is larger than {} MiB", ANSWER_BYTES_MAX >> 20));
            }
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| innermost_cause(&*error))?;
            Ok::<_, String>((parts.status, body.to_bytes()))
        });
        match answered.await {
            Ok(answer) => answer.map_err(LapiError::Unreachable),
            Err(_) => Err(LapiError::Unreachable(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }
}

impl Source for Lapi {
    async fn pull(&self, pull: Pull) -> Result<Bytes, LapiError> {
        let startup = match pull {
            Pull::All => "true",
            Pull::Changes => "false",
        };
        // Without `dedup=false`, one of several decisions about an address stands for all of them, and its end would seem
        // to be the end of all.
        let query = format!("/v1/decisions/stream?startup={startup}&scopes=ip,range,country,as&dedup=false");
        let (status, body) = self.send(Method::GET, &query, Bytes::new()).await?;
        match status {
            StatusCode::OK => Ok(body),
            status => Err(refusal(status, &body)),
        }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> LapiError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LapiError::Refused(status.as_u16()),
        status => {
            let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_MAX)]);
            let text: String = text.chars().filter(|char| !char.is_control()).take(SHOWN_MAX).collect();
            LapiError::Invalid(format!("{} {text}", status.as_u16()).trim_end().to_owned())
        }
    }
}

/// The key in the file.
async fn key(file: &Path) -> Result<HeaderValue, LapiError> {
    let unusable = |why: &str| LapiError::Key(why.to_owned());
    let metadata = tokio::fs::metadata(file).await.map_err(|error| unusable(&error.to_string()))?;
    // Reading anything else, such as a pipe, may take for ever.
    if !metadata.is_file() || metadata.len() > KEY_BYTES_MAX {
        return Err(unusable("it is not a small file"));
    }
    let text = tokio::fs::read_to_string(file).await.map_err(|error| unusable(&error.to_string()))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(unusable("it is empty"));
    }
    let mut key = HeaderValue::from_str(text).map_err(|_| unusable("it is not one line of text"))?;
    key.set_sensitive(true);
    Ok(key)
}

impl fmt::Debug for Lapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lapi").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use gangway_testkit::crowdsec::{BOUNCER_KEY, CrowdSec, reply};
    use tempfile::TempDir;

    use super::*;

    fn key_file(folder: &TempDir, key: &[u8]) -> std::path::PathBuf {
        let file = folder.path().join("key");
        File::create(&file).and_then(|mut file| file.write_all(key)).expect("ours");
        file
    }

    struct Asking {
        folder: TempDir,
        engine: CrowdSec,
        lapi: Lapi,
    }

    async fn asking() -> Asking {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = CrowdSec::start().await.expect("a free port");
        let key_file = key_file(&folder, format!("{BOUNCER_KEY}\n").as_bytes());
        let lapi = Lapi::new(LapiSettings { url: format!("{}/", engine.url).into(), key_file });
        Asking { folder, engine, lapi }
    }

    async fn told(lapi: &Lapi, pull: Pull) -> String {
        String::from_utf8_lossy(&lapi.pull(pull).await.expect("it answers")).into_owned()
    }

    #[tokio::test]
    async fn each_of_several_decisions_about_an_address_is_told() {
        let Asking { folder: _folder, engine, lapi } = asking().await;
        let (first, second) = (engine.ban("192.0.2.7"), engine.ban("192.0.2.7"));
        engine.add("Country", "FR", "ban", Duration::from_secs(60));
        let all = told(&lapi, Pull::All).await;
        assert!(all.contains(&format!("\"id\":{first},")) && all.contains(&format!("\"id\":{second},")), "{all}");
        assert!(all.contains("FR"), "{all}");
        assert_eq!(told(&lapi, Pull::Changes).await, r#"{"deleted":null,"new":null}"#);
        engine.delete(first);
        let changes = told(&lapi, Pull::Changes).await;
        assert!(changes.contains(&format!("\"id\":{first},")) && changes.contains("\"new\":null"), "{changes}");
        let asked = engine.asked();
        assert!(asked.iter().all(|asked| asked.field("user-agent").starts_with("gangway/")));
        assert!(asked[0].head.contains("startup=true") && asked[1].head.contains("startup=false"));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_that_shows_no_key() {
        let Asking { folder: _folder, engine, lapi } = asking().await;
        let part = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"new\":[\r\nend".to_vec();
        let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ANSWER_BYTES_MAX + 1).into_bytes();
        let moved = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.9/\r\nContent-Length: 0\r\n\r\n".to_vec();
        for (what, wrong, expected) in [
            ("a key that is not known", reply(403, "{}"), Some(LapiError::Refused(403))),
            ("another way to say so", reply(401, "{}"), Some(LapiError::Refused(401))),
            ("a failure", reply(500, "{\"message\":\"sick\"}"), None),
            ("too many questions", reply(429, ""), None),
            ("another service", reply(404, "<html>"), None),
            ("a redirection", moved, None),
            ("no content", reply(204, ""), None),
            ("half of it", part, None),
            ("more than any", huge, Some(LapiError::Unreachable("its answer is larger than 64 MiB".to_owned()))),
            ("no HTTP", b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), None),
            ("TLS", b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), None),
        ] {
            engine.answer_all_with(Some(wrong));
            let error = lapi.pull(Pull::All).await.expect_err(what);
            assert!(expected.is_none_or(|expected| expected == error), "{what}: {error}");
            assert!(!error.to_string().contains(BOUNCER_KEY) && error.to_string().len() < 300, "{what}: {error}");
        }
        engine.answer_all_with(None);
        lapi.pull(Pull::All).await.expect("it is well again");
    }

    #[tokio::test]
    async fn the_key_is_read_each_time_and_what_is_none_is_not_sent() {
        let Asking { folder, engine, lapi } = asking().await;
        for (what, key) in [
            ("nothing", &b""[..]),
            ("blanks", b" \n"),
            ("two lines", b"one\ntwo"),
            ("no text", b"\xff\xfe"),
            ("a control character", b"a\x07b"),
            ("something large", &[b'x'; 5000]),
        ] {
            key_file(&folder, key);
            let error = lapi.pull(Pull::All).await.expect_err(what);
            assert!(matches!(error, LapiError::Key(_)), "{what}: {error}");
        }
        std::fs::remove_file(folder.path().join("key")).expect("ours");
        assert!(matches!(lapi.pull(Pull::All).await, Err(LapiError::Key(_))));
        assert!(engine.asked().is_empty());
        key_file(&folder, b"another");
        assert_eq!(lapi.pull(Pull::All).await, Err(LapiError::Refused(403)));
        key_file(&folder, BOUNCER_KEY.as_bytes());
        lapi.pull(Pull::All).await.expect("it is the key");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_an_error() {
        let Asking { folder, engine, .. } = asking().await;
        let url = engine.url.clone();
        drop(engine);
        let lapi = Lapi::new(LapiSettings { url: url.into(), key_file: folder.path().join("key") });
        let error = lapi.pull(Pull::All).await.expect_err("nobody listens");
        assert!(matches!(&error, LapiError::Unreachable(why) if why.contains("refused")), "{error}");
    }
}
