//! Reads small files of applications, such as their icons, on behalf of no client.
//!
//! A file is asked for as a browser would ask for it, at an endpoint that takes requests now: nothing waits for an
//! endpoint or makes one come. Only what the route itself takes is asked for, so that no path of another route, which
//! may be protected, is read through this one. No credentials are sent: neither cookies, nor the fields that labels set,
//! which may hold a password. An application that answers only to those gives nothing.
//!
//! Such a request is in no log, no figures and no limits. What may be shown of an answer is for the caller to decide.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gangway_model::{Arrival, HTTP, HTTPS, HostHeader, Hostname, RequestView, Route, path};
use gangway_publish::Reader;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::timeout;

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::middleware::changed_target::upstream_target;
use crate::serving_table::{ActiveEndpoint, ActiveRoute, ActiveTable};
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_error::UpstreamError;
use crate::upstream::lone_request;
use crate::upstream::opener::Opener;
use crate::upstream::stream::UpstreamStream;

/// An application answers for a file of its own within this time, or is asked another time.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Reads files of applications. Cheap to clone.
#[derive(Clone)]
pub struct AppFiles {
    pub(crate) tables: Reader<ActiveTable>,
    pub(crate) opener: Opener,
}

/// What an application answers when it is asked for a file.
#[derive(Clone, Debug)]
pub struct AppFile {
    /// The status.
    pub status: StatusCode,
    /// Where it redirects to, as sent.
    pub location: Option<Box<str>>,
    /// The content type, as sent.
    pub content_type: Option<Box<str>>,
    /// The first bytes of the body, in no coding.
    pub body: Bytes,
    /// Whether the body has no more bytes.
    pub is_whole: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoAppFile {
    /// No endpoint takes requests now. Nothing was sent.
    NotReady,
    /// The route does not take this path, or is not in force. Nothing was sent.
    NotOfRoute,
    /// No answer that can be read, or none in time.
    NoAnswer,
}

/// A question that can be sent.
struct Question {
    active: Arc<ActiveRoute>,
    host: Hostname,
    target: String,
}

impl AppFiles {
    /// Asks the application of a route, by its id, for a path with its query, as a browser has it in its address. At most
    /// `max` bytes of the body are read.
    ///
    /// # Errors
    ///
    /// If there is no answer. A redirection and an error of the application are answers.
    pub async fn read(&self, route: &str, target: &str, max: usize) -> Result<AppFile, NoAppFile> {
        let question = Question::of(&self.tables.load_full(), route, target).ok_or(NoAppFile::NotOfRoute)?;
        // The first one that is ready: which one does not matter.
        let endpoint = question.active.ready.first().ok_or(NoAppFile::NotReady)?;
        let answer = timeout(ANSWER_TIME, question.ask(&self.opener, endpoint, max)).await;
        answer.map_err(|_| NoAppFile::NoAnswer)?.map_err(|_| NoAppFile::NoAnswer)
    }
}

/// The way on which a browser would come.
fn arrival(route: &Route) -> Arrival<'_> {
    let is_tls = route.listener.is_over_tls();
    let named = route.listener.scope.names.iter().flatten().next();
    Arrival { listener: named.map_or(if is_tls { HTTPS } else { HTTP }, |name| name), is_tls }
}

impl Question {
    /// What is to be asked for a file of a route; nothing where the route is not in force or lets nobody in, and where a
    /// browser would come to another route, which may be protected.
    fn of(tables: &ActiveTable, route: &str, target: &str) -> Option<Self> {
        let active = tables.routes().iter().find(|active| *active.route.id == *route)?;
        let host = active.route.exact_host()?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path::normalise(path);
        let found = tables.find(&RequestView {
            host: host.as_str(),
            path: &path,
            query,
            method: &Method::GET,
            headers: &HeaderMap::new(),
            client: Ipv4Addr::LOCALHOST.into(),
            arrival: arrival(&active.route),
        })?;
        let is_of_route = found.route.route.id == active.route.id && !active.route.closed;
        let target = upstream_target(&active.route.middlewares, target, found.prefix).ok()?.text.into_owned();
        let can_be_sent = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
        (is_of_route && can_be_sent).then(|| Self { active: Arc::clone(active), host: host.clone(), target })
    }

    async fn ask(&self, opener: &Opener, endpoint: &ActiveEndpoint, max: usize) -> Result<AppFile, UpstreamError> {
        let mut stream = lone_request::open(opener, endpoint).await?;
        let head = lone_request::get(&mut stream, &self.target, &self.fields(endpoint)).await?;
        let text = |name: &[u8]| Some(std::str::from_utf8(head.fields.all_named(name).next()?).ok()?.into());
        let (location, content_type) = (text(b"location"), text(b"content-type"));
        let is_coded = head.fields.all_named(b"content-encoding").next().is_some();
        let (body, is_whole) = if is_coded { (Bytes::new(), false) } else { first_bytes(&mut stream, max).await? };
        Ok(AppFile { status: head.status, location, content_type, body, is_whole })
    }

    /// The fields that an application needs to answer as it answers a browser.
    fn fields(&self, endpoint: &ActiveEndpoint) -> Fields {
        let route = &self.active.route;
        let public = self.host.as_str().as_bytes();
        let host = match &route.host_header {
            HostHeader::Keep => public,
            HostHeader::Named(host) => host.as_bytes(),
            HostHeader::Upstream => endpoint.host.as_bytes(),
        };
        let scheme: &[u8] = if route.listener.is_over_tls() { b"https" } else { b"http" };
        let mut fields = Fields::default();
        fields.push_known(FieldKind::Host, b"Host", &[host]);
        fields.push(b"User-Agent", b"gangway");
        fields.push(b"Accept", b"text/html,image/*");
        fields.push_known(FieldKind::XForwardedProto, b"X-Forwarded-Proto", &[scheme]);
        fields.push_known(FieldKind::XForwardedHost, b"X-Forwarded-Host", &[public]);
        fields
    }
}

/// At most `max` bytes of a body, and whether there are no more.
async fn first_bytes(stream: &mut UpstreamStream, max: usize) -> Result<(Bytes, bool), UpstreamError> {
    let mut body = BytesMut::new();
    loop {
        let len = poll_fn(|cx| {
            stream.poll_body(cx, ReadWidth::Narrow).map_ok(|frame| match frame {
                BodyFrame::Data(data) => {
                    let taken = data.len().min(max - body.len());
                    body.extend_from_slice(&data[..taken]);
                    Some((taken, data.len()))
                }
                BodyFrame::End => None,
            })
        });
        match len.await? {
            None => return Ok((body.freeze(), true)),
            Some((taken, len)) if taken < len => return Ok((body.freeze(), false)),
            Some((_, len)) => stream.consume(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{HOST, table_of_paths};

    /// What is sent to the application of the route for a path when it is asked for a file.
    fn sent(tables: &ActiveTable, path: &str, target: &str) -> Option<String> {
        let of_path = |active: &&Arc<ActiveRoute>| active.route.rule.contains(&format!("`{path}`"));
        let active = tables.routes().iter().find(of_path).expect("the route is there");
        Question::of(tables, &active.route.id, target).map(|question| question.target)
    }

    #[test]
    fn a_path_of_another_route_is_not_asked_for_however_it_is_written() {
        let tables = table_of_paths(&["/app", "/app/private"], |_, _| {});
        assert_eq!(sent(&tables, "/app", "/app/icon.png?a").as_deref(), Some("/app/icon.png?a"));
        assert_eq!(sent(&tables, "/app/private", "/app/private/i.png").as_deref(), Some("/app/private/i.png"));
        for of_another in [
            "/app/private/i.png",
            "/app/./private/i.png",
            "/app/x/../private/i.png",
            "/app/%70rivate/i.png",
            "//app/private",
            "/elsewhere.png",
        ] {
            assert_eq!(sent(&tables, "/app", of_another), None, "{of_another}");
        }
        assert!(Question::of(&tables, HOST, "/app/icon.png").is_none(), "no route has this id");
    }

    #[test]
    fn a_route_that_lets_nobody_in_is_not_asked() {
        let tables = table_of_paths(&["/app", "/shut"], |path, route| route.closed = path == "/shut");
        assert!(sent(&tables, "/app", "/app/icon.png").is_some());
        assert_eq!(sent(&tables, "/shut", "/shut/icon.png"), None);
    }
}
