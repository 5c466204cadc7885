//! The ways in which serving ends: the process was told to stop, or a successor has taken over.

use std::time::Duration;

use gangway_proxy::DataPlane;

use super::instance::Running;
use super::signals::Signals;
use super::supervisor::Supervisor;
use crate::exit_status::ExitStatus;
use crate::main_process;

/// The time for active requests after Gangway was told to stop. Docker kills ten seconds after it asked.
const GRACE: Duration = Duration::from_secs(8);

/// The time for active requests after a successor has taken over. It is long because no engine waits for this process
/// to end.
const DRAIN_TIME: Duration = Duration::from_secs(600);

/// Finishes active requests after the process was told to stop.
pub(super) async fn stop(instance: &Running, signals: &mut Signals) -> ExitStatus {
    let Some(plane) = instance.stop() else { return ExitStatus::Success };
    tracing::info!(grace = GRACE.as_secs(), "told to stop; finishing active requests");
    finish(plane, signals).await
}

/// Finishes active requests of an instance that may not take over.
pub(super) async fn withdraw(instance: &Running) {
    if let Some(plane) = instance.stop() {
        plane.shutdown(GRACE).await;
    }
}

/// Finishes active requests while a successor takes the new ones.
pub(super) async fn drain(instance: &Running, supervisor: &Supervisor, signals: &mut Signals) -> ExitStatus {
    let Some(mut plane) = instance.stop() else { return ExitStatus::Success };
    let was_told_to_stop = tokio::select! {
        () = plane.leave() => false,
        () = tokio::time::sleep(DRAIN_TIME) => false,
        () = signals.end() => true,
    };
    let status = finish(plane, signals).await;
    if !was_told_to_stop && main_process::is_main_process() {
        supervisor.end();
        tracing::info!("waiting to be stopped: if this container ended by itself, the engine might start it again");
        signals.end().await;
    }
    status
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
