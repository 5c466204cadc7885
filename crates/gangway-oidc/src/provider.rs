//! One provider: sends browsers there, and finishes their log-ins.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use gangway_http_client::NoCertificate;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::access_token;
use crate::cached::Cached;
use crate::cookie_keys::CookieKeys;
use crate::discovery::{self, ClientAuthentication, Metadata};
use crate::http::Http;
use crate::id_token::{self, Expected};
use crate::jwks::{self, Keys};
use crate::login_error::{LoginError, RenewalError};
use crate::login_state::{self, Callback, LoginState, StateId, return_path};
use crate::logout_token::{self, LogoutToken};
use crate::session::{Renewal, Session, SessionId};
use crate::session_event::BegunSession;
use crate::session_len::SESSION_LEN_MAX;
use crate::settings::ProviderSettings;
use crate::signed_token::{Signed, TokenError, Verified};
use crate::time::UnixSeconds;
use crate::token_response::{self, TokenRefusal, Tokens};
use crate::user::{Reading, User};

/// How old metadata and keys may be. A new key is looked for at once.
const DOCUMENT_AGE_MAX: Duration = Duration::from_secs(3600);

/// A token with an unknown key makes us look for it, but not more often than this: each log-in could bring such a token.
const KEYS_AGE_MIN: Duration = Duration::from_secs(30);

/// Log-ins that are finished at the same time. Each asks the provider up to four times.
const FINISHING_MAX: usize = 32;

/// Sessions that are renewed at the same time, and how long one waits for its turn.
const RENEWING_MAX: usize = 32;
const RENEWAL_TURN_WITHIN: Duration = Duration::from_secs(10);

/// For how many seconds an access token is taken to count whose provider does not say it.
const ACCESS_TOKEN_LASTS: u64 = 300;

/// How far the provider's clock may be ahead of ours or behind it, in seconds.
const CLOCK_DIFFERENCE_MAX: u64 = 60;

/// A provider, and what it has said about itself.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    http: Http,
    metadata: Cached<Metadata>,
    keys: Cached<Keys>,
    finishing: Semaphore,
    renewing: Semaphore,
}

/// What the token endpoint is given.
#[derive(Clone, Copy)]
enum Grant<'a> {
    /// The code of a log-in, with the secret of PKCE and the address that the browser came back to.
    Code { code: &'a str, verifier: &'a str, redirect_uri: &'a str },
    /// The refresh token of a session.
    Refresh(&'a str),
}

/// Tokens that a provider has given for a session, and that could not be judged yet.
pub struct TakenTokens {
    tokens: Tokens,
    at: UnixSeconds,
}

impl TakenTokens {
    /// Whether the provider still takes the access token, as far as it has said.
    pub fn counts_at(&self, now: UnixSeconds) -> bool {
        now < self.at.saturating_add(self.tokens.expires_in.unwrap_or(ACCESS_TOKEN_LASTS))
    }
}

impl fmt::Debug for TakenTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakenTokens")
    }
}

/// Where a browser is sent to log in, and what it has to keep meanwhile.
#[derive(Debug)]
pub struct LoginStart {
    /// A URL of the provider.
    pub location: String,
    /// Which log-in it is.
    pub state: StateId,
    /// The value of the cookie that binds it to the browser.
    pub sealed: String,
    /// How long the cookie is needed.
    pub lifetime: Duration,
}

/// A log-in that went well.
#[derive(Debug)]
pub struct FinishedLogin {
    /// The new session.
    pub begun: BegunSession,
    /// It as cookies hold it: no longer than [`SESSION_LEN_MAX`].
    pub sealed: String,
    /// How long it counts.
    pub lifetime: Duration,
    /// The path, with its query, that the browser first asked for.
    pub return_to: String,
}

impl Provider {
    /// A provider that has not been asked yet.
    ///
    /// # Errors
    ///
    /// The certificates to trust are none.
    pub fn new(settings: ProviderSettings) -> Result<Self, NoCertificate> {
        let http = Http::new(settings.ca_pem.as_deref())?;
        let (metadata, keys) = (Cached::default(), Cached::default());
        let (finishing, renewing) = (Semaphore::new(FINISHING_MAX), Semaphore::new(RENEWING_MAX));
        Ok(Self { settings, http, metadata, keys, finishing, renewing })
    }

    /// What is known of it before it is asked.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Where a cookie of a session at this host counts: there, or at the hosts of one domain.
    pub fn scope<'a>(&'a self, host: &'a str) -> Option<&'a str> {
        let Some(domain) = self.settings.cookie_domain.as_deref() else { return Some(host) };
        let is_below = host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        is_below.then_some(domain)
    }

    /// Whether log-ins are possible now, as far as can be told without a user.
    ///
    /// # Errors
    ///
    /// Why they are not.
    pub async fn check(&self) -> Result<(), LoginError> {
        let metadata = self.metadata().await?;
        self.keys(&metadata, DOCUMENT_AGE_MAX).await?;
        match metadata.clock_ahead {
            Some(ahead) if ahead.unsigned_abs() > CLOCK_DIFFERENCE_MAX => {
                let (seconds, side) = (ahead.unsigned_abs(), if ahead < 0 { "ahead of" } else { "behind" });
                Err(LoginError::Invalid(format!("the clock here is {seconds} s {side} the provider's")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Begins a log-in at `origin` (scheme, host and port), after which the browser comes back to `target`. `callback` is
    /// the path that the provider sends it to.
    ///
    /// # Errors
    ///
    /// The provider is not there, or nothing can be sealed.
    pub async fn begin(
        &self,
        keys: &CookieKeys,
        (origin, callback): (&str, &str),
        target: &str,
        now: UnixSeconds,
    ) -> Result<LoginStart, LoginError> {
        let metadata = self.metadata().await?;
        let id = StateId::new(random::<16>()?);
        let state = LoginState {
            provider: self.settings.name.to_string(),
            nonce: random::<16>()?,
            verifier: random::<32>()?,
            return_to: return_path(target).to_owned(),
            begun: now,
        };
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, state.verifier.as_bytes()));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &format!("{origin}{callback}"))
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", id.as_str())
            .append_pair("nonce", &state.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let sealed = state.seal(keys, origin, &id)?;
        let location = with_query(&metadata.authorization_endpoint, &query);
        Ok(LoginStart { location, state: id, sealed, lifetime: Duration::from_secs(login_state::LIFETIME) })
    }

    /// The name of the provider that a log-in was begun at, if the cookie holds.
    ///
    /// # Errors
    ///
    /// It was not begun by this browser at this origin, or too long ago.
    pub fn of_state(
        keys: &CookieKeys,
        origin: &str,
        callback: &Callback,
        sealed: &[u8],
        now: UnixSeconds,
    ) -> Result<String, LoginError> {
        LoginState::open(keys, origin, &callback.state, sealed, now).map(|state| state.provider)
    }

    /// Finishes a log-in: the code becomes tokens, and they a session for `host`.
    ///
    /// # Errors
    ///
    /// Anything that does not hold.
    pub async fn finish(
        &self,
        keys: &CookieKeys,
        (origin, path): (&str, &str),
        callback: &Callback,
        sealed: &[u8],
        (host, now): (&str, UnixSeconds),
    ) -> Result<FinishedLogin, LoginError> {
        let scope = self.scope(host).ok_or(LoginError::Closed("the host is not below the domain of the cookie"))?;
        let state = LoginState::open(keys, origin, &callback.state, sealed, now)?;
        if state.provider != *self.settings.name {
            return Err(LoginError::NotBegun("this log-in was begun at another provider"));
        }
        let metadata = self.metadata().await?;
        // RFC 9207: an answer of another provider must not be taken for one of this.
        match &callback.issuer {
            Some(issuer) if **issuer != *self.settings.issuer => {
                return Err(LoginError::NotBegun("the answer is that of another provider"));
            }
            None if metadata.names_issuer => {
                return Err(LoginError::NotBegun("the answer does not say of which provider it is"));
            }
            Some(_) | None => {}
        }
        let code = callback.outcome.as_ref().map_err(|error| match &**error {
            "temporarily_unavailable" | "server_error" => {
                LoginError::Unavailable(format!("the provider says `{error}`"))
            }
            error => LoginError::Denied(format!("the provider refuses the log-in: `{error}`")),
        })?;
        let _permit = self.finishing.try_acquire().map_err(|_| LoginError::Busy)?;
        let grant = Grant::Code { code, verifier: &state.verifier, redirect_uri: &format!("{origin}{path}") };
        let tokens = self.tokens(&metadata, grant).await.map_err(|refusal| match refusal {
            // The code was used before, or is none: the browser may begin anew.
            TokenRefusal::Grant => LoginError::NotBegun("the provider does not know the code, or no longer"),
            TokenRefusal::User(error) => LoginError::Denied(format!("the provider refuses the log-in: `{error}`")),
            TokenRefusal::Other(error) => error,
        })?;
        let id_token = tokens.id_token.as_deref().ok_or_else(|| {
            let what = "the answer of the token endpoint has no ID token; ask for the scope `openid`";
            LoginError::invalid(what)
        })?;
        let verified = self.verified(&metadata, &tokens, id_token, Some(&state.nonce), now).await?;
        let renewal = renewal(&tokens, Some(&verified), None, now);
        let Verified { subject, claims, .. } = verified;
        let provider_session = claims.get("sid").and_then(Value::as_str).map(str::to_owned);
        let claims = self.completed(&metadata, &tokens, &subject, claims).await?;
        let user = self.user(subject, &claims);
        let session = Session::begin(SessionId(random::<16>()?), user, renewal, &self.settings, now);
        let sealed = self.sealed(keys, host, &session)?;
        let begun = BegunSession { provider_session, ..self.registered(scope, &session) };
        Ok(FinishedLogin { begun, sealed, lifetime: self.settings.session, return_to: state.return_to })
    }

    /// A session as the register knows it, but for which one it is at the provider: its cookie does not say that.
    pub fn registered(&self, scope: &str, session: &Session) -> BegunSession {
        BegunSession {
            id: session.id().clone(),
            provider: self.settings.name.clone(),
            subject: session.user().subject.clone(),
            user: session.user().known_as().to_owned(),
            scope: scope.to_owned(),
            begun: session.begun(),
            ends: session.ends(),
            provider_session: None,
        }
    }

    /// Asks the provider about the user of a session again (Core, section 12). The result ends when the session would have, and
    /// takes its place: the provider may count the refresh token that is in the old one as used. One that has no refresh token
    /// stays as it is.
    ///
    /// `taken` is what has come of earlier tries, and is to be kept for the next one: without it, the session would end there.
    ///
    /// # Errors
    ///
    /// The session has ended, or the provider could not be asked.
    pub async fn renew(
        &self,
        session: &Session,
        taken: &mut Option<TakenTokens>,
        now: UnixSeconds,
    ) -> Result<Session, RenewalError> {
        let Some(last) = session.renewal() else { return Ok(session.clone()) };
        let turn = timeout(RENEWAL_TURN_WITHIN, self.renewing.acquire()).await;
        let Ok(Ok(_permit)) = turn else { return Err(LoginError::Busy.into()) };
        let metadata = self.metadata().await?;
        // Before the refresh token is used up: without keys its answer could not be judged.
        self.keys(&metadata, DOCUMENT_AGE_MAX).await?;
        let fresh = match taken.take_if(|taken| taken.counts_at(now)) {
            Some(fresh) => fresh,
            None => {
                let known = taken.as_ref().and_then(|taken| taken.tokens.refresh_token.as_deref());
                let refresh_token = known.unwrap_or(last.token.expose()).to_owned();
                let mut tokens = self.refreshed(&metadata, &refresh_token).await?;
                // The provider need not give another one, and then the same one goes on counting.
                tokens.refresh_token.get_or_insert(refresh_token);
                TakenTokens { tokens, at: now }
            }
        };
        // From here on the refresh token may count as used: what does not hold cannot be asked for again.
        match self.renewed(&metadata, session, last, &fresh).await {
            Ok(session) => {
                *taken = None;
                Ok(session)
            }
            // But who the user is can, by the tokens that there are.
            Err(error @ LoginError::Unavailable(_)) => {
                *taken = Some(fresh);
                Err(RenewalError::Failed(error))
            }
            Err(error) => Err(RenewalError::Ended(error.to_string())),
        }
    }

    async fn refreshed(&self, metadata: &Metadata, refresh_token: &str) -> Result<Tokens, RenewalError> {
        self.tokens(metadata, Grant::Refresh(refresh_token)).await.map_err(|refusal| match refusal {
            TokenRefusal::Grant => RenewalError::Ended("the provider does not renew the session".to_owned()),
            TokenRefusal::User(error) => RenewalError::Ended(format!("the provider wants to ask the user: `{error}`")),
            TokenRefusal::Other(error) => RenewalError::Failed(error),
        })
    }

    async fn renewed(
        &self,
        metadata: &Metadata,
        session: &Session,
        last: &Renewal,
        // Judged as of the time when they came.
        TakenTokens { tokens, at: now }: &TakenTokens,
    ) -> Result<Session, LoginError> {
        let subject = session.user().subject.clone();
        let verified = match &tokens.id_token {
            Some(id_token) => Some(self.verified(metadata, tokens, id_token, None, *now).await?),
            None => None,
        };
        if verified.as_ref().is_some_and(|verified| verified.subject != subject) {
            return Err(LoginError::invalid("the ID token is about somebody else"));
        }
        let renewal = renewal(tokens, verified.as_ref(), Some(last), *now);
        let renewal = renewal.ok_or_else(|| LoginError::invalid("there is no refresh token"))?;
        if verified.is_none() && metadata.userinfo_endpoint.is_none() {
            return Err(LoginError::invalid("the provider does not say who the user is"));
        }
        let claims = verified.map(|verified| verified.claims).unwrap_or_default();
        let claims = self.completed(metadata, tokens, &subject, claims).await?;
        Ok(session.renewed(self.user(subject, &claims), renewal))
    }

    /// A session at this host as cookies hold it: no longer than [`SESSION_LEN_MAX`].
    ///
    /// # Errors
    ///
    /// There is no key, or it would be longer.
    pub fn sealed(&self, keys: &CookieKeys, host: &str, session: &Session) -> Result<String, LoginError> {
        let scope = self.scope(host).ok_or(LoginError::Closed("the host is not below the domain of the cookie"))?;
        let sealed = session.seal(keys, &self.settings, scope)?;
        if sealed.len() > SESSION_LEN_MAX {
            let why = "what the provider says of this user is too long for cookies; let it send fewer groups";
            return Err(LoginError::Denied(why.to_owned()));
        }
        Ok(sealed)
    }

    /// Checks the logout token in a form.
    ///
    /// # Errors
    ///
    /// It does not count, or the provider's keys cannot be had.
    pub async fn logout_token(&self, form: &[u8], now: UnixSeconds) -> Result<LogoutToken, LoginError> {
        let token = form_urlencoded::parse(form).find(|(name, _)| name == "logout_token").map(|(_, token)| token);
        let token = &*token.ok_or_else(|| LoginError::Invalid("the form has no `logout_token`".to_owned()))?;
        let metadata = self.metadata().await?;
        let signed = self.signed(&metadata, None);
        let judged = self.with_keys(&metadata, |keys| logout_token::verify(token, keys, signed, now)).await?;
        judged.map_err(|error| LoginError::Invalid(format!("the logout token does not count: {error}")))
    }

    /// The user whom an access token of the provider names. It has to be for `audience`, or for Gangway's client if that is
    /// none.
    ///
    /// # Errors
    ///
    /// It does not count, or the provider's keys cannot be had.
    pub async fn access_token(
        &self,
        token: &str,
        audience: Option<&str>,
        now: UnixSeconds,
    ) -> Result<User, LoginError> {
        let metadata = self.metadata().await?;
        let signed = self.signed(&metadata, audience);
        let judged = self.with_keys(&metadata, |keys| access_token::verify(token, keys, signed, now)).await?;
        let Verified { subject, claims, .. } =
            judged.map_err(|error| LoginError::Denied(format!("the access token does not count: {error}")))?;
        Ok(self.user(subject, &claims))
    }

    fn user(&self, subject: String, claims: &Map<String, Value>) -> User {
        let reading = Reading { groups_claim: &self.settings.groups_claim, trust_email: self.settings.trust_email };
        User::of(subject, claims, reading)
    }

    fn signed<'a>(&'a self, metadata: &'a Metadata, audience: Option<&'a str>) -> Signed<'a> {
        Signed {
            issuer: &self.settings.issuer,
            audience: audience.unwrap_or(&self.settings.client_id),
            algorithms: &metadata.algorithms,
        }
    }

    /// Judges a token, with new keys if the provider may have some.
    async fn with_keys<T>(
        &self,
        metadata: &Metadata,
        judge: impl Fn(&Keys) -> Result<T, TokenError>,
    ) -> Result<Result<T, TokenError>, LoginError> {
        match judge(&*self.keys(metadata, DOCUMENT_AGE_MAX).await?) {
            Err(TokenError::KeyUnknown) => Ok(judge(&*self.keys(metadata, KEYS_AGE_MIN).await?)),
            judged => Ok(judged),
        }
    }

    /// The session of a cookie, if it counts for this host now.
    pub fn session(&self, keys: &CookieKeys, host: &str, sealed: &[u8], now: UnixSeconds) -> Option<Session> {
        Session::open(keys, &self.settings, self.scope(host)?, sealed, now)
    }

    /// Where a browser is sent to log out at the provider too, and comes back from to `return_to`. None where the provider
    /// has no such place.
    ///
    /// # Errors
    ///
    /// The provider is not there.
    pub async fn logout_url(&self, return_to: &str) -> Result<Option<String>, LoginError> {
        let metadata = self.metadata().await?;
        Ok(metadata.end_session_endpoint.as_ref().map(|url| {
            let query = Serializer::new(String::new())
                .append_pair("client_id", &self.settings.client_id)
                .append_pair("post_logout_redirect_uri", return_to)
                .finish();
            with_query(url, &query)
        }))
    }

    async fn metadata(&self) -> Result<std::sync::Arc<Metadata>, LoginError> {
        self.metadata.get(DOCUMENT_AGE_MAX, discovery::read(&self.http, &self.settings)).await
    }

    async fn keys(&self, metadata: &Metadata, age_max: Duration) -> Result<std::sync::Arc<Keys>, LoginError> {
        self.keys.get(age_max, jwks::read(&self.http, &metadata.jwks_uri)).await
    }

    async fn tokens(&self, metadata: &Metadata, grant: Grant<'_>) -> Result<Tokens, TokenRefusal> {
        let (authorization, form) = self.token_request(metadata, grant);
        let answer = self.http.post_form(&metadata.token_endpoint, authorization.as_deref(), form).await;
        token_response::parse(&answer.map_err(TokenRefusal::Other)?)
    }

    /// `Authorization` and the form of the question for tokens.
    fn token_request(&self, metadata: &Metadata, grant: Grant<'_>) -> (Option<String>, String) {
        let id = &*self.settings.client_id;
        let secret = self.settings.client_secret.as_ref().map_or("", |secret| secret.expose());
        let mut form = Serializer::new(String::new());
        match grant {
            Grant::Code { code, verifier, redirect_uri } => form
                .append_pair("grant_type", "authorization_code")
                .append_pair("code", code)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("code_verifier", verifier),
            Grant::Refresh(token) => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token)
            }
        };
        let authorization = match metadata.client_authentication {
            ClientAuthentication::Basic => {
                // RFC 6749, section 2.3.1: both are form-encoded first.
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)))))
            }
            ClientAuthentication::Post => {
                form.append_pair("client_id", id).append_pair("client_secret", secret);
                None
            }
            ClientAuthentication::None => {
                form.append_pair("client_id", id);
                None
            }
        };
        (authorization, form.finish())
    }

    /// Checks the ID token, with new keys if the provider may have some.
    async fn verified(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        id_token: &str,
        nonce: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Verified, LoginError> {
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce,
            algorithms: &metadata.algorithms,
            access_token: &tokens.access_token,
            now,
        };
        let verified = self.with_keys(metadata, |keys| id_token::verify(id_token, keys, &expected)).await?;
        verified.map_err(|error| LoginError::Invalid(format!("the ID token does not count: {error}")))
    }

    /// Asks the provider about the user where the token does not say everything.
    async fn completed(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        subject: &str,
        mut claims: Map<String, Value>,
    ) -> Result<Map<String, Value>, LoginError> {
        let wanted = ["preferred_username", "email", &self.settings.groups_claim];
        let Some(url) =
            metadata.userinfo_endpoint.as_ref().filter(|_| wanted.iter().any(|name| !claims.contains_key(*name)))
        else {
            return Ok(claims);
        };
        let wrong = |what: &str| LoginError::Invalid(format!("what the provider says of the user {what}"));
        let answer = self.http.get_with_token(url, &tokens.access_token).await?;
        if !answer.status.is_success() {
            return Err(LoginError::Invalid(format!("`{url}` answers {}", answer.status.as_u16())));
        }
        let said: Map<String, Value> = serde_json::from_slice(&answer.body).map_err(|_| wrong("does not hold"))?;
        // Core, section 5.3.2: it may be an answer about somebody else.
        if said.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(wrong("is about somebody else"));
        }
        // An address and whether it is verified belong together.
        let email_is_of_token = claims.contains_key("email");
        for (name, value) in said {
            if !(email_is_of_token && name == "email_verified") {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }
}

/// By which token a session can be renewed: a new one replaces the last one, and counts no more than once where the provider
/// rotates them. None where the provider has never given one.
fn renewal(tokens: &Tokens, verified: Option<&Verified>, last: Option<&Renewal>, now: UnixSeconds) -> Option<Renewal> {
    let token = tokens.refresh_token.as_deref().or(last.map(|last| last.token.expose()))?;
    let of_id_token = || verified.map(|verified| verified.expires.saturating_sub(now));
    Some(Renewal::new(token.to_owned(), tokens.expires_in.or_else(of_id_token), last, now))
}

/// A number by chance that nobody guesses, as text for URLs. It does not begin with a hyphen: users name sessions on the
/// command line, where that would make a flag of it.
fn random<const LEN: usize>() -> Result<String, LoginError> {
    let mut bytes = [0; LEN];
    loop {
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| LoginError::Closed("the system gave no random numbers"))?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        if !text.starts_with('-') {
            return Ok(text);
        }
    }
}

/// An endpoint may have a query of its own.
fn with_query(url: &str, query: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn no_session_has_a_name_that_a_command_takes_for_a_flag() {
        let names = (0..2_000).map(|_| random::<16>().expect("random numbers"));
        assert_eq!(names.filter(|name| name.starts_with('-')).count(), 0);
    }

    #[test]
    fn a_cookie_of_a_domain_counts_at_its_hosts_only() {
        let provider = |domain: Option<&str>| {
            Provider::new(ProviderSettings { cookie_domain: domain.map(Into::into), ..settings() }).expect("no roots")
        };
        assert_eq!(provider(None).scope("a.example.org"), Some("a.example.org"));
        let provider = provider(Some("example.org"));
        for (host, scope) in [
            ("example.org", Some("example.org")),
            ("a.example.org", Some("example.org")),
            ("a.b.example.org", Some("example.org")),
            ("evilexample.org", None),
            ("example.org.evil.example", None),
            ("org", None),
        ] {
            assert_eq!(provider.scope(host), scope, "{host}");
        }
    }

    #[test]
    fn a_query_joins_the_one_that_is_there() {
        assert_eq!(with_query("https://a/b", "c=d"), "https://a/b?c=d");
        assert_eq!(with_query("https://a/b?x=y", "c=d"), "https://a/b?x=y&c=d");
        assert_eq!(random::<16>().map(|text| text.len()), Ok(22));
    }
}
