//! Gangway's own listeners are no endpoint, whatever labels say.
//!
//! A container that shares the host's network, or ours, could otherwise name our admin listener as its port and put
//! it on the web, and so could any by a URL. A route of the configuration file may lead there: the operator wrote it.
//!
//! Which names and addresses lead here is known only in part, so this is for the user to see. The admin listener itself
//! refuses what is brought to it.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};

use super::surroundings::Surroundings;
use crate::label::{Source, whole};
use crate::route::Address;
use crate::settings::OwnListeners;
use crate::snapshot::{Container, NetworkMode, OwnPlace};
use crate::spec::Access;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::{codes, quoted};

/// One of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OwnListener {
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

impl OwnListener {
    /// What to write in place of the `part` of an address that leads here.
    fn help(self, part: &str) -> String {
        let only = match self {
            Self::Admin => "; only a route of the configuration file can lead to the admin listener",
            Self::Public => "",
        };
        format!("write the {part} of the application{only}")
    }
}

/// Our own listener that would be reached instead of the container.
pub(super) fn at<'s>(
    surroundings: &Surroundings<'s>,
    container: &'s Container,
    address: SocketAddr,
) -> Option<OwnListener> {
    let own = &surroundings.settings.own_listeners;
    let (holder, _) = surroundings.network_holder(container).ok()?;
    match surroundings.own(container) {
        OwnPlace::Host if holder.network == NetworkMode::Host => listener_at(own, address),
        OwnPlace::Host | OwnPlace::Elsewhere(_) => None,
        OwnPlace::Container { id, .. } => {
            let us = surroundings.find(&container.engine.0, id)?;
            let (ours, _) = surroundings.network_holder(us).ok()?;
            if std::ptr::eq(ours, holder) {
                return listener_at(own, address);
            }
            // Behind the host's address stand the ports that the engine publishes for us.
            let is_ours = holder.network == NetworkMode::Host;
            let mut published = ours.ports.iter().filter(|one| is_ours && one.published == Some(address.port()));
            published.find_map(|one| listener_on(own, one.port, |_| true))
        }
    }
}

/// Our own listener at the address of a URL, as far as the address says that it is on this machine.
pub(super) fn at_url(own: &OwnListeners, address: &Address) -> Option<OwnListener> {
    let is_here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    match address {
        Address::Ip(ip, port) if is_here(ip.to_canonical()) => listener_on(own, *port, is_here),
        // One that listens on all addresses does not say which are ours.
        Address::Ip(ip, port) => listener_on(own, *port, |listens| listens.to_canonical() == ip.to_canonical()),
        Address::Name(name, port) => {
            let is_local = &**name == "localhost" || name.ends_with(".localhost");
            listener_on(own, *port, is_here).filter(|_| is_local)
        }
    }
}

/// A listener on all addresses is on this one, in either family.
fn listener_at(own: &OwnListeners, address: SocketAddr) -> Option<OwnListener> {
    let ip = address.ip().to_canonical();
    listener_on(own, address.port(), |listens| listens.is_unspecified() || listens.to_canonical() == ip)
}

fn listener_on(own: &OwnListeners, port: u16, is_there: impl Fn(IpAddr) -> bool) -> Option<OwnListener> {
    let is_it = |listens: &SocketAddr| listens.port() == port && is_there(listens.ip());
    if own.admin.as_ref().is_some_and(is_it) {
        return Some(OwnListener::Admin);
    }
    own.public.iter().any(is_it).then_some(OwnListener::Public)
}

/// What is said about a URL that leads to one.
pub(super) fn url_refused(listener: OwnListener, url: &str) -> Finding {
    whole(codes::OWN_LISTENER, format!("{} is {listener}", quoted(url)), "", listener.help("address"))
}

/// The diagnostic about it, at the label that names the port if there is one.
pub(super) fn refused(
    listener: OwnListener,
    source: Source<'_>,
    access: &Access<'_>,
    address: SocketAddr,
) -> Diagnostic {
    let help = listener.help("port");
    let effect = "no requests are sent to this container; routes that nobody else serves answer 503".to_owned();
    let message = format!("the container would be reached at {address}, which is {listener}");
    match access.port {
        Some((_, mark)) => {
            let span = 0..mark.value.trim().len();
            let note = "not the container's";
            source.about_value(mark, Finding::error(codes::OWN_LISTENER, span, message, note, help), effect)
        }
        None => source.about(Finding::error(codes::OWN_LISTENER, 0..0, message, "", help), effect),
    }
}
