//! Lets a request in, or says why not.
//!
//! A request passes the gate before each time that an endpoint gets it, before it waits for one, and before a redirection
//! of its route. What it has passed counts until the protection of its route changes.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gangway_model::{
    Authentication, BasicAuth, ClientKey, IdentityField, LoginMethod, Middleware, OnDoubt, RateLimit, Route,
};
use http::header::HOST;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::access::appsec::{self, AppsecService, Inspection};
use crate::access::chosen_address::chosen_address;
use crate::access::client_key::LimitedClient;
use crate::access::concurrency::{ConcurrencyCounts, ConcurrencyPermit};
use crate::access::credentials::Credentials;
use crate::access::forward::{self, Approval, Question};
use crate::access::guard::{Guard, Limit, guards};
use crate::access::login::{LoginError, Logins};
use crate::access::login_sources::LoginSources;
use crate::access::oidc::{self, LoggedInBy, OidcLogins, Visit};
use crate::access::rate_limiter::{Rate, RateExceeded, RateLimiter};
use crate::address_key::AddressKey;
use crate::downstream::connection::ClientConnection;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::middleware::changed_target::upstream_target;
use crate::middleware::headers;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::serving_table::ActiveRoute;
use crate::upstream::connector::Connector;
use crate::upstream::subrequest;

/// The state of all checks. It outlives every table, so neither a change of another label nor a recreated container lets
/// a client begin anew.
#[derive(Debug)]
pub(crate) struct AccessControl {
    /// Made for the first request that needs it: it has a fixed size.
    limiter: OnceLock<Arc<RateLimiter>>,
    requests: Arc<ConcurrencyCounts>,
    logins: Logins,
    oidc: Arc<OidcLogins>,
    /// The web application firewall, if there is one.
    appsec: Option<AppsecService>,
    /// Marks our questions to services.
    question_mark: Box<str>,
}

/// Bytes of a form that Gangway itself answers: a logout token has a few hundred. What is longer does not count.
const FORM_LEN_MAX: usize = 16 * 1024;

/// What a request has passed, and what it holds until its end.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// The route whose gate it has passed.
    route: Option<Arc<Route>>,
    /// One for each bound of the requests under way.
    permits: SmallVec<[ConcurrencyPermit; 1]>,
    /// One for each log-in of the route, in their order, as far as the request has come.
    logins: SmallVec<[Login; 1]>,
}

/// How a request got past a log-in.
#[derive(Debug)]
enum Login {
    /// Its path needs none. Credentials that are for us must not reach the application either.
    Skipped { is_ours: bool },
    /// By an access token of a provider.
    Token(Box<Approval>),
    /// By name and password.
    User(Box<str>),
    /// As a service or a provider has said.
    Approved(Box<Approval>),
}

impl Passage {
    /// Begins anew.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Notes that the request has passed the gate of a route. It is let in again until the protection of the route changes.
    pub(crate) fn finish(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
    }

    /// Whether the request has passed all that the route demands.
    pub(crate) fn is_for(&self, route: &Arc<Route>) -> bool {
        self.route.as_ref().is_some_and(|passed| {
            // The counts of clients are those of a route.
            Arc::ptr_eq(passed, route) || passed.id == route.id && guards(passed).eq(guards(route))
        })
    }

    /// Who is logged in. Of several, the one who was asked last.
    pub(crate) fn user(&self) -> Option<&str> {
        self.logins.iter().rev().find_map(Login::user)
    }

    /// Changes the fields for the application as a log-in demands, before which `before` stand in the chain: what a client
    /// must not say or show is removed, and what a log-in service has said of the user is added.
    pub(crate) fn change_upstream_fields(
        &self,
        authentication: &Authentication,
        before: &[Middleware],
        fields: &mut Fields,
    ) {
        let login = self.login(before);
        let is_checked = login.is_some_and(Login::has_checked_credentials);
        match &authentication.method {
            LoginMethod::Basic(basic) => {
                if is_checked && !basic.keep {
                    fields.remove(FieldKind::Authorization);
                }
                if let Some(name) = &basic.user_field {
                    forward::remove_claims(&[IdentityField::Named(name.as_str().into())], fields);
                    if let Some(user) = login.and_then(Login::user) {
                        fields.push(name.as_str().as_bytes(), user.as_bytes());
                    }
                }
            }
            LoginMethod::Forward(forward) => {
                forward::remove_claims(&forward.identity, fields);
                if let Some(approval) = login.and_then(Login::approval) {
                    approval.add_identity(fields);
                }
            }
            LoginMethod::Oidc(oidc) => {
                if is_checked && !oidc.keep {
                    fields.remove(FieldKind::Authorization);
                }
                oidc::remove_identity(fields);
                if let Some(approval) = login.and_then(Login::approval) {
                    approval.add_identity(fields);
                }
            }
        }
    }

    /// Adds the cookies that a log-in service has set for the client. `before` stand before the log-in in the chain.
    pub(crate) fn add_cookies(&self, authentication: &Authentication, before: &[Middleware], fields: &mut Fields) {
        if let Some(approval) = self.login(before).and_then(Login::approval) {
            let rules = authentication.forward().and_then(|forward| forward.rules.as_deref());
            approval.add_cookies(rules, fields);
        }
    }

    /// Changes the fields for a log-in service as these middlewares do, which stand before it in the chain. The service is
    /// asked at its own host.
    fn change_fields_before(&self, before: &[Middleware], fields: &mut Fields) {
        for (place, middleware) in before.iter().enumerate() {
            if let Some(authentication) = middleware.authentication() {
                self.change_upstream_fields(authentication, &before[..place], fields);
            }
            if let Middleware::RequestHeader(name, value) = middleware
                && name.name() != HOST
            {
                headers::apply(name, value.as_ref(), fields);
            }
        }
    }

    /// How the request has passed the log-in before which these stand in the chain; none if it has not come so far.
    fn login(&self, before: &[Middleware]) -> Option<&Login> {
        self.logins.get(before.iter().filter(|middleware| middleware.authentication().is_some()).count())
    }
}

impl Login {
    /// Whether `Authorization` holds credentials that the gate has checked.
    fn has_checked_credentials(&self) -> bool {
        match self {
            Self::Skipped { is_ours: false } | Self::Approved(_) => false,
            Self::Skipped { is_ours: true } | Self::User(_) | Self::Token(_) => true,
        }
    }

    fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user),
            Self::Approved(approval) | Self::Token(approval) => approval.user(),
            Self::Skipped { .. } => None,
        }
    }

    fn approval(&self) -> Option<&Approval> {
        match self {
            Self::Approved(approval) | Self::Token(approval) => Some(approval),
            Self::Skipped { .. } | Self::User(_) => None,
        }
    }
}

impl Guard<'_> {
    /// How much of the body it has to see; none where it decides without.
    pub(crate) fn wanted_body(self, head: &RequestHead, admission: &Admission) -> Option<usize> {
        match self {
            Self::Login(Authentication { method: LoginMethod::Oidc(_), .. }) => {
                oidc::is_form(head, admission).then_some(FORM_LEN_MAX)
            }
            Self::Appsec(_) => Some(appsec::BODY_MAX),
            // One byte more tells of a body that is larger.
            Self::Login(authentication) => {
                let rules = authentication.forward().and_then(|forward| forward.rules.as_ref());
                rules.and_then(|rules| rules.body_max).map(|max| max + 1)
            }
            Self::Limit(..) => None,
        }
    }

    /// Whether it waits for a service, which nobody needs to wait for any more once the client has gone.
    pub(crate) fn asks_service(self) -> bool {
        match self {
            Self::Login(authentication) => matches!(authentication.method, LoginMethod::Forward(_)),
            Self::Appsec(_) => true,
            Self::Limit(..) => false,
        }
    }
}

/// A request at the gate of its route.
pub(crate) struct AtGate<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) admission: &'a Admission,
    /// When it came.
    pub(crate) started: Instant,
    /// The body, as far as it is held: what [`Guard::wanted_body`] asks for, or more.
    pub(crate) body: &'a [u8],
    pub(crate) connection: &'a ClientConnection,
    pub(crate) active: &'a ActiveRoute,
    /// The connections by which services are asked.
    pub(crate) connector: &'a Connector,
    /// The public port of https, if one is set.
    pub(crate) public_https_port: Option<u16>,
}

impl AtGate<'_> {
    fn client(&self) -> IpAddr {
        self.admission.origin.client
    }

    /// Its client, as a limit of the route tells clients apart.
    fn limited<'r>(&'r self, limit: usize, key: &'r ClientKey, user: Option<&'r str>) -> LimitedClient<'r> {
        let (head, admission) = (self.head, self.admission);
        let address = match key {
            ClientKey::AddressBy(choice) => {
                chosen_address(choice, &head.fields, self.connection, admission.origin).address
            }
            ClientKey::Address | ClientKey::Header(_) | ClientKey::User | ClientKey::Host => Some(self.client()),
        };
        let limit = (&*self.active.route.id, limit);
        LimitedClient::of(limit, key, address, (|| admission.host(head), &head.fields), user)
    }
}

impl AccessControl {
    pub(crate) fn new(sources: LoginSources, appsec: Option<AppsecService>) -> Self {
        Self {
            limiter: OnceLock::new(),
            requests: Arc::new(ConcurrencyCounts::new()),
            logins: Logins::new(sources.user_lists),
            oidc: Arc::new(OidcLogins::new(sources.providers, sources.ended_sessions, sources.session_events)),
            appsec,
            question_mark: subrequest::new_mark("auth"),
        }
    }

    /// What our questions to services have in common, and nobody else's.
    pub(crate) fn own_mark(&self) -> &str {
        &self.question_mark
    }

    fn limiter(&self) -> &Arc<RateLimiter> {
        self.limiter.get_or_init(|| Arc::new(RateLimiter::new()))
    }

    /// Lets a request past the gate of a route that has only limits, or says why not.
    pub(crate) fn pass_limits(&self, request: &AtGate<'_>, passage: &mut Passage) -> Result<(), LocalReply> {
        let route = &request.active.route;
        if passage.is_for(route) {
            return Ok(());
        }
        passage.begin();
        for guard in guards(route) {
            match guard {
                Guard::Limit(limit, number) => self.limit(limit, number, request, passage)?,
                Guard::Appsec(_) | Guard::Login(_) => return Err(FailureReply::new(Reason::Internal).into()),
            }
        }
        passage.finish(route);
        Ok(())
    }

    /// Lets a request past one guard, or says why not.
    pub(crate) async fn pass(
        &self,
        guard: Guard<'_>,
        request: AtGate<'_>,
        passage: &mut Passage,
    ) -> Result<(), LocalReply> {
        match guard {
            Guard::Limit(limit, number) => self.limit(limit, number, &request, passage)?,
            Guard::Appsec(on_doubt) => Box::pin(self.inspect(on_doubt, &request)).await?,
            Guard::Login(authentication) => {
                let login = self.log_in(authentication, &request, passage).await?;
                passage.logins.push(login);
            }
        }
        Ok(())
    }

    /// Asks the web application firewall.
    async fn inspect(&self, on_doubt: OnDoubt, request: &AtGate<'_>) -> Result<(), LocalReply> {
        match &self.appsec {
            Some(service) => {
                let AtGate { head, admission, body, connector, .. } = *request;
                service.inspect(on_doubt, Inspection { head, admission, body, connector }).await
            }
            // A table closes such a route.
            None => Err(FailureReply::new(Reason::RouteClosed).into()),
        }
    }

    fn limit(
        &self,
        limit: Limit<'_>,
        number: usize,
        request: &AtGate<'_>,
        passage: &mut Passage,
    ) -> Result<(), LocalReply> {
        match limit {
            Limit::Rate(limit) => {
                let client = request.limited(number, &limit.key, passage.user());
                let taken = self.limiter().take(&client, Rate::of(limit), request.started);
                taken.map_err(|exceeded| rate_exceeded(limit, exceeded))
            }
            Limit::Concurrency(limit) => {
                let client = request.limited(number, &limit.key, None);
                let permit = self.requests.begin(&client, limit.requests);
                passage.permits.push(permit.ok_or_else(too_many_at_once)?);
                Ok(())
            }
        }
    }

    async fn log_in(
        &self,
        authentication: &Authentication,
        request: &AtGate<'_>,
        passage: &Passage,
    ) -> Result<Login, LocalReply> {
        let AtGate { head, connection, admission, .. } = request;
        let is_skipped = authentication
            .skipped_by(&admission.view(head, connection.arrival()), admission.origin.is_certain)
            .is_some();
        match &authentication.method {
            LoginMethod::Basic(basic) => self.log_in_by_password(basic, is_skipped, request).await,
            LoginMethod::Oidc(oidc) => {
                let visit = Visit {
                    head,
                    admission,
                    form: &request.body[..request.body.len().min(FORM_LEN_MAX)],
                    tls: request.active.route.listener.tls,
                };
                // Nothing is spared these paths, and no application gets them.
                if visit.is_ours() {
                    return Err(Box::pin(self.oidc.own_page(oidc, &visit)).await);
                }
                if is_skipped {
                    return Ok(Login::Skipped { is_ours: false });
                }
                match Box::pin(self.oidc.log_in(oidc, &visit)).await? {
                    (LoggedInBy::Cookie, approval) => Ok(Login::Approved(Box::new(approval))),
                    (LoggedInBy::Token, approval) => Ok(Login::Token(Box::new(approval))),
                }
            }
            LoginMethod::Forward(_) if is_skipped => Ok(Login::Skipped { is_ours: false }),
            LoginMethod::Forward(forward) => {
                // Middlewares before it may have changed the target that Traefik's users write their rules for.
                let before = match &forward.rules {
                    Some(_) => before(authentication, &request.active.route.middlewares),
                    None => &[],
                };
                let services = &request.active.auth_services;
                let service = request.active.route.auth_service_of(authentication).and_then(|at| services.get(at));
                let told = upstream_target(before, &head.target, "").map_err(|_| {
                    LocalReply::from(FailureReply::new(Reason::BadRequest).with_detail("`..` hides in the path"))
                })?;
                let question = Question {
                    told: &told,
                    change_fields: &|fields| passage.change_fields_before(before, fields),
                    body: request.body,
                    head: request.head,
                    admission: request.admission,
                    connection: request.connection,
                    public_https_port: request.public_https_port,
                    connector: request.connector,
                    endpoints: service.map_or(&[][..], |service| service),
                    own_mark: &self.question_mark,
                };
                Ok(Login::Approved(Box::new(forward::ask(forward, &question).await?)))
            }
        }
    }

    async fn log_in_by_password(
        &self,
        basic: &BasicAuth,
        is_skipped: bool,
        request: &AtGate<'_>,
    ) -> Result<Login, LocalReply> {
        let credentials = Credentials::of(&request.head.fields);
        if is_skipped {
            let is_ours = credentials.is_some_and(|credentials| self.logins.is_known(basic, &credentials));
            return Ok(Login::Skipped { is_ours });
        }
        let client = AddressKey::of(request.client());
        let outcome = self.logins.log_in(basic, credentials.as_ref(), client, self.limiter()).await;
        match (outcome, credentials) {
            (Ok(()), Some(credentials)) => Ok(Login::User(credentials.user().into())),
            (Ok(()), None) | (Err(LoginError::Missing), _) => Err(unauthorized(&basic.realm, "no name and password")),
            (Err(LoginError::Wrong), _) => Err(unauthorized(&basic.realm, "wrong name or password")),
            (Err(LoginError::Blocked(RateExceeded { retry_after })), _) => {
                let detail = "too many wrong passwords from this address";
                let reply = FailureReply::new(Reason::RateLimited).with_detail(detail);
                Err(reply.with_retry_after(whole_seconds(retry_after)).into())
            }
            (Err(LoginError::Busy), _) => {
                let detail = "too many passwords are being checked";
                Err(FailureReply::new(Reason::Overloaded).with_detail(detail).with_retry_after(RETRY_AFTER).into())
            }
            (Err(LoginError::NoList(list)), _) => {
                let place = if list.starts_with('/') { list.to_string() } else { format!("auth/{list}") };
                let detail = format!("the list of users `{place}` is missing or damaged");
                Err(FailureReply::new(Reason::RouteClosed).with_detail(detail).into())
            }
        }
    }
}

/// The middlewares before a log-in.
fn before<'m>(authentication: &Authentication, middlewares: &'m [Middleware]) -> &'m [Middleware] {
    let is_it = |one: &Middleware| one.authentication().is_some_and(|one| std::ptr::eq(one, authentication));
    let place = middlewares.iter().position(is_it);
    &middlewares[..place.unwrap_or(0)]
}

fn unauthorized(realm: &str, detail: &str) -> LocalReply {
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    FailureReply::new(Reason::Unauthorized).with_detail(detail).with_field("www-authenticate", challenge).into()
}

fn too_many_at_once() -> LocalReply {
    FailureReply::new(Reason::ConcurrencyLimited).with_retry_after(RETRY_AFTER).into()
}

/// The fields are those of draft-ietf-httpapi-ratelimit-headers-10.
fn rate_exceeded(limit: &RateLimit, RateExceeded { retry_after }: RateExceeded) -> LocalReply {
    let pause = whole_seconds(retry_after);
    let window = whole_seconds(limit.period).as_secs();
    FailureReply::new(Reason::RateLimited)
        .with_retry_after(pause)
        .with_field("ratelimit-policy", format!("\"default\";q={};w={window}", limit.requests))
        .with_field("ratelimit", format!("\"default\";r=0;t={}", pause.as_secs()))
        .into()
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use gangway_model::ConcurrencyLimit;

    use super::*;
    use crate::samples::{HOST, OTHER_HOST, route};

    #[test]
    fn what_was_passed_counts_until_the_protection_of_the_route_changes() {
        let protected = |host, max: &[u32]| {
            let limit = |max: &u32| {
                let requests = NonZeroU32::new(*max).expect("some");
                Middleware::ConcurrencyLimit(ConcurrencyLimit::of_address(requests))
            };
            Arc::new(route(host, "/", Vec::new(), max.iter().map(limit).collect()).1)
        };
        let passed = Passage { route: Some(protected(HOST, &[2])), ..Passage::default() };
        assert!(passed.is_for(&protected(HOST, &[2])), "compiled anew");
        assert!(!passed.is_for(&protected(HOST, &[1])), "another bound");
        assert!(!passed.is_for(&protected(HOST, &[2, 2])), "one more");
        assert!(!passed.is_for(&protected(HOST, &[])), "less");
        assert!(!passed.is_for(&protected(OTHER_HOST, &[2])), "the counts are those of a route");
        assert!(!Passage::default().is_for(&protected(HOST, &[2])), "nothing was passed");
    }
}
