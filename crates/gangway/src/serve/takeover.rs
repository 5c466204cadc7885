//! The start beside something that already listens: the sockets of systemd, or those of a running instance whose
//! place this one takes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use gangway_proxy::PassedSocket;

use super::handover::{Consent, HandoverSecret, Predecessor, Relief, RelievedPredecessor};
use super::instance::Running;
use super::signals::Signals;
use super::socket_activation::{self, SocketActivationError};
use crate::main_process;
use crate::settings::ServeSettings;

/// Sockets that listen already, and the instance that still accepts on them.
#[derive(Default)]
pub(super) struct PassedSockets {
    pub(super) sockets: Vec<PassedSocket>,
    pub(super) predecessor: Option<Predecessor>,
}

impl PassedSockets {
    /// Looks for sockets that systemd passed, otherwise for a running instance.
    pub(super) async fn find(settings: &ServeSettings, secret: &HandoverSecret) -> Result<Self, SocketActivationError> {
        let sockets = socket_activation::sockets()?;
        if !sockets.is_empty() {
            return Ok(Self { sockets, predecessor: None });
        }
        let predecessor = Predecessor::find(settings.public_addresses(), secret, consent(settings)).await;
        let sockets = predecessor.iter().flat_map(|predecessor| &predecessor.sockets);
        let sockets = sockets.map(|socket| PassedSocket { socket: Arc::clone(socket), is_held: false }).collect();
        Ok(Self { sockets, predecessor })
    }

    /// The predecessor's socket for this address.
    pub(super) fn socket(&self, address: SocketAddr) -> Option<Arc<TcpListener>> {
        self.predecessor.as_ref()?.socket(address)
    }
}

fn consent(settings: &ServeSettings) -> Consent {
    if settings.take_over {
        Consent::AnyInstance
    } else if main_process::is_main_process() {
        Consent::OtherContainers
    } else {
        Consent::None
    }
}

/// Why this instance does not serve after all.
pub(super) enum NotInPlace {
    /// It was told to stop before it took connections.
    StoppedBefore,
    /// It was told to stop while it took over. The predecessor sees the connection close and goes on.
    StoppedMeanwhile,
    /// The predecessor goes on, or another successor was faster.
    Refused(&'static str),
}

/// Takes connections as soon as this instance can serve, and relieves the predecessor.
///
/// The result is the relieved predecessor, which may still take back its place.
pub(super) async fn take_place(
    predecessor: Option<Predecessor>,
    instance: &Running,
    signals: &mut Signals,
) -> Result<Option<RelievedPredecessor>, NotInPlace> {
    let Some(predecessor) = predecessor else {
        instance.open();
        return Ok(None);
    };
    tracing::info!(predecessor = predecessor.process, "takes over as soon as a table is in force");
    tokio::select! {
        () = instance.ready() => {}
        () = signals.end() => return Err(NotInPlace::StoppedBefore),
    }
    instance.open();
    let relief = tokio::select! {
        relief = predecessor.relieve() => relief,
        () = signals.end() => return Err(NotInPlace::StoppedMeanwhile),
    };
    match relief {
        Relief::Relieved(relieved) => {
            tracing::info!("has taken over");
            Ok(Some(relieved))
        }
        Relief::Alone(error) => {
            tracing::warn!(%error, "the predecessor does not say that it leaves; this one serves");
            Ok(None)
        }
        Relief::Refused(why) => Err(NotInPlace::Refused(why)),
    }
}
