//! `G7xx`: Traefik's labels and the files of its file provider.

use crate::code::codes;

codes! {
    const TRAEFIK_CODES;

    TRAEFIK_OPTION = 701, Error | Warning, "unknown option of Traefik",
        "No option of this name exists. Traefik drops a container with all its routers then; here only what the option \
         belongs to is closed or left out.";
    TRAEFIK_VALUE = 702, Error | Warning, "value that Traefik's option cannot have",
        "The value cannot be read, or two options exclude each other. What the option belongs to is closed or left out, \
         as the effect says.";
    TRAEFIK_VERSION_2 = 703, Warning, "rule in a form of Traefik 2",
        "Traefik 3 refuses the form or takes it for something else. It is read as it was meant in Traefik 2.";
    TRAEFIK_ENTRY_POINT = 704, Error, "unknown entry point",
        "A router is served on those of its entry points that exist.";
    TRAEFIK_RESOLVER = 705, Warning, "unknown certificate resolver",
        "The resolver is named and not defined. Certificates come from where they would without it.";
    TRAEFIK_TLS_OPTIONS = 706, Error, "TLS options that cannot be in force",
        "The options are named and not declared, or they ask for certificates of clients. Routers that refer to them are \
         closed.";
    TRAEFIK_SERVICE_MISSING = 707, Error, "service of Traefik that is not there",
        "A router that leads nowhere stays in the table and answers 503, so that a broader router does not get its \
         requests.";
    TRAEFIK_MIDDLEWARE_MISSING = 708, Error | Warning, "middleware of Traefik that is not there",
        "Nobody knows what it would have done, so routers that name it are closed.";
    TRAEFIK_MIDDLEWARE = 709, Error | Warning, "middleware of Traefik that could not be made",
        "A middleware that protects closes the routers that name it; another one is left out, and the effect says so.";
    TRAEFIK_NAME_TAKEN = 710, Error, "name that an older container or another file has",
        "Routers, services and middlewares are known by their names. The older container keeps the name where two declare \
         different things under it, where Traefik drops both. Of files of the file provider the first one keeps it.";
    TRAEFIK_WITHOUT_EFFECT = 711, Warning, "option of Traefik without effect",
        "The option is known and does nothing here. The help says what happens instead.";
    TRAEFIK_DEFAULT_RULE = 712, Error, "no rule for a router",
        "The router has no rule, and `defaultRule` gives none for its container.";
    TRAEFIK_BESIDE_OURS = 713, Warning, "labels of Traefik beside labels of Gangway",
        "A container says the same host in both. The labels of Gangway are in force.";
}
