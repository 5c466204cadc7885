//! What our own labels are called.

use super::default_host::default_host;
use crate::snapshot::Container;
use crate::vocabulary::Vocabulary;

pub(crate) const VOCABULARY: Vocabulary = Vocabulary {
    host: "gangway.host",
    group: "gangway.group",
    group_key: "group",
    share: "gangway.share",
    priority: "priority",
    scheme: "scheme",
    verify: "verify",
    port_of,
    default_host,
};

fn port_of(container: &Container, route: &str) -> String {
    if route.eq_ignore_ascii_case(container.app_name()) {
        "gangway.port".to_owned()
    } else {
        format!("gangway.routes.{route}.port")
    }
}
