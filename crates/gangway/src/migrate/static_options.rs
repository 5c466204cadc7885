//! Every option of the static configuration → a flag, a table, or a line that says what became of it.
//!
//! What is in force in Traefik's place, and would be lost without a word, is the reason for this module: [`Setting`] has one
//! variant for each such option, so a new one has to be decided here before it compiles.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use gangway_compose::Service;
use gangway_model::{CertificateDomain, ListenerName, Route, RoutingTable};
use gangway_traefik::{AccessLogFormat, EntryPointConfig, GivenOption, Redirection, Resolver, Setting, serve_flags};

use super::data_folder::{DATA, kept_folder};
use super::issuers::{self, IssuerPlan};
use super::listener_trust::TrustPlan;
use super::listeners::ListenerPlan;
use crate::check::traefik_stack::TraefikStack;

/// What becomes of the static configuration.
pub(super) struct StaticPlan<'m> {
    /// Flags with their values, without those that open listeners.
    pub(super) flags: Vec<(&'static str, String)>,
    /// A line for each thing that no flag says, without the sign of a comment.
    pub(super) comments: Vec<String>,
    pub(super) trust: TrustPlan,
    issuers: IssuerPlan<'m>,
    /// Names for which entry points want certificates.
    asked_for: BTreeSet<&'m str>,
}

/// What becomes of one option that was given.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Outcome {
    /// A flag, a label or a volume that is printed says it, or Gangway does so without a word.
    Said,
    /// The user says it in another place than a flag: the sentence names it.
    Elsewhere(Cow<'static, str>),
    /// What it asks for is done in another way, or needs nothing.
    NotNeeded(Cow<'static, str>),
    /// It is lost. The sentence says what happens instead.
    NoEqual(Cow<'static, str>),
}

const OWN_PAGE: &str =
    "the page of Gangway is at its admin address, 127.0.0.1:8420 inside, and `--page` gives it a host";
const PING: &str = "`/readyz` at the admin address says it, and the image has a health check of its own";
const METRICS: &str = "`/metrics` at the address of `--admin` has them by Gangway's own names";
const LOGGED: &str = "every request has a line, with the fields of `--access-log-format`";
const LIMITS: &str = "Gangway's own limits of connections hold";
const STOP: &str = "requests under way have eight seconds when Gangway stops";
const STALLED: &str = "a request may take as long as it makes progress, within Gangway's own limits";
const ZONE_ASKED: &str = "the name servers of the zone are asked for two minutes at most, and then it goes on";
const FILE_FOLLOWED: &str = "the file of `--config` is always followed";
const OF_ROUTERS: &str = "each route on it needs it in its labels: no route in these files is on it";
const ENTRY_POINT_LOST: &str = "nothing is served there";

impl<'m> StaticPlan<'m> {
    pub(super) fn new(
        stack: &'m TraefikStack,
        service: Option<&Service>,
        plan: &ListenerPlan,
        table: &RoutingTable,
    ) -> Self {
        let trust = TrustPlan::new(stack, plan);
        let issuers = IssuerPlan::new(&stack.config, service);
        let domains = stack.config.entry_points.values().filter_map(|entry| entry.tls.as_ref());
        let asked_for = domains.flat_map(|tls| &tls.domains).flat_map(CertificateDomain::names).collect();
        let hosts = table.routes().iter().flat_map(|route| &route.hosts).map(ToString::to_string).collect();
        let used = table.routes().iter().flat_map(|route| route.listener.scope.names.iter().flatten()).collect();
        let reader = Reader { stack, service, plan, trust: &trust, issuers: &issuers, hosts, used };
        let (flags, comments) = (reader.flags(), reader.comments());
        Self { flags, comments, trust, issuers, asked_for }
    }

    /// What becomes of the choice of a resolver, where flags name another authority than it does.
    pub(super) fn other_issuer(&self, route: &Route) -> Option<String> {
        let name = route.listener.cert_issuer.as_deref()?;
        let of = self.issuers.instead_of(name)?;
        Some(format!("its certificates are ordered as resolver `{of}` says, and not as `{name}` does"))
    }

    /// Whether a name of a certificate is ordered by a flag, or has been told of at its entry point.
    pub(super) fn is_told(&self, name: &str) -> bool {
        self.issuers.has_wildcard_for(name) || self.asked_for.contains(name)
    }
}

struct Reader<'r, 'm> {
    stack: &'m TraefikStack,
    service: Option<&'r Service>,
    plan: &'r ListenerPlan,
    trust: &'r TrustPlan,
    issuers: &'r IssuerPlan<'m>,
    /// The hosts of all routes, for which certificates are ordered.
    hosts: BTreeSet<String>,
    /// The entry points on which there is a route.
    used: BTreeSet<&'r ListenerName>,
}

impl<'m> Reader<'_, 'm> {
    fn flags(&self) -> Vec<(&'static str, String)> {
        let config = &self.stack.config;
        let format = |name: &str| config.access_log.as_ref().filter(|_| name == "access-log-format");
        let in_place = serve_flags(config).into_iter();
        let mut flags: Vec<(&'static str, String)> = in_place
            .map(|(name, value)| (name, format(name).map_or(value, |log| access_log_format(log.format).to_owned())))
            .collect();
        flags.extend(self.issuers.flags());
        flags.extend(self.trust.flag.clone().map(|list| ("trusted-proxies", list)));
        let ports = config.entry_points.iter().filter(|(name, _)| self.plan.redirects(name));
        let ports = ports.filter_map(|(_, entry)| config.redirection_port(entry.redirection.as_ref()?));
        let port = ports.into_iter().next().filter(|port| *port != self.plan.https_port());
        flags.extend(port.map(|port| ("public-https-port", port.to_string())));
        flags
    }

    /// One line for all options of which the same is to be said, in the order in which they were given.
    fn comments(&self) -> Vec<String> {
        let mut told: Vec<(Outcome, Vec<&str>)> = Vec::new();
        let given = self.stack.given.iter().filter(|_| self.stack.is_known);
        for option in given {
            let outcome = self.outcome(option);
            match told.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, options)) => options.push(&option.written),
                None => told.push((outcome, vec![&option.written])),
            }
        }
        let of_options = told.iter().filter_map(|(outcome, options)| outcome.sentence(options));
        let of_variables = self.issuers.misnamed.iter().map(|(ours, theirs)| {
            format!("`{theirs}` is called `{ours}` by Gangway: give this service its value by that name")
        });
        let hidden = "the URL of `--acme-dns` has a name and a password in a file of variables, and here it has none: give \
                      them by `WEBHOOK_USERNAME` and `WEBHOOK_PASSWORD`";
        let hidden = self.issuers.hides_user.then(|| hidden.to_owned());
        self.stack.without_equal.iter().cloned().chain(of_options).chain(of_variables).chain(hidden).collect()
    }

    fn outcome(&self, option: &GivenOption) -> Outcome {
        let name = option.names.first().map_or("", |name| &**name);
        let config = &self.stack.config;
        match option.setting {
            Setting::EntryPoint | Setting::EntryPointAddress | Setting::EntryPointAsDefault => {
                let of = |(name, _): (ListenerName, &EntryPointConfig)| match self.plan.listener(&name) {
                    Some(_) => Outcome::Said,
                    None if self.plan.own_pages() == Some(&name) => Outcome::not_needed(OWN_PAGE),
                    None => Outcome::no_equal(ENTRY_POINT_LOST),
                };
                self.entry_point(name).map_or(Outcome::Said, of)
            }
            Setting::RedirectionTo => self.redirection(name, |_| Outcome::Said),
            Setting::RedirectionScheme => self.redirection(name, |redirection| {
                let is_https = redirection.scheme.as_deref() == Some("https");
                lost_if(!is_https, "requests in clear are redirected to https")
            }),
            Setting::RedirectionPermanent => self.redirection(name, |redirection| {
                lost_if(redirection.permanent == Some(false), "the redirection to https is permanent (308)")
            }),
            Setting::RedirectionPriority => self.redirection(name, |redirection| {
                let is_first = redirection.priority.is_none_or(|priority| priority >= i64::MAX - 1);
                lost_if(!is_first, "the redirection comes before every route without `https-redirect` `false`")
            }),
            Setting::EntryPointTls | Setting::EntryPointTlsResolver => Outcome::Said,
            // They are read with the routers, and their labels say it.
            Setting::EntryPointTlsOptions | Setting::EntryPointMiddlewares => match self.has_routes(name) {
                true => Outcome::Said,
                false => Outcome::Elsewhere(OF_ROUTERS.into()),
            },
            Setting::EntryPointTlsDomainMain | Setting::EntryPointTlsDomainSans => self.domains(name),
            Setting::ForwardedTrustedIps | Setting::ForwardedInsecure => self.trusted(name, "trusted-proxies"),
            Setting::ProxyProtocol => Outcome::Said,
            Setting::ProxyProtocolTrustedIps | Setting::ProxyProtocolInsecure => self.trusted(name, "proxy-protocol"),
            Setting::ReadTimeout => self.time(name, |entry| entry.read_timeout, STALLED),
            Setting::WriteTimeout => self.time(name, |entry| entry.write_timeout, STALLED),
            Setting::IdleTimeout => Outcome::no_equal(LIMITS),
            Setting::RequestAcceptGrace => self.time(name, |entry| entry.request_accept_grace, STOP),
            Setting::GraceTimeout => Outcome::no_equal(STOP),

            Setting::Docker | Setting::DockerEndpoint | Setting::DockerNetwork | Setting::DockerExposedByDefault => {
                Outcome::Said
            }
            Setting::DockerDefaultRule => Outcome::not_needed(
                "what it gives stands in labels here; a new container is served below `--domain`, or says its host",
            ),
            Setting::DockerConstraints => Outcome::not_needed(
                "what it leaves out gets no label here; `--select` chooses containers by labels, projects and networks",
            ),
            Setting::DockerUseBindPortIp => lost_if(
                config.docker.as_ref().is_some_and(|docker| docker.use_bind_port_ip),
                "containers are reached by their own addresses",
            ),
            Setting::DockerAllowEmptyServices => {
                Outcome::not_needed("requests for a container that is away wait for it, and are then answered 503")
            }
            Setting::FileFilename | Setting::FileDirectory => lost_if(
                !self.stack.has_dynamic_files,
                "its files are not beside these: name them behind `gangway migrate`",
            ),
            Setting::FileWatch => lost_if(config.file.as_ref().is_some_and(|file| !file.watch), FILE_FOLLOWED),

            // All challenges are tried, at every listener.
            Setting::Acme | Setting::HttpChallenge | Setting::HttpChallengeEntryPoint | Setting::TlsChallenge => {
                Outcome::Said
            }
            Setting::AcmeEmail => self.of(name, |resolver, issuers| {
                let is_said = resolver.email.as_deref().is_none_or(|email| issuers.email.is(email));
                said_for_all(is_said, issuers.email.resolver())
            }),
            Setting::AcmeCaServer => self.of(name, |resolver, issuers| {
                said_for_all(issuers.authority.is(issuers::authority(resolver)), issuers.authority.resolver())
            }),
            Setting::AcmeProfile => self.of(name, |resolver, issuers| {
                let is_said = resolver.profile.as_deref().is_none_or(|profile| issuers.profile.is(profile));
                said_for_all(is_said, issuers.profile.resolver())
            }),
            Setting::AcmeCaCertificates => self.of(name, |resolver, issuers| {
                let is_said = resolver.ca_certificates.iter().all(|file| issuers.root.is(file));
                lost_if(!is_said, "`--acme-ca-root` takes one file: put the roots of the others into it")
            }),
            Setting::AcmeStorage => self.of(name, |resolver, _| self.storage(resolver)),
            Setting::AcmeKid => self.of(name, |resolver, issuers| {
                external_account(resolver, issuers, &issuers::account_variables(resolver).0)
            }),
            Setting::AcmeHmac => self.of(name, |resolver, issuers| {
                external_account(resolver, issuers, &issuers::account_variables(resolver).1)
            }),
            // Without a provider it asks for nothing.
            Setting::DnsChallenge => Outcome::Said,
            Setting::DnsProvider => self.of(name, dns_provider),
            Setting::DnsResolvers => Outcome::no_equal(ZONE_ASKED),
            Setting::DnsDelay | Setting::DnsDelayDeprecated => self
                .of(name, |resolver, _| lost_if(resolver.dns_delay.is_some_and(|delay| !delay.is_zero()), ZONE_ASKED)),
            Setting::DnsChecksOff | Setting::DnsChecksOffDeprecated => {
                self.of(name, |resolver, _| lost_if(resolver.dns_checks_off, ZONE_ASKED))
            }
            Setting::AcmeKeyType => Outcome::not_needed("keys of certificates are always ECDSA P-256"),

            Setting::LogLevel | Setting::LogFormat | Setting::AccessLog | Setting::AccessLogFilePath => Outcome::Said,
            Setting::AccessLogFormat => match config.access_log.as_ref().map(|log| log.format) {
                Some(AccessLogFormat::Json) => {
                    Outcome::no_equal("the objects of `--access-log-format=json` have members of other names")
                }
                Some(AccessLogFormat::Common | AccessLogFormat::GenericClf) | None => Outcome::Said,
            },
            Setting::AccessLogRetryAttempts => {
                lost_if(config.access_log.as_ref().is_some_and(|log| log.retry_attempts), LOGGED)
            }
            Setting::AccessLogStatusCodes
            | Setting::AccessLogMinDuration
            | Setting::AccessLogDefaultMode
            | Setting::AccessLogFieldMode
            | Setting::AccessLogHeadersDefaultMode
            | Setting::AccessLogHeaderMode => Outcome::no_equal(LOGGED),
            Setting::AccessLogBufferingSize => Outcome::not_needed("lines always wait in a queue of their own"),
            Setting::AccessLogAddInternals => {
                Outcome::not_needed("no route leads to pages of Gangway but those of `--page` and `--start-page`")
            }

            Setting::Prometheus
            | Setting::PrometheusEntryPoint
            | Setting::PrometheusManualRouting
            | Setting::PrometheusBuckets
            | Setting::PrometheusEntryPoints
            | Setting::PrometheusRouters
            | Setting::PrometheusServices => Outcome::not_needed(METRICS),
            Setting::Ping | Setting::PingEntryPoint | Setting::PingManualRouting | Setting::PingTerminatingStatus => {
                Outcome::not_needed(PING)
            }
            Setting::Api | Setting::ApiInsecure | Setting::ApiDashboard | Setting::ApiBasePath => {
                Outcome::no_equal(OWN_PAGE)
            }
            Setting::ApiNoAdvertisement => Outcome::not_needed("there is no advertisement"),

            // They are read with the services, and labels or lines at their routes say it.
            Setting::SkipsVerification
            | Setting::TransportRootCas
            | Setting::TransportIdleMax
            | Setting::TransportDialTimeout
            | Setting::TransportResponseTimeout
            | Setting::TransportIdleTimeout => Outcome::Said,
            Setting::PluginModule => {
                Outcome::not_needed("what Gangway does of a plug-in stands at the routes that use it")
            }
        }
    }

    fn entry_point(&self, name: &str) -> Option<(ListenerName, &'m EntryPointConfig)> {
        let name = ListenerName::parse(name)?;
        let config = self.stack.config.entry_points.get(&name)?;
        Some((name, config))
    }

    /// What becomes of an option of a redirection, by `at_listener` where the listener redirects.
    fn redirection(&self, name: &str, at_listener: impl Fn(&Redirection) -> Outcome) -> Outcome {
        let redirection = self.entry_point(name).and_then(|(name, entry)| Some((name, entry.redirection.as_ref()?)));
        match redirection {
            // A finding has told of one that leads nowhere.
            Some((_, redirection)) if self.stack.config.redirection_port(redirection).is_none() => Outcome::Said,
            Some((name, redirection)) if self.plan.redirects(&name) => at_listener(redirection),
            Some((name, _)) => {
                let listener = self.plan.listener(&name).unwrap_or_default();
                let instead = "are not redirected, and a route there does so by `redirect`";
                Outcome::NoEqual(format!("requests at listener `{listener}` {instead}").into())
            }
            None => Outcome::Said,
        }
    }

    fn has_routes(&self, name: &str) -> bool {
        self.used.iter().any(|used| ***used == *name)
    }

    fn domains(&self, name: &str) -> Outcome {
        let entry = self.entry_point(name).and_then(|(_, entry)| entry.tls.as_ref());
        let domains = entry.into_iter().flat_map(|tls| &tls.domains).flat_map(CertificateDomain::names);
        let is_ordered = |name: &str| self.issuers.has_wildcard_for(name) || self.hosts.contains(name);
        let lost: Vec<&str> = domains.filter(|name| !is_ordered(name)).collect();
        if lost.is_empty() {
            return Outcome::Said;
        }
        let help = if self.issuers.dns.is_some() { "" } else { "; wildcards need `--acme-dns` and `--acme-wildcard`" };
        let names = lost.join(", ");
        Outcome::NoEqual(format!("certificates are ordered for the hosts of routes, and not for {names}{help}").into())
    }

    fn trusted(&self, name: &str, key: &str) -> Outcome {
        let Some((name, _)) = self.entry_point(name) else { return Outcome::Said };
        let Some(listener) = self.plan.listener(&name) else {
            return if self.plan.own_pages() == Some(&name) {
                Outcome::not_needed(OWN_PAGE)
            } else {
                Outcome::no_equal(ENTRY_POINT_LOST)
            };
        };
        if self.trust.is_in_table(&listener, key) {
            return Outcome::Elsewhere(
                format!("the table `[listeners.{listener}]` at the end says it, in a file that `--config` names")
                    .into(),
            );
        }
        lost_if(self.trust.is_unusable(&name), "an item of it is no network, so nobody is trusted")
    }

    /// Zero asks for no limit.
    fn time(&self, name: &str, time: fn(&EntryPointConfig) -> Option<Duration>, instead: &'static str) -> Outcome {
        match self.entry_point(name).and_then(|(_, entry)| time(entry)) {
            Some(Duration::ZERO) => Outcome::not_needed(instead),
            Some(_) | None => Outcome::no_equal(instead),
        }
    }

    /// What becomes of an option of a resolver.
    fn of(&self, name: &str, outcome: impl Fn(&'m Resolver, &IssuerPlan<'m>) -> Outcome) -> Outcome {
        let mut resolvers = self.stack.config.resolvers.iter();
        let resolver = resolvers.find(|resolver| resolver.name.eq_ignore_ascii_case(name));
        resolver.map_or(Outcome::Said, |resolver| outcome(resolver, self.issuers))
    }

    fn storage(&self, resolver: &Resolver) -> Outcome {
        let Some(storage) = resolver.storage.as_deref() else { return Outcome::Said };
        let first = self.stack.config.resolvers.iter().find_map(|resolver| resolver.storage.as_deref());
        if first != Some(storage) {
            let service = self.service.map_or("gangway", |service| service.name.as_str());
            let data = self.service.and_then(|service| kept_folder(service, self.stack));
            let (file, data) = (storage.display(), data.as_deref().unwrap_or(DATA));
            let command = format!("docker compose exec {service} gangway certs import {file} --data {data}");
            return Outcome::Elsewhere(format!("its certificates are taken over once by `{command}`").into());
        }
        let is_mounted =
            self.service.is_some_and(|service| service.mounts.keys().any(|target| storage.starts_with(target)));
        if is_mounted { Outcome::Said } else { Outcome::not_needed("certificates are kept on the volume of `--data`") }
    }
}

impl Outcome {
    const fn no_equal(instead: &'static str) -> Self {
        Self::NoEqual(Cow::Borrowed(instead))
    }

    const fn not_needed(why: &'static str) -> Self {
        Self::NotNeeded(Cow::Borrowed(why))
    }

    /// What is to be said of these options.
    fn sentence(&self, options: &[&str]) -> Option<String> {
        let names = options.iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", ");
        let is_one = options.len() == 1;
        match self {
            Self::Said => None,
            Self::Elsewhere(what) => Some(format!("{names}: {what}")),
            Self::NotNeeded(why) => Some(format!("{names} {} not needed: {why}", if is_one { "is" } else { "are" })),
            Self::NoEqual(instead) => {
                Some(format!("{names} {} no equal: {instead}", if is_one { "has" } else { "have" }))
            }
        }
    }
}

fn said_for_all(is_said: bool, resolver: &str) -> Outcome {
    if is_said {
        return Outcome::Said;
    }
    Outcome::NoEqual(format!("one authority is asked for all names, as resolver `{resolver}` says").into())
}

fn external_account(resolver: &Resolver, issuers: &IssuerPlan<'_>, variable: &str) -> Outcome {
    if !issuers.authority.is(issuers::authority(resolver)) {
        return said_for_all(false, issuers.authority.resolver());
    }
    Outcome::Elsewhere(
        format!("the variable `{variable}` of this service says it, or a file by `{variable}_FILE`").into(),
    )
}

fn dns_provider(resolver: &Resolver, issuers: &IssuerPlan<'_>) -> Outcome {
    match &issuers.dns {
        Some((of, _)) if of.dns_provider == resolver.dns_provider => Outcome::Said,
        Some((of, _)) => {
            Outcome::NoEqual(format!("records are made at the provider of resolver `{}` for all names", of.name).into())
        }
        None => Outcome::no_equal("`--acme-dns` knows no such provider, or lacks its program or URL"),
    }
}

fn lost_if(is_lost: bool, instead: &'static str) -> Outcome {
    if is_lost { Outcome::no_equal(instead) } else { Outcome::Said }
}

/// What is nearest to a format of Traefik's.
fn access_log_format(format: AccessLogFormat) -> &'static str {
    match format {
        AccessLogFormat::Common => "traefik",
        AccessLogFormat::Json => "json",
        AccessLogFormat::GenericClf => "combined",
    }
}
