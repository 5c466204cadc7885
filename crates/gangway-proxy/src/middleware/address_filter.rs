//! Lets in clients by their address, and by where that is.

use gangway_model::{AddressFilter, AddressVerdict, ClientPlace, Geography};

use crate::access::chosen_address::ChosenAddress;
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;

/// Refuses a client that is not let in. Where the address may be a proxy's or a gateway's, and where it depends on a place
/// that nobody can tell, nobody is let in: closed on doubt.
pub(crate) fn on_request(
    filter: &AddressFilter,
    chosen: ChosenAddress,
    client: &ClientPlace<'_>,
    geography: &dyn Geography,
) -> Option<LocalReply> {
    if !chosen.is_certain {
        let detail = match chosen.is_anonymous {
            true => "every client has the address of a gateway here, so `allow` and `deny` cannot tell them apart",
            false => "the client came through a proxy that `--trusted-proxies` does not name",
        };
        return Some(FailureReply::new(Reason::RouteClosed).with_detail(detail).into());
    }
    let refused = || {
        let reply = FailureReply::new(Reason::Forbidden);
        Some(filter.refusal.map_or(reply.clone(), |status| reply.with_status(status)).into())
    };
    let verdict = match chosen.address {
        None => return refused(),
        // The place of the client is looked up once for all lists.
        Some(address) if address == client.address() => filter.verdict(client),
        Some(address) => filter.verdict(&ClientPlace::new(address, geography)),
    };
    match verdict {
        AddressVerdict::Admitted => None,
        AddressVerdict::Refused => refused(),
        AddressVerdict::Undecided(kind) => {
            let detail = format!("no file of `--geoip` tells the {kind} of the client");
            Some(FailureReply::new(Reason::RouteClosed).with_detail(detail).into())
        }
    }
}
