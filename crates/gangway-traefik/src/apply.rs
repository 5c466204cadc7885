//! Entries → the static configuration, with a finding for everything that is not in force.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, Span, codes, nearest, printable};
use gangway_model::{CertificateDomain, ListenerName, PemSource, ServersTransport, TransportSettings};

use crate::catalogue::{Fate, Found, Kind, StaticOption, look_up};
use crate::config::{
    AccessLogFormat, DockerProvider, EntryPointAddress, EntryPointConfig, FieldMode, FileProvider, LogFormat, LogLevel,
    Resolver, Secret, StaticConfig,
};
use crate::entry::{Entry, EntryValue, segments};
use crate::later::meanwhile;
use crate::setting::{GivenOption, Setting};
use crate::value::{boolean, duration, items};

/// A configuration, and what was said about it.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub config: StaticConfig,
    /// Options that are in force.
    pub in_force: usize,
    /// Options that are not.
    pub without_effect: usize,
    /// Each option that was given and could be put in force.
    pub given: Vec<GivenOption>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Options that are on where nothing is said: switched off, they ask for something.
const ON_BY_DEFAULT: &[&str] = &[
    "entryPoints.<name>.http.sanitizePath",
    "entryPoints.<name>.http.encodedCharacters.**",
    "entryPoints.<name>.observability.accessLogs",
    "entryPoints.<name>.observability.metrics",
    "providers.docker.watch",
];

/// Options that ask for nothing that a user could miss: what they are about is never done.
const NEVER_MISSED: &[&str] = &["global.checkNewVersion", "global.sendAnonymousUsage"];

/// What happens where it cannot be told whether containers are exposed by default.
const ONLY_ENABLED: &str = "only containers with `traefik.enable=true` are served";

/// The name of a middleware that nobody defines.
const UNREADABLE: &str = "unreadable@internal";

/// Puts every entry in force, in the order given.
pub(crate) fn apply(entries: &[Entry]) -> Applied {
    let mut applier = Applier::default();
    let off: Vec<&[Box<str>]> =
        entries.iter().filter(|entry| is_switched_off(entry)).map(|entry| &*entry.path).collect();
    for entry in entries {
        // What stands below a section that is switched off is off with it.
        if !off.iter().any(|section| is_within(&entry.path, section)) {
            applier.entry(entry);
        }
    }
    applier.finish()
}

fn is_switched_off(entry: &Entry) -> bool {
    let is_section = matches!(look_up(&entry.path), Found::Option { option, .. } if option.kind == Kind::Section);
    is_section && matches!(&entry.value, EntryValue::Text(text) if boolean(text) == Some(false))
}

fn is_within(path: &[Box<str>], section: &[Box<str>]) -> bool {
    path.len() >= section.len() && path.iter().zip(section).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

#[derive(Default)]
struct Applier {
    config: StaticConfig,
    in_force: BTreeSet<Box<str>>,
    without_effect: BTreeSet<Box<str>>,
    given: Vec<GivenOption>,
    /// The whole names of those.
    known: BTreeSet<Box<str>>,
    diagnostics: Vec<Diagnostic>,
    /// Where each entry point is first named.
    entry_points: BTreeMap<ListenerName, Place>,
    /// What refers to other parts, until all of them are known.
    redirections: Vec<(ListenerName, Place)>,
    /// `http.tls.domains` of entry points, by their positions.
    domains: BTreeMap<(ListenerName, usize), CertificateDomain>,
    resolvers_asked: Vec<(ListenerName, Place)>,
}

/// Why a value does not fit: the note at the caret, and something to do.
struct Unusable(&'static str);

type Result<T = ()> = std::result::Result<T, Unusable>;

impl Applier {
    fn entry(&mut self, entry: &Entry) {
        let (option, names) = match look_up(&entry.path) {
            Found::Option { option, names } => (option, names),
            Found::Section => return self.section(entry),
            Found::Unknown { segment, nearest } => return self.unknown(entry, segment, nearest.as_deref()),
        };
        if option.path.starts_with("entryPoints.")
            && let Some(name) = names.first().and_then(|name| ListenerName::parse(name))
        {
            self.entry_points.entry(name).or_insert_with(|| entry.key_place.clone());
        }
        let setting = match option.fate {
            Fate::InForce(setting) => setting,
            Fate::WithoutEffect(instead) => return self.idle(entry, option, instead),
        };
        match self.put_in_force(setting, &names, entry, option.kind) {
            Ok(()) => {
                match meanwhile(setting) {
                    Some(instead) => self.idle(entry, option, instead),
                    None => self.count_in_force(entry, option),
                }
                if self.known.insert(whole(entry, option)) {
                    let written = if is_item(entry, option) { entry.written_list() } else { &entry.written };
                    let written = written.into();
                    self.given.push(GivenOption { setting, names, written });
                }
            }
            Err(Unusable(help)) => self.unusable(entry, option, help),
        }
    }

    fn count_in_force(&mut self, entry: &Entry, option: &StaticOption) {
        self.in_force.insert(whole(entry, option));
    }

    /// A way that only leads on. Nothing is asked by it.
    fn section(&mut self, entry: &Entry) {
        if let EntryValue::Text(text) = &entry.value
            && boolean(text).is_none()
        {
            let message = format!("`{}` takes no value", printable(&entry.written));
            self.without_effect.insert(entry.written.clone());
            self.diagnostics.push(
                Diagnostic::warning(codes::TRAEFIK_VALUE_UNUSABLE, entry.value_place.clone(), message)
                    .with_caret(&*entry.written, Span::of(&entry.written), "options stand below it")
                    .with_help("write the options that you mean below it")
                    .with_effect("it is left out"),
            );
        }
    }

    fn unknown(&mut self, entry: &Entry, segment: usize, nearest: Option<&str>) {
        let help = match nearest {
            Some(nearest) if entry.written.starts_with("--") => format!("did you mean `--{}`?", printable(nearest)),
            Some(nearest) if matches!(entry.key_place, Place::Variable(_)) => {
                format!("did you mean `TRAEFIK_{}`?", printable(&variable(nearest)))
            }
            Some(nearest) => format!("did you mean `{}`?", printable(nearest)),
            None => "take it out; it is no option of Traefik 3".to_owned(),
        };
        self.without_effect.insert(entry.written.clone());
        let effect = self.protect_instead(nearest).unwrap_or("it is left out; Traefik would not start");
        let message = format!("unknown option `{}`", printable(&entry.written));
        self.diagnostics.push(
            Diagnostic::warning(codes::TRAEFIK_OPTION_UNKNOWN, entry.key_place.clone(), message)
                .with_caret(&*entry.written, entry.segment_span(segment), "not an option")
                .with_help(help)
                .with_effect(effect),
        );
    }

    /// Where an option that protects was surely meant, what it protects is closed.
    fn protect_instead(&mut self, nearest: Option<&str>) -> Option<&'static str> {
        let Found::Option { option, names } = look_up(&segments(nearest?)) else { return None };
        if option.fate == Fate::InForce(Setting::DockerExposedByDefault) {
            self.docker().exposed_by_default = false;
            return Some(ONLY_ENABLED);
        }
        if option.fate == Fate::InForce(Setting::EntryPointMiddlewares) {
            // A middleware that does not exist closes every router of the entry point.
            self.entry_point(names.first()?).ok()?.1.middlewares.push(UNREADABLE.into());
            return Some("every router of the entry point is closed; Traefik would not start");
        }
        None
    }

    fn idle(&mut self, entry: &Entry, option: &'static StaticOption, instead: &str) {
        // A switch that is off, and would be, asks for nothing.
        let is_off = option.kind == Kind::Bool && boolean(entry.text()) == Some(false);
        if is_off && !ON_BY_DEFAULT.contains(&option.path) || NEVER_MISSED.contains(&option.path) {
            return self.count_in_force(entry, option);
        }
        if !self.without_effect.insert(whole(entry, option)) {
            return;
        }
        let message = format!("`{}` has no effect", printable(&entry.written));
        self.diagnostics.push(
            Diagnostic::warning(codes::TRAEFIK_OPTION_WITHOUT_EFFECT, entry.key_place.clone(), message)
                .with_caret(&*entry.written, Span::of(&entry.written), "without effect")
                .with_help("take it out once you stay with Gangway")
                .with_effect(instead),
        );
    }

    fn unusable(&mut self, entry: &Entry, option: &'static StaticOption, help: &'static str) {
        self.without_effect.insert(whole(entry, option));
        let diagnostic = Diagnostic::warning(
            codes::TRAEFIK_VALUE_UNUSABLE,
            entry.value_place.clone(),
            format!("unusable value of `{}`", printable(&entry.written)),
        );
        let shown = match option.kind {
            Kind::Secret => "",
            Kind::Section | Kind::Bool | Kind::Int | Kind::Duration | Kind::List | Kind::Text => entry.text(),
        };
        let diagnostic =
            if shown.is_empty() { diagnostic } else { diagnostic.with_caret(shown, Span::of(shown), "does not fit") };
        let effect = if option.fate == Fate::InForce(Setting::DockerExposedByDefault) {
            self.docker().exposed_by_default = false;
            ONLY_ENABLED
        } else {
            "the option is left out"
        };
        self.diagnostics.push(diagnostic.with_help(help).with_effect(effect));
    }

    fn put_in_force(&mut self, setting: Setting, names: &[Box<str>], entry: &Entry, kind: Kind) -> Result {
        let value = Value { entry, kind };
        let name = names.first().map_or("", |name| &**name);
        let config = &mut self.config;
        match setting {
            Setting::EntryPoint => _ = self.entry_point(name)?,
            Setting::EntryPointAddress => {
                let address = EntryPointAddress::parse(value.text()?);
                self.entry_point(name)?.1.address =
                    Some(address.ok_or(Unusable("write `:80`, `192.0.2.1:80` or `[::1]:80`"))?);
            }
            Setting::EntryPointAsDefault => self.entry_point(name)?.1.as_default = value.boolean()?,
            Setting::RedirectionTo => {
                let to = value.text()?.into();
                let (name, entry_point) = self.entry_point(name)?;
                entry_point.redirection.get_or_insert_default().to = to;
                self.redirections.push((name, entry.value_place.clone()));
            }
            Setting::RedirectionScheme => {
                self.entry_point(name)?.1.redirection.get_or_insert_default().scheme = Some(value.text()?.into());
            }
            Setting::RedirectionPermanent => {
                self.entry_point(name)?.1.redirection.get_or_insert_default().permanent = Some(value.boolean()?);
            }
            Setting::RedirectionPriority => {
                let priority = value.text()?.parse().map_err(|_| Unusable("write a whole number"))?;
                self.entry_point(name)?.1.redirection.get_or_insert_default().priority = Some(priority);
            }
            Setting::EntryPointTls => {
                value.switch()?;
                _ = self.entry_point(name)?.1.tls.get_or_insert_default();
            }
            Setting::EntryPointTlsResolver => {
                let resolver = value.text()?.into();
                let (name, entry_point) = self.entry_point(name)?;
                entry_point.tls.get_or_insert_default().resolver = Some(resolver);
                self.resolvers_asked.push((name, entry.value_place.clone()));
            }
            Setting::EntryPointTlsOptions => {
                self.entry_point(name)?.1.tls.get_or_insert_default().options = Some(value.text()?.into());
            }
            Setting::EntryPointTlsDomainMain => self.domain(names)?.main = value.text()?.trim().into(),
            Setting::EntryPointTlsDomainSans => self.domain(names)?.sans.extend(value.items()),
            Setting::EntryPointMiddlewares => self.entry_point(name)?.1.middlewares.extend(value.items()),
            Setting::ForwardedTrustedIps => self.entry_point(name)?.1.trusted.extend(value.items()),
            Setting::ForwardedInsecure => self.entry_point(name)?.1.trusts_all = value.boolean()?,
            Setting::ProxyProtocol => {
                value.switch()?;
                _ = self.entry_point(name)?.1.proxy_protocol.get_or_insert_default();
            }
            Setting::ProxyProtocolTrustedIps => {
                self.entry_point(name)?.1.proxy_protocol.get_or_insert_default().trusted.extend(value.items());
            }
            Setting::ProxyProtocolInsecure => {
                self.entry_point(name)?.1.proxy_protocol.get_or_insert_default().trusts_all = value.boolean()?;
            }
            Setting::ReadTimeout => self.entry_point(name)?.1.read_timeout = Some(value.duration()?),
            Setting::WriteTimeout => self.entry_point(name)?.1.write_timeout = Some(value.duration()?),
            Setting::IdleTimeout => self.entry_point(name)?.1.idle_timeout = Some(value.duration()?),
            Setting::RequestAcceptGrace => self.entry_point(name)?.1.request_accept_grace = Some(value.duration()?),
            Setting::GraceTimeout => self.entry_point(name)?.1.grace = Some(value.duration()?),
            Setting::Docker => {
                value.switch()?;
                _ = self.docker();
            }
            Setting::DockerEndpoint => self.docker().endpoint = Some(value.text()?.into()),
            Setting::DockerExposedByDefault => self.docker().exposed_by_default = value.boolean()?,
            Setting::DockerNetwork => self.docker().network = Some(value.text()?.into()),
            Setting::DockerDefaultRule => self.docker().default_rule = Some(value.text()?.into()),
            Setting::DockerConstraints => self.docker().constraints = value.text()?.into(),
            Setting::DockerUseBindPortIp => self.docker().use_bind_port_ip = value.boolean()?,
            Setting::DockerAllowEmptyServices => self.docker().allow_empty_services = value.boolean()?,
            Setting::FileFilename => self.file().filename = Some(value.text()?.into()),
            Setting::FileDirectory => self.file().directory = Some(value.text()?.into()),
            Setting::FileWatch => self.file().watch = value.boolean()?,
            Setting::Acme => {
                value.switch()?;
                _ = self.resolver(name);
            }
            Setting::AcmeEmail => self.resolver(name).email = Some(value.text()?.into()),
            Setting::AcmeCaServer => self.resolver(name).ca_server = Some(value.text()?.into()),
            Setting::AcmeCaCertificates => {
                self.resolver(name).ca_certificates.extend(value.items().map(|file| String::from(file).into()));
            }
            Setting::AcmeStorage => self.resolver(name).storage = Some(value.text()?.into()),
            Setting::AcmeProfile => self.resolver(name).profile = Some(value.text()?.into()),
            Setting::AcmeKeyType => key_type(value.text()?)?,
            Setting::AcmeKid => self.resolver(name).kid = Some(value.text()?.into()),
            Setting::AcmeHmac => self.resolver(name).hmac = Some(Secret::new(value.text()?)),
            Setting::HttpChallenge => {
                value.switch()?;
                self.resolver(name).has_http_challenge = true;
            }
            Setting::HttpChallengeEntryPoint => {
                value.text()?;
                self.resolver(name).has_http_challenge = true;
            }
            Setting::TlsChallenge => {
                value.switch()?;
                self.resolver(name).has_tls_challenge = true;
            }
            Setting::DnsChallenge => {
                value.switch()?;
                _ = self.resolver(name);
            }
            Setting::DnsProvider => self.resolver(name).dns_provider = Some(value.text()?.into()),
            Setting::DnsResolvers => {
                let resolvers: Result<Vec<SocketAddr>> = value.items().map(|text| name_server(&text)).collect();
                self.resolver(name).dns_resolvers.extend(resolvers?);
            }
            Setting::DnsDelay | Setting::DnsDelayDeprecated => self.resolver(name).dns_delay = Some(value.duration()?),
            Setting::DnsChecksOff | Setting::DnsChecksOffDeprecated => {
                self.resolver(name).dns_checks_off = value.boolean()?;
            }
            Setting::LogLevel => config.log.level = Some(log_level(value.text()?)?),
            Setting::LogFormat => config.log.format = Some(log_format(value.text()?)?),
            Setting::AccessLog => {
                value.switch()?;
                _ = config.access_log.get_or_insert_default();
            }
            Setting::AccessLogFilePath => {
                config.access_log.get_or_insert_default().file = Some(value.text()?.into());
            }
            Setting::AccessLogFormat => {
                config.access_log.get_or_insert_default().format = access_log_format(value.text()?)?;
            }
            Setting::AccessLogStatusCodes => {
                config.access_log.get_or_insert_default().status_codes.extend(value.items());
            }
            Setting::AccessLogRetryAttempts => {
                config.access_log.get_or_insert_default().retry_attempts = value.boolean()?;
            }
            Setting::AccessLogMinDuration => {
                config.access_log.get_or_insert_default().min_duration = Some(value.duration()?);
            }
            Setting::AccessLogDefaultMode => {
                config.access_log.get_or_insert_default().default_mode = Some(field_mode(value.text()?)?);
            }
            Setting::AccessLogFieldMode => {
                let mode = field_mode(value.text()?)?;
                config.access_log.get_or_insert_default().fields.insert(name.into(), mode);
            }
            Setting::AccessLogHeadersDefaultMode => {
                config.access_log.get_or_insert_default().headers_default_mode = Some(field_mode(value.text()?)?);
            }
            Setting::AccessLogHeaderMode => {
                let mode = field_mode(value.text()?)?;
                config.access_log.get_or_insert_default().headers.insert(name.into(), mode);
            }
            Setting::AccessLogBufferingSize => {
                // Lines always wait in a queue for the file, whatever the size.
                value.number::<u64>()?;
                _ = config.access_log.get_or_insert_default();
            }
            Setting::AccessLogAddInternals => {
                config.access_log.get_or_insert_default().adds_internals = value.boolean()?;
            }
            Setting::PrometheusBuckets => {
                let bound = |text: Box<str>| text.parse().ok().filter(|bound: &f64| bound.is_finite() && *bound > 0.0);
                let bounds = value.items().map(bound).collect::<Option<Vec<f64>>>();
                let bounds = bounds.ok_or(Unusable("write seconds, such as `0.1,0.3,1.2,5`"))?;
                config.prometheus.get_or_insert_default().buckets.extend(bounds);
            }
            Setting::PrometheusEntryPoints => {
                config.prometheus.get_or_insert_default().counts_entry_points = value.boolean()?;
            }
            Setting::PrometheusRouters => {
                config.prometheus.get_or_insert_default().counts_routers = value.boolean()?;
            }
            Setting::PrometheusServices => {
                config.prometheus.get_or_insert_default().counts_services = value.boolean()?;
            }
            Setting::PingTerminatingStatus => {
                let status = value.number()?;
                let is_status = (100..600).contains(&status);
                if !is_status {
                    return Err(Unusable("write a status such as `503`"));
                }
                config.ping.get_or_insert_default().terminating_status = Some(status);
            }
            Setting::ApiBasePath => {
                let path = value.text()?.trim_end_matches('/');
                let is_path = path.is_empty() || path.starts_with('/');
                let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"`?#%".contains(&byte));
                if !is_path || !is_plain {
                    return Err(Unusable("write a path such as `/traefik`"));
                }
                config.api.get_or_insert_default().base_path = path.into();
            }
            // There is none in any case.
            Setting::ApiNoAdvertisement => {
                value.boolean()?;
                _ = config.api.get_or_insert_default();
            }
            Setting::Prometheus => {
                value.switch()?;
                _ = config.prometheus.get_or_insert_default();
            }
            Setting::PrometheusEntryPoint => {
                config.prometheus.get_or_insert_default().entry_point = Some(entry_point_name(value.text()?)?);
            }
            Setting::PrometheusManualRouting => {
                config.prometheus.get_or_insert_default().manual_routing = value.boolean()?;
            }
            Setting::Ping => {
                value.switch()?;
                _ = config.ping.get_or_insert_default();
            }
            Setting::PingEntryPoint => {
                config.ping.get_or_insert_default().entry_point = Some(entry_point_name(value.text()?)?);
            }
            Setting::PingManualRouting => config.ping.get_or_insert_default().manual_routing = value.boolean()?,
            Setting::Api => {
                value.switch()?;
                _ = config.api.get_or_insert_default();
            }
            Setting::ApiInsecure => config.api.get_or_insert_default().insecure = value.boolean()?,
            Setting::ApiDashboard => config.api.get_or_insert_default().dashboard = value.boolean()?,
            Setting::SkipsVerification => transport_settings(config).verify = !value.boolean()?,
            Setting::TransportRootCas => {
                let settings = transport_settings(config);
                let roots = settings.roots.iter().cloned().chain(value.items().map(|text| PemSource::new(&text)));
                settings.roots = roots.collect();
            }
            Setting::TransportIdleMax => {
                let max: i64 = value.number()?;
                transport_settings(config).idle_max = ServersTransport::idle_max(max);
            }
            Setting::TransportDialTimeout => transport(config).connect = bound(value.duration()?),
            Setting::TransportResponseTimeout => transport(config).response = bound(value.duration()?),
            Setting::TransportIdleTimeout => transport_settings(config).idle_timeout = bound(value.duration()?),
            Setting::PluginModule => _ = config.plugins.insert(name.into(), value.text()?.into()),
        }
        Ok(())
    }

    fn entry_point(&mut self, name: &str) -> Result<(ListenerName, &mut EntryPointConfig)> {
        let name = entry_point_name(name)?;
        Ok((name.clone(), self.config.entry_points.entry(name).or_default()))
    }

    /// The item of `http.tls.domains` that the names lead to: an entry point, and a position in brackets.
    fn domain(&mut self, names: &[Box<str>]) -> Result<&mut CertificateDomain> {
        let position = names.get(1).and_then(|position| position.trim_matches(['[', ']']).parse().ok());
        let position = position.ok_or(Unusable("number the domains from `[0]` on"))?;
        let (name, entry_point) = self.entry_point(names.first().map_or("", |name| name))?;
        _ = entry_point.tls.get_or_insert_default();
        Ok(self.domains.entry((name, position)).or_default())
    }

    fn docker(&mut self) -> &mut DockerProvider {
        self.config.docker.get_or_insert_default()
    }

    fn file(&mut self) -> &mut FileProvider {
        self.config.file.get_or_insert_default()
    }

    fn resolver(&mut self, name: &str) -> &mut Resolver {
        let resolvers = &mut self.config.resolvers;
        let at = resolvers.iter().position(|resolver| resolver.name.eq_ignore_ascii_case(name)).unwrap_or_else(|| {
            resolvers.push(Resolver { name: name.into(), ..Resolver::default() });
            resolvers.len() - 1
        });
        &mut resolvers[at]
    }

    fn finish(mut self) -> Applied {
        for ((name, _), domain) in std::mem::take(&mut self.domains) {
            self.config.entry_points.entry(name).or_default().tls.get_or_insert_default().domains.push(domain);
        }
        self.config.complete();
        for (name, place) in std::mem::take(&mut self.entry_points) {
            self.check_address(&name, place);
        }
        for (name, place) in std::mem::take(&mut self.redirections) {
            self.check_redirection(&name, place);
        }
        for (name, place) in std::mem::take(&mut self.resolvers_asked) {
            self.check_resolver(&name, place);
        }
        let Self { config, in_force, without_effect, given, diagnostics, .. } = self;
        Applied { config, in_force: in_force.len(), without_effect: without_effect.len(), given, diagnostics }
    }

    /// An entry point at which nothing listens gives a finding, whatever the reason.
    fn check_address(&mut self, name: &ListenerName, place: Place) {
        let (code, message, help) = match self.config.entry_points.get(name).map(|config| config.address) {
            Some(Some(address)) if address.is_udp => (
                codes::TRAEFIK_OPTION_WITHOUT_EFFECT,
                format!("entry point `{name}` takes UDP, which is not served yet"),
                "take it out once you stay with Gangway".to_owned(),
            ),
            Some(Some(_)) => return,
            Some(None) | None => (
                codes::TRAEFIK_VALUE_UNUSABLE,
                format!("entry point `{name}` has no address"),
                format!("write `:80`, or another address, at `entryPoints.{name}.address`"),
            ),
        };
        let diagnostic = Diagnostic::warning(code, place, message).with_help(help);
        self.diagnostics.push(diagnostic.with_effect("nothing is served at this entry point"));
    }

    fn check_redirection(&mut self, name: &ListenerName, place: Place) {
        let redirection = self.config.entry_points.get(name).and_then(|config| config.redirection.as_ref());
        let Some(redirection) = redirection.filter(|it| self.config.redirection_port(it).is_none()) else { return };
        let to = &*redirection.to;
        let names = self.config.entry_points.keys().map(|name| &**name);
        let help = match nearest(to, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}, and ports such as `:443`", names.collect::<Vec<_>>().join(", ")),
        };
        let diagnostic = Diagnostic::warning(
            codes::TRAEFIK_VALUE_UNUSABLE,
            place,
            format!("there is no entry point `{}`", printable(to)),
        )
        .with_caret(to, Span::of(to), "not an entry point")
        .with_help(help)
        .with_effect(format!("requests of entry point `{name}` are not redirected"));
        self.diagnostics.push(diagnostic);
    }

    fn check_resolver(&mut self, name: &ListenerName, place: Place) {
        let tls = self.config.entry_points.get(name).and_then(|config| config.tls.as_ref());
        let Some(resolver) = tls.and_then(|tls| tls.resolver.as_deref()) else { return };
        let names = self.config.resolvers.iter().map(|resolver| &*resolver.name);
        if names.clone().any(|name| name.eq_ignore_ascii_case(resolver)) {
            return;
        }
        let help =
            match nearest(resolver, names.clone()).or_else(|| names.clone().next().filter(|_| names.count() == 1)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("define it below `certificatesResolvers.{}.acme`", printable(resolver)),
            };
        let message = format!("there is no resolver `{}`", printable(resolver));
        let diagnostic = Diagnostic::warning(codes::TRAEFIK_VALUE_UNUSABLE, place, message)
            .with_caret(resolver, Span::of(resolver), "not a resolver")
            .with_help(help)
            .with_effect("Gangway chooses itself where certificates come from");
        self.diagnostics.push(diagnostic);
    }
}

/// The name of an option as a whole: the items of a list are one option.
fn whole(entry: &Entry, option: &StaticOption) -> Box<str> {
    let len = entry.path.len() - usize::from(is_item(entry, option));
    entry.path[..len].join(".").to_ascii_lowercase().into()
}

fn is_item(entry: &Entry, option: &StaticOption) -> bool {
    option.kind == Kind::List && entry.path.last().is_some_and(|last| last.starts_with('['))
}

fn variable(path: &str) -> String {
    path.replace(['.', '['], "_").replace(']', "").to_ascii_uppercase()
}

/// The value of an entry, as its option takes it.
struct Value<'e> {
    entry: &'e Entry,
    kind: Kind,
}

impl Value<'_> {
    fn text(&self) -> Result<&str> {
        match &self.entry.value {
            EntryValue::Text(text) if !text.is_empty() => Ok(text),
            EntryValue::Text(_) | EntryValue::Null | EntryValue::EmptyMap | EntryValue::EmptyList => {
                Err(Unusable("write a value, or take the option out"))
            }
        }
    }

    fn boolean(&self) -> Result<bool> {
        boolean(self.text()?).ok_or(Unusable("write `true` or `false`"))
    }

    fn number<T: FromStr>(&self) -> Result<T> {
        self.text()?.parse().map_err(|_| Unusable("write a whole number"))
    }

    fn duration(&self) -> Result<Duration> {
        duration(self.text()?).ok_or(Unusable("write seconds, or a duration such as `1m30s`"))
    }

    /// A section is on if it is named at all. Whether it is switched off was looked at before.
    fn switch(&self) -> Result {
        match &self.entry.value {
            EntryValue::Text(text) if !text.is_empty() && boolean(text).is_none() => {
                Err(Unusable("it takes no value; write the options that you mean below it"))
            }
            EntryValue::Text(_) | EntryValue::Null | EntryValue::EmptyMap | EntryValue::EmptyList => Ok(()),
        }
    }

    fn items(&self) -> impl Iterator<Item = Box<str>> {
        let is_item = self.kind != Kind::List || self.entry.path.last().is_some_and(|last| last.starts_with('['));
        let text = self.entry.text();
        let (one, several) = if is_item { (text.trim(), "") } else { ("", text) };
        Some(one).into_iter().filter(|one| !one.is_empty()).chain(items(several)).map(Into::into)
    }
}

fn transport(config: &mut StaticConfig) -> &mut ServersTransport {
    config.servers_transport.get_or_insert_default()
}

fn transport_settings(config: &mut StaticConfig) -> &mut TransportSettings {
    Arc::make_mut(&mut transport(config).settings)
}

/// No time at all is no bound of the user's.
fn bound(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

fn entry_point_name(text: &str) -> Result<ListenerName> {
    ListenerName::parse(text).ok_or(Unusable("a name has letters, digits, `-`, `_` and `.`, and at most 63 of them"))
}

/// Keys of certificates are ECDSA P-256, whatever is asked for.
fn key_type(text: &str) -> Result {
    match text {
        "EC256" => Ok(()),
        _ => Err(Unusable("keys of certificates are `EC256`, which all clients of today know")),
    }
}

/// An address with or without its port, which is 53.
fn name_server(text: &str) -> Result<SocketAddr> {
    let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| Unusable("write the address of each name server, such as `1.1.1.1:53`"))
}

fn log_level(text: &str) -> Result<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Ok(LogLevel::Trace),
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warn" => Ok(LogLevel::Warn),
        "error" | "fatal" | "panic" => Ok(LogLevel::Error),
        _ => Err(Unusable("write `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`")),
    }
}

fn log_format(text: &str) -> Result<LogFormat> {
    match text {
        "common" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Unusable("write `common` or `json`")),
    }
}

fn access_log_format(text: &str) -> Result<AccessLogFormat> {
    match text {
        "common" => Ok(AccessLogFormat::Common),
        "json" => Ok(AccessLogFormat::Json),
        "genericCLF" => Ok(AccessLogFormat::GenericClf),
        _ => Err(Unusable("write `common`, `json` or `genericCLF`")),
    }
}

fn field_mode(text: &str) -> Result<FieldMode> {
    match text {
        "keep" => Ok(FieldMode::Keep),
        "drop" => Ok(FieldMode::Drop),
        "redact" => Ok(FieldMode::Redact),
        _ => Err(Unusable("write `keep`, `drop` or `redact`")),
    }
}
