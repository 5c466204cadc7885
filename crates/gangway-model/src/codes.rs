//! Every code of a diagnostic, with what the reference says about it.
//!
//! Codes are promises: a number is never given to another finding. `G0xx` is about the shape of labels,
//! `G1xx` about rules, hosts and paths ([`crate::rule::codes`]), `G2xx` about references, `G3xx` about
//! conflicts, `G4xx` about networks, ports and health, `G5xx` about TLS, `G9xx` about global configuration
//! and compose files. Some are found by other crates and stand here. Those about certificates, up to `G539`, stand
//! with their finder, `gangway-acme`; a test of the binary sees that no number is given twice.

use crate::diagnostic::Code;
pub use crate::rule::codes::CodeText;

macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = concat!("Code ", stringify!($number), ": ", $title, ".")]
        pub const $name: Code = Code($number);)*

        /// The codes that this module adds to those of rules, ascending.
        const OWN: &[CodeText] = &[
            $(CodeText { code: $name, title: $title, explanation: $explanation },)*
        ];
    };
}

codes! {
    LABEL_UNKNOWN = 1, "unknown label",
        "No key of this name exists under our prefix. The nearest one is named where there is one.";
    LABEL_INCOMPLETE = 2, "incomplete label",
        "The key is the beginning of several keys and has no value of its own, such as `gangway.timeout` or \
         `gangway.routes.web`.";
    LABEL_BELOW_VALUE = 3, "label below a label that has a value",
        "No key is both a value and a table: below `gangway.host` there is nothing, because `gangway.host` itself \
         has a value.";
    LABEL_TWICE = 4, "label written twice",
        "Keys are compared without regard to case, so `gangway.Host` and `gangway.host` are one label; and \
         `gangway.host` is the same as `gangway.routes.web.host` in a service named `web`.";
    LABELS_TOO_MANY = 5, "too many labels",
        "At most 256 labels under our prefix are read of one container. A route of which some were left out is \
         closed, as one of them may have protected it.";
    VALUE_TOO_LONG = 6, "value too long",
        "A label's value has at most 4,096 bytes.";
    VALUE_CONTROL = 7, "control character in a value",
        "Values are plain text. Line breaks may separate the entries of a list and the parts of a rule; all other \
         control characters are refused everywhere.";
    VALUE_EMPTY = 8, "empty value",
        "The label has no value; often a variable of the compose file was not set. Only header labels may be empty: \
         they remove the header.";
    ROUTE_NAME = 9, "not a name of a route",
        "A route's name in `gangway.routes.<name>.<key>` has 1 to 63 letters, digits, hyphens and underscores.";
    LABEL_LATER = 10, "label not in force yet",
        "The key is known and planned, but this version does not do what it asks for. It is said instead of \
         ignored; the rest of the route is in force.";
    LABEL_LATER_PROTECTS = 11, "protecting label not in force yet",
        "The key restricts who may reach the route, and this version cannot do that yet. A route that was meant to \
         be protected is not served unprotected: it is closed and answers 503 to everybody until the label is removed.";
    LABEL_DOUBTFUL = 12, "label that may have been meant to protect",
        "The key is unknown but looks like one that restricts who may reach the route, such as `gangway.alow`. \
         The route is closed until the label is put right.";
    LABEL_NEAR_MISS = 13, "label just outside our prefix",
        "The key nearly begins with `gangway.`, so it was surely meant for Gangway, which only looks at what does.";
    LABEL_MISPLACED = 14, "label that cannot stand here",
        "Some keys make sense for containers only, such as `port`, and `upstream` only for routes of the \
         configuration file.";
    MORE_FOUND = 15, "more findings than are shown",
        "At most 100 findings are shown for one container.";
    LABEL_BESIDE_RULE = 16, "`host` or `path` beside `rule`",
        "A rule says everything about which requests a route takes, instead of `host` and `path`. Write the host and \
         the path into the rule.";
    LABEL_OF_OWN = 17, "label on Gangway itself",
        "Gangway never routes to its own container.";
    VALUE_LATER = 18, "value not in force yet",
        "The value is known and planned, but this version does not do what it asks for.";
    LABEL_REFUSED = 19, "label that Gangway will not obey",
        "The key is known from other software, and what it asks for needs a right that Gangway does not have and \
         should not be given. The help names another way.";
    NOT_BOOLEAN = 20, "not a boolean",
        "A boolean is `true`, `on` or `yes`, or `false`, `off` or `no`.";
    NOT_INTEGER = 21, "not a whole number",
        "A whole number, such as `10` or `-1`.";
    NOT_PORT = 22, "not a port",
        "A port is a number from 1 to 65535: the one at which the application listens inside its container. Names \
         are not looked up.";
    NOT_DURATION = 23, "not a duration",
        "A duration is a number with a unit, such as `250ms`, `5s`, `10m`, `1h` or `30d`; a number alone is seconds.";
    NOT_SIZE = 24, "not a size",
        "A size is a whole number with a unit: `kB`, `MB`, `GB`, `TB`, or `KiB`, `MiB`, `GiB`, `TiB`; a number alone \
         is bytes.";
    NOT_A_CHOICE = 25, "not one of the possible values",
        "The label takes one of a few words, which are named in the diagnostic.";
    NOT_STATUS = 26, "not a status",
        "A status is a number from 100 to 599, such as `204`; a range has two, such as `200-399`.";
    COOKIE_NAME = 27, "not the name of a cookie",
        "The name of a cookie has letters, digits and a few signs such as hyphens, and no spaces.";
    FIELD_NAME = 30, "not a header name",
        "The part of the label behind `header.` is the name of a header: letters, digits and hyphens.";
    FIELD_RESERVED = 32, "header that no label can set",
        "Some headers frame the message or belong to one connection only, such as `Content-Length` and \
         `Connection`; setting them would break the connection or smuggle requests. `Host` is set by `host-header`.";
    HOST_HEADER = 33, "not a value for `host-header`",
        "`keep`, `upstream`, or a name with an optional port.";
    REDIRECT = 34, "not a redirection",
        "A redirection is a URL or a path that begins with one slash, with an optional status 301, 302, 307 or 308 in \
         front. `{host}` may stand in the host; `{path}` and `{query}` only behind it.";
    PLACEHOLDER = 35, "unknown placeholder",
        "The placeholders of a redirection are `{host}`, `{path}` and `{query}`.";
    REDIRECT_TO_ITSELF = 36, "redirection to itself",
        "The redirection leads to the very address that was asked for, so a browser would follow it until it gives up.";
    PATH_TO_SEND = 37, "not a path to send",
        "A path that is sent to the application begins with a slash and has only characters that can stand in a URL.";
    REWRITE = 38, "not a rewriting",
        "A rewriting is a path that replaces the whole path, or `~expression -> replacement`.";
    REPLACEMENT_REFERENCE = 39, "replacement that refers to nothing",
        "`$1` and `${name}` stand for groups of the expression. `$1x` is the group named `1x`; write `${1}x`. In a \
         compose file every `$` is written twice.";
    STRIP_NOTHING = 40, "nothing to strip",
        "`strip-prefix` removes the prefix by which the route was found. This route has no prefix in `path` or \
         in a `PathPrefix` of its rule.";
    HOST_UNDERIVED = 41, "no host can be made of the route's name",
        "A route without a host is served as `<route>.<domain>`, with everything but letters, digits and hyphens \
         replaced by hyphens.";
    HEALTH_WITHOUT_PATH = 42, "`health` without a path",
        "`health.interval`, `health.timeout` and `health.status` say how endpoints are asked; what they are asked for \
         says `health.path`.";
    NAME_INVALID = 43, "not a name",
        "Names of projects, containers and groups are of letters, digits, hyphens, underscores and dots.";

    ROUTE_BY_ITSELF = 50, "route that nobody wrote",
        "A label of the container's one route, such as `gangway.port`, makes that route, also beside `gangway.routes.*`. \
         Without `host`, `path` or `rule` it is served at its default host, on all paths. Labels of the one route are not \
         handed down to the others.";

    UPSTREAM_MISSING = 201, "route of the file without an upstream",
        "A route of the configuration file needs `upstream`, the URL to which requests are sent, or a `redirect`.";
    UPSTREAM_INVALID = 202, "not the URL of an upstream",
        "An upstream is `http://`, `https://` or `h2c://` with a host and an optional port. A path in front of what is \
         asked for is added by `add-prefix`.";
    CONTAINER_UNKNOWN = 203, "container whose network is shared is not there",
        "With `network_mode: service:x` an application is reached at the address of `x`, which is not running.";

    CLAIMED_BY_OTHER_PROJECT = 301, "host is another project's",
        "A host belongs to the project, or the container, that was first served there, with all its paths. It keeps the \
         host through recreation, restart and stop, as long as a container of it exists, and a minute longer. After \
         that a container that is created then takes the host at once, and one that was refused before waits for \
         `--keep-hosts`. The label `share` on the holder's side lets others serve paths of the host, `gangway release` \
         gives it up, and `gangway hosts` lists who has what.";
    CLAIMED_TWICE = 302, "two routes ask for the same",
        "Two services, or two routes of one service, ask for the same requests with the same priority. The one that was \
         served first keeps them. Services that are one application say the same `group`.";
    TIE = 303, "only age decides between two routes",
        "Two routes are equally specific for some requests. The one that was served first gets those; `priority` or a \
         more specific rule decides it as you mean it.";
    REPLICAS_DIFFER = 304, "replicas ask for different things",
        "Containers of one service are replicas of one upstream and should have the same labels. What the newest \
         container that is ready asks for is in force. During an update this passes by itself.";
    PRIORITY_OVER_OTHER_PROJECT = 305, "priority over another project's route",
        "A larger priority may decide between routes of one project. It cannot take requests from an older container of \
         another project.";
    EXPRESSION_ON_OTHER_PROJECT = 306, "regular expression on another project's host",
        "Which paths a regular expression takes cannot be told beforehand, so on a host that another project shares, \
         only prefixes and exact paths can be asked for.";
    CLAIMED_BY_FILE = 307, "host and path stand in the configuration file",
        "A route of the configuration file goes before those of containers, whatever their age.";
    GROUP_WITHOUT_PROJECT = 308, "group outside of a project",
        "A group joins services of one project. A container that was started by itself belongs to no project.";

    ALTERNATIVES_IN_ALL_TOO_MANY = 310, "too many combinations of conditions in all",
        "All routes together may have 131,072 combinations of hosts, paths and other conditions. Beyond, services \
         (and containers that belong to none) that ask for more than an equal share lose their largest routes, and keep \
         the hosts that they have; the others lose nothing.";

    NETWORK_NOT_SHARED = 401, "no shared network",
        "Gangway reaches a container only on a network that both are attached to. The diagnostic names the networks of \
         both sides and the lines to add.";
    NETWORK_UNUSABLE = 402, "network that cannot be used",
        "The label `network` names a network that the container, or Gangway, is not attached to.";
    PORT_UNKNOWN = 403, "port unknown",
        "The image exposes no port, or several and none of the usual ones, so it must be said by the label `port`.";
    PORT_NOT_EXPOSED = 404, "port is not among the exposed ones",
        "The container exposes other ports than the one that the label names. That is allowed, but often a published \
         port was written instead of the container's own.";
    ADDRESS_MISSING = 405, "container has no address",
        "The engine lists no address for the container on the network that was chosen.";
    NETWORK_NONE = 406, "container without a network",
        "With `network_mode: none` nothing reaches the container.";
    HOST_UNREACHABLE = 407, "host cannot be reached",
        "The container uses the host's network, and Gangway runs in a container from which the host's address is \
         not known.";
    UNHEALTHY = 408, "container is unhealthy",
        "The container's own health check fails, so it gets no requests.";
    NETWORK_APART = 410, "network that its own host cannot reach",
        "Gangway runs on the host, and the container is on macvlan, ipvlan or overlay networks only. The kernel keeps \
         those apart from the host that they run on, while other machines may reach them. A bridge network that the \
         container has as well is used before all others.";
    ENGINE_ELSEWHERE = 411, "networks of the engine are not here",
        "Gangway runs outside of the engine's containers, and none of the engine's networks is where it runs. So it is \
         with rootless engines and Docker Desktop, which keep their networks in a namespace or a virtual machine of \
         their own, and with engines on other machines.";
    NETWORK_GONE = 412, "container whose network is shared was started anew",
        "A container that shares the network of another one stays in the network that the other had when it was started. \
         Once the other was restarted, nothing reaches it there, and at the other's address is the other alone.";
    OWN_LISTENER = 413, "own listener of Gangway as an endpoint",
        "A container that shares the host's network, or Gangway's, would be reached at an address where Gangway itself \
         listens. That is never an endpoint of a container, least of all the admin listener, which has no password. A \
         route of the configuration file may lead to it.";
    LISTING_MALFORMED = 414, "part of a container that cannot be read",
        "The engine describes a part of the container in a form that makes no sense. Only that part is left out; a label \
         whose value cannot be read counts as empty, so that one that protects still closes its route.";
    CLIENTS_OF_GATEWAY = 420, "clients with the address of a gateway",
        "Docker's own proxy (`localhost`, and IPv6 on a network without it), rootless engines and tunnels pass connections \
         on with an address of theirs, so that all clients look alike. That address is nobody's: whoever comes with it is \
         not taken for local, is in no network of a rule, and is not counted against the bound of connections per address. \
         Requests are served as ever.";

    CERTIFICATE_FILE_UNUSABLE = 501, "certificate file cannot be used",
        "A file in `certs/` on the volume is not a certificate with its key.";
    REDIRECT_WITHOUT_TLS = 540, "redirection to https without TLS",
        "With `tls` `off` the route is served by plain HTTP only; a redirection to https would lead nowhere.";
    HSTS_WITHOUT_TLS = 541, "strict transport security without TLS",
        "`Strict-Transport-Security` is only sent on https answers, of which there are none with `tls` `off`.";
    VERIFY_WITHOUT_TLS = 542, "`verify` without an https upstream",
        "Only the certificate of an upstream that is spoken to by https can be checked or not.";

    CLIENT_CA = 550, "not the name of a bundle of clients' authorities",
        "`client-ca` names a file in `certs/clients/` on the volume without its ending. A label cannot name any \
         other file.";
    CLIENT_CA_WITHOUT_TLS = 551, "certificates of clients without TLS",
        "`client-ca` asks for certificates in the TLS handshake, and `tls` `off` says that there is none. The route \
         is closed until one of them is removed.";
    CERT_EXPORT = 552, "not a folder to export to",
        "`cert.export` names a folder below the volume, other than those that Gangway keeps its own files in.";
    HANDSHAKE_OF_OTHERS = 553, "handshake of other routes",
        "`client-ca` and `tls-min` hold for every handshake of a host. A route cannot ask for more where an older \
         route of another project on the same host asks for less, and of two bundles on one host only the older \
         route's is asked for.";
    VARIABLE_UNKNOWN = 900, "unknown variable",
        "Every variable that begins with `GANGWAY_` is a global setting. The reference of the flags lists them. Left \
         alone are those that container links and Kubernetes make for a service named `gangway`, such as \
         `GANGWAY_SERVICE_HOST` and `GANGWAY_PORT=tcp://…`. Commands that ask a running instance only warn.";
    KEY_UNKNOWN = 901, "unknown key in the config file",
        "The keys of the config file are the names of the flags, and `routes`.";
    SETTING_UNUSABLE = 902, "unusable value of a global setting",
        "The setting does not take the value that a flag, a variable or the config file gives it.";
    CONFIG_UNREADABLE = 903, "config file cannot be read",
        "The file named by `--config` is missing, may not be read, is no text, or is larger than 4 MiB; or it had \
         routes and is empty now. While Gangway runs, the last settings stay in force until the file can be read again.";
    CONFIG_BROKEN = 904, "config file is not TOML",
        "The config file cannot be understood as a whole, mostly because a quote or a bracket is missing. While \
         Gangway runs, the last settings stay in force until the file is repaired.";
    SETTING_LATER = 905, "global setting not in force yet",
        "The setting is known and planned, but this version does not do what it asks for. What holds instead is \
         said as the effect.";
    RESTART_NEEDED = 906, "changed setting that needs a restart",
        "Of the config file, only routes are in force as soon as they are saved. Other settings are read when \
         Gangway starts.";
    KEY_MISPLACED = 907, "value and table mixed up",
        "A key of the config file is either a value or a table: `routes` holds one table for each route, and \
         all other global keys are values.";

    NOT_COMPOSE = 950, "not a compose file",
        "The file is not YAML, or not what compose would take.";
    VARIABLE_UNSET = 951, "variable without a value",
        "A variable of the compose file is not set and has no default, so compose takes it as empty.";
    VARIABLE_REFUSED = 952, "reference to a variable that compose refuses",
        "A variable that must be set is not, or a `$` begins no variable.";
    FILE_UNREADABLE = 953, "file cannot be read",
        "The compose file names a file that is not there or cannot be read.";
    BASE_UNKNOWN = 954, "`extends` or `include` leads nowhere",
        "What is extended or included is not there, or refers back to itself.";
    LABELS_MALFORMED = 955, "malformed labels",
        "`labels` is a list of `key=value` or a mapping of keys to texts.";
    LABEL_OUTSIDE_LABELS = 956, "label outside `labels`",
        "A key of ours stands somewhere else than under `labels`, where it has no effect.";
    NETWORK_UNDEFINED = 957, "undefined network",
        "A service names a network that the file does not define.";
    LABELS_BELOW_DEPLOY = 958, "labels below `deploy`",
        "Labels below `deploy` belong to the service of a Swarm. No container has them, and Gangway reads \
         those of containers.";
    LABELS_OF_OTHERS = 959, "labels of another proxy",
        "Labels of Traefik or Caddy, or variables of nginx-proxy, which Gangway does not understand yet. The note \
         names labels that say the same, where they can be read off. It does not change the exit code.";
    ARGUMENT_UNKNOWN = 960, "unknown argument of Gangway's own service",
        "The command of Gangway's service in the compose file has a flag that does not exist, or something else that \
         `gangway serve` does not take, so it would not start.";
    PORT_NOT_LISTENED = 961, "published port at which Gangway does not listen",
        "Gangway's service in the compose file publishes a port of its container at which it does not listen.";
    SOCKET_NOT_MOUNTED = 962, "socket of the engine not mounted",
        "Gangway's service in the compose file neither mounts the socket of the engine nor names one that is reached \
         otherwise.";
    DATA_NOT_KEPT = 963, "volume that is not kept",
        "Gangway's service in the compose file mounts no named volume or folder for its data, so certificates and \
         keys are lost with the container.";
    DATA_READ_ONLY = 964, "volume that is mounted read-only",
        "Gangway's service in the compose file mounts its data read-only, but certificates and keys are written there.";
}

/// Every code, ascending.
pub fn all() -> Vec<&'static CodeText> {
    let mut all: Vec<&CodeText> = OWN.iter().chain(crate::rule::codes::ALL).collect();
    all.sort_by_key(|text| text.code);
    all
}

/// What is said about a code.
pub fn find(code: Code) -> Option<&'static CodeText> {
    let of = |list: &'static [CodeText]| list.binary_search_by_key(&code, |text| text.code).ok().map(|at| &list[at]);
    of(OWN).or_else(|| of(crate::rule::codes::ALL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_is_found() {
        let all = all();
        assert!(all.windows(2).all(|pair| pair[0].code < pair[1].code), "a number was given twice");
        for text in all {
            assert_eq!(find(text.code), Some(text));
        }
    }

    #[test]
    fn titles_and_explanations_are_worded_alike() {
        for text in all() {
            assert!(!text.title.ends_with('.') && !text.title.starts_with(char::is_uppercase), "{}", text.title);
            assert!(text.explanation.ends_with('.') && !text.explanation.contains("  "), "{}", text.explanation);
        }
    }
}
