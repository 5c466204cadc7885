//! Logs the diagnostics about global settings.

use std::convert::Infallible;

use gangway_admin::redacted;
use gangway_diagnostic::{Diagnostic, Severity, printable};
use gangway_publish::Reader;

use crate::settings::reload::ConfigStatus;

/// The maximum number of diagnostics that one change logs; `gangway status` shows all.
const DIAGNOSTICS_MAX: usize = 50;

/// Logs each diagnostic once while it lasts, and when it is resolved.
pub(super) async fn follow(mut config: Reader<ConfigStatus>) -> Infallible {
    let mut logged: Vec<Diagnostic> = Vec::new();
    loop {
        let now = config.load_full().diagnostics.clone();
        for new in now.iter().filter(|found| !logged.contains(found)).take(DIAGNOSTICS_MAX) {
            let shown = redacted(new);
            let label = shown.place.subject();
            let at = shown.place.position().map(ToString::to_string);
            let (code, message) = (shown.code.to_string(), printable(&shown.message));
            match new.severity {
                Severity::Error => tracing::error!(code, label, at, diagnostic = %shown, "{message}"),
                Severity::Warning => tracing::warn!(code, label, at, diagnostic = %shown, "{message}"),
                Severity::Note => tracing::info!(code, label, at, diagnostic = %shown, "{message}"),
            }
        }
        for gone in logged.iter().filter(|found| !now.contains(found)) {
            let shown = redacted(gone);
            let label = shown.place.subject();
            tracing::info!(code = shown.code.to_string(), label, "resolved: {}", printable(&shown.message));
        }
        logged = now;
        if config.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
