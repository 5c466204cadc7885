//! Dialects: ways to say in labels what is wanted.
//!
//! A dialect turns the labels of all containers of an engine into [`Declarations`](crate::spec::Declarations): routes,
//! and named upstreams and middlewares that routes of any container may refer to. It reports everything that it finds,
//! and knows nothing of addresses. Resolving the names is the work of [`compile`](crate::compile()), which does not
//! know which dialect a declaration came from; help texts of later steps take the words from the route's
//! [`Vocabulary`](crate::vocabulary::Vocabulary).
//!
//! There are two: [`native`], our own, and [`traefik`], which is read where Gangway runs in Traefik's place.

mod cache;
#[cfg(test)]
mod demo;
pub(crate) mod native;
mod traefik;
pub use self::traefik::tls_options_client_ca;

pub(crate) use self::cache::ReadCache;
use crate::bounds::ContainerFindings;
use crate::label::Source;
use crate::settings::{FileRoute, Settings};
use crate::snapshot::Container;
use crate::spec::{Declarations, Declared, RouteSpec};
use gangway_diagnostic::Diagnostic;

/// What was read of one container.
pub(crate) struct ContainerRead<'s> {
    pub container: &'s Container,
    pub declared: Declared<'s>,
    pub findings: ContainerFindings,
}

/// Reads containers, in the order in which they are given.
///
/// They are read one by one, as the iterator is asked: what many containers ask for together is bounded by the
/// caller, who must not have to hold all of it before. A dialect whose containers are read together gathers what it
/// needs of all of them, which is never more than their labels, before it gives back the first.
pub(crate) fn read_all<'s, 'c>(
    containers: impl Iterator<Item = &'s Container> + 'c,
    settings: &'s Settings,
    cache: &'c mut ReadCache,
) -> impl Iterator<Item = ContainerRead<'s>> + 'c
where
    's: 'c,
{
    let of_traefik = settings.traefik.as_ref().map(|of_traefik| traefik::Provided::new(of_traefik, settings));
    containers.map(move |container| {
        let read = |container, found: &mut Vec<Diagnostic>| read(container, settings, of_traefik.as_ref(), found);
        let (declared, findings) = cache.read(container, read);
        ContainerRead { container, declared, findings }
    })
}

fn read<'s>(
    container: &'s Container,
    settings: &'s Settings,
    of_traefik: Option<&traefik::Provided<'s>>,
    found: &mut Vec<Diagnostic>,
) -> Declared<'s> {
    #[cfg(test)]
    if demo::is_written_on(container) {
        return demo::read(container, found);
    }
    let native = native::read(container, settings, found);
    let Some(provided) = of_traefik else { return native };
    let mut of_traefik = traefik::read(container, provided, found);
    match (&native, &mut of_traefik) {
        (Declared::Routed { declarations, by_label: true }, Declared::Routed { declarations: others, .. }) => {
            traefik::leave_out(container, &declarations.routes, &mut others.routes, found);
        }
        (Declared::NotRouted(_) | Declared::Routed { .. }, Declared::NotRouted(_) | Declared::Routed { .. }) => {}
    }
    native.beside(of_traefik)
}

/// What files of Traefik's file provider declare.
pub(crate) fn read_files<'s>(
    settings: &'s Settings,
    found: &mut Vec<Diagnostic>,
) -> Option<(Source<'s>, Declarations<'s>)> {
    let traefik = settings.traefik.as_ref()?;
    Some((traefik::source(traefik), traefik::read_files(traefik, settings, found)))
}

/// What is declared on Gangway's own container: what is common to all projects. Our own labels route nothing to it.
pub(crate) fn of_own<'s>(
    container: &'s Container,
    declared: Declared<'s>,
    found: &mut Vec<Diagnostic>,
) -> Declared<'s> {
    report_own(container, found);
    match declared {
        Declared::Routed { mut declarations, by_label: true } => {
            declarations.routes.retain(|route| route.is_common);
            Declared::Routed { declarations, by_label: true }
        }
        Declared::NotRouted(_) | Declared::Routed { by_label: false, .. } => {
            Declared::NotRouted("it is Gangway itself".to_owned())
        }
    }
}

/// Reads a table of the configuration file, which is written in the keys of the native dialect.
pub(crate) fn read_file<'s>(
    route: &'s FileRoute,
    settings: &'s Settings,
    found: &mut Vec<Diagnostic>,
) -> Option<RouteSpec<'s>> {
    native::read_file(route, settings, found)
}

/// Reports what is wrong with the shared definitions of the configuration file, also of those that no route uses.
pub(crate) fn check_definitions(settings: &Settings, found: &mut Vec<Diagnostic>) {
    native::check_definitions(settings, found);
}

/// Reports labels on our own container, which cannot be in force.
pub(crate) fn report_own(container: &Container, found: &mut Vec<Diagnostic>) {
    native::report_own(container, found);
}
