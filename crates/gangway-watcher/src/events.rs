//! What an engine says as it happens, reduced to the little that is believed.
//!
//! Events say *that* something changed, never *what*; what is in force always comes from reading. The one
//! exception is that a container was told to end: no reading can tell, and it is the earliest sign there is.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::SystemTime;

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};
use tokio::sync::Notify;

use crate::client::{Cause, EngineError};
use crate::listing::EngineTime;
use crate::request::Budget;
use crate::unix_signal::named;

/// What is asked for. Engines send the rest to nobody: twenty containers with health checks would otherwise
/// make sixty events a second.
///
/// `died`, `remove` are Podman's names; its filters know no others.
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

/// One event as it is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EngineEvent {
    /// Read again: this container, where it is known which.
    Changed { id: Option<Box<str>> },
    /// A container was sent this signal, which changes nothing that a reading could show.
    Signalled { id: Box<str>, signal: Option<u8>, at: Option<EngineTime> },
    /// A container is being stopped; read again.
    Stopping { id: Box<str>, at: Option<EngineTime> },
    /// A container is dead; read again.
    Died { id: Box<str> },
    /// A container has started; read again.
    Started { id: Box<str> },
    /// A container has lost a network; read again.
    Unplugged { id: Option<Box<str>> },
    /// Nothing that concerns us.
    Noise,
}

/// An open stream of events.
pub(crate) struct EventStream {
    stream: Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>,
    /// Renewed with each event: it bounds one event and not the stream.
    budget: Budget,
    /// Arrived before the stream was known to be live.
    early: Option<EngineEvent>,
}

/// Prepares a stream; nothing is asked before it is polled.
pub(crate) fn open(docker: &Docker, since: Option<SystemTime>, budget: Budget) -> EventStream {
    let filters = HashMap::from([("type", vec!["container", "network"]), ("event", ACTIONS.to_vec())]);
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    if let Some(since) = since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        options = options.since(&since.as_secs().to_string());
    }
    EventStream { stream: Box::pin(docker.events(Some(options.build()))), budget, early: None }
}

impl EventStream {
    /// What following them is called where it fails.
    pub(crate) const ACT: &str = "follow the events";

    /// What beginning to is called.
    pub(crate) const SUBSCRIBING: &str = "subscribe to events";

    /// Polls until the engine has begun to answer.
    pub(crate) async fn once_live(mut self, answered: &Notify) -> Result<Self, EngineError> {
        tokio::select! {
            biased;
            () = answered.notified() => Ok(self),
            heard = self.next() => match heard {
                Ok(heard) => {
                    self.early = Some(heard);
                    Ok(self)
                }
                Err(EngineError { cause, .. }) => Err(EngineError { act: Self::SUBSCRIBING, cause }),
            }
        }
    }

    /// The next event. Cancel-safe. An engine that stops talking is an error.
    pub(crate) async fn next(&mut self) -> Result<EngineEvent, EngineError> {
        if let Some(heard) = self.early.take() {
            return Ok(heard);
        }
        let failed = |cause| EngineError { act: Self::ACT, cause };
        match self.stream.next().await {
            Some(Ok(event)) => {
                self.budget.renew();
                Ok(believed(&event))
            }
            Some(Err(error)) => Err(failed(error.into())),
            None => Err(failed(Cause::Ended)),
        }
    }
}

fn believed(event: &EventMessage) -> EngineEvent {
    // As in `health_status: healthy`.
    let action = event.action.as_deref().unwrap_or_default().split(':').next().unwrap_or_default();
    let actor = event.actor.as_ref();
    let id: Box<str> = actor.and_then(|actor| actor.id.as_deref()).unwrap_or_default().into();
    let attribute = |key: &str| actor.and_then(|actor| actor.attributes.as_ref()?.get(key));
    let at = event.time_nano.map(i128::from).or_else(|| event.time.map(|seconds| i128::from(seconds) * 1_000_000_000));
    let at = at.map(EngineTime);
    match action {
        "kill" => EngineEvent::Signalled { id, signal: attribute("signal").and_then(|text| named(text)), at },
        "stop" => EngineEvent::Stopping { id, at },
        "die" | "died" => EngineEvent::Died { id },
        "start" => EngineEvent::Started { id },
        // Of a network; which container, the attributes say.
        "connect" => EngineEvent::Changed { id: attribute("container").map(|id| id.as_str().into()) },
        "disconnect" => EngineEvent::Unplugged { id: attribute("container").map(|id| id.as_str().into()) },
        known if ACTIONS.contains(&known) => EngineEvent::Changed { id: Some(id).filter(|id| !id.is_empty()) },
        // A proxy that passes no filters on gives us these.
        _ => EngineEvent::Noise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(json: &str) -> EngineEvent {
        believed(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn events_of_every_engine_are_understood() {
        let kill = r#"{"Type":"container","Action":"kill","timeNano":7000000001,"time":7,
            "Actor":{"ID":"ab","Attributes":{"signal":"15"}}}"#;
        let at = Some(EngineTime(7_000_000_001));
        assert_eq!(heard(kill), EngineEvent::Signalled { id: "ab".into(), signal: Some(15), at });
        let stop = r#"{"Type":"container","Action":"stop","time":7,"Actor":{"ID":"ab"}}"#;
        assert_eq!(heard(stop), EngineEvent::Stopping { id: "ab".into(), at: Some(EngineTime(7_000_000_000)) });
        let podman = r#"{"Type":"container","Action":"kill","Actor":{"ID":"ab","Attributes":{"podId":""}}}"#;
        assert_eq!(heard(podman), EngineEvent::Signalled { id: "ab".into(), signal: None, at: None });
        let health = r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"ab"}}"#;
        assert_eq!(heard(health), EngineEvent::Changed { id: Some("ab".into()) });
        let network = r#"{"Type":"network","Action":"connect","Actor":{"ID":"ab","Attributes":{"container":"cd"}}}"#;
        assert_eq!(heard(network), EngineEvent::Changed { id: Some("cd".into()) });
        assert_eq!(heard(r#"{"Type":"network","Action":"connect"}"#), EngineEvent::Changed { id: None });
        let of_container = |action: &str| heard(&event_of(action));
        assert_eq!(of_container("start"), EngineEvent::Started { id: "ab".into() });
        assert_eq!(of_container("die"), EngineEvent::Died { id: "ab".into() });
        assert_eq!(of_container("died"), EngineEvent::Died { id: "ab".into() });
        let unplugged = network.replace("connect", "disconnect");
        assert_eq!(heard(&unplugged), EngineEvent::Unplugged { id: Some("cd".into()) });
    }

    fn event_of(action: &str) -> String {
        format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"ab"}}}}"#)
    }

    #[test]
    fn noise_is_noise() {
        for action in ["exec_start: /app hc", "exec_die", "exec_create", "top", "attach", ""] {
            let event = format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"ab"}}}}"#);
            assert_eq!(heard(&event), EngineEvent::Noise, "{action}");
        }
        assert_eq!(heard("{}"), EngineEvent::Noise);
    }
}
