//! Answers requests whose URL changes by a rule with a redirection.

use gangway_model::{RequestedUrl, UrlRedirect};
use http::Method;

use crate::reply::local_reply::LocalReply;

pub(crate) fn on_request(redirect: &UrlRedirect, method: &Method, asked: &RequestedUrl<'_>) -> Option<LocalReply> {
    redirect.answer(method, asked).map(|(status, location)| LocalReply::redirect(status, location))
}
