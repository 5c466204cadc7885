//! The static configuration → settings of `gangway serve`.

use std::path::{Component, Path};

use crate::config::{AccessLog, AccessLogFormat, LogFormat, LogLevel, StaticConfig};

/// The folder beside `acme.json` in which Gangway keeps what is its own.
const FOLDER: &str = "gangway";

/// Settings of `gangway serve`, by the names of its flags without dashes. Entry points and resolvers are not among them.
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
    let folder = config.resolvers.iter().find_map(|resolver| data_folder(resolver.storage.as_deref()?));
    flags.extend(folder.map(|folder| ("data", folder)));
    flags.extend(config.log.level.map(|level| ("log-level", log_level(level).to_owned())));
    flags.extend(config.log.format.map(|format| ("log-format", log_format(format).to_owned())));
    if let Some(log) = &config.access_log {
        of_access_log(log, &mut flags);
    }
    flags
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
    use crate::config::{DockerProvider, Resolver};

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
        let resolver = Resolver { name: "le".into(), storage: Some("/certs/acme.json".into()), ..Resolver::default() };
        let without = Resolver::default();
        let mut config = StaticConfig {
            docker: Some(DockerProvider { network: Some("proxy".into()), ..DockerProvider::default() }),
            resolvers: vec![without, resolver],
            access_log: Some(AccessLog { format: AccessLogFormat::Json, ..AccessLog::default() }),
            ..StaticConfig::default()
        };
        config.log.level = Some(LogLevel::Debug);
        let shown: Vec<String> = serve_flags(&config).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["network=proxy", "data=/certs/gangway", "log-level=debug", "access-log=-", "access-log-format=traefik",]
        );
        assert_eq!(serve_flags(&StaticConfig::default()), [("docker", "none".to_owned())]);
    }
}
