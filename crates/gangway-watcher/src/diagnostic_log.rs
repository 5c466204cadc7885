//! Logs each diagnostic once when it appears, and once when it is resolved.

use gangway_diagnostic::{DiagnosticChanges, Severity, printable};
use tracing::{error, info, warn};

/// The number of lines for one table. A thousand containers with the same mistake must not fill a disk; the API has all
/// diagnostics.
const LINES_MAX: usize = 100;

/// Logs new and resolved diagnostics.
pub(crate) fn log(changes: &DiagnosticChanges) {
    for diagnostic in changes.found.iter().take(LINES_MAX) {
        let (code, place, message) = (diagnostic.code, &diagnostic.place, printable(&diagnostic.message));
        let (container, label, at) = (place.container(), place.subject(), place.position().map(ToString::to_string));
        match diagnostic.severity {
            Severity::Error => error!(%code, container, label, at, %diagnostic, "{message}"),
            Severity::Warning => warn!(%code, container, label, at, %diagnostic, "{message}"),
            Severity::Note => info!(%code, container, label, at, %diagnostic, "{message}"),
        }
    }
    if changes.found.len() > LINES_MAX {
        let more = changes.found.len() - LINES_MAX;
        warn!(more, "more diagnostics than are logged at once; the admin API lists all");
    }
    for diagnostic in changes.resolved.iter().take(LINES_MAX) {
        let (code, place, message) = (diagnostic.code, &diagnostic.place, printable(&diagnostic.message));
        info!(%code, container = place.container(), label = place.subject(), "resolved: {message}");
    }
}
