//! Keeps out clients that are banned, and, where a route asks for it, those that might be.

use gangway_model::{Judgement, OnDoubt};

use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;
use crate::request::client_origin::ClientOrigin;

/// Refuses a client that is banned, whatever the route says. A ban on the address of a gateway would be one on everybody
/// behind it.
pub(crate) fn on_every_request(judgement: &Judgement, origin: ClientOrigin) -> Option<LocalReply> {
    match judgement {
        Judgement::Banned { origin: by } if !origin.is_anonymous => {
            let detail =
                format!("CrowdSec has banned this address, as `{by}` decided; `cscli decisions list` shows it");
            Some(FailureReply::new(Reason::Banned).with_detail(detail).into())
        }
        Judgement::Banned { .. } | Judgement::Unknown | Judgement::Free | Judgement::Undecided(_) => None,
    }
}

/// Refuses a client of whom it is not known whether it is banned, where the route says so.
pub(crate) fn on_request(on_doubt: OnDoubt, judgement: &Judgement, origin: ClientOrigin) -> Option<LocalReply> {
    match on_doubt {
        OnDoubt::Close => {}
        OnDoubt::Admit => return None,
    }
    let doubt = match judgement {
        _ if origin.is_anonymous => {
            "every client has the address of a gateway here, so `crowdsec` cannot tell them apart".to_owned()
        }
        _ if !origin.is_certain => "the client came through a proxy that `--trusted-proxies` does not name".to_owned(),
        Judgement::Unknown => "the CrowdSec engine of `--crowdsec-url` has not told yet who is banned".to_owned(),
        Judgement::Undecided(kind) => {
            format!("CrowdSec has decided by {kind}, and no file of `--geoip` tells the {kind} of the client")
        }
        Judgement::Free | Judgement::Banned { .. } => return None,
    };
    Some(FailureReply::new(Reason::RouteClosed).with_detail(doubt).into())
}
