//! Labels in, a table out, and the table is a value.
//!
//! [`compile()`] turns a [`Snapshot`] of containers, the file routes and the global [`Settings`] into a
//! [`RoutingTable`] and [`Diagnostics`](gangway_diagnostic::Diagnostics). It never fails, and its result does not depend on the order
//! in which containers or labels were listed.
//!
//! There is deliberately no I/O here: no sockets, files, clock, environment, async or logging.

mod accept_encoding;
mod address;
mod address_choice;
mod address_filter;
mod app_name;
mod authentication;
mod bounds;
mod cased_header_name;
mod compile;
mod compression;
mod container_report;
mod content_coding;
mod cors;
mod dialect;
mod digest;
mod engine_name;
mod error_pages;
mod explain;
mod forward_auth;
mod geography;
mod go_template;
mod host;
mod image_defaults;
mod internal_service;
mod key_origin;
mod label;
mod listener;
mod location;
mod matcher;
pub mod mention;
mod oidc_auth;
mod ownership;
mod password_hash;
pub mod path;
mod path_change;
pub mod reference;
mod regex_pattern;
mod replacement;
mod reputation;
mod request_limit;
mod request_view;
mod reserved_fields;
mod route;
mod router;
pub mod rule;
pub mod secret;
mod select;
mod settings;
mod shared_objects;
mod snapshot;
mod spec;
mod table;
pub mod target_change;
mod tile;
mod transport_settings;
mod unknown_names;
mod upgrade_protocol;
mod upstream_url;
mod url_redirect;
mod utc;
mod value;
mod vocabulary;

pub use accept_encoding::choose as choose_coding;
pub use address_choice::{AddressChoice, AddressSource};
pub use address_filter::{AddressFilter, AddressList, AddressRanges, AddressVerdict, ClientList, LAN};
pub use authentication::{Authentication, BasicAuth, BasicUser, LoginMethod, SkipRule, overrides_method};
pub use bounds::{ALTERNATIVES_IN_ALL_MAX, FOUND_IN_ALL_MAX, FOUND_MAX};
pub use cased_header_name::CasedHeaderName;
pub use compile::{Compiled, Compiler, Hold, Move, compile};
pub use compression::{COMPRESSED_LEN_MIN, CompressedTypes, Compression};
pub use container_report::{ContainerReport, Mention};
pub use content_coding::ContentCoding;
pub use cors::Cors;
pub use dialect::native::NativeLabels;
pub use dialect::tls_options_client_ca;
pub use digest::Digest;
pub use engine_name::EngineName;
pub use error_pages::{ErrorPages, ErrorRule, PAGES_FOLDER, PageKind, PageSource, StatusRewrite, StatusText};
pub use explain::{CONSIDERED_MAX, Considered, Explanation, NEAREST_MAX, Nearest, Winner};
pub use forward_auth::{AuthProduct, FORWARDED_BODY_MAX, ForwardAuth, ForwardRules, IDENTITY_OF_ALL, IdentityField};
pub use geography::{ClientPlace, CountryCode, Geography, Located, NoGeography, PlaceKind};
pub use go_template::{
    FUNCTIONS as TEMPLATE_FUNCTIONS, GoTemplate, OUTPUT_LEN_MAX as TEMPLATE_OUTPUT_LEN_MAX, Rendered,
    TemplateContainer, TemplateData, TemplateError,
};
pub use host::{HOST_LEN_MAX, HostPattern, Hostname, canonical_host};
pub use internal_service::InternalService;
pub use key_origin::{KeyOrigin, KeyPlace};
pub use listener::{
    Arrival, AsListener, HTTP, HTTPS, KnownListener, ListenerName, ListenerProtocol, ListenerScope, Transport,
    https_listener, usual_listener,
};
pub use location::{PublicPorts, RedirectPart, RedirectTarget, follows_redirects, https_redirect, slash_redirect};
pub use matcher::{ALTERNATIVES_MAX, Alternative, HostCondition, Matcher, Test};
pub use oidc_auth::{BearerAudience, OIDC_PATH, OidcAuth, OidcUser};
pub use ownership::{FewMap, FewSet, GRACE, Holding, Holdings, Party, RefusedClaim, RuleId, Tenant, Tenure};
pub use password_hash::{PasswordHash, PasswordScheme};
pub use path_change::{ChangedPath, PathChange, ReplacedBy, ToldChange};
pub use regex_pattern::{REGEX_SIZE_MAX, RegexPattern};
pub use replacement::Replacement;
pub use reputation::{Judgement, OnDoubt, Reputation};
pub use request_limit::{ClientKey, ConcurrencyLimit, RateLimit};
pub use request_view::{FieldValues, RequestView};
pub use route::{
    ADMIN_MARK, Address, Balance, Endpoint, EndpointKey, HealthCheck, HostHeader, Hsts, ListenerOptions, Middleware,
    Policy, Readiness, Route, SECURE_HEADERS, STICKY_COOKIE, Scheme, Timeouts, TlsMode, TlsVersion, Upstream,
};
pub use router::{CertificateDomain, LostRouter, Router, RouterTls};
pub use select::{NotASelector, Selector};
pub use settings::{
    DEFAULT_RULE, DynamicKey, EntryPoint, EntryPointRedirection, EntryPointTls, Expose, FileRoute, InternalApi,
    InternalPage, InternalPages, KEEP_HOSTS_DEFAULT, MiddlewareTable, OwnListeners, ServersTransport, Settings,
    TraefikSettings,
};
pub use shared_objects::{MiddlewareObject, SharedMiddleware, SharedObjects, SharedUpstream};
pub use snapshot::{
    Attachment, Container, ContainerState, Drivers, Ended, EngineKind, ExposedPort, Gone, Health, LeftOut, NetworkMode,
    OwnPlace, Snapshot,
};
pub use table::{Entry, Handshake, Handshakes, HostRank, Match, Precedence, Reserved, RoutingTable, Tie, ties};
pub use tile::{Tile, TileIcon};
pub use transport_settings::{ClientCertificate, PemSource, TransportSettings};
pub use unknown_names::UnknownNames;
pub use upgrade_protocol::UpgradeFate;
pub use url_redirect::{RequestedUrl, UrlChange, UrlRedirect};
pub use utc::utc;
pub use value::{duration as parse_duration, size as parse_size};
