//! Gangway's own listeners are no endpoint, whatever labels say.
//!
//! A container that shares the host's network, or ours, could otherwise name our admin listener as its port and put
//! it on the web. A route of the configuration file may lead there: the operator wrote it.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};

use super::Surroundings;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::label::Source;
use crate::rule::Finding;
use crate::snapshot::{Container, NetworkMode, OwnPlace};
use crate::spec::Access;

/// One of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OwnListener {
    Admin,
    Public,
}

impl Display for OwnListener {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "Gangway's own admin listener",
            Self::Public => "Gangway's own listener",
        })
    }
}

impl<'s> Surroundings<'s> {
    /// Who of ours would be reached instead of the container.
    pub(super) fn own_listener(&self, container: &'s Container, address: SocketAddr) -> Option<OwnListener> {
        let (holder, _) = self.network_holder(container).ok()?;
        match self.own(container) {
            OwnPlace::Host if holder.network == NetworkMode::Host => self.listener_at(address.ip(), address.port()),
            OwnPlace::Host | OwnPlace::Elsewhere(_) => None,
            OwnPlace::Container { id, .. } => {
                let us = self.find(&container.engine.0, id)?;
                let (ours, _) = self.network_holder(us).ok()?;
                if std::ptr::eq(ours, holder) {
                    return self.listener_at(address.ip(), address.port());
                }
                // Behind the host's address stand the ports that the engine publishes for us.
                let is_ours = holder.network == NetworkMode::Host;
                let mut published = ours.ports.iter().filter(|one| is_ours && one.published == Some(address.port()));
                published.find_map(|one| self.listener_on(one.port, |_| true))
            }
        }
    }

    /// A listener on all addresses is on this one, in either family.
    fn listener_at(&self, ip: IpAddr, port: u16) -> Option<OwnListener> {
        self.listener_on(port, |listens| listens.is_unspecified() || listens.to_canonical() == ip.to_canonical())
    }

    fn listener_on(&self, port: u16, is_there: impl Fn(IpAddr) -> bool) -> Option<OwnListener> {
        let own = &self.settings.own_listeners;
        let is_it = |listens: &SocketAddr| listens.port() == port && is_there(listens.ip());
        if own.admin.as_ref().is_some_and(is_it) {
            return Some(OwnListener::Admin);
        }
        own.public.iter().any(is_it).then_some(OwnListener::Public)
    }
}

/// What is said about it, at the label where one named the port.
pub(super) fn refused(
    listener: OwnListener,
    container: &Container,
    access: &Access<'_>,
    address: SocketAddr,
) -> Diagnostic {
    let help = match listener {
        OwnListener::Admin => {
            "write the port of the application; only a route of the configuration file can lead to the admin listener"
        }
        OwnListener::Public => "write the port of the application",
    };
    let effect = "no requests are sent to this container; routes that nobody else serves answer 503".to_owned();
    let message = format!("the container would be reached at {address}, which is {listener}");
    let source = Source::Container(container);
    match access.port {
        Some((_, mark)) => {
            let span = 0..mark.value.trim().len();
            let note = "not the container's";
            source.about_value(mark, Finding::error(codes::OWN_LISTENER, span, message, note, help), effect)
        }
        None => source.about(Finding::error(codes::OWN_LISTENER, 0..0, message, "", help), effect),
    }
}
