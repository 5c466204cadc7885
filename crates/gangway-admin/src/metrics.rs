//! `GET /metrics`: what was counted on the way, and what is so at the moment of asking.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gangway_model::{Compiled, Diagnostic};
use gangway_publish::Generation;
use gangway_tls::Origin;
use prometheus::{Registry, TextEncoder};

use crate::instance::{Certificates, Engine, Instance, Phase};
use crate::process;

/// What one answer is made of.
pub(crate) struct Moment<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) instance: &'a dyn Instance,
    pub(crate) compiled: &'a Compiled,
    pub(crate) generation: Generation,
    pub(crate) diagnostics: &'a [Diagnostic],
    pub(crate) version: &'a str,
}

/// The whole text.
pub(crate) fn text(moment: &Moment<'_>) -> String {
    let counted = TextEncoder::new().encode_to_string(&moment.registry.gather());
    let mut page = Page(counted.unwrap_or_else(|error| {
        tracing::error!(%error, "failed to write the metrics");
        String::new()
    }));
    let ready = moment.instance.phase() == Phase::Serving;
    page.one("gangway_build_info", "The version in use.", &[("version", moment.version)], 1.0);
    page.one("gangway_ready", "Whether a table is in force.", &[], f64::from(u8::from(ready)));
    page.one("gangway_table_generation", "How often the table was replaced.", &[], moment.generation.count() as f64);
    page.one("gangway_routes", "Routes in force.", &[], moment.compiled.table.routes().len() as f64);
    page.one("gangway_containers", "Containers that were read.", &[], moment.compiled.containers.len() as f64);
    if let Some((_, in_force)) = moment.instance.config() {
        let help = "Whether the config file is in force as it stands.";
        page.one("gangway_config_in_force", help, &[], f64::from(u8::from(in_force)));
    }
    page.diagnostics(moment.diagnostics);
    page.engines(&moment.instance.engines());
    page.certificates(&moment.instance.certificates());
    for (name, kind, help, value) in process::figures() {
        page.head(name, kind, help);
        page.line(name, &[], value);
    }
    page.0
}

/// Text in Prometheus' format.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0 += name;
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.head(name, "gauge", help);
        self.line(name, labels, value);
    }

    fn diagnostics(&mut self, diagnostics: &[Diagnostic]) {
        let mut counts = BTreeMap::new();
        for diagnostic in diagnostics {
            *counts.entry((diagnostic.code, diagnostic.severity)).or_insert(0u32) += 1;
        }
        self.head("gangway_diagnostics", "gauge", "Findings about labels, certificates and settings.");
        for ((code, severity), count) in counts {
            let labels = [("code", &*code.to_string()), ("severity", severity.as_str())];
            self.line("gangway_diagnostics", &labels, f64::from(count));
        }
    }

    fn engines(&mut self, engines: &[Engine]) {
        type Figure = (&'static str, &'static str, &'static str, fn(&Engine) -> f64);
        const FIGURES: &[Figure] = &[
            ("gangway_engine_up", "gauge", "Whether the engine can be read.", |engine| {
                f64::from(u8::from(engine.trouble.is_none()))
            }),
            ("gangway_engine_containers", "gauge", "Containers in the last good read.", |engine| {
                engine.containers as f64
            }),
            ("gangway_engine_reads_total", "counter", "Full reads.", |engine| engine.reads as f64),
            ("gangway_engine_read_failures_total", "counter", "Reads that failed.", |engine| engine.failures as f64),
        ];
        for (name, kind, help, value) in FIGURES {
            self.head(name, kind, help);
            for engine in engines {
                self.line(name, &[("engine", &engine.name)], value(engine));
            }
        }
        let name = "gangway_engine_reaction_seconds";
        self.head(name, "gauge", "From an event to the table it led to, over the latest thousand.");
        for engine in engines {
            for (part, spread) in [("whole", engine.reaction.whole), ("ours", engine.reaction.ours)] {
                for (quantile, time) in [("0.5", spread.median), ("0.99", spread.p99)] {
                    let labels = [("engine", engine.name.as_str()), ("part", part), ("quantile", quantile)];
                    self.line(name, &labels, time.as_secs_f64());
                }
            }
        }
    }

    fn certificates(&mut self, certificates: &Certificates) {
        let name = "gangway_certificate_expiry_seconds";
        self.head(name, "gauge", "When the certificate for a name ends, in seconds since the epoch.");
        // Two files may hold a certificate for one name, and one series must not be there twice.
        let mut ends = BTreeMap::new();
        for certificate in &certificates.list {
            if let Some(origin) = certificate.origin.as_ref().filter(|_| certificate.is_there()) {
                let end = ends.entry((certificate.name.as_str(), origin_class(origin))).or_insert(i64::MIN);
                *end = certificate.not_after.max(*end);
            }
        }
        for ((subject, origin), end) in ends {
            self.line(name, &[("name", subject), ("origin", origin)], end as f64);
        }
        let troubled = certificates.list.iter().filter(|one| one.trouble.is_some()).count();
        self.one(
            "gangway_certificates_in_trouble",
            "Names whose certificate is wrong or missing.",
            &[],
            troubled as f64,
        );
        if let Some(counts) = certificates.on_demand {
            let name = "gangway_on_demand_total";
            self.head(name, "counter", "Decisions about certificates for hosts that no route names.");
            let outcomes = [
                ("allowed", counts.allowed),
                ("refused", counts.refused),
                ("unanswered", counts.unknown),
                ("overrun", counts.overrun),
            ];
            for (outcome, count) in outcomes {
                self.line(name, &[("outcome", outcome)], count as f64);
            }
        }
        let degraded = f64::from(u8::from(certificates.degraded));
        self.one("gangway_volume_degraded", "Whether the volume cannot be written.", &[], degraded);
    }
}

fn origin_class(origin: &Origin) -> &'static str {
    match origin {
        Origin::Placeholder => "placeholder",
        Origin::Internal => "internal",
        Origin::Acme => "acme",
        Origin::Folder(_) => "folder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_labels_cannot_end_them() {
        let mut page = Page(String::new());
        page.line("x", &[("a", "b\"c\\d\ne"), ("f", "g")], 1.5);
        assert_eq!(page.0, "x{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 1.5\n");
    }
}
