//! The engine's stream of events, reduced to what Gangway acts upon.
//!
//! Events say *that* something changed, never *what*; the table always comes from reading. The one exception is that a
//! container was asked to stop: no listing shows it, and it is the earliest sign of the stop.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::SystemTime;

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};
use tokio::sync::Notify;

use crate::engine_error::{Cause, EngineError};
use crate::event_counts::{EventAction, EventCounts};
use crate::listing::EngineTime;
use crate::request::ReadBudget;
use crate::unix_signal;

/// The actions that are asked for. Without this filter, twenty containers with health checks would make sixty events a
/// second.
///
/// `died` and `remove` are Podman's names; its filters know no others.
const ACTIONS: &[&str] = &[
    "start",
    "die",
    "died",
    "kill",
    "stop",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "remove",
    "health_status",
    "connect",
    "disconnect",
];

/// One event, as far as Gangway acts upon it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EngineEvent {
    /// Something about this container changed, or about one that the event does not name. Read it again.
    Changed { id: Option<Box<str>> },
    /// A container was sent this signal. No listing shows a difference until the container is dead.
    Signalled { id: Box<str>, signal: Option<u8>, at: Option<EngineTime> },
    /// A container is being stopped. Read it again.
    StopRequested { id: Box<str>, at: Option<EngineTime> },
    /// A container is dead. Read it again.
    Died { id: Box<str> },
    /// A container has started. Read it again.
    Started { id: Box<str> },
    /// A container was disconnected from a network. Read it again.
    NetworkDisconnected { id: Option<Box<str>> },
    /// An event that does not concern Gangway.
    Ignored,
}

/// An open stream of events.
pub(crate) struct EventStream {
    stream: Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>,
    /// Renewed with each event, so that it bounds one event and not the stream.
    budget: ReadBudget,
    counts: EventCounts,
    /// An event that arrived before the stream was known to be live.
    early: Option<EngineEvent>,
}

/// Prepares a stream, whose events are counted. The request is sent when the stream is polled first.
pub(crate) fn open(docker: &Docker, since: Option<SystemTime>, budget: ReadBudget, counts: EventCounts) -> EventStream {
    let filters = HashMap::from([("type", vec!["container", "network"]), ("event", ACTIONS.to_vec())]);
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    if let Some(since) = since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        options = options.since(&since.as_secs().to_string());
    }
    EventStream { stream: Box::pin(docker.events(Some(options.build()))), budget, counts, early: None }
}

impl EventStream {
    /// The act of an error of [`Self::next`].
    pub(crate) const ACT: &str = "follow the events";

    /// The act of an error while subscribing.
    pub(crate) const SUBSCRIBING: &str = "subscribe to events";

    /// Polls the stream until the engine has begun to answer.
    pub(crate) async fn once_live(mut self, answered: &Notify) -> Result<Self, EngineError> {
        tokio::select! {
            biased;
            () = answered.notified() => Ok(self),
            event = self.next() => match event {
                Ok(event) => {
                    self.early = Some(event);
                    Ok(self)
                }
                Err(EngineError { cause, .. }) => Err(EngineError { act: Self::SUBSCRIBING, cause }),
            }
        }
    }

    /// Waits for the next event. Cancel-safe. The end of the stream is an error.
    pub(crate) async fn next(&mut self) -> Result<EngineEvent, EngineError> {
        if let Some(event) = self.early.take() {
            return Ok(event);
        }
        let failed = |cause| EngineError { act: Self::ACT, cause };
        match self.stream.next().await {
            Some(Ok(event)) => {
                self.budget.renew();
                let action = action(&event);
                self.counts.add(action);
                Ok(interpret(action, &event))
            }
            Some(Err(error)) => Err(failed(error.into())),
            None => Err(failed(Cause::Ended)),
        }
    }
}

fn action(event: &EventMessage) -> EventAction {
    // Some actions have details, as in `health_status: healthy`.
    EventAction::named(event.action.as_deref().unwrap_or_default().split(':').next().unwrap_or_default())
}

fn interpret(action: EventAction, event: &EventMessage) -> EngineEvent {
    let actor = event.actor.as_ref();
    let id: Box<str> = actor.and_then(|actor| actor.id.as_deref()).unwrap_or_default().into();
    let attribute = |key: &str| actor.and_then(|actor| actor.attributes.as_ref()?.get(key));
    let at = event.time_nano.map(i128::from).or_else(|| event.time.map(|seconds| i128::from(seconds) * 1_000_000_000));
    let at = at.map(EngineTime);
    match action {
        EventAction::Kill => {
            EngineEvent::Signalled { id, signal: attribute("signal").and_then(|text| unix_signal::parse(text)), at }
        }
        EventAction::Stop => EngineEvent::StopRequested { id, at },
        EventAction::Die => EngineEvent::Died { id },
        EventAction::Start => EngineEvent::Started { id },
        // Events of a network name the container in their attributes.
        EventAction::Connect => EngineEvent::Changed { id: attribute("container").map(|id| id.as_str().into()) },
        EventAction::Disconnect => {
            EngineEvent::NetworkDisconnected { id: attribute("container").map(|id| id.as_str().into()) }
        }
        EventAction::Pause
        | EventAction::Unpause
        | EventAction::Rename
        | EventAction::Update
        | EventAction::Destroy
        | EventAction::HealthStatus => EngineEvent::Changed { id: Some(id).filter(|id| !id.is_empty()) },
        EventAction::Other => EngineEvent::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> EngineEvent {
        let event = serde_json::from_str(json).unwrap();
        interpret(action(&event), &event)
    }

    #[test]
    fn events_of_every_engine_are_understood() {
        let kill = r#"{"Type":"container","Action":"kill","timeNano":7000000001,"time":7,
            "Actor":{"ID":"ab","Attributes":{"signal":"15"}}}"#;
        let at = Some(EngineTime(7_000_000_001));
        assert_eq!(event(kill), EngineEvent::Signalled { id: "ab".into(), signal: Some(15), at });
        let stop = r#"{"Type":"container","Action":"stop","time":7,"Actor":{"ID":"ab"}}"#;
        assert_eq!(event(stop), EngineEvent::StopRequested { id: "ab".into(), at: Some(EngineTime(7_000_000_000)) });
        let podman = r#"{"Type":"container","Action":"kill","Actor":{"ID":"ab","Attributes":{"podId":""}}}"#;
        assert_eq!(event(podman), EngineEvent::Signalled { id: "ab".into(), signal: None, at: None });
        let health = r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"ab"}}"#;
        assert_eq!(event(health), EngineEvent::Changed { id: Some("ab".into()) });
        let network = r#"{"Type":"network","Action":"connect","Actor":{"ID":"ab","Attributes":{"container":"cd"}}}"#;
        assert_eq!(event(network), EngineEvent::Changed { id: Some("cd".into()) });
        assert_eq!(event(r#"{"Type":"network","Action":"connect"}"#), EngineEvent::Changed { id: None });
        let of_container = |action: &str| event(&event_of(action));
        assert_eq!(of_container("start"), EngineEvent::Started { id: "ab".into() });
        assert_eq!(of_container("die"), EngineEvent::Died { id: "ab".into() });
        assert_eq!(of_container("died"), EngineEvent::Died { id: "ab".into() });
        let disconnected = network.replace("connect", "disconnect");
        assert_eq!(event(&disconnected), EngineEvent::NetworkDisconnected { id: Some("cd".into()) });
    }

    fn event_of(action: &str) -> String {
        format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"ab"}}}}"#)
    }

    #[test]
    fn each_action_that_is_asked_for_is_known() {
        for name in ACTIONS {
            assert_ne!(EventAction::named(name), EventAction::Other, "{name}");
        }
    }

    #[test]
    fn events_of_other_kinds_are_ignored() {
        for action in ["exec_start: /app hc", "exec_die", "exec_create", "top", "attach", ""] {
            let written = format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"ab"}}}}"#);
            assert_eq!(event(&written), EngineEvent::Ignored, "{action}");
        }
        assert_eq!(event("{}"), EngineEvent::Ignored);
    }
}
