//! `G4xx`: networks, addresses, ports and health.

use crate::code::codes;

codes! {
    const NETWORK_CODES;

    NETWORK_NOT_SHARED = 401, Error, "no shared network",
        "Gangway reaches a container only on a network that both are attached to. The diagnostic names the networks of \
         both sides and the lines to add.";
    NETWORK_UNUSABLE = 402, Error, "network that cannot be used",
        "The label `network` names a network that the container, or Gangway, is not attached to.";
    PORT_UNKNOWN = 403, Error, "port unknown",
        "The image exposes no port, or several and none of the usual ones, so it must be said by the label `port`.";
    PORT_NOT_EXPOSED = 404, Warning, "port is not among the exposed ones",
        "The container exposes other ports than the one that the label names. That is allowed, but often a published \
         port was written instead of the container's own.";
    ADDRESS_MISSING = 405, Error, "container has no address",
        "The engine lists no address for the container on the network that was chosen.";
    NETWORK_NONE = 406, Error, "container without a network",
        "With `network_mode: none` nothing reaches the container.";
    HOST_UNREACHABLE = 407, Error, "host cannot be reached",
        "The container uses the host's network, and Gangway runs in a container from which the host's address is \
         not known.";
    UNHEALTHY = 408, Warning, "container is unhealthy",
        "The container's own health check fails, so it gets no requests.";

    NETWORK_APART = 410, Error, "network that its own host cannot reach",
        "Gangway runs on the host, and the container is on macvlan, ipvlan or overlay networks only. The kernel keeps \
         those apart from the host that they run on, while other machines may reach them. A bridge network that the \
         container has as well is used before all others.";
    ENGINE_ELSEWHERE = 411, Error, "networks of the engine are not here",
        "Gangway runs outside of the engine's containers, and none of the engine's networks is where it runs. So it is \
         with rootless engines and Docker Desktop, which keep their networks in a namespace or a virtual machine of \
         their own, and with engines on other machines.";
    NETWORK_GONE = 412, Error, "container whose network is shared was started anew",
        "A container that shares the network of another one stays in the network that the other had when it was started. \
         Once the other was restarted, nothing reaches it there, and at the other's address is the other alone.";
    OWN_LISTENER = 413, Error, "own listener of Gangway as an endpoint",
        "A container that shares the host's network, or Gangway's, would be reached at an address where Gangway itself \
         listens, or a URL in a label leads there. That is never an endpoint of a container, least of all the admin \
         listener, which has no password. A route of the configuration file may lead to it.";
    LISTING_MALFORMED = 414, Error, "part of a container that cannot be read",
        "The engine describes a part of the container in a form that makes no sense. Only that part is left out; a label \
         whose value cannot be read counts as empty, so that one that protects still closes its route.";

    CLIENTS_OF_GATEWAY = 420, Warning, "clients with the address of a gateway",
        "Docker's own proxy (`localhost`, and IPv6 on a network without it), rootless engines and tunnels pass connections \
         on with an address of theirs, so that all clients look alike. Gangway gives that address no meaning: a client \
         that comes with it is not taken for local, is in no network of a rule, and is not counted against the bound of \
         connections per address. Requests are served as ever.";
    ADDRESSES_OF_GATEWAY = 421, Warning, "addresses of clients that cannot count",
        "A route's `allow`, `deny` or `auth.skip` names addresses, while clients come with the address of a gateway (G420). \
         Gangway cannot know who such a client is: `allow` and `deny` keep it out, and no address in `auth.skip` spares it \
         the log-in.";
    APP_SETTING_MISSING = 422, Warning, "setting that an application lacks",
        "An answer of the application shows that it lacks a setting: it does not know its public name, or does not trust \
         Gangway as a proxy. Gangway recognises such answers of Home Assistant, Nextcloud, Paperless-ngx and other Django \
         applications, Grafana, n8n, Rails and Vite, and names the line to add. It goes away when the application answers \
         well again, or is started anew.";
}
