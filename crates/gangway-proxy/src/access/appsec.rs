//! Asks the web application firewall of CrowdSec (AppSec) about a request.
//!
//! The firewall gets the head and the beginning of the body as the client has sent them, beside what Gangway knows of the
//! client. Only its own yes lets a request in without a doubt.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gangway_crowdsec::{APPSEC_ANSWER_BYTES_MAX, Appsec, Challenge, EngineError, Verdict};
use gangway_model::{Address, EndpointKey, OnDoubt, Readiness, Scheme};
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, Uri, Version};
use tokio::time::timeout;

use crate::access::oidc_cookies;
use crate::message::address_text::AddressText;
use crate::message::field_kind::FieldKind;
use crate::message::fields::{Field, Fields};
use crate::message::request_head::RequestHead;
use crate::reply::auth_reply::AuthReply;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::UpstreamError;
use crate::upstream::connector::Connector;
use crate::upstream::endpoint_state::{EndpointHealth, EndpointState};
use crate::upstream::subrequest::{self, LOOP_FIELD, Subrequest, SubrequestError};
use crate::upstream::transport::EndpointTransport;

/// Bytes of a body that the firewall sees. Forms and API calls fit. What is behind them goes on unseen, as with CrowdSec's
/// own bouncers, since files are larger than any bound; `body-limit` lets nothing be behind them.
pub(super) const BODY_MAX: usize = 1 << 20;

/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_millis(500);

/// By this begin the names of the fields that say whose request it is. A client's own would be believed.
const OWN_FIELDS: &[u8] = b"x-crowdsec-appsec-";

/// The firewall, and where it is.
#[derive(Debug)]
pub(crate) struct AppsecService {
    appsec: Appsec,
    endpoint: ActiveEndpoint,
    target: Box<str>,
    /// Marks its questions. No other service learns it, so that no client can pretend to be one of them.
    mark: Box<str>,
    /// How long the whole answer may take.
    answer_time: Duration,
}

/// A request that the firewall is asked about.
#[derive(Clone, Copy)]
pub(super) struct Inspection<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) admission: &'a Admission,
    /// The body, as far as the firewall sees it.
    pub(super) body: &'a [u8],
    pub(super) connector: &'a Connector,
}

impl AppsecService {
    /// The firewall at a URL. None if that names no host.
    pub(crate) fn new(appsec: Appsec, url: &str, answer_time: Duration) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        let endpoint = endpoint(url.scheme_str()?, url.authority()?)?;
        Some(Self { appsec, endpoint, target: target.into(), mark: subrequest::new_mark("appsec"), answer_time })
    }

    /// Asks about a request. An error is the reply for the client.
    pub(super) async fn inspect(&self, on_doubt: OnDoubt, request: Inspection<'_>) -> Result<(), LocalReply> {
        if subrequest::is_of_ours(&request.head.fields, &self.mark) {
            // That is no doubt: there would be one more question about each question.
            return Err(unavailable(&EngineError::Invalid("it leads back to this route".to_owned())));
        }
        let verdict = match timeout(self.answer_time, self.ask(request)).await {
            Ok(verdict) => verdict,
            Err(_) => Err(EngineError::Unreachable("there was no answer in time".to_owned())),
        };
        self.appsec.note(request.admission.origin.client, &verdict);
        match (verdict, on_doubt) {
            (Ok(Verdict::Allowed), _) | (Err(_), OnDoubt::Admit) => Ok(()),
            (Ok(Verdict::Blocked { status }), _) => Err(blocked(status)),
            (Ok(Verdict::Challenged(challenge)), _) => Err(challenged(*challenge)),
            (Err(error), OnDoubt::Close) => Err(unavailable(&error)),
        }
    }

    async fn ask(&self, request: Inspection<'_>) -> Result<Verdict, EngineError> {
        let key = self.appsec.key().await?;
        let _in_flight = self.endpoint.state.begin();
        let subrequest = Subrequest {
            connector: request.connector,
            endpoint: &self.endpoint,
            method: if request.body.is_empty() { Method::GET } else { Method::POST },
            target: &self.target,
            fields: &self.fields(request, &key),
            body: request.body,
            connect_time: CONNECT_TIME,
        };
        let (mut stream, head) = subrequest.send().await.map_err(no_answer)?;
        let body = subrequest::body_of(&mut stream, APPSEC_ANSWER_BYTES_MAX).await;
        match (head.status, body) {
            // It has refused the request, whatever it would have said about that.
            (StatusCode::FORBIDDEN, Err(_) | Ok(None)) => Ok(Verdict::BLOCKED),
            (_, Err(error)) => Err(of_upstream(&error)),
            (_, Ok(None)) => Err(EngineError::Invalid("its answer is too large".to_owned())),
            (status, Ok(Some(body))) => {
                request.connector.release(stream);
                Verdict::of(status, &body)
            }
        }
    }

    /// The fields of the question: the client's as it has sent them, without those that belong to its connection or are for
    /// us; and what Gangway knows of the request.
    fn fields(&self, request: Inspection<'_>, key: &HeaderValue) -> Fields {
        let Inspection { head, admission, .. } = request;
        let mut fields = Fields::default();
        fields.push_known(FieldKind::Host, b"Host", &[self.endpoint.host.as_bytes()]);
        fields.extend_from(&head.fields, is_of_client);
        oidc_cookies::hide(&mut fields);
        let client: IpAddr = admission.origin.client;
        fields.push(b"X-Crowdsec-Appsec-Ip", AddressText::of(client).bytes());
        fields.push(b"X-Crowdsec-Appsec-Uri", uri(&head.target).as_bytes());
        fields.push(b"X-Crowdsec-Appsec-Host", head.fields.get(FieldKind::Host).unwrap_or_default());
        fields.push(b"X-Crowdsec-Appsec-Verb", head.method.as_str().as_bytes());
        fields.push(b"X-Crowdsec-Appsec-Http-Version", version(head));
        if let Some(agent) = head.fields.get(FieldKind::UserAgent) {
            fields.push(b"X-Crowdsec-Appsec-User-Agent", agent);
        }
        fields.push(b"X-Crowdsec-Appsec-Api-Key", key.as_bytes());
        subrequest::mark(&head.fields, &self.mark, &mut fields);
        fields
    }
}

/// Whether the firewall gets a field of a request as its client has sent it. Attacks may hide in any.
fn is_of_client(field: Field<'_>) -> bool {
    let is_ours = matches!(
        field.kind,
        FieldKind::Host
            | FieldKind::Expect
            | FieldKind::ContentLength
            | FieldKind::ProxyAuthenticate
            | FieldKind::ProxyAuthorization
    );
    let is_own = field.name.get(..OWN_FIELDS.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OWN_FIELDS));
    !is_ours && !is_own && !field.kind.is_for_one_hop() && !field.name.eq_ignore_ascii_case(LOOP_FIELD)
}

/// The target of a request as the firewall can read it, which refuses what is no URI to it: two slashes at the beginning are
/// an authority, and a percent sign begins an escape (RFC 3986, sections 3.2 and 2.1). A client that makes it refuse a
/// question would pass unseen where the owner admits on doubt.
fn uri(target: &str) -> Cow<'_, str> {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let is_escape =
        |at: usize| path.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !path.starts_with("//") && path.match_indices('%').all(|(at, _)| is_escape(at)) {
        return Cow::Borrowed(target);
    }
    let mut uri = String::with_capacity(target.len() + 8);
    let begin = path.len() - path.trim_start_matches('/').len();
    uri.push_str(if begin > 0 { "/" } else { "" });
    for (at, char) in path.char_indices().skip_while(|(at, _)| *at < begin) {
        match char {
            '%' if !is_escape(at) => uri.push_str("%25"),
            char => uri.push(char),
        }
    }
    uri.push_str(query);
    Cow::Owned(uri)
}

/// The version of HTTP that the client speaks, as the firewall reads it.
fn version(head: &RequestHead) -> &'static [u8] {
    match head.version {
        Version::HTTP_10 => b"10",
        Version::HTTP_2 => b"20",
        Version::HTTP_3 => b"30",
        _ => b"11",
    }
}

fn blocked(status: StatusCode) -> LocalReply {
    let detail = "CrowdSec AppSec has blocked this request; `cscli alerts list` shows why";
    FailureReply::new(Reason::AppsecBlocked).with_status(status).with_detail(detail).into()
}

fn challenged(challenge: Challenge) -> LocalReply {
    let mut fields = Fields::default();
    for (name, value) in &challenge.fields {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    AuthReply::of_service(challenge.status, fields, challenge.body.into()).into()
}

fn unavailable(error: &EngineError) -> LocalReply {
    FailureReply::new(Reason::AppsecUnavailable)
        .with_detail(format!("CrowdSec AppSec cannot be asked about this request: {error}"))
        .with_retry_after(RETRY_AFTER)
        .into()
}

fn no_answer(error: SubrequestError) -> EngineError {
    match error {
        SubrequestError::NotReached(error) | SubrequestError::Failed(error) => of_upstream(&error),
        SubrequestError::TooManyInterim => EngineError::Invalid("too many interim answers".to_owned()),
    }
}

fn of_upstream(error: &UpstreamError) -> EngineError {
    match error.kind.is_invalid_answer() {
        true => EngineError::Invalid(error.to_string()),
        false => EngineError::Unreachable(error.to_string()),
    }
}

/// The place of the firewall. It is in no table, so nothing probes it: each question finds out by itself whether it is there.
fn endpoint(scheme: &str, authority: &Authority) -> Option<ActiveEndpoint> {
    let (scheme, default_port) = match scheme {
        "https" => (Scheme::Https, 443),
        _ => (Scheme::Http, 80),
    };
    let (port, name) = (authority.port_u16().unwrap_or(default_port), authority.host().trim_matches(['[', ']']));
    let address = match name.parse::<IpAddr>() {
        Ok(ip) => Address::Ip(ip, port),
        Err(_) => Address::Name(name.into(), port),
    };
    Some(ActiveEndpoint {
        key: EndpointKey { container: Box::default(), address },
        name: "appsec".into(),
        readiness: Readiness::Ready,
        transport: Arc::new(EndpointTransport::new(scheme, name, &Arc::default())),
        host: HeaderValue::from_str(authority.as_str()).ok()?,
        weight: 1,
        is_of_operator: true,
        hash: 0,
        token: None,
        state: Arc::new(EndpointState::new(EndpointHealth::Healthy)),
    })
}

#[cfg(test)]
mod tests {
    use gangway_crowdsec::{AppsecKey, Bouncer, Decisions};
    use gangway_publish::channel;

    use super::*;
    use crate::stream::upstream_error::UpstreamErrorKind;

    #[test]
    fn what_the_firewall_would_refuse_to_read_is_written_so_that_it_can() {
        for (target, read) in [
            ("/a/b?x=//%zz", "/a/b?x=//%zz"),
            ("*", "*"),
            ("//a:b/../index.php?id=1", "/a:b/../index.php?id=1"),
            ("///x", "/x"),
            ("/a%zz%41%4", "/a%25zz%41%254"),
            ("/%", "/%25"),
            ("//%é?%", "/%25é?%"),
        ] {
            assert_eq!(uri(target), read, "{target}");
        }
    }

    #[test]
    fn a_url_names_what_is_asked_for() {
        for (url, target) in [("http://crowdsec:7422", "/"), ("http://crowdsec/appsec?a=b", "/appsec?a=b")] {
            let bouncer = Bouncer::new(channel(Decisions::default()).1).expect("fresh names");
            let appsec = Appsec::new(channel(AppsecKey::default()).1, bouncer).expect("fresh names");
            let service = AppsecService::new(appsec, url, Duration::from_secs(1)).expect("it names a host");
            assert_eq!(&*service.target, target);
        }
    }

    #[test]
    fn a_url_names_a_place_and_a_host() {
        let of = |url: &str| {
            let url: Uri = url.parse().expect("a URL");
            let endpoint = endpoint(url.scheme_str()?, url.authority()?)?;
            let host = endpoint.host.to_str().expect("text").to_owned();
            let is_ip = matches!(endpoint.key.address, Address::Ip(..));
            assert_eq!(is_ip, !host.starts_with("crowdsec"), "{host}");
            Some((endpoint.key.address.to_string(), host, endpoint.transport.is_tls()))
        };
        for (url, address, host, is_tls) in [
            ("http://crowdsec:7422", "crowdsec:7422", "crowdsec:7422", false),
            ("http://crowdsec/appsec", "crowdsec:80", "crowdsec", false),
            ("http://192.0.2.7:7422/", "192.0.2.7:7422", "192.0.2.7:7422", false),
            ("https://[2001:db8::7]", "[2001:db8::7]:443", "[2001:db8::7]", true),
        ] {
            assert_eq!(of(url), Some((address.to_owned(), host.to_owned(), is_tls)), "{url}");
        }
    }

    #[test]
    fn a_challenge_keeps_its_status_and_its_fields() {
        let fields = vec![(http::header::RETRY_AFTER, HeaderValue::from_static("1"))];
        let challenge = Challenge { status: StatusCode::TOO_MANY_REQUESTS, fields, body: "prove".to_owned() };
        let LocalReply::OfAuthService(reply) = challenged(challenge) else { panic!("an answer of its own") };
        assert_eq!((reply.status.as_u16(), &*reply.body), (429, &b"prove"[..]));
        assert_eq!(reply.fields.all_named(b"retry-after").collect::<Vec<_>>(), [b"1"]);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_told_from_none() {
        let of = |kind| of_upstream(&UpstreamError::new(kind, "x"));
        assert!(matches!(of(UpstreamErrorKind::Malformed), EngineError::Invalid(_)));
        assert!(matches!(of(UpstreamErrorKind::Refused), EngineError::Unreachable(_)));
    }

    #[test]
    fn the_firewall_learns_the_version_that_the_client_speaks() {
        for (version, text) in
            [(Version::HTTP_10, "10"), (Version::HTTP_11, "11"), (Version::HTTP_2, "20"), (Version::HTTP_3, "30")]
        {
            let head = RequestHead { version, ..RequestHead::of_test("GET", "/", &[]) };
            assert_eq!(super::version(&head), text.as_bytes());
        }
    }

    #[test]
    fn the_firewall_sees_what_the_client_sent_but_for_what_it_must_not_say() {
        let sent = [
            ("Host", "a.example"),
            ("User-Agent", "x"),
            ("X-Forwarded-For", "${jndi:x}"),
            ("Authorization", "Bearer x"),
            ("Content-Type", "text/plain"),
            ("Content-Length", "9"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "upgrade"),
            ("Upgrade", "websocket"),
            ("Expect", "100-continue"),
            ("X-Crowdsec-Appsec-Ip", "192.0.2.9"),
            ("x-crowdsec-appsec-api-key", "mine"),
            ("X-CROWDSEC-APPSEC-TRANSACTION-ID", "1"),
            ("Proxy-Authorization", "Basic x"),
            ("Proxy-Authenticate", "Basic"),
            ("cdn-loop", "x"),
            ("X-Crowdsec", "y"),
        ];
        let head = RequestHead::of_test("GET", "/", &sent);
        let passed: Vec<_> = head.fields.iter().filter(|field| is_of_client(*field)).map(|field| field.name).collect();
        let expected = [&b"User-Agent"[..], b"X-Forwarded-For", b"Authorization", b"Content-Type", b"X-Crowdsec"];
        assert_eq!(passed, expected);
    }
}
