//! Who sends: the service, its version, and this instance of it.

use crate::messages::{KeyValue, Resource, Scope};

/// Who sends, in each request.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) resource: Resource,
    pub(crate) scope: Scope,
}

impl Sender {
    /// A new instance of the service.
    pub(crate) fn new(service: &str, version: &str) -> Self {
        let attributes = vec![
            KeyValue::text("service.name", service),
            KeyValue::text("service.version", version),
            KeyValue::text("service.instance.id", &instance_id()),
        ];
        let scope = Scope { name: "gangway".to_owned(), version: version.to_owned() };
        Self { resource: Resource { attributes }, scope }
    }
}

/// A UUID of version 4, as the semantic conventions want it.
fn instance_id() -> String {
    let number = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_uuid_of_version_4() {
        let id = instance_id();
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        assert_ne!(id, instance_id());
    }
}
