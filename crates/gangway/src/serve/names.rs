//! The table in force → the names that need certificates.

use std::convert::Infallible;

use gangway_acme::{WantedIssuer, WantedName};
use gangway_model::route::TlsMode;
use gangway_model::{Compiled, RoutingTable};
use gangway_publish::{Generation, Publisher, Reader};

/// Publishes the names whenever they change, for ever. Before the first table none are known, which is
/// not the same as there being none.
pub(super) async fn follow(mut compiled: Reader<Compiled>, mut names: Publisher<Vec<WantedName>>) -> Infallible {
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

fn wanted(table: &RoutingTable) -> Vec<WantedName> {
    let issuer = |mode| match mode {
        TlsMode::Auto => Some(WantedIssuer::Auto),
        TlsMode::Internal => Some(WantedIssuer::Internal),
        TlsMode::Off => None,
    };
    let names = table.names_needing_certificates().into_iter();
    names.filter_map(|(name, mode)| Some(WantedName { name, issuer: issuer(mode)? })).collect()
}
