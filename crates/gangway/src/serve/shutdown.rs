//! The ways in which serving ends: the process was told to stop, or a successor has taken over.

use std::time::Duration;

use gangway_otlp::Otlp;
use gangway_proxy::DataPlane;

use super::instance::Running;
use super::signals::Signals;
use super::supervisor::Supervisor;
use crate::exit_status::ExitStatus;
use crate::main_process;
use crate::settings::Times;

/// The time for active requests after a successor has taken over. It is long because no engine waits for this process
/// to end.
const DRAIN_TIME: Duration = Duration::from_secs(600);

/// Finishes active requests after the process was told to stop.
pub(super) async fn stop(instance: &Running, times: Times, otlp: Option<&Otlp>, signals: &mut Signals) -> ExitStatus {
    if !times.accept_grace.is_zero() {
        tracing::info!(grace = times.accept_grace.as_secs(), "told to stop; accepting requests for a while");
        tokio::select! {
            () = tokio::time::sleep(times.accept_grace) => {}
            () = signals.end() => {}
        }
    }
    let Some(plane) = instance.stop() else { return ExitStatus::Success };
    tracing::info!(grace = times.grace.as_secs(), "told to stop; finishing active requests");
    finish(plane, times.grace, otlp, signals).await
}

/// Finishes active requests of an instance that may not take over.
pub(super) async fn withdraw(instance: &Running, times: Times, otlp: Option<&Otlp>) {
    if let Some(plane) = instance.stop() {
        end(plane, times.grace, otlp).await;
    }
}

/// Finishes active requests while a successor takes the new ones.
pub(super) async fn drain(
    instance: &Running,
    supervisor: &Supervisor,
    times: Times,
    otlp: Option<&Otlp>,
    signals: &mut Signals,
) -> ExitStatus {
    let Some(mut plane) = instance.stop() else { return ExitStatus::Success };
    let was_told_to_stop = tokio::select! {
        () = plane.leave() => false,
        () = tokio::time::sleep(DRAIN_TIME) => false,
        () = signals.end() => true,
    };
    let status = finish(plane, times.grace, otlp, signals).await;
    if !was_told_to_stop && main_process::is_main_process() {
        supervisor.end();
        tracing::info!("waiting to be stopped: if this container ended by itself, the engine might start it again");
        signals.end().await;
    }
    status
}

/// Ends the data plane, and tells the collector of the last requests.
async fn end(plane: DataPlane, grace: Duration, otlp: Option<&Otlp>) {
    plane.shutdown(grace).await;
    if let Some(otlp) = otlp {
        otlp.flush().await;
    }
}

async fn finish(plane: DataPlane, grace: Duration, otlp: Option<&Otlp>, signals: &mut Signals) -> ExitStatus {
    tokio::select! {
        () = end(plane, grace, otlp) => {
            tracing::info!("stopped");
            ExitStatus::Success
        }
        () = signals.end() => {
            tracing::warn!("told to stop again; cutting active requests");
            ExitStatus::Problem
        }
    }
}
