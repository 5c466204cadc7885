//! Answers every request with a redirection.

use gangway_model::RedirectTarget;

use crate::reply::local_reply::LocalReply;

pub(crate) fn on_request(status: u16, location: &RedirectTarget, host: &str, target: &str) -> LocalReply {
    LocalReply::redirect(status, location.location(host, target).into_bytes())
}
