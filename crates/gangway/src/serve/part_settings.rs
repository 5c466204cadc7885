//! The settings of `serve` → the settings of each part.

use std::net::TcpListener;
use std::sync::Arc;

use gangway_acme::{Clock, OnDemandSettings, Takes};
use gangway_admin::AdminSettings;
use gangway_certs::{KeepSettings, NamedFiles, PlainHttp};
use gangway_model::Compiled;
use gangway_proxy::{AdminMark, CookieSecret, Limits, PassedSocket, PlainFallback, ProxySettings, Threading};
use gangway_publish::Reader;
use gangway_tls::Demand;
use http::HeaderValue;

use super::open_files;
use crate::settings::ServeSettings;

/// The default of `--domain`. The internal CA signs names below it without being told to.
const DEFAULT_DOMAIN: &str = "localhost";

pub(super) fn proxy(
    settings: &ServeSettings,
    passed: Vec<PassedSocket>,
    admin_mark: Option<HeaderValue>,
) -> ProxySettings {
    let data = settings.data.clone();
    ProxySettings {
        listeners: settings.listeners.clone(),
        passed,
        trusted_proxies: settings.trusted_proxies.clone(),
        admin_mark: admin_mark.map(|value| AdminMark { port: settings.admin.port(), value }),
        public_https_port: settings.public_https_port,
        limits: {
            let limits = Limits::for_open_files(open_files::raise_limit());
            let times = settings.times;
            Limits {
                memory: settings.memory.unwrap_or(limits.memory),
                idle: times.idle.unwrap_or(limits.idle),
                body_grace: times.stalled_read.unwrap_or(limits.body_grace),
                stalled_write: times.stalled_write.unwrap_or(limits.stalled_write),
                ..limits
            }
        },
        default_certificate: settings.default_certificate.clone(),
        plain_fallback: match settings.plain_http {
            PlainHttp::Refused => PlainFallback::Refuse,
            PlainHttp::Served => PlainFallback::Serve,
        },
        threading: Threading::all_cores(),
        access_log: settings.access_log.clone(),
        access_log_format: settings.access_log_format,
        traefik_log: settings.surroundings.log.clone(),
        secret: CookieSecret::from(move || gangway_certs::secrets(&data)),
    }
}

pub(super) fn certificates(
    settings: &ServeSettings,
    compiled: Reader<Compiled>,
    named_files: Option<Reader<NamedFiles>>,
) -> KeepSettings {
    let domain = Some(settings.domain.clone()).filter(|domain| **domain != *DEFAULT_DOMAIN);
    KeepSettings {
        data: settings.data.clone(),
        internal_domains: domain.into_iter().collect(),
        default_certificate: settings.default_certificate.clone(),
        acme: Some(settings.acme.clone()),
        on_demand: settings.on_demand.clone().map(|ask| {
            let takes = Takes::new(move |host| compiled.load().table.takes_by_pattern(host));
            OnDemandSettings { ask, takes }
        }),
        plain_http: settings.plain_http,
        adopted: settings.adopted.clone(),
        adopted_accounts: settings.adopted_accounts.clone(),
        named_files,
        clock: Clock::system(),
    }
}

/// A word by which the admin listener knows what a route of the operator brings; none without random bytes, and then
/// nothing is brought there.
pub(super) fn admin_mark() -> Option<HeaderValue> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    HeaderValue::from_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).ok()
}

/// `passed` is the socket of a predecessor, if it has one for this address.
pub(super) fn admin(
    settings: &ServeSettings,
    passed: Option<Arc<TcpListener>>,
    mark: Option<HeaderValue>,
) -> AdminSettings {
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    AdminSettings { listen: settings.admin, passed, names: vec![host_name.trim().to_owned()], mark }
}

/// Where handshakes ask for names that no route lists; none where nothing permits them, or no CA is asked.
pub(super) fn demand(settings: &ServeSettings) -> Option<Arc<Demand>> {
    let is_asked = settings.on_demand.is_some() && !settings.acme.issuers.is_empty();
    is_asked.then(|| Arc::new(Demand::new()))
}
