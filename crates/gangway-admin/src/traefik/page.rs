//! The page in the place of Traefik's dashboard: what is served, as a plain list.

use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::objects::Objects;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The page as an answer.
pub(super) fn response(objects: &Objects, version: &str) -> Response<String> {
    let mut body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Gangway</title></head><body>\n\
         <h1>Gangway {}</h1>\n<h2>Routers</h2>\n<table>\n\
         <tr><th>Name<th>Rule<th>Entry points<th>Service<th>Middlewares<th>Status</tr>\n",
        escaped(version)
    );
    for (name, router) in &objects.routers {
        let list = |key: &str| {
            let items = router[key].as_array().into_iter().flatten().filter_map(Value::as_str);
            items.collect::<Vec<_>>().join(", ")
        };
        let text = |key: &str| router[key].as_str().unwrap_or_default().to_owned();
        row(
            &mut body,
            &[name.clone(), text("rule"), list("using"), text("service"), list("middlewares"), text("status")],
        );
    }
    body.push_str("</table>\n<h2>Services</h2>\n<table>\n<tr><th>Name<th>Servers<th>Status</tr>\n");
    for (name, service) in &objects.services {
        let servers = service["serverStatus"].as_object().into_iter().flatten();
        let servers: Vec<String> =
            servers.map(|(url, state)| format!("{url} {}", state.as_str().unwrap_or_default())).collect();
        row(&mut body, &[name.clone(), servers.join(", "), service["status"].as_str().unwrap_or_default().to_owned()]);
    }
    body.push_str("</table>\n<h2>Middlewares</h2>\n<table>\n<tr><th>Name<th>Type<th>Status</tr>\n");
    for (name, middleware) in &objects.middlewares {
        let text = |key: &str| middleware[key].as_str().unwrap_or_default().to_owned();
        row(&mut body, &[name.clone(), text("type"), text("status")]);
    }
    body.push_str("</table>\n</body></html>\n");
    crate::response::response(StatusCode::OK, HTML, body)
}

fn row(body: &mut String, cells: &[String]) {
    body.push_str("<tr>");
    for cell in cells {
        body.push_str("<td>");
        body.push_str(&escaped(cell));
    }
    body.push_str("</tr>\n");
}

/// The text in a form in which it ends no element and begins none.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
