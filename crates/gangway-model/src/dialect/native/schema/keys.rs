//! Every key that there is.

use super::key::{Form, Key, KeyId, KeyStatus, Placement, Role};

const SHAPES: Key = Key {
    name: "",
    value: Form::Unsettled,
    default: "–",
    example: "",
    doc: "",
    status: KeyStatus::Later,
    role: Role::Shapes,
    place: Placement::Everywhere,
    without: "",
};

const PROTECTS: Key = Key { role: Role::Protects, ..SHAPES };

/// Every key, in the order of the reference.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "enable",
        value: Form::Boolean,
        default: "true where any other label of ours stands, else as `--expose` says",
        example: "true",
        doc: "Whether the container is routed. On `gangway.routes.<name>`, and in a table of the configuration file, it \
              switches only that route.",
        status: KeyStatus::InForce(KeyId::Enable),
        without: "the label counts as not written",
        ..SHAPES
    },
    Key {
        name: "host",
        value: Form::List("names"),
        default: "`<route>.<domain>`, with `--domain` (`localhost`)",
        example: "shop.example.org, *.shop.example.org",
        doc: "The hosts under which the route is served: exact names, `*.example.org` (one label in front), `budget.*` \
              (any domain behind), or `*`. Case, port and a final dot do not count. International names may be \
              written as they are read. A default host is made of the route's name in lower case, with everything but \
              letters, digits and hyphens replaced by hyphens.",
        status: KeyStatus::InForce(KeyId::Host),
        role: Role::Selects,
        ..SHAPES
    },
    Key {
        name: "path",
        value: Form::List("paths"),
        default: "all paths",
        example: "/stash, =/robots.txt, ~^/v[0-9]+/",
        doc: "The paths that the route takes: `/stash` takes itself and everything below it, `=/robots.txt` only \
              itself, and `~` stands in front of a regular expression. Paths are compared percent-decoded and \
              normalised; the application gets the original bytes.",
        status: KeyStatus::InForce(KeyId::Path),
        role: Role::Selects,
        ..SHAPES
    },
    Key {
        name: "rule",
        value: Form::Expression,
        default: "–",
        example: "Host(`shop.example.org`) && !ClientIP(`10.0.0.0/8`)",
        doc: "Says in one expression which requests the route takes, instead of `host` and `path`. The matchers are \
              `Host`, `HostRegexp`, `Path`, `PathPrefix`, `PathRegexp`, `Method`, `Header`, `HeaderRegexp`, `Query`, \
              `QueryRegexp` and `ClientIP`, joined by `&&`, `||`, `!` and parentheses; values stand in backticks or \
              double quotes. A rule without a host takes every host.",
        status: KeyStatus::InForce(KeyId::Rule),
        role: Role::Selects,
        ..SHAPES
    },
    Key {
        name: "priority",
        value: Form::Integer,
        default: "0",
        example: "10",
        doc: "Of several routes that match a request the one with the largest priority wins, before anything else is \
              compared. It cannot take requests from an older container of another project.",
        status: KeyStatus::InForce(KeyId::Priority),
        without: "the priority is 0",
        ..SHAPES
    },
    Key {
        name: "port",
        value: Form::Port,
        default: "by image name, else the only exposed one, else a usual one",
        example: "8080",
        doc: "The port at which the application listens inside its container. Without it: what is known of the image by its \
              name; else the only exposed TCP port; else the lowest of the exposed 80, 8080, 3000, 8000, 5000, 443 and \
              8443; else the only published one.",
        status: KeyStatus::InForce(KeyId::Port),
        place: Placement::OnContainers,
        without: "the port is chosen as if the label were not there",
        ..SHAPES
    },
    Key {
        name: "scheme",
        value: Form::Line("`http`, `https`, `h2c`"),
        default: "`http`; `https` for port 443 and 8443",
        example: "h2c",
        doc: "How the application is spoken to: `http` is HTTP/1.1, `https` is HTTP/1.1 or HTTP/2 over TLS, `h2c` is HTTP/2 \
              without TLS, as gRPC servers want it.",
        status: KeyStatus::InForce(KeyId::Scheme),
        place: Placement::OnContainers,
        without: "`http` is spoken, or `https` at port 443 and 8443",
        ..SHAPES
    },
    Key {
        name: "verify",
        value: Form::Boolean,
        default: "true",
        example: "false",
        doc: "Whether the certificate of an `https` upstream is checked. An application that made its own certificate needs \
              `false`.",
        status: KeyStatus::InForce(KeyId::Verify),
        without: "certificates are checked",
        ..SHAPES
    },
    Key {
        name: "network",
        value: Form::Line("name of a Docker network"),
        default: "`--network`, else the first shared one by name",
        example: "edge",
        doc: "The network over which the container is reached, where it shares several with Gangway. Written as \
              `gangway.network` it holds for all routes of the container. The name as compose files write it is \
              understood too.",
        status: KeyStatus::InForce(KeyId::Network),
        place: Placement::OnContainers,
        without: "the network is chosen as if the label were not there",
        ..SHAPES
    },
    Key {
        name: "upstream",
        value: Form::List("URLs"),
        default: "–",
        example: "http://192.0.2.9:5006",
        doc: "Where requests go, for what is not a container: `http://`, `https://` or `h2c://`, a host and a port. \
              Only in `[routes.<name>]` tables of the configuration file. `page@internal` is Gangway's own \
              [page](../guides/the-page.md), and `start-page@internal` its [start page](../guides/start-page.md); without a key \
              that says who may come in, only the local network sees them.",
        status: KeyStatus::InForce(KeyId::Upstream),
        place: Placement::InTheFile,
        without: "requests are not sent there",
        ..SHAPES
    },
    Key {
        name: "strip-prefix",
        value: Form::Boolean,
        default: "false",
        example: "true",
        doc: "Removes the matched prefix of `path` before the request is sent on, sends it as `X-Forwarded-Prefix`, and \
              redirects `/stash` to `/stash/` where the client follows (GET and HEAD, no WebSocket). Applied before `rewrite` and `add-prefix`.",
        status: KeyStatus::InForce(KeyId::StripPrefix),
        without: "no prefix is removed",
        ..SHAPES
    },
    Key {
        name: "rewrite",
        value: Form::Line("path, or `~regex -> replacement`"),
        default: "–",
        example: "~^/old/(.*)$ -> /new/$1",
        doc: "Replaces the path before the request is sent on. A path alone replaces the whole path; an expression \
              replaces what it matches, and `$1` or `${name}` in the replacement stand for its groups. It is matched \
              against the path by which routes are found: decoded, with `//` and dots resolved; what it leaves goes on as \
              it was sent. In a compose file every `$` is written twice.",
        status: KeyStatus::InForce(KeyId::Rewrite),
        without: "paths are not rewritten",
        ..SHAPES
    },
    Key {
        name: "add-prefix",
        value: Form::Path,
        default: "–",
        example: "/app",
        doc: "Puts a path in front of the request's before it is sent on, after `strip-prefix` and `rewrite`. No `..` in a \
              request leads out of it; where applications may read one (`..%2F`, `..;`), the answer is 400.",
        status: KeyStatus::InForce(KeyId::AddPrefix),
        without: "no prefix is added",
        ..SHAPES
    },
    Key {
        name: "redirect",
        value: Form::Line("`[301|302|307|308]` URL"),
        default: "–",
        example: "308 https://new.example.org{path}?{query}",
        doc: "Answers with a redirection instead of asking the application. `{host}`, `{path}` and `{query}` stand for \
              those of the request; the status is 302 where none is written. A path alone stays on the host.",
        status: KeyStatus::InForce(KeyId::Redirect),
        without: "nothing is redirected",
        ..SHAPES
    },
    Key {
        name: "tls",
        value: Form::Line("`auto`, `internal`, `off`, `passthrough` (later)"),
        default: "`auto`",
        example: "internal",
        doc: "How the route is served: `auto` takes the internal CA for internal names and a public one for public names, \
              `internal` always the internal CA, `off` serves plain HTTP only.",
        status: KeyStatus::InForce(KeyId::Tls),
        without: "`tls` is `auto`",
        ..SHAPES
    },
    Key {
        name: "https-redirect",
        value: Form::Boolean,
        default: "true",
        example: "false",
        doc: "Whether plain HTTP answers 308 to https. With `tls` `off` it is false.",
        status: KeyStatus::InForce(KeyId::HttpsRedirect),
        without: "plain HTTP is redirected to https",
        ..SHAPES
    },
    Key {
        name: "request.header.<Name>",
        value: Form::Text,
        default: "–",
        example: "request.header.X-Tenant: blue",
        doc: "Sets a header of the request, replacing what is there; an empty value removes it.",
        status: KeyStatus::InForce(KeyId::RequestHeader),
        without: "the header is sent as the client sent it",
        ..SHAPES
    },
    Key {
        name: "response.header.<Name>",
        value: Form::Text,
        default: "–",
        example: "response.header.X-Frame-Options: DENY",
        doc: "Sets a header of the response, replacing what is there; an empty value removes it. Also on answers that \
              Gangway gives itself.",
        status: KeyStatus::InForce(KeyId::ResponseHeader),
        without: "the header is sent as the application sent it",
        ..SHAPES
    },
    Key {
        name: "host-header",
        value: Form::Line("`keep`, `upstream`, or a name"),
        default: "`keep`",
        example: "upstream",
        doc: "What is sent to the application as `Host`: what the client sent, the endpoint's own address, or a fixed name.",
        status: KeyStatus::InForce(KeyId::HostHeader),
        without: "`Host` is sent as the client sent it",
        ..SHAPES
    },
    Key {
        name: "upgrade",
        value: Form::List("protocols"),
        default: "–",
        example: "tailscale-control-protocol, DERP",
        doc: "Protocols besides `websocket`, which needs no label, that a client may switch its HTTP/1.1 connection to by \
              `Upgrade`. The application must agree with 101; from then on bytes pass unread in both directions. Without the \
              label the field is removed, and `gangway explain` says so. Refused are `h2c`, `HTTP/2.0` and `TLS/1.0`: they \
              carry further requests, which nothing would check.",
        status: KeyStatus::InForce(KeyId::Upgrade),
        without: "connections switch to WebSockets only",
        ..SHAPES
    },
    Key {
        name: "body-limit",
        value: Form::Size,
        default: "none",
        example: "50MB",
        doc: "A request with a larger body is answered with 413.",
        status: KeyStatus::InForce(KeyId::BodyLimit),
        without: "bodies are not limited",
        ..SHAPES
    },
    Key {
        name: "timeout.connect",
        value: Form::Duration,
        default: "5s",
        example: "2s",
        doc: "How long a connection to the application may take to come about.",
        status: KeyStatus::InForce(KeyId::TimeoutConnect),
        without: "the timeout is 5 seconds",
        ..SHAPES
    },
    Key {
        name: "timeout.response",
        value: Form::Duration,
        default: "1h",
        example: "30s",
        doc: "How long the application may take until the first byte of its answer.",
        status: KeyStatus::InForce(KeyId::TimeoutResponse),
        without: "the timeout is an hour",
        ..SHAPES
    },
    Key {
        name: "timeout.idle",
        value: Form::Duration,
        default: "1h",
        example: "10m",
        doc: "How long an answer or a WebSocket may stay silent.",
        status: KeyStatus::InForce(KeyId::TimeoutIdle),
        without: "the timeout is an hour",
        ..SHAPES
    },
    Key {
        name: "hsts",
        value: Form::Line("boolean or duration"),
        default: "off",
        example: "true",
        doc: "Sends `Strict-Transport-Security` on https answers: browsers then refuse plain HTTP for that long, which cannot be \
              taken back. `true` is a year.",
        status: KeyStatus::InForce(KeyId::Hsts),
        without: "the header is not sent",
        ..SHAPES
    },
    Key {
        name: "headers",
        value: Form::Line("`secure` or `off`"),
        default: "off",
        example: "secure",
        doc: "Adds the response headers that browsers protect users by, and that an application does not have to be made for: \
              `X-Content-Type-Options: nosniff`, `X-Frame-Options: SAMEORIGIN`, `Referrer-Policy: strict-origin-when-cross-origin`, \
              and, unless `hsts` is written, `Strict-Transport-Security` of a year on https answers. What the application or \
              `response.header` says counts instead.",
        status: KeyStatus::InForce(KeyId::Headers),
        without: "no headers are added",
        ..SHAPES
    },
    Key {
        name: "compress",
        value: Form::Line("boolean, or list of `zstd`, `br`, `gzip`"),
        default: "off",
        example: "true",
        doc: "Compresses answers that the application sent uncompressed, where the client takes it and it is worth it: text and the \
              like of at least a kilobyte. `true` is `zstd, br, gzip`. Streams are passed on piece by piece as they come.",
        without: "answers are sent as the application sent them",
        status: KeyStatus::InForce(KeyId::Compress),
        ..SHAPES
    },
    Key {
        name: "errors",
        value: Form::Line("rules such as `404,500-599 -> errors/`, with `;` between them"),
        example: "404 -> errors/shop/{status}.html; 500-599 -> errors/",
        doc: "Shows pages of your own in place of errors, of the application's and of Gangway's: for each status the one of the \
              first rule that has it. A page is from a folder or a file below `errors/` on the volume, from a container or a \
              service (`error-pages`, `error-pages:8080/{status}.html`), or from a URL; `{status}` stands for the status. A \
              folder has `404.html`, `4xx.html` or `index.html`, and `404.json` or `4xx.json` for programs. The status stays, \
              and so do fields that do not describe the content. Where there is no page, the answer stays as it is.",
        without: "errors are shown as they come",
        status: KeyStatus::InForce(KeyId::Errors),
        ..SHAPES
    },
    Key {
        name: "cache",
        value: Form::Line("boolean or size"),
        default: "off",
        example: "64MiB",
        doc: "Keeps answers in memory, up to this size, and gives them to others who ask for the same (RFC 9111). Kept is what the \
              application says may be kept, by `Cache-Control` with `max-age` or `s-maxage`, or by `Expires`; never what sets a \
              cookie, and for clients who have logged in or send `Authorization` only what is `public`. `true` is 64 MiB. One answer takes at most an \
              eighth of it. What is kept goes when the route changes or has a new container.",
        without: "nothing is kept",
        status: KeyStatus::InForce(KeyId::Cache),
        ..SHAPES
    },
    Key {
        name: "auth.basic",
        value: Form::List("`user:hash`, `@list`"),
        example: "ann:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
        doc: "Asks for a user name and a password. Hashes are bcrypt, argon2, `$6$`, `$5$` or `$apr1$`; `gangway hash` makes one. \
              `@friends` is the htpasswd file `auth/friends` on the volume, or the table `[users.friends]` of the configuration file with \
              lines `name = \"hash\"`; both are followed, and a name that stands in both places closes the route. The application does not get \
              `Authorization` unless `auth.keep` says so.",
        status: KeyStatus::InForce(KeyId::AuthBasic),
        ..PROTECTS
    },
    Key {
        name: "auth.forward",
        value: Form::Line("`authelia`, `authentik`, `tinyauth`, `oauth2-proxy`, another container or service, or URL"),
        example: "http://192.0.2.9:9091/api/authz/forward-auth",
        doc: "Asks a log-in service whether a request may pass: by GET, with the client's headers and \
              `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`. After 2xx the application gets the request with the \
              fields in `auth.headers`; redirections and 4xx go to the client, anything else is a failure (502). Without an \
              answer nobody is let in. A name stands for a service of the same project, else a container, else the only service of that name, and may have a \
              port (`login:9000`); a host in a URL without a dot too. Which of the four products it is follows from the name, \
              the path or the image; for any other service the URL has a path. The paths `/outpost.goauthentik.io` of \
              authentik and `/oauth2` of oauth2-proxy are served at the hosts of the route.",
        status: KeyStatus::InForce(KeyId::AuthForward),
        ..PROTECTS
    },
    Key {
        name: "auth.headers",
        value: Form::List("header names, also with `*` at the end"),
        default: "`Remote-*`, and those of the product",
        example: "Remote-User, X-Team-*",
        doc: "The fields in the answers of `auth.forward` that the application gets. What clients send under these names, in any \
              spelling, is removed from every request of the route. Also written `auth.forward.headers` as a label. \
              `Authorization` is replaced only where the service sets it.",
        status: KeyStatus::InForce(KeyId::AuthHeaders),
        ..PROTECTS
    },
    Key {
        name: "auth.oidc",
        value: Form::Line("name of a provider in the configuration file"),
        example: "company",
        doc: "Asks for a log-in at an OpenID provider, which a table `[oidc.<name>]` of the configuration file describes. A \
              browser is sent there and comes back; the log-in is kept in an encrypted cookie. Other clients get 401. The \
              application gets `Remote-User`, `Remote-Email`, `Remote-Name` and `Remote-Groups`; what clients send under \
              names that begin with `Remote-` is removed. Gangway itself answers below `/.gangway/oidc` at the hosts of the \
              route; `/.gangway/oidc/callback` is what the provider has to know, and `/.gangway/oidc/logout` logs out. \
              Without the provider nobody is let in.",
        status: KeyStatus::InForce(KeyId::AuthOidc),
        ..PROTECTS
    },
    Key {
        name: "auth.users",
        value: Form::List("users"),
        default: "all",
        example: "ann, bob@example.org",
        doc: "Narrows `auth.oidc` to these users: names (`preferred_username`), e-mail addresses that the provider calls \
              verified, or subjects as `sub:248289761001`. Others get 403. Of `auth.users`, `auth.groups` and \
              `auth.domains` each that is there has to hold.",
        status: KeyStatus::InForce(KeyId::AuthUsers),
        ..PROTECTS
    },
    Key {
        name: "auth.groups",
        value: Form::List("groups"),
        default: "all",
        example: "admins",
        doc: "Narrows `auth.oidc` to users who are in one of these groups, as the provider says.",
        status: KeyStatus::InForce(KeyId::AuthGroups),
        ..PROTECTS
    },
    Key {
        name: "auth.domains",
        value: Form::List("domains"),
        default: "all",
        example: "example.org",
        doc: "Narrows `auth.oidc` to users with a verified e-mail address of one of these domains. Domains below them do not \
              count.",
        status: KeyStatus::InForce(KeyId::AuthDomains),
        ..PROTECTS
    },
    Key {
        name: "auth.bearer",
        value: Form::Line("audience, or boolean"),
        default: "no access token counts",
        example: "https://api.example.org",
        doc: "Lets clients in by an access token of the provider of `auth.oidc` too, which they send as `Authorization: Bearer`. \
              It has to be a signed JWT for this audience; with `true`, for the client of Gangway at the provider. The lists of \
              `auth.users`, `auth.groups` and `auth.domains` hold for it by what the token itself says. The application gets \
              `Authorization` only if `auth.keep` says so. Also written `auth.oidc.bearer` as a label.",
        status: KeyStatus::InForce(KeyId::AuthBearer),
        ..PROTECTS
    },
    Key {
        name: "auth.skip",
        value: Form::List("paths as in `path`, `method:NAME`, addresses, networks, `lan`, `preset`"),
        example: "/api, method:GET /feeds",
        doc: "Requests that need no log-in: one of the entries, which commas separate, is enough. Within an entry a method, a \
              path and an address, one of each and with spaces between them, hold together: `method:GET /feeds` is only `GET` \
              below `/feeds`. Words of one kind are alternatives to each other, as in `/api /feeds`; an entry that can be read \
              in two ways spares nobody the log-in. Paths, such as those that an app on a phone asks for; \
              a path that an application may read as another one (`%2F`, `;`) needs no log-in only where none of its \
              readings does. Methods, such as `method:OPTIONS` for the preflight requests of browsers; `method:GET` includes \
              `HEAD`, and none counts where `X-HTTP-Method-Override` or one of its kind asks for another method. Addresses \
              of clients, where they are certain: not behind a proxy that `--trusted-proxies` does not name, nor where \
              every client has a gateway's address. `preset` stands for the paths that are known for the container's image, \
              such as `/api` of Immich, where its own apps log in at the application; `gangway check` says which they are, and \
              for other images it opens nothing. Whoever writes it means the rest to be protected, so without a way to \
              log in the route is closed.",
        status: KeyStatus::InForce(KeyId::AuthSkip),
        ..PROTECTS
    },
    Key {
        name: "auth.keep",
        value: Form::Boolean,
        default: "false",
        example: "true",
        doc: "Whether `Authorization` is also sent to the application after `auth.basic`, or after a token of \
              `auth.bearer`. Without one of these the route is closed.",
        status: KeyStatus::InForce(KeyId::AuthKeep),
        ..PROTECTS
    },
    Key {
        name: "auth.realm",
        value: Form::Line("text"),
        default: "`restricted`",
        example: "household",
        doc: "What `auth.basic` is for, which some browsers show when they ask for the password. Without a way to log in the \
              route is closed.",
        status: KeyStatus::InForce(KeyId::AuthRealm),
        ..PROTECTS
    },
    Key {
        name: "allow",
        value: Form::List("addresses, networks, `lan`, `country:XX`, `as:NUMBER`"),
        example: "lan, 192.0.2.0/24",
        doc: "Lets in only clients of these addresses; others are answered 403. `lan` stands for the private, loopback and link-local \
              ones. `country:DE` and `as:64500` stand for the addresses of a country and of an autonomous system, as the \
              databases of `--geoip` tell them; an address of which they know nothing is in none. Where every client seems to have the same address, as behind Docker's proxy for published ports, nobody can \
              be told apart and the route is closed.",
        status: KeyStatus::InForce(KeyId::Allow),
        ..PROTECTS
    },
    Key {
        name: "deny",
        value: Form::List("addresses, networks, `lan`, `country:XX`, `as:NUMBER`"),
        example: "198.51.100.7",
        doc: "Keeps out clients of these addresses by 403, also where `allow` names them. Takes `lan`, countries and AS numbers \
              like `allow`.",
        status: KeyStatus::InForce(KeyId::Deny),
        ..PROTECTS
    },
    Key {
        name: "rate-limit",
        value: Form::Line("`100/s`, `100/s burst 200`, `100/s by header X-Api-Key`"),
        example: "100/s burst 200",
        doc: "Limits the requests of one client; more are answered 429 with `Retry-After`. The period is `s`, `m`, `h`, `d` or a \
              duration; `burst` is how many may come at once, as many as in a period where it is not written. Clients are told \
              apart by their address, of IPv6 by the first 64 bits; `by header <name>` takes the value of a field, and `by user` \
              the name of the log-in.",
        status: KeyStatus::InForce(KeyId::RateLimit),
        ..PROTECTS
    },
    Key {
        name: "concurrency",
        value: Form::Integer,
        example: "10",
        doc: "Limits the requests that one client address has under way at once; more are answered with 429.",
        status: KeyStatus::InForce(KeyId::Concurrency),
        ..PROTECTS
    },
    Key {
        name: "crowdsec",
        value: Form::Line("boolean, `closed` or `open`"),
        default: "off",
        example: "closed",
        doc: "Lets nobody in who might be banned. Clients that the CrowdSec engine of `--crowdsec-url` has banned are kept out of \
              every route, as far as that is known. Where it is not known, since the engine has not been reached yet, since \
              every client has the address of a gateway, or since no file of `--geoip` tells the country that a decision \
              names, a route with `closed` or `true` answers 503. `open` lets such clients in, as without the label.",
        status: KeyStatus::InForce(KeyId::Crowdsec),
        ..PROTECTS
    },
    Key {
        name: "appsec",
        value: Form::Line("boolean, `closed` or `open`"),
        default: "off",
        example: "closed",
        doc: "Asks CrowdSec's web application firewall (AppSec), at `--crowdsec-appsec-url`, about each request, before a log-in \
              and before the application get it. It sees the head and the first 1 MiB of the body, which Gangway holds until \
              the answer has come. What it blocks is answered 403. Where it cannot be asked, since it is away, is silent for a \
              second, or refuses the key, a route with `closed` or `true` answers 503, and one with `open` lets the request in.",
        status: KeyStatus::InForce(KeyId::Appsec),
        ..PROTECTS
    },
    Key {
        name: "client-ca",
        value: Form::Line("name of a CA file in `certs/clients/` on the volume"),
        example: "family",
        doc: "Clients must show a certificate that an authority in this CA file has signed: `family` names `family.pem` \
              in `certs/clients/` on the volume. It holds for the whole handshake, so for every route of the same host; \
              a request on a connection that was opened for another host is answered 421. While the file is missing or \
              damaged, nobody is let in.",
        status: KeyStatus::InForce(KeyId::ClientCa),
        ..PROTECTS
    },
    Key {
        name: "tls-min",
        value: Form::Line("`1.2` or `1.3`"),
        default: "1.2",
        example: "1.3",
        doc: "The oldest version of TLS that clients may use. It holds for every route of the same host.",
        status: KeyStatus::InForce(KeyId::TlsMin),
        without: "TLS 1.2 and 1.3 are served",
        ..SHAPES
    },
    Key {
        name: "use",
        value: Form::List("names of `[middlewares]` tables of the configuration file, `-` before one to leave it out"),
        example: "lan-only, secure",
        doc: "Takes keys from shared definitions, tables `[middlewares.<name>]` of the configuration file. What the route says itself \
              goes before what it uses; see [shared definitions](#shared-definitions). `-name` leaves out a definition that \
              `--default-use` gives to every route, where its `opt-out` allows that. While a definition is not there, or \
              something in it that protects cannot be applied, the route is closed.",
        status: KeyStatus::InForce(KeyId::Use),
        ..PROTECTS
    },
    Key {
        name: "opt-out",
        value: Form::List("projects or containers, or `*`"),
        example: "media, router-1",
        doc: "The parties that may do without this definition where `--default-use` gives it to every route: projects, and by their names \
              containers that belong to no project; `*` for everybody. They may leave it out by `use`, and say by labels \
              something else than what protects in it. Routes of the configuration file always may.",
        status: KeyStatus::InForce(KeyId::OptOut),
        place: Placement::InDefinitions,
        without: "no label may leave the definition out",
        ..SHAPES
    },
    Key {
        name: "balance",
        value: Form::Line("`round-robin`, `least-requests`, `random-two`, `client`"),
        default: "`random-two`",
        example: "client",
        doc: "How requests are shared among replicas: `round-robin` takes each in turn, `least-requests` the one with the \
              fewest requests under way, `random-two` the less busy of two chosen at random, and `client` always the same \
              one for a client's address, as long as it is there.",
        status: KeyStatus::InForce(KeyId::Balance),
        without: "replicas share requests by `random-two`",
        ..SHAPES
    },
    Key {
        name: "sticky",
        value: Form::Line("boolean or cookie name"),
        default: "false",
        example: "true",
        doc: "Whether a client stays with the replica that served it first, as long as that is there: by a cookie that is \
              signed, closed to scripts and sent to this site only, and over https only where it was set over https. The name of \
              the cookie begins with `gangway-sticky` unless one is written, and ends with what tells routes apart where several \
              under one host would share it.",
        status: KeyStatus::InForce(KeyId::Sticky),
        without: "a client may be served by any replica",
        ..SHAPES
    },
    Key {
        name: "weight",
        value: Form::Line("0 to 256"),
        default: "1",
        example: "10",
        doc: "The share of requests that a container gets among its replicas: one with 2 gets twice as many as one with 1. \
              One with 0 gets requests only where no other can take them.",
        status: KeyStatus::InForce(KeyId::Weight),
        without: "the weight is 1",
        ..SHAPES
    },
    Key {
        name: "health.path",
        value: Form::Path,
        default: "off",
        example: "/healthz",
        doc: "Asks every endpoint for this path, and sends requests only to those that answer well: a new one gets none \
              before its first good answer, and one that fails twice in a row gets none until it answers well again. \
              One that several routes share has to pass the checks of all of them. Beside the health check of the image, not \
              instead of it.",
        status: KeyStatus::InForce(KeyId::HealthPath),
        without: "endpoints are not asked",
        ..SHAPES
    },
    Key {
        name: "health.interval",
        value: Form::Duration,
        default: "5s",
        example: "10s",
        doc: "How often `health.path` is asked for, a little more or less so that not all are asked at once. At least `100ms`.",
        status: KeyStatus::InForce(KeyId::HealthInterval),
        without: "endpoints are asked every 5 seconds where they are asked",
        ..SHAPES
    },
    Key {
        name: "health.timeout",
        value: Form::Duration,
        default: "2s",
        example: "1s",
        doc: "How long the answer to `health.path` may take.",
        status: KeyStatus::InForce(KeyId::HealthTimeout),
        without: "an answer may take 2 seconds",
        ..SHAPES
    },
    Key {
        name: "health.status",
        value: Form::List("statuses and ranges"),
        default: "200-399",
        example: "200-299",
        doc: "Which answers to `health.path` are good.",
        status: KeyStatus::InForce(KeyId::HealthStatus),
        without: "the good statuses are 200 to 399",
        ..SHAPES
    },
    Key {
        name: "hold",
        value: Form::Duration,
        default: "10s",
        example: "30s",
        doc: "How long a request waits while no container of the route can take it: all are starting, restarting, being \
              recreated or unhealthy. It goes on as soon as one is ready; else it is answered 503 with `Retry-After`. \
              A route also outlives its last container by that long. At most an hour; `0` does not wait.",
        status: KeyStatus::InForce(KeyId::Hold),
        without: "requests wait for 10 seconds",
        ..SHAPES
    },
    Key {
        name: "drain",
        value: Form::Duration,
        default: "30s",
        example: "5m",
        doc: "How long requests, streams and WebSockets under way may go on at a container that is stopped, killed, paused \
              or cut off; it gets no new ones. After that they are closed: WebSockets and streams of events at once, \
              anything else as soon as something of it comes or goes. At most `24h`; `0` does not wait.",
        status: KeyStatus::InForce(KeyId::Drain),
        without: "requests under way may go on for 30 seconds",
        ..SHAPES
    },
    Key {
        name: "group",
        value: Form::Name,
        example: "shop",
        doc: "Services of one project that say the same group are one upstream: requests are spread over the containers of \
              all of them, such as a canary beside the present version. Without it, two services with the same host and \
              path are a conflict, as they are two applications.",
        status: KeyStatus::InForce(KeyId::Group),
        place: Placement::OnContainers,
        without: "the service is an upstream of its own",
        ..SHAPES
    },
    Key {
        name: "share",
        value: Form::List("projects or containers, or `*`"),
        example: "blog, wiki",
        doc: "The projects that may serve paths of this route's hosts, and by their names containers that belong to no \
              project; `*` for everybody. A host belongs to the project that was first served there, with all \
              its paths; what this route serves itself stays its own.",
        status: KeyStatus::InForce(KeyId::Share),
        without: "nobody else may serve a path of these hosts",
        ..SHAPES
    },
    Key {
        name: "page.name",
        value: Form::Line("text"),
        default: "`homepage.name`, else the image's name, else the route's name",
        example: "Photos",
        doc: "What the [start page](../guides/start-page.md) calls the route.",
        status: KeyStatus::InForce(KeyId::PageName),
        without: "the start page calls it by its image, else by the route's name",
        ..SHAPES
    },
    Key {
        name: "page.icon",
        value: Form::Line("an emoji, up to three letters, or a path of the application"),
        default: "`homepage.icon` if it is an emoji, else the application's own favicon, else initials",
        example: "📷",
        doc: "What stands before the name on the start page. A picture is fetched from the application alone.",
        status: KeyStatus::InForce(KeyId::PageIcon),
        without: "initials of the name stand there",
        ..SHAPES
    },
    Key {
        name: "page.group",
        value: Form::Line("text"),
        default: "`homepage.group`",
        example: "Media",
        doc: "The heading under which the route stands on the start page. Those without one come last.",
        status: KeyStatus::InForce(KeyId::PageGroup),
        without: "it stands in no group",
        ..SHAPES
    },
    Key {
        name: "page.description",
        value: Form::Line("text"),
        default: "`homepage.description`",
        example: "Photos of the family",
        doc: "A few words below the name on the start page.",
        status: KeyStatus::InForce(KeyId::PageDescription),
        without: "no words stand below the name",
        ..SHAPES
    },
    Key {
        name: "page.order",
        value: Form::Integer,
        default: "`homepage.weight`, else 0",
        example: "10",
        doc: "The place of the route in its group on the start page: the smallest number comes first, then names in order.",
        status: KeyStatus::InForce(KeyId::PageOrder),
        without: "its place is that of 0",
        ..SHAPES
    },
    Key {
        name: "page.hide",
        value: Form::Boolean,
        default: "`false`",
        example: "true",
        doc: "Leaves the route out of the start page. It keeps nobody out of the route.",
        status: KeyStatus::InForce(KeyId::PageHide),
        without: "it is on the start page",
        ..SHAPES
    },
    Key {
        name: "cert.export",
        value: Form::Line("folder below our volume"),
        example: "mail",
        doc: "Writes the certificate of each of the route's hosts there for other software, such as a mail server, as \
              `<host>.crt`, `<host>.key` and, with both, `<host>.pem`, and again whenever it is renewed. Gangway's own \
              folders cannot be named.",
        status: KeyStatus::InForce(KeyId::CertExport),
        without: "no certificate is written",
        ..SHAPES
    },
    Key {
        name: "listen",
        value: Form::List("names of listeners"),
        default: "all listeners",
        example: "http, https",
        doc: "The listeners on which the route is served, such as `http`, `https`, and those of `--listen`. A request that \
              comes to another one is answered as if there were no such route: the next route of the host gets it. \
              `https-redirect` holds where one of them has TLS; without any that has, the route is served by plain HTTP. \
              A name that no listener has serves nothing. Where none of the names is known, nobody can tell where the \
              route was to be kept from, and it is closed on all listeners.",
        status: KeyStatus::InForce(KeyId::Listen),
        ..PROTECTS
    },
    Key {
        name: "cert.restart",
        value: Form::Unsettled,
        doc: "Restarting containers needs the right to do anything on the engine, which Gangway does not have.",
        status: KeyStatus::Refused {
            why: "Gangway may only read from the engine",
            help: "let the software look at the file itself, or have the host restart it: a systemd path unit that \
                   watches the exported file and runs `docker restart`",
        },
        without: "nothing is restarted",
        ..SHAPES
    },
    Key {
        name: "retry",
        value: Form::Unsettled,
        doc: "How requests are repeated at another endpoint.",
        without: "requests are repeated only where that is always safe",
        ..SHAPES
    },
    Key {
        name: "proxy-protocol",
        value: Form::Unsettled,
        doc: "Tells the application the client's address by the PROXY protocol.",
        without: "no PROXY header is sent",
        ..SHAPES
    },
    Key {
        name: "sleep.*",
        value: Form::Unsettled,
        doc: "Stops containers that nobody uses and starts them on demand.",
        without: "the container is left running",
        ..SHAPES
    },
    Key {
        name: "tcp.*",
        value: Form::Unsettled,
        doc: "Routes that are not HTTP.",
        without: "no such route is made",
        ..SHAPES
    },
    Key {
        name: "udp.*",
        value: Form::Unsettled,
        doc: "Routes that are not HTTP.",
        without: "no such route is made",
        ..SHAPES
    },
];
