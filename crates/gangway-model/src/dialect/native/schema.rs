//! The one list of label keys: reading, misspellings, and the reference page are all made from it.
//!
//! Bringing a key that is announced means giving its entry a [`KeyStatus::InForce`] with a reader; nothing
//! else knows which keys there are.

mod key;
mod keys;

pub(crate) use self::key::{Form, Key, KeyId, KeyStatus, Placement, Role, Sharing};
pub(crate) use self::keys::KEYS;

/// The place of a key in the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResolvedKey<'k> {
    /// One of ours, and the open end as written.
    Known(&'static Key, &'k str),
    /// The beginning of several of ours.
    Group,
    /// Something below one that has a value.
    Below(&'static Key),
    /// Not a key of this dialect.
    Unknown,
}

/// Other spellings of keys, each as a part of the key that it belongs to. Only labels have them: in a file, what has a
/// value has no parts.
const OTHER_SPELLINGS: [(&str, &str); 2] =
    [("auth.forward.headers", "auth.headers"), ("auth.oidc.bearer", "auth.bearer")];

/// Looks a key up, without regard to case.
pub(crate) fn resolve(key: &str) -> ResolvedKey<'_> {
    let other = OTHER_SPELLINGS.iter().find(|(other, _)| key.eq_ignore_ascii_case(other));
    let key = other.map_or(key, |(_, name)| name);
    // Nearly all keys are one of ours.
    if let Some(known) = KEYS.iter().find(|known| key.eq_ignore_ascii_case(known.name) && !known.is_open()) {
        return ResolvedKey::Known(known, "");
    }
    let bytes = key.as_bytes();
    let begins_with =
        |stem: &str| bytes.get(..stem.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(stem.as_bytes()));
    let mut resolved = ResolvedKey::Unknown;
    for known in KEYS {
        if known.is_open() {
            let stem = known.stem();
            if begins_with(stem) && key.len() > stem.len() {
                return ResolvedKey::Known(known, &key[stem.len()..]);
            }
        } else if begins_with(known.name) && bytes[known.name.len()] == b'.' {
            resolved = ResolvedKey::Below(known);
        }
        // `request.header.` is as incomplete as `request`.
        let stem = known.stem().as_bytes();
        let begin = key.strip_suffix('.').unwrap_or(key).as_bytes();
        let is_beginning = !begin.is_empty()
            && stem.get(begin.len()) == Some(&b'.')
            && stem[..begin.len()].eq_ignore_ascii_case(begin);
        if is_beginning {
            resolved = ResolvedKey::Group;
        }
    }
    resolved
}

/// The keys below the beginning of several.
pub(crate) fn members(group: &str) -> impl Iterator<Item = &'static Key> {
    let begin = format!("{}.", group.trim_end_matches('.').to_ascii_lowercase());
    KEYS.iter().filter(move |key| key.name.starts_with(&begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile;
    use crate::settings::{MiddlewareTable, Settings};
    use crate::snapshot::{Container, Snapshot};

    #[test]
    fn no_key_is_both_a_value_and_a_table() {
        for key in KEYS {
            let begin = format!("{}.", key.stem().trim_end_matches('.'));
            let below: Vec<_> =
                KEYS.iter().filter(|other| other.name != key.name && other.name.starts_with(&begin)).collect();
            assert!(below.is_empty(), "`{}` has a value and {below:?} below it", key.name);
        }
    }

    #[test]
    fn every_entry_is_complete() {
        for (position, key) in KEYS.iter().enumerate() {
            assert_eq!(key.name.to_ascii_lowercase().replace("<name>", "<Name>"), key.name);
            assert!(KEYS[..position].iter().all(|other| other.name != key.name), "`{}` twice", key.name);
            assert!(key.doc.ends_with('.') && !key.value.to_string().is_empty(), "`{}`", key.name);
            let needs_effect = key.role == Role::Shapes;
            assert_eq!(key.without.is_empty(), !needs_effect, "`{}`", key.name);
            assert!(!key.without.ends_with('.'), "`{}`", key.name);
        }
    }

    #[test]
    fn what_protects_is_what_was_promised() {
        let protecting: Vec<_> = KEYS.iter().filter(|key| key.protects()).map(|key| key.name).collect();
        // One that is planned would leave its route open.
        assert!(KEYS.iter().filter(|key| key.protects()).all(|key| key.status.is_in_force()));
        for key in &protecting {
            let is_promised = key.starts_with("auth.")
                || ["allow", "deny", "rate-limit", "concurrency", "client-ca", "listen", "use", "crowdsec", "appsec"]
                    .contains(key);
            assert!(is_promised, "{key}");
        }
        assert_eq!(protecting.len(), KEYS.iter().filter(|key| key.name.starts_with("auth.")).count() + 9);
    }

    #[test]
    fn keys_are_found_without_regard_to_case() {
        let known = |key| match resolve(key) {
            ResolvedKey::Known(key, tail) => format!("{} {tail}", key.name),
            other => format!("{other:?}"),
        };
        assert_eq!(known("Host"), "host ");
        assert_eq!(known("Response.Header.X-Foo"), "response.header.<Name> X-Foo");
        assert_eq!(known("sleep.after"), "sleep.* after");
        assert_eq!(known("Auth.Forward.Headers"), "auth.headers ");
        assert_eq!(known("auth.oidc.Bearer"), "auth.bearer ");
        assert!(matches!(resolve("hosts"), ResolvedKey::Unknown));
        assert!(matches!(resolve(""), ResolvedKey::Unknown));
        assert!(matches!(resolve("ünknown"), ResolvedKey::Unknown));
        for group in ["timeout", "auth", "request", "request.header", "response.header.", "SLEEP"] {
            assert!(matches!(resolve(group), ResolvedKey::Group), "{group}");
        }
        assert!(matches!(resolve("host.name"), ResolvedKey::Below(key) if key.name == "host"));
        assert_eq!(members("timeout").count(), 3);
    }

    #[test]
    fn every_example_is_in_force_as_it_stands() {
        for key in KEYS.iter().filter(|key| {
            key.status.is_in_force() && ![Placement::InTheFile, Placement::InDefinitions].contains(&key.place)
        }) {
            let (name, value) =
                key.example.split_once(": ").filter(|_| key.is_open()).unwrap_or((key.name, key.example));
            let beside = match key.name {
                "strip-prefix" => ("path", "/stash"),
                "verify" => ("scheme", "https"),
                "auth.headers" => ("auth.forward", "http://192.0.2.9/check"),
                "auth.users" | "auth.groups" | "auth.domains" | "auth.bearer" => ("auth.oidc", "company"),
                name if name.starts_with("auth.") && !["auth.basic", "auth.forward", "auth.oidc"].contains(&name) => {
                    ("auth.basic", "@friends")
                }
                name if name.starts_with("health.") && name != "health.path" => ("health.path", "/healthz"),
                _ => ("enable", "true"),
            };
            let mut container = container([(name, value), beside]);
            container.labels.insert("com.docker.compose.project".into(), "shop".into());
            let snapshot = Snapshot { containers: vec![container], ..Snapshot::default() };
            let middlewares =
                ["lan-only", "secure"].map(|name| MiddlewareTable { name: name.into(), ..Default::default() });
            let settings = Settings {
                middlewares: middlewares.into(),
                has_crowdsec: true,
                has_appsec: true,
                ..Settings::default()
            };
            let compiled = compile(&snapshot, &settings);
            assert!(compiled.diagnostics.is_empty(), "`{}`:\n{}", key.name, compiled.diagnostics);
            // A log-in may have a path of its own beside the route.
            let own = compiled.table.routes().iter().filter(|route| !route.id.ends_with("@log-in"));
            assert_eq!(own.count(), 1, "`{}`", key.name);
        }
    }

    fn container(labels: [(&str, &str); 2]) -> Container {
        let labels = labels.map(|(key, value)| (format!("gangway.{key}").into(), value.into())).into();
        Container { labels, ..Container::named("app").reached_at("edge", [172, 20, 0, 3].into(), 8080) }
    }
}
