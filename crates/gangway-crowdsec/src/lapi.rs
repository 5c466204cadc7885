//! The local API of a CrowdSec engine (LAPI), as a bouncer uses it: with a key, deadlines, and bounded answers.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode};

use crate::engine_client::{AnswerBounds, EngineClient, OWN_NAME, read_key};
use crate::engine_error::EngineError;
use crate::settings::LapiSettings;

/// Deadline of one request and its answer: at the start, some ten thousand decisions.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// More than as many decisions as are kept, which take some 250 bytes each.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;

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
    async fn pull(&self, pull: Pull) -> Result<Bytes, EngineError>;
}

/// A client of one engine.
pub(crate) struct Lapi {
    settings: LapiSettings,
    client: EngineClient,
}

impl Lapi {
    /// A client that trusts Mozilla's roots and the system's, where the URL is of `https`.
    pub(crate) fn new(settings: LapiSettings) -> Self {
        Self { settings, client: EngineClient::new() }
    }

    /// Tells the engine how much was kept out. False if it is an engine that does not want to know.
    pub(crate) async fn report(&self, metrics: Vec<u8>) -> Result<bool, EngineError> {
        match self.send(Method::POST, "/v1/usage-metrics", metrics.into()).await? {
            // The engine learnt that in version 1.6.3.
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (status, _) if status.is_success() => Ok(true),
            (status, body) => Err(refusal(status, &body)),
        }
    }

    async fn send(&self, method: Method, target: &str, body: Bytes) -> Result<(StatusCode, Bytes), EngineError> {
        let url = format!("{}{target}", self.settings.url.trim_end_matches('/'));
        let request = Request::builder().method(method).uri(url).header(USER_AGENT, OWN_NAME);
        let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, "application/json");
        let request = request.header("X-Api-Key", read_key(&self.settings.key_file).await?);
        self.client.send(request, body, AnswerBounds { time: DEADLINE, bytes: ANSWER_BYTES_MAX }).await
    }
}

impl Source for Lapi {
    async fn pull(&self, pull: Pull) -> Result<Bytes, EngineError> {
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

fn refusal(status: StatusCode, body: &[u8]) -> EngineError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => EngineError::Refused(status.as_u16()),
        status => EngineError::of_answer(status, body),
    }
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
    use gangway_testkit::ports::ClosedPort;
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
            ("a key that is not known", reply(403, "{}"), Some(EngineError::Refused(403))),
            ("another way to say so", reply(401, "{}"), Some(EngineError::Refused(401))),
            ("a failure", reply(500, "{\"message\":\"sick\"}"), None),
            ("too many questions", reply(429, ""), None),
            ("another service", reply(404, "<html>"), None),
            ("a redirection", moved, None),
            ("no content", reply(204, ""), None),
            ("half of it", part, None),
            ("more than any", huge, Some(EngineError::Unreachable("its answer is larger than 64 MiB".to_owned()))),
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
            assert!(matches!(error, EngineError::Key(_)), "{what}: {error}");
        }
        std::fs::remove_file(folder.path().join("key")).expect("ours");
        assert!(matches!(lapi.pull(Pull::All).await, Err(EngineError::Key(_))));
        assert!(engine.asked().is_empty());
        key_file(&folder, b"another");
        assert_eq!(lapi.pull(Pull::All).await, Err(EngineError::Refused(403)));
        key_file(&folder, BOUNCER_KEY.as_bytes());
        lapi.pull(Pull::All).await.expect("it is the key");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_an_error() {
        let (folder, nobody) = (tempfile::tempdir().expect("a folder"), ClosedPort::new());
        let url = format!("http://{}", nobody.address()).into();
        let lapi = Lapi::new(LapiSettings { url, key_file: key_file(&folder, BOUNCER_KEY.as_bytes()) });
        let error = lapi.pull(Pull::All).await.expect_err("nobody listens");
        assert!(matches!(&error, EngineError::Unreachable(why) if why.contains("refused")), "{error}");
    }
}
