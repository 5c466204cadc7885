//! Gangway in Traefik's place: Traefik's command line, variables and files become our settings.

pub(crate) mod followed_files;
pub(crate) mod issuing;
mod surroundings;

use std::fs::DirBuilder;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use gangway_acme::AcmeSettings;
use gangway_diagnostic::{Diagnostic, Place, Severity, codes};
use gangway_model::{KnownListener, ListenerProtocol, TraefikSettings};
use gangway_proxy::{ListenerSettings, TrustedProxies};
use gangway_tls::{Bundle, Origin};
use gangway_traefik::{
    EntryPointConfig, Source, StaticConfig, StaticReading, TlsFilePair, model_settings, serve_flags,
};
use gangway_watcher::DockerEnvironment;

use self::followed_files::FollowedFiles;
use self::issuing::Issuing;
use self::surroundings::surroundings;
use crate::pem_file;
use crate::settings::schema::{
    ACME_CA, ACME_CA_ROOT, ACME_DNS, ACME_EMAIL, ACME_PROFILE, ACME_WILDCARD, DATA, DOCKER, FLAGS,
};
use crate::settings::{Layer, ProcessLayer, ServeSettings, SettingOrigin, SettingValue, Surroundings, Times};

/// The name in the certificate for clients that send none. The internal CA signs it.
const WITHOUT_NAME: &str = "gangway.internal";

/// A longer limit is none.
const TIME_MAX: Duration = Duration::from_hours(24);

/// What takes the place of our own settings.
#[derive(Debug)]
pub(crate) struct InTraefiksPlace {
    /// Settings that have a flag of ours.
    flags: Layer,
    /// The entry points.
    listeners: Vec<ListenerSettings>,
    /// For the dialect.
    settings: TraefikSettings,
    /// Pages, access log and metrics.
    surroundings: Surroundings,
    /// The resolvers; none where there is none.
    issuing: Option<Issuing>,
    times: Times,
    files: Option<FollowedFiles>,
    diagnostics: Vec<Diagnostic>,
    said: String,
}

/// What is left of it once settings are made of the rest.
pub(crate) struct Rest {
    /// The files of the file provider.
    pub(crate) files: Option<FollowedFiles>,
    /// What is wrong with the static configuration.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// One line for the log.
    pub(crate) said: String,
}

impl InTraefiksPlace {
    /// What was read, with the files that it names.
    pub(crate) fn of(reading: StaticReading) -> Self {
        let StaticReading { config, source, given: _, in_force, without_effect, diagnostics } = reading;
        let files = config.file.as_ref().map(FollowedFiles::read);
        let dynamic = files.as_ref().map(FollowedFiles::keys).unwrap_or_default();
        let settings = model_settings(&config, &host_name(), dynamic, &|name| std::env::var(name).ok());
        Self {
            flags: flags(&config),
            listeners: listeners(&config),
            surroundings: surroundings(&config, &settings),
            settings,
            issuing: Issuing::of(&config, &issuing::variables),
            times: times(&config),
            files,
            diagnostics: diagnostics.into_iter().collect(),
            said: said(source.as_ref(), in_force, without_effect),
        }
    }

    /// What a table is made of where nothing is served: the entry points, and settings for the dialect.
    pub(crate) fn for_reading(self) -> (Vec<KnownListener>, TraefikSettings) {
        let known = |one: &ListenerSettings| KnownListener { name: one.name.clone(), protocol: one.protocol };
        // Both sides tell applications of the machine, and neither is ours.
        let settings = TraefikSettings { host_name: Box::default(), ..self.settings };
        (self.listeners.iter().map(known).collect(), settings)
    }

    /// As [`readable_below`](Self::readable_below), for an instance that keeps certificates.
    pub(crate) fn usable_below(
        &self,
        variables: &Layer,
        docker: &DockerEnvironment,
        found: &mut Vec<Diagnostic>,
    ) -> ProcessLayer {
        let mut layer = self.readable_below(variables, docker, found);
        let Ok(raw) = layer.read() else { return layer };
        if let Some(data) = raw.layer.get(&DATA).last()
            && let SettingOrigin::Traefik(option) = data.origin
            && let Err(error) = made_writable(Path::new(&data.text))
        {
            layer.remove(&DATA);
            let message = format!("the folder `{}` beside the file cannot be written: {error}", data.text);
            found.push(
                Diagnostic::warning(codes::TRAEFIK_VALUE_UNUSABLE, Place::Name(option.into()), message)
                    .with_help(
                        "mount the folder of the file so that Gangway can write beside it, or set `GANGWAY_DATA`",
                    )
                    .with_effect(format!("certificates are kept in `{}`", DATA.default)),
            );
        }
        layer
    }

    /// The settings that have a flag of ours below those of the `variables`, which are said to Gangway itself, without what
    /// cannot be used: nothing that Traefik would have taken keeps Gangway from starting. Nothing is written.
    pub(crate) fn readable_below(
        &self,
        variables: &Layer,
        docker: &DockerEnvironment,
        found: &mut Vec<Diagnostic>,
    ) -> ProcessLayer {
        let mut layer = ProcessLayer::new(variables.clone(), self.flags.clone());
        let Ok(raw) = layer.read() else { return layer };
        let (_, errors) = ServeSettings::parse(&raw, docker);
        for error in errors.iter().filter(|error| matches!(error.value.origin, SettingOrigin::Traefik(_))) {
            let effect = if *error.flag == DOCKER {
                layer.set(error.flag, SettingValue { text: "none".into(), origin: SettingOrigin::Default });
                "no engine is read"
            } else {
                layer.remove(error.flag);
                "the option is left out"
            };
            found.push(Diagnostic { severity: Severity::Warning, ..error.diagnostic(effect) });
        }
        layer
    }

    /// Puts the rest in force, except where `given` says something else to Gangway itself.
    pub(crate) fn take(self, settings: &mut ServeSettings, given: &Layer) -> Rest {
        let Self { listeners, settings: traefik, surroundings, issuing, times, files, mut diagnostics, said, .. } =
            self;
        (settings.listeners, settings.traefik, settings.times) = (listeners, Some(traefik), times);
        settings.surroundings = surroundings;
        if let Some(Issuing { acme, certificates, accounts, diagnostics: found }) = issuing {
            let ours = &mut settings.acme;
            let is_ours = |flag| given.contains(flag);
            let without_certificate = std::mem::take(&mut ours.without_certificate);
            let before = std::mem::replace(ours, AcmeSettings { without_certificate, ..acme });
            if is_ours(&ACME_CA) {
                (ours.issuers, ours.only_chosen, ours.named) = (before.issuers, before.only_chosen, before.named);
            }
            if is_ours(&ACME_EMAIL) {
                ours.email = before.email;
            }
            if is_ours(&ACME_CA_ROOT) {
                ours.root_pem = before.root_pem;
            }
            if is_ours(&ACME_PROFILE) {
                ours.profile = before.profile;
            }
            if is_ours(&ACME_DNS) {
                ours.dns = before.dns;
            }
            if is_ours(&ACME_WILDCARD) {
                ours.wildcards = before.wildcards;
            }
            (settings.adopted, settings.adopted_accounts) = (certificates, accounts);
            diagnostics.extend(found);
        }
        let default = files.as_ref().and_then(|files| files.tls().default);
        let default = default.and_then(|pair| first_name(&pair));
        // Traefik shows a certificate of its own to a client that sends no name, and serves it.
        settings.default_certificate.get_or_insert_with(|| default.unwrap_or_else(|| WITHOUT_NAME.into()));
        Rest { files, diagnostics, said }
    }
}

/// A name of the certificate, by which it is known as the default one. The task that follows the file reports its faults.
fn first_name(pair: &TlsFilePair) -> Option<Box<str>> {
    let read = |path: &str| pem_file::read(path).ok();
    let bundle =
        Bundle::from_pem(&read(&pair.certificate)?, &read(&pair.key)?, Origin::Folder(pair.certificate.clone()));
    bundle.ok()?.names.into_iter().next()
}

/// Makes the folder, for this user alone, and tries to write into it.
fn made_writable(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let probe = folder.join(".writable");
    drop(std::fs::File::create(&probe)?);
    std::fs::remove_file(probe)
}

/// The settings that have a flag of ours, with the option of Traefik that each comes from.
fn flags(config: &StaticConfig) -> Layer {
    let option = |flag: &str| match flag {
        "docker" => "providers.docker.endpoint",
        "network" => "providers.docker.network",
        "data" => "certificatesResolvers.*.acme.storage",
        "log-level" => "log.level",
        "log-format" => "log.format",
        "access-log" => "accessLog.filePath",
        "access-log-format" => "accessLog.format",
        _ => "the static configuration",
    };
    let mut layer = Layer::default();
    for (name, text) in serve_flags(config) {
        if let Some(flag) = FLAGS.iter().copied().find(|flag| flag.name == name) {
            layer.set(flag, vec![SettingValue { text, origin: SettingOrigin::Traefik(option(name)) }]);
        }
    }
    layer
}

/// The limits of all entry points are one, the longest; zero asks for none, and leaves ours.
fn times(config: &StaticConfig) -> Times {
    let usual = Times::default();
    let given = |time: fn(&EntryPointConfig) -> Option<Duration>| {
        config.longest(time).filter(|time| !time.is_zero()).map(|time| time.min(TIME_MAX))
    };
    Times {
        accept_grace: given(|entry| entry.request_accept_grace).unwrap_or(usual.accept_grace),
        grace: config.longest(|entry| entry.grace).map_or(usual.grace, |time| time.min(TIME_MAX)),
        idle: given(|entry| entry.idle_timeout),
        stalled_read: given(|entry| entry.read_timeout),
        stalled_write: given(|entry| entry.write_timeout),
    }
}

/// The name of this machine or container; empty where it cannot be read.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

fn said(source: Option<&Source>, in_force: usize, without_effect: usize) -> String {
    let source = match source {
        Some(Source::File(file)) => format!("as `{}` says", file.display()),
        Some(Source::Flags) => "as its command line says".to_owned(),
        Some(Source::Variables) => "as its variables say".to_owned(),
        None => "without any option".to_owned(),
    };
    format!("runs in Traefik's place, {source}: {in_force} options are in force, {without_effect} have no effect")
}

fn listeners(config: &StaticConfig) -> Vec<ListenerSettings> {
    let all = || TrustedProxies::parse("0.0.0.0/0, ::/0").unwrap_or_default();
    let listed = |peers: &[Box<str>]| TrustedProxies::parse(&peers.join(",")).unwrap_or_default();
    let trusted = |entry: &EntryPointConfig| if entry.trusts_all { all() } else { listed(&entry.trusted) };
    let of_header = |entry: &EntryPointConfig| {
        let header = entry.proxy_protocol.as_ref();
        header.map(|header| if header.trusts_all { all() } else { listed(&header.trusted) }).unwrap_or_default()
    };
    let listener = config.http_entry_points().map(|(name, entry, address)| ListenerSettings {
        name: name.clone(),
        protocol: ListenerProtocol::Detected,
        addresses: vec![SocketAddr::new(address.ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), address.port)],
        proxy_protocol: of_header(entry),
        trusted_proxies: Some(trusted(entry)),
    });
    listener.collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::PathBuf;

    use gangway_testkit::app::self_signed_pem;

    use super::*;

    fn put(path: &Path, text: &str) {
        File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("ours");
    }

    #[test]
    fn the_name_of_the_default_certificate_is_read_from_small_files_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (certificate, key) = self_signed_pem(&["a.test"]);
        put(&at("key"), &key);
        let name = |certificate: &PathBuf| {
            let text = |path: &PathBuf| path.display().to_string().into_boxed_str();
            first_name(&TlsFilePair { certificate: text(certificate), key: text(&at("key")) })
        };
        put(&at("good"), &certificate);
        assert_eq!(name(&at("good")).as_deref(), Some("a.test"));
        put(&at("large"), &format!("{certificate}{}", "#\n".repeat(1 << 20)));
        assert_eq!(name(&at("large")), None);

        let pipe = at("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it can be run");
        assert!(made.success());
        // The pipe gives a good certificate to its reader.
        let written = pipe.clone();
        let writer = std::thread::spawn(move || put(&written, &certificate));
        assert_eq!(name(&pipe), None);
        assert!(std::fs::read(&pipe).is_ok_and(|read| !read.is_empty()), "nobody has read it before");
        writer.join().expect("it wrote");
    }
}
