//! The pages of Gangway itself, as the data plane asks for them.

use std::sync::OnceLock;

use gangway_admin::TraefikAnswers;
use gangway_proxy::{InternalRequest, InternalServices};
use http::{Response, StatusCode};
use hyper::body::Bytes;

/// Answers once the instance is known: it is made of the data plane that asks here.
#[derive(Default)]
pub(super) struct OwnPages(OnceLock<TraefikAnswers>);

impl OwnPages {
    /// From now on there are answers. The first call counts.
    pub(super) fn open(&self, answers: TraefikAnswers) {
        let _ = self.0.set(answers);
    }
}

impl InternalServices for OwnPages {
    fn answer(&self, request: &InternalRequest<'_>) -> Response<Bytes> {
        match self.0.get() {
            Some(answers) => answers.answer(request.service, request.method, request.target),
            None => {
                let mut early = Response::new(Bytes::new());
                *early.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                early
            }
        }
    }
}
