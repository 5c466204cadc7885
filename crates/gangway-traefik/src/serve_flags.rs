//! The static configuration → settings of `gangway serve`.

use std::path::{Component, Path};

use crate::config::{AccessLog, AccessLogFormat, LogFormat, LogLevel, Resolver, StaticConfig};

/// The folder beside `acme.json` in which Gangway keeps what is its own.
const FOLDER: &str = "gangway";

/// Settings of `gangway serve`, by the names of its flags without dashes. Entry points are not among them.
///
/// Gangway has one set of settings for all authorities: those of the first resolver, and the DNS provider of the first
/// that has one. External accounts are not flags: see [`Resolver::kid`] and [`Resolver::hmac`].
pub fn serve_flags(config: &StaticConfig) -> Vec<(&'static str, String)> {
    let mut flags = Vec::new();
    match &config.docker {
        Some(docker) => {
            flags.extend(docker.endpoint.as_deref().map(|endpoint| ("docker", endpoint.to_owned())));
            flags.extend(docker.network.as_deref().map(|network| ("network", network.to_owned())));
        }
        // Without this provider Traefik asks no engine.
        None => flags.push(("docker", "none".to_owned())),
    }
    if let Some(resolver) = config.resolvers.first() {
        of_resolver(resolver, &mut flags);
    }
    let provider = config.resolvers.iter().find_map(|resolver| resolver.dns_provider.as_deref());
    flags.extend(provider.map(|provider| ("acme-dns", provider.to_owned())));
    flags.extend(config.log.level.map(|level| ("log-level", log_level(level).to_owned())));
    flags.extend(config.log.format.map(|format| ("log-format", log_format(format).to_owned())));
    if let Some(log) = &config.access_log {
        of_access_log(log, &mut flags);
    }
    flags
}

fn of_resolver(resolver: &Resolver, flags: &mut Vec<(&'static str, String)>) {
    let Resolver { email, ca_server, ca_certificates, storage, profile, .. } = resolver;
    flags.extend(email.as_deref().map(|email| ("acme-email", email.to_owned())));
    flags.extend(ca_server.as_deref().map(|server| ("acme-ca", server.to_owned())));
    flags.extend(ca_certificates.first().map(|file| ("acme-ca-root", file.display().to_string())));
    flags.extend(profile.as_deref().map(|profile| ("acme-profile", profile.to_owned())));
    flags.extend(storage.as_deref().and_then(data_folder).map(|folder| ("data", folder)));
}

/// The folder beside `acme.json`. None where the file stands at the root or in no folder that is named: such a file is
/// mounted by itself, and what is written beside it would be lost with the container.
fn data_folder(storage: &Path) -> Option<String> {
    let folder = storage.parent()?;
    let is_kept = folder.is_absolute() && folder.components().any(|part| matches!(part, Component::Normal(_)));
    is_kept.then(|| folder.join(FOLDER).display().to_string())
}

fn of_access_log(log: &AccessLog, flags: &mut Vec<(&'static str, String)>) {
    flags.push(("access-log", log.file.as_deref().map_or_else(|| "-".to_owned(), |file| file.display().to_string())));
    let format = match log.format {
        // The lines themselves are written as [`AccessLog`] says; this is for those who ask for the settings.
        AccessLogFormat::Common | AccessLogFormat::GenericClf => "common",
        AccessLogFormat::Json => "traefik",
    };
    flags.push(("access-log-format", format.to_owned()));
}

fn log_level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn log_format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DockerProvider;

    #[test]
    fn what_gangway_keeps_lies_beside_acme_json_where_that_is_kept() {
        let folder = |storage: &str| data_folder(Path::new(storage));
        assert_eq!(folder("/letsencrypt/acme.json").as_deref(), Some("/letsencrypt/gangway"));
        for alone in ["acme.json", "/acme.json", "data/acme.json", "/", ""] {
            assert_eq!(folder(alone), None, "{alone}");
        }
    }

    #[test]
    fn a_configuration_becomes_flags() {
        let resolver = Resolver {
            name: "le".into(),
            email: Some("you@example.org".into()),
            storage: Some("/certs/acme.json".into()),
            ..Resolver::default()
        };
        let with_dns = Resolver { dns_provider: Some("cloudflare".into()), ..Resolver::default() };
        let mut config = StaticConfig {
            docker: Some(DockerProvider { network: Some("proxy".into()), ..DockerProvider::default() }),
            resolvers: vec![resolver, with_dns],
            access_log: Some(AccessLog { format: AccessLogFormat::Json, ..AccessLog::default() }),
            ..StaticConfig::default()
        };
        config.log.level = Some(LogLevel::Debug);
        let shown: Vec<String> = serve_flags(&config).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            [
                "network=proxy",
                "acme-email=you@example.org",
                "data=/certs/gangway",
                "acme-dns=cloudflare",
                "log-level=debug",
                "access-log=-",
                "access-log-format=traefik",
            ]
        );
        assert_eq!(serve_flags(&StaticConfig::default()), [("docker", "none".to_owned())]);
    }
}
