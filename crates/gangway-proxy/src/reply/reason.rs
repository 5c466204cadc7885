//! Why Gangway replies itself instead of an application.

/// Why Gangway replies instead of an application. The tokens are stable: they are part of replies, the access log and
/// the metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    NoRoute,
    NotReady,
    NoEndpoint,
    /// The route has containers that cannot be reached, and waiting does not change that.
    NoWay,
    EndpointNotReady,
    RouteClosed,
    NoCertificate,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamConnect,
    UpstreamTls,
    UpstreamProtocol,
    BadRequest,
    MethodNotAllowed,
    RequestTimeout,
    BodyTooLarge,
    /// The answer of the application is larger than the route allows.
    ResponseTooLarge,
    TargetTooLong,
    ExpectationFailed,
    HeadTooLarge,
    Misdirected,
    /// There is no memory left for it, or its client has too many requests under way.
    Overloaded,
    /// The route is not for the host that is asked for.
    HostNotAllowed,
    /// The client's address is not let in.
    Forbidden,
    /// CrowdSec has banned the client.
    Banned,
    /// The web application firewall takes the request for an attack.
    AppsecBlocked,
    /// The web application firewall cannot be asked about the request.
    AppsecUnavailable,
    /// The client has not logged in.
    Unauthorized,
    /// The client has to log in at a provider.
    NotLoggedIn,
    /// The user has logged in, and is not let in.
    UserNotAdmitted,
    /// The client cannot finish the log-in that it asks to finish.
    LoginNotBegun,
    /// The log-in service cannot be asked about the client.
    AuthUnavailable,
    /// The log-in service gave no answer that makes sense.
    AuthInvalid,
    /// The client asks for more than its share.
    RateLimited,
    /// The client has too many requests under way at the route.
    ConcurrencyLimited,
    Internal,
}

impl Reason {
    /// The status, the token and the sentence for every client.
    pub(crate) const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NoRoute => (404, "no-route", "There is nothing at this address."),
            Self::NotReady => (503, "not-ready", "This server is starting. Please try again in a moment."),
            Self::NoEndpoint => (503, "no-endpoint", "The application is not running at the moment."),
            Self::NoWay => (503, "no-endpoint", "The application cannot be reached."),
            Self::EndpointNotReady => (503, "not-ready", "The application is starting. Please try again in a moment."),
            Self::RouteClosed => (503, "route-closed", "The application is closed until its protection is set up."),
            Self::NoCertificate => {
                (503, "no-certificate", "This address cannot be reached securely yet. Please try again later.")
            }
            Self::UpstreamRefused => (502, "upstream-refused", "The application does not accept connections."),
            Self::UpstreamTimeout => (504, "upstream-timeout", "The application did not answer in time."),
            Self::UpstreamConnect => (502, "upstream-unreachable", "The application cannot be reached."),
            Self::UpstreamTls => (502, "upstream-tls", "The application could not be reached securely."),
            Self::UpstreamProtocol => (502, "upstream-protocol", "The application gave no valid answer."),
            Self::BadRequest => (400, "bad-request", "The request is malformed."),
            Self::MethodNotAllowed => (405, "method-not-allowed", "This method is not served."),
            Self::RequestTimeout => (408, "request-timeout", "The request took too long to arrive."),
            Self::BodyTooLarge => (413, "body-too-large", "The request is larger than the application allows."),
            Self::ResponseTooLarge => {
                (500, "response-too-large", "The answer of the application is larger than allowed.")
            }
            Self::TargetTooLong => (414, "target-too-long", "The address is too long."),
            Self::ExpectationFailed => (417, "expectation-failed", "The expectation of the request cannot be met."),
            Self::HeadTooLarge => (431, "head-too-large", "The request's header fields are too large."),
            Self::Misdirected => (421, "misdirected", "This connection is not for this address. Please try again."),
            Self::Overloaded => (503, "overloaded", "This server is busy. Please try again in a moment."),
            Self::HostNotAllowed => (500, "host-not-allowed", "This name is not served here."),
            Self::Forbidden => (403, "forbidden", "This address may not come in here."),
            Self::Banned => (403, "banned", "This address is banned here."),
            Self::AppsecBlocked => (403, "appsec-blocked", "This request looks like an attack, and was not let in."),
            Self::AppsecUnavailable => {
                (503, "appsec-unavailable", "This request cannot be checked. Please try again in a moment.")
            }
            Self::Unauthorized => (401, "unauthorized", "A name and a password are needed here."),
            Self::NotLoggedIn => (401, "unauthorized", "A log-in is needed here."),
            Self::UserNotAdmitted => (403, "user-not-admitted", "This user may not come in here."),
            Self::LoginNotBegun => (
                400,
                "login-not-begun",
                "This log-in cannot be finished. Please open the page again, and allow cookies.",
            ),
            Self::AuthUnavailable => {
                (503, "auth-unavailable", "The log-in service cannot be reached. Please try again in a moment.")
            }
            Self::AuthInvalid => (502, "auth-invalid", "The log-in service gave no valid answer."),
            Self::RateLimited => (429, "rate-limited", "Too many requests. Please try again in a moment."),
            Self::ConcurrencyLimited => {
                (429, "concurrency-limited", "Too many requests at once. Please try again in a moment.")
            }
            Self::Internal => (500, "internal", "Something went wrong here."),
        }
    }

    pub(crate) const fn status(self) -> u16 {
        self.parts().0
    }

    pub(crate) const fn token(self) -> &'static str {
        self.parts().1
    }

    pub(crate) const fn text(self) -> &'static str {
        self.parts().2
    }

    /// The heading of the page, after the status.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::NoRoute => "no such site here",
            Self::NotReady | Self::EndpointNotReady => "starting",
            Self::NoEndpoint => "not running",
            Self::RouteClosed => "closed",
            Self::NoCertificate => "no certificate yet",
            Self::NoWay | Self::UpstreamRefused | Self::UpstreamConnect => "application not reached",
            Self::UpstreamTimeout => "no answer in time",
            Self::UpstreamTls => "application not reached securely",
            Self::UpstreamProtocol => "no valid answer",
            Self::BadRequest => "malformed request",
            Self::MethodNotAllowed => "method not allowed",
            Self::RequestTimeout => "request took too long",
            Self::BodyTooLarge => "request too large",
            Self::ResponseTooLarge => "answer too large",
            Self::TargetTooLong => "address too long",
            Self::ExpectationFailed => "expectation failed",
            Self::HeadTooLarge => "header fields too large",
            Self::Misdirected => "wrong connection",
            Self::Overloaded => "busy",
            Self::HostNotAllowed => "name not served",
            Self::Forbidden => "not let in",
            Self::Banned => "banned",
            Self::AppsecBlocked => "blocked",
            Self::AppsecUnavailable => "not checked",
            Self::Unauthorized | Self::NotLoggedIn => "log-in needed",
            Self::UserNotAdmitted => "not let in",
            Self::LoginNotBegun => "log-in not finished",
            Self::AuthUnavailable => "log-in service not reached",
            Self::AuthInvalid => "no valid answer of the log-in service",
            Self::RateLimited | Self::ConcurrencyLimited => "too many requests",
            Self::Internal => "something went wrong",
        }
    }

    /// Whether the request is lost for want of an endpoint that answers it.
    pub(crate) const fn is_lack_of_endpoint(self) -> bool {
        match self {
            Self::NoEndpoint
            | Self::NoWay
            | Self::EndpointNotReady
            | Self::UpstreamRefused
            | Self::UpstreamTimeout
            | Self::UpstreamConnect
            | Self::UpstreamTls
            | Self::UpstreamProtocol => true,
            Self::NoRoute
            | Self::NotReady
            | Self::RouteClosed
            | Self::NoCertificate
            | Self::BadRequest
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::BodyTooLarge
            | Self::ResponseTooLarge
            | Self::TargetTooLong
            | Self::ExpectationFailed
            | Self::HeadTooLarge
            | Self::Misdirected
            | Self::Overloaded
            | Self::HostNotAllowed
            | Self::Forbidden
            | Self::Banned
            | Self::AppsecBlocked
            | Self::AppsecUnavailable
            | Self::Unauthorized
            | Self::NotLoggedIn
            | Self::UserNotAdmitted
            | Self::LoginNotBegun
            | Self::AuthUnavailable
            | Self::AuthInvalid
            | Self::RateLimited
            | Self::ConcurrencyLimited
            | Self::Internal => false,
        }
    }

    /// Whether the connection cannot be used afterwards: either the position in its bytes is unknown, or the rest of
    /// the request is not worth reading.
    pub(crate) const fn closes(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::MethodNotAllowed
                | Self::RequestTimeout
                | Self::BodyTooLarge
                | Self::TargetTooLong
                | Self::ExpectationFailed
                | Self::HeadTooLarge
                | Self::Internal
        )
    }

    /// The gRPC status for this reason ("HTTP to gRPC Status Code Mapping" of the gRPC specification).
    pub(crate) const fn grpc_status(self) -> &'static str {
        match self.status() {
            400 => "13",
            401 => "16",
            403 => "7",
            404 => "12",
            429 | 502..=504 => "14",
            _ => "2",
        }
    }
}
