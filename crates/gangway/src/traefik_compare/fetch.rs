//! Asks a running Traefik.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gangway_http_client::{innermost_cause, tcp_connector, tls_config, usual_roots};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::percent_decode_str;

/// How long the answer may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Ten thousand routers take about ten megabytes.
const ANSWER_LEN_MAX: usize = 64 << 20;

const PATH: &str = "/api/rawdata";

/// The text at `/api/rawdata`. The URL may have a user and a password, and may name the path or not.
///
/// # Errors
///
/// The URL is none, or there is no such answer. No error repeats the password.
pub(super) async fn rawdata(url: &str) -> Result<String, String> {
    let Asked { uri, authorization } = Asked::parse(url)?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls_config(usual_roots())).https_or_http();
    let connector = connector.enable_http1().wrap_connector(tcp_connector(CONNECT_DEADLINE));
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut request = Request::get(uri);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
    let answered = tokio::time::timeout(DEADLINE, async {
        let (parts, body) = client.request(request).await.map_err(|error| innermost_cause(&error))?.into_parts();
        let body = Limited::new(body, ANSWER_LEN_MAX).collect().await.map_err(|error| innermost_cause(&*error))?;
        Ok::<_, String>((parts.status, body.to_bytes()))
    });
    match answered.await {
        Ok(Ok((status, body))) if status.is_success() => Ok(String::from_utf8_lossy(&body).into_owned()),
        Ok(Ok((status, _))) => Err(format!(
            "{host} answers {} to {PATH}; is `api` switched on, and does the URL lead to it?",
            status.as_u16()
        )),
        Ok(Err(error)) => Err(format!("failed to reach {host}: {error}")),
        Err(_) => Err(format!("failed to hear from {host}: no answer within {} s", DEADLINE.as_secs())),
    }
}

/// What is asked for.
struct Asked {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Asked {
    fn parse(url: &str) -> Result<Self, String> {
        let wrong = || "the URL is not one such as `http://127.0.0.1:8080`".to_owned();
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let path = path.trim_end_matches('/');
        let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
        let uri: Uri = format!("{scheme}://{host}{path}").parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || host.is_empty() {
            return Err(wrong());
        }
        let authorization = user.map(|user| {
            let decoded: Vec<u8> = percent_decode_str(user).collect();
            let mut value =
                HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(decoded))).map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self { uri, authorization: authorization.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_to_the_raw_data() {
        for (url, asked) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/rawdata"),
            ("https://traefik.example.org/", "https://traefik.example.org/api/rawdata"),
            ("http://host/below/api/rawdata", "http://host/below/api/rawdata"),
            ("http://me:p%40ss@host", "http://host/api/rawdata"),
        ] {
            assert_eq!(Asked::parse(url).map(|asked| asked.uri.to_string()).as_deref(), Ok(asked));
        }
        let of_user = Asked::parse("http://me:p%40ss@host").ok().and_then(|asked| asked.authorization);
        assert_eq!(of_user, Some(HeaderValue::from_static("Basic bWU6cEBzcw==")));
        for none in ["host", "ftp://host", "http://", "http://a b"] {
            assert!(Asked::parse(none).is_err(), "{none}");
        }
    }
}
