//! How it ends: told to by whoever started us, or because a successor has taken over.

use std::time::Duration;

use gangway_proxy::DataPlane;

use super::signals::Signals;
use super::supervisor::Supervisor;
use crate::exit_status::ExitStatus;
use crate::main_process;

/// For requests under way when we are told to end. Docker kills ten seconds after it asked.
pub(super) const GRACE: Duration = Duration::from_secs(8);

/// What is under way when a successor has taken over may go on for so long: nobody waits for us to end.
const LEAVING_TIME: Duration = Duration::from_secs(600);

/// Finishes what is under way within the time that we have.
pub(super) async fn end(plane: DataPlane, signals: &mut Signals) -> ExitStatus {
    tracing::info!(grace = GRACE.as_secs(), "told to stop; finishing active requests");
    finish(plane, signals).await
}

async fn finish(plane: DataPlane, signals: &mut Signals) -> ExitStatus {
    tokio::select! {
        () = plane.shutdown(GRACE) => {
            tracing::info!("stopped");
            ExitStatus::Success
        }
        () = signals.end() => {
            tracing::warn!("told to stop again; cutting active requests");
            ExitStatus::Problem
        }
    }
}

/// Finishes what is under way while a successor takes what is new.
pub(super) async fn leave(mut plane: DataPlane, supervisor: &Supervisor, signals: &mut Signals) -> ExitStatus {
    let is_told = tokio::select! {
        () = plane.leave() => false,
        () = tokio::time::sleep(LEAVING_TIME) => false,
        () = signals.end() => true,
    };
    let outcome = finish(plane, signals).await;
    if !is_told && main_process::is_main_process() {
        supervisor.end();
        tracing::info!("waiting to be stopped: if this container ended by itself, the engine might start it again");
        signals.end().await;
    }
    outcome
}
