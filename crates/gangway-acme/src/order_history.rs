//! The history of orders for a name, kept on the volume: a process that restarts again and again must not order
//! again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use gangway_tls::UnixTime;
use serde::{Deserialize, Serialize};

use crate::directory_url::DirectoryUrl;
use crate::failure::{Failure, FailureKind};
use crate::storage::safe_name;

/// The folder of the histories on the volume.
pub(crate) const FOLDER: &str = "acme/names/";
const VERSION: u32 = 1;

/// CAs count their certificates over seven days.
const WEEK: Duration = Duration::from_hours(7 * 24);

/// The history of orders for one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OrderHistory {
    /// Failures in a row, by the CA's directory.
    pub(crate) attempts: BTreeMap<DirectoryUrl, Attempts>,
    /// When certificates were issued in the last week.
    pub(crate) issued: Vec<UnixTime>,
    /// Orders that were begun and may still complete, by the CA's directory. An order whose CA cannot serve now is
    /// kept here while the next CA is asked.
    pub(crate) orders: BTreeMap<DirectoryUrl, OpenOrder>,
    /// The CA's suggestion when to renew.
    pub(crate) renewal: Option<Renewal>,
}

/// Failures in a row at one CA.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attempts {
    pub(crate) failures: u32,
    /// The earliest time of the next attempt.
    pub(crate) next: UnixTime,
    pub(crate) last: Option<Failure>,
    /// The next order must omit `replaces`, because the last one was refused for it.
    pub(crate) without_replaces: bool,
}

/// An order that a restart can resume.
#[derive(Clone, PartialEq)]
pub(crate) struct OpenOrder {
    /// The order's URL; empty until the CA has given one.
    pub(crate) url: Box<str>,
    /// The key of the certificate, PEM.
    pub(crate) key: Box<str>,
    pub(crate) begun: UnixTime,
}

/// The CA's suggestion for a certificate (RFC 9773).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Renewal {
    /// The certificate that the suggestion is for.
    pub(crate) id: Box<str>,
    pub(crate) start: UnixTime,
    pub(crate) end: UnixTime,
    /// A page that explains the window.
    pub(crate) explanation: Option<Box<str>>,
    /// The time to ask the CA again.
    pub(crate) ask_again: UnixTime,
}

/// The storage key of a name's history.
pub(crate) fn key_for(name: &str) -> String {
    format!("{FOLDER}{}.json", safe_name(name))
}

impl OrderHistory {
    pub(crate) fn read(text: &str) -> Result<(Box<str>, Self), OrderHistoryError> {
        let file: HistoryFile =
            serde_json::from_str(text).map_err(|error| OrderHistoryError::Damaged(error.to_string()))?;
        if file.version > VERSION {
            return Err(OrderHistoryError::Newer(file.version));
        }
        Ok((file.name.clone().into(), file.into_history()))
    }

    pub(crate) fn write(&self, name: &str) -> String {
        let mut text =
            serde_json::to_string_pretty(&HistoryFile::of(name, self)).expect("text and numbers can always be written");
        text.push('\n');
        text
    }

    /// Notes a failure; `next` is the time of the next attempt. An order that may still complete is kept.
    pub(crate) fn fail(&mut self, directory: &DirectoryUrl, failure: Failure, next: UnixTime) {
        let attempts = self.attempts.entry(directory.clone()).or_default();
        attempts.failures = attempts.failures.saturating_add(1);
        attempts.next = next;
        let is_open = !failure.kind.ends_the_order();
        attempts.last = Some(failure);
        if !is_open {
            self.orders.remove(directory);
        }
        self.drop_unplaced(directory);
    }

    /// Drops an order for which the CA gave no URL: it cannot be resumed, and it looks like an order that was
    /// interrupted. Returns whether there was one.
    pub(crate) fn drop_unplaced(&mut self, directory: &DirectoryUrl) -> bool {
        let is_unplaced = self.orders.get(directory).is_some_and(|order| order.url.is_empty());
        is_unplaced && self.orders.remove(directory).is_some()
    }

    /// Notes a certificate.
    pub(crate) fn succeed(&mut self, now: UnixTime) {
        self.attempts.clear();
        self.orders.clear();
        self.renewal = None;
        self.issued.retain(|time| (now - WEEK..=now).contains(time));
        self.issued.push(now);
    }
}

/// The key stays out of logs.
impl std::fmt::Debug for OpenOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOrder")
            .field("url", &self.url)
            .field("begun", &self.begun.seconds())
            .finish_non_exhaustive()
    }
}

/// The reason why a file is not a history.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum OrderHistoryError {
    #[error("it cannot be read: {0}")]
    Damaged(String),
    #[error("it was written by a later version of gangway (format {0})")]
    Newer(u32),
}

/// The format of the file. Fields may be added; none changes its meaning.
#[derive(Deserialize, Serialize)]
struct HistoryFile {
    version: u32,
    name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attempts: BTreeMap<String, FileAttempts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    issued: Vec<i64>,
    /// The latest order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<FileOrder>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    orders_aside: Vec<FileOrder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewal: Option<FileRenewal>,
}

#[derive(Deserialize, Serialize)]
struct FileAttempts {
    failures: u32,
    next: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    without_replaces: bool,
}

#[derive(Deserialize, Serialize)]
struct FileOrder {
    directory: String,
    url: String,
    key: String,
    begun: i64,
}

#[derive(Deserialize, Serialize)]
struct FileRenewal {
    id: String,
    start: i64,
    end: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    ask_again: i64,
}

impl HistoryFile {
    fn of(name: &str, history: &OrderHistory) -> Self {
        let attempts = history.attempts.iter().map(|(directory, attempts)| {
            let last = attempts.last.as_ref();
            let file = FileAttempts {
                failures: attempts.failures,
                next: attempts.next.seconds(),
                kind: last.map(|failure| failure.kind.as_str().to_owned()),
                detail: last.map(|failure| failure.detail.clone()).unwrap_or_default(),
                without_replaces: attempts.without_replaces,
            };
            (directory.to_string(), file)
        });
        let mut orders: Vec<FileOrder> = history
            .orders
            .iter()
            .map(|(directory, order)| FileOrder {
                directory: directory.to_string(),
                url: order.url.to_string(),
                key: order.key.to_string(),
                begun: order.begun.seconds(),
            })
            .collect();
        orders.sort_by_key(|order| order.begun);
        let order = orders.pop();
        let renewal = history.renewal.as_ref().map(|renewal| FileRenewal {
            id: renewal.id.to_string(),
            start: renewal.start.seconds(),
            end: renewal.end.seconds(),
            explanation: renewal.explanation.as_deref().map(str::to_owned),
            ask_again: renewal.ask_again.seconds(),
        });
        Self {
            version: VERSION,
            name: name.into(),
            attempts: attempts.collect(),
            issued: history.issued.iter().map(|time| time.seconds()).collect(),
            order,
            orders_aside: orders,
            renewal,
        }
    }

    fn into_history(self) -> OrderHistory {
        let attempts = self.attempts.into_iter().map(|(directory, file)| {
            let last = file.kind.map(|kind| Failure::new(FailureKind::parse(&kind), file.detail));
            let FileAttempts { failures, next, without_replaces, .. } = file;
            let next = UnixTime::from_seconds(next);
            (DirectoryUrl::from_volume(directory), Attempts { failures, next, last, without_replaces })
        });
        let orders = self.orders_aside.into_iter().chain(self.order).map(|order| {
            let begun = UnixTime::from_seconds(order.begun);
            let open = OpenOrder { url: order.url.into(), key: order.key.into(), begun };
            (DirectoryUrl::from_volume(order.directory), open)
        });
        let orders = orders.collect();
        let renewal = self.renewal.map(|renewal| Renewal {
            id: renewal.id.into(),
            start: UnixTime::from_seconds(renewal.start),
            end: UnixTime::from_seconds(renewal.end),
            explanation: renewal.explanation.map(Into::into),
            ask_again: UnixTime::from_seconds(renewal.ask_again),
        });
        let issued = self.issued.into_iter().map(UnixTime::from_seconds).collect();
        OrderHistory { attempts: attempts.collect(), issued, orders, renewal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut history = OrderHistory::default();
        history.succeed(at(50));
        history.fail(&"https://ca.test/dir".into(), Failure::new(FailureKind::Dns, "NXDOMAIN"), at(100));
        for (directory, begun) in [("d", at(7)), ("e", at(5))] {
            let order = OpenOrder { url: "u".into(), key: "k".into(), begun };
            history.orders.insert(directory.into(), order);
        }
        history.renewal = Some(Renewal {
            id: "a.b".into(),
            start: at(1),
            end: at(2),
            explanation: Some("https://why.test".into()),
            ask_again: at(3),
        });
        let read = OrderHistory::read(&history.write("a.test")).expect("reads it");
        assert_eq!(read, ("a.test".into(), history));
        assert_eq!(
            OrderHistory::read(&OrderHistory::default().write("a.test")).expect("reads it").1,
            OrderHistory::default()
        );
    }

    #[test]
    fn an_order_as_earlier_versions_wrote_it_is_read() {
        let text = r#"{"version": 1, "name": "a.test",
            "order": {"directory": "d", "url": "u", "key": "k", "begun": 7}}"#;
        let (_, history) = OrderHistory::read(text).expect("reads it");
        let order = OpenOrder { url: "u".into(), key: "k".into(), begun: at(7) };
        assert_eq!(history.orders, BTreeMap::from([("d".into(), order)]));
    }

    #[test]
    fn an_order_stays_open_unless_the_failure_ends_it_or_it_was_never_placed() {
        let cases = [
            ("u", FailureKind::Confused, true),
            ("u", FailureKind::RateLimited, true),
            ("u", FailureKind::WrongAnswer, false),
            ("", FailureKind::Confused, false),
        ];
        for (url, kind, stays) in cases {
            let mut history = OrderHistory::default();
            let order = OpenOrder { url: url.into(), key: "k".into(), begun: at(7) };
            history.orders = ["d", "e"].map(|directory| (directory.into(), order.clone())).into();
            history.fail(&"d".into(), Failure::new(kind, "no"), at(100));
            assert_eq!(history.orders.contains_key(&"d".into()), stays, "`{url}` {kind:?}");
            assert!(history.orders.contains_key(&"e".into()), "another CA's is another CA's");
        }
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let later = OrderHistory::default().write("a.test").replace("\"version\": 1", "\"version\": 9");
        assert_eq!(OrderHistory::read(&later), Err(OrderHistoryError::Newer(9)));
        assert!(matches!(OrderHistory::read("{"), Err(OrderHistoryError::Damaged(_))));
    }

    #[test]
    fn only_the_last_week_is_counted() {
        let mut history = OrderHistory::default();
        for day in 0..10 {
            history.succeed(at(day * 24 * 60 * 60));
        }
        assert_eq!(history.issued.len(), 8);
    }

    #[test]
    fn a_key_is_not_printed() {
        let order = OpenOrder { url: "u".into(), key: "secret".into(), begun: at(7) };
        assert!(!format!("{order:?}").contains("secret"));
    }
}
