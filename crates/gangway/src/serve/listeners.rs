//! Has the listeners follow the config file: opens those that come, closes those that go, and leaves the others alone.

use std::convert::Infallible;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Severity, codes};
use gangway_model::{ListenerName, Settings};
use gangway_proxy::{BoundListener, ListenAddresses, ListenerFailure, ListenerManager, StartError};
use gangway_publish::{Publisher, Reader};
use tokio::time::sleep;

use super::log;
use crate::finding_log::FindingLog;
use crate::settings::schema::LISTEN;
use crate::settings::{SettingMessage, WantedListeners};

/// When a listener that could not be opened is tried again. What kept it is mostly a process that ends.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What follows from the listeners that are open.
pub(super) struct ListenerOutputs {
    /// The settings of the model, which know them.
    pub(super) settings: Publisher<Settings>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// Follows what the config file asks for, for ever.
pub(super) async fn follow(
    manager: ListenerManager,
    mut wanted: Reader<WantedListeners>,
    mut settings: Reader<Settings>,
    mut outputs: ListenerOutputs,
) -> Infallible {
    let (listening, published) = (manager.listening(), outputs.settings.reader());
    let mut log = FindingLog::default();
    loop {
        let asked = wanted.load_full();
        let before = listening.load_full();
        let failures = manager.open(&asked.listeners);
        let now = listening.load_full();
        tell_difference(&before, &now);
        if let Some(failures) = &failures {
            let findings = failures.iter().filter_map(|failure| diagnostic(failure, &asked, &now));
            let findings: Vec<Diagnostic> = findings.collect();
            if log.tell(&findings) {
                outputs.findings.publish(findings);
            }
        }
        // A table knows a listener before its first connection is accepted.
        let with_listeners = knowing(Settings::clone(&settings.load()), &now);
        if *published.load() != with_listeners {
            outputs.settings.publish(with_listeners);
        }
        manager.settle().await;
        let is_done = failures.is_some_and(|failures| failures.is_empty());
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return std::future::pending().await },
            changed = settings.changed() => if changed.is_err() { return std::future::pending().await },
            () = sleep(TRY_AGAIN), if !is_done => {}
        }
    }
}

/// The settings of the model, with the listeners that are open.
fn knowing(mut settings: Settings, listening: &ListenAddresses) -> Settings {
    settings.listeners = listening.0.iter().map(|listener| listener.known.clone()).collect();
    settings.own_listeners.public = listening.all().collect();
    settings
}

/// Logs what was opened and closed.
fn tell_difference(before: &ListenAddresses, now: &ListenAddresses) {
    let is_in = |all: &ListenAddresses, one: &BoundListener| {
        all.0.iter().any(|other| other.known == one.known && other.addresses == one.addresses)
    };
    for closed in before.0.iter().filter(|closed| !now.0.iter().any(|one| one.known.name == closed.known.name)) {
        tracing::info!(listener = %closed.known.name, at = log::list(&closed.addresses), "no longer listening");
    }
    for open in now.0.iter().filter(|open| !open.addresses.is_empty() && !is_in(before, open)) {
        let (name, protocol) = (&open.known.name, open.known.protocol.word());
        tracing::info!(listener = %name, protocol, at = log::list(&open.addresses), "listening");
    }
}

/// What is said about a listener that is not as its table says. Flags do not change, so there is always a table.
fn diagnostic(failure: &ListenerFailure, asked: &WantedListeners, now: &ListenAddresses) -> Option<Diagnostic> {
    let table =
        asked.tables.iter().find(|table| ListenerName::parse(&table.name.text).as_ref() == Some(&failure.name))?;
    let name = &failure.name;
    let effect = match now.of(name) {
        [] => format!("`{name}` is not open: routes that are kept to it are served nowhere"),
        open => format!("`{name}` stays as it was, at {}", log::list(open)),
    };
    let help = match &failure.cause {
        StartError::Overlap { .. } => {
            "take another port, or free the address where that listener is to go; where one of the two addresses includes the \
             other, restart Gangway when it suits you"
        }
        StartError::Bind { .. }
        | StartError::Unasked { .. }
        | StartError::WiderThanAsked { .. }
        | StartError::Sockets(_)
        | StartError::AccessLog { .. }
        | StartError::Thread(_) => "free the address, or write another one; it is tried again every two seconds",
    };
    let message = SettingMessage {
        message: format!("listener `{name}` cannot be opened"),
        note: failure.cause.to_string(),
        help: help.into(),
        effect,
    };
    Some(table.name.diagnostic(&LISTEN, codes::LISTENER_NOT_OPENED, Severity::Error, message))
}
