//! Services that Gangway gives itself, where routes lead to them as to an application.

use std::fmt::{self, Display, Formatter};

/// A service of Gangway itself. It answers in an application's place, after the middlewares of its route.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum InternalService {
    /// The read-only API in Traefik's shapes.
    Api,
    /// The page in the place of Traefik's dashboard: its views of sites alone, as a label may lead there.
    Dashboard,
    /// Whether the process takes requests.
    Ping,
    /// The metrics.
    Prometheus,
    /// 418, whatever is asked.
    Noop,
    /// The page that shows what is served and what is wrong. Only a route of the config file may lead to it.
    Page,
    /// The page on which people of the house find applications. Only a route of the config file may lead to it.
    StartPage,
}

/// What stands behind the names of internal things.
const PROVIDER: &str = "@internal";

impl InternalService {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Api, Self::Dashboard, Self::Ping, Self::Prometheus, Self::Noop, Self::Page, Self::StartPage];

    /// Whether it is a page of Gangway that only the operator may lead to, by a flag or a route of the config file.
    pub fn is_own_page(self) -> bool {
        match self {
            Self::Page | Self::StartPage => true,
            Self::Api | Self::Dashboard | Self::Ping | Self::Prometheus | Self::Noop => false,
        }
    }

    /// The service of a whole name, such as `api@internal`.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix(PROVIDER)?;
        Self::ALL.into_iter().find(|service| service.short_name() == name)
    }

    /// Whether a whole name is one of an internal thing, known or not.
    pub fn is_internal(name: &str) -> bool {
        name.ends_with(PROVIDER)
    }

    fn short_name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Dashboard => "dashboard",
            Self::Ping => "ping",
            Self::Prometheus => "prometheus",
            Self::Noop => "noop",
            Self::Page => "page",
            Self::StartPage => "start-page",
        }
    }
}

/// The whole name.
impl Display for InternalService {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PROVIDER}", self.short_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_services_and_back() {
        for service in InternalService::ALL {
            assert_eq!(InternalService::of_name(&service.to_string()), Some(service));
        }
        for name in ["rest@internal", "api", "api@docker", "@internal"] {
            assert_eq!(InternalService::of_name(name), None, "{name}");
        }
    }
}
