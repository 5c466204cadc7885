//! What was made of one container, for `status`, the API and `explain`.

use crate::engine_name::EngineName;
use crate::snapshot::{ContainerState, Ended, Health};

/// What was made of one container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerReport {
    /// The container's name.
    pub name: Box<str>,
    /// The container's id.
    pub id: Box<str>,
    /// The engine it was read from.
    pub engine: EngineName,
    /// The container's image.
    pub image: Box<str>,
    /// Its state, as the engine reports it.
    pub state: ContainerState,
    /// How it ended last; none where it runs, or never did.
    pub ended: Option<Ended>,
    /// The result of its Docker health check.
    pub health: Health,
    /// The ids of the routes it stands behind, sorted.
    pub routes: Vec<Box<str>>,
    /// It runs, and shares no network with us.
    pub out_of_reach: bool,
    /// The address and port it is reached at and how they were chosen, such as
    /// `172.20.0.3:8080, the only exposed port, on network edge`; or why it is not routed. Where its routes differ
    /// in it, of each.
    pub reason: String,
    /// The same for each route that its labels ask for, by the route's name.
    pub ways: Vec<(Box<str>, String)>,
    /// It is Gangway's own container.
    pub is_own: bool,
    /// Its labels that may name a host; see [`mention`](crate::mention).
    pub mentions: Box<[Mention]>,
}

impl ContainerReport {
    /// Whether it asks for routes by a label, as far as can be told of one that does not run.
    pub fn asks(&self) -> bool {
        !self.is_own && (!self.routes.is_empty() || self.mentions.iter().any(|mention| mention.label.is_empty()))
    }

    /// How the container is reached for the route of this name, or why not.
    pub fn way(&self, route: &str) -> &str {
        let way = self.ways.iter().find(|(name, _)| name.eq_ignore_ascii_case(route));
        way.map_or(&self.reason, |(_, way)| way)
    }
}

/// A label that may name a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mention {
    /// Its key as written; empty where the host follows from the container's name.
    pub label: Box<str>,
    /// Its value, or the beginning of it.
    pub value: Box<str>,
}
