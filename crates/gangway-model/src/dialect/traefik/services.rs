//! Services: where requests go.

use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

use super::findings::{Problems, VOCABULARY, about_unread, name_taken, service_unresolved, without_effect};
use super::names::Provider;
use super::transports::Transports;
use super::tree::{Node, Options};
use super::values;
use crate::label::{Mark, Source, whole};
use crate::route::{Balance, HealthCheck, HostHeader, STICKY_COOKIE, Scheme};
use crate::settings::{ServersTransport, TraefikSettings};
use crate::spec::{
    Access, Delivery, Destination, Named, PortGuess, Reference, TargetPlace, TargetSpec, UpstreamSpec, UrlTarget,
    WeightedUpstream,
};
use crate::transport_settings::TransportSettings;
use crate::upstream_url;

/// The largest weight of a server.
const WEIGHT_MAX: u16 = 1000;

/// What services are read with.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a, 's> {
    pub source: Source<'s>,
    pub provider: Provider,
    pub traefik: &'s TraefikSettings,
    /// `traefik.docker.network`, or else the network of the provider.
    pub network: Option<(&'s str, Mark<'s>)>,
    /// The transports of the file provider.
    pub transports: &'a Transports,
}

impl<'s> Reading<'_, 's> {
    /// Reports an option of a service that is known and does nothing here.
    fn report(self, mark: Mark<'s>, what: &str, instead: &str, found: &mut Vec<Diagnostic>) {
        found.push(self.source.about_key(mark, without_effect(what, instead), "the service is served".to_owned()));
    }
}

/// The services below `http.services`.
pub(super) fn read<'s>(
    services: &Node<'s>,
    reading: Reading<'_, 's>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Named<'s, UpstreamSpec<'s>>> {
    let services = services.children.values();
    services.map(|one| named(one.name, one.first, service(one, reading, found), reading)).collect()
}

/// The service that a container is without a label that says so.
pub(super) fn implicit<'s>(name: &str, reading: Reading<'_, 's>) -> Named<'s, UpstreamSpec<'s>> {
    let transport = &reading.traefik.default_transport;
    let object = UpstreamSpec { destination: here(access(reading, transport)), delivery: delivery_by(transport) };
    named(name, Mark::default(), object, reading)
}

/// A reference to a service.
pub(super) fn reference<'s>(provider: Provider, name: &str, mark: Mark<'s>) -> Reference<'s> {
    Reference { name: provider.referred(name), mark, unresolved: service_unresolved }
}

fn named<'s>(
    name: &str,
    mark: Mark<'s>,
    object: UpstreamSpec<'s>,
    reading: Reading<'_, 's>,
) -> Named<'s, UpstreamSpec<'s>> {
    let name = reading.provider.declared(name);
    Named { name, mark, object, words: &VOCABULARY, taken: name_taken, is_common: true }
}

fn delivery() -> Delivery {
    let mut delivery = Delivery::default();
    delivery.policy.balance = Balance::RoundRobin;
    delivery
}

/// What a transport says of the times.
fn delivery_by(transport: &ServersTransport) -> Delivery {
    let mut delivery = delivery();
    let timeouts = &mut delivery.timeouts;
    timeouts.connect = transport.connect.unwrap_or(timeouts.connect);
    timeouts.response = transport.response.unwrap_or(timeouts.response);
    delivery
}

fn access<'s>(reading: Reading<'_, 's>, transport: &ServersTransport) -> Access<'s> {
    Access {
        scheme: Some(Scheme::Http),
        network: reading.network,
        guess: PortGuess::Lowest,
        transport: Some(Arc::clone(&transport.settings)),
        ..Access::default()
    }
}

fn here(access: Access<'_>) -> Destination<'_> {
    Destination::Targets(vec![TargetSpec { place: TargetPlace::Declaring(access), weight: 1 }])
}

fn service<'s>(node: &Node<'s>, reading: Reading<'_, 's>, found: &mut Vec<Diagnostic>) -> UpstreamSpec<'s> {
    let options = node.options();
    let kinds = [
        options.get("loadbalancer"),
        options.get("weighted"),
        options.get("failover"),
        options.get("mirroring"),
        options.get("highestrandomweight"),
    ];
    let mut problems = Problems::default();
    if let Some(middlewares) = options.get("middlewares") {
        problems.add(
            middlewares.first,
            whole(codes::TRAEFIK_OPTION, "middlewares of a service", "", "put them into its routers"),
        );
    }
    problems.unknown(&options, "a service");
    let spec = match kinds {
        [None, None, None, None, None] => load_balancer(node, None, reading, &mut problems, found),
        [Some(balancer), ..] => load_balancer(node, Some(balancer), reading, &mut problems, found),
        [_, Some(weighted), ..] => shares(&weighted.options(), reading, &mut problems, found),
        [_, _, Some(failover), ..] => failover_of(&failover.options(), reading, &mut problems, found),
        [_, _, _, Some(mirroring), _] => mirroring_of(mirroring, reading, &mut problems, found),
        [.., Some(weighted)] => shares(&weighted.options(), reading, &mut problems, found),
    };
    let is_broken = !problems.is_empty();
    problems.report(reading.source, || format!("service {} answers 503", quoted(node.name)), found);
    if is_broken { UpstreamSpec { destination: Destination::Targets(Vec::new()), ..spec } } else { spec }
}

/// Several services, each with its share.
fn shares<'s>(
    options: &Options<'_, 's>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> UpstreamSpec<'s> {
    let mut delivery = delivery();
    delivery.policy.sticky = sticky(options, reading, problems, found);
    // Whether a service is well is always known to those above it.
    let _ = options.get("healthcheck");
    let services = options.get("services");
    let mut all = Vec::new();
    for item in services.into_iter().flat_map(Node::items) {
        let of_item = item.options();
        let weight = problems.read(&of_item, "weight", values::count).unwrap_or(1);
        match of_item.text("name") {
            Some(name) => all.push(WeightedUpstream {
                upstream: reference(reading.provider, name.value.trim(), name),
                weight: u16::try_from(weight).unwrap_or(WEIGHT_MAX).min(WEIGHT_MAX),
            }),
            None => problems.add(item.first, values::invalid("a service without a name", "add `name`")),
        }
        problems.unknown(&of_item, "a weighted service");
    }
    if all.is_empty() {
        problems.add(options.node.first, values::invalid("no service is named", "add `services`"));
    }
    problems.unknown(options, "a weighted service");
    UpstreamSpec { destination: Destination::Weighted(all), delivery }
}

/// One service, and another one for the time in which the first has no server.
fn failover_of<'s>(
    options: &Options<'_, 's>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> UpstreamSpec<'s> {
    let _ = options.get("healthcheck");
    if let Some(errors) = options.get("errors") {
        let instead = "the fallback serves while the service has no endpoint that is well";
        reading.report(errors.first, "`errors` of a failover is not in force", instead, found);
    }
    let mut all = Vec::new();
    for (option, weight) in [("service", 1), ("fallback", 0)] {
        match options.text(option) {
            Some(name) => {
                all.push(WeightedUpstream { upstream: reference(reading.provider, name.value.trim(), name), weight });
            }
            None => {
                problems.add(options.node.first, values::invalid(format!("`{option}` is missing"), "name a service"));
            }
        }
    }
    problems.unknown(options, "a failover service");
    UpstreamSpec { destination: Destination::Weighted(all), delivery: delivery() }
}

/// The service whose answers clients get. Nothing is copied to the mirrors.
fn mirroring_of<'s>(
    node: &Node<'s>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> UpstreamSpec<'s> {
    let options = node.options();
    let finding = without_effect("requests are not mirrored", "the main service gets all of them");
    found.push(reading.source.about_key(node.first, finding, "mirrors get no requests".to_owned()));
    let all = match options.text("service") {
        Some(name) => {
            vec![WeightedUpstream { upstream: reference(reading.provider, name.value.trim(), name), weight: 1 }]
        }
        None => {
            problems.add(node.first, values::invalid("`service` is missing", "name a service"));
            Vec::new()
        }
    };
    UpstreamSpec { destination: Destination::Weighted(all), delivery: delivery() }
}

fn load_balancer<'s>(
    service: &Node<'s>,
    balancer: Option<&Node<'s>>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> UpstreamSpec<'s> {
    let default = &reading.traefik.default_transport;
    let Some(balancer) = balancer else {
        let access = access(reading, default);
        let destination = match reading.provider {
            Provider::Docker => here(access),
            Provider::File => {
                problems.add(service.first, values::invalid("a service of no kind", "add `loadBalancer`"));
                Destination::Targets(Vec::new())
            }
        };
        return UpstreamSpec { destination, delivery: delivery_by(default) };
    };
    let options = balancer.options();
    let transport = match options.text("serverstransport").filter(|mark| !mark.value.trim().is_empty()) {
        None => default,
        Some(mark) => reading.transports.find(mark.value.trim(), reading.provider).unwrap_or_else(|| {
            let message = format!("no transport {} is declared", quoted(mark.value.trim()));
            let help = "declare it in a file of the file provider";
            problems.add(mark, whole(codes::TRAEFIK_SERVICE_MISSING, message, "", help));
            default
        }),
    };
    let mut delivery = delivery_by(transport);
    if problems.read(&options, "passhostheader", values::boolean) == Some(false) {
        delivery.host_header = HostHeader::Upstream;
    }
    delivery.policy.sticky = sticky(&options, reading, problems, found);
    delivery.policy.health =
        options.get("healthcheck").and_then(|node| health(&node.options(), reading, problems, found));
    let strategies = [
        ("wrr", Balance::RoundRobin),
        ("p2c", Balance::RandomTwo),
        ("hrw", Balance::Client),
        ("leasttime", Balance::LeastRequests),
    ];
    if let Some(balance) = problems.read(&options, "strategy", |text| values::choice(text, &strategies)) {
        delivery.policy.balance = balance;
    }
    // What streams is never held back, and failures of endpoints are noticed anyway.
    let _ = (options.get("responseforwarding"), options.get("passivehealthcheck"));
    let mut targets = Vec::new();
    match reading.provider {
        Provider::Docker => {
            let server = options.get("server");
            targets.extend(target(server, transport, reading, problems, found));
        }
        Provider::File => {
            for server in options.get("servers").into_iter().flat_map(Node::items) {
                let options = server.options();
                targets.extend(by_url(&options, &transport.settings, reading, problems, found));
                problems.unknown(&options, "a server");
            }
        }
    }
    for unread in options.unread() {
        let (mark, finding) = about_unread(&unread, "a load balancer");
        let effect = format!("service {} is served without it", quoted(service.name));
        found.push(reading.source.about_key(mark, finding.warning(), effect));
    }
    UpstreamSpec { destination: Destination::Targets(targets), delivery }
}

/// The server of a container's service.
fn target<'s>(
    server: Option<&Node<'s>>,
    transport: &ServersTransport,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> Option<TargetSpec<'s>> {
    let mut access = access(reading, transport);
    let mut weight = 1;
    if let Some(server) = server {
        let options = server.options();
        // Without a URL there is no path.
        let _ = options.get("preservepath");
        let port = options.text("port").filter(|mark| !mark.value.trim().is_empty());
        let url = options.text("url");
        let number =
            |text: &str| crate::value::port(text).map_err(|finding| Finding { code: codes::TRAEFIK_VALUE, ..finding });
        access.port = port.and_then(|mark| Some((problems.take(mark, number(mark.value.trim()))?, mark)));
        let schemes = [("http", Scheme::Http), ("https", Scheme::Https), ("h2c", Scheme::H2c)];
        let scheme = options.text("scheme").filter(|mark| !mark.value.trim().is_empty());
        if let Some(mark) = scheme {
            access.scheme = problems.take(mark, values::choice(mark.value.trim(), &schemes));
        }
        weight = share(&options, problems);
        if let Some(mark) = url {
            if port.is_some() || scheme.is_some() {
                problems.add(mark, values::invalid("`url` beside `port` or `scheme`", "remove one of them"));
            }
            let target = by_url(&options, &transport.settings, reading, problems, found);
            problems.unknown(&options, "a server");
            return target;
        }
        problems.unknown(&options, "a server");
    }
    Some(TargetSpec { place: TargetPlace::Declaring(access), weight })
}

fn by_url<'s>(
    options: &Options<'_, 's>,
    transport: &Arc<TransportSettings>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> Option<TargetSpec<'s>> {
    if let Some(kept) = options.text("preservepath").filter(|mark| is_on(mark.value.trim())) {
        let instead = "the application gets the path of the request alone; `addPrefix` puts one before it";
        reading.report(kept, "`preservePath` is not in force", instead, found);
    }
    let weight = share(options, problems);
    let Some(mark) = options.text("url") else {
        problems.add(options.node.first, values::invalid("a server without a URL", "add `url`"));
        return None;
    };
    let target: UrlTarget = problems.take(mark, upstream_url::parse(&without_path(mark.value.trim())))?;
    let transport = Arc::clone(transport);
    Some(TargetSpec { place: TargetPlace::Url(UrlTarget { transport, ..target }, mark), weight })
}

/// Traefik uses the path of a URL only where `preservePath` asks for it.
fn without_path(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find(['/', '?']).map_or(url.len(), |at| begin + at);
    url[..end].to_owned()
}

fn share<'s>(options: &Options<'_, 's>, problems: &mut Problems<'s>) -> u16 {
    let weight = problems.read(options, "weight", values::count).unwrap_or(1);
    u16::try_from(weight).unwrap_or(WEIGHT_MAX).min(WEIGHT_MAX)
}

/// The name of the cookie that binds clients to an endpoint.
fn sticky<'s>(
    options: &Options<'_, 's>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> Option<Box<str>> {
    let cookie = options.get("sticky")?.options().get("cookie")?;
    if cookie.mark.is_some_and(|mark| !is_on(mark.value)) {
        return None;
    }
    let options = cookie.options();
    // Scripts never see the cookie, and it is secure wherever the request is.
    let _ = (options.get("secure"), options.get("httponly"));
    for (name, ours) in [("samesite", "lax"), ("maxage", "0"), ("path", "/"), ("domain", "")] {
        let is_other =
            |mark: &Mark<'_>| !matches!(mark.value.trim(), "") && !mark.value.trim().eq_ignore_ascii_case(ours);
        if let Some(mark) = options.text(name).filter(is_other) {
            let what = format!("`{name}` of the cookie is not in force");
            let instead = "it is `SameSite=Lax`, for all paths of its host, until the browser ends";
            reading.report(mark, &what, instead, found);
        }
    }
    let name = options.text("name").map(|mark| mark.value.trim()).filter(|name| !name.is_empty());
    problems.unknown(&options, "a cookie");
    Some(name.unwrap_or(STICKY_COOKIE).into())
}

/// Whether a text switches an object without options on.
pub(super) fn is_on(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("true")
}

/// What asks endpoints whether they are well. None where that would have to be asked at another place or in another
/// protocol: they might never seem well.
fn health<'s>(
    options: &Options<'_, 's>,
    reading: Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> Option<HealthCheck> {
    let path = options.text("path").filter(|mark| !mark.value.trim().is_empty());
    let interval = problems.read(options, "interval", values::duration).unwrap_or(Duration::from_secs(30));
    let timeout = problems.read(options, "timeout", values::duration).unwrap_or(Duration::from_secs(5));
    let status = problems.read(options, "status", values::count).and_then(|status| u16::try_from(status).ok());
    if let Some(node) = options.get("unhealthyinterval") {
        reading.report(node.first, "`unhealthyInterval` is not in force", "all are asked at the same interval", found);
    }
    // Of an answer that redirects it is known that it is one.
    let _ = options.get("followredirects");
    // The option, if it asks for something else than ours.
    let differing = |name, ours: &str| {
        let is_same = |value: &str| value.trim().is_empty() || value.trim().eq_ignore_ascii_case(ours);
        let node: &Node<'s> = options.get(name)?;
        (!node.children.is_empty() || node.mark.is_some_and(|mark| !is_same(mark.value))).then_some(node)
    };
    for node in [("method", "get"), ("hostname", ""), ("headers", "")]
        .into_iter()
        .filter_map(|(name, ours)| differing(name, ours))
    {
        let what = format!("`{}` of health checks is not in force", node.name);
        reading.report(node.first, &what, "they ask by GET, at the address of the endpoint", found);
    }
    let mut is_made = true;
    for node in [("scheme", "http"), ("mode", "http"), ("port", "0")]
        .into_iter()
        .filter_map(|(name, ours)| differing(name, ours))
    {
        let what = format!("health checks with `{}` are not made", node.name);
        reading.report(node.first, &what, "endpoints count as well until a request fails", found);
        is_made = false;
    }
    problems.unknown(options, "a health check");
    let path = path?.value.trim().into();
    is_made.then(|| HealthCheck {
        path,
        interval,
        timeout,
        statuses: vec![status.filter(|one| *one > 0).map_or((200, 399), |one| (one, one))],
    })
}
