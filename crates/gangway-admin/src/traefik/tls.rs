//! `tls` of routers and entry points in the shape of Traefik's API.

use gangway_model::CertificateDomain;
use serde_json::{Map, Value, json};

/// The object: what is not said is not in it.
pub(super) fn view(options: Option<&str>, resolver: Option<&str>, domains: &[CertificateDomain]) -> Value {
    let mut view = Map::new();
    for (key, value) in [("options", options), ("certResolver", resolver)] {
        if let Some(value) = value {
            view.insert(key.to_owned(), value.into());
        }
    }
    if !domains.is_empty() {
        view.insert("domains".to_owned(), domains.iter().map(domain).collect());
    }
    Value::Object(view)
}

fn domain(CertificateDomain { main, sans }: &CertificateDomain) -> Value {
    let mut view = Map::new();
    if !main.is_empty() {
        view.insert("main".to_owned(), (**main).into());
    }
    if !sans.is_empty() {
        view.insert("sans".to_owned(), json!(sans));
    }
    Value::Object(view)
}
