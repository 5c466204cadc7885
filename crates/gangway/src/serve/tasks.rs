//! The background tasks of `gangway serve`: the one place where they are spawned.
//!
//! Each line connects one part: the values that it reads, and those that it publishes. No part knows another one.
//! The supervisor starts a task again if it panics; the new one continues where the old one ended, because the
//! published values outlive their writers.

use std::sync::Arc;
use std::time::SystemTime;

use gangway_admin::Admin;
use gangway_certs::{KeepSettings, KeeperOutputs, NamedFiles};
use gangway_crowdsec::{Appsec, AppsecOutputs, AppsecSettings, Bouncer, LapiSettings, Outputs};
use gangway_otlp::Otlp;
use gangway_proxy::{BackgroundTasks, ListenerManager, Whereabouts};
use gangway_watcher::Engine;
use tokio::sync::{Notify, watch};

use super::admin_switch::{self, AdminOwner};
use super::changes::Changes;
use super::channels::{Channel, Channels};
use super::endpoint_tls::EndpointTlsOutputs;
use super::error_pages::ErrorPageOutputs;
use super::geoip::GeoOutputs;
use super::listeners::ListenerOutputs;
use super::oidc::ProviderOutputs;
use super::oidc_sessions::{self, SessionOutputs};
use super::route_figures::RouteFigures;
use super::route_ports::RoutePorts;
use super::supervisor::Supervisor;
use super::user_lists::UserListOutputs;
use super::{app_hints, app_icons, crowdsec, endpoint_tls, error_pages, geoip, listeners, oidc};
use super::{route_log, settings_log, user_lists, wanted_certificates, whereabouts};
use crate::hosts;
use crate::settings::reload::{self, ConfigOutputs, ConfigReload};
use crate::settings::{OidcTable, UserTable, WantedListeners};
use crate::traefik::followed_files::{self, FileOutputs, FollowedFiles};

/// The inputs of the tasks beside the published values.
pub(super) struct TaskInputs<P> {
    pub(super) proxy: BackgroundTasks,
    pub(super) figures: RouteFigures,
    pub(super) changes: Changes,
    /// What the admin listener answers from.
    pub(super) sources: gangway_admin::Sources,
    pub(super) model_settings: Channel<gangway_model::Settings>,
    /// What opens and closes listeners, and those that are asked for.
    pub(super) listeners: (ListenerManager, Channel<WantedListeners>),
    /// The files of Traefik's file provider, and the files that they name in turn.
    pub(super) traefik_files: Option<(FollowedFiles, Channel<NamedFiles>)>,
    /// The lists of users in the config file.
    pub(super) user_tables: Channel<Vec<UserTable>>,
    /// The OpenID providers in the config file.
    pub(super) oidc_tables: Channel<Vec<OidcTable>>,
    pub(super) config: Option<ConfigReload>,
    /// Asks the config task to look at the file at once.
    pub(super) look: Arc<Notify>,
    pub(super) engines: Vec<Engine>,
    pub(super) certificates: KeepSettings,
    pub(super) data: std::path::PathBuf,
    /// The files of `--geoip`.
    pub(super) geoip: Vec<std::path::PathBuf>,
    /// The CrowdSec engine, and what looks clients up in its decisions.
    pub(super) crowdsec: (Option<LapiSettings>, Bouncer),
    /// Its web application firewall.
    pub(super) appsec: Option<(AppsecSettings, Appsec)>,
    /// What tells an OpenTelemetry collector of requests and metrics.
    pub(super) otlp: Option<Otlp>,
    /// The ports that clients use, derived from the place of this process.
    pub(super) public_ports: P,
}

/// Starts every task except the admin listener, which must not answer before this instance serves.
pub(super) fn spawn<P>(supervisor: &Supervisor, channels: &Channels, inputs: TaskInputs<P>)
where
    P: Fn(&Whereabouts) -> RoutePorts + Clone + Send + Sync + 'static,
{
    let TaskInputs {
        proxy,
        figures,
        changes,
        sources,
        model_settings,
        listeners: (listener_manager, wanted_listeners),
        traefik_files,
        user_tables,
        oidc_tables,
        config,
        look,
        engines,
        certificates,
        data,
        geoip,
        crowdsec,
        appsec,
        otlp,
        public_ports,
    } = inputs;
    let BackgroundTasks { mut activator, failure_log, unclaimed_log, overload_manager, app_hints: hints, app_files } =
        proxy;

    let in_force = sources.compiled.clone();
    // The proxy: the published table → the one that requests use, and its log of what is not logged per request.
    supervisor.run("activator", move || activator.run());
    supervisor.run("failure-log", move || failure_log.run());
    supervisor.run("unclaimed-log", move || unclaimed_log.run());
    // Memory in use → connections closed, when it runs short.
    supervisor.run("overload-manager", move || overload_manager.run());

    // Counters → figures, the requests that changes cost, and events for those who listen.
    supervisor.run("figures", move || figures.clone().follow());
    supervisor.run_with("changes", changes.clone(), |changes| changes.clone().follow());
    if let Some(otlp) = otlp {
        // Ended requests, and what `GET /metrics` tells → the collector.
        supervisor.run_with("otlp-traces", otlp.clone(), |otlp| otlp.clone().send_spans());
        supervisor.run_with("otlp-metrics", (otlp, sources.clone()), |(otlp, sources)| {
            let sources = sources.clone();
            otlp.clone().send_metrics(move || gangway_admin::metric_families(&sources))
        });
    }
    supervisor.run_with("events", sources, |sources| gangway_admin::feed_events(sources.clone()));

    // What applications answer → the settings that they lack.
    supervisor.run_with("app-hints", (channels.clone(), hints), |(c, hints)| {
        app_hints::follow(hints.clone(), c.compiled.reader(), c.app_findings.publisher())
    });

    // The table → the icons of its applications.
    supervisor.run_with("app-icons", (channels.clone(), app_files), |(c, files)| {
        app_icons::follow(files.clone(), c.compiled.reader(), c.app_icons.publisher())
    });

    // Global settings. Their log runs even without a config file: flags can have diagnostics too.
    supervisor.run_with("findings", channels.clone(), |c| settings_log::follow(c.config.reader()));
    if let Some(config) = config {
        let tables = (user_tables.clone(), oidc_tables.clone(), wanted_listeners.clone());
        let written = (channels.clone(), model_settings.clone(), tables);
        supervisor.run_with("config", written, move |(c, settings, (users, oidc, listeners))| {
            let outputs = ConfigOutputs {
                settings: settings.publisher(),
                users: users.publisher(),
                oidc: oidc.publisher(),
                listeners: listeners.publisher(),
                status: c.config.publisher(),
            };
            reload::follow(config.clone(), Arc::clone(&look), outputs)
        });
    }

    // The listeners that the config file asks for → those that are open, and the settings that know them.
    let with_listeners = Channel::new(gangway_model::Settings::clone(&model_settings.reader().load()));
    let parts = (channels.clone(), model_settings, with_listeners.clone(), wanted_listeners);
    supervisor.run_with("listeners", parts, move |(c, settings, with_listeners, wanted)| {
        let outputs =
            ListenerOutputs { settings: with_listeners.publisher(), findings: c.listener_findings.publisher() };
        listeners::follow(listener_manager.clone(), wanted.reader(), settings.reader(), outputs)
    });
    let model_settings = with_listeners;

    // The files of Traefik's file provider → the settings with what they say.
    let model_settings = match traefik_files {
        Some((files, named)) => {
            let with_files = Channel::new(gangway_model::Settings::clone(&model_settings.reader().load()));
            let parts = (channels.clone(), model_settings, with_files.clone(), named);
            supervisor.run_with("traefik-files", parts, move |(c, settings, with_files, named)| {
                let outputs = FileOutputs {
                    settings: with_files.publisher(),
                    named: named.publisher(),
                    findings: c.traefik_findings.publisher(),
                };
                followed_files::follow(files.clone(), settings.reader(), outputs)
            });
            with_files
        }
        None => model_settings,
    };

    // Labels → the table.
    supervisor.run_with("watcher", (channels.clone(), model_settings), move |(c, settings)| {
        let (settings, released) = (settings.reader(), c.released.reader());
        gangway_watcher::watch(engines.clone(), settings, released, c.compiled.publisher(), c.engines.publisher())
    });
    supervisor.run_with("hosts", (channels.clone(), data.clone()), |(c, data)| {
        hosts::persist(data.clone(), c.compiled.reader(), c.released.publisher())
    });
    supervisor.run_with("whereabouts", channels.clone(), |c| {
        whereabouts::follow(c.engines.reader(), c.whereabouts.publisher())
    });
    supervisor.run_with("served", (channels.clone(), changes, in_force), move |(c, changes, in_force)| {
        route_log::follow(in_force.clone(), c.whereabouts.reader(), public_ports.clone(), changes.clone())
    });

    // The volume and the config file → users.
    supervisor.run_with("user-lists", (channels.clone(), data.clone(), user_tables), |(c, data, tables)| {
        let outputs = UserListOutputs { lists: c.user_lists.publisher(), findings: c.user_list_findings.publisher() };
        user_lists::follow(data.clone(), tables.reader(), c.compiled.reader(), outputs)
    });

    // The files that transports name → what handshakes with endpoints need.
    supervisor.run_with("endpoint-tls", channels.clone(), |c| {
        let outputs =
            EndpointTlsOutputs { set: c.endpoint_tls.publisher(), findings: c.endpoint_tls_findings.publisher() };
        endpoint_tls::follow(c.compiled.reader(), outputs)
    });

    // The config file and the volume → OpenID providers, and whether they answer.
    supervisor.run_with("oidc", (channels.clone(), data.clone(), oidc_tables), |(c, data, tables)| {
        let outputs = ProviderOutputs { providers: c.providers.publisher(), findings: c.provider_findings.publisher() };
        oidc::follow(data.clone(), tables.reader(), c.compiled.reader(), outputs)
    });
    supervisor.run_with("oidc-check", channels.clone(), |c| {
        oidc::check(c.providers.reader(), c.compiled.reader(), c.provider_checks.publisher())
    });

    // Log-ins and log-outs ↔ their register on the volume.
    supervisor.run_with("oidc-sessions", (channels.clone(), data.clone()), |(c, data)| {
        let outputs = SessionOutputs { ended: c.ended_sessions.publisher(), findings: c.session_findings.publisher() };
        oidc_sessions::follow(data.clone(), Arc::clone(&c.session_events.receiver), c.providers.reader(), outputs)
    });

    // Files of places → where addresses are.
    supervisor.run_with("geoip", (channels.clone(), geoip), |(c, files)| {
        let outputs = GeoOutputs { geography: c.geography.publisher(), findings: c.geoip_findings.publisher() };
        geoip::follow(files.clone(), c.compiled.reader(), outputs)
    });

    // The CrowdSec engine → who is banned; and back, how much was kept out.
    supervisor.run_with("crowdsec", (channels.clone(), crowdsec.clone()), |(c, (settings, bouncer))| {
        let outputs = Outputs { decisions: c.decisions.publisher(), status: c.crowdsec.publisher() };
        crowdsec::follow(settings.clone(), bouncer.clone(), outputs)
    });
    let checked = (crowdsec.0.clone(), appsec.as_ref().map(|(settings, _)| settings.clone()));
    supervisor.run_with("crowdsec-check", (channels.clone(), checked), |(c, (engine, appsec))| {
        let states = crowdsec::States {
            engine: c.crowdsec.reader(),
            appsec: c.appsec.reader(),
            geography: c.geography.reader(),
        };
        crowdsec::judge(engine.clone(), appsec.clone(), states, c.crowdsec_findings.publisher())
    });
    if let Some((settings, appsec)) = appsec {
        supervisor.run_with("appsec", (channels.clone(), settings, appsec), |(c, settings, appsec)| {
            let outputs = AppsecOutputs { key: c.appsec_key.publisher(), status: c.appsec.publisher() };
            gangway_crowdsec::follow_appsec(settings.clone(), appsec.clone(), outputs)
        });
    }
    if let (Some(settings), bouncer) = crowdsec {
        let started = SystemTime::now();
        supervisor.run_with("crowdsec-report", (channels.clone(), settings, bouncer), move |(c, settings, bouncer)| {
            let version = env!("CARGO_PKG_VERSION");
            gangway_crowdsec::report(settings.clone(), bouncer.clone(), c.decisions.reader(), version, started)
        });
    }

    // The volume → pages for errors.
    supervisor.run_with("error-pages", (channels.clone(), data.clone()), |(c, data)| {
        let outputs = ErrorPageOutputs { pages: c.pages.publisher(), findings: c.page_findings.publisher() };
        error_pages::follow(data.clone(), c.compiled.reader(), outputs)
    });

    // The table → certificates.
    supervisor.run_with("names", (channels.clone(), data.clone()), |(c, data)| {
        wanted_certificates::follow(c.compiled.reader(), c.engines.reader(), data.clone(), c.wanted.publisher())
    });
    supervisor.run_with("certificates", channels.clone(), move |c| {
        let (mint, demand) = (Arc::clone(&c.mint), c.demand.clone());
        let outputs = KeeperOutputs { store: c.store.publisher(), mint, demand, report: c.certificates.publisher() };
        gangway_certs::keep(certificates.clone(), c.wanted.reader(), outputs)
    });
}

/// Starts the admin listener.
pub(super) fn spawn_admin(supervisor: &Supervisor, admin: Arc<Admin>, owner: watch::Receiver<AdminOwner>) {
    supervisor
        .run_with("admin", (admin, owner), |(admin, owner)| admin_switch::serve(owner.clone(), Arc::clone(admin)));
}
