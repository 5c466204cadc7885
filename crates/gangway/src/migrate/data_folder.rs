//! Where certificates and keys are kept.

use std::path::Path;

use gangway_compose::{Service, VolumeMount};
use gangway_traefik::serve_flags;

use crate::check::traefik_stack::TraefikStack;

/// Where Gangway keeps certificates and keys.
pub(super) const DATA: &str = "/data";

/// The folder beside `acme.json` where Gangway keeps certificates and its authority while it runs in Traefik's place. None where
/// no mount keeps that folder: then the volume is another one.
pub(super) fn kept_folder(service: &Service, stack: &TraefikStack) -> Option<String> {
    let flags = serve_flags(&stack.config);
    let (_, folder) = flags.into_iter().find(|(name, _)| *name == "data").filter(|_| stack.is_known)?;
    let is_mounted = |(target, mount): (&String, &VolumeMount)| {
        Path::new(&folder).starts_with(target) && mount.source.is_some() && !mount.is_read_only
    };
    service.mounts.iter().any(is_mounted).then_some(folder)
}
