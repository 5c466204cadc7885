//! The body of a local reply: a page for people, or one JSON object for programs.

use std::time::Duration;

use crate::reply::reason::Reason;

/// Facts about the client that shape a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'a> {
    pub(crate) request_id: &'a str,
    /// The client is on the local network: it may see what is wrong.
    pub(crate) local: bool,
    /// The URL that the client asked for; empty if it is not known.
    pub(crate) url: &'a str,
    /// The name of our own container, if Gangway runs in one.
    pub(crate) own: Option<&'a str>,
}

pub(crate) fn json_body(reason: Reason, status: u16, detail: Option<&str>, audience: Audience<'_>) -> String {
    let mut object = serde_json::json!({
        "status": status,
        "reason": reason.token(),
        "message": reason.text(),
        "request_id": audience.request_id,
    });
    if audience.local {
        object["detail"] = detail.into();
        if !audience.url.is_empty() {
            object["explain"] = explain_line(audience).into();
        }
    }
    format!("{object}\n")
}

pub(crate) fn html_body(
    reason: Reason,
    status: u16,
    retry_after: Option<Duration>,
    detail: Option<&str>,
    audience: Audience<'_>,
) -> String {
    let (token, text, heading) = (reason.token(), reason.text(), reason.heading());
    // A browser that shows the page sees the application as soon as it is there.
    let refresh = retry_after.map_or_else(String::new, |pause| {
        format!("<meta http-equiv=\"refresh\" content=\"{}\">", pause.as_secs().max(1))
    });
    let mut inside = String::new();
    if audience.local {
        if let Some(detail) = detail {
            inside.push_str(&format!("<p>{}</p>", with_code(detail)));
        }
        if !audience.url.is_empty() {
            inside.push_str(&format!("<p>To see why, run<br><code>{}</code></p>", escape(&explain_line(audience))));
        }
    }
    // A policy that a label sets (`default-src 'self'`) forbids the style: without it the page is plain and readable.
    // It has no script.
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">{refresh}\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{status} — {heading}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}\
         code{{overflow-wrap:anywhere}}small{{opacity:.6}}</style>\
         <h1>{status} — {heading}</h1><p>{text}</p>{inside}<small>{token} &middot; {id}</small></html>\n",
        id = escape(audience.request_id),
    )
}

/// The command that explains more. It is safe to paste into a shell whatever the URL contains.
fn explain_line(audience: Audience<'_>) -> String {
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let command = match audience.own.filter(is_name) {
        Some(own) => format!("docker exec {own} /gangway"),
        None => "gangway".to_owned(),
    };
    format!("{command} explain '{}'", audience.url.replace('\'', "%27"))
}

/// Escapes a text for HTML and marks parts in backticks as code.
fn with_code(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let pieces: Vec<&str> = text.split('`').collect();
    // With an uneven number of backticks, the last one is not closed.
    let closed = pieces.len() - usize::from(pieces.len().is_multiple_of(2));
    for (at, piece) in pieces.iter().enumerate() {
        match at % 2 {
            1 if at < closed => marked.push_str(&format!("<code>{}</code>", escape(piece))),
            1 => marked.push_str(&format!("`{}", escape(piece))),
            _ => marked.push_str(&escape(piece)),
        }
    }
    marked
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}
