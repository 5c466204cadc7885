//! Refuses requests for hosts that are not on a list.

use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;

/// `host` and its port are those that the client named.
pub(crate) fn on_request(allowed: &[Box<str>], (host, port): (&str, Option<u16>)) -> Option<LocalReply> {
    let is_meant = |known: &str| match (known.strip_prefix(host), port) {
        (Some(""), _) => true,
        (Some(rest), Some(port)) => rest.strip_prefix(':').is_some_and(|known| known.parse() == Ok(port)),
        (Some(_) | None, _) => false,
    };
    let is_allowed = allowed.iter().any(|known| is_meant(known));
    (!is_allowed).then(|| FailureReply::new(Reason::HostNotAllowed).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_meant_with_and_without_its_port() {
        let allowed = ["a.test".into(), "b.test:8443".into()];
        for (host, is_allowed) in [
            (("a.test", None), true),
            (("a.test", Some(81)), true),
            (("b.test", Some(8443)), true),
            (("b.test", None), false),
            (("b.test", Some(443)), false),
            (("a.tes", None), false),
            (("", None), false),
        ] {
            assert_eq!(on_request(&allowed, host).is_none(), is_allowed, "{host:?}");
        }
    }
}
