//! Whether a container is up, and whether it may get requests.

use crate::route::Readiness;
use crate::snapshot::{Container, ContainerState, Health};

/// Why a container is not routed whatever its labels say; none where it is up.
pub(super) fn why_not_up(container: &Container) -> Option<&'static str> {
    match container.state {
        ContainerState::Running | ContainerState::Restarting => {}
        ContainerState::Created => return Some("it was never started"),
        ContainerState::Paused => return Some("it is paused"),
        ContainerState::Removing => return Some("it is being removed"),
        ContainerState::Exited => return Some("it is stopped"),
        ContainerState::Dead => return Some("it is dead"),
    }
    is_one_off(container).then_some("it was started by `compose run`, beside its service")
}

/// `compose run` gives a shell beside a service the labels of that service.
pub(super) fn is_one_off(container: &Container) -> bool {
    container.label("com.docker.compose.oneoff").is_some_and(|one| one.eq_ignore_ascii_case("true"))
}

/// Whether it may get requests, as far as the engine knows.
pub(super) fn readiness(container: &Container) -> Readiness {
    match (container.state, container.health) {
        (ContainerState::Restarting, _) => Readiness::Restarting,
        _ if container.leaving => Readiness::Leaving,
        (_, Health::Starting) => Readiness::Starting,
        (_, Health::Unhealthy) => Readiness::Unhealthy,
        (_, Health::NoCheck | Health::Healthy) => Readiness::Ready,
    }
}
