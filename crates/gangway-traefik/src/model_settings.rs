//! The static configuration → what the dialect of Traefik's labels needs of it.

use gangway_model::{
    DEFAULT_RULE, DynamicKey, EntryPoint, EntryPointRedirection, GoTemplate, InternalApi, InternalPage, InternalPages,
    ListenerName, TraefikSettings,
};

use crate::config::{EntryPointConfig, OWN_ENTRY_POINT, StaticConfig};

/// What the dialect needs; `dynamic` is what the file provider has read, `host_name` is the name of this machine, and
/// `variable` gives variables of the environment.
pub fn model_settings(
    config: &StaticConfig,
    host_name: &str,
    dynamic: Vec<DynamicKey>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> TraefikSettings {
    let docker = config.docker.clone().unwrap_or_default();
    // The dialect tells what is wrong with a rule that cannot be read.
    let rule = docker.default_rule.as_deref().and_then(|rule| GoTemplate::parse(rule).ok());
    let variables = rule.as_ref().map(GoTemplate::variables).unwrap_or_default();
    let set = |name: &str| Some((name.into(), variable(name)?.into()));
    TraefikSettings {
        entry_points: config
            .http_entry_points()
            .map(|(name, entry, _)| EntryPoint {
                name: name.clone(),
                is_default: config.is_default(name),
                tls: entry.tls.clone(),
                redirection: redirection(config, entry),
                middlewares: entry.middlewares.clone(),
            })
            .collect(),
        exposed_by_default: docker.exposed_by_default,
        variables: variables.into_iter().filter_map(set).collect(),
        default_rule: docker.default_rule.unwrap_or_else(|| DEFAULT_RULE.into()),
        constraints: docker.constraints,
        use_bind_port_ip: docker.use_bind_port_ip,
        allow_empty_services: docker.allow_empty_services,
        resolvers: config.resolvers.iter().map(|resolver| resolver.name.clone()).collect(),
        default_transport: config.servers_transport.clone().unwrap_or_default(),
        host_name: host_name.into(),
        plugins: config.plugins.iter().map(|(name, module)| (name.clone(), module.clone())).collect(),
        dynamic,
        internal: internal(config),
    }
}

/// The internal services that the configuration switches on.
fn internal(config: &StaticConfig) -> InternalPages {
    let own = || ListenerName::parse(OWN_ENTRY_POINT);
    let page = |entry_point: &Option<ListenerName>, is_manual: bool| InternalPage {
        entry_point: entry_point.clone().or_else(own).filter(|_| !is_manual),
    };
    InternalPages {
        api: config.api.as_ref().map(|api| InternalApi {
            has_dashboard: api.dashboard,
            base_path: api.base_path.clone(),
            open_at: own().filter(|_| api.insecure),
        }),
        ping: config.ping.as_ref().map(|ping| page(&ping.entry_point, ping.manual_routing)),
        prometheus: config.prometheus.as_ref().map(|it| page(&it.entry_point, it.manual_routing)),
    }
}

/// None where it leads nowhere, as in Traefik; a finding has told of it.
fn redirection(config: &StaticConfig, entry: &EntryPointConfig) -> Option<EntryPointRedirection> {
    let written = entry.redirection.as_ref()?;
    Some(EntryPointRedirection {
        scheme: written.scheme(),
        port: config.redirection_port(written)?,
        is_permanent: written.is_permanent(),
        priority: written.priority(),
    })
}
