//! Logs the diagnostics about global settings.

use std::convert::Infallible;

use gangway_publish::Reader;

use crate::finding_log::FindingLog;
use crate::settings::reload::ConfigStatus;

/// Logs each diagnostic once while it lasts, and when it is resolved.
pub(super) async fn follow(mut config: Reader<ConfigStatus>) -> Infallible {
    let mut log = FindingLog::default();
    loop {
        log.tell(&config.load_full().diagnostics);
        if config.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
