//! `G6xx`: Traefik's static configuration, and the files of its file provider.

use crate::code::codes;

codes! {
    const TRAEFIK_STATIC_CODES;

    TRAEFIK_OPTION_UNKNOWN = 600, Warning, "unknown option of Traefik",
        "A flag, a variable or a key of the static configuration is no option of Traefik, which would not start with \
         it. Gangway leaves it out and starts.";
    TRAEFIK_OPTION_WITHOUT_EFFECT = 601, Warning, "option of Traefik without effect",
        "An option that Traefik has does nothing in Gangway. The effect says what happens instead.";
    TRAEFIK_VALUE_UNUSABLE = 602, Warning, "unusable value of an option of Traefik",
        "An option of the static configuration does not take the value that it has. The option is left out.";
    TRAEFIK_FILE_BROKEN = 603, Warning, "file of Traefik that cannot be read",
        "A file of the static configuration or of the file provider is missing, may not be read, is larger than 4 MiB, or is \
         neither YAML nor TOML. While Gangway runs, what the file provider has read last stays in force.";
    TRAEFIK_TEMPLATE_BROKEN = 604, Warning, "template that cannot be used",
        "A file of the file provider holds a template that is broken, or uses what Gangway does not know: loops and \
         variables of templates, or a function. What the file gave before stays in force.";
    TRAEFIK_SOURCE_IGNORED = 605, Warning, "static configuration that does not count",
        "Traefik reads its static configuration from one place: from a file, or else from flags, or else from variables. \
         The others are left out, by Traefik too.";
}
