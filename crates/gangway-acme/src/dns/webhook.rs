//! Records made through a web service: one in lego's `httpreq` form, or acme-dns.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use instant_acme::BodyWrapper;
use serde_json::{Value, json};

use super::record::RecordChange;
use crate::failure::Failure;
use crate::http::Http;

/// `POST <url>/present` and `/cleanup` with `{"fqdn": …, "value": …}`, as lego's provider `httpreq` sends it.
pub(super) async fn hook(
    http: &Http,
    url: &str,
    login: Option<(&str, &str)>,
    owner: &str,
    value: &str,
    change: RecordChange,
) -> Result<(), String> {
    let act = match change {
        RecordChange::Present => "present",
        RecordChange::Remove => "cleanup",
    };
    let login = login.map(|(user, password)| {
        let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
        (AUTHORIZATION.as_str(), format!("Basic {text}"))
    });
    let url = format!("{}/{act}", url.trim_end_matches('/'));
    post(http, &url, login.as_slice(), &json!({"fqdn": format!("{owner}."), "value": value})).await
}

/// acme-dns keeps the last two values of a subdomain, and has no way to remove one.
pub(super) async fn acme_dns(
    http: &Http,
    url: &str,
    login: (&str, &str),
    subdomain: &str,
    value: &str,
    change: RecordChange,
) -> Result<(), String> {
    if change == RecordChange::Remove {
        return Ok(());
    }
    let login = [("x-api-user", login.0.to_owned()), ("x-api-key", login.1.to_owned())];
    let url = format!("{}/update", url.trim_end_matches('/'));
    post(http, &url, &login, &json!({"subdomain": subdomain, "txt": value})).await
}

async fn post(http: &Http, url: &str, headers: &[(&str, String)], body: &Value) -> Result<(), String> {
    let mut request = http::Request::post(url).header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(BodyWrapper::from(body.to_string().into_bytes())).map_err(|error| error.to_string())?;
    let answer = http.send(request).await.map_err(|error| Failure::from(error).detail)?;
    // `send` also returns refusals that the protocol crate can read itself; they are refusals here as well.
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
}
