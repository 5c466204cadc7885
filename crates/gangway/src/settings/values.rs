//! Given texts become types here, and nobody looks at the texts again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gangway_acme::{AcmeSettings, ChallengeKind, DnsProvider, DnsSettings, ExternalAccount, Issuer, UnusableProvider};
use gangway_model::select::{NotASelector, Selector};
use gangway_model::settings::{Expose, FileRoute, KEEP_HOSTS_DEFAULT, OwnListeners};
use gangway_model::{Diagnostic, Hostname, Severity, codes};
use gangway_proxy::TrustedProxies;
use gangway_watcher::{DockerEnvironment, Engine};

use super::schema::{Count, FLAGS, Flag, Status, flag};
use super::{Given, Layers, Wording};

/// Everything that `serve` was told, except routes.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) https: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    /// Whether the place of another instance is taken.
    pub(crate) take_over: bool,
    /// Engines; none for file routes only.
    pub(crate) docker: Vec<Engine>,
    pub(crate) data: PathBuf,
    pub(crate) domain: Box<str>,
    pub(crate) expose: Expose,
    pub(crate) network: Option<Box<str>>,
    pub(crate) select: Vec<Selector>,
    pub(crate) keep_hosts: Duration,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) public_https_port: Option<u16>,
    pub(crate) default_certificate: Option<Box<str>>,
    pub(crate) acme: AcmeSettings,
    /// Who is asked whether a host that no route names may have a certificate.
    pub(crate) on_demand: Option<Box<str>>,
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
    pub(crate) access_log: AccessLog,
    pub(crate) access_log_format: gangway_proxy::AccessLogFormat,
}

/// `--log-level`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// `--access-log`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum AccessLog {
    #[default]
    Off,
    Stdout,
    File(PathBuf),
}

/// How we show that a name is ours, the preferred way first. Plain HTTP also works where somebody else ends
/// TLS before us.
const CHALLENGES: &[ChallengeKind] = &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01];

/// Why a value is none: what the caret says, and something to do.
struct Wrong {
    note: String,
    help: String,
}

fn wrong<T>(note: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { note: note.into(), help: help.into() })
}

impl Settings {
    /// None where a value cannot be used, and `effect` is what becomes of that.
    pub(crate) fn new(
        layers: &Layers,
        docker: &DockerEnvironment,
        effect: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut values = Values { layers, effect, diagnostics, failed: false };
        let settings = Self {
            http: values.many("http", address),
            https: values.many("https", address),
            admin: values.one("admin", address).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8420))),
            take_over: values.one("take-over", truth).unwrap_or_default(),
            docker: engines(&mut values, docker),
            data: values.one("data", path).unwrap_or_default(),
            domain: values.one("domain", host).unwrap_or_default(),
            expose: values.one("expose", expose).unwrap_or_default(),
            network: values.one("network", |text| Ok(text.into())),
            select: values.whole("select", selector),
            keep_hosts: values.one("keep-hosts", duration).unwrap_or(KEEP_HOSTS_DEFAULT),
            trusted_proxies: trusted_proxies(&mut values),
            public_https_port: values.one("public-https-port", port),
            default_certificate: values.one("default-cert", host),
            acme: AcmeSettings {
                issuers: values.many("acme-ca", issuer),
                email: values.one("acme-email", email),
                root_pem: values.one("acme-ca-root", pem_file),
                profile: values.one("acme-profile", |text| Ok(text.into())),
                wildcards: values.many("acme-wildcard", wildcard),
                challenges: CHALLENGES.to_vec(),
                dns: values.one("acme-dns", dns_provider),
                plain_refused: values.one("no-plain-fallback", truth).unwrap_or_default(),
            },
            on_demand: values.one("on-demand", ask_url),
            log_level: values.one("log-level", log_level).unwrap_or_default(),
            log_format: values.one("log-format", log_format).unwrap_or_default(),
            access_log: values.one("access-log", access_log).unwrap_or_default(),
            access_log_format: access_log_format(&mut values),
        };
        // Checked although nothing uses them yet: a mistake in them should be found now.
        values.one("geoip", path);
        values.one("crowdsec-url", web_url);
        values.name_what_is_not_in_force();
        if settings.acme.dns.is_none() {
            values.name_wildcards_without_dns();
        }
        if values.failed { None } else { Some(settings) }
    }

    /// What compiling needs to know of it.
    pub(crate) fn for_model(&self, file_routes: Vec<FileRoute>) -> gangway_model::Settings {
        let (domain, network) = (self.domain.clone(), self.network.clone());
        gangway_model::Settings {
            domain,
            expose: self.expose,
            network,
            select: self.select.clone(),
            file_routes,
            keep_hosts: self.keep_hosts,
            // Known once they are bound.
            own_listeners: OwnListeners::default(),
        }
    }
}

/// Reads settings one after the other and notes whether one was unusable.
struct Values<'a> {
    layers: &'a Layers,
    effect: &'a str,
    diagnostics: &'a mut Vec<Diagnostic>,
    failed: bool,
}

impl Values<'_> {
    fn one<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let flag = known(name);
        let given = self.layers.values(flag);
        let [one] = given.as_slice() else {
            if let [_, second, ..] = given.as_slice() {
                self.report(flag, second, Wrong { note: "one value only".into(), help: "give it once".into() });
            }
            return None;
        };
        self.parsed(flag, one, one.text.trim(), &parse)
    }

    fn many<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Vec<T> {
        let flag = known(name);
        debug_assert_eq!(flag.count, Count::Many, "{name}");
        let given = self.layers.values(flag);
        let mut parsed = Vec::new();
        for one in &given {
            let mut items = items(&one.text).peekable();
            if items.peek().is_none() {
                self.report(flag, one, empty());
            }
            parsed.extend(items.filter_map(|item| self.parsed(flag, one, item, &parse)));
        }
        parsed
    }

    /// Values in which commas mean something; several in one text are separated by semicolons.
    fn whole<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Vec<T> {
        let flag = known(name);
        let given = self.layers.values(flag);
        let mut parsed = Vec::new();
        for one in &given {
            let texts = one.text.split(';').map(str::trim).filter(|text| !text.is_empty());
            parsed.extend(texts.filter_map(|text| self.parsed(flag, one, text, &parse)));
        }
        parsed
    }

    fn parsed<T>(
        &mut self,
        flag: &Flag,
        given: &Given,
        text: &str,
        parse: &impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let result = if text.is_empty() { Err(empty()) } else { parse(text) };
        result.map_err(|wrong| self.report(flag, given, wrong)).ok()
    }

    fn report(&mut self, flag: &Flag, given: &Given, wrong: Wrong) {
        self.failed = true;
        let wording = Wording {
            message: format!("unusable value of `{}`", given.name_of(flag)),
            note: wrong.note,
            help: wrong.help,
            effect: self.effect.to_owned(),
        };
        self.diagnostics.push(given.diagnostic(flag, codes::SETTING_UNUSABLE, Severity::Error, wording));
    }

    fn name_what_is_not_in_force(&mut self) {
        for flag in FLAGS {
            let Some(given) = self.layers.given.get(flag.name).and_then(|given| given.last()) else { continue };
            let (note, help, effect) = match flag.status {
                Status::InForce => continue,
                Status::Announced { effect } => ("not in force in this version", "take it out until then", effect),
                Status::Refused { why } => {
                    self.failed = true;
                    (why, "take it out to go on without it", self.effect)
                }
            };
            let wording = Wording {
                message: format!("`{}` does nothing yet", given.name_of(flag)),
                note: note.into(),
                help: help.into(),
                effect: effect.into(),
            };
            self.diagnostics.push(given.diagnostic(flag, codes::SETTING_LATER, Severity::Error, wording));
        }
    }
}

impl Values<'_> {
    /// Not fatal: each name below gets a certificate of its own.
    fn name_wildcards_without_dns(&mut self) {
        let flag = known("acme-wildcard");
        for given in self.layers.values(flag) {
            let wording = Wording {
                message: format!("`{}` does nothing without `--acme-dns`", given.name_of(flag)),
                note: "authorities give wildcard certificates for a DNS record only".into(),
                help: "name a DNS provider with `--acme-dns`, or take it out".into(),
                effect: "each host gets a certificate of its own".into(),
            };
            self.diagnostics.push(given.diagnostic(flag, codes::SETTING_UNUSABLE, Severity::Error, wording));
        }
    }
}

fn known(name: &str) -> &'static Flag {
    flag(name).expect("every setting that is read stands in the schema")
}

fn empty() -> Wrong {
    Wrong { note: "empty".into(), help: "write a value, or leave it out".into() }
}

/// The items of a list, separated by commas or white space.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| char == ',' || char.is_whitespace()).filter(|item| !item.is_empty())
}

fn address(text: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let help = "write an address and a port, such as `[::]:80` or `127.0.0.1:8080`";
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if text.parse::<IpAddr>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
        return wrong("a port is missing", help);
    }
    wrong("not an address with a port", help)
}

fn engines(values: &mut Values<'_>, environment: &DockerEnvironment) -> Vec<Engine> {
    let urls = values.many("docker", |url| Ok(url.to_owned()));
    match gangway_watcher::engines(&urls, environment) {
        Ok(engines) => engines,
        Err(error) => {
            let flag = known("docker");
            let given = values.layers.values(flag).into_iter().next_back();
            let given = given.unwrap_or_else(|| Given::variable(environment.host.clone().unwrap_or_default()));
            let error = error.to_string();
            let help = error.split_once(": ").map_or(error.as_str(), |(_, help)| help).to_owned();
            values.report(flag, &given, Wrong { note: "no engine can be followed at it".into(), help });
            if urls.is_empty()
                && let Some(found) = values.diagnostics.last_mut()
            {
                // Docker's own variable, and not ours.
                found.message = "unusable value of `DOCKER_HOST`".into();
                found.place.label = "DOCKER_HOST".into();
            }
            Vec::new()
        }
    }
}

fn trusted_proxies(values: &mut Values<'_>) -> TrustedProxies {
    let flag = known("trusted-proxies");
    let mut all = String::new();
    for given in values.layers.values(flag) {
        match TrustedProxies::parse(&given.text) {
            Ok(_) => all = format!("{all} {}", given.text),
            Err(item) => {
                let note = format!("`{item}` is no network");
                let help = "write addresses, networks such as `10.0.0.0/8`, `lan` or `cloudflare`".into();
                values.report(flag, &given, Wrong { note, help });
            }
        }
    }
    TrustedProxies::parse(&all).unwrap_or_default()
}

fn truth(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        other => one_of(other, &["true", "false"]),
    }
}

fn port(text: &str) -> Result<u16, Wrong> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => wrong("not a port", "write a number from 1 to 65535"),
    }
}

fn path(text: &str) -> Result<PathBuf, Wrong> {
    Ok(PathBuf::from(text))
}

fn host(text: &str) -> Result<Box<str>, Wrong> {
    let mut findings = Vec::new();
    match Hostname::parse(text, &mut findings) {
        Some(name) => Ok(name.as_str().into()),
        None => {
            let finding = findings.into_iter().next();
            let (note, help) = finding.map_or_else(Default::default, |finding| (finding.note, finding.help));
            wrong(note, help)
        }
    }
}

fn selector(text: &str) -> Result<Selector, Wrong> {
    Selector::parse(text).map_err(|NotASelector { note, help }| Wrong { note: note.into(), help: help.into() })
}

fn duration(text: &str) -> Result<Duration, Wrong> {
    gangway_model::parse_duration(text).map_err(|finding| Wrong { note: finding.note, help: finding.help })
}

fn wildcard(text: &str) -> Result<Box<str>, Wrong> {
    host(text.strip_prefix("*.").unwrap_or(text))
}

fn expose(text: &str) -> Result<Expose, Wrong> {
    match text {
        "labelled" | "labeled" => Ok(Expose::Labelled),
        "all" => Ok(Expose::All),
        _ => one_of(text, &["labelled", "all"]),
    }
}

fn log_level(text: &str) -> Result<LogLevel, Wrong> {
    match text {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => one_of(text, &["error", "warn", "info", "debug", "trace"]),
    }
}

fn log_format(text: &str) -> Result<LogFormat, Wrong> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => one_of(text, &["text", "json"]),
    }
}

/// As the log's own where nothing else is said.
fn access_log_format(values: &mut Values<'_>) -> gangway_proxy::AccessLogFormat {
    use gangway_proxy::AccessLogFormat::{Combined, Common, Json, Text};
    const CHOICES: [(&str, gangway_proxy::AccessLogFormat); 4] =
        [("text", Text), ("json", Json), ("common", Common), ("combined", Combined)];
    let chosen = values.one("access-log-format", |text| match CHOICES.iter().find(|(name, _)| *name == text) {
        Some((_, format)) => Ok(*format),
        None => one_of(text, &CHOICES.map(|(name, _)| name)),
    });
    // A value that is none was reported with the setting it stands for.
    let log_format = values.layers.values(known("log-format"));
    let is_json = log_format.last().is_some_and(|given| given.text.trim() == "json");
    chosen.unwrap_or(if is_json { Json } else { Text })
}

fn access_log(text: &str) -> Result<AccessLog, Wrong> {
    Ok(match text {
        "off" => AccessLog::Off,
        "-" => AccessLog::Stdout,
        file => AccessLog::File(file.into()),
    })
}

fn email(text: &str) -> Result<Box<str>, Wrong> {
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    match text.split_once('@') {
        Some((name, domain)) if !name.is_empty() && domain.contains('.') => Ok(text.into()),
        _ => wrong("not a mail address", "write one such as `you@example.org`"),
    }
}

/// Secrets of providers and authorities are no settings of ours: they are called as they are called
/// elsewhere, and stand in the environment or in the file that the variable with `_FILE` names.
fn secret(name: &str) -> Result<Option<String>, String> {
    if let Some(file) = std::env::var_os(format!("{name}_FILE")).filter(|file| !file.is_empty()) {
        return std::fs::read_to_string(file).map(Some).map_err(|error| error.to_string());
    }
    Ok(std::env::var(name).ok())
}

fn dns_provider(text: &str) -> Result<DnsSettings, Wrong> {
    dns_provider_by(text, &secret)
}

fn dns_provider_by(text: &str, secret: &dyn Fn(&str) -> Result<Option<String>, String>) -> Result<DnsSettings, Wrong> {
    DnsProvider::parse(text, secret).map(DnsSettings::new).or_else(|error| match &error {
        UnusableProvider::Unknown(name) => {
            let name = name.split('=').next().unwrap_or_default();
            one_of(name, &DnsProvider::names().collect::<Vec<_>>())
        }
        UnusableProvider::Missing(name) => {
            wrong(error.to_string(), format!("set `{name}`, or `{name}_FILE` to a file that holds it"))
        }
        UnusableProvider::Misnamed(ours, theirs) => wrong(
            error.to_string(),
            format!("give the value of `{theirs}` by the name `{ours}`, or a file by `{ours}_FILE`"),
        ),
        _ => wrong(error.to_string(), "see `--acme-dns` in the reference of the flags"),
    })
}

/// With the account that was made on the authority's web pages, where one is given.
fn issuer(text: &str) -> Result<Issuer, Wrong> {
    let issuer = issuer_by(text)?;
    let prefix: String =
        issuer.name().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let (id, key) = (format!("{prefix}_EAB_KID"), format!("{prefix}_EAB_HMAC_KEY"));
    let read = |name: &str| match secret(name) {
        Ok(value) => Ok(value.map(|value| Box::<str>::from(value.trim())).filter(|value| !value.is_empty())),
        Err(error) => wrong(format!("`{name}_FILE` cannot be read: {error}"), "name a file that can be read"),
    };
    let external_account = match (read(&id)?, read(&key)?) {
        (Some(id), Some(key)) => Some(ExternalAccount { id, key }),
        (None, None) => None,
        (None, Some(_)) => return wrong(format!("`{id}` is missing"), format!("give `{key}` and `{id}` together")),
        (Some(_), None) => return wrong(format!("`{key}` is missing"), format!("give `{key}` and `{id}` together")),
    };
    Ok(Issuer { external_account, ..issuer })
}

fn issuer_by(text: &str) -> Result<Issuer, Wrong> {
    Issuer::parse(text).or_else(|error| {
        if text.starts_with("http://") {
            return wrong("not encrypted", "an authority's directory begins with `https://`");
        }
        wrong("not an authority", error.to_string())
    })
}

fn pem_file(text: &str) -> Result<Box<str>, Wrong> {
    match std::fs::read_to_string(text) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(pem.into()),
        Ok(_) => wrong("no certificate is in it", "name a file with a certificate in PEM form"),
        Err(error) => wrong(format!("it cannot be read: {error}"), "name a file with a certificate in PEM form"),
    }
}

fn ask_url(text: &str) -> Result<Box<str>, Wrong> {
    match text.strip_prefix("ask=") {
        Some(url) => {
            let url = web_url(url)?;
            let is_usable = url.parse::<http::Uri>().is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()));
            if is_usable { Ok(url.into()) } else { wrong("not a URL", "write one such as `http://app:8080/allowed`") }
        }
        None => wrong("nobody to ask", "write `ask=http://…`, a URL that says which hosts may have a certificate"),
    }
}

fn web_url(text: &str) -> Result<String, Wrong> {
    match text.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => wrong("not a URL", "write one such as `http://127.0.0.1:8080`"),
    }
}

fn one_of<T>(text: &str, known: &[&str]) -> Result<T, Wrong> {
    let known_list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match gangway_model::rule::nearest(text, known.iter().copied()) {
        Some(nearest) => wrong("unknown", format!("did you mean `{nearest}`? Known are {known_list}")),
        None => wrong("unknown", format!("one of {known_list}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[(&'static str, &str)]) -> Result<(Settings, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut layers = Layers::default();
        for (name, text) in flags {
            layers.given.entry(name).or_default().push(Given::flag(*text));
        }
        let mut diagnostics = Vec::new();
        match Settings::new(&layers, &DockerEnvironment::default(), "nothing", &mut diagnostics) {
            Some(settings) => Ok((settings, diagnostics)),
            None => Err(diagnostics),
        }
    }

    fn urls(settings: &Settings) -> Vec<&str> {
        settings.docker.iter().map(Engine::url).collect()
    }

    fn notes(flags: &[(&'static str, &str)]) -> Vec<String> {
        settings(flags).expect_err("unusable").into_iter().map(|found| found.note).collect()
    }

    #[test]
    fn nothing_given_gives_the_promised_defaults() {
        let (settings, diagnostics) = settings(&[]).expect("defaults are usable");
        assert_eq!(diagnostics, []);
        let listen = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (listen(&settings.http), listen(&settings.https)),
            (vec!["[::]:80".into()], vec!["[::]:443".into()])
        );
        assert_eq!((settings.admin.to_string().as_str(), settings.take_over), ("127.0.0.1:8420", false));
        assert_eq!(urls(&settings), ["unix:///var/run/docker.sock"]);
        assert_eq!((settings.data.to_str(), &*settings.domain), (Some("/data"), "localhost"));
        assert_eq!((settings.expose, settings.network, settings.default_certificate), (Expose::Labelled, None, None));
        assert_eq!(settings.trusted_proxies, TrustedProxies::default());
        assert_eq!(settings.acme.issuers.iter().map(Issuer::name).collect::<Vec<_>>(), ["letsencrypt"]);
        assert!(settings.acme.email.is_none() && settings.acme.root_pem.is_none() && settings.acme.profile.is_none());
        assert_eq!((settings.log_level, settings.log_format), (LogLevel::Info, LogFormat::Text));
        assert_eq!(settings.access_log, AccessLog::Off);
        assert_eq!(settings.access_log_format, gangway_proxy::AccessLogFormat::Text);
    }

    #[test]
    fn the_access_log_has_the_form_of_the_log_or_one_of_its_own() {
        let form = |given: &[(&'static str, &str)]| settings(given).expect("usable").0.access_log_format;
        assert_eq!(form(&[("log-format", "json")]), gangway_proxy::AccessLogFormat::Json);
        assert_eq!(
            form(&[("log-format", "json"), ("access-log-format", "common")]),
            gangway_proxy::AccessLogFormat::Common
        );
        assert!(settings(&[("access-log-format", "clf")]).is_err());
    }

    #[test]
    fn addresses_may_be_short() {
        let (settings, _) =
            settings(&[("http", "8080, :8081"), ("http", "127.0.0.1:8082"), ("admin", "localhost:1")]).expect("usable");
        let shown: Vec<_> = settings.http.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[::]:8080", "[::]:8081", "127.0.0.1:8082"]);
        assert_eq!(settings.admin.to_string(), "127.0.0.1:1");
        assert_eq!(notes(&[("http", "::1")]), ["a port is missing"]);
        assert_eq!(notes(&[("http", "example.org:80")]), ["not an address with a port"]);
    }

    #[test]
    fn everything_wrong_is_reported() {
        let found = notes(&[
            ("http", "x"),
            ("docker", "/var/run/docker.sock"),
            ("domain", "exa mple"),
            ("expose", "al"),
            ("trusted-proxies", "lan,10.0.0.0/99"),
            ("acme-email", "me"),
            ("acme-ca", "letsencypt"),
            ("log-level", "warning"),
        ]);
        assert!(found.len() >= 8, "{found:?}");
    }

    #[test]
    fn a_switch_is_on_off_or_wrong() {
        let refused =
            |text: &str| settings(&[("no-plain-fallback", text)]).map(|(settings, _)| settings.acme.plain_refused);
        assert_eq!(settings(&[]).map(|(settings, _)| settings.acme.plain_refused).ok(), Some(false));
        assert_eq!((refused("true").ok(), refused("false").ok()), (Some(true), Some(false)));
        assert!(refused("maybe").is_err());
    }

    #[test]
    fn engines_come_from_the_flag_then_the_variable_of_docker() {
        let environment = |host: &str| DockerEnvironment { host: Some(host.into()), tls_verify: None };
        let docker = |layers: &Layers, host: &str| {
            let mut found = Vec::new();
            let settings = Settings::new(layers, &environment(host), "nothing", &mut found);
            settings.map(|settings| urls(&settings).join(" ")).ok_or_else(|| found.remove(0).place.label.to_string())
        };
        let mut layers = Layers::default();
        assert_eq!(docker(&layers, "tcp://a:2375").as_deref(), Ok("tcp://a:2375"));
        assert_eq!(docker(&layers, "").as_deref(), Ok("unix:///var/run/docker.sock"));
        assert_eq!(docker(&layers, "ssh://a").as_deref(), Err(&"DOCKER_HOST".to_owned()));
        layers.given.insert("docker", vec![Given::flag("none")]);
        assert_eq!(docker(&layers, "tcp://a:2375").as_deref(), Ok(""));
        assert_eq!(notes(&[("docker", "none,unix:///x")]), ["no engine can be followed at it"]);
    }

    #[test]
    fn what_is_not_in_force_is_named_and_what_protects_is_refused() {
        let (_, diagnostics) = settings(&[("geoip", "/x.mmdb"), ("acme-wildcard", "example.org")]).expect("usable");
        let shown: Vec<_> = diagnostics.iter().map(|found| (found.code.0, &*found.place.label)).collect();
        assert_eq!(shown, [(905, "--geoip"), (902, "--acme-wildcard")]);
        assert_eq!(notes(&[("crowdsec-url", "http://127.0.0.1:8080")]), ["nobody would be kept out by it"]);
    }

    #[test]
    fn a_dns_provider_is_known_and_has_what_it_needs() {
        let token = |name: &str| Ok((name == "HETZNER_API_TOKEN").then(|| "t".to_owned()));
        let said =
            |text| dns_provider_by(text, &token).map(|dns| dns.provider.name().to_owned()).map_err(|wrong| wrong.help);
        assert_eq!(said("hetzner").as_deref(), Ok("hetzner"));
        assert!(said("hetznr").is_err_and(|help| help.starts_with("did you mean `hetzner`?")));
        assert!(said("desec").is_err_and(|help| help.contains("`DESEC_TOKEN_FILE`")));
        assert!(said("exec=/nowhere/hook").is_err());
        let elsewhere = |name: &str| Ok((name == "CF_DNS_API_TOKEN").then(|| "t".to_owned()));
        let wrong = dns_provider_by("cloudflare", &elsewhere).expect_err("by another name");
        assert!(wrong.help.starts_with("give the value of `CF_DNS_API_TOKEN` by the name `CLOUDFLARE_API_TOKEN`"));
    }
}
