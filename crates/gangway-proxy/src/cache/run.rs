//! One request on its way to the application, as the cache sees it.

use std::sync::Arc;
use std::time::SystemTime;

use gangway_model::{Middleware, overrides_method};
use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::cache::conditions;
use crate::cache::key::key;
use crate::cache::recorder::{Destination, RecordedHead, Recorder};
use crate::cache::rules::{Audience, NotKept, Received, judge};
use crate::cache::status::{self, CacheOutcome, Forwarded};
use crate::cache::store::{Missing, RouteCache, Sharing, Wanted};
use crate::cache::stored::{SelectedBy, Stored, weight};
use crate::message::body_length::BodyLength;
use crate::message::cache_control::CacheControl;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::message::vary::tokens;
use crate::serving_table::ActiveRoute;

/// Errors of an application in whose place an older answer may stand (RFC 5861, section 4).
const ERRORS: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// A request of a route that keeps answers.
#[derive(Debug)]
pub(crate) struct CacheRun {
    pub(crate) cache: Arc<RouteCache>,
    key: Box<[u8]>,
    /// The fields that the application gets.
    request: Fields,
    control: CacheControl,
    audience: Audience,
    use_of_answer: UseOfAnswer,
    missing: Missing,
    /// When the application was asked.
    asked: Instant,
    is_judged: bool,
    /// The outcome, for `Cache-Status`.
    outcome: CacheOutcome,
}

/// What becomes of the application's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UseOfAnswer {
    /// It is kept if it may be.
    Keep,
    /// It only passes.
    Pass,
    /// If it says that the request was successful, what is kept for the same URL is no longer true.
    Invalidate,
}

/// A request before it is looked up.
#[derive(Debug)]
pub(crate) struct CacheRequest {
    key: Box<[u8]>,
    request: Fields,
    control: CacheControl,
    audience: Audience,
    /// How it shares what it fetches with others.
    sharing: Sharing,
    /// Why it is not looked up, if it is not.
    passes_by: Option<Forwarded>,
}

/// What becomes of the answer whose head has come.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes to the client, and is recorded on the way.
    Relay(Option<Box<Recorder>>),
    /// What is kept goes to the client in its place.
    Replace(Replacement),
}

/// What goes to the client in place of an answer of the application.
#[derive(Debug)]
pub(crate) enum Replacement {
    /// This answer.
    Stored(Arc<Stored>, CacheOutcome),
    /// The application is asked once more, without conditions of ours: it speaks of something that is not kept.
    AskAgain,
}

impl CacheRequest {
    /// Looks at a request whose client was let in. `upstream` are the fields that the application gets.
    pub(crate) fn of(head: &RequestHead, upstream: &Fields, active: &ActiveRoute, has_own_connection: bool) -> Self {
        let is_login = active.route.middlewares.iter().any(|one| Middleware::authentication(one).is_some());
        let audience = match () {
            () if is_login || active.route.listener.client_ca.is_some() => Audience::LoggedIn,
            // An application may know its client by the connection (NTLM).
            () if has_own_connection
                || head.fields.has(FieldKind::Authorization)
                || upstream.has(FieldKind::Authorization) =>
            {
                Audience::WithCredentials
            }
            () => Audience::Anybody,
        };
        let has = |name: &[u8]| head.fields.all_named(name).next().is_some();
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let passes_by = match () {
            () if !is_read => Some(Forwarded::Method),
            () if overrides_method(&head.fields) => Some(Forwarded::Bypass("method-override")),
            () if head.body != BodyLength::Empty => Some(Forwarded::Bypass("body")),
            () if head.upgrade.is_some() => Some(Forwarded::Bypass("upgrade")),
            () if has(b"range") => Some(Forwarded::Bypass("range")),
            () if conditions::is_for_application(&head.fields) => Some(Forwarded::Bypass("condition")),
            () => None,
        };
        let mut control = CacheControl::of(head.fields.all_named(b"cache-control"));
        // Clients that do not know `Cache-Control` say `Pragma: no-cache`.
        control.no_cache |=
            !control.is_there && tokens(&head.fields, b"pragma").any(|token| token.eq_ignore_ascii_case(b"no-cache"));
        let sharing = match () {
            () if head.method != Method::GET || control.no_store => Sharing::Alone,
            // What others have asked for before may be older than this client wants, and a 304 is only for it.
            () if control.demands_fresh() || conditions::asks_for_change(&head.fields) => Sharing::Leads,
            () => Sharing::Joins,
        };
        Self { key: key(head, upstream, audience), request: upstream.clone(), control, audience, sharing, passes_by }
    }

    /// What is to be looked up; none if the request passes by.
    pub(crate) fn wanted(&self) -> Option<Wanted<'_>> {
        if self.passes_by.is_some() {
            return None;
        }
        Some(Wanted { key: &self.key, fields: &self.request, control: &self.control, sharing: self.sharing })
    }

    /// From now on the request does not wait for others.
    pub(crate) fn stop_waiting(&mut self) {
        self.sharing = Sharing::Leads;
    }

    /// The request on its way to the application.
    pub(crate) fn run(self, cache: Arc<RouteCache>, head: &RequestHead, missing: Option<Missing>) -> CacheRun {
        let why = self.passes_by.or(missing.as_ref().map(|missing| missing.why)).unwrap_or(Forwarded::UriMiss);
        let missing = missing.unwrap_or(Missing { why, stale: None, leading: None, changes_seen: 0 });
        let is_safe = head.method.is_safe() && !overrides_method(&head.fields);
        let use_of_answer = match () {
            () if !is_safe => UseOfAnswer::Invalidate,
            () if self.passes_by.is_some() || head.method != Method::GET || self.control.no_store => UseOfAnswer::Pass,
            () => UseOfAnswer::Keep,
        };
        CacheRun {
            cache,
            key: self.key,
            request: self.request,
            control: self.control,
            audience: self.audience,
            use_of_answer,
            missing,
            asked: Instant::now(),
            is_judged: false,
            outcome: CacheOutcome::Forwarded { why, is_kept: false },
        }
    }
}

impl CacheRun {
    /// Asks the application whether what is kept still holds, where it can say so.
    pub(crate) fn change_upstream_fields(&mut self, fields: &mut Fields) {
        self.asked = Instant::now();
        if let Some(stale) = self.validated() {
            conditions::ask_whether_it_holds(stale, fields);
        }
    }

    /// What is kept and can be validated.
    fn validated(&self) -> Option<&Arc<Stored>> {
        let stale = self.missing.stale.as_ref().filter(|_| self.use_of_answer == UseOfAnswer::Keep)?;
        (stale.etag().is_some() || stale.last_modified().is_some()).then_some(stale)
    }

    /// Judges the head of the application's answer, before anything changes it. `has_page` says whether the route has a
    /// page for its status.
    pub(crate) fn on_response(&mut self, response: &ResponseHead, has_page: bool) -> Verdict {
        // A page in place of the answer comes the same way.
        if std::mem::replace(&mut self.is_judged, true) {
            return Verdict::Relay(None);
        }
        let status = response.status;
        match self.use_of_answer {
            UseOfAnswer::Invalidate => {
                if status.is_success() || status.is_redirection() {
                    self.cache.invalidate(&self.key);
                }
                return Verdict::Relay(None);
            }
            UseOfAnswer::Pass => return Verdict::Relay(None),
            UseOfAnswer::Keep => {}
        }
        if status == StatusCode::NOT_MODIFIED {
            return match self.validated().cloned() {
                Some(stale) => Verdict::Replace(self.not_modified(&stale, response)),
                None => Verdict::Relay(None),
            };
        }
        if ERRORS.contains(&status)
            && let Some(stale) = self.instead_of_error()
        {
            return Verdict::Replace(Replacement::Stored(stale, CacheOutcome::InsteadOfError(Some(status.as_u16()))));
        }
        let received = self.received();
        let judged = match has_page {
            true => Err(NotKept::Page),
            false => judge(&self.control, self.audience, response, received, self.cache.body_max),
        };
        match judged {
            Err(not_kept) => {
                if not_kept.lasts() {
                    self.forget_stale();
                }
                if let Some(leading) = self.missing.leading.take() {
                    leading.not_kept(not_kept.lasts());
                }
                Verdict::Relay(None)
            }
            Ok(freshness) => {
                let selected_by = SelectedBy::of(&response.fields, &self.request);
                let mut fields = kept_fields(&response.fields);
                add_date(&mut fields, received.wall);
                let reason_phrase = response.reason_phrase.clone();
                let head = RecordedHead { status, reason_phrase, fields, freshness, selected_by };
                let len = match response.body {
                    BodyLength::Empty => Some(0),
                    BodyLength::Sized(len) => usize::try_from(len).ok(),
                    BodyLength::Framed | BodyLength::UntilClose => None,
                };
                let to = Destination {
                    cache: Arc::clone(&self.cache),
                    key: self.key.clone(),
                    changes_seen: self.missing.changes_seen,
                    leading: self.missing.leading.take(),
                };
                let recorder = Recorder::begin(head, len, to).ok();
                self.outcome = CacheOutcome::Forwarded { why: self.missing.why, is_kept: recorder.is_some() };
                Verdict::Relay(recorder.map(Box::new))
            }
        }
    }

    fn received(&self) -> Received {
        Received { asked: self.asked, at: Instant::now(), wall: SystemTime::now() }
    }

    /// What becomes of a 304 to a question of ours (RFC 9111, section 4.3.4).
    fn not_modified(&mut self, stale: &Arc<Stored>, response: &ResponseHead) -> Replacement {
        let etag = response.fields.all_named(b"etag").next();
        let is_the_same = etag.is_none_or(|etag| stale.etag().is_some_and(|known| conditions::is_same(etag, known)));
        let received = self.received();
        let mut updated = ResponseHead {
            status: stale.status,
            fields: stale.fields_updated_by(&response.fields),
            ..ResponseHead::default()
        };
        // What it says of itself counts for what it confirms.
        updated.fields.extend_from(&response.fields, |field| {
            field.kind == FieldKind::SetCookie || field.name.eq_ignore_ascii_case(b"age")
        });
        if !response.fields.has(FieldKind::Date) {
            updated.fields.remove(FieldKind::Date);
            add_date(&mut updated.fields, received.wall);
        }
        let judged = judge(&self.control, self.audience, &updated, received, self.cache.body_max);
        let Some(freshness) = judged.ok().filter(|_| is_the_same) else {
            self.forget_stale();
            self.missing.stale = None;
            self.is_judged = false;
            return Replacement::AskAgain;
        };
        let outcome = CacheOutcome::Validated(self.missing.why, StatusCode::NOT_MODIFIED.as_u16());
        let fields = kept_fields(&updated.fields);
        let Some(share) = self.cache.memory.share(weight(&fields, stale.body.len(), &stale.selected_by)) else {
            return Replacement::Stored(Arc::clone(stale), outcome);
        };
        let updated = Arc::new(Stored {
            status: stale.status,
            reason_phrase: stale.reason_phrase.clone(),
            fields,
            body: stale.body.clone(),
            freshness,
            selected_by: stale.selected_by.clone(),
            _share: share,
        });
        self.cache.keep(&self.key, Arc::clone(&updated), self.missing.changes_seen);
        self.missing.leading = None;
        Replacement::Stored(updated, outcome)
    }

    fn forget_stale(&self) {
        if let Some(stale) = &self.missing.stale {
            self.cache.forget(&self.key, stale);
        }
    }

    /// What may stand in place of an error.
    pub(crate) fn instead_of_error(&self) -> Option<Arc<Stored>> {
        let stale = self.missing.stale.as_ref().filter(|_| self.use_of_answer == UseOfAnswer::Keep)?;
        let may_be_old = !self.control.demands_fresh() && stale.freshness.may_replace_error(Instant::now());
        may_be_old.then(|| Arc::clone(stale))
    }

    /// The outcome, for `Cache-Status`.
    pub(crate) fn outcome(&self) -> CacheOutcome {
        self.outcome
    }
}

/// The fields of an answer that are kept: without its age, which is computed, and without what was said of other caches.
fn kept_fields(fields: &Fields) -> Fields {
    let mut kept = Fields::default();
    kept.extend_from(fields, |field| field.kind != FieldKind::SetCookie && !field.name.eq_ignore_ascii_case(b"age"));
    kept.remove(FieldKind::ProxyAuthenticate);
    status::forget(&mut kept);
    kept
}

/// An answer without a date has the one at which it came (RFC 9110, section 6.6.1).
fn add_date(fields: &mut Fields, wall: SystemTime) {
    if !fields.has(FieldKind::Date) {
        let date = crate::http1::http_date::DateText::of(wall);
        fields.push_known(FieldKind::Date, b"Date", &[date.as_bytes()]);
    }
}
