//! The table in force → what it needs of certificates.

use std::convert::Infallible;

use gangway_acme::{Export, Wanted, WantedIssuer, WantedName};
use gangway_model::host::HostPattern;
use gangway_model::route::TlsMode;
use gangway_model::{Compiled, RoutingTable};
use gangway_publish::{Generation, Publisher, Reader};

/// Publishes it whenever it changes, for ever. Before the first table no names are known, which is
/// not the same as there being none.
pub(super) async fn follow(mut compiled: Reader<Compiled>, mut names: Publisher<Wanted>) -> Infallible {
    let current = names.reader();
    loop {
        if compiled.generation() != Generation::INITIAL {
            let wanted = wanted(&compiled.load_full().value.table);
            let is_first = current.generation() == Generation::INITIAL;
            if is_first || current.load().value != wanted {
                names.publish(wanted);
            }
        }
        if compiled.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn wanted(table: &RoutingTable) -> Wanted {
    let mut wanted = Wanted { names: names(table), ..Wanted::default() };
    for route in table.routes() {
        wanted.client_cas.extend(route.client_ca.clone());
        let Some(folder) = &route.cert_export else { continue };
        let certifiable = |host: &&HostPattern| matches!(host, HostPattern::Exact(_) | HostPattern::Wildcard(_));
        let exports = route.hosts.iter().filter(certifiable).map(|host| host.to_string().into());
        wanted.exports.extend(exports.map(|name| Export { folder: folder.clone(), name }));
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
