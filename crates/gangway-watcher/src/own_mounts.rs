//! What is mounted into our own container, and what of it the next container would get.

use serde_json::Value;

/// Digits of the name that engines give to a volume which nobody has named.
const NAMELESS_LEN: usize = 64;

/// Something that is mounted into our own container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnMount {
    /// Where.
    pub destination: Box<str>,
    /// What.
    pub kind: MountKind,
}

/// How long it lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MountKind {
    /// A volume with a name, a folder of the machine, or something that is not known.
    Lasting,
    /// A volume that was made for this container alone.
    AnonymousVolume,
    /// Memory.
    Memory,
}

/// From the `Mounts` of an inspected container. What is not understood is left out.
pub(crate) fn read(mounts: &Value) -> Vec<OwnMount> {
    let mount = |mount: &Value| {
        let text = |field: &str| mount.get(field).and_then(Value::as_str);
        let destination = text("Destination")?.into();
        let kind = match text("Type")? {
            "volume" if text("Name").is_some_and(is_nameless) => MountKind::AnonymousVolume,
            "tmpfs" => MountKind::Memory,
            _ => MountKind::Lasting,
        };
        Some(OwnMount { destination, kind })
    };
    mounts.as_array().into_iter().flatten().filter_map(mount).collect()
}

fn is_nameless(name: &str) -> bool {
    name.len() == NAMELESS_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_told_and_what_is_strange_is_left_out() {
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
        assert_eq!(read(&mounts), expected);
        for nothing in [json!(null), json!({}), json!("x")] {
            assert_eq!(read(&nothing), []);
        }
    }
}
