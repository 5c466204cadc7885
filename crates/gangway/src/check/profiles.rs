//! Which services start together.
//!
//! What a service says is checked whatever its profiles are. Only what two services claim is compared just
//! where both start at once: two that stand in for each other have the same host, and no profile in common.

use std::collections::BTreeSet;

use super::project::Project;
use super::service::Service;
use super::variables::Environment;

/// More profiles than anybody tells apart; services of further ones are not compared with each other.
const PROFILES_MAX: usize = 64;

/// Services that start together, by name.
pub(super) type Party = BTreeSet<String>;

/// Every set of services that start together: one for each profile, and one for those that
/// `COMPOSE_PROFILES` names at once. One set with all of them where no service has a profile.
pub(super) fn parties(project: &Project, environment: &Environment) -> Vec<Party> {
    let mut profiles = BTreeSet::new();
    for service in project.services.values() {
        profiles.extend(service.profiles.iter().map(super::text::Text::as_str));
    }
    let named = environment.get("COMPOSE_PROFILES").unwrap_or_default();
    let named: Vec<_> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let mut parties = BTreeSet::new();
    // Nobody's profile: what starts where none is asked for.
    parties.insert(party(project, &named));
    parties.extend(profiles.into_iter().take(PROFILES_MAX).map(|profile| party(project, &[profile])));
    parties.into_iter().collect()
}

fn party(project: &Project, profiles: &[&str]) -> Party {
    let starts = |service: &&Service| {
        let is_named = |name: &str| profiles.iter().any(|profile| *profile == name || *profile == "*");
        service.profiles.is_empty() || service.profiles.iter().any(|profile| is_named(profile.as_str()))
    };
    project.services.values().filter(starts).map(|service| service.name.as_str().to_owned()).collect()
}
