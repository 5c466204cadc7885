//! Log-ins at OpenID providers: the redirections, cookies and pages around what `gangway-oidc` decides.
//!
//! A request is let in by a session cookie that can be opened, and where the route says so by an access token. Any other
//! client is sent to the provider if a person looks at the answer, and gets 401 otherwise.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use gangway_model::{BearerAudience, IDENTITY_OF_ALL, IdentityField, OIDC_PATH, OidcAuth, OidcUser, TlsMode};
use gangway_oidc::{
    Callback, CookieKeys, EndedSessions, FinishedLogin, LoginError, LoginStart, Provider, Providers, RenewalError,
    Session, SessionEvent, SessionId, StateId, UnixSeconds, User,
};
use gangway_publish::Reader;
use http::{Method, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::access::forward::{Approval, Renewed, is_page_view, remove_claims};
use crate::access::oidc_cookies::{CookieSite, sessions, values};
use crate::access::oidc_renewals::{Current, Renewals};
use crate::access::used_ids::UsedIds;
use crate::grammar::is_value;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::reply::auth_reply::AuthReply;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::request::client_origin::ClientScheme;

/// Where providers send browsers back to.
const CALLBACK: &str = "/.gangway/oidc/callback";

/// Where users log out, and where they end up then.
const LOGOUT: &str = "/.gangway/oidc/logout";
const LOGGED_OUT: &str = "/.gangway/oidc/logged-out";

/// Where a provider says that a user is logged out there (OpenID Connect Back-Channel Logout 1.0).
const BACK_CHANNEL_LOGOUT: &str = "/.gangway/oidc/back-channel-logout";

const LOGGED_OUT_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Logged out</title>\
                               <p>You are logged out.</p></html>\n";

/// The clocks of instances that share a volume may differ by this much, so a state is remembered for longer than it counts.
const STATE_KEPT: u64 = 900;

/// How long a provider waits until the register holds what it has said.
const REGISTERED_WITHIN: Duration = Duration::from_secs(5);

/// What log-ins share.
#[derive(Debug)]
pub(super) struct OidcLogins {
    providers: Reader<Providers>,
    /// Log-ins that were finished: their answers must not count twice.
    finished: UsedIds<StateId>,
    /// Sessions whose users have logged out here: a copy of the cookie must not count any more.
    ended: UsedIds<SessionId>,
    /// Sessions that were ended anywhere. Follows the register on the volume.
    registered_ends: Reader<EndedSessions>,
    /// Logout tokens that were carried out: they must not count twice.
    logout_tokens: UsedIds<String>,
    renewals: Renewals,
    events: mpsc::Sender<SessionEvent>,
}

/// A request at a route that asks for such a log-in.
pub(super) struct Visit<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) admission: &'a Admission,
    /// The body, where [`is_form`] says that it is read.
    pub(super) form: &'a [u8],
    /// How the route is served.
    pub(super) tls: TlsMode,
}

impl Visit<'_> {
    /// Whether Gangway itself answers it.
    pub(super) fn is_ours(&self) -> bool {
        path(self.head, self.admission)
            .strip_prefix(OIDC_PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn host(&self) -> &str {
        self.admission.host(self.head)
    }

    fn scheme(&self) -> ClientScheme {
        self.admission.origin.scheme()
    }

    /// Scheme, host and port as the browser has them.
    fn origin(&self) -> String {
        let scheme = self.scheme();
        let usual = match scheme {
            ClientScheme::Http => 80,
            ClientScheme::Https => 443,
        };
        match self.admission.port.filter(|port| *port != usual) {
            Some(port) => format!("{}://{}:{port}", scheme.text(), self.host()),
            None => format!("{}://{}", scheme.text(), self.host()),
        }
    }

    /// The site of cookies that are for this host alone.
    fn own_site(&self) -> CookieSite<'static> {
        CookieSite { scheme: self.scheme(), domain: None }
    }

    fn session_site<'p>(&self, provider: &'p Provider) -> CookieSite<'p> {
        CookieSite { scheme: self.scheme(), domain: provider.settings().cookie_domain.as_deref() }
    }

    /// Plain HTTP shows the session to everybody on the way. That is for the owner to choose, by a route that is served
    /// without TLS.
    fn check_secure(&self) -> Result<(), LocalReply> {
        match (self.scheme(), self.tls) {
            (ClientScheme::Https, _) | (ClientScheme::Http, TlsMode::Off) => Ok(()),
            (ClientScheme::Http, TlsMode::Auto | TlsMode::Internal) => {
                let detail = "nobody logs in over plain HTTP; use https, or set `tls` to `off`";
                Err(FailureReply::new(Reason::NoCertificate).with_detail(detail).into())
            }
        }
    }
}

/// A session that was renewed for a request, whose cookie its answer is to set.
#[derive(Debug)]
struct RenewedSession {
    logins: Arc<OidcLogins>,
    provider: Arc<Provider>,
    session: Session,
}

impl Renewed for RenewedSession {
    /// Meanwhile its user may have logged out or in again, or the session may have been renewed once more.
    fn is_current(&self) -> bool {
        !self.logins.has_ended(&self.provider, &self.session) && !self.logins.renewals.has_newer(&self.session)
    }
}

/// What let a user in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LoggedInBy {
    /// The cookie of a log-in.
    Cookie,
    /// An access token in `Authorization`.
    Token,
}

/// What became of the wish to end a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SessionEnding {
    Now,
    /// It had ended.
    Before,
    /// Neither this instance nor the register has room to remember it, so its cookie counts still.
    Failed,
}

/// What a request needs of the published providers. Taken out at once: nothing published is held while a provider is asked.
struct Ready {
    provider: Arc<Provider>,
    keys: Arc<CookieKeys>,
    now: UnixSeconds,
}

impl OidcLogins {
    pub(super) fn new(
        providers: Reader<Providers>,
        registered_ends: Reader<EndedSessions>,
        events: mpsc::Sender<SessionEvent>,
    ) -> Self {
        let (finished, ended, logout_tokens) = (UsedIds::default(), UsedIds::default(), UsedIds::default());
        Self { providers, finished, ended, registered_ends, logout_tokens, renewals: Renewals::default(), events }
    }

    fn has_ended(&self, provider: &Provider, session: &Session) -> bool {
        self.ended.has(session.id()) || self.registered_ends.load().has(&provider.settings().name, session)
    }

    /// Ends a session here, and at all instances once the register has it.
    fn end(&self, provider: &Provider, host: &str, session: &Session, now: UnixSeconds) -> SessionEnding {
        let is_new = self.ended.insert(session.id(), session.ends(), now);
        let is_kept = self.ended.has(session.id());
        if is_kept && !is_new {
            return SessionEnding::Before;
        }
        // Where there is no room for it here, the register must know it all the more.
        let ended = provider.registered(provider.scope(host).unwrap_or(host), session);
        match self.tell(SessionEvent::Ended(ended)) || is_kept {
            true => SessionEnding::Now,
            false => SessionEnding::Failed,
        }
    }

    /// Tells the register, which must keep nobody from logging in or out. False if it does not listen.
    fn tell(&self, event: SessionEvent) -> bool {
        let is_told = self.events.try_send(event).is_ok();
        if !is_told {
            tracing::warn!("the register of log-ins is too slow; one is not in it");
        }
        is_told
    }

    fn ready(&self, provider: &str) -> Result<Ready, LocalReply> {
        let providers = self.providers.load();
        let Some(provider) = providers.get(provider) else {
            return Err(closed(&format!("there is no OpenID provider `{provider}` that can be used")));
        };
        if providers.keys().is_empty() {
            return Err(closed("there is no key for the cookies of log-ins"));
        }
        let now = gangway_oidc::now().ok_or_else(|| closed("the clock is not set"))?;
        Ok(Ready { provider: Arc::clone(provider), keys: Arc::clone(providers.keys()), now })
    }

    /// Lets a user in who has logged in, or who shows an access token where these count. An error is the reply for the client.
    pub(super) async fn log_in(
        self: &Arc<Self>,
        oidc: &OidcAuth,
        visit: &Visit<'_>,
    ) -> Result<(LoggedInBy, Approval), LocalReply> {
        visit.check_secure()?;
        let ready = self.ready(&oidc.provider)?;
        let Ready { provider, now, .. } = &ready;
        if provider.scope(visit.host()).is_none() {
            return Err(closed("the host is not below the `cookie-domain` of the OpenID provider"));
        }
        if let Some(approval) = self.by_cookie(oidc, &ready, visit).await? {
            return Ok((LoggedInBy::Cookie, approval));
        }
        if let Some(audience) = &oidc.bearer
            && let Some(token) = bearer_token(&visit.head.fields)
        {
            let audience = match audience {
                BearerAudience::Client => None,
                BearerAudience::Named(audience) => Some(&**audience),
            };
            let user = provider.access_token(token, audience, *now).await.map_err(|error| match error {
                LoginError::Denied(why) => {
                    let challenge = format!("Bearer realm=\"{}\", error=\"invalid_token\"", oidc.provider);
                    let reply = FailureReply::new(Reason::NotLoggedIn).with_detail(why);
                    reply.with_field("www-authenticate", challenge).into()
                }
                error => failed(&error, &oidc.provider, None),
            })?;
            return Ok((LoggedInBy::Token, admitted(oidc, &user)?));
        }
        Err(self.ask_to_log_in(&ready, visit).await)
    }

    /// Lets a user in by a session, if the client has one that counts.
    async fn by_cookie(
        self: &Arc<Self>,
        oidc: &OidcAuth,
        Ready { provider, keys, now }: &Ready,
        visit: &Visit<'_>,
    ) -> Result<Option<Approval>, LocalReply> {
        let (site, fields) = (visit.session_site(provider), &visit.head.fields);
        let name = site.session_name(&oidc.provider);
        let Some(session) = sessions(fields, &name)
            .filter_map(|sealed| provider.session(keys, visit.host(), &sealed, *now))
            .find(|session| !self.has_ended(provider, session))
        else {
            return Ok(None);
        };
        let session = match self.renewals.current(provider, session.clone(), *now).await {
            // It may have been ended meanwhile.
            Ok(_) if self.has_ended(provider, &session) => return Ok(None),
            Ok(Current::Same(session)) => return admitted(oidc, session.user()).map(Some).map_err(LocalReply::from),
            Ok(Current::Newer(session)) => session,
            Ok(Current::NoRoom) => {
                let detail = "so many sessions were renewed of late that this one has to wait";
                return Err(FailureReply::new(Reason::Overloaded)
                    .with_detail(detail)
                    .with_retry_after(RETRY_AFTER)
                    .into());
            }
            Err(RenewalError::Ended(why)) => {
                // Others may have waited for the same answer.
                if self.end(provider, visit.host(), &session, *now) != SessionEnding::Before {
                    tracing::info!(provider = &*oidc.provider, %why, "a session was not renewed and has ended");
                }
                return Ok(None);
            }
            Err(RenewalError::Failed(error)) => return Err(failed(&error, &oidc.provider, None)),
        };
        let sealed =
            provider.sealed(keys, visit.host(), &session).map_err(|error| failed(&error, &oidc.provider, None))?;
        let cookies = site.set_session(fields, &name, &sealed, session.ends().saturating_sub(*now));
        match admitted(oidc, session.user()) {
            Ok(approval) => {
                let mut fields = Fields::default();
                cookies.iter().for_each(|cookie| push_cookie(&mut fields, cookie));
                let renewed =
                    Box::new(RenewedSession { logins: Arc::clone(self), provider: Arc::clone(provider), session });
                Ok(Some(approval.with_cookies(fields, renewed)))
            }
            // Its old cookie may be of no use any more, so the client needs the new one also where it is not let in.
            Err(refused) => {
                Err(cookies.into_iter().fold(refused, |reply, cookie| reply.with_field("set-cookie", cookie)).into())
            }
        }
    }

    async fn ask_to_log_in(&self, Ready { provider, keys, now }: &Ready, visit: &Visit<'_>) -> LocalReply {
        let is_by_script = visit.head.fields.all_named(b"x-requested-with").next().is_some();
        if is_by_script || !is_page_view(visit.head) {
            let challenge = format!("Bearer realm=\"{}\"", provider.settings().name);
            return FailureReply::new(Reason::NotLoggedIn).with_field("www-authenticate", challenge).into();
        }
        let begun = provider.begin(keys, (&visit.origin(), CALLBACK), &visit.head.target, *now).await;
        let LoginStart { location, state, sealed, lifetime } = match begun {
            Ok(start) => start,
            Err(error) => return failed(&error, &provider.settings().name, None),
        };
        let site = visit.own_site();
        let mut reply = AuthReply::redirect(&location);
        for surplus in site.surplus_states(&visit.head.fields) {
            push_cookie(&mut reply.fields, &site.set(&surplus, "", 0));
        }
        push_cookie(&mut reply.fields, &site.set(&site.state_name(state.as_str()), &sealed, lifetime.as_secs()));
        reply.into()
    }

    /// Answers a request for a path of our own.
    pub(super) async fn own_page(&self, oidc: &OidcAuth, visit: &Visit<'_>) -> LocalReply {
        if let Err(refused) = visit.check_secure() {
            return refused;
        }
        let is_get = visit.head.method == Method::GET;
        match path(visit.head, visit.admission) {
            BACK_CHANNEL_LOGOUT if visit.head.method == Method::POST => self.end_by_provider(oidc, visit).await,
            CALLBACK if is_get => self.finish(visit).await,
            LOGOUT if is_get || visit.head.method == Method::POST => self.log_out(oidc, visit).await,
            LOGGED_OUT if is_get => logged_out_page(Fields::default()),
            BACK_CHANNEL_LOGOUT | CALLBACK | LOGOUT | LOGGED_OUT => FailureReply::new(Reason::MethodNotAllowed).into(),
            _ => FailureReply::new(Reason::NoRoute).into(),
        }
    }

    /// Finishes a log-in. Which provider it was begun at says the state, which only we can have written.
    async fn finish(&self, visit: &Visit<'_>) -> LocalReply {
        let callback = match Callback::parse(visit.admission.query(visit.head)) {
            Ok(callback) => callback,
            Err(error) => return failed(&error, "", None),
        };
        let (site, origin) = (visit.own_site(), visit.origin());
        let name = site.state_name(callback.state().as_str());
        let gone = site.set(&name, "", 0);
        let Some(sealed) = values(&visit.head.fields, &name).next() else {
            let error = LoginError::NotBegun("the browser has no cookie of this log-in");
            return failed(&error, "", None);
        };
        let (keys, now) = (Arc::clone(self.providers.load().keys()), gangway_oidc::now());
        let Some(now) = now.filter(|_| !keys.is_empty()) else {
            return closed("there is no key for cookies, or no time");
        };
        let provider = match Provider::of_state(&keys, &origin, &callback, sealed, now) {
            Ok(provider) => provider,
            Err(error) => return failed(&error, "", Some(gone)),
        };
        let Ready { provider, keys, now } = match self.ready(&provider) {
            Ok(ready) => ready,
            Err(closed) => return closed,
        };
        let known = &*provider.settings().name;
        let finished_before = || LoginError::NotBegun("this log-in was finished before");
        // A provider may end the session of a user whose code it sees twice, so it is not asked again.
        if self.finished.has(callback.state()) {
            return failed(&finished_before(), known, Some(gone));
        }
        let finished = provider.finish(&keys, (&origin, CALLBACK), &callback, sealed, (visit.host(), now)).await;
        let FinishedLogin { begun, sealed, lifetime, return_to } = match finished {
            Ok(finished) => finished,
            Err(error) => return failed(&error, known, Some(gone)),
        };
        // Made-up answers of a provider must not fill what is remembered, so only a log-in that went well is.
        if !self.finished.insert(callback.state(), now + STATE_KEPT, now) {
            return failed(&finished_before(), known, Some(gone));
        }
        let of_session = visit.session_site(&provider);
        let name = of_session.session_name(known);
        // The browser has one session. Answers that are on their way to it must not bring back the one before.
        for sealed in sessions(&visit.head.fields, &name) {
            if let Some(before) = provider.session(&keys, visit.host(), &sealed, now)
                && !self.has_ended(&provider, &before)
            {
                self.end(&provider, visit.host(), &before, now);
            }
        }
        self.tell(SessionEvent::Begun(begun));
        // With the origin in front no path can be taken for another host.
        let mut reply = AuthReply::redirect(&format!("{origin}{return_to}"));
        reply.status = StatusCode::SEE_OTHER;
        for cookie in of_session.set_session(&visit.head.fields, &name, &sealed, lifetime.as_secs()) {
            push_cookie(&mut reply.fields, &cookie);
        }
        push_cookie(&mut reply.fields, &gone);
        reply.into()
    }

    /// Ends the session here and, where the provider has a place for it, there.
    async fn log_out(&self, oidc: &OidcAuth, visit: &Visit<'_>) -> LocalReply {
        if visit.head.fields.all_named(b"sec-fetch-site").any(|site| site == b"cross-site") {
            return FailureReply::new(Reason::Forbidden).with_detail("another site asks for the log-out").into();
        }
        let Ready { provider, keys, now } = match self.ready(&oidc.provider) {
            Ok(ready) => ready,
            Err(closed) => return closed,
        };
        let site = visit.session_site(&provider);
        let name = site.session_name(&oidc.provider);
        let mut was_logged_in = false;
        for sealed in sessions(&visit.head.fields, &name) {
            let session = provider.session(&keys, visit.host(), &sealed, now);
            if let Some(session) = session.filter(|session| !self.has_ended(&provider, session)) {
                was_logged_in = true;
                if self.end(&provider, visit.host(), &session, now) == SessionEnding::Failed {
                    let detail = "there is no room to remember the log-out; the session counts still";
                    return FailureReply::new(Reason::Overloaded)
                        .with_detail(detail)
                        .with_retry_after(RETRY_AFTER)
                        .into();
                }
            }
        }
        let mut fields = Fields::default();
        for cookie in site.set_session(&visit.head.fields, &name, "", 0) {
            push_cookie(&mut fields, &cookie);
        }
        if !was_logged_in {
            return logged_out_page(fields);
        }
        // Where the provider cannot be asked, the session here has ended all the same.
        match provider.logout_url(&format!("{}{LOGGED_OUT}", visit.origin())).await {
            Ok(Some(url)) => {
                let mut reply = AuthReply::redirect(&url);
                reply.status = StatusCode::SEE_OTHER;
                reply.fields.extend_from(&fields, |_| true);
                reply.into()
            }
            Ok(None) | Err(_) => logged_out_page(fields),
        }
    }

    /// Ends sessions of which the provider says so. Nobody else can: its token is signed.
    async fn end_by_provider(&self, oidc: &OidcAuth, visit: &Visit<'_>) -> LocalReply {
        let Ready { provider, now, .. } = match self.ready(&oidc.provider) {
            Ok(ready) => ready,
            Err(closed) => return closed,
        };
        let token = match provider.logout_token(visit.form, now).await {
            Ok(token) => token,
            Err(error @ (LoginError::Unavailable(_) | LoginError::Busy)) => {
                return failed(&error, &oidc.provider, None);
            }
            Err(error) => return logout_refused(&error.to_string()),
        };
        if self.logout_tokens.has(&token.id) {
            return logout_refused("the logout token was carried out before");
        }
        let (done, is_registered) = oneshot::channel();
        let event = SessionEvent::EndedAtProvider { provider: oidc.provider.clone(), ended: token.ended, done };
        let is_told = self.events.try_send(event).is_ok();
        if !is_told || !matches!(timeout(REGISTERED_WITHIN, is_registered).await, Ok(Ok(true))) {
            let detail = "the log-out cannot be written to the volume";
            return FailureReply::new(Reason::Overloaded).with_detail(detail).with_retry_after(RETRY_AFTER).into();
        }
        self.logout_tokens.insert(&token.id, token.counts_until, now);
        let mut fields = Fields::default();
        fields.push(b"cache-control", b"no-store");
        AuthReply::own(StatusCode::OK, fields, Bytes::new()).into()
    }
}

/// Whether Gangway answers a request by what its body says.
pub(super) fn is_form(head: &RequestHead, admission: &Admission) -> bool {
    head.method == Method::POST && path(head, admission) == BACK_CHANNEL_LOGOUT
}

/// The path in the form in which paths are compared.
fn path<'a>(head: &'a RequestHead, admission: &'a Admission) -> &'a str {
    admission.normal_path(head)
}

/// The reply that Back-Channel Logout asks for (section 2.8).
fn logout_refused(why: &str) -> LocalReply {
    let mut fields = Fields::default();
    fields.push(b"content-type", b"application/json");
    fields.push(b"cache-control", b"no-store");
    let body = serde_json::json!({ "error": "invalid_request", "error_description": why }).to_string();
    AuthReply::own(StatusCode::BAD_REQUEST, fields, body.into()).into()
}

/// Removes what an application could take for a statement about the user.
pub(super) fn remove_identity(fields: &mut Fields) {
    static IDENTITY: LazyLock<[IdentityField; 1]> = LazyLock::new(|| [IdentityField::Begins(IDENTITY_OF_ALL.into())]);
    remove_claims(&*IDENTITY, fields);
}

/// What the application learns of a user, if the route lets the user in.
fn admitted(oidc: &OidcAuth, user: &User) -> Result<Approval, FailureReply> {
    if !oidc.admits(as_model(user)) {
        let detail = format!("`{}` is not among those whom the route lets in", user.known_as());
        return Err(FailureReply::new(Reason::UserNotAdmitted).with_detail(detail));
    }
    Ok(approval(user))
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1). None where there are several such fields.
fn bearer_token(fields: &Fields) -> Option<&str> {
    let mut all = fields.all(FieldKind::Authorization);
    let (value, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

fn as_model(user: &User) -> OidcUser<'_> {
    OidcUser { subject: &user.subject, name: user.name.as_deref(), email: user.email.as_deref(), groups: &user.groups }
}

/// What the application learns of the user.
fn approval(user: &User) -> Approval {
    let mut identity = Fields::default();
    let groups = user.groups.join(",");
    let said = [
        ("Remote-User", Some(user.known_as())),
        ("Remote-Email", user.email.as_deref()),
        ("Remote-Name", user.display_name.as_deref()),
        ("Remote-Groups", Some(&*groups).filter(|groups| !groups.is_empty())),
    ];
    for (name, value) in said {
        if let Some(value) = value.filter(|value| is_value(value.as_bytes())) {
            identity.push(name.as_bytes(), value.as_bytes());
        }
    }
    Approval::of_user(identity, user.known_as())
}

fn push_cookie(fields: &mut Fields, value: &str) {
    fields.push_known(FieldKind::SetCookie, b"set-cookie", &[value.as_bytes()]);
}

fn logged_out_page(mut fields: Fields) -> LocalReply {
    fields.push(b"content-type", b"text/html; charset=utf-8");
    fields.push(b"cache-control", b"no-store");
    AuthReply::own(StatusCode::OK, fields, Bytes::from_static(LOGGED_OUT_PAGE.as_bytes())).into()
}

fn closed(detail: &str) -> LocalReply {
    FailureReply::new(Reason::RouteClosed).with_detail(detail).into()
}

/// The reply for a log-in that went wrong. `gone` removes its cookie.
fn failed(error: &LoginError, provider: &str, gone: Option<String>) -> LocalReply {
    let (reason, pause): (Reason, Option<Duration>) = match error {
        LoginError::Unavailable(_) => (Reason::AuthUnavailable, Some(RETRY_AFTER)),
        LoginError::Invalid(_) => (Reason::AuthInvalid, None),
        LoginError::Denied(_) => (Reason::UserNotAdmitted, None),
        LoginError::NotBegun(_) => (Reason::LoginNotBegun, None),
        LoginError::Busy => (Reason::Overloaded, Some(RETRY_AFTER)),
        LoginError::Closed(_) => (Reason::RouteClosed, None),
    };
    let detail = if provider.is_empty() { error.to_string() } else { format!("OpenID provider `{provider}`: {error}") };
    let mut reply = FailureReply::new(reason).with_detail(detail);
    if let Some(pause) = pause {
        reply = reply.with_retry_after(pause);
    }
    if let Some(gone) = gone {
        reply = reply.with_field("set-cookie", gone);
    }
    reply.into()
}

#[cfg(test)]
mod tests {
    use gangway_publish::channel;

    use super::*;
    use crate::access::oidc_renewals::tests::Renewing;
    use crate::access::used_ids::IDS_MAX;

    #[tokio::test]
    async fn a_renewed_session_is_current_until_it_ends_or_is_renewed_again() {
        let renewing = Renewing::start().await;
        let session = renewing.session().await;
        let ((_providers, providers), (_ends, ends)) =
            (channel(Providers::default()), channel(EndedSessions::default()));
        let logins = Arc::new(OidcLogins::new(providers, ends, mpsc::channel(1).0));
        let renew = async |session: &Session, after| match logins
            .renewals
            .current(&renewing.client, session.clone(), renewing.now + after)
            .await
        {
            Ok(Current::Newer(session)) => {
                let (logins, provider) = (Arc::clone(&logins), Arc::clone(&renewing.client));
                RenewedSession { logins, provider, session }
            }
            other => panic!("{other:?}"),
        };
        let renewed = renew(&session, 80).await;
        assert!(renewed.is_current());
        let again = renew(&renewed.session, 160).await;
        assert!(!renewed.is_current() && again.is_current());
        logins.end(&renewing.client, "a.localhost", &session, renewing.now);
        assert!(!again.is_current());
    }

    #[tokio::test]
    async fn an_end_that_nobody_can_remember_is_none() {
        let renewing = Renewing::start().await;
        let (session, other) = (renewing.session().await, renewing.session().await);
        let ((_providers, providers), (_ends, ends)) =
            (channel(Providers::default()), channel(EndedSessions::default()));
        let (events, mut told) = mpsc::channel(1);
        let logins = OidcLogins::new(providers, ends, events);
        let end = |session: &Session| logins.end(&renewing.client, "a.localhost", session, renewing.now);
        let has_ended = |session: &Session| logins.has_ended(&renewing.client, session);
        assert_eq!((end(&session), end(&session)), (SessionEnding::Now, SessionEnding::Before));
        // The register does not listen, but there is room here.
        assert_eq!((end(&other), has_ended(&other)), (SessionEnding::Now, true));
        let Ok(SessionEvent::Ended(ended)) = told.try_recv() else { panic!("an end") };
        assert_eq!((&ended.id, &*ended.provider, &*ended.scope), (session.id(), "home", "a.localhost"));
        assert!(told.try_recv().is_err(), "each end is told once");
        let third = renewing.session().await;
        for number in 0..IDS_MAX {
            logins.ended.insert(&SessionId::from(number.to_string()), u64::MAX, renewing.now);
        }
        assert_eq!((end(&third), has_ended(&third)), (SessionEnding::Now, false), "the register is told");
        assert_eq!(end(&third), SessionEnding::Failed, "and does not listen any more");
    }
}
