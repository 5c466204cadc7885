//! Lets in clients by their address, and by where that is.

use gangway_model::{AddressFilter, AddressVerdict, ClientPlace, Geography};

use crate::access::chosen_address::ChosenAddress;
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;

/// Refuses a client that is not let in. Closed on doubt: where every client has the address of a gateway, where one that
/// would be let in may be a proxy that speaks for another, and where it depends on a place that nobody can tell.
pub(crate) fn on_request(
    filter: &AddressFilter,
    chosen: ChosenAddress,
    client: &ClientPlace<'_>,
    geography: &dyn Geography,
) -> Option<LocalReply> {
    let closed = |detail: String| Some(FailureReply::new(Reason::RouteClosed).with_detail(detail).into());
    if chosen.is_anonymous {
        let detail = "every client has the address of a gateway here, so `allow` and `deny` cannot tell them apart";
        return closed(detail.to_owned());
    }
    let unnamed_proxy = "the client came through a proxy that `--trusted-proxies` does not name";
    let refused = || {
        let mut reply = FailureReply::new(Reason::Forbidden);
        if !chosen.is_certain {
            reply = reply.with_detail(unnamed_proxy);
        }
        if let Some(status) = filter.refusal {
            reply = reply.with_status(status);
        }
        Some(reply.into())
    };
    let verdict = match chosen.address {
        None => return refused(),
        // The place of the client is looked up once for all lists.
        Some(address) if address == client.address() => filter.verdict(client),
        Some(address) => filter.verdict(&ClientPlace::new(address, geography)),
    };
    match verdict {
        // A peer that may not come in gets the same answer with a field of proxies as without.
        AddressVerdict::Refused => refused(),
        AddressVerdict::Admitted | AddressVerdict::Undecided(_) if !chosen.is_certain => {
            closed(unnamed_proxy.to_owned())
        }
        AddressVerdict::Admitted => None,
        AddressVerdict::Undecided(kind) => closed(format!("no file of `--geoip` tells the {kind} of the client")),
    }
}
