//! What may be kept, and for how long it is fresh (RFC 9111, sections 3 and 4.2; RFC 5861).
//!
//! Pure: the two clocks are arguments. The cache is stricter than the standard where a mistake of an application would
//! show one client's answer to another: nothing is kept that sets a cookie, that says `no-cache`, that does not say how
//! long it is fresh, or that was for a client with credentials and does not say `public`.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::time::Instant;

use crate::message::body_length::BodyLength;
use crate::message::cache_control::CacheControl;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::message::vary;

/// Fields that `Vary` may name.
const VARY_MAX: usize = 8;

const CACHE_CONTROL: &[u8] = b"cache-control";

/// Whom an answer is for, as far as the cache tells apart. Answers of one class are not given to another: an application
/// may answer who has logged in differently and not say so.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Audience {
    /// All clients.
    Anybody,
    /// Clients who send credentials to the application.
    WithCredentials,
    /// Clients whom a log-in or a certificate has let in.
    LoggedIn,
}

impl Audience {
    pub(crate) const ALL: [Self; 3] = [Self::Anybody, Self::WithCredentials, Self::LoggedIn];
}

/// When something came, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// When the request was sent.
    pub(crate) asked: Instant,
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
}

/// Why an answer is not kept. The text is for `Cache-Status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotKept {
    Status,
    Forbidden,
    Private,
    Cookie,
    Vary,
    NotPublic,
    NotFresh,
    TooLarge,
    Unfinished,
    Page,
}

impl NotKept {
    /// Whether the next answer for the same will probably not be kept either.
    pub(crate) fn lasts(self) -> bool {
        match self {
            Self::Forbidden
            | Self::Private
            | Self::Cookie
            | Self::Vary
            | Self::NotPublic
            | Self::NotFresh
            | Self::TooLarge => true,
            Self::Status | Self::Unfinished | Self::Page => false,
        }
    }
}

/// How long an answer is fresh, and how long it is of use afterwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Freshness {
    lifetime: Duration,
    /// The age that it came with.
    initial_age: Duration,
    received: Instant,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
}

impl Freshness {
    /// The age of the answer (RFC 9111, section 4.2.3).
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.initial_age + now.saturating_duration_since(self.received)
    }

    /// For how long it is still fresh; none if it is stale.
    pub(crate) fn time_to_live(&self, now: Instant) -> Option<Duration> {
        self.lifetime.checked_sub(self.age(now)).filter(|left| !left.is_zero())
    }

    /// For how long it has been stale.
    pub(crate) fn stale_for(&self, now: Instant) -> Duration {
        self.age(now).saturating_sub(self.lifetime)
    }

    /// Whether a request with these directives may have it without asking the application.
    pub(crate) fn satisfies(&self, request: &CacheControl, now: Instant) -> bool {
        let Some(left) = self.time_to_live(now) else { return false };
        !request.no_cache
            && request.max_age.is_none_or(|max| self.age(now) <= max)
            && request.min_fresh.is_none_or(|min| left >= min)
    }

    /// Whether it may be given out while it is refreshed.
    pub(crate) fn may_be_stale_meanwhile(&self, now: Instant) -> bool {
        !self.stale_while_revalidate.is_zero() && self.age(now) <= self.lifetime + self.stale_while_revalidate
    }

    /// Whether it may be given out in place of an error.
    pub(crate) fn may_replace_error(&self, now: Instant) -> bool {
        self.time_to_live(now).is_some()
            || !self.stale_if_error.is_zero() && self.age(now) <= self.lifetime + self.stale_if_error
    }

    /// How long it has been of no use but to be validated.
    pub(crate) fn useless_for(&self, now: Instant) -> Option<Duration> {
        let useful = self.lifetime + self.stale_while_revalidate.max(self.stale_if_error);
        self.age(now).checked_sub(useful)
    }
}

/// Judges an answer to a GET request. `request` are the directives of the request, and `len_max` is the most that its body
/// may have.
pub(crate) fn judge(
    request: &CacheControl,
    audience: Audience,
    response: &ResponseHead,
    received: Received,
    len_max: usize,
) -> Result<Freshness, NotKept> {
    let fields = &response.fields;
    if !is_understood(response.status) {
        return Err(NotKept::Status);
    }
    let control = CacheControl::of(fields.all_named(CACHE_CONTROL));
    if request.no_store || control.no_store || control.no_cache || is_forbidden_by_pragma(&control, fields) {
        return Err(NotKept::Forbidden);
    }
    if control.private {
        return Err(NotKept::Private);
    }
    if fields.has(FieldKind::SetCookie) || fields.all_named(b"set-cookie2").next().is_some() {
        return Err(NotKept::Cookie);
    }
    let is_for_all = match audience {
        Audience::Anybody => true,
        Audience::WithCredentials | Audience::LoggedIn => control.public,
    };
    if !is_for_all {
        return Err(NotKept::NotPublic);
    }
    let mut varied = vary::tokens(fields, b"vary");
    if varied.any(|name| name == b"*") || vary::tokens(fields, b"vary").count() > VARY_MAX {
        return Err(NotKept::Vary);
    }
    let has_room = match response.body {
        BodyLength::Empty | BodyLength::Framed => true,
        BodyLength::Sized(len) => usize::try_from(len).is_ok_and(|len| len <= len_max),
        // Its end looks like that of one which was cut.
        BodyLength::UntilClose => return Err(NotKept::Unfinished),
    };
    if !has_room {
        return Err(NotKept::TooLarge);
    }
    if fields.all_named(b"content-range").next().is_some() {
        return Err(NotKept::Unfinished);
    }
    freshness(&control, fields, received)
        .filter(|freshness| freshness.time_to_live(received.at).is_some())
        .ok_or(NotKept::NotFresh)
}

/// Whether the cache knows what the status means for others who ask for the same.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 302 | 307 | 308 | 404 | 410)
}

/// Applications that do not know `Cache-Control` say `Pragma: no-cache`.
fn is_forbidden_by_pragma(control: &CacheControl, fields: &Fields) -> bool {
    !control.is_there && vary::tokens(fields, b"pragma").any(|token| token.eq_ignore_ascii_case(b"no-cache"))
}

/// How long an answer is fresh, as it says; none if it does not say.
fn freshness(control: &CacheControl, fields: &Fields, received: Received) -> Option<Freshness> {
    let date = single(fields, b"date").and_then(date_of).unwrap_or(received.wall);
    let expires = || {
        let mut all = fields.all_named(b"expires").peekable();
        all.peek()?;
        // What is no date is in the past, and the earliest counts.
        all.map(|value| date_of(value).and_then(|at| at.duration_since(date).ok()).unwrap_or_default()).min()
    };
    let lifetime = control.s_maxage.or(control.max_age).or_else(expires)?;
    let apparent_age = received.wall.duration_since(date).unwrap_or_default();
    let age_value = single(fields, b"age").map_or(Duration::ZERO, |age| Duration::from_secs(decimal(age)));
    let corrected_age = age_value + received.at.saturating_duration_since(received.asked);
    // RFC 9111, sections 4.2.4 and 5.2.2.10: `s-maxage` forbids what is stale as `proxy-revalidate` does.
    let forbids_stale = control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some();
    let allowed = |time: Option<Duration>| time.filter(|_| !forbids_stale).unwrap_or_default();
    Some(Freshness {
        lifetime,
        initial_age: apparent_age.max(corrected_age),
        received: received.at,
        stale_while_revalidate: allowed(control.stale_while_revalidate),
        stale_if_error: allowed(control.stale_if_error),
    })
}

fn single<'f>(fields: &'f Fields, name: &'f [u8]) -> Option<&'f [u8]> {
    fields.all_named(name).next()
}

/// A number; one that cannot be read makes the answer old.
fn decimal(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(u32::MAX).into()
}

/// A time in any form that HTTP knows.
pub(crate) fn date_of(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sat, 28 Nov 2026 12:00:00 GMT";

    fn received() -> Received {
        let at = Instant::now();
        Received { asked: at, at, wall: date_of(NOW.as_bytes()).expect("a date") }
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut response = ResponseHead { status, body: BodyLength::Sized(7), ..ResponseHead::default() };
        fields.iter().for_each(|(name, value)| response.fields.push(name.as_bytes(), value.as_bytes()));
        response
    }

    fn control(value: &str) -> CacheControl {
        CacheControl::of([value.as_bytes()].into_iter().filter(|value| !value.is_empty()))
    }

    fn judged(status: u16, fields: &[(&str, &str)], audience: Audience) -> Result<u64, NotKept> {
        let received = received();
        let judged = judge(&CacheControl::default(), audience, &response(status, fields), received, 1000);
        judged.map(|freshness| freshness.time_to_live(received.at).expect("fresh").as_secs())
    }

    #[test]
    fn an_answer_is_kept_for_as_long_as_it_says_and_only_if_it_says_so() {
        const CC: &str = "Cache-Control";
        for (status, fields, expected) in [
            (200, &[(CC, "max-age=60")][..], Ok(60)),
            (200, &[(CC, "max-age=60, s-maxage=7")], Ok(7)),
            (200, &[(CC, "s-maxage=7"), (CC, "max-age=60")], Ok(7)),
            (200, &[(CC, "max-age=60"), ("Expires", "Sat, 28 Nov 2026 13:00:00 GMT")], Ok(60)),
            (200, &[("Expires", "Sat, 28 Nov 2026 13:00:00 GMT")], Ok(3600)),
            (200, &[("Expires", "Saturday, 28-Nov-26 13:00:00 GMT")], Ok(3600)),
            (200, &[("Date", "Sat, 28 Nov 2026 12:30:00 GMT"), ("Expires", "Sat, 28 Nov 2026 13:00:00 GMT")], Ok(1800)),
            (200, &[("Date", "Sat, 28 Nov 2026 11:59:50 GMT"), (CC, "max-age=60")], Ok(50)),
            (200, &[("Date", NOW), ("Age", "20"), (CC, "max-age=60")], Ok(40)),
            (200, &[("Date", "Sat, 28 Nov 2026 11:59:50 GMT"), ("Age", "20"), (CC, "max-age=60")], Ok(40)),
            (200, &[(CC, "public, max-age=60")], Ok(60)),
            (200, &[(CC, "max-age=60, must-revalidate")], Ok(60)),
            (200, &[(CC, "max-age=60"), ("Vary", "Accept-Encoding, Cookie")], Ok(60)),
            (200, &[(CC, "max-age=60"), ("Pragma", "no-cache")], Ok(60)),
            (203, &[(CC, "max-age=60")], Ok(60)),
            (301, &[(CC, "max-age=60")], Ok(60)),
            (302, &[(CC, "max-age=60")], Ok(60)),
            (404, &[(CC, "max-age=60")], Ok(60)),
            // No word on freshness, or a bad one.
            (200, &[], Err(NotKept::NotFresh)),
            (200, &[("Last-Modified", "Sat, 28 Nov 2020 12:00:00 GMT"), ("ETag", "\"x\"")], Err(NotKept::NotFresh)),
            (301, &[], Err(NotKept::NotFresh)),
            (200, &[(CC, "public")], Err(NotKept::NotFresh)),
            (200, &[(CC, "public, immutable")], Err(NotKept::NotFresh)),
            (200, &[(CC, "max-age=0")], Err(NotKept::NotFresh)),
            (200, &[(CC, "max-age=60, max-age=0")], Err(NotKept::NotFresh)),
            (200, &[(CC, "max-age=abc")], Err(NotKept::NotFresh)),
            (200, &[(CC, "s-maxage=0, max-age=60")], Err(NotKept::NotFresh)),
            (200, &[("Expires", "0")], Err(NotKept::NotFresh)),
            (200, &[("Expires", "-1"), ("Expires", "Sat, 28 Nov 2026 13:00:00 GMT")], Err(NotKept::NotFresh)),
            (200, &[("Expires", NOW)], Err(NotKept::NotFresh)),
            (200, &[("Age", "60"), (CC, "max-age=60")], Err(NotKept::NotFresh)),
            (200, &[("Age", "x"), (CC, "max-age=60")], Err(NotKept::NotFresh)),
            (200, &[("Date", "Sat, 28 Nov 2026 11:00:00 GMT"), (CC, "max-age=60")], Err(NotKept::NotFresh)),
            // Forbidden.
            (200, &[(CC, "max-age=60, no-store")], Err(NotKept::Forbidden)),
            (200, &[(CC, "max-age=60"), (CC, "NO-STORE")], Err(NotKept::Forbidden)),
            (200, &[(CC, "no-cache, max-age=60")], Err(NotKept::Forbidden)),
            (200, &[(CC, "no-cache=\"x\", max-age=60")], Err(NotKept::Forbidden)),
            (200, &[(CC, "max-age=60, x=\"y")], Err(NotKept::Forbidden)),
            (200, &[("Pragma", "no-cache"), ("Expires", "Sat, 28 Nov 2026 13:00:00 GMT")], Err(NotKept::Forbidden)),
            (200, &[(CC, "private, max-age=60")], Err(NotKept::Private)),
            (200, &[(CC, "private=\"x-user\", s-maxage=60")], Err(NotKept::Private)),
            (200, &[(CC, "public, max-age=60"), ("Set-Cookie", "a=1")], Err(NotKept::Cookie)),
            (200, &[(CC, "public, max-age=60"), ("Vary", "*")], Err(NotKept::Vary)),
            (200, &[(CC, "public, max-age=60"), ("Vary", "Accept"), ("Vary", "X, *")], Err(NotKept::Vary)),
            (200, &[(CC, "max-age=60"), ("Vary", "a,b,c,d,e,f,g,h,i")], Err(NotKept::Vary)),
            (200, &[(CC, "max-age=60"), ("Content-Range", "bytes 0-6/9")], Err(NotKept::Unfinished)),
            (206, &[(CC, "max-age=60")], Err(NotKept::Status)),
            (304, &[(CC, "max-age=60")], Err(NotKept::Status)),
            (401, &[(CC, "max-age=60")], Err(NotKept::Status)),
            (403, &[(CC, "max-age=60")], Err(NotKept::Status)),
            (500, &[(CC, "max-age=60")], Err(NotKept::Status)),
            (299, &[(CC, "max-age=60")], Err(NotKept::Status)),
        ] {
            assert_eq!(judged(status, fields, Audience::Anybody), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn an_answer_for_a_client_who_is_known_is_kept_only_if_it_says_that_it_is_for_all() {
        use Audience::{Anybody, LoggedIn, WithCredentials};
        for (value, anybody, known) in [
            ("max-age=60", true, false),
            ("max-age=60, must-revalidate", true, false),
            ("max-age=60, proxy-revalidate", true, false),
            ("s-maxage=60", true, false),
            ("s-maxage=60, must-revalidate", true, false),
            ("public, max-age=60", true, true),
            ("public, s-maxage=60", true, true),
            ("public, private, max-age=60", false, false),
        ] {
            let kept = |audience| judged(200, &[("cache-control", value)], audience).is_ok();
            let found = [Anybody, WithCredentials, LoggedIn].map(kept);
            assert_eq!(found, [anybody, known, known], "{value}");
        }
    }

    #[test]
    fn what_is_large_or_may_be_cut_or_is_not_to_be_kept_for_the_client_is_not_kept() {
        let mut response = response(200, &[("cache-control", "max-age=60")]);
        let mut judged = |request: &str, body| {
            response.body = body;
            judge(&control(request), Audience::Anybody, &response, received(), 1000).err()
        };
        assert_eq!(judged("", BodyLength::Sized(1000)), None);
        assert_eq!(judged("", BodyLength::Framed), None);
        assert_eq!(judged("", BodyLength::Empty), None);
        assert_eq!(judged("", BodyLength::Sized(1001)), Some(NotKept::TooLarge));
        assert_eq!(judged("", BodyLength::UntilClose), Some(NotKept::Unfinished));
        assert_eq!(judged("no-store", BodyLength::Sized(7)), Some(NotKept::Forbidden));
    }

    #[test]
    fn a_client_may_want_a_younger_answer_and_a_stale_one_needs_a_word_of_the_application() {
        let after = |value: &str, seconds| {
            let received = received();
            let response = response(200, &[("cache-control", value)]);
            let freshness = judge(&CacheControl::default(), Audience::Anybody, &response, received, 1000);
            (freshness.expect("kept"), received.at + Duration::from_secs(seconds))
        };
        for (request, seconds, is_satisfied) in [
            ("", 0, true),
            ("", 59, true),
            ("", 60, false),
            ("no-cache", 0, false),
            ("max-age=0", 0, true),
            ("max-age=0", 1, false),
            ("max-age=30", 30, true),
            ("max-age=30", 31, false),
            ("min-fresh=30", 30, true),
            ("min-fresh=30", 31, false),
            ("max-stale", 60, false),
        ] {
            let (freshness, now) = after("max-age=60", seconds);
            assert_eq!(freshness.satisfies(&control(request), now), is_satisfied, "{request} {seconds}");
        }
        for (value, seconds, meanwhile, on_error) in [
            ("max-age=60", 61, false, false),
            ("max-age=60, stale-while-revalidate=30", 90, true, false),
            ("max-age=60, stale-while-revalidate=30", 91, false, false),
            ("max-age=60, stale-if-error=30", 90, false, true),
            ("max-age=60, stale-if-error=30", 91, false, false),
            ("max-age=60, stale-while-revalidate=30, stale-if-error=30, must-revalidate", 61, false, false),
            ("max-age=60, stale-while-revalidate=30, stale-if-error=30, proxy-revalidate", 61, false, false),
            ("s-maxage=60, stale-while-revalidate=30, stale-if-error=30", 61, false, false),
        ] {
            let (freshness, now) = after(value, seconds);
            assert_eq!(freshness.may_be_stale_meanwhile(now), meanwhile, "{value} {seconds}");
            assert_eq!(freshness.may_replace_error(now), on_error, "{value} {seconds}");
        }
    }
}
