//! Lets in clients by their address.

use gangway_model::AddressFilter;

use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;
use crate::request::client_origin::ClientOrigin;

/// Refuses a client whose address is not let in. Where the address may be a
/// proxy's or a gateway's, nobody is let in: closed on doubt.
pub(crate) fn on_request(filter: &AddressFilter, origin: ClientOrigin) -> Option<LocalReply> {
    if !origin.is_certain {
        let detail = match origin.is_anonymous {
            true => "every client has the address of a gateway here, so `allow` and `deny` cannot tell them apart",
            false => "the client came through a proxy that `--trusted-proxies` does not name",
        };
        return Some(FailureReply::new(Reason::RouteClosed).with_detail(detail).into());
    }
    (!filter.admits(origin.client)).then(|| FailureReply::new(Reason::Forbidden).into())
}
