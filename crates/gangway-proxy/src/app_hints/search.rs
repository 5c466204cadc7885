//! Looks for the known texts in an answer while it passes.

use std::sync::Arc;

use gangway_model::HostPattern;
use http::Method;
use memchr::memmem;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::refusal::{Asked, KNOWN, Known, TEXT_MAX};
use super::sightings::Sighting;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::request::admission::Admission;
use crate::serving_table::{ActiveEndpoint, ActiveRoute};

/// An answer that may be a known refusal, as far as it has passed.
#[derive(Debug)]
pub(crate) struct Search {
    active: Arc<ActiveRoute>,
    news: Arc<Notify>,
    sighting: Sighting,
    /// The rows that may still hold, by their position, each with a bit for every text that was found.
    rows: [Option<u8>; KNOWN.len()],
    /// The bytes that have passed.
    passed: usize,
    /// The last of them: a text may lie across two pieces. It is never longer than a text without its last byte.
    tail: Vec<u8>,
}

/// The request that is answered, and who answers it.
pub(crate) struct Answered<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) admission: &'a Admission,
    pub(crate) active: &'a Arc<ActiveRoute>,
    pub(crate) endpoint: &'a ActiveEndpoint,
    pub(crate) news: &'a Arc<Notify>,
}

impl Search {
    /// Begins to look at an answer; none if its head says that it is no known refusal, or that its body is encoded.
    pub(crate) fn begin(answered: &Answered<'_>, response: &ResponseHead) -> Option<Self> {
        let Answered { head, admission, active, endpoint, news } = answered;
        let status = response.status.as_u16();
        if !KNOWN.iter().any(|known| known.status == status)
            || response.fields.all_named(b"content-encoding").next().is_some()
        {
            return None;
        }
        let mut rows = [None; KNOWN.len()];
        for (row, known) in rows.iter_mut().zip(KNOWN) {
            let is_asked = || known.asked.iter().all(|asked| asked.holds(answered));
            *row = (known.status == status && known.fits(response) && is_asked()).then_some(0);
        }
        if rows.iter().all(Option::is_none) {
            return None;
        }
        let scheme = admission.origin.scheme().text();
        let host = admission.host(head);
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = admission.port.filter(|port| *port != usual).map_or_else(String::new, |port| format!(":{port}"));
        let own = format!("{scheme}://{host}{port}");
        // A browser knows that a proxy before Gangway speaks TLS, also where Gangway does not. A hint repeats nothing else
        // that a client says of its origin: people trust what stands in a hint.
        let secure = format!("https://{host}");
        let origin = if origin_of(head) == Some(&*secure) { secure } else { own };
        let sighting = Sighting { endpoint: endpoint.key.clone(), origin: origin.into(), host: host.into() };
        Some(Self {
            active: Arc::clone(active),
            news: Arc::clone(news),
            sighting,
            rows,
            passed: 0,
            tail: Vec::with_capacity(TEXT_MAX - 1),
        })
    }

    /// Looks at a piece of the body. Returns whether more of it is to be looked at.
    pub(crate) fn push(&mut self, data: &[u8]) -> bool {
        let (kept, before) = (self.tail.len(), self.passed);
        // Nothing of what begins in the tail reaches further than this.
        self.tail.extend_from_slice(&data[..data.len().min(TEXT_MAX - 1)]);
        for (row, known) in self.rows.iter_mut().zip(KNOWN) {
            let Some(found) = row else { continue };
            let within = known.within.saturating_sub(before);
            let piece = &data[..data.len().min(within)];
            let across = &self.tail[..self.tail.len().min(kept + within)];
            for (position, text) in known.texts.iter().enumerate() {
                if memmem::find(across, text).is_some() || memmem::find(piece, text).is_some() {
                    *found |= 1 << position;
                }
            }
            if found.count_ones() as usize == known.texts.len() {
                let (state, well) = (&self.active.state.refusals, self.active.metrics.well_answered());
                if state.note((known.refusal, known.refuted), &self.sighting, well, Instant::now()) {
                    self.news.notify_one();
                }
                return false;
            }
            if data.len() >= within {
                *row = None;
            }
        }
        self.passed += data.len();
        // What is kept is the end of the tail and of the piece together.
        if data.len() > TEXT_MAX - 1 {
            self.tail.clear();
            self.tail.extend_from_slice(&data[data.len() - (TEXT_MAX - 1)..]);
        }
        let surplus = self.tail.len().saturating_sub(TEXT_MAX - 1);
        self.tail.drain(..surplus);
        self.rows.iter().any(Option::is_some)
    }
}

impl Known {
    /// Whether an answer with this head may be it.
    fn fits(&self, response: &ResponseHead) -> bool {
        if self.media_type.is_empty() {
            return true;
        }
        let kind = response.fields.get(FieldKind::ContentType).unwrap_or_default();
        let is_of_type = kind
            .get(..self.media_type.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(self.media_type.as_bytes()));
        let has_body = match response.body {
            BodyLength::Empty => false,
            BodyLength::Sized(len) => self.len.is_none_or(|known| known == len),
            BodyLength::Framed | BodyLength::UntilClose => self.len.is_none(),
        };
        is_of_type && has_body
    }
}

impl Asked {
    fn holds(self, answered: &Answered<'_>) -> bool {
        let Answered { head, admission, active, .. } = answered;
        match self {
            Self::Page => head.method == Method::GET,
            Self::NamedHost => is_named(active, admission.host(head)),
            Self::OwnForm => {
                let has_cookie = |cookie: &[u8]| memmem::find(cookie, b"csrftoken=").is_some();
                Self::OwnOrigin.holds(answered) && head.fields.all(FieldKind::Cookie).any(has_cookie)
            }
            Self::OwnOrigin => {
                let host = admission.host(head);
                origin_of(head).is_some_and(|origin| host_in(origin) == host) && is_named(active, host)
            }
            Self::NoOrigin => head.fields.all_named(b"origin").next().is_none(),
        }
    }
}

/// Whether the route is for this host by its name. On a route for any host, a client can ask for any.
fn is_named(active: &ActiveRoute, host: &str) -> bool {
    active.route.hosts.iter().any(|pattern| match pattern {
        HostPattern::Exact(_) | HostPattern::Wildcard(_) => pattern.matches(host),
        HostPattern::AnyDomain(_) | HostPattern::Any => false,
    })
}

/// The origin that the client names (RFC 6454), if it is one of http or https with a host of ordinary form.
fn origin_of(head: &RequestHead) -> Option<&str> {
    let origin = std::str::from_utf8(head.fields.all_named(b"origin").next()?).ok()?;
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]_".contains(&byte);
    (!authority.is_empty() && authority.len() <= 300 && authority.bytes().all(is_plain)).then_some(origin)
}

/// The host of an origin, without its port.
fn host_in(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    let port_at = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    &authority[..port_at.unwrap_or(authority.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_an_authority_of_ordinary_form() {
        let longest = format!("https://{}", "a".repeat(300));
        let longer = format!("{longest}a");
        for (origin, host) in [
            ("https://docs.example.com", Some("docs.example.com")),
            ("http://docs-9.example.com:8080", Some("docs-9.example.com")),
            ("http://a_b", Some("a_b")),
            ("https://[2001:db8::7]", Some("[2001:db8::7]")),
            ("https://[2001:db8::7]:8443", Some("[2001:db8::7]")),
            (&longest, Some(&longest[8..])),
            (&longer, None),
            ("https://", None),
            ("https://Docs.example.com", None),
            ("https://a/b", None),
            ("https://a b", None),
            ("ftp://a", None),
            ("null", None),
        ] {
            let head = RequestHead::of_test("GET", "/", &[("origin", origin)]);
            assert_eq!(origin_of(&head).map(host_in), host, "{origin}");
        }
        assert_eq!(origin_of(&RequestHead::of_test("GET", "/", &[])), None);
    }
}
