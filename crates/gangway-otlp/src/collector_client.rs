//! Our connections to the collector: OTLP over HTTP, in protobuf, with deadlines and bounded answers.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gangway_http_client::{innermost_cause, tcp_connector, tls_config, usual_roots};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message;

use crate::collector::Collector;
use crate::export_error::ExportError;
use crate::headers_file;
use crate::messages::ExportResponse;
use crate::settings::OtlpSettings;

/// Where spans go, below the URL.
pub const TRACES_PATH: &str = "/v1/traces";

/// Where metrics go, below the URL.
pub const METRICS_PATH: &str = "/v1/metrics";

const OWN_NAME: HeaderValue = HeaderValue::from_static(concat!("gangway/", env!("CARGO_PKG_VERSION")));

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

const GZIP: HeaderValue = HeaderValue::from_static("gzip");

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Deadline of one request and its answer, as in the SDKs of OpenTelemetry.
const DEADLINE: Duration = Duration::from_secs(10);

/// An answer is a few numbers, and a text that nobody reads.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends to one path of a collector.
pub(crate) struct CollectorClient {
    url: String,
    headers_file: Option<PathBuf>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl CollectorClient {
    /// One that trusts Mozilla's roots and the system's, where the URL is of `https`.
    pub(crate) fn new(settings: &OtlpSettings, path: &str) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls_config(usual_roots()));
        let connector = connector.https_or_http().enable_http1().wrap_connector(tcp_connector(CONNECT_DEADLINE));
        Self {
            url: format!("{}{path}", settings.url.trim_end_matches('/')),
            headers_file: settings.headers_file.clone(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<u64, ExportError> {
        let unreachable = |error: &(dyn std::error::Error + 'static)| ExportError::Unreachable(innermost_cause(error));
        let (head, body) = self.client.request(request).await.map_err(|error| unreachable(&error))?.into_parts();
        if !head.status.is_success() {
            return Err(refusal(head.status, &head.headers));
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| unreachable(&*error))?;
        // Some collectors answer in words. What was taken is taken.
        let answer = ExportResponse::decode(body.to_bytes()).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

impl Collector for CollectorClient {
    async fn send(&self, request: Bytes) -> Result<u64, ExportError> {
        let mut fields = match &self.headers_file {
            Some(file) => headers_file::read(file).await?,
            None => HeaderMap::new(),
        };
        fields.insert(CONTENT_TYPE, PROTOBUF);
        fields.insert(CONTENT_ENCODING, GZIP);
        fields.entry(USER_AGENT).or_insert(OWN_NAME);
        let invalid = |_| ExportError::Unreachable("the URL cannot be asked".to_owned());
        let mut request = Request::post(&self.url).body(Full::new(request)).map_err(invalid)?;
        *request.headers_mut() = fields;
        let silent = |_| ExportError::Unreachable(format!("no answer within {} s", DEADLINE.as_secs()));
        tokio::time::timeout(DEADLINE, self.ask(request)).await.map_err(silent)?
    }
}

/// What the collector says beside its status is not repeated: it may say our fields again.
fn refusal(status: StatusCode, fields: &HeaderMap) -> ExportError {
    let said = fields.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = said.and_then(|said| said.parse().ok()).map(Duration::from_secs);
    let date = || httpdate::parse_http_date(said?).ok()?.duration_since(SystemTime::now()).ok();
    ExportError::Refused { status: status.as_u16(), retry_after: seconds.or_else(date) }
}

impl fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorClient").field("url", &self.url).finish_non_exhaustive()
    }
}
