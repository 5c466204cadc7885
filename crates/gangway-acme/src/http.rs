//! HTTP as an ACME client needs it: with a deadline, our own user agent, bounded answers, and complete errors.
//!
//! The protocol crate's own client has no timeouts, loses `Retry-After` of refusals and the status of an
//! answer that is not JSON, and trusts the system's roots alone, of which an empty image has none.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use gangway_http_client::{NoCertificate, innermost_cause, roots_with, tcp_connector, tls_config};
use gangway_tls::UnixTime;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::builderstates::{WantsProtocols1, WantsSchemes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};

/// Deadline of one request and its answer. CAs answer within a second or two; some delay answers under load.
const DEADLINE: Duration = Duration::from_secs(60);
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// Larger than any chain.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The part of an answer that is shown if the answer is not a problem document.
const SNIPPET_CHARS_MAX: usize = 200;

/// A client for CAs. Cloning is cheap, and clones share connections.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
}

/// A refusal with the details that the protocol crate would lose.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// The earliest time for the next request.
    pub(crate) retry_at: Option<UnixTime>,
    pub(crate) problem: Option<Problem>,
    /// The beginning of an answer that is not a problem document.
    pub(crate) snippet: String,
}

/// The CA could not be reached, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// An answer to a request that needs no signature.
pub(crate) struct HttpAnswer {
    pub(crate) body: Bytes,
    pub(crate) retry_at: Option<UnixTime>,
    /// The CA's time, from the `Date` header.
    pub(crate) date: Option<UnixTime>,
}

impl Http {
    /// A client for CAs, over TLS only. It trusts Mozilla's roots, the system's, and the given ones.
    pub(crate) fn new(root_pem: Option<&str>) -> Result<Self, ApiRootError> {
        Self::with(root_pem, HttpsConnectorBuilder::https_only)
    }

    /// A client for the user's own services, which may be close by and speak plain HTTP.
    pub(crate) fn also_plain(root_pem: Option<&str>) -> Result<Self, ApiRootError> {
        Self::with(root_pem, HttpsConnectorBuilder::https_or_http)
    }

    fn with(
        root_pem: Option<&str>,
        schemes: impl FnOnce(HttpsConnectorBuilder<WantsSchemes>) -> HttpsConnectorBuilder<WantsProtocols1>,
    ) -> Result<Self, ApiRootError> {
        let config = tls_config(roots_with(root_pem).map_err(|NoCertificate| ApiRootError)?);
        let connector = schemes(HttpsConnectorBuilder::new().with_tls_config(config));
        let connector = connector.enable_all_versions().wrap_connector(tcp_connector(CONNECT_DEADLINE));
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Sends a `GET` request without a signature.
    pub(crate) async fn get(&self, url: &str) -> Result<HttpAnswer, Error> {
        let request = Request::builder().uri(url).body(BodyWrapper::default())?;
        let response = self.send(request).await?;
        let (retry_at, date) = (retry_at(response.headers()), date(response.headers()));
        Ok(HttpAnswer { retry_at, date, body: response.into_body() })
    }

    /// Sends a request. Returns successes, and those refusals that the protocol crate can read itself.
    pub(crate) async fn send(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<Response<Bytes>, Error> {
        let name = HeaderValue::from_static(concat!("gangway/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, name);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answered = tokio::time::timeout(DEADLINE, async {
            let (parts, body) =
                self.client.request(request).await.map_err(|error| innermost_cause(&error))?.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| innermost_cause(&*error))?;
            Ok::<_, String>(Response::from_parts(parts, body.to_bytes()))
        });
        let response = match answered.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(other(Unreachable(format!("{host}: {error}")))),
            Err(_) => return Err(other(Unreachable(format!("{host}: no answer within {} s", DEADLINE.as_secs())))),
        };
        let status = response.status();
        let is_readable = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS && is_problem(&response);
        if status.is_success() || is_readable {
            return Ok(response);
        }
        Err(other(Refused {
            status,
            retry_at: retry_at(response.headers()),
            problem: serde_json::from_slice(response.body()).ok().filter(|_| is_problem(&response)),
            snippet: snippet(response.body()),
        }))
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move {
            let (parts, body) = http.send(request).await?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

fn is_problem(response: &Response<Bytes>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.contains("json") && serde_json::from_slice::<Problem>(response.body()).is_ok()
}

/// Reads `Retry-After`, which is a number of seconds from now or a date.
fn retry_at(headers: &HeaderMap) -> Option<UnixTime> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(UnixTime::now() + Duration::from_secs(seconds.into()));
    }
    timestamp(text)
}

fn date(headers: &HeaderMap) -> Option<UnixTime> {
    timestamp(headers.get(DATE)?.to_str().ok()?)
}

fn timestamp(text: &str) -> Option<UnixTime> {
    httpdate::parse_http_date(text).ok().filter(|time| *time >= UNIX_EPOCH).map(UnixTime::from)
}

fn snippet(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(SNIPPET_CHARS_MAX).collect()
}

fn other(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Refused {
    /// Whether the CA refuses only for now, independent of the request.
    pub(crate) fn is_for_now(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS || self.retry_at.is_some()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem.as_ref().and_then(|problem| problem.detail.as_deref()) {
            Some(detail) => f.write_str(detail),
            None if self.snippet.is_empty() => self.status.fmt(f),
            None => write!(f, "{}: {}", self.status, self.snippet),
        }
    }
}

impl StdError for Refused {}

/// The file of roots for the CA's API holds no certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no certificate was found in the roots given for the CA's API")]
pub(crate) struct ApiRootError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_ask_again_is_read_in_both_notations() {
        let headers = |text: &'static str| HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        let soon = retry_at(&headers("120")).expect("seconds");
        assert!((118..=122).contains(&soon.since(UnixTime::now()).as_secs()));
        assert_eq!(retry_at(&headers("Fri, 31 Dec 1999 23:59:59 GMT")), Some(UnixTime::from_seconds(946_684_799)));
        assert_eq!(retry_at(&headers("soon")), None);
    }

    #[test]
    fn an_answer_that_is_no_document_is_shown_in_one_bounded_line() {
        let shown = snippet(format!("<html>\n\x1b[31m  {}</html>", "x".repeat(1000)).as_bytes());
        assert!(shown.starts_with("<html> [31m xxx") && shown.len() == SNIPPET_CHARS_MAX);
    }

    #[test]
    fn roots_that_are_none_are_refused() {
        assert!(Http::new(None).is_ok());
        assert_eq!(Http::new(Some("nonsense")).err(), Some(ApiRootError));
    }
}
