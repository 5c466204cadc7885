//! The schema of the global settings. Flags, variables, keys of the config file and the reference page are made
//! from this one list.
//!
//! This module uses no other, so that a test can build the reference page from it.

use std::cmp::Ordering;

/// One global setting.
///
/// Settings are identified by their name. Code refers to a setting by its static, such as [`HTTP`], so a setting
/// that does not exist is a compile error.
#[derive(Debug)]
pub(crate) struct Flag {
    /// The flag without its dashes, which is also the key in the config file.
    pub(crate) name: &'static str,
    /// The placeholder of the value in usage texts.
    pub(crate) value: &'static str,
    /// The value that applies if none is given, as a user would write it. Empty if there is none.
    pub(crate) default: &'static str,
    pub(crate) count: Count,
    /// One line for `--help`, without a full stop.
    pub(crate) help: &'static str,
    /// Further sentences for the reference; may be empty.
    pub(crate) more: &'static str,
}

/// The number of values that a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    One,
    /// The flag may be repeated, and each value may be a list.
    Many,
    /// The value may be left out: the flag alone means `true`.
    Switch,
}

/// The prefix of all environment variables that Gangway reads as settings.
pub(crate) const VARIABLE_PREFIX: &str = "GANGWAY_";

impl Flag {
    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether the config file may contain it: the file cannot name itself.
    pub(crate) fn is_key(&self) -> bool {
        *self != CONFIG
    }
}

impl PartialEq for Flag {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Flag {}

impl PartialOrd for Flag {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flag {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

/// The setting with this name.
pub(crate) fn flag(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().copied().find(|flag| flag.name == name)
}

const DNS_PROVIDERS: &str = "\
    One of `bunny`, `cloudflare`, `desec`, `digitalocean`, `duckdns`, `gandi`, `hetzner`, `ionos`, `linode`, `netcup`, `ovh`, \
    `porkbun`, `rfc2136`, `route53`, `vultr`, or `exec=/program`, `webhook=URL`, `acme-dns=URL`. Its secrets are read from \
    the environment, or from files that variables with `_FILE` name; the guide \
    [certificates by DNS](../guides/dns-challenge.md) lists them. If a challenge by DNS fails, challenges over HTTP and TLS \
    are tried.";

const ON_DEMAND_MORE: &str = "\
    For hosts of routes with `*`, `*.example.org` or `HostRegexp` that no route names. The first handshake for such a host makes \
    Gangway ask `GET URL?domain=HOST`: 2xx permits a certificate, anything else, or no answer within five seconds, refuses it. The \
    handshake waits up to eight seconds for the certificate. See the guide [certificates on demand](../guides/on-demand.md).";

const PLAIN: Flag = Flag { name: "", value: "", default: "", count: Count::One, help: "", more: "" };

pub(crate) static HTTP: Flag = Flag {
    name: "http",
    value: "ADDR",
    default: "[::]:80",
    count: Count::Many,
    help: "where plain HTTP is served",
    more: "`[::]` is every address, IPv4 included. `:8080` and `8080` are short for `[::]:8080`. `none` opens no such \
           listener.",
};

pub(crate) static HTTPS: Flag = Flag {
    name: "https",
    value: "ADDR",
    default: "[::]:443",
    count: Count::Many,
    help: "where HTTPS is served",
    more: "`none` opens no such listener.",
};

pub(crate) static LISTEN: Flag = Flag {
    name: "listen",
    value: "NAME=ADDR,plain|tls|auto",
    count: Count::Many,
    help: "one more listener, to which routes can be restricted by its name",
    more: "`plain` serves requests in clear, `tls` over TLS; with `auto` the first byte of a connection tells. Several values \
           with one name are several addresses of one listener; in one text they are separated by spaces or semicolons. \
           `--http` and `--https` are the listeners `http` and `https`. \
           `[listeners.<name>]` tables of the config file say the same, and whose PROXY headers are read; \
           they come and go without a restart. See the guide [listeners](../guides/listeners.md).",
    ..PLAIN
};

pub(crate) static ADMIN: Flag = Flag {
    name: "admin",
    value: "ADDR",
    default: "127.0.0.1:8420",
    help: "where status, metrics and the API are served",
    more: "Read-only, and meant for this machine: there is no password. The commands `explain`, `routes`, `certs`, \
           `status` and `healthcheck` ask there.",
    ..PLAIN
};

pub(crate) static TAKE_OVER: Flag = Flag {
    name: "take-over",
    value: "true|false",
    default: "false",
    count: Count::Switch,
    help: "take the place of the instance that serves from this volume at these addresses",
    more: "The old instance serves until the new one does, and again if the new one ends within a minute. Without this flag \
           an address that is in use is an error; only a container beside another one takes over without it. See the guide \
               [upgrade without a gap](../guides/upgrading.md).",
};

pub(crate) static DOCKER: Flag = Flag {
    name: "docker",
    value: "URL",
    count: Count::Many,
    help: "the engine to follow: unix://, tcp://, or none for file routes only",
    more: "Without it Gangway uses `DOCKER_HOST`, and without that `unix:///var/run/docker.sock`.",
    ..PLAIN
};

pub(crate) static DATA: Flag = Flag {
    name: "data",
    value: "DIR",
    default: "/data",
    help: "the volume: certificates, keys and what else must survive a restart",
    ..PLAIN
};

pub(crate) static CONFIG: Flag = Flag {
    name: "config",
    value: "FILE",
    help: "read these settings and routes from a TOML file, and follow it",
    more: "Flags and variables take precedence over the file. `[routes.<name>]` tables describe \
           routes to upstreams other than containers, and `[middlewares.<name>]` tables what routes share; both are in force as soon as \
           the file is saved. A file that cannot be \
           used leaves the last settings in force. Other keys that change need a restart, and a diagnostic says so.",
    ..PLAIN
};

pub(crate) static DOMAIN: Flag = Flag {
    name: "domain",
    value: "NAME",
    default: "localhost",
    help: "routes without a host are served as <route>.NAME",
    ..PLAIN
};

pub(crate) static PAGE: Flag = Flag {
    name: "page",
    value: "HOST",
    help: "a host under which the page is served to clients of routes",
    more: "The route is called `page`. `--default-use` and the table `[routes.page]` of the config file give it keys as other \
           routes; without one that says who may come in, only the local network does. See the guide \
           [the page](../guides/the-page.md).",
    ..PLAIN
};

pub(crate) static START_PAGE: Flag = Flag {
    name: "start-page",
    value: "HOST",
    help: "a host under which people of the house find all sites",
    more: "The labels `gangway.page.*` say what stands there, and the route is called `start-page`. What holds for `--page` holds \
           for it: `[routes.start-page]` gives it keys, and without one that says who may come in, only the local network sees \
           it. See the guide [the start page](../guides/start-page.md).",
    ..PLAIN
};

pub(crate) static EXPOSE: Flag = Flag {
    name: "expose",
    value: "labelled|all",
    default: "labelled",
    help: "which containers are routed although no label asks for it",
    more: "`all` leaves out databases, caches, brokers, and containers with `gangway.enable=false`.",
    ..PLAIN
};

pub(crate) static NETWORK: Flag = Flag {
    name: "network",
    value: "NAME",
    help: "the network by which to reach containers, if several are shared",
    ..PLAIN
};

pub(crate) static DEFAULT_USE: Flag = Flag {
    name: "default-use",
    value: "NAME",
    count: Count::Many,
    help: "shared definitions of the config file that every route uses, in order",
    more: "Each names a table `[middlewares.<name>]`. What protects in it holds for every route, whatever its labels say; only the \
           projects and containers that its `opt-out` lists may do without. A name without a table is an error at the start, \
           and later leaves the last good file in force. See the guide [shared definitions](../guides/shared-definitions.md).",
    ..PLAIN
};

pub(crate) static SELECT: Flag = Flag {
    name: "select",
    value: "EXPR",
    count: Count::Many,
    help: "which containers are this Gangway's: a label, a project or a network",
    more: "`com.example.edge=lan` takes containers with that label, `KEY` those that have it with any value, `KEY!=VALUE` all \
           others; `project=shop` those of a compose project, `network=edge` those that are attached to a network. All terms of one \
           expression, separated by commas, must hold. Of several expressions, given one by one or separated by semicolons, one is \
           enough. `label:project=x` always means a label. Containers that are not selected give no route, claim no host, get \
           no certificate and are never mentioned, so that two instances can share one engine.",
    ..PLAIN
};

pub(crate) static KEEP_HOSTS: Flag = Flag {
    name: "keep-hosts",
    value: "DURATION",
    default: "24h",
    help: "how long a host is kept for a party that is gone",
    more: "A host belongs to the project, or the container, that was first served there, as long as a container of it \
           exists and a minute longer. After that, a container that was created after the holder was gone takes the host at \
           once; one that was refused before waits for this long, unless it is created anew or \
           `gangway release HOST` gives the host up.",
    ..PLAIN
};

pub(crate) static TRUSTED_PROXIES: Flag = Flag {
    name: "trusted-proxies",
    value: "LIST",
    count: Count::Many,
    help: "peers whose X-Forwarded-* are trusted: addresses, networks, lan, cloudflare",
    ..PLAIN
};

pub(crate) static PUBLIC_HTTPS_PORT: Flag = Flag {
    name: "public-https-port",
    value: "PORT",
    help: "the port of HTTPS that clients reach: for redirects, the log and explain",
    more: "Gangway finds it out if it runs in a container whose ports are published. The flag is needed if another device on \
           the way maps ports, such as a router.",
    ..PLAIN
};

pub(crate) static MEMORY: Flag = Flag {
    name: "memory",
    value: "SIZE",
    help: "the memory that Gangway may use, such as 256MiB",
    more: "The default is 75 % of what the container, the service or the machine has. At least 64 MiB. When memory runs short, idle \
           connections are closed first, then the connections of the address that holds most, and then new requests get a \
           503 with `Retry-After`. The default leaves a quarter to the buffers of the kernel, which count for a container \
           too.",
    ..PLAIN
};

pub(crate) static DEFAULT_CERT: Flag = Flag {
    name: "default-cert",
    value: "NAME",
    help: "the name whose certificate a client without SNI gets",
    more: "Without it such a client gets an alert.",
    ..PLAIN
};

pub(crate) static ACME_EMAIL: Flag =
    Flag { name: "acme-email", value: "ADDRESS", help: "contact given to the certificate authority", ..PLAIN };

pub(crate) static ACME_CA: Flag = Flag {
    name: "acme-ca",
    value: "URL|NAME",
    default: "letsencrypt",
    count: Count::Many,
    help: "the authority for public names; several are asked in order",
    more: "An `https` directory URL, or `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `google-staging`, \
               `buypass`, `buypass-staging`, `actalis`. Some authorities require an account (EAB): it is read from the \
           environment, as `ZEROSSL_EAB_KID` and `ZEROSSL_EAB_HMAC_KEY`, or from files that the same names with `_FILE` \
           give; for a URL its host takes the place of the name, as in `CA_EXAMPLE_ORG_EAB_KID`.",
};

pub(crate) static ACME_CA_ROOT: Flag = Flag {
    name: "acme-ca-root",
    value: "PEM",
    help: "file with the root that the authority's own API is checked against",
    ..PLAIN
};

pub(crate) static ACME_PROFILE: Flag =
    Flag { name: "acme-profile", value: "NAME", help: "the certificate profile to ask the authority for", ..PLAIN };

pub(crate) static ACME_WILDCARD: Flag = Flag {
    name: "acme-wildcard",
    value: "NAME",
    count: Count::Many,
    help: "get one certificate for *.NAME instead of one for each host below it",
    more: "It carries NAME as well, and needs `--acme-dns`. Hosts deeper below get certificates of their own.",
    ..PLAIN
};

pub(crate) static ACME_DNS: Flag = Flag {
    name: "acme-dns",
    value: "PROVIDER",
    help: "answer challenges by DNS records at this provider",
    more: DNS_PROVIDERS,
    ..PLAIN
};

pub(crate) static NO_PLAIN_FALLBACK: Flag = Flag {
    name: "no-plain-fallback",
    value: "true|false",
    default: "false",
    count: Count::Switch,
    help: "refuse plain HTTP while a host has no certificate, instead of answering unencrypted",
    more: "Such a request is answered 503 with the reason `no-certificate`. Without this flag, a public host that has no \
           certificate yet is served by plain HTTP, since https could only show a browser's warning. Challenges of \
           authorities and routes with `https-redirect` `false` are answered in any case.",
};

pub(crate) static ON_DEMAND: Flag = Flag {
    name: "on-demand",
    value: "ask=URL",
    help: "get certificates for hosts of wildcard routes when first asked for, if URL allows it",
    more: ON_DEMAND_MORE,
    ..PLAIN
};

pub(crate) static GEOIP: Flag = Flag {
    name: "geoip",
    value: "FILE",
    count: Count::Many,
    help: "databases for country:XX and as:NUMBER in allow and deny",
    more: "Files in the MMDB format: one of countries, such as GeoLite2-Country, and one of autonomous systems, such as \
           GeoLite2-ASN. Gangway follows them: a new file counts a few seconds after it has replaced the old one, and what \
           cannot be read leaves the last data in force. The guide [who may come in](../guides/who-may-come-in.md#countries) \
           shows how to keep them up to date.",
    ..PLAIN
};

pub(crate) static CROWDSEC_URL: Flag = Flag {
    name: "crowdsec-url",
    value: "URL",
    help: "keep out whom this CrowdSec engine has banned",
    more: "The URL of its local API, such as `http://crowdsec:8080`. Needs `--crowdsec-key-file`. Connections of banned clients \
           are closed before anything is read of them, and their requests through trusted proxies are answered 403. The label \
           `crowdsec` closes a route where it is not known who is banned. The guide [CrowdSec](../guides/crowdsec.md) shows \
           how to set it up.",
    ..PLAIN
};

pub(crate) static CROWDSEC_APPSEC_URL: Flag = Flag {
    name: "crowdsec-appsec-url",
    value: "URL",
    help: "ask this CrowdSec web application firewall (AppSec) about requests",
    more: "The URL of its AppSec component, such as `http://crowdsec:7422`. Needs `--crowdsec-url`, and goes by the same key. It is \
           asked about the requests of routes with the label `appsec`.",
    ..PLAIN
};

pub(crate) static CROWDSEC_KEY_FILE: Flag = Flag {
    name: "crowdsec-key-file",
    value: "FILE",
    help: "file with the key that `cscli bouncers add` has printed",
    more: "It is read again after each failure, so another key counts without a restart.",
    ..PLAIN
};

pub(crate) static OTLP: Flag = Flag {
    name: "otlp",
    value: "URL",
    help: "send traces of requests and metrics to this OpenTelemetry collector",
    more: "The URL of OTLP over HTTP, without `/v1/traces`, such as `http://collector:4318`. Trace context (`traceparent`, \
           `tracestate`) is taken from `--trusted-proxies` alone, and told to endpoints; without this flag the fields are passed on \
           as they came. The guide [monitoring](../guides/monitoring.md#opentelemetry) shows what is sent.",
    ..PLAIN
};

pub(crate) static OTLP_HEADERS_FILE: Flag = Flag {
    name: "otlp-headers-file",
    value: "FILE",
    help: "file with fields for the collector, such as Authorization",
    more: "One field a line, as `Name: value`. It is read again each time, so another key counts without a restart.",
    ..PLAIN
};

pub(crate) static OTLP_SIGNALS: Flag = Flag {
    name: "otlp-signals",
    value: "traces|metrics",
    default: "traces,metrics",
    count: Count::Many,
    help: "what the collector is sent",
    more: "Metrics are those of `GET /metrics`, once a minute.",
};

pub(crate) static OTLP_SAMPLE: Flag = Flag {
    name: "otlp-sample",
    value: "RATIO",
    default: "1",
    help: "the part of traces that is recorded, from 0 to 1",
    more: "The id of the trace decides. Where a trusted peer has decided, its decision holds.",
    ..PLAIN
};

pub(crate) static OTLP_SERVICE: Flag = Flag {
    name: "otlp-service",
    value: "NAME",
    default: "gangway",
    help: "the name by which the collector knows this Gangway (service.name)",
    ..PLAIN
};

pub(crate) static LOG_LEVEL: Flag = Flag {
    name: "log-level",
    value: "error|warn|info|debug|trace",
    default: "info",
    help: "how much is logged, on standard error",
    ..PLAIN
};

pub(crate) static LOG_FORMAT: Flag = Flag {
    name: "log-format",
    value: "text|json",
    default: "text",
    help: "the format of the log, and of the access log unless that has its own",
    more: "Text has colour on a terminal only, and none if `NO_COLOR` is set.",
    ..PLAIN
};

pub(crate) static ACCESS_LOG: Flag = Flag {
    name: "access-log",
    value: "off|-|FILE",
    default: "off",
    help: "record requests: on standard output, or in a file",
    more: "Gangway opens the file anew after it was moved away, and on SIGHUP. Secrets in query strings are masked. \
           The guide [logs](../guides/logs.md) names the fields.",
    ..PLAIN
};

pub(crate) static ACCESS_LOG_FORMAT: Flag = Flag {
    name: "access-log-format",
    value: "text|json|common|combined|traefik|caddy",
    help: "the format of the access log; by default that of --log-format",
    more: "`common` and `combined` are the formats of Apache and nginx that fail2ban, GoAccess and others read. `traefik` and \
           `caddy` are what CrowdSec's collections for Traefik and Caddy read.",
    ..PLAIN
};

/// Every global setting, in the order of the reference.
pub(crate) static FLAGS: &[&Flag] = &[
    &HTTP,
    &HTTPS,
    &LISTEN,
    &ADMIN,
    &TAKE_OVER,
    &DOCKER,
    &DATA,
    &CONFIG,
    &DOMAIN,
    &PAGE,
    &START_PAGE,
    &EXPOSE,
    &NETWORK,
    &DEFAULT_USE,
    &SELECT,
    &KEEP_HOSTS,
    &TRUSTED_PROXIES,
    &PUBLIC_HTTPS_PORT,
    &MEMORY,
    &DEFAULT_CERT,
    &ACME_EMAIL,
    &ACME_CA,
    &ACME_CA_ROOT,
    &ACME_PROFILE,
    &ACME_WILDCARD,
    &ACME_DNS,
    &NO_PLAIN_FALLBACK,
    &ON_DEMAND,
    &GEOIP,
    &CROWDSEC_URL,
    &CROWDSEC_KEY_FILE,
    &CROWDSEC_APPSEC_URL,
    &OTLP,
    &OTLP_HEADERS_FILE,
    &OTLP_SIGNALS,
    &OTLP_SAMPLE,
    &OTLP_SERVICE,
    &LOG_LEVEL,
    &LOG_FORMAT,
    &ACCESS_LOG,
    &ACCESS_LOG_FORMAT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FLAGS.iter().map(|flag| flag.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FLAGS.len());
        assert_eq!(flag("trusted-proxies").map(Flag::variable).as_deref(), Some("GANGWAY_TRUSTED_PROXIES"));
    }

    #[test]
    fn help_is_one_clause() {
        for flag in FLAGS {
            assert!(!flag.help.is_empty() && !flag.help.ends_with('.') && flag.help.len() < 90, "{}", flag.name);
            assert!(flag.more.is_empty() || flag.more.ends_with('.'), "{}", flag.name);
        }
    }
}
