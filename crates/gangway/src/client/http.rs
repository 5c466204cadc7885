//! Sends one GET request, with a bound on time and size.

use std::io;
use std::time::Duration;

use gangway_admin::api;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exit_status::ExitStatus;

/// The time to connect.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// The length of an answer. Ten thousand routes take about ten megabytes.
const ANSWER_LEN_MAX: usize = 256 << 20;

/// A stream of events is silent for this long only if the instance is gone: it sends a comment four times as often.
const SILENCE_TIME: Duration = Duration::from_secs(60);

/// The length of one event. That of the busiest routes is a tenth of it.
const EVENT_LEN_MAX: usize = 1 << 20;

/// Returns the body of a successful answer of the instance at `address`.
pub(super) fn get(address: &str, path: &str, time: Duration) -> Result<String, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| AskError::Unreachable { address: address.to_owned(), error })?;
    let answer = runtime.block_on(async { timeout(time, ask(address, path)).await });
    answer.unwrap_or_else(|_| Err(AskError::Silent { address: address.to_owned(), time }))
}

/// Hears events of the instance at `address`, until its stream ends or `heard` returns false. `heard` gets the name of each
/// event, and its data.
pub(super) fn listen(address: &str, path: &str, mut heard: impl FnMut(&str, &str) -> bool) -> Result<(), AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| AskError::Unreachable { address: address.to_owned(), error })?;
    runtime.block_on(async {
        let mut body = request(address, path).await?;
        let mut text = Vec::new();
        loop {
            // Not even a comment came, so the instance is gone without a word.
            let silent = |_| AskError::Silent { address: address.to_owned(), time: SILENCE_TIME };
            let Some(frame) = timeout(SILENCE_TIME, body.frame()).await.map_err(silent)? else { return Ok(()) };
            let strange =
                |error: hyper::Error| AskError::Strange { address: address.to_owned(), error: error.to_string() };
            let Ok(piece) = frame.map_err(strange)?.into_data() else { continue };
            text.extend_from_slice(&piece);
            let mut begin = 0;
            while let Some(len) = text[begin..].windows(2).position(|two| two == b"\n\n") {
                let event = String::from_utf8_lossy(&text[begin..begin + len]).into_owned();
                begin += len + 2;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(name), Some(data)) = (field("event:"), field("data:"))
                    && !heard(name, data)
                {
                    return Ok(());
                }
            }
            text.drain(..begin);
            if text.len() > EVENT_LEN_MAX {
                return Err(AskError::Strange { address: address.to_owned(), error: "an endless event".to_owned() });
            }
        }
    })
}

async fn ask(address: &str, path: &str) -> Result<String, AskError> {
    let strange = |error: String| AskError::Strange { address: address.to_owned(), error };
    let body = Limited::new(request(address, path).await?, ANSWER_LEN_MAX).collect().await;
    let body = body.map_err(|error| strange(error.to_string()))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The body of a successful answer.
async fn request(address: &str, path: &str) -> Result<Incoming, AskError> {
    let unreachable = |error| AskError::Unreachable { address: address.to_owned(), error };
    let strange = |error: String| AskError::Strange { address: address.to_owned(), error };
    let stream = match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(unreachable)?,
        Err(_) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| strange(error.to_string()))?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| strange(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| strange(error.to_string()))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
    let body = body.map_err(|error| strange(error.to_string()))?.to_bytes();
    Err(AskError::refused(address, status, &String::from_utf8_lossy(&body)))
}

/// The instance did not answer as expected. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("reach a running instance at {address}: {error}")]
    Unreachable { address: String, error: io::Error },
    #[error("hear from the instance at {address}: no answer within {} s", time.as_secs())]
    Silent { address: String, time: Duration },
    #[error("understand what answers at {address}: {error}")]
    Strange { address: String, error: String },
    #[error("get an answer from {address}: {error}")]
    Refused { address: String, status: StatusCode, error: String, help: Option<String> },
}

impl AskError {
    fn refused(address: &str, status: StatusCode, text: &str) -> Self {
        let (error, help) = match serde_json::from_str::<api::ErrorResponse>(text) {
            Ok(failure) => (failure.error, Some(failure.help).filter(|help| !help.is_empty())),
            Err(_) => (text.lines().next().unwrap_or_default().to_owned(), None),
        };
        let error = if error.is_empty() { status.to_string() } else { error };
        Self::Refused { address: address.to_owned(), status, error, help }
    }

    /// Advice for the user.
    pub(super) fn help(&self) -> Option<&str> {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => Some(
                "is it running? Name its admin address with --admin, or ask where it is: \
                 docker compose exec gangway gangway …",
            ),
            Self::Strange { .. } => Some("is it Gangway that listens there? Name its admin address with --admin"),
            Self::Refused { help, .. } => help.as_deref(),
        }
    }

    /// The exit status of the command. A refusal with status 400 means that the command was used wrongly.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Refused { status: StatusCode::BAD_REQUEST, .. } => ExitStatus::Usage,
            Self::Refused { .. } => ExitStatus::Problem,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Strange { .. } => ExitStatus::Unreachable,
        }
    }
}
