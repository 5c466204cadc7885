//! `G9xx`: global settings, the configuration file and compose files.

use crate::code::codes;

codes! {
    const CONFIGURATION_CODES;

    VARIABLE_UNKNOWN = 900, Error, "unknown variable",
        "Every variable that begins with `GANGWAY_` is a global setting. The reference of the flags lists them. Left \
         alone are those that container links and Kubernetes make for a service named `gangway`, such as \
         `GANGWAY_SERVICE_HOST` and `GANGWAY_PORT=tcp://…`. Commands that ask a running instance only warn.";
    KEY_UNKNOWN = 901, Error, "unknown key in the config file",
        "The keys of the config file are the names of the flags, and `routes`.";
    SETTING_UNUSABLE = 902, Error, "unusable value of a global setting",
        "The setting does not take the value that a flag, a variable or the config file gives it.";
    CONFIG_UNREADABLE = 903, Error, "config file cannot be read",
        "The file named by `--config` is missing, may not be read, is no text, or is larger than 4 MiB; or it had \
         routes and is empty now. While Gangway runs, the last settings stay in force until the file can be read again.";
    CONFIG_BROKEN = 904, Error, "config file is not TOML",
        "The config file cannot be understood as a whole, mostly because a quote or a bracket is missing. While \
         Gangway runs, the last settings stay in force until the file is repaired.";
    RESTART_NEEDED = 906, Warning, "changed setting that needs a restart",
        "Of the config file, only tables are in force as soon as they are saved: routes, definitions, users, providers and \
         listeners. Other settings are read when Gangway starts.";
    KEY_MISPLACED = 907, Error, "value and table mixed up",
        "A key of the config file is either a value or a table: `routes` holds one table for each route, and \
         all other global keys are values.";

    LISTENER_NOT_OPENED = 908, Error, "listener that cannot be opened",
        "A listener of the config file was added or changed while Gangway runs, and the system does not let Gangway listen \
         at its address. The listener stays as it was, the others are not concerned, and the address is tried again.";

    NOT_COMPOSE = 950, Error, "not a compose file",
        "The file is not YAML, or not what compose would take.";
    VARIABLE_UNSET = 951, Warning, "variable without a value",
        "A variable of the compose file is not set and has no default, so compose takes it as empty.";
    VARIABLE_REFUSED = 952, Error, "reference to a variable that compose refuses",
        "A variable that must be set is not, or a `$` begins no variable.";
    FILE_UNREADABLE = 953, Error | Warning, "file cannot be read",
        "The compose file names a file that is not there or cannot be read.";
    BASE_UNKNOWN = 954, Error, "`extends` or `include` leads nowhere",
        "What is extended or included is not there, or refers back to itself.";
    LABELS_MALFORMED = 955, Error, "malformed labels",
        "`labels` is a list of `key=value` or a mapping of keys to texts.";
    LABEL_OUTSIDE_LABELS = 956, Error | Warning, "label outside `labels`",
        "A key of ours stands somewhere else than under `labels`, where it has no effect.";
    NETWORK_UNDEFINED = 957, Error, "undefined network",
        "A service names a network that the file does not define.";
    LABELS_BELOW_DEPLOY = 958, Error, "labels below `deploy`",
        "Labels below `deploy` belong to the service of a Swarm. No container has them, and Gangway reads \
         those of containers.";
    LABELS_OF_OTHERS = 959, Note, "labels of another proxy",
        "Labels of Traefik or Caddy, or variables of nginx-proxy, which Gangway does not understand yet. The note \
         names labels that say the same, where they can be read off. It does not change the exit code.";

    ARGUMENT_UNKNOWN = 960, Error, "unknown argument of Gangway's own service",
        "The command of Gangway's service in the compose file has a flag that does not exist, or something else that \
         `gangway serve` does not take, so it would not start.";
    PORT_NOT_LISTENED = 961, Error, "published port at which Gangway does not listen",
        "Gangway's service in the compose file publishes a port of its container at which it does not listen.";
    SOCKET_NOT_MOUNTED = 962, Error, "socket of the engine not mounted",
        "Gangway's service in the compose file neither mounts the socket of the engine nor names one that is reached \
         otherwise.";
    DATA_NOT_KEPT = 963, Warning, "volume that is not kept",
        "Gangway's service in the compose file mounts no named volume or folder for its data, so certificates and \
         keys are lost with the container.";
    DATA_READ_ONLY = 964, Error, "volume that is mounted read-only",
        "Gangway's service in the compose file mounts its data read-only, but certificates and keys are written there.";
    PROGRAM_MISSING = 965, Error, "program that the image does not have",
        "Gangway's service in the compose file has an entrypoint or a health check that calls a program which its image \
         does not have, such as a shell or `wget`. The image holds one program, and has a health check of its own.";
}
