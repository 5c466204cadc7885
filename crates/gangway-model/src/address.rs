//! Where a container is reached: which network, which address, which port.
//!
//! The answer is the same however networks and ports are listed, and it comes with the reason, so that
//! people can see why.

mod own_listener;
mod port;
mod surroundings;
mod target_owner;

use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use self::own_listener::OwnListener;
use self::surroundings::NotReached;
pub(crate) use self::surroundings::Surroundings;
pub(crate) use self::target_owner::TargetOwner;
use crate::route::Scheme;
use crate::snapshot::Container;
use crate::spec::{Access, UrlTarget};
use crate::transport_settings::TransportSettings;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// Where and how a container is reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub address: SocketAddr,
    pub scheme: Scheme,
    pub transport: Arc<TransportSettings>,
    /// How the address and port were chosen, for people.
    pub reason: String,
}

impl<'s> Surroundings<'s> {
    /// Our own listener at a URL, and what is said about it; none where it leads to none that can be told.
    pub(crate) fn own_listener(&self, url: &UrlTarget) -> Option<(OwnListener, Finding)> {
        let listener = own_listener::at_url(&self.settings.own_listeners, &url.address)?;
        Some((listener, own_listener::url_refused(listener, &url.url)))
    }

    /// Where the container is reached for one of its routes; else why not, in a few words.
    pub(crate) fn reach(
        &self,
        container: &'s Container,
        access: &Access<'s>,
        target_owner: &TargetOwner<'_, 's>,
        found: &mut Vec<Diagnostic>,
    ) -> Result<Reach, String> {
        let source = target_owner.source;
        // Both are looked for, so that both are reported at once.
        let port = port::of(container, access, target_owner, found);
        let (ip, way) = self.ip(container, access, source, found).map_err(|NotReached { reason, finding }| {
            let effect = "no requests are sent to this container; routes that nobody else serves answer 503";
            found.push(source.about(finding, effect.into()));
            reason
        })?;
        let port = port?;
        let address = SocketAddr::new(ip, port.number);
        if let Some(listener) = own_listener::at(self, container, address) {
            // That requests would be sent there all the same is not so.
            found.retain(|one| one.code != codes::PORT_NOT_EXPOSED);
            found.push(own_listener::refused(listener, source, access, address));
            return Err(format!("{address} is {listener}"));
        }
        let transport = access.transport();
        if let Some((_, mark)) = access.verify.filter(|_| port.scheme != Scheme::Https) {
            let finding = Finding::error(
                codes::VERIFY_WITHOUT_TLS,
                0..mark.value.trim().len(),
                format!("`{}` without an https upstream", target_owner.words.verify),
                "no certificate to check",
                format!("remove it, or add the label `{}` with `https`", target_owner.words.scheme),
            );
            let effect = "nothing is checked, as the application is spoken to in clear";
            found.push(source.about_value(mark, finding.warning(), effect.into()));
        }
        Ok(Reach { address, scheme: port.scheme, transport, reason: format!("{address}, {}, {way}", port.reason) })
    }
}
