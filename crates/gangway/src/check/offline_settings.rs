//! Global settings, read where Gangway does not run. A file or secret that only its container has is not missed.

use gangway_diagnostic::Diagnostic;
use gangway_watcher::DockerEnvironment;

use crate::settings::{NOT_STARTED, RawSettings, ServeSettings};

/// The settings, and the errors that hold wherever Gangway runs. Where the settings for certificates cannot be used,
/// the others still count.
pub(super) fn read_settings(raw: &RawSettings, docker: &DockerEnvironment) -> (Option<ServeSettings>, Vec<Diagnostic>) {
    let (settings, errors) = ServeSettings::parse(raw, docker);
    let errors = errors.iter().filter(|error| error.holds_everywhere());
    let diagnostics = errors.map(|error| error.diagnostic(NOT_STARTED)).collect();
    let settings = settings.or_else(|| {
        let layer = raw.layer.clone().filtered(|flag| !flag.name.starts_with("acme-"));
        ServeSettings::parse(&RawSettings { layer, ..RawSettings::default() }, docker).0
    });
    (settings, diagnostics)
}
