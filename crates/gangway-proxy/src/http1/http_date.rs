//! The date and time of a response, as text.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A time in the form of the field `Date` (RFC 9110, section 5.6.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DateText([u8; 29]);

impl DateText {
    /// The current time. The text is made at most once a second a thread; `now` says whether it is fresh, so that the
    /// wall clock is not asked for each response.
    pub(crate) fn at(now: Instant) -> Self {
        thread_local! {
            /// The text, and how long it is fresh.
            static LAST: Cell<Option<(Instant, DateText)>> = const { Cell::new(None) };
        }
        if let Some((fresh_until, text)) = LAST.get()
            && now < fresh_until
        {
            return text;
        }
        let wall = SystemTime::now();
        let text = Self::of(wall);
        let in_second = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        LAST.set(Some((now + (Duration::from_secs(1) - Duration::from_nanos(in_second.into())), text)));
        text
    }

    /// The text of a time.
    pub(crate) fn of(time: SystemTime) -> Self {
        let mut text = [b' '; 29];
        // It fits for all years up to 9999.
        let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(time));
        Self(text)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_text_is_made_anew_after_a_second_at_most() {
        let now = Instant::now();
        let first = DateText::at(now);
        assert_eq!(DateText::at(now), first);
        assert!(httpdate::parse_http_date(std::str::from_utf8(first.as_bytes()).expect("ASCII")).is_ok());
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(DateText::of(at).as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
