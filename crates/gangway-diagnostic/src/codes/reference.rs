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
         line as `htpasswd` writes it. Routes that name a list which is not there are closed.";
}
