//! Asks a page service.
//!
//! Only an answer that is whole, in time and a page counts. After any other one the answer stays that the client would
//! have got.

use std::time::Duration;

use gangway_model::secret::masked_target;
use gangway_model::{Address, Readiness};
use http::{Method, StatusCode};
use tokio::time::timeout;

use crate::access::oidc_cookies;
use crate::message::address_text::AddressText;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::{Field, Fields};
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::pages::page::{PAGE_BYTES_MAX, Page};
use crate::request::admission::Admission;
use crate::request::forwarding;
use crate::serving_table::{ActiveEndpoint, PageService};
use crate::upstream::connector::Connector;
use crate::upstream::stream::UpstreamStream;
use crate::upstream::subrequest::{self, LOOP_FIELD, Subrequest, SubrequestError};

/// How long the whole answer may take, and a connection: the client has its error until then.
const ANSWER_TIME: Duration = Duration::from_secs(2);
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// The kinds of content that are pages.
const KINDS: [&[u8]; 3] = [b"text/html", b"application/xhtml+xml", b"text/plain"];

/// The fields of a page that describe it.
const DESCRIBING: [&[u8]; 4] =
    [b"content-type", b"content-language", b"content-security-policy", b"content-security-policy-report-only"];

/// A page that is asked for.
pub(super) struct PageQuestion<'a> {
    pub(super) connector: &'a Connector,
    pub(super) head: &'a RequestHead,
    pub(super) status: StatusCode,
    pub(super) target: &'a str,
    pub(super) request_id: &'a str,
    /// What our questions have in common, and nobody else's.
    pub(super) own_mark: &'a str,
    pub(super) style: PageStyle<'a>,
}

/// How a service is asked, and which answers are pages.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageStyle<'a> {
    /// By the fields of ingress-nginx, for a page.
    Own,
    /// By the fields of the client, but its credentials; every answer is a page.
    Traefik(&'a Admission),
}

/// Why a service gave no page.
#[derive(Debug)]
pub(super) enum NoPage {
    /// It was not reached, or was silent.
    Silent(String),
    /// It answered what is no page.
    Invalid(String),
}

impl NoPage {
    fn invalid(detail: &str) -> Self {
        Self::Invalid(detail.to_owned())
    }
}

/// Asks a service for a page.
pub(super) async fn ask(service: &PageService, question: &PageQuestion<'_>) -> Result<Page, NoPage> {
    if service.rest.is_going_on() {
        return Err(NoPage::Silent("it was silent a moment ago".to_owned()));
    }
    let page = match timeout(ANSWER_TIME, answered(&service.endpoints, question)).await {
        Ok(page) => page,
        Err(_) => Err(NoPage::Silent("there was no answer in time".to_owned())),
    };
    if matches!(page, Err(NoPage::Silent(_))) {
        service.rest.begin();
    }
    page
}

async fn answered(endpoints: &[ActiveEndpoint], question: &PageQuestion<'_>) -> Result<Page, NoPage> {
    let ready: Vec<&ActiveEndpoint> =
        endpoints.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready).collect();
    let first = if ready.is_empty() { 0 } else { fastrand::usize(..ready.len()) };
    let mut error = NoPage::Silent("it is not running".to_owned());
    for endpoint in ready[first..].iter().chain(&ready[..first]) {
        let _in_flight = endpoint.state.begin();
        let fields = fields(endpoint, question);
        let PageQuestion { connector, target, .. } = question;
        let (method, fields) = (Method::GET, &fields);
        let subrequest =
            Subrequest { connector, endpoint, method, target, fields, body: &[], connect_time: CONNECT_TIME };
        match subrequest.send().await {
            Ok((stream, head)) => return page(stream, &head, question).await,
            Err(SubrequestError::NotReached(trouble)) => error = NoPage::Silent(trouble.to_string()),
            Err(SubrequestError::Failed(trouble)) => return Err(NoPage::Silent(trouble.to_string())),
            Err(SubrequestError::TooManyInterim) => return Err(NoPage::invalid("too many interim answers")),
        }
    }
    Err(error)
}

/// The fields by which page services know what to show: those of the custom errors of ingress-nginx. Nothing of the
/// client is among them by which it is known or let in.
fn fields(endpoint: &ActiveEndpoint, question: &PageQuestion<'_>) -> Fields {
    let PageQuestion { head, status, request_id, own_mark, style, .. } = question;
    let mut fields = Fields::default();
    // A service in the world outside is known by its own name.
    match &endpoint.key.address {
        Address::Name(..) => fields.push_known(FieldKind::Host, b"Host", &[endpoint.host.as_bytes()]),
        Address::Ip(..) => fields.extend_from(&head.fields, |field| field.kind == FieldKind::Host),
    }
    if let PageStyle::Traefik(admission) = style {
        fields.extend_from(&head.fields, |field| is_for_service(field.kind, field.name));
        let scheme = admission.origin.scheme().text();
        if let Some(host) = head.fields.get(FieldKind::Host) {
            fields.push_known(FieldKind::XForwardedHost, b"X-Forwarded-Host", &[host]);
        }
        fields.push_known(FieldKind::XForwardedProto, b"X-Forwarded-Proto", &[scheme.as_bytes()]);
        let usual = if admission.origin.secure { 443 } else { 80 };
        let port = Decimal::of(admission.port.unwrap_or(usual).into());
        fields.push_known(FieldKind::XForwardedPort, b"X-Forwarded-Port", &[port.bytes()]);
        let client = AddressText::of(admission.origin.client);
        fields.push_known(FieldKind::Spoofable, b"X-Real-IP", &[client.bytes()]);
        oidc_cookies::hide(&mut fields);
        subrequest::mark(&head.fields, own_mark, &mut fields);
        return fields;
    }
    let languages = |name: &[u8]| name.eq_ignore_ascii_case(b"accept-language");
    fields.extend_from(&head.fields, |field| languages(field.name));
    fields.push(b"Accept", b"text/html");
    fields.push(b"X-Code", status.as_str().as_bytes());
    fields.push(b"X-Format", b"text/html");
    fields.push(b"X-Original-URI", masked_target(&head.target).as_bytes());
    fields.push(b"X-Request-ID", request_id.as_bytes());
    subrequest::mark(&head.fields, own_mark, &mut fields);
    fields
}

/// Whether a service gets a field of the client: nothing by which it is known or let in, and nothing about a body or a
/// content that it has not asked this service for.
fn is_for_service(kind: FieldKind, name: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let begins = |start: &[u8]| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let is_credential = kind == FieldKind::Authorization || is("cookie");
    let is_of_request = matches!(kind, FieldKind::Host | FieldKind::Expect | FieldKind::ContentLength)
        || begins(b"content-")
        || begins(b"if-")
        || is("range")
        || is("accept-encoding")
        || name.eq_ignore_ascii_case(LOOP_FIELD);
    !is_credential && !is_of_request && forwarding::is_for_endpoint(kind)
}

/// The page in an answer. Servers of files say 200, and page services either 200 or the status that they show.
async fn page(mut stream: UpstreamStream, head: &ResponseHead, question: &PageQuestion<'_>) -> Result<Page, NoPage> {
    let is_free = matches!(question.style, PageStyle::Traefik(_));
    if is_free && head.status.is_informational() {
        return Err(NoPage::invalid("it switches to another protocol"));
    }
    if !is_free && head.status != StatusCode::OK && head.status != question.status {
        return Err(NoPage::Invalid(format!("it answers {}", head.status.as_u16())));
    }
    let essence = |value: &[u8]| value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_vec();
    let mut kinds = head.fields.all(FieldKind::ContentType).map(essence);
    let is_page = |kind: &Vec<u8>| KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known));
    if !is_free && (!kinds.next().as_ref().is_some_and(is_page) || kinds.next().is_some()) {
        return Err(NoPage::invalid("its answer is neither HTML nor text"));
    }
    if !is_free && head.fields.all_named(b"content-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(NoPage::invalid("its answer is encoded"));
    }
    let mut fields = Fields::default();
    let is_taken = |field: Field<'_>| match is_free {
        true => !matches!(field.kind, FieldKind::ContentLength | FieldKind::ProxyAuthenticate),
        false => DESCRIBING.iter().any(|name| field.name.eq_ignore_ascii_case(name)),
    };
    fields.extend_from(&head.fields, is_taken);
    let body = subrequest::body_of(&mut stream, PAGE_BYTES_MAX).await;
    match body.map_err(|error| NoPage::Silent(error.to_string()))? {
        None => Err(NoPage::invalid("its answer is too large")),
        Some(body) => {
            question.connector.release(stream);
            if body.is_empty() && !is_free {
                Err(NoPage::invalid("its answer is empty"))
            } else {
                Ok(Page { fields, body, status: None, is_whole: is_free, _memory: None })
            }
        }
    }
}
