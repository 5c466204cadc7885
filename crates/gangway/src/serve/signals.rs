//! The signals that the process handles.

use std::io;

use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// A signal that was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signal {
    /// SIGTERM, as engines and service managers send it, or SIGINT, as a terminal does.
    End,
    /// SIGHUP: the config file is looked at and the access log is opened anew.
    Hangup,
}

/// Receives signals. The first process of a container must handle them: by default it ignores them and is killed when
/// the engine loses patience.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: SignalStream,
    interrupt: SignalStream,
    hangup: SignalStream,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::Hangup,
        }
    }

    /// Waits for the signal to end. Cancel-safe.
    pub(super) async fn end(&mut self) {
        while self.next().await != Signal::End {}
    }
}
