//! Asks a log-in service whether a request may pass.
//!
//! Only an answer that is whole, in time and in order opens the way. Everything else is a closed door: a service that
//! cannot be reached, is silent, or answers what makes no sense.

use std::fmt::Debug;
use std::time::Duration;

use gangway_model::{Address, AuthProduct, ForwardAuth, ForwardRules, IdentityField, Readiness};
use http::{Method, StatusCode};
use tokio::time::timeout;

use crate::access::oidc_cookies;
use crate::downstream::connection::ClientConnection;
use crate::message::cache_control::directives;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::middleware::upstream_target::UpstreamTarget;
use crate::reply::auth_reply::AuthReply;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::request::forwarding::{self, ForwardingFacts};
use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::UpstreamError;
use crate::upstream::connector::Connector;
use crate::upstream::stream::UpstreamStream;
use crate::upstream::subrequest::{self, LOOP_FIELD, Subrequest, SubrequestError};

/// How long the whole answer may take: a service may check a password meanwhile.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long a connection may take, so that another container of the service can be asked.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// Bytes of an answer's body that a client gets: a page, and not a download.
const BODY_MAX: usize = 256 * 1024;

/// Bytes of the fields of an answer that go to the application, and of those that go to the client.
const FIELDS_BYTES_MAX: usize = 32 * 1024;

/// A session that was renewed for a request.
pub(super) trait Renewed: Debug + Send + Sync {
    /// Whether the client is still to have its cookie. The answer of an application may take long.
    fn is_current(&self) -> bool;
}

/// What a service has said of a request that may pass.
#[derive(Debug, Default)]
pub(crate) struct Approval {
    /// Fields that tell the application who the user is.
    identity: Fields,
    /// `Set-Cookie` for the client.
    cookies: Fields,
    /// The session that the cookies are for, where that is ours.
    renewed: Option<Box<dyn Renewed>>,
    user: Option<Box<str>>,
}

/// A request that a service is asked about.
pub(super) struct Question<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) admission: &'a Admission,
    pub(super) connection: &'a ClientConnection,
    pub(super) public_https_port: Option<u16>,
    pub(super) connector: &'a Connector,
    pub(super) endpoints: &'a [ActiveEndpoint],
    /// What our questions have in common, and nobody else's.
    pub(super) own_mark: &'a str,
    /// Changes the fields as the middlewares before this log-in do, whose changes the service sees, as Traefik's does.
    pub(super) change_fields: &'a (dyn Fn(&mut Fields) + Send + Sync),
    /// The target that the service learns.
    pub(super) told: &'a UpstreamTarget<'a>,
    /// The body, as far as it is held.
    pub(super) body: &'a [u8],
}

impl Question<'_> {
    /// The body for the service.
    fn body_for(&self, rules: Option<&ForwardRules>) -> &[u8] {
        if rules.is_some_and(|rules| rules.body_max.is_some()) { self.body } else { &[] }
    }
}

/// Why there is no answer that counts.
enum NoAnswer {
    /// The service was not reached, or was silent.
    Unavailable(String),
    /// It answered what makes no sense.
    Invalid(String),
}

impl NoAnswer {
    fn invalid(detail: &str) -> Self {
        Self::Invalid(detail.to_owned())
    }
}

impl From<UpstreamError> for NoAnswer {
    fn from(error: UpstreamError) -> Self {
        match error.kind.is_invalid_answer() {
            true => Self::Invalid(error.to_string()),
            false => Self::Unavailable(error.to_string()),
        }
    }
}

impl Approval {
    /// One by Gangway itself, with these fields for the application.
    pub(super) fn of_user(identity: Fields, user: &str) -> Self {
        Self { identity, user: Some(user.into()), ..Self::default() }
    }

    /// The same, with these `Set-Cookie` for the client, by which it gets this session.
    pub(super) fn with_cookies(self, cookies: Fields, renewed: Box<dyn Renewed>) -> Self {
        Self { cookies, renewed: Some(renewed), ..self }
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(super) fn add_identity(&self, fields: &mut Fields) {
        // Credentials replace the client's; of the rest nothing of the client's is left.
        if self.identity.has(FieldKind::Authorization) {
            fields.remove(FieldKind::Authorization);
        }
        fields.extend_from(&self.identity, |_| true);
    }

    pub(super) fn add_cookies(&self, rules: Option<&ForwardRules>, fields: &mut Fields) {
        if self.cookies.len() > 0 && self.renewed.as_ref().is_none_or(|renewed| renewed.is_current()) {
            if let Some(rules) = rules {
                fields.retain(|field| field.kind != FieldKind::SetCookie || !is_passed_on(field.value, rules));
            }
            keep_from_shared_caches(fields);
            fields.extend_from(&self.cookies, |_| true);
        }
    }
}

/// Makes a response one for its client alone. `Set-Cookie` keeps no cache from storing it (RFC 9111, section 7.3), and one
/// before Gangway would give the cookies of one user to others.
fn keep_from_shared_caches(fields: &mut Fields) {
    for name in ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"] {
        fields.remove_named(name.as_bytes());
    }
    let is_shared =
        |name: &[u8]| [&b"public"[..], b"s-maxage", b"private"].iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut kept = b"private".to_vec();
    for value in fields.all_named(b"cache-control") {
        directives(value, |directive| {
            if !is_shared(directive.name) {
                kept.extend(b", ");
                kept.extend(directive.text);
            }
        });
    }
    fields.set(b"Cache-Control", &kept);
}

/// Removes what an application could take for a statement about the user. `Authorization` is a credential, which an
/// application checks.
pub(super) fn remove_claims(identity: &[IdentityField], fields: &mut Fields) {
    fields.retain(|field| {
        field.kind == FieldKind::Authorization
            || is_ours_to_say(field.kind)
            || !identity.iter().any(|known| known.may_be_read_in(field.name))
    });
}

/// Whether a field frames a message, belongs to one connection, or says what Gangway knows of the request: never anything
/// about a user, whatever names a route takes from its log-in service.
fn is_ours_to_say(kind: FieldKind) -> bool {
    use FieldKind as Kind;
    let is_forwarding =
        matches!(kind, Kind::XForwardedFor | Kind::XForwardedHost | Kind::XForwardedPort | Kind::XForwardedProto);
    is_forwarding || kind.is_for_one_hop() || matches!(kind, Kind::Host | Kind::ContentLength | Kind::Expect)
}

/// Asks whether the request may pass. An error is the reply for the client.
pub(super) async fn ask(forward: &ForwardAuth, question: &Question<'_>) -> Result<Approval, LocalReply> {
    let head = question.head;
    if subrequest::is_of_ours(&head.fields, question.own_mark) {
        return Err(closed(forward, NoAnswer::invalid("it leads back to this route")));
    }
    if climbs(question.admission.path(head)) {
        // The service judges by the path as sent, and an application may read another one.
        return Err(FailureReply::new(Reason::BadRequest).with_detail("`..` in the path of a protected route").into());
    }
    if let Some(max) = forward.rules.as_ref().and_then(|rules| rules.body_max)
        && question.body.len() > max
    {
        return Err(too_large("the body is larger than the log-in service may get"));
    }
    match timeout(ANSWER_TIME, answered(forward, question)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(closed(forward, error)),
        Err(_) => Err(closed(forward, NoAnswer::Unavailable("there was no answer in time".to_owned()))),
    }
}

fn too_large(detail: &str) -> LocalReply {
    FailureReply::new(Reason::NotLoggedIn).with_detail(detail).into()
}

/// Whether a cookie of the service goes to the client.
fn is_passed_on(cookie: &[u8], rules: &ForwardRules) -> bool {
    let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    rules.cookies.iter().any(|known| known.as_bytes() == name)
}

fn closed(forward: &ForwardAuth, error: NoAnswer) -> LocalReply {
    let service = &forward.service;
    match error {
        NoAnswer::Unavailable(detail) => FailureReply::new(Reason::AuthUnavailable)
            .with_detail(format!("the log-in service `{service}` cannot be asked: {detail}"))
            .with_retry_after(RETRY_AFTER)
            .into(),
        NoAnswer::Invalid(detail) => FailureReply::new(Reason::AuthInvalid)
            .with_detail(format!("the log-in service `{service}` gave no valid answer: {detail}"))
            .into(),
    }
}

/// The answer: an approval, or what the client gets instead.
async fn answered(forward: &ForwardAuth, question: &Question<'_>) -> Result<Result<Approval, LocalReply>, NoAnswer> {
    let ready: Vec<&ActiveEndpoint> =
        question.endpoints.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready).collect();
    let first = if ready.is_empty() { 0 } else { fastrand::usize(..ready.len()) };
    let mut error = NoAnswer::Unavailable("it is not running".to_owned());
    for endpoint in ready[first..].iter().chain(&ready[..first]) {
        let _in_flight = endpoint.state.begin();
        let rules = forward.rules.as_deref();
        let subrequest = Subrequest {
            connector: question.connector,
            endpoint,
            method: match rules {
                Some(rules) if rules.keeps_method => question.head.method.clone(),
                Some(_) | None => Method::GET,
            },
            target: &forward.target,
            fields: &question_fields(endpoint, forward, question),
            body: question.body_for(rules),
            connect_time: CONNECT_TIME,
        };
        match subrequest.send().await {
            Ok((stream, head)) => return judged(stream, head, forward, question).await,
            Err(SubrequestError::NotReached(trouble)) => error = NoAnswer::Unavailable(trouble.to_string()),
            Err(SubrequestError::Failed(trouble)) => return Err(trouble.into()),
            Err(SubrequestError::TooManyInterim) => return Err(NoAnswer::invalid("too many interim answers")),
        }
    }
    Err(error)
}

/// The fields of the question: the client's, without what frames its body, belongs to its connection, or asks for
/// something of the application; and what Gangway says about the request.
fn question_fields(endpoint: &ActiveEndpoint, forward: &ForwardAuth, question: &Question<'_>) -> Fields {
    let Question { head, admission, connection, public_https_port, .. } = *question;
    let mut fields = Fields::default();
    let rules = forward.rules.as_deref();
    // Products know applications by their hosts. A service in the world outside is known by its own name.
    match &endpoint.key.address {
        _ if rules.is_some() => fields.push_known(FieldKind::Host, b"Host", &[authority(&forward.service).as_bytes()]),
        Address::Name(..) => fields.push_known(FieldKind::Host, b"Host", &[endpoint.host.as_bytes()]),
        Address::Ip(..) => fields.extend_from(&head.fields, |field| field.kind == FieldKind::Host),
    }
    fields.extend_from(&head.fields, |field| {
        let is_of_request = matches!(field.kind, FieldKind::Host | FieldKind::Expect | FieldKind::ContentLength)
            || is_about_content(field.name) && !rules.is_some_and(|rules| is_for_traefiks(field.name, rules));
        let is_wanted = rules
            .and_then(|rules| rules.request_fields.as_ref())
            .is_none_or(|wanted| wanted.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(field.name)));
        let is_understood = field.kind != FieldKind::Authorization || takes_credentials(forward.product, field.value);
        let is_loop_field = field.name.eq_ignore_ascii_case(LOOP_FIELD);
        is_wanted && !is_of_request && is_understood && !is_loop_field && forwarding::is_for_endpoint(field.kind)
    });
    oidc_cookies::hide(&mut fields);
    remove_claims(&forward.identity, &mut fields);
    let prefix = &*question.told.removed_prefix;
    let facts =
        ForwardingFacts { connection, origin: admission.origin, port: admission.port, public_https_port, prefix };
    forwarding::tell(&facts, &head.fields, &mut fields);
    let (method, target) = (head.method.as_str().as_bytes(), question.told.text.as_bytes());
    fields.push_known(FieldKind::Spoofable, b"X-Forwarded-Method", &[method]);
    fields.push_known(FieldKind::Spoofable, b"X-Forwarded-Uri", &[target]);
    if rules.is_none() && forward.is_asked_elsewhere() {
        let scheme = admission.origin.scheme().text().as_bytes();
        let host = fields.get(FieldKind::XForwardedHost).unwrap_or_default().to_vec();
        fields.push_known(FieldKind::Spoofable, b"X-Original-Method", &[method]);
        fields.push_known(FieldKind::Spoofable, b"X-Original-URL", &[scheme, b"://", &host, target]);
    }
    (question.change_fields)(&mut fields);
    subrequest::mark(&head.fields, question.own_mark, &mut fields);
    let body = question.body_for(rules);
    if !body.is_empty() {
        let len = Decimal::of(body.len() as u64);
        fields.push_known(FieldKind::ContentLength, b"Content-Length", &[len.bytes()]);
    }
    fields
}

/// The host and the port of a service's URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Whether Traefik sends a field about the content to a service. A condition or a range would make an answer of another
/// request of it.
fn is_for_traefiks(name: &[u8], rules: &ForwardRules) -> bool {
    let is_of_body = name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"content-"));
    is_of_body && (rules.body_max.is_some() || name.eq_ignore_ascii_case(b"content-type"))
}

/// Whether a field says something about the content that is sent, or about the one that is wanted of the application: a
/// service would answer about its own.
fn is_about_content(name: &[u8]) -> bool {
    let begins = |start: &[u8]| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    begins(b"if-") || begins(b"content-") || name.eq_ignore_ascii_case(b"range")
}

/// Whether a service understands these credentials. Authelia refuses those of schemes that it does not know, such as the
/// ones of media players, also from users who are logged in.
fn takes_credentials(product: Option<AuthProduct>, value: &[u8]) -> bool {
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    match product {
        Some(AuthProduct::Authelia) => {
            [&b"basic"[..], b"bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        Some(AuthProduct::Authentik | AuthProduct::Tinyauth | AuthProduct::Oauth2Proxy) | None => true,
    }
}

/// What follows from the head of an answer.
async fn judged(
    mut stream: UpstreamStream,
    mut head: ResponseHead,
    forward: &ForwardAuth,
    question: &Question<'_>,
) -> Result<Result<Approval, LocalReply>, NoAnswer> {
    let (status, rules) = (head.status, forward.rules.as_deref());
    let answer_max = rules.and_then(|rules| rules.answer_max);
    if status.is_success() {
        let approval = approval(&head, forward)?;
        match answer_max {
            Some(max) if subrequest::body_of(&mut stream, max).await?.is_none() => {
                return Ok(Err(too_large(ANSWER_TOO_LARGE)));
            }
            Some(_) => {}
            None => subrequest::skip_what_has_come(&mut stream).await,
        }
        question.connector.release(stream);
        return Ok(Ok(approval));
    }
    if let Some(rules) = rules {
        return Ok(Err(answer_of_traefiks(stream, head, forward, rules, question).await?));
    }
    let is_redirection = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if !is_redirection && !status.is_client_error() {
        return Err(NoAnswer::Invalid(format!("it answers {}, which says neither yes nor no", status.as_u16())));
    }
    let locations = || head.fields.all_named(b"location");
    let is_place = |value: &[u8]| !value.is_empty() && !value.contains(&b' ') && !value.contains(&b'\t');
    if is_redirection && (locations().count() != 1 || !locations().all(is_place)) {
        return Err(NoAnswer::invalid("it redirects without saying where to"));
    }
    if status == StatusCode::UNAUTHORIZED
        && forward.product == Some(AuthProduct::Oauth2Proxy)
        && is_page_view(question.head)
    {
        let mut reply = AuthReply::redirect(&sign_in(&question.head.target));
        reply.fields.extend_from(&head.fields, |field| field.kind == FieldKind::SetCookie);
        return Ok(Err(reply.into()));
    }
    let body = subrequest::body_of(&mut stream, BODY_MAX).await?;
    let body = body.ok_or_else(|| NoAnswer::invalid("its answer is too large"))?;
    question.connector.release(stream);
    let mut fields = std::mem::take(&mut head.fields);
    fields.retain(|field| !matches!(field.kind, FieldKind::ContentLength | FieldKind::ProxyAuthenticate));
    Ok(Err(AuthReply::of_service(status, fields, body).into()))
}

const ANSWER_TOO_LARGE: &str = "the answer of the log-in service is larger than it may be";

/// What a client gets of an answer that is no success: all of it.
async fn answer_of_traefiks(
    mut stream: UpstreamStream,
    head: ResponseHead,
    forward: &ForwardAuth,
    rules: &ForwardRules,
    question: &Question<'_>,
) -> Result<LocalReply, NoAnswer> {
    let ResponseHead { status, mut fields, .. } = head;
    if status.is_informational() {
        return Err(NoAnswer::invalid("it switches to another protocol"));
    }
    let max = rules.answer_max.unwrap_or(BODY_MAX).min(BODY_MAX);
    let Some(body) = subrequest::body_of(&mut stream, max).await? else {
        return match rules.answer_max {
            Some(_) => Ok(too_large(ANSWER_TOO_LARGE)),
            None => Err(NoAnswer::invalid("its answer is too large")),
        };
    };
    question.connector.release(stream);
    fields.retain(|field| !matches!(field.kind, FieldKind::ContentLength | FieldKind::ProxyAuthenticate));
    if !rules.keeps_location {
        let location = fields.all_named(b"location").next().map(|location| resolved(location, forward));
        if let Some(location) = location {
            fields.set(b"Location", &location);
        }
    }
    Ok(AuthReply::of_service(status, fields, body).into())
}

/// A place as the service means it (RFC 3986, section 5.2, without `..`): relative to the URL at which it was asked.
fn resolved(location: &[u8], forward: &ForwardAuth) -> Vec<u8> {
    let has_scheme = location.iter().position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#'));
    if has_scheme.is_some_and(|at| at > 0 && location[at] == b':') {
        return location.to_vec();
    }
    let service = forward.service.trim_end_matches('/').as_bytes();
    let path = forward.target.split('?').next().unwrap_or_default().as_bytes();
    match location {
        [b'/', b'/', ..] => {
            let scheme = service.split(|byte| *byte == b':').next().unwrap_or_default();
            [scheme, b":", location].concat()
        }
        [b'/', ..] => [service, location].concat(),
        [b'?' | b'#', ..] | [] => [service, path, location].concat(),
        _ => {
            let folder = path.iter().rposition(|byte| *byte == b'/').map_or(&b"/"[..], |at| &path[..=at]);
            [service, folder, location].concat()
        }
    }
}

/// Copies what goes to the application and to the client.
fn approval(head: &ResponseHead, forward: &ForwardAuth) -> Result<Approval, NoAnswer> {
    let mut approval = Approval::default();
    let is_identity = |name: &[u8]| forward.identity.iter().any(|known| known.is(name));
    for field in head.fields.iter() {
        let target = if field.kind == FieldKind::SetCookie {
            if forward.rules.as_ref().is_some_and(|rules| !is_passed_on(field.value, rules)) {
                continue;
            }
            &mut approval.cookies
        } else if is_identity(field.name) && !is_ours_to_say(FieldKind::of(field.name)) {
            &mut approval.identity
        } else {
            continue;
        };
        target.push(field.name, field.value);
    }
    if approval.identity.wire_len().max(approval.cookies.wire_len()) > FIELDS_BYTES_MAX {
        return Err(NoAnswer::invalid("its fields are too large"));
    }
    let names = forward.product.map_or(AuthProduct::Authelia.user_fields(), AuthProduct::user_fields);
    let user = match forward.rules.as_ref().and_then(|rules| rules.user_field.as_ref()) {
        Some(name) => head.fields.all_named(name.as_str().as_bytes()).next(),
        None => names.iter().find_map(|name| approval.identity.all_named(name.as_bytes()).next()),
    };
    approval.user = user.filter(|user| !user.is_empty()).map(|user| String::from_utf8_lossy(user).into());
    Ok(approval)
}

/// Whether a person looks at the answer, so that a page to log in at is of use.
pub(super) fn is_page_view(head: &RequestHead) -> bool {
    let accepts = head.fields.get(FieldKind::Accept).unwrap_or_default();
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    let is_by_script = head.fields.all_named(b"sec-fetch-mode").any(|mode| mode != b"navigate");
    is_read && !is_by_script && !head.fields.has(FieldKind::Upgrade) && contains(accepts, "text/html")
}

/// Where oauth2-proxy asks for a log-in, and comes back from: always at the same host.
fn sign_in(target: &str) -> String {
    let mut location = "/oauth2/sign_in?rd=%2F".to_owned();
    for byte in target.trim_start_matches(['/', '\\']).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => location.push(char::from(byte)),
            byte => location.push_str(&format!("%{byte:02X}")),
        }
    }
    location
}

/// Whether a path leads upwards for some reader: as sent, decoded, with backslashes, or with parameters.
fn climbs(path: &str) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.first_chunk::<2>().and_then(|digits| escaped(*digits))).flatten();
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    let mut segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    segments.any(|segment| segment.split(|byte| *byte == b';').next() == Some(b".."))
}

fn escaped(digits: [u8; 2]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

fn contains(value: &[u8], part: &str) -> bool {
    memchr::memmem::find(value, part.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_from_a_log_in_stays_at_the_host() {
        for (target, location) in [
            ("/", "/oauth2/sign_in?rd=%2F"),
            ("/a b?c=d&e", "/oauth2/sign_in?rd=%2Fa%20b%3Fc%3Dd%26e"),
            ("//evil.example/x", "/oauth2/sign_in?rd=%2Fevil.example%2Fx"),
            ("/\\evil.example", "/oauth2/sign_in?rd=%2Fevil.example"),
            ("/\r\nSet-Cookie: a", "/oauth2/sign_in?rd=%2F%0D%0ASet-Cookie%3A%20a"),
            ("*", "/oauth2/sign_in?rd=%2F%2A"),
        ] {
            assert_eq!(sign_in(target), location, "{target}");
        }
    }

    #[test]
    fn a_place_is_where_the_service_means_it() {
        let forward = ForwardAuth {
            service: "https://auth:9091".into(),
            product: None,
            target: "/verify/at?x=/1".into(),
            identity: Box::default(),
            rules: None,
        };
        for (location, place) in [
            ("https://b.test/x", "https://b.test/x"),
            ("app:x", "app:x"),
            ("//b.test/x", "https://b.test/x"),
            ("/x:y", "https://auth:9091/x:y"),
            ("x", "https://auth:9091/verify/x"),
            ("x/y:z", "https://auth:9091/verify/x/y:z"),
            ("?a", "https://auth:9091/verify/at?a"),
            ("", "https://auth:9091/verify/at"),
        ] {
            assert_eq!(String::from_utf8_lossy(&resolved(location.as_bytes(), &forward)), place, "{location}");
        }
        assert_eq!((authority("http://ann@auth:1/x"), authority("auth")), ("auth:1", "auth"));
    }

    #[test]
    fn an_answer_with_cookies_of_a_log_in_is_for_its_client_alone() {
        for (values, kept) in [
            (&[][..], "private"),
            (&["public, max-age=60", "S-Maxage=7,no-transform"], "private, max-age=60, no-transform"),
            (&["no-cache=\"a, public\" , PRIVATE=\"x, y\""], "private, no-cache=\"a, public\""),
            (&["max-age=1, x=\"public"], "private, max-age=1"),
        ] {
            let mut fields = Fields::default();
            for value in values {
                fields.push(b"cache-control", value.as_bytes());
            }
            fields.push(b"CDN-Cache-Control", b"max-age=60");
            keep_from_shared_caches(&mut fields);
            let left: Vec<_> = fields.all_named(b"cache-control").map(String::from_utf8_lossy).collect();
            assert_eq!(left, [kept]);
            assert!(fields.all_named(b"cdn-cache-control").next().is_none());
        }
    }

    #[test]
    fn a_path_that_leads_upwards_for_somebody_is_known() {
        for path in [
            "/..",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/..%2fb",
            "/a%2f..",
            "/a/..\\b",
            "/a/..;x/b",
            "/a%5c..%5cb",
        ] {
            assert!(climbs(path), "{path}");
        }
        for path in ["/", "/a/b", "/...", "/a..b", "/..a", "/a/.", "/%", "/%2", "/a%2Fb", "/%zz..", "/a;..", "*"] {
            assert!(!climbs(path), "{path}");
        }
    }

    #[test]
    fn only_known_schemes_reach_authelia() {
        let takes = |product, value: &str| takes_credentials(product, value.as_bytes());
        for (value, by_authelia) in
            [("Basic YTpi", true), ("bearer x", true), ("MediaBrowser Token=\"x\"", false), ("", false)]
        {
            assert_eq!(takes(Some(AuthProduct::Authelia), value), by_authelia, "{value}");
            assert!(takes(Some(AuthProduct::Tinyauth), value) && takes(None, value));
        }
    }

    #[test]
    fn a_page_is_for_people() {
        let view = |method, fields: &[(&str, &str)]| is_page_view(&RequestHead::of_test(method, "/", fields));
        let html = ("accept", "text/html,*/*;q=0.8");
        assert!(view("GET", &[html]) && view("HEAD", &[html]) && view("GET", &[html, ("sec-fetch-mode", "navigate")]));
        assert!(!view("POST", &[html]) && !view("GET", &[]) && !view("GET", &[("accept", "application/json")]));
        assert!(!view("GET", &[html, ("sec-fetch-mode", "cors")]) && !view("GET", &[html, ("upgrade", "websocket")]));
    }
}
