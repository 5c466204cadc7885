//! Lets a request in, or says why not.
//!
//! A request passes the gate before each time that an endpoint gets it, before it waits for one, and before a redirection
//! of its route. What it has passed counts until the protection of its route changes.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gangway_model::{Authentication, LoginMethod, Middleware, RateLimit, Route};
use gangway_publish::Reader;

use crate::access::client_key::LimitedClient;
use crate::access::concurrency::{ConcurrencyCounts, ConcurrencyPermit};
use crate::access::credentials::Credentials;
use crate::access::login::{LoginError, Logins};
use crate::access::rate_limiter::{Rate, RateExceeded, RateLimiter};
use crate::access::user_lists::UserLists;
use crate::address_key::AddressKey;
use crate::message::request_head::RequestHead;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;

/// The state of all checks. It outlives every table, so neither a change of another label nor a recreated container lets
/// a client begin anew.
#[derive(Debug)]
pub(crate) struct AccessControl {
    /// Made for the first request that needs it: it has a fixed size.
    limiter: OnceLock<RateLimiter>,
    requests: Arc<ConcurrencyCounts>,
    logins: Logins,
}

/// What a request has passed, and what it holds until its end.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// The route whose gate it has passed.
    route: Option<Arc<Route>>,
    permits: Vec<ConcurrencyPermit>,
    login: Login,
}

/// How a request got past a log-in.
#[derive(Debug, Default)]
enum Login {
    /// The route asks for none.
    #[default]
    None,
    /// Its path needs none. Credentials that are for us must not reach the application either.
    Skipped { is_ours: bool },
    /// By name and password.
    User(Box<str>),
}

impl Passage {
    /// Whether the request has passed all that the route demands.
    fn is_for(&self, route: &Arc<Route>) -> bool {
        self.route.as_ref().is_some_and(|passed| {
            // The counts of clients are those of a route.
            Arc::ptr_eq(passed, route) || passed.id == route.id && guards(passed).eq(guards(route))
        })
    }

    /// Whether `Authorization` holds credentials that the gate has checked.
    pub(crate) fn has_checked_credentials(&self) -> bool {
        match &self.login {
            Login::None | Login::Skipped { is_ours: false } => false,
            Login::Skipped { is_ours: true } | Login::User(_) => true,
        }
    }

    fn user(&self) -> Option<&str> {
        match &self.login {
            Login::User(user) => Some(user),
            Login::None | Login::Skipped { .. } => None,
        }
    }
}

/// A middleware that acts at the gate: it needs a state, or takes time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Guard<'m> {
    Rate(&'m RateLimit),
    Concurrency(NonZeroU32),
    Login(&'m Authentication),
}

impl<'m> Guard<'m> {
    fn of(middleware: &'m Middleware) -> Option<Self> {
        match middleware {
            Middleware::RateLimit(limit) => Some(Self::Rate(limit)),
            Middleware::ConcurrencyLimit(max) => Some(Self::Concurrency(*max)),
            Middleware::Authentication(authentication) => Some(Self::Login(authentication)),
            Middleware::AddressFilter(_)
            | Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::Redirect { .. }
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_)
            | Middleware::Compression(_) => None,
        }
    }
}

fn guards(route: &Route) -> impl Iterator<Item = Guard<'_>> {
    route.middlewares.iter().filter_map(Guard::of)
}

/// Whether requests have to pass the gate of a route.
pub(crate) fn is_guarded(route: &Route) -> bool {
    guards(route).next().is_some()
}

/// A request at the gate of its route.
pub(crate) struct AtGate<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) client: IpAddr,
    /// The path in the form in which paths are compared.
    pub(crate) path: &'a str,
    pub(crate) route: &'a Arc<Route>,
}

impl AccessControl {
    pub(crate) fn new(lists: Reader<UserLists>) -> Self {
        Self { limiter: OnceLock::new(), requests: Arc::new(ConcurrencyCounts::new()), logins: Logins::new(lists) }
    }

    fn limiter(&self) -> &RateLimiter {
        self.limiter.get_or_init(RateLimiter::new)
    }

    /// Lets a request in, or says why not. Once let in, it is let in again until the protection of its route changes.
    pub(crate) async fn pass(&self, request: AtGate<'_>, passage: &mut Passage) -> Result<(), LocalReply> {
        if passage.is_for(request.route) {
            return Ok(());
        }
        *passage = Passage::default();
        for guard in guards(request.route) {
            match guard {
                Guard::Rate(limit) => self.limit_rate(limit, &request, passage)?,
                Guard::Concurrency(max) => {
                    let client = (&*request.route.id, AddressKey::of(request.client));
                    let permit = self.requests.begin(&client, max);
                    passage.permits.push(permit.ok_or_else(too_many_at_once)?);
                }
                Guard::Login(authentication) => passage.login = self.log_in(authentication, &request).await?,
            }
        }
        passage.route = Some(Arc::clone(request.route));
        Ok(())
    }

    fn limit_rate(&self, limit: &RateLimit, request: &AtGate<'_>, passage: &Passage) -> Result<(), LocalReply> {
        let (route, fields) = (&*request.route.id, &request.head.fields);
        let client = LimitedClient::of(route, &limit.key, request.client, fields, passage.user());
        self.limiter().take(&client, Rate::of(limit)).map_err(|exceeded| rate_exceeded(limit, exceeded))
    }

    async fn log_in(&self, authentication: &Authentication, request: &AtGate<'_>) -> Result<Login, LocalReply> {
        let LoginMethod::Basic(basic) = &authentication.method;
        let credentials = Credentials::of(&request.head.fields);
        if authentication.is_skipped(request.path) {
            let is_ours = credentials.is_some_and(|credentials| self.logins.is_known(basic, &credentials));
            return Ok(Login::Skipped { is_ours });
        }
        let client = AddressKey::of(request.client);
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
                let detail = format!("the list of users `auth/{list}` on the volume is missing or damaged");
                Err(FailureReply::new(Reason::RouteClosed).with_detail(detail).into())
            }
        }
    }
}

fn unauthorized(realm: &str, detail: &str) -> LocalReply {
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
