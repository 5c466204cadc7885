//! What is understood, and is in force in another way than in Traefik, or waits for the part of Gangway that does it.

use crate::setting::Setting;

/// What happens to an option that is not in force as in Traefik: a sentence without its full stop.
pub(crate) fn meanwhile(setting: Setting) -> Option<&'static str> {
    match setting {
        Setting::ReadTimeout => {
            Some("a request may take as long as it makes progress; the time is how long its body may stall")
        }
        Setting::WriteTimeout => {
            Some("an answer may take as long as it makes progress; the time is how long a client may not read it")
        }
        Setting::EntryPoint
        | Setting::EntryPointAddress
        | Setting::EntryPointAsDefault
        | Setting::RedirectionTo
        | Setting::RedirectionScheme
        | Setting::RedirectionPermanent
        | Setting::RedirectionPriority
        | Setting::EntryPointTls
        | Setting::EntryPointTlsResolver
        | Setting::EntryPointTlsOptions
        | Setting::EntryPointTlsDomainMain
        | Setting::EntryPointTlsDomainSans
        | Setting::EntryPointMiddlewares
        | Setting::ForwardedTrustedIps
        | Setting::ForwardedInsecure
        | Setting::ProxyProtocol
        | Setting::ProxyProtocolTrustedIps
        | Setting::ProxyProtocolInsecure
        | Setting::IdleTimeout
        | Setting::RequestAcceptGrace
        | Setting::GraceTimeout
        | Setting::Docker
        | Setting::DockerEndpoint
        | Setting::DockerExposedByDefault
        | Setting::DockerNetwork
        | Setting::DockerDefaultRule
        | Setting::DockerConstraints
        | Setting::DockerUseBindPortIp
        | Setting::DockerAllowEmptyServices
        | Setting::FileFilename
        | Setting::FileDirectory
        | Setting::FileWatch
        | Setting::Acme
        | Setting::AcmeEmail
        | Setting::AcmeCaServer
        | Setting::AcmeCaCertificates
        | Setting::AcmeStorage
        | Setting::AcmeProfile
        | Setting::AcmeKeyType
        | Setting::AcmeKid
        | Setting::AcmeHmac
        | Setting::HttpChallenge
        | Setting::HttpChallengeEntryPoint
        | Setting::TlsChallenge
        | Setting::DnsChallenge
        | Setting::DnsProvider
        | Setting::DnsResolvers
        | Setting::DnsDelay
        | Setting::DnsDelayDeprecated
        | Setting::DnsChecksOff
        | Setting::DnsChecksOffDeprecated
        | Setting::LogLevel
        | Setting::LogFormat
        | Setting::AccessLog
        | Setting::AccessLogFilePath
        | Setting::AccessLogFormat
        | Setting::AccessLogStatusCodes
        | Setting::AccessLogRetryAttempts
        | Setting::AccessLogMinDuration
        | Setting::AccessLogDefaultMode
        | Setting::AccessLogFieldMode
        | Setting::AccessLogHeadersDefaultMode
        | Setting::AccessLogHeaderMode
        | Setting::AccessLogBufferingSize
        | Setting::AccessLogAddInternals
        | Setting::Prometheus
        | Setting::PrometheusEntryPoint
        | Setting::PrometheusManualRouting
        | Setting::PrometheusBuckets
        | Setting::PrometheusEntryPoints
        | Setting::PrometheusRouters
        | Setting::PrometheusServices
        | Setting::Ping
        | Setting::PingEntryPoint
        | Setting::PingManualRouting
        | Setting::PingTerminatingStatus
        | Setting::Api
        | Setting::ApiInsecure
        | Setting::ApiDashboard
        | Setting::ApiBasePath
        | Setting::ApiNoAdvertisement
        | Setting::SkipsVerification
        | Setting::TransportRootCas
        | Setting::TransportIdleMax
        | Setting::TransportDialTimeout
        | Setting::TransportResponseTimeout
        | Setting::TransportIdleTimeout
        | Setting::PluginModule => None,
    }
}
