//! The one list of global settings: flags, variables, keys of the config file and their page in the
//! reference are all made from it.

/// One global setting.
#[derive(Debug)]
pub(crate) struct Flag {
    /// As a flag without the dashes, and as a key of the config file.
    pub(crate) name: &'static str,
    /// What its value is, for usage texts.
    pub(crate) value: &'static str,
    /// What holds where nothing is given, as it would be written; empty where nothing does.
    pub(crate) default: &'static str,
    /// Whether it may be given several times, or as a list.
    pub(crate) count: Count,
    /// Whether it does anything yet.
    pub(crate) status: Status,
    /// One line for `--help`, without a full stop.
    pub(crate) help: &'static str,
    /// Further sentences for the reference; may be empty.
    pub(crate) more: &'static str,
}

/// How many values a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    One,
    Many,
    /// One that may be left out: the flag alone says yes.
    Switch,
}

/// What becomes of a setting that is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    InForce,
    /// Accepted, not in force yet, and named in a diagnostic with this effect.
    Announced {
        effect: &'static str,
    },
    /// Refused: going on without it would leave open what somebody meant to close.
    Refused {
        why: &'static str,
    },
}

/// What every variable of ours begins with.
pub(crate) const VARIABLE_PREFIX: &str = "GANGWAY_";

impl Flag {
    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether it may stand in the config file: the file cannot name itself.
    pub(crate) fn is_key(&self) -> bool {
        self.name != CONFIG.name
    }
}

/// The setting of this name.
pub(crate) fn flag(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

const DNS_PROVIDERS: &str = "\
    One of `bunny`, `cloudflare`, `desec`, `digitalocean`, `duckdns`, `gandi`, `hetzner`, `ionos`, `linode`, `netcup`, `ovh`, \
    `porkbun`, `rfc2136`, `route53`, `vultr`, or `exec=/program`, `webhook=URL`, `acme-dns=URL`. Its secrets stand in \
    the environment, or in files that variables with `_FILE` name; the guide \
    [certificates by DNS](../guides/dns-challenge.md) lists them. Challenges over HTTP and TLS are tried where one by \
    DNS has failed.";

const ON_DEMAND: &str = "\
    For hosts of routes with `*`, `*.example.org` or `HostRegexp` that no route names. The first handshake for such a host makes \
    Gangway ask `GET URL?domain=HOST`: 2xx permits a certificate, anything else, or no answer within five seconds, refuses it. The \
    handshake waits up to eight seconds for the certificate. See the guide [certificates on demand](../guides/on-demand.md).";

const IN_FORCE: Flag =
    Flag { name: "", value: "", default: "", count: Count::One, status: Status::InForce, help: "", more: "" };

/// The config file. Not among its own keys.
pub(crate) const CONFIG: Flag = Flag {
    name: "config",
    value: "FILE",
    help: "read these settings and routes from a TOML file, and follow it",
    more: "What is given by flag or variable goes before what stands in the file. `[routes.<name>]` tables describe \
           routes to other upstreams than containers; they are in force as soon as the file is saved. A file that cannot be \
           used leaves the last settings in force. Other keys that change need a restart, and a diagnostic says so.",
    ..IN_FORCE
};

/// Where the client commands find the running instance.
pub(crate) const ADMIN: Flag = Flag {
    name: "admin",
    value: "ADDR",
    default: "127.0.0.1:8420",
    help: "where status, metrics and the API are served",
    more: "Read-only, and meant for this machine: there is no password. The commands `explain`, `routes`, `certs`, \
           `status` and `healthcheck` ask there.",
    ..IN_FORCE
};

/// Where certificates and keys are kept.
pub(crate) const DATA: Flag = Flag {
    name: "data",
    value: "DIR",
    default: "/data",
    help: "the volume: certificates, keys and what else must survive a restart",
    more: "",
    ..IN_FORCE
};

/// Every global setting, in the order of the reference.
pub(crate) const FLAGS: &[Flag] = &[
    Flag {
        name: "http",
        value: "ADDR",
        default: "[::]:80",
        count: Count::Many,
        help: "where plain HTTP is served",
        more: "`[::]` is every address, IPv4 included. `:8080` and `8080` are short for `[::]:8080`.",
        ..IN_FORCE
    },
    Flag {
        name: "https",
        value: "ADDR",
        default: "[::]:443",
        count: Count::Many,
        help: "where HTTPS is served",
        more: "",
        ..IN_FORCE
    },
    ADMIN,
    Flag {
        name: "take-over",
        value: "true|false",
        default: "false",
        count: Count::Switch,
        help: "take the place of the instance that serves from this volume at these addresses",
        more: "It serves until this one does, and again if this one ends within a minute. Without it an address where \
               somebody listens is an error; only a container beside another one takes over unasked. See the guide \
               [upgrade without a gap](../guides/upgrading.md).",
        ..IN_FORCE
    },
    Flag {
        name: "docker",
        value: "URL",
        default: "",
        count: Count::Many,
        help: "the engine to follow: unix://, tcp://, or none for file routes only",
        more: "Without it `DOCKER_HOST` is used, and else `unix:///var/run/docker.sock`.",
        ..IN_FORCE
    },
    DATA,
    CONFIG,
    Flag {
        name: "domain",
        value: "NAME",
        default: "localhost",
        help: "routes without a host are served as <route>.NAME",
        more: "",
        ..IN_FORCE
    },
    Flag {
        name: "expose",
        value: "labelled|all",
        default: "labelled",
        help: "which containers are routed without asking for it",
        more: "`all` leaves out databases, caches, brokers, and what says `gangway.enable=false`.",
        ..IN_FORCE
    },
    Flag {
        name: "network",
        value: "NAME",
        default: "",
        help: "the network to reach containers by, where several are shared",
        more: "",
        ..IN_FORCE
    },
    Flag {
        name: "select",
        value: "EXPR",
        default: "",
        count: Count::Many,
        help: "which containers are this Gangway's: a label, a project or a network",
        more: "`com.example.edge=lan` takes containers with that label, `KEY` those that have it with any value, `KEY!=VALUE` all \
               others; `project=shop` those of a compose project, `network=edge` those that are attached to a network. All terms of one \
               expression must hold, separated by commas; of several expressions, given one by one or separated by semicolons, one is enough. `label:project=x` is a label \
               whatever it is called. Containers that are not selected give no route, claim no host, get no certificate and are never \
               mentioned: two instances share one engine.",
        ..IN_FORCE
    },
    Flag {
        name: "keep-hosts",
        value: "DURATION",
        default: "24h",
        help: "how long a host is kept for a party that is gone",
        more: "A host belongs to the project, or the container, that was first served there: as long as a container of it \
               exists, and a minute longer. After that, one that was created after it was gone takes the host at once; \
               one that was refused while it was there waits for this long, unless it is created anew or \
               `gangway release HOST` gives the host up.",
        ..IN_FORCE
    },
    Flag {
        name: "trusted-proxies",
        value: "LIST",
        default: "",
        count: Count::Many,
        help: "peers whose X-Forwarded-* are believed: addresses, networks, lan, cloudflare",
        more: "",
        ..IN_FORCE
    },
    Flag {
        name: "public-https-port",
        value: "PORT",
        help: "the port of HTTPS that clients reach: for redirects, the log and explain",
        more: "Found out where Gangway runs in a container whose ports are published. Needed where somebody else maps ports \
               on the way, such as a router.",
        ..IN_FORCE
    },
    Flag {
        name: "default-cert",
        value: "NAME",
        default: "",
        help: "the name whose certificate a client without SNI gets",
        more: "Without it such a client gets an alert.",
        ..IN_FORCE
    },
    Flag { name: "acme-email", value: "ADDRESS", help: "contact given to the certificate authority", ..IN_FORCE },
    Flag {
        name: "acme-ca",
        value: "URL|NAME",
        default: "letsencrypt",
        count: Count::Many,
        help: "the authority for public names; several are asked in order",
        more: "An `https` directory URL, or `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `google-staging`, \
               `buypass`, `buypass-staging`, `actalis`. The account that some ask for (EAB) stands in the environment, as \
               `ZEROSSL_EAB_KID` and `ZEROSSL_EAB_HMAC_KEY`, or in files that these with `_FILE` name; for a URL its host \
               stands for the name, as in `CA_EXAMPLE_ORG_EAB_KID`.",
        ..IN_FORCE
    },
    Flag {
        name: "acme-ca-root",
        value: "PEM",
        help: "file with the root that the authority's own API is checked against",
        ..IN_FORCE
    },
    Flag { name: "acme-profile", value: "NAME", help: "the certificate profile to ask the authority for", ..IN_FORCE },
    Flag {
        name: "acme-wildcard",
        value: "NAME",
        count: Count::Many,
        help: "get one certificate for *.NAME instead of one for each host below it",
        more: "It carries NAME as well, and needs `--acme-dns`. Hosts deeper below get certificates of their own.",
        ..IN_FORCE
    },
    Flag {
        name: "acme-dns",
        value: "PROVIDER",
        help: "answer challenges by DNS records at this provider",
        more: DNS_PROVIDERS,
        ..IN_FORCE
    },
    Flag {
        name: "no-plain-fallback",
        value: "true|false",
        default: "false",
        count: Count::Switch,
        help: "refuse plain HTTP while a host has no certificate, instead of answering in the clear",
        more: "Such a request is answered 503 with the reason `no-certificate`. Otherwise a public host whose certificate has \
               not come yet is served by plain HTTP, since https could show a browser's warning only. Challenges of \
               authorities are answered all the same, and so are routes with `https-redirect` `false`.",
        ..IN_FORCE
    },
    Flag {
        name: "on-demand",
        value: "ask=URL",
        help: "get certificates for hosts of wildcard routes when first asked for, if URL allows it",
        more: ON_DEMAND,
        ..IN_FORCE
    },
    Flag {
        name: "geoip",
        value: "FILE",
        help: "database for country:XX in allow and deny",
        status: Status::Announced { effect: "`country:` in `allow` and `deny` stays unknown, which closes its route" },
        ..IN_FORCE
    },
    Flag {
        name: "crowdsec-url",
        value: "URL",
        help: "ask this CrowdSec instance about clients",
        status: Status::Refused { why: "nobody would be kept out by it" },
        ..IN_FORCE
    },
    Flag {
        name: "log-level",
        value: "error|warn|info|debug|trace",
        default: "info",
        help: "how much is logged, on standard error",
        more: "",
        ..IN_FORCE
    },
    Flag {
        name: "log-format",
        value: "text|json",
        default: "text",
        help: "the form of the log, and of the access log where that has none of its own",
        more: "Text has colour on a terminal only, and none where `NO_COLOR` is set.",
        ..IN_FORCE
    },
    Flag {
        name: "access-log",
        value: "off|-|FILE",
        default: "off",
        help: "record requests: on standard output, or in a file",
        more: "A file that was moved away, or a SIGHUP, makes it be opened anew. Secrets in query strings are masked. \
               The guide [logs](../guides/logs.md) names the fields.",
        ..IN_FORCE
    },
    Flag {
        name: "access-log-format",
        value: "text|json|common|combined",
        help: "the form of the access log; without it, that of --log-format",
        more: "`common` and `combined` are the forms that fail2ban, GoAccess and others read from Apache and nginx.",
        ..IN_FORCE
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
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
