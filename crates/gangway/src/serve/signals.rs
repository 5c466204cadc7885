//! What the system tells the process.

use std::io;

use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// What was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signal {
    /// SIGTERM, as engines and service managers send it, or SIGINT, as a terminal does.
    End,
    /// SIGHUP: look at files again.
    Hangup,
}

/// Takes signals instead of dying of them. The first process of a container dies of none by itself, and
/// would be killed after the engine's patience.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Listener,
    interrupt: Listener,
    hangup: Listener,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::Hangup,
        }
    }

    /// Waits until told to end.
    pub(super) async fn end(&mut self) {
        while self.next().await != Signal::End {}
    }
}
