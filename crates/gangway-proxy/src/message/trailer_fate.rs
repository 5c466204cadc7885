//! What becomes of a trailer, in every version: it comes after all decisions about its message.

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;

/// The side that has sent the body. A client is held to each rule. Of an application, oddities that have one meaning
/// are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodySender {
    Client,
    Application,
}

/// The fate of a trailer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TrailerFate {
    Passes,
    IsDropped,
    /// In a chunked body, such a trailer is sent to be read in two ways.
    BreaksBody,
}

impl TrailerFate {
    pub(crate) fn of(kind: FieldKind, sender: BodySender) -> Self {
        match sender {
            BodySender::Client if decides_too_late(kind) => Self::BreaksBody,
            BodySender::Client if speaks_for_client(kind) || kind.is_for_one_hop() => Self::IsDropped,
            BodySender::Application if decides_too_late(kind) || kind.is_for_one_hop() => Self::IsDropped,
            BodySender::Client | BodySender::Application => Self::Passes,
        }
    }
}

/// Leaves the trailers that pass, where HTTP/2 has framed the body and no trailer can change that.
pub(crate) fn retain_passing(trailers: &mut Fields, sender: BodySender) {
    trailers.retain(|field| TrailerFate::of(field.kind, sender) == TrailerFate::Passes);
}

/// Whether a field decides about framing, routing or the connection, and so cannot come after the fact.
fn decides_too_late(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Connection
            | FieldKind::ContentLength
            | FieldKind::Host
            | FieldKind::Te
            | FieldKind::Trailer
            | FieldKind::TransferEncoding
            | FieldKind::Upgrade
    )
}

/// Whether an application that merges trailers into the fields would believe a field, which nobody has checked.
fn speaks_for_client(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Authorization
            | FieldKind::Cookie
            | FieldKind::Expect
            | FieldKind::ProxyAuthorization
            | FieldKind::Spoofable
            | FieldKind::XForwardedFor
            | FieldKind::XForwardedHost
            | FieldKind::XForwardedPort
            | FieldKind::XForwardedProto
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_of_http2_are_held_to_the_rules_of_chunks() {
        let sent =
            ["x-sum", "grpc-status", "cookie", "x-forwarded-for", "remote-user", "x_y", "content-length", "host"];
        let left = |sender| {
            let mut trailers = Fields::default();
            for name in sent {
                trailers.push(name.as_bytes(), b"1");
            }
            retain_passing(&mut trailers, sender);
            trailers.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(left(BodySender::Client), ["x-sum", "grpc-status"]);
        assert_eq!(
            left(BodySender::Application),
            ["x-sum", "grpc-status", "cookie", "x-forwarded-for", "remote-user", "x_y"]
        );
    }
}
