//! What the schema says about one key.

use std::fmt::{self, Display, Formatter};

/// One key, or a family of keys with an open end.
#[derive(Debug)]
pub(crate) struct Key {
    /// In lower case: `host`, `request.header.<Name>`, `sleep.*`.
    pub name: &'static str,
    /// The form of its value.
    pub value: Form,
    /// The default, in words.
    pub default: &'static str,
    /// A realistic value.
    pub example: &'static str,
    /// One paragraph for the reference.
    pub doc: &'static str,
    pub status: KeyStatus,
    pub role: Role,
    pub place: Placement,
    /// The effect of leaving it out, for diagnostics.
    pub without: &'static str,
}

/// Whether a key is in force.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyStatus {
    /// Read, by the reader of this key.
    InForce(KeyId),
    /// Known, and rejected until it is brought.
    Later,
    /// Known elsewhere, and never to be brought.
    Refused { why: &'static str, help: &'static str },
}

/// The keys that are in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyId {
    Enable,
    Host,
    Path,
    Rule,
    Priority,
    Port,
    Scheme,
    Verify,
    Network,
    Upstream,
    StripPrefix,
    Rewrite,
    AddPrefix,
    Redirect,
    Tls,
    HttpsRedirect,
    RequestHeader,
    ResponseHeader,
    HostHeader,
    Upgrade,
    BodyLimit,
    TimeoutConnect,
    TimeoutResponse,
    TimeoutIdle,
    Hsts,
    Headers,
    ClientCa,
    TlsMin,
    Balance,
    Sticky,
    Weight,
    HealthPath,
    HealthInterval,
    HealthTimeout,
    HealthStatus,
    Hold,
    Drain,
    Group,
    Share,
    CertExport,
    Listen,
    Allow,
    Deny,
    RateLimit,
    Concurrency,
    Crowdsec,
    Appsec,
    AuthBasic,
    Errors,
    Cache,
    AuthForward,
    AuthHeaders,
    AuthSkip,
    AuthKeep,
    AuthRealm,
    AuthOidc,
    AuthUsers,
    AuthGroups,
    AuthDomains,
    AuthBearer,
    Compress,
    Use,
    OptOut,
    PageName,
    PageIcon,
    PageGroup,
    PageDescription,
    PageOrder,
    PageHide,
}

/// The form of a value: what may stand in it, and what the reference says about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Boolean,
    Integer,
    Port,
    Size,
    Duration,
    Path,
    Name,
    /// Any text, and the empty one.
    Text,
    /// A rule: it may be empty or stand on several lines, and the parser of rules says what is wrong with it.
    Expression,
    /// Entries of this kind, on several lines where the user likes.
    List(&'static str),
    /// Anything else on one line, described in the words of the reference.
    Line(&'static str),
    /// No form yet: the key is announced or refused.
    Unsettled,
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Integer => f.write_str("integer"),
            Self::Port => f.write_str("port"),
            Self::Size => f.write_str("size"),
            Self::Duration => f.write_str("duration"),
            Self::Path => f.write_str("path"),
            Self::Name => f.write_str("name"),
            Self::Text => f.write_str("text"),
            Self::Expression => f.write_str("expression"),
            Self::List(entries) => write!(f, "list of {entries}"),
            Self::Line(description) => f.write_str(description),
            Self::Unsettled => f.write_str("–"),
        }
    }
}

/// What becomes of the route where the key cannot be applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// It says which requests are taken: without it the route is not served.
    Selects,
    /// It keeps clients out: without it the route is closed.
    Protects,
    /// Anything else: without it the rest of the route is in force.
    Shapes,
}

/// Where it may be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Placement {
    Everywhere,
    OnContainers,
    /// In tables of routes in the file.
    InTheFile,
    /// In shared definitions of the file.
    InDefinitions,
}

/// Whether a shared definition may have a key, and what holds where several say it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// It is about one route: which requests it takes, where they go, or how its host is served.
    OfOneRoute,
    /// It is about the definition itself.
    OfDefinition,
    /// The later definition counts.
    LaterCounts,
    /// Every definition holds: lists of clients that are kept out add up, a client has to be in each list of those that are
    /// let in, and of limits the strictest counts.
    AllHold,
    /// Definitions have to agree.
    Agreed,
    /// The same, and it is a part of the log-in: a route that says itself how clients log in takes none of these.
    LogIn,
}

impl KeyId {
    /// Names every key, so that a new one does not compile before somebody has decided whether it can be shared.
    pub(crate) fn sharing(self) -> Sharing {
        match self {
            Self::Enable
            | Self::Host
            | Self::Path
            | Self::Rule
            | Self::Priority
            | Self::Port
            | Self::Scheme
            | Self::Verify
            | Self::Network
            | Self::Upstream
            | Self::StripPrefix
            | Self::Rewrite
            | Self::AddPrefix
            | Self::Redirect
            | Self::Tls
            | Self::HttpsRedirect
            | Self::HostHeader
            | Self::Upgrade
            | Self::Balance
            | Self::Sticky
            | Self::Weight
            | Self::HealthPath
            | Self::HealthInterval
            | Self::HealthTimeout
            | Self::HealthStatus
            | Self::Hold
            | Self::Drain
            | Self::Group
            | Self::Share
            | Self::CertExport
            | Self::Listen
            | Self::PageName
            | Self::PageIcon
            | Self::PageGroup
            | Self::PageDescription
            | Self::PageOrder
            | Self::PageHide
            | Self::Use => Sharing::OfOneRoute,
            Self::OptOut => Sharing::OfDefinition,
            Self::RequestHeader
            | Self::ResponseHeader
            | Self::TimeoutConnect
            | Self::TimeoutResponse
            | Self::TimeoutIdle
            | Self::Hsts
            | Self::Headers
            | Self::Compress
            | Self::Errors
            | Self::Cache => Sharing::LaterCounts,
            Self::Allow
            | Self::Deny
            | Self::Concurrency
            | Self::Crowdsec
            | Self::Appsec
            | Self::BodyLimit
            | Self::TlsMin => Sharing::AllHold,
            Self::RateLimit | Self::ClientCa => Sharing::Agreed,
            Self::AuthBasic
            | Self::AuthForward
            | Self::AuthHeaders
            | Self::AuthSkip
            | Self::AuthKeep
            | Self::AuthRealm
            | Self::AuthOidc
            | Self::AuthUsers
            | Self::AuthGroups
            | Self::AuthDomains
            | Self::AuthBearer => Sharing::LogIn,
        }
    }
}

impl KeyStatus {
    pub(crate) fn is_in_force(&self) -> bool {
        matches!(self, Self::InForce(_))
    }
}

impl Key {
    /// The name without its open end: `request.header.` of `request.header.<Name>`.
    pub(crate) fn stem(&self) -> &'static str {
        self.name.split(['<', '*']).next().unwrap_or_default()
    }

    /// Whether the user chooses the end of the key.
    pub(crate) fn is_open(&self) -> bool {
        self.stem().len() < self.name.len()
    }

    /// Which key it is, where it is in force.
    pub(crate) fn id(&self) -> Option<KeyId> {
        match self.status {
            KeyStatus::InForce(id) => Some(id),
            KeyStatus::Later | KeyStatus::Refused { .. } => None,
        }
    }

    pub(crate) fn protects(&self) -> bool {
        self.role == Role::Protects
    }

    /// Whether a shared definition may have it. Of a key that is not in force yet only the role is known.
    pub(crate) fn sharing(&self) -> Sharing {
        match self.id() {
            Some(id) => id.sharing(),
            None if self.name.starts_with("auth.") => Sharing::LogIn,
            None if self.protects() => Sharing::Agreed,
            None => Sharing::LaterCounts,
        }
    }
}
