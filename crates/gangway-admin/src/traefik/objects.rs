//! Routers, services and middlewares in the shapes of Traefik's API.

use std::collections::{BTreeMap, BTreeSet};

use gangway_model::secret::MASK;
use gangway_model::{
    Compiled, Endpoint, InternalPages, InternalService, LoginMethod, LostRouter, Middleware, MiddlewareObject,
    PathChange, Readiness, Route, Router, RouterTls, SharedMiddleware, SharedUpstream, UrlChange,
};
use serde_json::{Map, Value, json};

use super::tls;
use crate::views::{Endpoints, server_url};

/// All objects by their whole names.
pub(super) struct Objects {
    pub(super) routers: BTreeMap<String, Value>,
    pub(super) services: BTreeMap<String, Value>,
    pub(super) middlewares: BTreeMap<String, Value>,
}

impl Objects {
    /// Those of the table in force, and the routers that could not come into it.
    pub(super) fn new(compiled: &Compiled, endpoints: &Endpoints, internal: &InternalPages) -> Self {
        let routes: Vec<(&Route, &Router)> =
            compiled.table.routes().iter().filter_map(|route| Some((&**route, route.router.as_deref()?))).collect();
        let lost = &compiled.shared.lost_routers;
        let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let of_routes = routes.iter().map(|(route, router)| (&*route.name, *router));
        for (user, router) in of_routes.chain(lost.iter().map(|lost| (&*lost.name, &lost.router))) {
            for name in router.middlewares.iter().chain([&router.service_name]) {
                users.entry(name).or_default().insert(user);
            }
        }
        let used_by = |name: &str| users.get(name).into_iter().flatten().copied().collect::<Vec<_>>();
        let mut services: BTreeMap<String, Value> = BTreeMap::new();
        for service in InternalService::ALL {
            let name = service.to_string();
            let is_there = match service {
                InternalService::Api => internal.api.is_some(),
                InternalService::Dashboard => internal.api.as_ref().is_some_and(|api| api.has_dashboard),
                InternalService::Ping => internal.ping.is_some(),
                InternalService::Prometheus => internal.prometheus.is_some(),
                InternalService::Noop => true,
                // It is none of Traefik's.
                InternalService::Page | InternalService::StartPage => false,
            };
            if is_there {
                let mut view = json!({"status": "enabled"});
                let used_by = used_by(&name);
                if !used_by.is_empty() {
                    view["usedBy"] = json!(used_by);
                }
                services.insert(name.clone(), named(&name, view));
            }
        }
        for shared in &compiled.shared.upstreams {
            services.insert(shared.name.to_string(), service(shared, &used_by(&shared.name), endpoints));
        }
        let of_middleware =
            |shared: &SharedMiddleware| (shared.name.to_string(), middleware(shared, &used_by(&shared.name)));
        // A router that is in the table is shown as it is there, whatever another container says of its name.
        let mut routers: BTreeMap<String, Value> =
            lost.iter().map(|lost| (lost.name.to_string(), lost_router(lost))).collect();
        routers.extend(routes.iter().map(|(route, of)| (route.name.to_string(), router(route, of))));
        Self { routers, services, middlewares: compiled.shared.middlewares.iter().map(of_middleware).collect() }
    }

    /// The answer of `/api/rawdata`: all of them, without what their names say.
    pub(super) fn raw(&self) -> Value {
        let raw = |objects: &BTreeMap<String, Value>| {
            let plain = |(name, object): (&String, &Value)| {
                let mut object = object.clone();
                if let Some(object) = object.as_object_mut() {
                    for key in ["name", "provider", "type", "priorityStr"] {
                        object.remove(key);
                    }
                    // Only the list of routers has the options that everybody gets.
                    if let Some(tls) = object.get_mut("tls").and_then(Value::as_object_mut)
                        && tls.get("options").is_some_and(|options| options == "default")
                    {
                        tls.remove("options");
                    }
                }
                (name.clone(), object)
            };
            objects.iter().map(plain).collect::<Map<String, Value>>()
        };
        json!({
            "routers": raw(&self.routers),
            "services": raw(&self.services),
            "middlewares": raw(&self.middlewares),
        })
    }
}

/// Adds the name and the provider to an object.
fn named(name: &str, mut object: Value) -> Value {
    object["name"] = name.into();
    object["provider"] = name.split_once('@').map_or("", |(_, provider)| provider).into();
    object
}

fn router(route: &Route, router: &Router) -> Value {
    let error = match (&route.upstream.unreachable, route.closed) {
        (_, true) => {
            Some("the router is closed: a part of it that may protect could not be put in force; the log says which")
        }
        (Some(why), false) => Some(&**why),
        (None, false) => None,
    };
    let status = match error {
        Some(error) => Status::Disabled(error),
        None if router.absent_entry_points.is_empty() => Status::Enabled,
        None => Status::Warning("an entry point that it names does not exist"),
    };
    view_of(&route.name, router, status)
}

fn lost_router(lost: &LostRouter) -> Value {
    view_of(&lost.name, &lost.router, Status::Disabled(lost.why))
}

/// What Traefik calls the status of an object, with what is wrong with it.
#[derive(Clone, Copy)]
enum Status<'a> {
    Enabled,
    Warning(&'a str),
    Disabled(&'a str),
}

fn view_of(name: &str, router: &Router, status: Status<'_>) -> Value {
    let using: Vec<&str> = router.entry_points.iter().map(|name| &**name).collect();
    let entry_points = using.iter().copied().chain(router.absent_entry_points.iter().map(|name| &**name));
    let mut view = json!({
        "entryPoints": entry_points.collect::<Vec<_>>(),
        "service": router.service,
        "rule": router.rule,
        "priority": router.priority,
        "priorityStr": router.priority.to_string(),
        "observability": {
            "accessLogs": !router.is_unlogged, "metrics": true, "tracing": true, "traceVerbosity": "minimal",
        },
        "status": match status {
            Status::Enabled => "enabled",
            Status::Warning(_) => "warning",
            Status::Disabled(_) => "disabled",
        },
    });
    if !using.is_empty() {
        view["using"] = json!(using);
    }
    if !router.middlewares.is_empty() {
        view["middlewares"] = json!(router.middlewares);
    }
    if let Some(RouterTls { options, resolver, domains }) = &router.tls {
        let options = options.as_deref().unwrap_or("default");
        view["tls"] = tls::view(Some(options), resolver.as_deref(), domains);
    }
    if let Status::Warning(error) | Status::Disabled(error) = status {
        view["error"] = json!([error]);
    }
    named(name, view)
}

fn service(shared: &SharedUpstream, used_by: &[&str], endpoints: &Endpoints) -> Value {
    let mut view = json!({"status": "enabled"});
    if !used_by.is_empty() {
        view["usedBy"] = json!(used_by);
    }
    if shared.weighted.is_empty() {
        let servers: Vec<Value> =
            shared.endpoints.iter().map(|endpoint| json!({"url": server_url(endpoint)})).collect();
        view["loadBalancer"] = json!({
            "servers": servers,
            "strategy": "wrr",
            "passHostHeader": shared.passes_host,
            "responseForwarding": {"flushInterval": "100ms"},
        });
        view["type"] = "loadbalancer".into();
        let state = |endpoint: &Endpoint| {
            let is_ejected = endpoints.get(&endpoint.key).is_some_and(|now| now.is_ejected);
            let is_up = endpoint.readiness == Readiness::Ready && !is_ejected;
            (server_url(endpoint), Value::from(if is_up { "UP" } else { "DOWN" }))
        };
        if !shared.endpoints.is_empty() {
            view["serverStatus"] = Value::Object(shared.endpoints.iter().map(state).collect());
        }
    } else {
        let services: Vec<Value> =
            shared.weighted.iter().map(|(name, weight)| json!({"name": name, "weight": weight})).collect();
        view["weighted"] = json!({ "services": services });
        view["type"] = "weighted".into();
    }
    named(&shared.name, view)
}

fn middleware(shared: &SharedMiddleware, used_by: &[&str]) -> Value {
    let mut view = json!({"status": "enabled"});
    if !used_by.is_empty() {
        view["usedBy"] = json!(used_by);
    }
    let kind = match &shared.object {
        MiddlewareObject::Steps(steps) => steps.first().map(|first| (kind(first), options(first, steps))),
        MiddlewareObject::Chain(names) => Some(("chain", json!({ "middlewares": names }))),
        MiddlewareObject::Broken => {
            view["status"] = "disabled".into();
            view["error"] = json!(["it could not be made; the log says why"]);
            None
        }
    };
    if let Some((kind, options)) = kind {
        view[kind] = options;
        view["type"] = kind.to_ascii_lowercase().into();
    }
    named(&shared.name, view)
}

/// The type under which Traefik knows a middleware that begins with this step.
fn kind(step: &Middleware) -> &'static str {
    match step {
        Middleware::StripPrefix(_) => "stripPrefix",
        Middleware::AddPrefix(_) => "addPrefix",
        Middleware::Rewrite { .. } => "replacePathRegex",
        Middleware::PathChange(change) => match **change {
            PathChange::StripFirst(_) => "stripPrefix",
            PathChange::StripMatch(_) => "stripPrefixRegex",
            PathChange::Replace(_) => "replacePath",
            PathChange::ReplaceMatches { .. } => "replacePathRegex",
        },
        Middleware::Redirect { .. } => "redirectRegex",
        Middleware::UrlRedirect(redirect) => match redirect.change {
            UrlChange::Matches { .. } => "redirectRegex",
            UrlChange::Scheme { .. } => "redirectScheme",
        },
        Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::Hsts(_)
        | Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
        | Middleware::SecureHeaders { .. } => "headers",
        Middleware::BodyLimit(_) | Middleware::ResponseLimit(_) => "buffering",
        Middleware::AddressFilter(_) => "ipAllowList",
        Middleware::Crowdsec(_) | Middleware::Appsec(_) | Middleware::Cache(_) => "plugin",
        Middleware::RateLimit(_) => "rateLimit",
        Middleware::ConcurrencyLimit(_) => "inFlightReq",
        Middleware::Authentication(authentication) => match authentication.method {
            LoginMethod::Basic(_) => "basicAuth",
            LoginMethod::Forward(_) => "forwardAuth",
            LoginMethod::Oidc(_) => "plugin",
        },
        Middleware::Compression(_) => "compress",
        Middleware::ErrorPages(_) => "errors",
    }
}

/// The options of a middleware, without those that may be secret: users, values of headers, addresses of log-in services.
fn options(first: &Middleware, steps: &[Middleware]) -> Value {
    match first {
        Middleware::StripPrefix(prefixes) => json!({ "prefixes": prefixes }),
        Middleware::AddPrefix(prefix) => json!({ "prefix": prefix }),
        Middleware::PathChange(change) => match &**change {
            PathChange::StripFirst(prefixes) => json!({ "prefixes": prefixes }),
            PathChange::StripMatch(patterns) => {
                json!({ "regex": patterns.iter().map(|pattern| pattern.regex().as_str()).collect::<Vec<_>>() })
            }
            PathChange::ReplaceMatches { pattern, replacement } => {
                json!({"regex": pattern.regex().as_str(), "replacement": replacement.to_string()})
            }
            // It is shown by its name alone.
            PathChange::Replace(_) => json!({}),
        },
        Middleware::UrlRedirect(redirect) => match &redirect.change {
            UrlChange::Scheme { scheme, port } => {
                let mut view = json!({"scheme": scheme, "permanent": redirect.is_permanent});
                if let Some(port) = port {
                    view["port"] = port.to_string().into();
                }
                view
            }
            UrlChange::Matches { pattern, replacement } => json!({
                "regex": pattern.regex().as_str(),
                "replacement": replacement.to_string(),
                "permanent": redirect.is_permanent,
            }),
        },
        Middleware::BodyLimit(bytes) => json!({ "maxRequestBodyBytes": bytes }),
        Middleware::ResponseLimit(bytes) => json!({ "maxResponseBodyBytes": bytes }),
        Middleware::RateLimit(limit) => json!({
            "average": limit.requests,
            "period": format!("{}s", limit.period.as_secs_f64()),
            "burst": limit.burst,
        }),
        Middleware::ConcurrencyLimit(amount) => json!({ "amount": amount.requests }),
        Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::Hsts(_)
        | Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
        | Middleware::SecureHeaders { .. } => headers(steps),
        Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::AddressFilter(_)
        | Middleware::Crowdsec(_)
        | Middleware::Appsec(_)
        | Middleware::Cache(_)
        | Middleware::Authentication(_)
        | Middleware::Compression(_)
        | Middleware::ErrorPages(_) => json!({}),
    }
}

/// Which fields are set. A value may be a key for the application, so it is masked.
fn headers(steps: &[Middleware]) -> Value {
    let (mut request, mut response, mut view) = (Map::new(), Map::new(), Map::new());
    for step in steps {
        match step {
            Middleware::RequestHeader(name, _) => {
                request.insert(name.to_string(), MASK.into());
            }
            Middleware::ResponseHeader(name, _) => {
                response.insert(name.to_string(), MASK.into());
            }
            Middleware::Hsts(hsts) => _ = view.insert("stsSeconds".to_owned(), hsts.max_age.get().into()),
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::Redirect { .. }
            | Middleware::UrlRedirect(_)
            | Middleware::PathChange(_)
            | Middleware::BodyLimit(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cors(_)
            | Middleware::AllowedHosts(_)
            | Middleware::SecureHeaders { .. }
            | Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::Appsec(_)
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Authentication(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cache(_) => {}
        }
    }
    for (key, fields) in [("customRequestHeaders", request), ("customResponseHeaders", response)] {
        if !fields.is_empty() {
            view.insert(key.to_owned(), Value::Object(fields));
        }
    }
    Value::Object(view)
}
