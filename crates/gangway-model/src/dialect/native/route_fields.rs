//! The fields of one route, filled key by key before the route is put together.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::label::Label;
use super::redirect::Redirect;
use super::rewrite::Rewrite;
use super::schema::Role;
use crate::address_filter::{ClientEntry, ClientList};
use crate::authentication::{BasicUser, SkipRule};
use crate::content_coding::ContentCoding;
use crate::error_pages::ErrorPages;
use crate::forward_auth::IdentityField;
use crate::host::HostPattern;
use crate::internal_service::InternalService;
use crate::label::Mark;
use crate::oidc_auth::BearerAudience;
use crate::path::PathPattern;
use crate::reputation::OnDoubt;
use crate::request_limit::RateLimit;
use crate::route::{HostHeader, Middleware, Policy, Timeouts, TlsMode, TlsVersion};
use crate::rule::Expression;
use crate::settings::Settings;
use crate::spec::{Access, AuthServiceSpec, PageServiceSpec, UrlTarget};
use crate::tile::Tile;
use crate::value;
use gangway_diagnostic::Finding;
use gangway_diagnostic::{Diagnostic, Severity};

/// Everything that labels can say about one route.
#[derive(Debug, Default)]
pub(crate) struct RouteFields<'a> {
    pub name: Box<str>,
    pub owner: FieldsOwner,
    /// Whether lists may name countries and AS numbers.
    pub has_geoip: bool,
    /// Whether there is a CrowdSec engine that tells who is banned.
    pub has_crowdsec: bool,
    /// Whether there is a web application firewall that can be asked about requests.
    pub has_appsec: bool,
    pub enabled: bool,
    /// A label that selects requests could not be applied.
    pub lost: bool,
    /// A label that protects could not be applied.
    pub closed: bool,
    pub hosts: Option<Vec<HostPattern>>,
    pub paths: Option<Vec<PathPattern>>,
    /// The inner one is none where the rule is broken.
    pub rule: Option<Option<Expression>>,
    pub priority: i64,
    pub priority_mark: Option<Mark<'a>>,
    pub access: Access<'a>,
    pub urls: Vec<UrlTarget>,
    /// The service of ours that `upstream` names in place of URLs.
    pub internal: Option<InternalService>,
    pub tls: TlsMode,
    pub https_redirect: Option<(bool, Label<'a>)>,
    pub listen: Option<Label<'a>>,
    pub tls_min: TlsVersion,
    pub client_ca: Option<(Box<str>, Label<'a>)>,
    pub cert_export: Option<Box<str>>,
    pub hsts: Option<(NonZeroU64, Label<'a>)>,
    pub has_secure_headers: bool,
    pub redirect: Option<(Redirect, Label<'a>)>,
    pub strip_prefix: bool,
    pub rewrite: Option<Rewrite>,
    pub add_prefix: Option<Box<str>>,
    pub request_headers: Vec<Middleware>,
    pub response_headers: Vec<Middleware>,
    pub body_limit: Option<u64>,
    /// A client has to be in each of these.
    pub allow: Vec<ClientList>,
    pub deny: Vec<ClientEntry>,
    pub rate_limit: Option<(RateLimit, Label<'a>)>,
    pub concurrency: Option<NonZeroU32>,
    pub crowdsec: Option<OnDoubt>,
    pub appsec: Option<OnDoubt>,
    pub auth: AuthFields<'a>,
    pub compress: Box<[ContentCoding]>,
    /// The service that clients' requests are asked about, once the labels of `auth.*` are put together.
    pub auth_service: Option<AuthServiceSpec<'a>>,
    pub errors: Option<ErrorPages>,
    /// Bytes of answers that are kept.
    pub cache: Option<NonZeroU64>,
    /// The services that `errors` names.
    pub page_services: Vec<PageServiceSpec<'a>>,
    pub timeouts: Timeouts,
    pub host_header: HostHeader,
    pub upgrades: Box<[Box<str>]>,
    pub policy: Policy,
    pub health_path: Option<Box<str>>,
    pub health: HealthFields,
    /// The labels of `health.*` that say how, and not what, to ask.
    pub health_details: Vec<Label<'a>>,
    pub weight: Option<u16>,
    pub group: Option<Box<str>>,
    pub share: Box<[Box<str>]>,
    /// `page.*`.
    pub tile: Tile,
}

/// What fields belong to, for people.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum FieldsOwner {
    #[default]
    Route,
    /// They are read to find out what is wrong with the definition.
    Definition,
}

/// The fields of `health.*` that say how endpoints are checked.
#[derive(Debug, Default)]
pub(crate) struct HealthFields {
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub statuses: Vec<(u16, u16)>,
}

/// The fields of `auth.*`.
#[derive(Debug, Default)]
pub(crate) struct AuthFields<'a> {
    pub users: Vec<BasicUser>,
    pub lists: Vec<Box<str>>,
    pub skip: Vec<SkipRule>,
    /// The label `auth.skip` with the entry `preset`.
    pub skip_preset: Option<Label<'a>>,
    pub keep: bool,
    pub realm: Option<Box<str>>,
    pub forward: Option<ForwardFields<'a>>,
    pub headers: Option<(Vec<IdentityField>, Label<'a>)>,
    pub oidc: Option<Box<str>>,
    pub oidc_users: Vec<Box<str>>,
    pub oidc_groups: Vec<Box<str>>,
    pub oidc_domains: Vec<Box<str>>,
    pub oidc_bearer: Option<BearerAudience>,
    /// The labels that say how, and not by what, clients log in.
    pub details: Vec<Label<'a>>,
    /// The label `auth.forward`, also where it could not be read.
    pub forward_label: Option<Label<'a>>,
    /// The label `auth.oidc`, also where it could not be read.
    pub oidc_label: Option<Label<'a>>,
    /// The label `auth.basic`, also where it could not be read.
    pub basic_label: Option<Label<'a>>,
}

/// The service that `auth.forward` names.
#[derive(Debug)]
pub(crate) struct ForwardFields<'a> {
    /// As written.
    pub service: &'a str,
    pub place: AuthServiceSpec<'a>,
}

impl AuthFields<'_> {
    /// Whether clients have to log in, in a way that could be read.
    pub(crate) fn has_login(&self) -> bool {
        let has_users = !self.users.is_empty() || !self.lists.is_empty();
        has_users || self.forward.is_some() || self.oidc.is_some()
    }
}

impl<'a> RouteFields<'a> {
    pub(crate) fn new(name: &str, settings: &Settings) -> Self {
        let Settings { has_geoip, has_crowdsec, has_appsec, .. } = *settings;
        Self { name: name.into(), has_geoip, has_crowdsec, has_appsec, enabled: true, ..Self::default() }
    }

    /// A value, if it is one; else the finding is reported with what follows from it.
    pub(crate) fn accept<T>(
        &mut self,
        label: &Label<'a>,
        read: value::Parsed<T>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<T> {
        read.map_err(|finding| self.found(label, finding, found)).ok()
    }

    /// Reports a finding about a label. An error means that the label is not in force.
    pub(crate) fn found(&mut self, label: &Label<'a>, finding: Finding, found: &mut Vec<Diagnostic>) {
        let owner = self.called();
        let effect = if finding.severity == Severity::Warning {
            format!("{owner} does as the {} says", label.source.noun())
        } else {
            match label.key.role {
                Role::Selects => {
                    self.lost = true;
                    format!("{owner} is not served; other routes are unaffected")
                }
                Role::Protects => {
                    self.closed = true;
                    self.closed_effect()
                }
                Role::Shapes => format!("{}; the rest of {owner} is in force", label.key.without),
            }
        };
        found.push(label.found(finding, effect));
    }

    /// Reports a finding about one entry of a list of which others are in force.
    pub(crate) fn found_in_part(&self, label: &Label<'a>, finding: Finding, what: &str, found: &mut Vec<Diagnostic>) {
        let owner = self.called();
        let effect = match finding.severity {
            Severity::Warning | Severity::Note => format!("{owner} does as the {} says", label.source.noun()),
            Severity::Error => format!("the other {what} of {owner} are in force"),
        };
        found.push(label.found(finding, effect));
    }

    /// What the fields belong to, as users call it.
    pub(crate) fn called(&self) -> String {
        match self.owner {
            FieldsOwner::Route => format!("route `{}`", self.name),
            FieldsOwner::Definition => format!("definition `{}`", self.name),
        }
    }

    /// The effect of a finding that closes.
    pub(crate) fn closed_effect(&self) -> String {
        match self.owner {
            FieldsOwner::Route => closed(&self.name),
            FieldsOwner::Definition => users_closed(&self.name),
        }
    }
}

/// The effect of a finding that closes the route.
pub(crate) fn closed(name: &str) -> String {
    format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected")
}

/// The effect of a finding that closes every route which uses the definition.
pub(crate) fn users_closed(name: &str) -> String {
    format!("routes that use `{name}` are closed: they answer 503 to everybody")
}
