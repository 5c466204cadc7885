//! `G2xx`: references to something else.

use crate::code::codes;

codes! {
    const REFERENCE_CODES;

    UPSTREAM_MISSING = 201, Error, "route of the file without an upstream",
        "A route of the configuration file needs `upstream`, the URL to which requests are sent, or a `redirect`.";
    UPSTREAM_INVALID = 202, Error, "not the URL of an upstream",
        "An upstream is `http://`, `https://` or `h2c://` with a host and an optional port. A path in front of what is \
         asked for is added by `add-prefix`.";
    CONTAINER_UNKNOWN = 203, Error, "container whose network is shared is not there",
        "With `network_mode: service:x` an application is reached at the address of `x`, which is not running.";
    USER_LIST = 204, Error, "list of users that cannot be used",
        "`auth.basic` names a list of users by `@`: a file of that name in `auth/` on the volume, with `user:hash` on each \
         line as `htpasswd` writes it, or a table `[users.<name>]` of the configuration file. Routes that name a list which is not \
         there, or stands in both places, are closed.";
    AUTH_SERVICE_UNKNOWN = 205, Error, "log-in service that is not there",
        "`auth.forward` names no container and no service that runs. A service of the same project goes first, then a container \
         of that name, then the only service of that name, and for a product's name the only service with its image. The \
         route is closed until it is there.";
    AUTH_SERVICE_AMBIGUOUS = 206, Error, "several log-in services of one name",
        "`auth.forward` could mean services of several projects, and any of them would decide who comes in. The name of a \
         container is unique.";
    AUTH_SERVICE_UNREACHABLE = 207, Error, "log-in service that cannot be reached",
        "The service that `auth.forward` names shares no network with Gangway, or its port is not known. The route is closed.";
    AUTH_SERVICE_PATH = 208, Error, "log-in service without a path",
        "Where Authelia, authentik, Tinyauth and oauth2-proxy are asked is known, and which of them a service is follows from its \
         name or its image. Any other service needs a URL with a path.";
    AUTH_LOOP = 209, Error, "log-in that needs itself",
        "The service that `auth.forward` asks is served by a route that asks it too, directly or by way of others, so nobody could \
         ever log in. Such routes are closed.";
    AUTH_OF_PORTAL = 210, Warning, "log-in service that is asked about itself",
        "The route leads to the log-in service itself. Whoever wants to log in must get there, so `auth.forward` does nothing \
         on it; the service protects itself.";

    OIDC_PROVIDER = 211, Error, "log-in provider that cannot be used",
        "`auth.oidc` names a table `[oidc.<name>]` of the configuration file that is not there or is not in order: it needs \
         `issuer` and `client-id`, and a client secret is in a file or a variable. Routes that name it are closed.";
    OIDC_UNAVAILABLE = 212, Error, "log-in provider that does not answer as it has to",
        "The provider cannot be reached, or what it says about itself does not hold, or its clock and the one here differ. Nobody \
         can log in until it does; whoever is logged in stays so.";
    OIDC_KEYS = 213, Error, "no key for the cookies of log-ins",
        "Log-ins are kept in cookies that are encrypted by keys in `oidc/` on the volume. Without a key nobody is let in by \
         `auth.oidc`.";
    OIDC_SESSIONS = 214, Error, "register of log-ins that cannot be used",
        "The log-ins by `auth.oidc` stand in `oidc/sessions.json` on the volume, for `gangway sessions` and for log-outs that a \
         provider tells of. Log-ins count without it; a log-out counts at this instance, and at others once it is written.";
    OIDC_OPEN = 215, Warning, "log-in at a provider where everybody can have an account",
        "Google, Microsoft's personal accounts and their kind give everybody an account, so a log-in there says who somebody is and \
         keeps nobody out. `auth.users`, or `auth.domains` with a domain of your own, says who is meant.";

    USE_UNKNOWN = 220, Error, "shared definition that is not there",
        "`use` names a table `[middlewares.<name>]` that the configuration file does not have, maybe because it was taken out or \
         renamed. It may have protected the route, so the route is closed until the table is there or the name is taken out.";
    USE_BROKEN = 221, Error, "shared definition that cannot be used",
        "Something in the definition that protects cannot be applied. Routes that use it are closed until it is put right; what is \
         wrong is said at the definition itself.";
    USE_CONFLICT = 222, Error | Warning, "shared definitions that contradict each other",
        "Two definitions of one route, or a definition by `--default-use` and the route itself, say different things. Where that is \
         about a log-in, a rate limit or certificates of clients, nobody can tell which was meant and the route is closed. Where it \
         is about anything else, the later definition counts.";
    USE_FIXED = 223, Error, "shared definition that may not be left out",
        "A definition by `--default-use` holds for every route. Only the projects and containers that its `opt-out` lists may leave \
         it out, so that no label opens what the configuration file closes.";
    USE_OF_NOTHING = 224, Warning, "nothing to leave out",
        "`use` leaves out a definition that does not hold by default, so there is nothing to leave out.";

    PAGE_SERVICE_UNKNOWN = 230, Error, "page service that is not there",
        "`errors` names no container and no service that runs. A service of the same project goes first, then a container of \
         that name, then the only service of that name. Until it is there, errors are shown as they come.";
    PAGE_SERVICE_AMBIGUOUS = 231, Error, "several page services of one name",
        "`errors` could mean services of several projects. The name of a container is unique.";
    PAGE_SERVICE_UNREACHABLE = 232, Error, "page service that cannot be reached",
        "The service that `errors` names shares no network with Gangway, or its port is not known.";
    PAGE_SERVICE_PROTECTED = 233, Error, "page service behind a protection",
        "Pages are shown to everybody, also to those who are not let in. So they cannot be from a container or a host whose own \
         route asks for a log-in or lets in only some addresses.";
    ERROR_PAGE_MISSING = 234, Warning, "page that is not there",
        "`errors` names a folder or a file in `errors/` on the volume that has no page, or one that cannot be used: a page is a \
         file of at most 256 KiB that ends with `.html`, `.htm`, `.xhtml`, `.txt` or `.json`. Until it is there, errors are shown \
         as they come.";

    GEOIP_MISSING = 240, Error, "country or AS number without a database",
        "`allow` or `deny` names a country or an AS number, and no database tells where clients are. `--geoip` names files in \
         the MMDB format, such as GeoLite2-Country. Until it is given the route is closed.";
    GEOIP_FILE = 241, Error, "database of places that cannot be used",
        "A file of `--geoip` is missing, cannot be read, is larger than 128 MiB, is damaged, or is not a database of countries, \
         cities or AS numbers for IPv4 and IPv6 in the MMDB format. Data that was read before stays in force; without any, \
         routes that need it are closed.";
    GEOIP_KIND_MISSING = 242, Error, "no database of the kind that routes need",
        "Lists of routes name countries or AS numbers, and the files of `--geoip` tell only the other. These routes answer 503 \
         to whom their lists do not decide about by address.";
    GEOIP_FILE_UNUSED = 243, Warning, "second database of the same kind",
        "Two files of `--geoip` tell the same. The first one counts.";

    CROWDSEC_MISSING = 250, Error, "nobody who tells who is banned",
        "A route has `crowdsec`, and no CrowdSec engine is given by `--crowdsec-url`. Until it is, the route is closed.";
    CROWDSEC_UNAVAILABLE = 251, Error, "engine of CrowdSec that cannot be asked",
        "The local API of the CrowdSec engine cannot be reached, refuses the key, or answers what makes no sense. Decisions that \
         were read before stay in force until they end. If none was ever read, nobody is banned, and routes with `crowdsec` \
         answer 503.";
    CROWDSEC_DECISIONS = 252, Warning, "decisions that cannot be applied",
        "CrowdSec has decided about something that Gangway cannot tell of a client: a country or an AS number without a \
         database of `--geoip`, or what is neither an address nor a network. Or there are more decisions than Gangway keeps.";
    APPSEC_MISSING = 253, Error, "no web application firewall to ask",
        "A route has `appsec`, and no web application firewall of CrowdSec is given by `--crowdsec-appsec-url`. Until it is, the \
         route is closed.";
    APPSEC_UNAVAILABLE = 254, Error, "web application firewall that cannot be asked",
        "The AppSec component of CrowdSec cannot be reached, is silent, refuses the key, or answers what makes no sense. Routes \
         with `appsec` answer 503, and those with `appsec` `open` let requests in that nobody has looked at.";

    OWN_PAGE_HOST = 260, Error, "page of Gangway under hosts of others",
        "A route whose `upstream` is a page of Gangway takes requests for other hosts than those written in full. A web page \
         could point a name of its own here and read in a browser of yours what is meant for you, so the route is closed.";

    LISTENER_UNKNOWN = 270, Error, "listener that is not there",
        "`listen` names a listener that neither a flag nor the configuration file opens. The others that it names serve the route. \
         Where it names no other, nobody can tell which listeners the route was to be kept from, so it is closed on all of them.";
    LISTENERS_AGAINST_TLS = 271, Error, "listeners that do not fit `tls`",
        "`listen` names only listeners with TLS and `tls` is `off`, or only such without TLS and `tls` asks for a certificate.";
}
