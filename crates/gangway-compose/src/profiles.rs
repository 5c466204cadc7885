//! The sets of services that start together.
//!
//! A service is checked whatever its profiles are. Only claims of two services are compared within a set, because two
//! that stand in for each other have the same host and no profile in common.

use std::collections::BTreeSet;

use crate::environment::Environment;
use crate::project::Project;
use crate::service::Service;
use crate::spanned_text::SpannedText;

/// The number of profiles that get a set of their own. Services of further profiles are not compared with each other.
const PROFILES_MAX: usize = 64;

/// Services that start together, by name.
pub type ServiceSet = BTreeSet<String>;

/// Every set of services that start together: one for each profile, and one for the profiles that `COMPOSE_PROFILES`
/// names at once. Where no service has a profile, the only set has all services.
pub fn service_sets(project: &Project, environment: &Environment) -> Vec<ServiceSet> {
    let mut profiles = BTreeSet::new();
    for service in project.services.values() {
        profiles.extend(service.profiles.iter().map(SpannedText::as_str));
    }
    let named = environment.get("COMPOSE_PROFILES").unwrap_or_default();
    let named: Vec<_> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let mut sets = BTreeSet::new();
    // Without a named profile, these are the services that have none.
    sets.insert(service_set(project, &named));
    sets.extend(profiles.into_iter().take(PROFILES_MAX).map(|profile| service_set(project, &[profile])));
    sets.into_iter().collect()
}

fn service_set(project: &Project, profiles: &[&str]) -> ServiceSet {
    let starts = |service: &&Service| {
        let is_named = |name: &str| profiles.iter().any(|profile| *profile == name || *profile == "*");
        service.profiles.is_empty() || service.profiles.iter().any(|profile| is_named(profile.as_str()))
    };
    project.services.values().filter(starts).map(|service| service.name.as_str().to_owned()).collect()
}
