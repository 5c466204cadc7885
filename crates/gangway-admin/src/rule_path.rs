//! Where on its host a route is, by its rule.

/// The path below which a route with one host and one prefix is, without its first slash. Any other rule leads to the root
/// of its host.
pub(crate) fn path_below(rule: &str) -> Option<&str> {
    let (_, rest) = rule.split_once("`) && PathPrefix(`/")?;
    let path = rest.strip_suffix("`)")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~');
    path.bytes().all(is_plain).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_leads_to_the_one_prefix_of_a_route() {
        assert_eq!(path_below("Host(`a.test`) && PathPrefix(`/films`)"), Some("films"));
        for rule in [
            "Host(`a.test`)",
            "Host(`a.test`) && (PathPrefix(`/a`) || PathPrefix(`/b`))",
            "Host(`a.test`) && PathPrefix(`/a`) && Method(`GET`)",
            "Host(`a.test`) && PathPrefix(`/\"><b>`)",
        ] {
            assert_eq!(path_below(rule), None, "{rule}");
        }
    }
}
