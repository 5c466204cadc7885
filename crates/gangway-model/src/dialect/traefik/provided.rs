//! What the configuration and the files of the file provider say to all containers.

use super::constraints::Constraint;
use super::middlewares::Features;
use super::tls_options::TlsOptions;
use super::transports::Transports;
use super::tree::Node;
use crate::go_template::GoTemplate;
use crate::settings::{Settings, TraefikSettings};

/// What the configuration and the files of the file provider say to all containers. It is made once for many.
pub(crate) struct Provided<'s> {
    pub(super) traefik: &'s TraefikSettings,
    pub(super) tls_options: TlsOptions,
    pub(super) transports: Transports,
    /// None where it cannot be read: then no container is ours.
    pub(super) constraint: Option<Constraint>,
    /// The error says why there is none.
    pub(super) default_rule: Result<GoTemplate, String>,
    pub(super) features: Features<'s>,
}

impl<'s> Provided<'s> {
    pub(crate) fn new(traefik: &'s TraefikSettings, settings: &'s Settings) -> Self {
        let root = Node::of_files(&traefik.dynamic);
        let tls_options = root.at(&["tls", "options"]).map(TlsOptions::read).unwrap_or_default();
        let transports = root.at(&["http", "serverstransports"]).map(Transports::read).unwrap_or_default();
        let constraint = Constraint::parse(&traefik.constraints);
        let default_rule = GoTemplate::parse(&traefik.default_rule);
        let default_rule = default_rule.map_err(|error| format!("`defaultRule` cannot be read: {error}"));
        let features = Features {
            plugins: &traefik.plugins,
            geoip: settings.has_geoip,
            crowdsec: settings.has_crowdsec,
            appsec: settings.has_appsec,
        };
        Self { traefik, tls_options, transports, constraint, default_rule, features }
    }
}
