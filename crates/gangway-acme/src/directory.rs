//! A CA's directory, and its suggestions when to renew a certificate. Neither needs an account.

use std::time::Duration;

use gangway_tls::UnixTime;
use instant_acme::Error;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::directory_url::DirectoryUrl;
use crate::failure::Failure;
use crate::http::Http;
use crate::order_history::Renewal;
use crate::stored_certificate::CertificateId;

/// Interval between questions about renewal to a CA that suggests none.
const ASK_AGAIN: Duration = Duration::from_hours(6);
/// The bounds of the interval that a CA may suggest.
const ASK_AGAIN_MIN: Duration = Duration::from_mins(1);
const ASK_AGAIN_MAX: Duration = Duration::from_hours(24);

/// The part of a CA's directory that the protocol crate does not expose.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    pub(crate) renewal_info: Option<String>,
    pub(crate) new_nonce: Option<String>,
    pub(crate) new_account: Option<String>,
    pub(crate) key_change: Option<String>,
    #[serde(default)]
    pub(crate) meta: Meta,
    /// The difference of our clock to the CA's, in seconds; positive if ours is ahead.
    #[serde(skip)]
    pub(crate) clock_error: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) external_account_required: bool,
    #[serde(default)]
    pub(crate) profiles: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: Window,
    #[serde(rename = "explanationURL")]
    explanation: Option<String>,
}

#[derive(Deserialize)]
struct Window {
    start: String,
    end: String,
}

impl Directory {
    /// Fetches the directory at `url`.
    pub(crate) async fn fetch(http: &Http, url: &DirectoryUrl, now: UnixTime) -> Result<Self, Error> {
        let answer = http.get(url.as_str()).await?;
        let directory: Self = serde_json::from_slice(&answer.body)?;
        Ok(Self { clock_error: answer.date.map(|date| now.seconds().saturating_sub(date.seconds())), ..directory })
    }

    /// Asks when the certificate should be renewed. `None` if the CA makes no suggestions.
    pub(crate) async fn renewal(
        &self,
        http: &Http,
        id: &CertificateId,
        now: UnixTime,
    ) -> Result<Option<Renewal>, Failure> {
        let Some(url) = &self.renewal_info else { return Ok(None) };
        let answer = http.get(&format!("{}/{id}", url.trim_end_matches('/'))).await?;
        let info: RenewalInfo = serde_json::from_slice(&answer.body).map_err(Error::from)?;
        let time = |text: &str| {
            OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
                .map(|time| UnixTime::from_seconds(time.unix_timestamp()))
        };
        let window =
            time(&info.suggested_window.start).and_then(|start| Ok((start, time(&info.suggested_window.end)?)));
        let (start, end) = window.map_err(|error| Error::Other(Box::new(error)))?;
        let asked = answer.retry_at.map_or(ASK_AGAIN, |time| time.since(now));
        Ok(Some(Renewal {
            id: id.to_string().into(),
            start,
            // A window that ends before it begins is the CA's fault; its begin counts.
            end: end.max(start),
            explanation: info.explanation.map(Into::into),
            ask_again: now + asked.clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX),
        }))
    }
}
