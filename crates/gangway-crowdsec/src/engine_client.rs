//! Our connections to the parts of a CrowdSec engine: with deadlines and bounded answers.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gangway_http_client::{innermost_cause, read_small_file, tcp_connector, tls_config, usual_roots};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Builder;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::engine_error::EngineError;

/// How we call ourselves.
pub(crate) const OWN_NAME: HeaderValue = HeaderValue::from_static(concat!("gangway/", env!("CARGO_PKG_VERSION")));

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Longer than any key.
const KEY_BYTES_MAX: u64 = 4096;

/// What an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerBounds {
    /// From the start of the request to the end of the answer.
    pub(crate) time: Duration,
    /// The body.
    pub(crate) bytes: usize,
}

/// Connections to one engine.
pub(crate) struct EngineClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl EngineClient {
    /// One that trusts Mozilla's roots and the system's, where the URL is of `https`.
    pub(crate) fn new() -> Self {
        let config = tls_config(usual_roots());
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Self(Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp_connector(CONNECT_DEADLINE))))
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) async fn send(
        &self,
        request: Builder,
        body: Bytes,
        bounds: AnswerBounds,
    ) -> Result<(StatusCode, Bytes), EngineError> {
        let invalid = |_| EngineError::Unreachable("the URL cannot be asked".to_owned());
        let request = request.body(Full::new(body)).map_err(invalid)?;
        let answered = tokio::time::timeout(bounds.time, async {
            let (parts, body) = self.0.request(request).await.map_err(|error| innermost_cause(&error))?.into_parts();
            let announced = parts.headers.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
            if announced.is_some_and(|len| len > bounds.bytes as u64) {
                return Err(format!("its answer is larger than {} MiB", bounds.bytes >> 20));
            }
            let body = Limited::new(body, bounds.bytes).collect().await.map_err(|error| innermost_cause(&*error))?;
            Ok::<_, String>((parts.status, body.to_bytes()))
        });
        match answered.await {
            Ok(answer) => answer.map_err(EngineError::Unreachable),
            Err(_) => Err(EngineError::Unreachable(format!("no answer within {} s", bounds.time.as_secs()))),
        }
    }
}

/// The key in a file. Its debug output does not show it.
pub(crate) async fn read_key(file: &Path) -> Result<HeaderValue, EngineError> {
    let unusable = |why: &str| EngineError::Key(why.to_owned());
    let text = read_small_file(file, KEY_BYTES_MAX).await.map_err(EngineError::Key)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(unusable("it is empty"));
    }
    let mut key = HeaderValue::from_str(text).map_err(|_| unusable("it is not one line of text"))?;
    key.set_sensitive(true);
    Ok(key)
}
