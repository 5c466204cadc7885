//! Requests to a provider: each with a deadline and a bounded answer, over TLS with the usual roots and those of the user.

use std::fmt;
use std::time::{Duration, SystemTime};

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, USER_AGENT};
use ::http::{Method, Request, StatusCode};
use bytes::Bytes;
use gangway_http_client::{NoCertificate, innermost_cause, roots_with, tcp_connector, tls_config};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::login_error::LoginError;

/// Deadline of one request and its answer: a person waits for it.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Larger than any metadata, key set or token.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A client for one provider.
///
/// No connection is kept: threads with runtimes of their own use it, and a log-in is a rare event.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer with any status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// The provider's time.
    pub(crate) date: Option<SystemTime>,
}

impl Http {
    /// A client that trusts Mozilla's roots, the system's, and the given ones.
    ///
    /// # Errors
    ///
    /// `ca_pem` has no certificate.
    pub fn new(ca_pem: Option<&str>) -> Result<Self, NoCertificate> {
        let config = tls_config(roots_with(ca_pem)?);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let connector = connector.wrap_connector(tcp_connector(CONNECT_DEADLINE));
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client })
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Answer, LoginError> {
        self.send(url, Request::builder().method(Method::GET), Bytes::new()).await
    }

    pub(crate) async fn get_with_token(&self, url: &str, token: &str) -> Result<Answer, LoginError> {
        let request = Request::builder().method(Method::GET).header(AUTHORIZATION, secret(&format!("Bearer {token}"))?);
        self.send(url, request, Bytes::new()).await
    }

    pub(crate) async fn post_form(
        &self,
        url: &str,
        authorization: Option<&str>,
        form: String,
    ) -> Result<Answer, LoginError> {
        let mut request = Request::builder().method(Method::POST);
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, secret(value)?);
        }
        self.send(url, request, form.into()).await
    }

    async fn send(&self, url: &str, request: ::http::request::Builder, body: Bytes) -> Result<Answer, LoginError> {
        let name = HeaderValue::from_static(concat!("gangway/", env!("CARGO_PKG_VERSION")));
        let request = request.uri(url).header(USER_AGENT, name).header(ACCEPT, "application/json");
        let request = request.body(Full::new(body)).map_err(|_| LoginError::invalid("an address is not a URL"))?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answered = tokio::time::timeout(DEADLINE, async {
            let (parts, body) =
                self.client.request(request).await.map_err(|error| innermost_cause(&error))?.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| innermost_cause(&*error))?;
            let date = parts.headers.get(DATE).and_then(|value| value.to_str().ok());
            let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
            Ok::<_, String>(Answer { status: parts.status, body: body.to_bytes(), date })
        });
        match answered.await {
            Ok(Ok(answer)) if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS => {
                Err(LoginError::Unavailable(format!("{host} answers {}", answer.status.as_u16())))
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(LoginError::Unavailable(format!("{host}: {error}"))),
            Err(_) => Err(LoginError::Unavailable(format!("{host}: no answer within {} s", DEADLINE.as_secs()))),
        }
    }
}

fn secret(text: &str) -> Result<HeaderValue, LoginError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| LoginError::invalid("a token has control characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_none_are_refused() {
        assert!(Http::new(None).is_ok());
        assert_eq!(Http::new(Some("nonsense")).err(), Some(NoCertificate));
    }
}
