//! Whether the data folder outlives Gangway's container, according to the mounts that the engine reports.

use std::path::Path;

use gangway_certs::VolumeLoss;
use gangway_watcher::{EngineStatus, MountKind};

/// Why the next container would not get the folder. None if it would, or if that is not known.
pub(super) fn volume_loss(engines: &[EngineStatus], data: &Path) -> Option<VolumeLoss> {
    let mounts = engines.iter().find_map(|engine| engine.own_mounts.as_ref())?;
    let around = mounts.iter().filter(|mount| data.starts_with(&*mount.destination));
    match around.max_by_key(|mount| mount.destination.len()).map(|mount| mount.kind) {
        None | Some(MountKind::Memory) => Some(VolumeLoss::Unmounted),
        Some(MountKind::AnonymousVolume) => Some(VolumeLoss::Anonymous),
        Some(MountKind::Lasting) => None,
    }
}

#[cfg(test)]
mod tests {
    use gangway_watcher::OwnMount;

    use super::*;

    fn engine(mounts: Option<&[(&str, MountKind)]>) -> EngineStatus {
        let mount =
            |(destination, kind): &(&str, MountKind)| OwnMount { destination: (*destination).into(), kind: *kind };
        let own_mounts = mounts.map(|mounts| mounts.iter().map(mount).collect());
        EngineStatus { own_mounts, ..EngineStatus::unknown("docker", "unix:///docker.sock") }
    }

    #[test]
    fn anonymous_and_missing_volumes_are_recognised() {
        let of = |mounts: &[(&str, MountKind)]| volume_loss(&[engine(None), engine(Some(mounts))], Path::new("/data"));
        assert_eq!(of(&[("/data", MountKind::Lasting)]), None);
        assert_eq!(of(&[("/data", MountKind::AnonymousVolume)]), Some(VolumeLoss::Anonymous));
        assert_eq!(of(&[("/data", MountKind::Memory)]), Some(VolumeLoss::Unmounted));
        assert_eq!(of(&[("/database", MountKind::Lasting)]), Some(VolumeLoss::Unmounted));
        // The folder may be within what is mounted, and the innermost counts.
        let inner = [("/", MountKind::AnonymousVolume), ("/data/gangway", MountKind::Lasting)];
        assert_eq!(volume_loss(&[engine(Some(&inner))], Path::new("/data/gangway/a")), None);
        assert_eq!(volume_loss(&[engine(None)], Path::new("/data")), None, "not in a container that we know");
    }
}
