//! Global settings, judged where Gangway does not run: files and secrets that only its container has are
//! not missed.

use gangway_model::Diagnostic;
use gangway_watcher::DockerEnvironment;

use crate::settings::{NOT_STARTED, RawSettings, ServeSettings};

/// The settings, as far as those can be used that decide about more than certificates, and the errors that hold
/// wherever Gangway runs.
pub(super) fn judge(raw: &RawSettings, docker: &DockerEnvironment) -> (Option<ServeSettings>, Vec<Diagnostic>) {
    let (settings, errors) = ServeSettings::parse(raw, docker);
    let errors = errors.iter().filter(|error| error.holds_everywhere());
    let diagnostics = errors.map(|error| error.diagnostic(NOT_STARTED)).collect();
    let settings = settings.or_else(|| {
        let layer = raw.layer.clone().filtered(|flag| !flag.name.starts_with("acme-"));
        ServeSettings::parse(&RawSettings { layer, ..RawSettings::default() }, docker).0
    });
    (settings, diagnostics)
}
