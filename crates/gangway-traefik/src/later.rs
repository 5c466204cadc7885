//! What is understood, and waits for the part of Gangway that does it.

use crate::setting::Setting;

/// What happens meanwhile to an option that is not served yet: a sentence without its full stop.
pub(crate) fn meanwhile(setting: Setting) -> Option<&'static str> {
    match setting {
        Setting::ForwardedTrustedIps | Setting::ForwardedInsecure => {
            Some("the headers of `--trusted-proxies` alone are trusted, those of entry points not yet")
        }
        Setting::ProxyProtocol | Setting::ProxyProtocolTrustedIps | Setting::ProxyProtocolInsecure => {
            Some("connections with a PROXY header are refused yet")
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
        | Setting::AcmeKid
        | Setting::AcmeHmac
        | Setting::HttpChallenge
        | Setting::HttpChallengeEntryPoint
        | Setting::TlsChallenge
        | Setting::DnsChallenge
        | Setting::DnsProvider
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
        | Setting::PluginModule => None,
    }
}
