//! Lets in clients by their address, and by where that is.

use gangway_model::{AddressFilter, AddressVerdict, ClientPlace};

use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;
use crate::request::client_origin::ClientOrigin;

/// Refuses a client that is not let in. Where the address may be a proxy's or a gateway's, and where it depends on a place
/// that nobody can tell, nobody is let in: closed on doubt.
pub(crate) fn on_request(filter: &AddressFilter, origin: ClientOrigin, place: &ClientPlace<'_>) -> Option<LocalReply> {
    if !origin.is_certain {
        let detail = match origin.is_anonymous {
            true => "every client has the address of a gateway here, so `allow` and `deny` cannot tell them apart",
            false => "the client came through a proxy that `--trusted-proxies` does not name",
        };
        return Some(FailureReply::new(Reason::RouteClosed).with_detail(detail).into());
    }
    match filter.verdict(place) {
        AddressVerdict::Admitted => None,
        AddressVerdict::Refused => Some(FailureReply::new(Reason::Forbidden).into()),
        AddressVerdict::Undecided(kind) => {
            let detail = format!("no file of `--geoip` tells the {kind} of the client");
            Some(FailureReply::new(Reason::RouteClosed).with_detail(detail).into())
        }
    }
}
