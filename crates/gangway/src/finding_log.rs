//! Logs diagnostics once while they last, and when they are resolved.

use gangway_admin::redacted;
use gangway_diagnostic::{Diagnostic, Severity, printable};

/// The maximum number of diagnostics that one change logs; `gangway status` shows all.
const DIAGNOSTICS_MAX: usize = 50;

/// What was logged and lasts.
#[derive(Debug, Default)]
pub(crate) struct FindingLog {
    logged: Vec<Diagnostic>,
}

impl FindingLog {
    /// Logs what is new, and what is no more. Returns whether there was anything of that.
    pub(crate) fn tell(&mut self, now: &[Diagnostic]) -> bool {
        if self.logged == now {
            return false;
        }
        for new in now.iter().filter(|found| !self.logged.contains(found)).take(DIAGNOSTICS_MAX) {
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
        for gone in self.logged.iter().filter(|found| !now.contains(found)) {
            let shown = redacted(gone);
            let label = shown.place.subject();
            tracing::info!(code = shown.code.to_string(), label, "resolved: {}", printable(&shown.message));
        }
        self.logged = now.to_vec();
        true
    }
}
