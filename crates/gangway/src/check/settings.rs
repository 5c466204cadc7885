//! Global settings, judged where Gangway does not run: files and secrets that only its container has are
//! not missed.

use gangway_acme::DnsProvider;
use gangway_model::Diagnostic;
use gangway_watcher::DockerEnvironment;

use crate::settings::{Given, Layer, Layers, NOT_STARTED, Settings};

/// The settings, where those that decide about more than certificates can be used, and what is wrong with any.
pub(super) fn judge(layers: &Layers, docker: &DockerEnvironment) -> (Option<Settings>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let settings = Settings::new(layers, docker, NOT_STARTED, &mut diagnostics);
    diagnostics.retain(|diagnostic| holds_anywhere(diagnostic, &layers.given));
    let settings = settings.or_else(|| {
        let mut given = layers.given.clone();
        given.retain(|name, _| !name.starts_with("acme-"));
        let without = Layers { given, ..Layers::default() };
        Settings::new(&without, docker, NOT_STARTED, &mut Vec::new())
    });
    (settings, diagnostics)
}

/// Whether a finding is one wherever Gangway runs.
fn holds_anywhere(diagnostic: &Diagnostic, given: &Layer) -> bool {
    let name = diagnostic.place.label.trim_start_matches("--").trim_start_matches("GANGWAY_");
    match name.to_ascii_lowercase().replace('_', "-").as_str() {
        "acme-ca-root" => false,
        "acme-ca" => !diagnostic.note.contains("_EAB_"),
        "acme-dns" => !given.get("acme-dns").is_some_and(|given| given.iter().all(is_known_provider)),
        // Without a provider that can be used none counts as given.
        "acme-wildcard" => !(given.contains_key("acme-dns") && diagnostic.message.contains("without")),
        _ => true,
    }
}

fn is_known_provider(given: &Given) -> bool {
    let name = given.text.trim().split('=').next().unwrap_or_default();
    DnsProvider::names().any(|known| known == name)
}
