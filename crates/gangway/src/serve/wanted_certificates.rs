//! The table in force → the certificates that it needs.

use std::convert::Infallible;
use std::path::PathBuf;

use gangway_certs::{WantedCertificates, WantedExport, WantedIssuer, WantedName};
use gangway_model::{Compiled, HostPattern, RoutingTable, TlsMode};
use gangway_publish::{Generation, Publisher, Reader};
use gangway_watcher::EngineStatus;

use super::data_persistence::volume_loss;

/// Publishes the wanted certificates whenever they change. Nothing is published before the first table: then no names
/// are known, which does not mean that there are none.
pub(super) async fn follow(
    mut compiled: Reader<Compiled>,
    mut engines: Reader<Vec<EngineStatus>>,
    data: PathBuf,
    mut names: Publisher<WantedCertificates>,
) -> Infallible {
    let current = names.reader();
    loop {
        if compiled.generation() != Generation::INITIAL {
            let forgotten = volume_loss(&engines.load_full(), &data);
            let wanted = WantedCertificates { forgotten, ..wanted(&compiled.load_full()) };
            let is_first = current.generation() == Generation::INITIAL;
            if is_first || *current.load() != wanted {
                names.publish(wanted);
            }
        }
        tokio::select! {
            changed = compiled.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            Ok(_) = engines.changed() => {}
        }
    }
}

fn wanted(compiled: &Compiled) -> WantedCertificates {
    let table = &compiled.table;
    let out_of_reach = compiled.names_out_of_reach();
    let mut wanted = WantedCertificates {
        names: names(table),
        issuers: table.chosen_issuers(),
        out_of_reach,
        ..WantedCertificates::default()
    };
    for route in table.routes() {
        wanted.client_cas.extend(route.listener.client_ca.clone());
        let Some(folder) = &route.listener.cert_export else { continue };
        let certifiable = |host: &&HostPattern| matches!(host, HostPattern::Exact(_) | HostPattern::Wildcard(_));
        let exports = route.hosts.iter().filter(certifiable).map(|host| host.to_string().into());
        wanted.exports.extend(exports.map(|name| WantedExport { folder: folder.clone(), name }));
    }
    wanted
}

fn names(table: &RoutingTable) -> Vec<WantedName> {
    let issuer = |mode| match mode {
        TlsMode::Auto => Some(WantedIssuer::Auto),
        TlsMode::Internal => Some(WantedIssuer::Internal),
        TlsMode::Off => None,
    };
    let names = table.names_needing_certificates().into_iter();
    names.filter_map(|(name, mode)| Some(WantedName { name, issuer: issuer(mode)? })).collect()
}
