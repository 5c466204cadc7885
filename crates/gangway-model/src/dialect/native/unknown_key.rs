//! Labels under our prefix whose keys are not in the schema, and the findings about them.

use super::prefix::PREFIX;
use super::schema::{Key, members};
use super::suggest::{self, Suggestion};
use crate::label::Mark;
use crate::label::{Source, whole};
use crate::value::and_list;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, quoted};

/// What only the owner of the configuration file may say, since hosts that are not ours get the cookie too.
const OF_PROVIDERS: &str = "auth.oidc.cookie-domain";

/// A label under our prefix whose key is not in the schema.
#[derive(Debug)]
pub(super) struct UnknownKey<'a> {
    /// The route that it was written for; none for the container's one route.
    pub route: Option<&'a str>,
    /// The part behind our prefix, or behind the route's name.
    pub key: &'a str,
    pub mark: Mark<'a>,
    pub kind: UnknownKind,
}

/// How the key is related to the schema.
#[derive(Clone, Copy, Debug)]
pub(super) enum UnknownKind {
    /// The beginning of several keys.
    Incomplete,
    /// Something below a key that has a value.
    Below(&'static Key),
    /// Not related.
    Unknown,
}

impl UnknownKey<'_> {
    /// Suggests what was probably meant.
    pub(super) fn guess(&self) -> Suggestion {
        match self.kind {
            UnknownKind::Incomplete => Suggestion { meant: None, protects: members(self.key).any(Key::protects) },
            UnknownKind::Below(key) => {
                Suggestion { protects: key.protects() || suggest::guess(self.key).protects, meant: None }
            }
            UnknownKind::Unknown => suggest::guess(self.key),
        }
    }

    pub(super) fn finding(&self, source: Source<'_>, guess: &Suggestion) -> Finding {
        let key = quoted(self.mark.label);
        match self.kind {
            UnknownKind::Incomplete => {
                let help = match members(self.key).map(|key| key.name).collect::<Vec<_>>() {
                    names if names.is_empty() => {
                        "write `gangway.routes.<name>.<key>`, such as `gangway.routes.api.host`".into()
                    }
                    names => format!("there are {}", and_list(names)),
                };
                whole(
                    codes::LABEL_INCOMPLETE,
                    format!("{key} is the beginning of a {}", source.noun()),
                    "has no value itself",
                    help,
                )
            }
            UnknownKind::Below(known) => {
                let message = format!("nothing stands below `{}`", known.name);
                let help = match self.key.eq_ignore_ascii_case(OF_PROVIDERS) {
                    true => "write `cookie-domain` in the table `[oidc.<name>]` of the configuration file".to_owned(),
                    false => format!("write {}", quoted(&self.full(source, known.name))),
                };
                whole(codes::LABEL_BELOW_VALUE, message, "has a value itself", help)
            }
            UnknownKind::Unknown => {
                let code = if guess.protects { codes::LABEL_DOUBTFUL } else { codes::LABEL_UNKNOWN };
                let traefik = suggest::traefik(&self.key.to_ascii_lowercase());
                let help = match &guess.meant {
                    Some(meant) if traefik.is_some() => {
                        format!("this is Traefik's grammar; write {}", quoted(&self.full(source, meant)))
                    }
                    None if traefik.is_some() => {
                        format!("this is Traefik's grammar; {}", traefik.map_or("", |traefik| traefik.help))
                    }
                    Some(meant) => format!("did you mean {}?", quoted(&self.full(source, meant))),
                    None => "remove it, or look it up in the reference of labels, which lists every key".to_owned(),
                };
                let note = if guess.protects { "may have been meant to protect" } else { "not one of ours" };
                whole(code, format!("unknown {} {key}", source.noun()), note, help)
            }
        }
    }

    /// A key of ours as it would be written here.
    fn full(&self, source: Source<'_>, key: &str) -> String {
        match (source, self.route) {
            (Source::File(_) | Source::Definition(_) | Source::Provider(_), _) => {
                key.trim_start_matches("routes.").to_owned()
            }
            (_, Some(name)) if !key.starts_with("routes.") => format!("{PREFIX}routes.{name}.{key}"),
            _ => format!("{PREFIX}{key}"),
        }
    }
}
