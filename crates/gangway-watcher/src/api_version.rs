//! The version of the engine API that is used with an engine.

use std::fmt;

use bollard::API_DEFAULT_VERSION;
use bollard::models::SystemVersion;
use gangway_model::EngineKind;
use http::uri::PathAndQuery;

/// A version of the engine API, such as 1.41.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ApiVersion {
    pub(crate) major: usize,
    pub(crate) minor: usize,
}

/// The version of an engine, and the version of the API that is used with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EngineVersion {
    /// The engine's own version, such as `20.10.24`.
    pub(crate) engine: Box<str>,
    /// The version of the API that requests use.
    pub(crate) api: ApiVersion,
    /// Where the engine keeps its networks, as far as its answer to `/version` tells.
    pub(crate) kind: EngineKind,
}

impl ApiVersion {
    /// The version of 2019. Older ones have all that we read, but they are not tested.
    pub(crate) const OLDEST: Self = Self { major: 1, minor: 40 };

    /// The newest version that bollard knows.
    const NEWEST: Self = Self { major: API_DEFAULT_VERSION.major_version, minor: API_DEFAULT_VERSION.minor_version };

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The path of a request in this version.
    pub(crate) fn prefixed(self, path: &str) -> PathAndQuery {
        format!("/v{self}{path}").parse().unwrap_or_else(|_| PathAndQuery::from_static("/"))
    }
}

impl EngineVersion {
    /// Chooses the newest version that both sides support. With an engine that supports only newer versions, its oldest
    /// one is used: the fields that we read never changed their meaning.
    pub(crate) fn negotiate(answer: &SystemVersion) -> Result<Self, VersionError> {
        let parse = |text: &Option<String>| text.as_deref().and_then(ApiVersion::parse);
        let theirs = parse(&answer.api_version).ok_or(VersionError::Missing)?;
        if theirs < ApiVersion::OLDEST {
            return Err(VersionError::TooOld(theirs));
        }
        let api = theirs.min(ApiVersion::NEWEST);
        let api = parse(&answer.min_api_version).map_or(api, |oldest| api.max(oldest));
        // A rootless Docker lists RootlessKit, which makes its network namespace, among its components.
        let mut components = answer.components.iter().flatten();
        let kind = if components.any(|component| component.name.eq_ignore_ascii_case("rootlesskit")) {
            EngineKind::Rootless
        } else if answer.platform.as_ref().is_some_and(|platform| platform.name.starts_with("Docker Desktop")) {
            EngineKind::DockerDesktop
        } else {
            EngineKind::Other
        };
        Ok(Self { kind, engine: answer.version.as_deref().unwrap_or("of unknown version").into(), api })
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

/// An engine whose version of the API cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VersionError {
    /// Its answer has no version of the API.
    Missing,
    /// All versions that it supports are older than [`ApiVersion::OLDEST`].
    TooOld(ApiVersion),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(newest: &str, oldest: &str) -> Result<String, VersionError> {
        let answer = SystemVersion {
            version: Some("20.10.24".into()),
            api_version: Some(newest.into()),
            min_api_version: Some(oldest.into()),
            ..SystemVersion::default()
        };
        EngineVersion::negotiate(&answer).map(|version| version.to_string())
    }

    #[test]
    fn the_newest_version_that_both_support_is_used() {
        assert_eq!(negotiated("1.41", "1.12").unwrap(), "20.10.24 (API 1.41)");
        assert_eq!(negotiated("1.56", "1.40").unwrap(), format!("20.10.24 (API {})", ApiVersion::NEWEST));
        assert_eq!(negotiated("1.99", "1.90").unwrap(), "20.10.24 (API 1.90)");
        assert_eq!(negotiated("1.41", "").unwrap(), "20.10.24 (API 1.41)");
    }

    #[test]
    fn a_version_that_is_too_old_or_missing_is_refused() {
        assert_eq!(negotiated("1.39", "1.12"), Err(VersionError::TooOld(ApiVersion { major: 1, minor: 39 })));
        for unreadable in ["new", "1"] {
            assert_eq!(negotiated(unreadable, "1.12"), Err(VersionError::Missing));
        }
    }
}
