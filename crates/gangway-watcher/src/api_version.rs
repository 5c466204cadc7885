//! Which version of the API is spoken with an engine.

use std::fmt;

use bollard::API_DEFAULT_VERSION;
use bollard::models::SystemVersion;
use gangway_model::snapshot::EngineKind;
use http::uri::PathAndQuery;

use crate::client::Cause;

/// A version of the engine's API, such as 1.41.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ApiVersion {
    pub(crate) major: usize,
    pub(crate) minor: usize,
}

/// Who answers, and in which version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EngineVersion {
    /// The engine's own, such as `20.10.24`.
    pub(crate) engine: Box<str>,
    /// The one that is spoken.
    pub(crate) api: ApiVersion,
    /// Where it keeps its networks, as far as it says that here.
    pub(crate) kind: EngineKind,
}

impl ApiVersion {
    /// That of 2019; what came before lacks nothing that we read, but nobody tests it any more.
    pub(crate) const OLDEST: Self = Self { major: 1, minor: 40 };

    /// The newest that bollard knows.
    const NEWEST: Self = Self { major: API_DEFAULT_VERSION.major_version, minor: API_DEFAULT_VERSION.minor_version };

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// A path as it is asked for in this version.
    pub(crate) fn prefixed(self, path: &str) -> PathAndQuery {
        format!("/v{self}{path}").parse().unwrap_or_else(|_| PathAndQuery::from_static("/"))
    }
}

impl EngineVersion {
    /// The newest version that both sides speak. An engine that speaks only newer ones is asked in its
    /// oldest: what we read has never changed its meaning.
    pub(crate) fn agree(told: &SystemVersion) -> Result<Self, Cause> {
        let parse = |text: &Option<String>| text.as_deref().and_then(ApiVersion::parse);
        let theirs = parse(&told.api_version).ok_or_else(|| Cause::Nonsense("it names no API version".into()))?;
        if theirs < ApiVersion::OLDEST {
            return Err(Cause::TooOld(theirs));
        }
        let api = theirs.min(ApiVersion::NEWEST);
        let api = parse(&told.min_api_version).map_or(api, |oldest| api.max(oldest));
        // A rootless Docker lists the tool that gives it a namespace among its parts.
        let mut components = told.components.iter().flatten();
        let kind = if components.any(|component| component.name.eq_ignore_ascii_case("rootlesskit")) {
            EngineKind::Rootless
        } else if told.platform.as_ref().is_some_and(|platform| platform.name.starts_with("Docker Desktop")) {
            EngineKind::DockerDesktop
        } else {
            EngineKind::Other
        };
        Ok(Self { kind, engine: told.version.as_deref().unwrap_or("of unknown version").into(), api })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (API {})", self.engine, self.api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(newest: &str, oldest: &str) -> Result<String, String> {
        let told = SystemVersion {
            version: Some("20.10.24".into()),
            api_version: Some(newest.into()),
            min_api_version: Some(oldest.into()),
            ..SystemVersion::default()
        };
        EngineVersion::agree(&told).map(|version| version.to_string()).map_err(|cause| cause.to_string())
    }

    #[test]
    fn the_newest_that_both_speak_is_spoken() {
        assert_eq!(agreed("1.41", "1.12").unwrap(), "20.10.24 (API 1.41)");
        assert_eq!(agreed("1.56", "1.40").unwrap(), format!("20.10.24 (API {})", ApiVersion::NEWEST));
        assert_eq!(agreed("1.99", "1.90").unwrap(), "20.10.24 (API 1.90)");
        assert_eq!(agreed("1.41", "").unwrap(), "20.10.24 (API 1.41)");
    }

    #[test]
    fn what_is_too_old_or_no_version_is_refused() {
        assert!(agreed("1.39", "1.12").unwrap_err().contains("at least 1.40"));
        assert!(agreed("new", "1.12").is_err() && agreed("1", "").is_err());
    }
}
