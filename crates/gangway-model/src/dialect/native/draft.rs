//! The fields of one route → its spec.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::access;
use super::default_host::default_host;
use super::label::Label;
use super::limits;
use super::listen;
use super::readers;
use super::redirect::leads_to_itself;
use super::route_fields::{FieldsOwner, HealthFields, RouteFields, closed, users_closed};
use super::schema::{KeyId, KeyStatus};
use super::vocabulary::VOCABULARY;
use crate::address_filter::{AddressEntry, ClientEntry, ClientList};
use crate::compression::Compression;
use crate::host::HostPattern;
use crate::key_origin::KeyOrigin;
use crate::label::{Mark, Source, whole};
use crate::matcher::{HostCondition, Matcher};
use crate::route::{HealthCheck, Hsts, ListenerOptions, Middleware, TlsMode};
use crate::settings::Settings;
use crate::spec::{Delivery, Destination, Part, RouteSpec, TargetPlace, TargetSpec, UpstreamSpec, UrlTarget};
use crate::value;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Diagnostic, Severity, Span};
use gangway_diagnostic::{Finding, quoted};

/// The labels of one route.
#[derive(Debug)]
pub(super) struct RouteDraft<'a> {
    pub source: Source<'a>,
    /// As it is shown.
    pub name: Box<str>,
    pub labels: Vec<Label<'a>>,
    /// A label that may have protected it could not be understood.
    pub closed: bool,
    /// The shared definitions that it uses.
    pub uses: Vec<DefinitionUse<'a>>,
}

/// A shared definition that a route uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct DefinitionUse<'a> {
    pub name: &'a str,
    /// The label `use`; none where it is used by default.
    pub mark: Option<Mark<'a>>,
}

/// A route whose labels were read and not yet put together.
#[derive(Debug)]
pub(super) struct ReadRoute<'a> {
    draft: RouteDraft<'a>,
    fields: RouteFields<'a>,
}

impl<'a> ReadRoute<'a> {
    /// The route's name.
    pub(super) fn name(&self) -> &str {
        &self.draft.name
    }

    /// How many alternatives its matcher will have at most. None where it has too many by itself, which is said when
    /// the matcher is made.
    pub(super) fn size(&self) -> Option<usize> {
        match &self.fields.rule {
            // No matcher will be made of it.
            _ if self.fields.lost => Some(0),
            Some(Some(rule)) => Matcher::size_of(rule),
            Some(None) => Some(0),
            None => {
                let count = |len: Option<usize>| len.unwrap_or(1).max(1);
                let (hosts, paths) = (&self.fields.hosts, &self.fields.paths);
                Some(count(hosts.as_ref().map(Vec::len)) * count(paths.as_ref().map(Vec::len)))
            }
        }
    }

    /// Says that it is left out, as the container's other routes leave no room for it.
    pub(super) fn leave_out(mut self, size: usize, found: &mut Vec<Diagnostic>) {
        let label = [KeyId::Rule, KeyId::Path, KeyId::Host].into_iter().find_map(|key| self.draft.label(key)).cloned();
        if let Some(label) = label {
            self.fields.found(&label, limits::route_beyond(&label, size), found);
        }
    }

    /// The spec; none where the route cannot be served.
    pub(super) fn spec(self, settings: &Settings, found: &mut Vec<Diagnostic>) -> Option<RouteSpec<'a>> {
        let Self { draft, mut fields } = self;
        let (matcher, claim) = draft.matcher(&mut fields, settings, found)?;
        let listener = listener(&mut fields, &draft, settings, found);
        let destination = draft.destination(&mut fields, found)?;
        if matches!(destination, Destination::Internal(_)) {
            draft.guard_own_page(&mut fields, (&matcher, claim), &listener, found);
        }
        fields.policy.health = health(&mut fields, &draft, found);
        // Last but for `closed`, which it may set.
        let middlewares = middlewares(&mut fields, &matcher, &draft, found);
        if let Some(service) = &mut fields.auth_service
            && let Some(used) = draft.label(KeyId::AuthForward).and_then(|label| draft.use_of(label))
        {
            // What becomes of the service concerns the route, whose label names the definition.
            service.mark = used.mark.unwrap_or_default();
        }
        if let Some(used) = draft.label(KeyId::Errors).and_then(|label| draft.use_of(label)) {
            fields.page_services.iter_mut().for_each(|service| service.mark = used.mark.unwrap_or_default());
        }
        let origins = draft.labels.iter().map(|label| draft.origin(label)).collect();
        Some(RouteSpec {
            name: draft.name,
            matcher,
            claim,
            priority: fields.priority,
            priority_mark: fields.priority_mark,
            listener,
            middlewares: middlewares.into_iter().map(Part::Own).collect(),
            upstream: Part::Own(UpstreamSpec {
                destination,
                delivery: Delivery {
                    timeouts: fields.timeouts,
                    host_header: fields.host_header,
                    upgrades: fields.upgrades,
                    policy: fields.policy,
                    internal: None,
                },
            }),
            auth_service: fields.auth_service.take(),
            auth_endpoints: Vec::new(),
            page_services: std::mem::take(&mut fields.page_services),
            closed: fields.closed,
            group: fields.group.take(),
            share: std::mem::take(&mut fields.share),
            origins,
            words: &VOCABULARY,
            router: None,
            tile: std::mem::take(&mut fields.tile),
            is_common: false,
        })
    }
}

impl<'a> RouteDraft<'a> {
    pub(super) fn new(source: Source<'a>, name: &str) -> Self {
        Self { source, name: name.into(), labels: Vec::new(), closed: false, uses: Vec::new() }
    }

    /// Closes the route; the effect.
    pub(super) fn close(&mut self) -> String {
        self.closed = true;
        match self.source {
            Source::Container(_) | Source::File(_) | Source::Provider(_) => closed(&self.name),
            Source::Definition(_) => users_closed(&self.name),
        }
    }

    /// Reads the labels except those at the positions that are left out. None where the route is switched off.
    pub(super) fn read(
        mut self,
        left_out: &BTreeSet<usize>,
        settings: &Settings,
        found: &mut Vec<Diagnostic>,
    ) -> Option<ReadRoute<'a>> {
        let mut fields = RouteFields::new(&self.name, settings);
        let mut broken: Vec<DefinitionUse<'a>> = Vec::new();
        for (position, label) in self.labels.iter().enumerate() {
            if let Some(used) = self.use_of(label) {
                // What is wrong with a value is said at the definition, once for all routes.
                let was_closed = std::mem::take(&mut fields.closed);
                read_label(label, &mut fields, &mut Vec::new());
                broken.extend(fields.closed.then_some(used));
                fields.closed |= was_closed;
            } else if left_out.contains(&position) && label.key.status.is_in_force() {
                fields.found(label, limits::value_beyond(label), found);
            } else {
                read_label(label, &mut fields, found);
            }
        }
        broken.dedup_by_key(|used| used.name);
        broken.into_iter().for_each(|used| self.close_for(used, found));
        fields.closed |= self.closed;
        fields.enabled.then_some(ReadRoute { draft: self, fields })
    }

    /// Reads the values of a shared definition to find out what is wrong with them.
    pub(super) fn check_values(&self, settings: &Settings, found: &mut Vec<Diagnostic>) {
        let mut fields = RouteFields { owner: FieldsOwner::Definition, ..RouteFields::new(&self.name, settings) };
        for label in &self.labels {
            read_label(label, &mut fields, found);
        }
    }

    /// The use by which a label has come to the route; none for one of its own.
    fn use_of(&self, label: &Label<'a>) -> Option<DefinitionUse<'a>> {
        let Source::Definition(table) = label.source else { return None };
        self.uses.iter().find(|used| *used.name == *table.name).copied()
    }

    /// Where a label of the route was written.
    fn origin(&self, label: &Label<'a>) -> KeyOrigin {
        let is_default = self.use_of(label).is_some_and(|used| used.mark.is_none());
        let stem = label.key.stem();
        let key = if label.tail.is_empty() { stem.into() } else { [stem, label.tail].concat().into() };
        KeyOrigin { key, place: label.source.key_place(label.mark, is_default) }
    }

    /// Closes the route because a shared definition cannot be used.
    pub(super) fn close_for(&mut self, used: DefinitionUse<'a>, found: &mut Vec<Diagnostic>) {
        let message = format!("shared definition {} cannot be used", quoted(used.name));
        let help = format!("put right what is found in `[middlewares.{}]`", used.name);
        let finding = whole(codes::USE_BROKEN, message, "something in it that protects is wrong", help);
        let effect = self.close();
        found.push(self.about_use(used, finding, effect));
    }

    /// A diagnostic about the use of a shared definition.
    pub(super) fn about_use(&self, used: DefinitionUse<'a>, finding: Finding, effect: String) -> Diagnostic {
        let Some(mark) = used.mark else { return self.source.about(finding, effect) };
        let start = value::list(mark.value.trim()).find(|(_, text)| *text == used.name).map_or(0, |(at, _)| at);
        let finding = Finding { span: Span::of(used.name).shifted(start), ..finding };
        self.source.about_value(mark, finding, effect)
    }

    pub(super) fn label(&self, key: KeyId) -> Option<&Label<'a>> {
        self.labels.iter().find(|label| label.key.id() == Some(key))
    }

    /// The matcher, and the label that says it.
    fn matcher(
        &self,
        fields: &mut RouteFields<'a>,
        settings: &Settings,
        found: &mut Vec<Diagnostic>,
    ) -> Option<(Matcher, Mark<'a>)> {
        if let Some(rule) = self.label(KeyId::Rule) {
            for label in [KeyId::Host, KeyId::Path].into_iter().filter_map(|key| self.label(key)) {
                let finding = whole(
                    codes::LABEL_BESIDE_RULE,
                    format!("`{}` beside `rule`", label.key.name),
                    "the rule says it all",
                    "write it into the rule, or remove the rule",
                );
                let effect = format!("route `{}` takes what the rule says and nothing else", self.name);
                found.push(self.source.about_key(label.mark, finding, effect));
            }
            let mut findings = Vec::new();
            let matcher = Matcher::from_expression(fields.rule.take().flatten()?, &mut findings);
            findings.into_iter().for_each(|finding| fields.found(rule, finding, found));
            return Some((matcher?, rule.mark));
        }
        let host = self.label(KeyId::Host);
        let path = self.label(KeyId::Path);
        let hosts = match fields.hosts.take() {
            Some(hosts) => hosts,
            None if fields.lost => return None,
            None => vec![self.default_host(settings, found)?],
        };
        if fields.lost || (host.is_some() && hosts.is_empty()) {
            return None;
        }
        let mut findings = Vec::new();
        let matcher = Matcher::from_lists(hosts, fields.paths.take().unwrap_or_default(), &mut findings);
        if let Some(label) = path.or(host) {
            findings.into_iter().for_each(|finding| fields.found(label, finding, found));
        }
        Some((matcher?, host.or(path).map(|label| label.mark).unwrap_or_default()))
    }

    /// `<route>.<domain>`.
    fn default_host(&self, settings: &Settings, found: &mut Vec<Diagnostic>) -> Option<HostPattern> {
        let host = default_host(&self.name, &settings.domain);
        if host.is_none() {
            let finding = whole(
                codes::HOST_UNDERIVED,
                format!("no host can be made of the name {}", quoted(&self.name)),
                "",
                "add the label `gangway.host`",
            );
            let effect = format!("route `{}` is not served; other routes are unaffected", self.name);
            found.push(self.source.about(finding, effect));
        }
        host
    }

    /// Lets in the local network alone where nothing that is in force says who may come in, and closes the route where a
    /// web page could read ours by pointing a name of its own here: a page tells what stands in labels.
    fn guard_own_page(
        &self,
        fields: &mut RouteFields<'a>,
        (matcher, claim): (&Matcher, Mark<'a>),
        listener: &ListenerOptions,
        found: &mut Vec<Diagnostic>,
    ) {
        let is_somebody_named = !fields.allow.is_empty() || fields.auth.has_login() || listener.client_ca.is_some();
        if !is_somebody_named {
            fields.allow.push(ClientList::of([ClientEntry::Address(AddressEntry::Lan)]));
        }
        let is_named = |host: &HostCondition| matches!(host, HostCondition::Pattern(HostPattern::Exact(_)));
        if !matcher.alternatives().iter().all(|alternative| is_named(alternative.host())) {
            let finding = Finding::error(
                codes::OWN_PAGE_HOST,
                0..claim.value.trim().len(),
                "a page of Gangway under hosts of others",
                "others may have names of this kind",
                "write whole names such as `page.example.org`",
            );
            fields.closed = true;
            found.push(self.source.about_value(claim, finding, closed(&self.name)));
        }
    }

    /// Where requests go.
    fn destination(&self, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) -> Option<Destination<'a>> {
        if fields.redirect.is_some() {
            return Some(Destination::Nowhere);
        }
        let weight = fields.weight.unwrap_or(1);
        let target = |place| TargetSpec { place, weight };
        if matches!(self.source, Source::Container(_)) {
            let access = std::mem::take(&mut fields.access);
            return Some(Destination::Targets(vec![target(TargetPlace::Declaring(access))]));
        }
        if let Some(service) = fields.internal {
            return Some(Destination::Internal(service));
        }
        let transport = fields.access.transport();
        let urls = std::mem::take(&mut fields.urls);
        if urls.is_empty() && self.label(KeyId::Upstream).is_none() {
            let finding = whole(
                codes::UPSTREAM_MISSING,
                format!("route {} has no upstream", quoted(&self.name)),
                "",
                "add `upstream = \"http://192.0.2.9:5006\"`",
            );
            let effect = format!("route `{}` is not served; other routes are unaffected", self.name);
            found.push(self.source.about(finding, effect));
            return None;
        }
        let with = |url| UrlTarget { transport: Arc::clone(&transport), ..url };
        let urls = urls.into_iter().map(|url| target(TargetPlace::Url(with(url), Mark::default())));
        Some(Destination::Targets(urls.collect()))
    }
}

fn read_label<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    match &label.key.status {
        KeyStatus::Later => later(label, fields, found),
        KeyStatus::Refused { why, help } => refused(label, fields, why, help, found),
        KeyStatus::InForce(id) => match label.check() {
            Ok(()) => readers::read(*id, label, fields, found),
            Err(finding) => fields.found(label, finding, found),
        },
    }
}

/// Rejects a label that another version will bring.
fn later<'a>(label: &Label<'a>, fields: &RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let what = quoted(&format!("{}{}", label.key.stem(), label.tail));
    let effect = format!("{}; the rest of {} is in force", label.key.without, fields.called());
    let help = "remove the label; this version cannot do what it asks for";
    let finding = whole(codes::LABEL_LATER, format!("{what} is not in force yet"), "planned", help);
    found.push(label.source.about_key(label.mark, finding, effect));
}

/// Rejects a label that no version will bring.
fn refused<'a>(
    label: &Label<'a>,
    fields: &RouteFields<'a>,
    why: &str,
    help: &'static str,
    found: &mut Vec<Diagnostic>,
) {
    let finding = whole(codes::LABEL_REFUSED, format!("{} is refused", quoted(label.key.name)), why, help);
    let effect = format!("{}; the rest of {} is in force", label.key.without, fields.called());
    found.push(label.source.about_key(label.mark, finding, effect));
}

fn listener(
    fields: &mut RouteFields<'_>,
    draft: &RouteDraft<'_>,
    settings: &Settings,
    found: &mut Vec<Diagnostic>,
) -> ListenerOptions {
    let scope = listen::scope(fields, draft.label(KeyId::Tls).is_some(), settings, found);
    let no_tls = if fields.tls == TlsMode::Off {
        Some(("`tls` is `off`", "remove it, or remove `tls`"))
    } else if scope.names.is_some() && !scope.has_tls(&settings.listeners) {
        Some(("no listener of `listen` has TLS", "remove it, or name a listener that has TLS"))
    } else {
        None
    };
    if let Some((why, help)) = no_tls {
        fields.tls = TlsMode::Off;
        if let Some((true, label)) = &fields.https_redirect {
            let finding = Finding::error(
                codes::REDIRECT_WITHOUT_TLS,
                0..label.value().len(),
                "redirection to https without TLS",
                why,
                help,
            );
            let effect = format!("route `{}` is served by plain HTTP without a redirection", fields.name);
            found.push(label.found(finding, effect));
        }
        // A definition is for routes with TLS and without.
        if let Some((_, label)) = fields.hsts.take().filter(|(_, label)| !label.is_shared()) {
            let finding = Finding::error(
                codes::HSTS_WITHOUT_TLS,
                0..label.value().len(),
                "`Strict-Transport-Security` without TLS",
                why,
                help,
            );
            let effect = format!("{}; the rest of route `{}` is in force", label.key.without, fields.name);
            found.push(label.found(finding, effect));
        }
    }
    let client_ca = fields.client_ca.take();
    if let Some(((why, help), (_, label))) = no_tls.zip(client_ca.as_ref()) {
        let finding = Finding::error(
            codes::CLIENT_CA_WITHOUT_TLS,
            0..label.value().len(),
            "certificates of clients without TLS",
            why,
            help,
        );
        fields.found(&label.clone(), finding, found);
    }
    let tls = fields.tls;
    let client_ca = client_ca.map(|(name, _)| name).filter(|_| tls != TlsMode::Off);
    let https_redirect = tls != TlsMode::Off && fields.https_redirect.as_ref().is_none_or(|(redirect, _)| *redirect);
    let (tls_min, cert_export) = (fields.tls_min, fields.cert_export.take());
    ListenerOptions { scope, tls, https_redirect, tls_min, client_ca, cert_export, ..ListenerOptions::default() }
}

/// The health check, in addition to the engine's own.
fn health<'a>(
    fields: &mut RouteFields<'a>,
    draft: &RouteDraft<'a>,
    found: &mut Vec<Diagnostic>,
) -> Option<HealthCheck> {
    let details = std::mem::take(&mut fields.health_details);
    let Some(path) = fields.health_path.take() else {
        // Where a path is written, it was said what is wrong with it.
        let details = if draft.label(KeyId::HealthPath).is_some() { Vec::new() } else { details };
        for label in details {
            let finding = Finding::error(
                codes::HEALTH_WITHOUT_PATH,
                0..label.value().len(),
                format!("`{}` without `health.path`", label.key.name),
                "nothing is asked",
                "add the label `health.path`, such as `/healthz`",
            );
            fields.found(&label, finding, found);
        }
        return None;
    };
    let HealthFields { interval, timeout, mut statuses } = std::mem::take(&mut fields.health);
    if statuses.is_empty() {
        statuses.push((200, 399));
    }
    Some(HealthCheck {
        path,
        interval: interval.unwrap_or(Duration::from_secs(5)),
        timeout: timeout.unwrap_or(Duration::from_secs(2)),
        statuses,
    })
}

/// The chain in its fixed order, which the reference documents: answers are given before paths are
/// changed, and what is set on responses comes first, as a response passes the chain in reverse.
fn middlewares<'a>(
    fields: &mut RouteFields<'a>,
    matcher: &Matcher,
    draft: &RouteDraft<'a>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Middleware> {
    let mut chain = std::mem::take(&mut fields.response_headers);
    chain.extend(fields.hsts.take().map(|(max_age, _)| Middleware::Hsts(Hsts::of(max_age))));
    if fields.has_secure_headers {
        let is_silent = draft.label(KeyId::Hsts).is_none() && fields.tls != TlsMode::Off;
        chain.push(Middleware::SecureHeaders {
            hsts: NonZeroU64::new(readers::HSTS_DEFAULT.as_secs()).filter(|_| is_silent),
        });
    }
    let codings = std::mem::take(&mut fields.compress);
    chain.extend((!codings.is_empty()).then_some(Middleware::Compression(Compression::by(codings))));
    chain.extend(fields.errors.take().map(|pages| Middleware::ErrorPages(Arc::new(pages))));
    chain.extend(fields.cache.take().map(Middleware::Cache));
    found.extend(access::skip_preset(draft.source, fields).map(
        |(label, finding, effect)| match draft.use_of(&label) {
            Some(used) => draft.about_use(used, finding, effect),
            None => label.found(finding, effect),
        },
    ));
    chain.extend(access::middlewares(fields, found));
    if let Some((redirect, label)) = fields.redirect.take() {
        if let Some(host) = leads_to_itself(&redirect.target, &matcher.hosts()) {
            let finding = Finding {
                severity: Severity::Warning,
                ..Finding::error(
                    codes::REDIRECT_TO_ITSELF,
                    0..label.value().len(),
                    format!("redirection of {} to itself", quoted(&host)),
                    "the same address again",
                    "name another host or path; `https-redirect` already leads from http to https",
                )
            };
            found.push(label.found(finding, format!("clients of route `{}` are sent in a circle", fields.name)));
        }
        chain.push(Middleware::Redirect { status: redirect.status, target: redirect.target });
    }
    chain.extend(fields.body_limit.map(Middleware::BodyLimit));
    chain.append(&mut fields.request_headers);
    if fields.strip_prefix {
        let prefixes = matcher.prefixes();
        if prefixes.is_empty() {
            let label = draft.label(KeyId::StripPrefix).expect("it said that a prefix is to be removed");
            let finding = Finding::error(
                codes::STRIP_NOTHING,
                0..label.value().len(),
                "nothing to strip",
                "the route has no path prefix",
                "add the label `path`, such as `/stash`",
            );
            fields.found(label, finding, found);
        } else {
            chain.push(Middleware::StripPrefix(prefixes));
        }
    }
    let rewrite = fields.rewrite.take();
    chain.extend(
        rewrite.map(|rewrite| Middleware::Rewrite { pattern: rewrite.pattern, replacement: rewrite.replacement }),
    );
    chain.extend(fields.add_prefix.take().map(Middleware::AddPrefix));
    chain
}
