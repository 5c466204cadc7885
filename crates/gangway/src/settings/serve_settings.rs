//! The settings of `gangway serve`, parsed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gangway_acme::{AcmeSettings, AdoptedAccount, ChallengeKind};
use gangway_certs::{AdoptedCertificate, PlainHttp};
use gangway_crowdsec::{AppsecSettings, LapiSettings};
use gangway_diagnostic::Place;
use gangway_model::{
    Expose, FileRoute, InternalService, KEEP_HOSTS_DEFAULT, KnownListener, MiddlewareTable, OwnListeners, Selector,
};
use gangway_otlp::{OtlpSettings, Signals};
use gangway_proxy::{AccessLogFormat, AccessLogTarget, ListenerSettings, TrustedProxies};
use gangway_watcher::{DockerEnvironment, Engine};

use super::error::{SettingError, SettingProblem, ValueError};
use super::listeners::listeners;
use super::log_options::{LogFormat, LogLevel};
use super::parse::words::OtlpSignal;
use super::parse::{acme, network, words};
use super::raw::RawSettings;
use super::schema::{
    ACCESS_LOG, ACCESS_LOG_FORMAT, ACME_CA, ACME_CA_ROOT, ACME_DNS, ACME_EMAIL, ACME_PROFILE, ACME_WILDCARD, ADMIN,
    CROWDSEC_APPSEC_URL, CROWDSEC_KEY_FILE, CROWDSEC_URL, Count, DATA, DEFAULT_CERT, DEFAULT_USE, DOCKER, DOMAIN,
    EXPOSE, Flag, GEOIP, KEEP_HOSTS, LOG_FORMAT, LOG_LEVEL, MEMORY, NETWORK, NO_PLAIN_FALLBACK, ON_DEMAND, OTLP,
    OTLP_HEADERS_FILE, OTLP_SAMPLE, OTLP_SERVICE, OTLP_SIGNALS, PAGE, PUBLIC_HTTPS_PORT, SELECT, START_PAGE, TAKE_OVER,
    TRUSTED_PROXIES,
};
use super::surroundings::Surroundings;
use super::value::{Layer, SettingOrigin, SettingValue, items};

/// All settings of `serve`, except the routes of the config file.
#[derive(Clone, Debug)]
pub(crate) struct ServeSettings {
    /// Where clients of routes are served.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// Traefik's configuration, where Gangway runs in its place.
    pub(crate) traefik: Option<gangway_model::TraefikSettings>,
    /// What surrounds the routers there.
    pub(crate) surroundings: Surroundings,
    pub(crate) admin: SocketAddr,
    /// Whether to take the place of another instance.
    pub(crate) take_over: bool,
    /// The engines to follow; none means file routes only.
    pub(crate) docker: Vec<Engine>,
    pub(crate) data: PathBuf,
    /// The pages of Gangway itself that have a host.
    pub(crate) own_pages: Vec<OwnPage>,
    pub(crate) domain: Box<str>,
    pub(crate) expose: Expose,
    pub(crate) network: Option<Box<str>>,
    /// The shared definitions that every route uses.
    pub(crate) default_use: Vec<Box<str>>,
    pub(crate) select: Vec<Selector>,
    pub(crate) keep_hosts: Duration,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) public_https_port: Option<u16>,
    /// Bytes of memory that the process may use, if a bound is set.
    pub(crate) memory: Option<usize>,
    pub(crate) default_certificate: Option<Box<str>>,
    pub(crate) acme: AcmeSettings,
    /// Certificates that other software has obtained.
    pub(crate) adopted: Vec<AdoptedCertificate>,
    /// Accounts that other software has made.
    pub(crate) adopted_accounts: Vec<AdoptedAccount>,
    pub(crate) times: Times,
    /// The URL that is asked whether a host that no route names may have a certificate.
    pub(crate) on_demand: Option<Box<str>>,
    /// Files that tell where addresses are.
    pub(crate) geoip: Vec<PathBuf>,
    /// The CrowdSec engine that says who is banned.
    pub(crate) crowdsec: Option<LapiSettings>,
    /// Its web application firewall.
    pub(crate) appsec: Option<AppsecSettings>,
    /// The OpenTelemetry collector.
    pub(crate) otlp: Option<OtlpSettings>,
    /// Whether plain HTTP is served for a host without a certificate.
    pub(crate) plain_http: PlainHttp,
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
    pub(crate) access_log: AccessLogTarget,
    pub(crate) access_log_format: AccessLogFormat,
}

/// Times that only another configuration than ours sets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Times {
    /// How long requests are accepted after Gangway was told to stop.
    pub(crate) accept_grace: Duration,
    /// How long active requests have after that. Docker kills ten seconds after it asked.
    pub(crate) grace: Duration,
    /// How long a connection may wait for its next request.
    pub(crate) idle: Option<Duration>,
    /// How long the body of a request may stall.
    pub(crate) stalled_read: Option<Duration>,
    /// How long a client may not read its answer.
    pub(crate) stalled_write: Option<Duration>,
}

impl Default for Times {
    fn default() -> Self {
        let (accept_grace, grace) = (Duration::ZERO, Duration::from_secs(8));
        Self { accept_grace, grace, idle: None, stalled_read: None, stalled_write: None }
    }
}

/// The challenges that need no DNS provider, in order of preference. Plain HTTP comes first because it also works
/// if another proxy ends TLS before Gangway.
const CHALLENGES: &[ChallengeKind] = &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01];

impl ServeSettings {
    /// Parses every setting and reports all errors, not only the first. None if one of them is fatal.
    pub(crate) fn parse(raw: &RawSettings, docker: &DockerEnvironment) -> (Option<Self>, Vec<SettingError>) {
        let mut reader = SettingsReader { raw, errors: Vec::new() };
        let settings = reader.settings(docker);
        reader.report_wildcards_without_dns();
        let is_usable = !reader.errors.iter().any(SettingError::is_fatal);
        (is_usable.then_some(settings), reader.errors)
    }

    /// The part of the settings that compiling a table depends on.
    pub(crate) fn for_model(
        &self,
        file_routes: Vec<FileRoute>,
        middlewares: Vec<MiddlewareTable>,
    ) -> gangway_model::Settings {
        let (domain, network) = (self.domain.clone(), self.network.clone());
        let file_routes = self.own_pages.iter().fold(file_routes, OwnPage::added_to);
        gangway_model::Settings {
            domain,
            expose: self.expose,
            network,
            select: self.select.clone(),
            listeners: self.known_listeners(),
            traefik: self.traefik.clone(),
            file_routes,
            middlewares,
            default_use: self.default_use.clone(),
            keep_hosts: self.keep_hosts,
            has_geoip: !self.geoip.is_empty(),
            has_crowdsec: self.crowdsec.is_some(),
            has_appsec: self.appsec.is_some(),
            // Known only after they are bound.
            own_listeners: OwnListeners::default(),
        }
    }

    /// The listeners as routes may name them.
    fn known_listeners(&self) -> Vec<KnownListener> {
        let known = |one: &ListenerSettings| KnownListener { name: one.name.clone(), protocol: one.protocol };
        self.listeners.iter().map(known).collect()
    }

    /// Where clients of routes are served.
    pub(crate) fn public_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().flat_map(|listener| listener.addresses.iter().copied())
    }
}

/// The flags that give pages of Gangway itself a host.
static OWN_PAGES: [(&Flag, InternalService); 2] =
    [(&PAGE, InternalService::Page), (&START_PAGE, InternalService::StartPage)];

/// A page of Gangway itself on a route of its own. A table of the route's name in the config file gives it further keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OwnPage {
    /// The name of the route, which is that of the flag.
    name: &'static str,
    service: InternalService,
    host: Box<str>,
    /// The place where the host was written.
    place: Place,
}

impl OwnPage {
    /// The pages to which settings give a host that can be read.
    pub(crate) fn all(layer: &Layer) -> Vec<Self> {
        let page = |(flag, service): &(&'static Flag, InternalService)| {
            let value = layer.get(flag).last()?;
            let host = network::host(value.text.trim()).ok()?;
            Some(Self { name: flag.name, service: *service, host, place: value.place(flag) })
        };
        OWN_PAGES.iter().filter_map(page).collect()
    }

    /// The key of a table of this route by which the table says itself where requests come from or go to.
    fn said_by(&self, table: &FileRoute) -> Option<&'static str> {
        let has = |key: &&str| table.keys.iter().any(|(known, ..)| known.eq_ignore_ascii_case(key));
        ["host", "rule", "upstream", "redirect"].into_iter().find(|key| *table.name == *self.name && has(key))
    }

    /// The routes with that of the page, in place of what another place had set for it. It is left out where a table of
    /// its name is of something else, which has been reported.
    pub(crate) fn added_to(mut routes: Vec<FileRoute>, page: &Self) -> Vec<FileRoute> {
        let at = routes.iter().position(|route| *route.name == *page.name).unwrap_or_else(|| {
            routes.push(FileRoute { name: page.name.into(), keys: Vec::new(), place: page.place.clone() });
            routes.len() - 1
        });
        routes[at].keys.retain(|(_, _, place)| place.subject() != Some(page.name));
        if page.said_by(&routes[at]).is_none() {
            let said = [("host", page.host.clone()), ("upstream", page.service.to_string().into())];
            routes[at].keys.extend(said.map(|(key, value)| (key.into(), value, page.place.clone())));
        }
        routes
    }
}

/// Reads one setting after the other and collects the errors.
struct SettingsReader<'a> {
    raw: &'a RawSettings,
    errors: Vec<SettingError>,
}

impl SettingsReader<'_> {
    fn settings(&mut self, docker: &DockerEnvironment) -> ServeSettings {
        let log_format = self.one(&LOG_FORMAT, words::log_format).unwrap_or_default();
        let (crowdsec, appsec) = self.crowdsec();
        ServeSettings {
            listeners: self.listeners(),
            traefik: None,
            surroundings: Surroundings::default(),
            admin: self.one(&ADMIN, network::address).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8420))),
            take_over: self.one(&TAKE_OVER, words::switch).unwrap_or_default(),
            docker: self.engines(docker),
            data: self.one(&DATA, words::path).unwrap_or_default(),
            domain: self.one(&DOMAIN, network::host).unwrap_or_default(),
            own_pages: OWN_PAGES.iter().filter_map(|(flag, service)| self.own_page(flag, *service)).collect(),
            expose: self.one(&EXPOSE, words::expose).unwrap_or_default(),
            network: self.one(&NETWORK, words::text),
            default_use: self.many(&DEFAULT_USE, |name| Ok(name.into())),
            select: self.separated_by_semicolons(&SELECT, words::selector),
            keep_hosts: self.one(&KEEP_HOSTS, words::duration).unwrap_or(KEEP_HOSTS_DEFAULT),
            trusted_proxies: self.trusted_proxies(),
            public_https_port: self.one(&PUBLIC_HTTPS_PORT, network::port),
            memory: self.one(&MEMORY, words::memory),
            default_certificate: self.one(&DEFAULT_CERT, network::host),
            acme: self.acme(),
            adopted: Vec::new(),
            adopted_accounts: Vec::new(),
            times: Times::default(),
            on_demand: self.one(&ON_DEMAND, network::ask_url),
            geoip: self.many(&GEOIP, words::path),
            crowdsec,
            appsec,
            otlp: self.otlp(),
            plain_http: match self.one(&NO_PLAIN_FALLBACK, words::switch).unwrap_or_default() {
                true => PlainHttp::Refused,
                false => PlainHttp::Served,
            },
            log_level: self.one(&LOG_LEVEL, words::log_level).unwrap_or_default(),
            log_format,
            access_log: self.one(&ACCESS_LOG, words::access_log).unwrap_or_default(),
            access_log_format: self.one(&ACCESS_LOG_FORMAT, words::access_log_format).unwrap_or(match log_format {
                LogFormat::Text => AccessLogFormat::Text,
                LogFormat::Json => AccessLogFormat::Json,
            }),
        }
    }

    /// The page of a flag. A table of its route may not say what the flag says.
    fn own_page(&mut self, flag: &'static Flag, service: InternalService) -> Option<OwnPage> {
        let host = self.one(flag, network::host)?;
        let value = self.raw.values(flag).pop()?;
        let page = OwnPage { name: flag.name, service, host, place: value.place(flag) };
        let Some(key) = self.raw.routes.iter().find_map(|table| page.said_by(table)) else { return Some(page) };
        let note = format!("`routes.{}.{key}` says it as well", flag.name);
        let help = format!("remove one of them, or give the table another name than `{}`", flag.name);
        self.unusable(flag, &value, ValueError::new(note, help));
        None
    }

    fn listeners(&mut self) -> Vec<ListenerSettings> {
        let (listeners, errors) = listeners(self.raw);
        self.errors.extend(errors);
        listeners
    }

    fn acme(&mut self) -> AcmeSettings {
        AcmeSettings {
            issuers: self.many(&ACME_CA, acme::issuer),
            email: self.one(&ACME_EMAIL, network::email),
            only_chosen: BTreeSet::new(),
            named: BTreeMap::new(),
            root_pem: self.one(&ACME_CA_ROOT, acme::pem_file),
            profile: self.one(&ACME_PROFILE, words::text),
            wildcards: self.many(&ACME_WILDCARD, network::wildcard_domain),
            challenges: CHALLENGES.to_vec(),
            dns: self.one(&ACME_DNS, acme::dns_provider),
            without_certificate: Cow::default(),
        }
    }

    /// One without the other would keep nobody out. Whom the firewall finds out is banned by the engine.
    fn crowdsec(&mut self) -> (Option<LapiSettings>, Option<AppsecSettings>) {
        let url = self.one(&CROWDSEC_URL, network::service_url);
        let appsec_url = self.one(&CROWDSEC_APPSEC_URL, network::service_url);
        let key_file = self.one(&CROWDSEC_KEY_FILE, words::path);
        self.needs(&CROWDSEC_URL, &CROWDSEC_KEY_FILE);
        self.needs(&CROWDSEC_KEY_FILE, &CROWDSEC_URL);
        self.needs(&CROWDSEC_APPSEC_URL, &CROWDSEC_URL);
        let Some(key_file) = key_file else { return (None, None) };
        let appsec = appsec_url.map(|url| AppsecSettings { url, key_file: key_file.clone() });
        (url.map(|url| LapiSettings { url, key_file }), appsec)
    }

    fn otlp(&mut self) -> Option<OtlpSettings> {
        let url = self.one(&OTLP, network::service_url);
        let headers_file = self.one(&OTLP_HEADERS_FILE, words::path);
        let signals = self.many(&OTLP_SIGNALS, words::otlp_signal);
        let (sample, service) = (self.one(&OTLP_SAMPLE, words::sample_ratio), self.one(&OTLP_SERVICE, words::text));
        self.needs(&OTLP_HEADERS_FILE, &OTLP);
        let has = |signal| signals.contains(&signal);
        let signals = Signals { traces: has(OtlpSignal::Traces), metrics: has(OtlpSignal::Metrics) };
        Some(OtlpSettings { url: url?, headers_file, signals, sample: sample?, service: service? })
    }

    /// Reports a flag that is given without another one.
    fn needs(&mut self, flag: &'static Flag, other: &'static Flag) {
        if let Some(value) = self.raw.values(flag).last().filter(|_| self.raw.values(other).is_empty()) {
            let (note, help) = (format!("it needs `--{}`", other.name), format!("give `--{}` as well", other.name));
            self.unusable(flag, value, ValueError::new(note, help));
        }
    }

    fn engines(&mut self, environment: &DockerEnvironment) -> Vec<Engine> {
        let urls = self.many(&DOCKER, |url| Ok(url.to_owned()));
        gangway_watcher::engines(&urls, environment).unwrap_or_else(|error| {
            let value = match self.raw.values(&DOCKER).pop() {
                Some(value) if !urls.is_empty() => value,
                Some(_) | None => SettingValue {
                    text: environment.host.clone().unwrap_or_default(),
                    origin: SettingOrigin::ForeignVariable("DOCKER_HOST"),
                },
            };
            self.unusable(&DOCKER, &value, ValueError::new("no engine can be followed at it", error.help()));
            Vec::new()
        })
    }

    fn trusted_proxies(&mut self) -> TrustedProxies {
        let mut trusted = TrustedProxies::default();
        for value in self.raw.values(&TRUSTED_PROXIES) {
            match TrustedProxies::parse(&value.text) {
                Ok(proxies) => trusted.add(proxies),
                Err(item) => {
                    let help = "write addresses, networks such as `10.0.0.0/8`, `lan` or `cloudflare`";
                    self.unusable(&TRUSTED_PROXIES, &value, ValueError::new(format!("`{item}` is no network"), help));
                }
            }
        }
        trusted
    }

    /// The value of a setting that takes one.
    fn one<T>(&mut self, flag: &'static Flag, parse: impl Fn(&str) -> Result<T, ValueError>) -> Option<T> {
        let values = self.raw.values(flag);
        match values.as_slice() {
            [] => None,
            [value] => self.parsed(flag, value, value.text.trim(), &parse),
            [_, second, ..] => {
                self.unusable(flag, second, ValueError::given_twice());
                None
            }
        }
    }

    /// The values of a setting that takes several, each of which may be a list.
    fn many<T>(&mut self, flag: &'static Flag, parse: impl Fn(&str) -> Result<T, ValueError>) -> Vec<T> {
        debug_assert_eq!(flag.count, Count::Many, "{}", flag.name);
        let mut parsed = Vec::new();
        for value in &self.raw.values(flag) {
            let mut items = items(&value.text).peekable();
            if items.peek().is_none() {
                self.unusable(flag, value, ValueError::empty());
            }
            parsed.extend(items.filter_map(|item| self.parsed(flag, value, item, &parse)));
        }
        parsed
    }

    /// The values of a setting in which commas have a meaning of their own.
    fn separated_by_semicolons<T>(
        &mut self,
        flag: &'static Flag,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Vec<T> {
        let mut parsed = Vec::new();
        for value in &self.raw.values(flag) {
            let items = value.text.split(';').map(str::trim).filter(|item| !item.is_empty());
            parsed.extend(items.filter_map(|item| self.parsed(flag, value, item, &parse)));
        }
        parsed
    }

    fn parsed<T>(
        &mut self,
        flag: &'static Flag,
        value: &SettingValue,
        item: &str,
        parse: &impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let result = if item.is_empty() { Err(ValueError::empty()) } else { parse(item) };
        result.map_err(|error| self.unusable(flag, value, error)).ok()
    }

    fn unusable(&mut self, flag: &'static Flag, value: &SettingValue, error: ValueError) {
        self.report(flag, value, SettingProblem::Unusable(error));
    }

    fn report(&mut self, flag: &'static Flag, value: &SettingValue, problem: SettingProblem) {
        self.errors.push(SettingError { flag, value: value.clone(), problem });
    }

    /// A DNS provider that is given and cannot be used is an error of its own.
    fn report_wildcards_without_dns(&mut self) {
        if self.raw.layer.contains(&ACME_DNS) {
            return;
        }
        for value in self.raw.values(&ACME_WILDCARD) {
            self.report(&ACME_WILDCARD, &value, SettingProblem::WildcardWithoutDns);
        }
    }
}

/// The names in `--default-use` that are not among the shared definitions `defined`.
pub(crate) fn undefined_defaults(layer: &Layer, defined: &[MiddlewareTable]) -> Vec<SettingError> {
    let mut errors = Vec::new();
    for value in layer.get(&DEFAULT_USE) {
        let is_undefined = |name: &&str| defined.iter().all(|table| &*table.name != *name);
        errors.extend(items(&value.text).filter(is_undefined).map(|name| SettingError {
            flag: &DEFAULT_USE,
            value: value.clone(),
            problem: SettingProblem::Unusable(undefined_definition(name, defined)),
        }));
    }
    errors
}

fn undefined_definition(name: &str, defined: &[MiddlewareTable]) -> ValueError {
    let help = match gangway_diagnostic::nearest(name, defined.iter().map(|table| &*table.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write `[middlewares.{name}]` in the config file, or take the name out"),
    };
    ValueError::new(format!("there is no shared definition `{name}`"), help)
}

#[cfg(test)]
mod tests {
    use gangway_acme::Issuer;

    use gangway_diagnostic::Place;
    use gangway_otlp::SampleRatio;

    use super::*;
    use crate::settings::schema::HTTP;

    fn settings(flags: &[(&'static Flag, &str)]) -> Result<(ServeSettings, Vec<SettingError>), Vec<SettingError>> {
        let mut raw = RawSettings::default();
        for (flag, text) in flags {
            raw.layer.push(flag, SettingValue::flag(*text));
        }
        match ServeSettings::parse(&raw, &DockerEnvironment::default()) {
            (Some(settings), errors) => Ok((settings, errors)),
            (None, errors) => Err(errors),
        }
    }

    fn urls(settings: &ServeSettings) -> Vec<&str> {
        settings.docker.iter().map(Engine::url).collect()
    }

    fn notes(flags: &[(&'static Flag, &str)]) -> Vec<String> {
        settings(flags).expect_err("unusable").iter().map(|error| error.diagnostic("nothing").note).collect()
    }

    #[test]
    fn nothing_given_gives_the_promised_defaults() {
        let (settings, errors) = settings(&[]).expect("defaults are usable");
        assert!(errors.is_empty());
        let listening: Vec<_> = settings.public_addresses().map(|address| address.to_string()).collect();
        assert_eq!(listening, ["[::]:80", "[::]:443"]);
        assert_eq!((settings.admin.to_string().as_str(), settings.take_over), ("127.0.0.1:8420", false));
        assert_eq!(urls(&settings), ["unix:///var/run/docker.sock"]);
        assert_eq!((settings.data.to_str(), &*settings.domain), (Some("/data"), "localhost"));
        assert_eq!((settings.expose, settings.network, settings.default_certificate), (Expose::Labelled, None, None));
        assert_eq!(settings.trusted_proxies, TrustedProxies::default());
        assert_eq!(settings.acme.issuers.iter().map(Issuer::name).collect::<Vec<_>>(), ["letsencrypt"]);
        assert!(settings.acme.email.is_none() && settings.acme.root_pem.is_none() && settings.acme.profile.is_none());
        assert_eq!((settings.log_level, settings.log_format), (LogLevel::Info, LogFormat::Text));
        assert_eq!(settings.access_log, AccessLogTarget::Off);
        assert_eq!(settings.access_log_format, AccessLogFormat::Text);
    }

    #[test]
    fn the_access_log_has_the_form_of_the_log_or_one_of_its_own() {
        let form = |given: &[(&'static Flag, &str)]| settings(given).expect("usable").0.access_log_format;
        assert_eq!(form(&[(&LOG_FORMAT, "json")]), AccessLogFormat::Json);
        assert_eq!(form(&[(&LOG_FORMAT, "json"), (&ACCESS_LOG_FORMAT, "common")]), AccessLogFormat::Common);
        assert!(settings(&[(&ACCESS_LOG_FORMAT, "clf")]).is_err());
    }

    #[test]
    fn addresses_may_be_short() {
        let (settings, _) =
            settings(&[(&HTTP, "8080, :8081"), (&HTTP, "127.0.0.1:8082"), (&ADMIN, "localhost:1")]).expect("usable");
        let shown: Vec<_> = settings.listeners[0].addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[::]:8080", "[::]:8081", "127.0.0.1:8082"]);
        assert_eq!(settings.admin.to_string(), "127.0.0.1:1");
        assert_eq!(notes(&[(&HTTP, "::1")]), ["a port is missing"]);
        assert_eq!(notes(&[(&HTTP, "example.org:80")]), ["not an address with a port"]);
    }

    #[test]
    fn everything_wrong_is_reported() {
        let found = notes(&[
            (&HTTP, "x"),
            (&DOCKER, "/var/run/docker.sock"),
            (&DOMAIN, "exa mple"),
            (&EXPOSE, "al"),
            (&TRUSTED_PROXIES, "lan,10.0.0.0/99"),
            (&ACME_EMAIL, "me"),
            (&ACME_CA, "letsencypt"),
            (&LOG_LEVEL, "warning"),
        ]);
        assert!(found.len() >= 8, "{found:?}");
    }

    #[test]
    fn the_page_has_a_route_to_which_a_table_of_its_name_adds() {
        let with_tables = |tables: &[(&str, &[&str])]| {
            let mut raw = RawSettings::default();
            raw.layer.push(&PAGE, SettingValue::flag("Page.Example.org"));
            let key = |key: &&str| ((*key).into(), "x".into(), Place::Configuration);
            raw.routes.extend(tables.iter().map(|(name, keys)| FileRoute {
                name: (*name).into(),
                keys: keys.iter().map(key).collect(),
                place: Place::Configuration,
            }));
            let (settings, errors) = ServeSettings::parse(&raw, &DockerEnvironment::default());
            let notes: Vec<String> = errors.iter().map(|error| error.diagnostic("nothing").note).collect();
            let routes = settings.map(|settings| settings.for_model(raw.routes, Vec::new()).file_routes);
            let said = |route: FileRoute| {
                let keys = route.keys.iter().map(|(key, value, _)| format!("{key}={value}")).collect::<Vec<_>>();
                format!("{}: {}", route.name, keys.join(", "))
            };
            (routes.into_iter().flatten().map(said).collect::<Vec<_>>(), notes)
        };
        let own = "host=page.example.org, upstream=page@internal";
        assert_eq!(with_tables(&[]), (vec![format!("page: {own}")], vec![]));
        let both = vec!["nas: host=x".to_owned(), format!("page: use=x, {own}")];
        assert_eq!(with_tables(&[("nas", &["host"]), ("page", &["use"])]), (both, vec![]));
        for key in ["host", "rule", "upstream", "redirect", "Upstream"] {
            let (_, notes) = with_tables(&[("page", &["use", key])]);
            let said = key.to_lowercase();
            assert_eq!(notes, [format!("`routes.page.{said}` says it as well")], "{key}");
        }
    }

    #[test]
    fn a_switch_is_on_off_or_wrong() {
        let refused = |text: &str| settings(&[(&NO_PLAIN_FALLBACK, text)]).map(|(settings, _)| settings.plain_http);
        assert_eq!(settings(&[]).map(|(settings, _)| settings.plain_http).ok(), Some(PlainHttp::Served));
        assert_eq!((refused("true").ok(), refused("false").ok()), (Some(PlainHttp::Refused), Some(PlainHttp::Served)));
        assert!(refused("maybe").is_err());
    }

    #[test]
    fn engines_come_from_the_flag_then_the_variable_of_docker() {
        let environment = |host: &str| DockerEnvironment { host: Some(host.into()), tls_verify: None };
        let docker = |raw: &RawSettings, host: &str| {
            let (settings, errors) = ServeSettings::parse(raw, &environment(host));
            let label = || errors[0].diagnostic("nothing").place.subject().map(str::to_owned);
            settings.map(|settings| urls(&settings).join(" ")).ok_or_else(label)
        };
        let mut raw = RawSettings::default();
        assert_eq!(docker(&raw, "tcp://a:2375").as_deref(), Ok("tcp://a:2375"));
        assert_eq!(docker(&raw, "").as_deref(), Ok("unix:///var/run/docker.sock"));
        assert_eq!(docker(&raw, "ssh://a").as_deref(), Err(&Some("DOCKER_HOST".to_owned())));
        raw.layer.set(&DOCKER, vec![SettingValue::flag("none")]);
        assert_eq!(docker(&raw, "tcp://a:2375").as_deref(), Ok(""));
        assert_eq!(notes(&[(&DOCKER, "none,unix:///x")]), ["no engine can be followed at it"]);
    }

    #[test]
    fn files_of_places_may_be_several_and_are_told_to_the_model() {
        let (given, _) = settings(&[(&GEOIP, "/a.mmdb, /b.mmdb"), (&GEOIP, "/c.mmdb")]).expect("usable");
        assert_eq!(given.geoip, ["/a.mmdb", "/b.mmdb", "/c.mmdb"].map(PathBuf::from));
        let tells = |settings: &ServeSettings| settings.for_model(Vec::new(), Vec::new()).has_geoip;
        assert!(tells(&given) && !tells(&settings(&[]).expect("usable").0));
        assert!(settings(&[(&GEOIP, " ")]).is_err());
    }

    #[test]
    fn an_engine_of_crowdsec_has_a_url_and_a_key() {
        const URL: (&Flag, &str) = (&CROWDSEC_URL, "http://crowdsec:8080");
        const KEY: (&Flag, &str) = (&CROWDSEC_KEY_FILE, "/run/secrets/crowdsec");
        let (given, _) = settings(&[URL, KEY]).expect("usable");
        let crowdsec = given.crowdsec.as_ref().expect("given");
        assert_eq!((&*crowdsec.url, crowdsec.key_file.as_path()), (URL.1, std::path::Path::new(KEY.1)));
        assert!(given.for_model(Vec::new(), Vec::new()).has_crowdsec);
        assert!(settings(&[]).is_ok_and(|(none, _)| none.crowdsec.is_none()));
        assert_eq!(notes(&[URL]), ["it needs `--crowdsec-key-file`"]);
        assert_eq!(notes(&[KEY]), ["it needs `--crowdsec-url`"]);
        assert_eq!(notes(&[(&CROWDSEC_URL, "crowdsec:8080"), KEY]).len(), 1);
    }

    #[test]
    fn a_collector_has_a_url_and_everything_else_a_default() {
        const URL: (&Flag, &str) = (&OTLP, "http://collector:4318");
        let of = |flags: &[(&'static Flag, &str)]| settings(flags).expect("usable").0.otlp;
        assert_eq!(of(&[]), None);
        let plain = of(&[URL]).expect("given");
        assert_eq!((&*plain.url, &*plain.service, plain.headers_file), (URL.1, "gangway", None));
        assert_eq!((plain.sample, plain.signals), (SampleRatio::ALL, Signals { traces: true, metrics: true }));
        let given = of(&[URL, (&OTLP_SAMPLE, "0.25"), (&OTLP_SIGNALS, "metrics"), (&OTLP_SERVICE, "edge")]);
        let given = given.expect("given");
        assert_eq!((Some(given.sample), &*given.service), (SampleRatio::of(0.25), "edge"));
        assert_eq!(given.signals, Signals { traces: false, metrics: true });
        assert_eq!(notes(&[(&OTLP_HEADERS_FILE, "/run/secrets/otlp")]), ["it needs `--otlp`"]);
        assert_eq!(notes(&[URL, (&OTLP_SAMPLE, "10%")]), ["not a number from 0 to 1"]);
        assert_eq!(notes(&[URL, (&OTLP_SIGNALS, "logs")]), ["unknown"]);
        assert_eq!(notes(&[(&OTLP, "http://me:s3cret@collector:4318")]).len(), 1);
    }

    #[test]
    fn what_is_not_in_force_is_named_and_what_protects_is_refused() {
        let (_, errors) = settings(&[(&ACME_WILDCARD, "example.org")]).expect("usable");
        let shown: Vec<_> =
            errors.iter().map(|error| error.diagnostic("nothing")).map(|found| (found.code.0, found.place)).collect();
        assert_eq!(shown, [(902, Place::Flag("--acme-wildcard".into()))]);
        assert_eq!(notes(&[(&CROWDSEC_APPSEC_URL, "http://127.0.0.1:7422")]), ["it needs `--crowdsec-url`"]);
    }
}
