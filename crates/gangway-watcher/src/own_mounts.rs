//! The mounts of our own container, and whether they outlive it.

use serde_json::Value;

/// Number of digits in the name that engines give to an anonymous volume.
const ANONYMOUS_LEN: usize = 64;

/// One mount of our own container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnMount {
    /// The path inside the container.
    pub destination: Box<str>,
    /// How long the mounted data lasts.
    pub kind: MountKind,
}

/// How long mounted data lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MountKind {
    /// It outlives the container: a named volume, a folder of the machine, or a mount of an unknown type.
    Lasting,
    /// A volume that the engine made for this container alone. The next container gets another one.
    AnonymousVolume,
    /// It is in memory and ends with the container.
    Memory,
}

/// Parses the `Mounts` of an inspected container. Entries of an unknown form are left out.
pub(crate) fn parse(mounts: &Value) -> Vec<OwnMount> {
    let mount = |mount: &Value| {
        let text = |field: &str| mount.get(field).and_then(Value::as_str);
        let destination = text("Destination")?.into();
        let kind = match text("Type")? {
            "volume" if text("Name").is_some_and(is_anonymous) => MountKind::AnonymousVolume,
            "tmpfs" => MountKind::Memory,
            _ => MountKind::Lasting,
        };
        Some(OwnMount { destination, kind })
    };
    mounts.as_array().into_iter().flatten().filter_map(mount).collect()
}

fn is_anonymous(name: &str) -> bool {
    name.len() == ANONYMOUS_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_recognised_and_malformed_entries_are_left_out() {
        let nameless = "0123456789abcdef".repeat(4);
        let mounts = json!([
            {"Type": "volume", "Name": "shop_data", "Destination": "/data", "Driver": "local", "RW": true},
            {"Type": "volume", "Name": nameless, "Destination": "/cache"},
            {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
            {"Type": "tmpfs", "Destination": "/tmp"},
            {"Type": "npipe", "Destination": "/pipe"},
            {"Type": "bind"}, null, "/data", 7,
        ]);
        let expected = [
            ("/data", MountKind::Lasting),
            ("/cache", MountKind::AnonymousVolume),
            ("/srv", MountKind::Lasting),
            ("/tmp", MountKind::Memory),
            ("/pipe", MountKind::Lasting),
        ];
        let expected = expected.map(|(destination, kind)| OwnMount { destination: destination.into(), kind });
        assert_eq!(parse(&mounts), expected);
        for nothing in [json!(null), json!({}), json!("x")] {
            assert_eq!(parse(&nothing), []);
        }
    }
}
