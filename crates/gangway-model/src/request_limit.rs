//! How much one client may ask for: `rate-limit` and `concurrency`.

use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;

use crate::address_choice::AddressChoice;
use crate::value::{Parsed, duration, wrong};
use gangway_diagnostic::codes;

/// The longest period of a rate.
const PERIOD_MAX: Duration = Duration::from_secs(24 * 3600);

/// The largest number of requests in a period, and the largest burst.
const REQUESTS_MAX: u32 = 1_000_000;

const HELP: &str = "write `100/s`, `30/m burst 60` or `100/s by header X-Api-Key`";

/// How many requests in which time, per client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// As many in each period, spread evenly over it.
    pub requests: NonZeroU32,
    /// More than zero.
    pub period: Duration,
    /// As many at once after a pause.
    pub burst: NonZeroU32,
    /// What tells one client from another.
    pub key: ClientKey,
}

/// What tells one client from another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientKey {
    /// The address; of IPv6 the first 64 bits, which one subscriber has to itself.
    #[default]
    Address,
    /// The value of a field; where there is none, the address.
    Header(HeaderName),
    /// The name by which the client has logged in.
    User,
    /// This address. All whose address is not told are one client.
    AddressBy(AddressChoice),
    /// The host that is asked for: all clients of a host are one.
    Host,
}

/// How many requests may be under way, per client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConcurrencyLimit {
    /// As many at the same time.
    pub requests: NonZeroU32,
    /// What tells one client from another; never a user, who is known later.
    pub key: ClientKey,
}

impl ConcurrencyLimit {
    /// So many of one address.
    pub fn of_address(requests: NonZeroU32) -> Self {
        Self { requests, key: ClientKey::Address }
    }
}

impl RateLimit {
    /// Reads `<requests>/<period> [burst <requests>] [by header <name> | by user]`.
    pub(crate) fn parse(text: &str) -> Parsed<Self> {
        let not = |note: &str| wrong(codes::RATE_LIMIT, text, "is not a rate", note, HELP);
        let mut words = text.split_whitespace();
        let rate = words.next().unwrap_or_default();
        let (requests, period) =
            rate.split_once('/').ok_or_else(|| not("a number of requests, `/` and a period come first"))?;
        let requests = requests_of(requests).ok_or_else(|| not("the number of requests is from 1 to 1,000,000"))?;
        let period =
            period_of(period).ok_or_else(|| not("the period is `s`, `m`, `h`, `d` or a duration up to a day"))?;
        let (mut burst, mut key) = (None, None);
        loop {
            match (words.next(), &burst, &key) {
                (None, ..) => break,
                (Some("burst"), None, _) => {
                    let requests = words.next().and_then(requests_of);
                    burst = Some(requests.ok_or_else(|| not("the burst is a number from 1 to 1,000,000"))?);
                }
                (Some("by"), _, None) => {
                    key = Some(match (words.next(), words.next()) {
                        (Some("address"), None) => ClientKey::Address,
                        (Some("user"), None) => ClientKey::User,
                        (Some("header"), Some(name)) => HeaderName::from_bytes(name.as_bytes())
                            .map(ClientKey::Header)
                            .map_err(|_| not("the name of a header has letters, digits and hyphens only"))?,
                        _ => {
                            return Err(not(
                                "behind `by` stands `address`, `user` or `header` with a name, and nothing else",
                            ));
                        }
                    });
                }
                (Some(_), ..) => return Err(not("only `burst` and `by` can follow, once each")),
            }
        }
        Ok(Self { requests, period, burst: burst.unwrap_or(requests), key: key.unwrap_or_default() })
    }
}

fn requests_of(text: &str) -> Option<NonZeroU32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|requests: &NonZeroU32| is_number && requests.get() <= REQUESTS_MAX)
}

fn period_of(text: &str) -> Option<Duration> {
    let period = match text {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => PERIOD_MAX,
        // A number alone would be seconds, which nobody reads out of `10/5`.
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        _ => duration(text).ok()?,
    };
    (Duration::ZERO < period && period <= PERIOD_MAX).then_some(period)
}

/// Reads a number of requests that one client may have under way.
pub(crate) fn parse_concurrency(text: &str) -> Parsed<NonZeroU32> {
    requests_of(text).ok_or_else(|| {
        let note = "a number from 1 to 1,000,000";
        wrong(codes::NOT_INTEGER, text, "is not a number of requests", note, "write a number, such as `10`")
    })
}

/// The rate as a label would have it.
impl Display for RateLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.requests)?;
        match (self.period.as_secs(), self.period.subsec_millis()) {
            (1, 0) => f.write_str("s")?,
            (60, 0) => f.write_str("m")?,
            (3600, 0) => f.write_str("h")?,
            (86_400, 0) => f.write_str("d")?,
            (seconds, 0) => write!(f, "{seconds}s")?,
            (_, _) => write!(f, "{}ms", self.period.as_millis())?,
        }
        write!(f, " burst {}", self.burst)?;
        self.key.fmt(f)
    }
}

/// As it stands behind a limit; nothing for the address.
impl Display for ClientKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => Ok(()),
            Self::Header(name) => write!(f, " by header {name}"),
            Self::User => f.write_str(" by user"),
            Self::AddressBy(AddressChoice { source, ipv6_len: None }) => write!(f, " by address of {source}"),
            Self::AddressBy(AddressChoice { source, ipv6_len: Some(len) }) => {
                write!(f, " by address of {source}, {len} bits of IPv6")
            }
            Self::Host => f.write_str(" by host"),
        }
    }
}

impl Display for ConcurrencyLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.requests, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_shown() {
        for (written, shown) in [
            ("100/s", "100/s burst 100"),
            ("100/s burst 200", "100/s burst 200"),
            ("  5/m   burst 1", "5/m burst 1"),
            ("10/250ms", "10/250ms burst 10"),
            ("10/90s by user", "10/90s burst 10 by user"),
            ("1/d by address", "1/d burst 1"),
            ("3/1h by header X-Api-Key", "3/h burst 3 by header x-api-key"),
            ("3/60s burst 9 by header X-A", "3/m burst 9 by header x-a"),
        ] {
            let rate = RateLimit::parse(written).expect(written);
            assert_eq!(rate.to_string(), shown, "{written}");
            assert_eq!(RateLimit::parse(shown).expect(shown), rate);
        }
    }

    #[test]
    fn anything_else_is_no_rate() {
        for written in [
            "",
            "100",
            "100/",
            "/s",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "10/5",
            "10/0s",
            "10/2d",
            "1/s burst",
            "1/s burst 0",
            "1/s burst 2 burst 3",
            "1/s by",
            "1/s by ip",
            "1/s by header",
            "1/s by header X Y",
            "1/s by header a:b",
            "1/s by user burst 2",
            "1/s 2",
            "1000001/s",
        ] {
            assert!(RateLimit::parse(written).is_err(), "{written}");
        }
    }
}
