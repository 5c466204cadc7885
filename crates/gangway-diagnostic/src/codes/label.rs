//! `G0xx`: the shape of labels and their values.

use crate::code::codes;

codes! {
    const LABEL_CODES;

    LABEL_UNKNOWN = 1, Error, "unknown label",
        "No key of this name exists under our prefix. The nearest one is named where there is one.";
    LABEL_INCOMPLETE = 2, Error, "incomplete label",
        "The key is the beginning of several keys and has no value of its own, such as `gangway.timeout` or \
         `gangway.routes.web`.";
    LABEL_BELOW_VALUE = 3, Error, "label below a label that has a value",
        "No key is both a value and a table: below `gangway.host` there is nothing, because `gangway.host` itself \
         has a value.";
    LABEL_TWICE = 4, Error, "label written twice",
        "Keys are compared without regard to case, so `gangway.Host` and `gangway.host` are one label; and \
         `gangway.host` is the same as `gangway.routes.web.host` in a service named `web`.";
    LABELS_TOO_MANY = 5, Error, "too many labels",
        "At most 256 labels under our prefix are read of one container. A route of which some were left out is \
         closed, as one of them may have protected it.";
    VALUE_TOO_LONG = 6, Error, "value too long",
        "A label's value has at most 4,096 bytes.";
    VALUE_CONTROL = 7, Error, "control character in a value",
        "Values are plain text. Line breaks may separate the entries of a list and the parts of a rule; all other \
         control characters are refused everywhere.";
    VALUE_EMPTY = 8, Error, "empty value",
        "The label has no value; often a variable of the compose file was not set. Only header labels may be empty: \
         they remove the header.";
    ROUTE_NAME = 9, Error, "not a name of a route",
        "A route's name in `gangway.routes.<name>.<key>` has 1 to 63 letters, digits, hyphens and underscores.";

    LABEL_LATER = 10, Error, "label not in force yet",
        "The key is known and planned, but this version does not do what it asks for. It is said instead of \
         ignored; the rest of the route is in force.";
    LABEL_DOUBTFUL = 12, Error, "label that may have been meant to protect",
        "The key is unknown but looks like one that restricts who may reach the route, such as `gangway.alow`. \
         The route is closed until the label is put right.";
    LABEL_NEAR_MISS = 13, Warning, "label just outside our prefix",
        "The key nearly begins with `gangway.`, so it was surely meant for Gangway, which only looks at what does.";
    LABEL_MISPLACED = 14, Error, "label that cannot stand here",
        "Some keys make sense for containers only, such as `port`, and `upstream` only for routes of the \
         configuration file. In shared definitions stand keys that are not about one route, and `opt-out` stands only there.";
    MORE_FOUND = 15, Error, "more findings than are shown",
        "At most 100 findings are shown for one container.";
    LABEL_BESIDE_RULE = 16, Error, "`host` or `path` beside `rule`",
        "A rule says everything about which requests a route takes, instead of `host` and `path`. Write the host and \
         the path into the rule.";
    LABEL_OF_OWN = 17, Error, "label on Gangway itself",
        "Gangway never routes to its own container.";
    VALUE_LATER = 18, Error, "value not in force yet",
        "The value is known and planned, but this version does not do what it asks for.";
    LABEL_REFUSED = 19, Error, "label that Gangway will not obey",
        "The key is known from other software, and what it asks for needs a right that Gangway does not have and \
         should not be given. The help names another way.";

    NOT_BOOLEAN = 20, Error, "not a boolean",
        "A boolean is `true`, `on` or `yes`, or `false`, `off` or `no`.";
    NOT_INTEGER = 21, Error, "not a whole number",
        "A whole number, such as `10` or `-1`.";
    NOT_PORT = 22, Error, "not a port",
        "A port is a number from 1 to 65535: the one at which the application listens inside its container. Names \
         are not looked up.";
    NOT_DURATION = 23, Error, "not a duration",
        "A duration is a number with a unit, such as `250ms`, `5s`, `10m`, `1h` or `30d`; a number alone is seconds.";
    NOT_SIZE = 24, Error, "not a size",
        "A size is a whole number with a unit: `kB`, `MB`, `GB`, `TB`, or `KiB`, `MiB`, `GiB`, `TiB`; a number alone \
         is bytes.";
    NOT_A_CHOICE = 25, Error, "not one of the possible values",
        "The label takes one of a few words, which are named in the diagnostic.";
    NOT_STATUS = 26, Error, "not a status",
        "A status is a number from 100 to 599, such as `204`; a range has two, such as `200-399`.";
    COOKIE_NAME = 27, Error, "not the name of a cookie",
        "The name of a cookie has letters, digits and a few signs such as hyphens, and no spaces.";
    UPGRADE = 28, Error, "not a protocol to switch to",
        "The name of a protocol, as it stands in the field `Upgrade`. A protocol that carries further HTTP requests, such \
         as `h2c`, is refused: they would pass unread, by every rule of every route.";

    FIELD_NAME = 30, Error, "not a header name",
        "The part of the label behind `header.` is the name of a header: letters, digits and hyphens.";
    FIELD_RESERVED = 32, Error, "header that no label can set",
        "Some headers frame the message or belong to one connection only, such as `Content-Length` and \
         `Connection`; setting them would break the connection or smuggle requests. `Host` is set by `host-header`.";
    HOST_HEADER = 33, Error, "not a value for `host-header`",
        "`keep`, `upstream`, or a name with an optional port.";
    REDIRECT = 34, Error, "not a redirection",
        "A redirection is a URL or a path that begins with one slash, with an optional status 301, 302, 307 or 308 in \
         front. `{host}` may stand in the host; `{path}` and `{query}` only behind it.";
    PLACEHOLDER = 35, Error, "unknown placeholder",
        "The placeholders of a redirection are `{host}`, `{path}` and `{query}`.";
    REDIRECT_TO_ITSELF = 36, Warning, "redirection to itself",
        "The redirection leads to the very address that was asked for, so a browser would follow it until it gives up.";
    PATH_TO_SEND = 37, Error, "not a path to send",
        "A path that is sent to the application begins with a slash and has only characters that can stand in a URL.";
    REWRITE = 38, Error, "not a rewriting",
        "A rewriting is a path that replaces the whole path, or `~expression -> replacement`.";
    REPLACEMENT_REFERENCE = 39, Error, "replacement that refers to nothing",
        "`$1` and `${name}` stand for groups of the expression. `$1x` is the group named `1x`; write `${1}x`. In a \
         compose file every `$` is written twice.";

    STRIP_NOTHING = 40, Error, "nothing to strip",
        "`strip-prefix` removes the prefix by which the route was found. This route has no prefix in `path` or \
         in a `PathPrefix` of its rule.";
    HOST_UNDERIVED = 41, Error, "no host can be made of the route's name",
        "A route without a host is served as `<route>.<domain>`, with everything but letters, digits and hyphens \
         replaced by hyphens.";
    HEALTH_WITHOUT_PATH = 42, Error, "`health` without a path",
        "`health.interval`, `health.timeout` and `health.status` say how endpoints are asked; what they are asked for \
         says `health.path`.";
    NAME_INVALID = 43, Error, "not a name",
        "Names of projects, containers and groups are of letters, digits, hyphens, underscores and dots.";
    RATE_LIMIT = 44, Error, "not a rate of requests",
        "A rate is a number of requests, `/` and a period, such as `100/s` or `30/m`; behind it `burst` and a number, and \
         `by` and what tells clients apart: `address`, `user`, or `header` and its name.";
    BASIC_USER = 45, Error, "not a user with a hash",
        "A user is a name, a colon and the hash of a password, as `gangway hash --user` prints it.";
    PASSWORD_HASH = 46, Error, "not the hash of a password",
        "Hashes are bcrypt, argon2, `$6$`, `$5$`, `$apr1$` or `{SHA}`, and a check of one may not take more than about a \
         second. In a compose file every `$` is written twice.";
    PASSWORD_HASH_WEAK = 47, Warning, "weak hash of a password",
        "`{SHA}` has no salt and `$apr1$` is MD5: a stolen hash gives its password away with little effort.";
    AUTH_MISSING = 48, Error, "`auth` without a way to log in",
        "`auth.skip`, `auth.keep`, `auth.realm`, `auth.users` and their like say how clients log in or need not; by what they \
         log in says another label, such as `auth.basic`. Whoever writes one of these means the route to be protected, so it is closed.";
    REALM = 49, Error, "not a realm",
        "A realm is a short text without quotes, backslashes and control characters. Browsers may show it.";

    ROUTE_BY_ITSELF = 50, Warning, "route that nobody wrote",
        "A label of the container's one route, such as `gangway.port`, makes that route, also beside `gangway.routes.*`. \
         Without `host`, `path` or `rule` it is served at its default host, on all paths. Labels of the one route are not \
         handed down to the others.";
    AUTH_SERVICE = 55, Error, "not a log-in service",
        "`auth.forward` is the name of a container or a service, such as `authelia`, maybe with a port, or a URL with the path \
         at which the service is asked.";
    AUTH_TWICE = 56, Error, "two ways to log in",
        "A route has one way to log in: `auth.basic`, `auth.forward` or `auth.oidc`. Which of two would count is not for Gangway to guess, \
         so the route is closed.";
    SKIP_RULE = 57, Error, "not what needs no log-in",
        "`auth.skip` has paths such as `/api`, methods such as `method:OPTIONS`, addresses, networks, and `lan`. Commas \
         separate entries, of which one is enough. Within an entry one method, one path and one address hold together, as \
         in `method:GET /feeds`; a mixture that can be read in two ways, such as `method:GET /feeds /api`, is refused. What \
         cannot be read, and the entry that it is in, spares nobody the log-in.";
    SKIP_PRESET = 58, Error, "no preset of what needs no log-in",
        "`preset` in `auth.skip` stands for the paths that a log-in in front of a well-known image usually leaves out, since the \
         image's own clients log in at the application. Of most images none are known, and of some it would be all of the \
         application. Then it spares nobody the log-in.";
    SKIPPED_BY_PRESET = 59, Note, "paths that a preset opens",
        "`preset` in `auth.skip` opens these paths: there, only the application itself asks for a log-in, a token or a key. \
         Whoever has switched that off has opened them to everybody.";
    ERROR_PAGES = 60, Error, "not a rule for errors",
        "`errors` has rules of statuses, `->` and where the page is from, such as `404,500-599 -> errors/`, with `;` between \
         them.";
    ERROR_STATUS = 61, Error, "not the status of an error",
        "Only errors get other pages: statuses from 400 to 599.";
    ERROR_PAGE_SOURCE = 62, Error, "no source of pages",
        "A page is from a folder or a file in `errors/` on the volume, from a container or a service, which may have a port and \
         a path, or from a URL. Only `{status}` can be put into it.";
    ERROR_RULE_UNREACHED = 63, Warning, "rule that no status gets to",
        "The first rule with a status counts for it, and all of this rule's statuses stand in rules before it.";
    OIDC_NAME = 64, Error, "not the name of an OpenID provider",
        "`auth.oidc` is the name of a table `[oidc.<name>]` of the configuration file: letters, digits, hyphens and underscores.";
    OIDC_ENTRY = 65, Error, "not a user, a group or an audience",
        "`auth.users` and `auth.groups` have names as the provider says them, and `auth.bearer` has an audience. None is longer \
         than 255 bytes or has control characters.";
    PAGE_ICON = 66, Error, "not an icon",
        "`page.icon` is an emoji or up to three letters. Names of icons and URLs are not taken: the browser of who looks at the \
         start page would fetch them from somebody else.";
    COUNTRY = 70, Error, "not a country",
        "A country is written by the two letters of ISO 3166-1, such as `country:DE`. A code that no country has would match \
         nobody.";
    AS_NUMBER = 71, Error, "not the number of an autonomous system",
        "An autonomous system, the network of a provider or of another organisation, is written by its number, such as \
         `as:64500`.";
}
