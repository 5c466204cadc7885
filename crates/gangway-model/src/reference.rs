//! The reference page of labels, written from the schema.
//!
//! A test compares it with `docs/reference/`, so that it cannot become stale.

use std::fmt::Write as _;

use crate::dialect::native::schema::{KEYS, Key, KeyStatus, Placement, Sharing};

const LABELS_HEAD: &str = "\
<!-- Generated from crates/gangway-model/src/dialect/native/schema/keys.rs by `make docs`. -->
# Labels

`gangway.<key>` describes the container's one route, which is named after its compose service, or else after the container.
`gangway.routes.<name>.<key>` describes further routes with the same keys; a name has 1 to 63 letters, digits, hyphens and
underscores. A container that only has labels with `gangway.routes.` has only those routes. In the configuration file the
keys stand in `[routes.<name>]` tables, without `gangway.`.

- Keys are compared without regard to case. Of a label that is written twice the one in lower case counts.
- Booleans are `true`, `on`, `yes` or `false`, `off`, `no`. Durations are `250ms`, `5s`, `10m`, `1h`, `30d`, or a number of seconds.
  Sizes are `50MB`, `1GiB`, or a number of bytes. Entries of lists are separated by commas or white space.
- A value has at most 4,096 bytes, a container at most 256 labels of Gangway.
- Nothing is ignored silently: every label is in force, or a [diagnostic](diagnostics.md) says what is wrong, and what was
  done instead. A label that protects a route and cannot be applied *closes* it: it answers 503 to everybody. So does a
  misspelt label that may have been meant to protect. Without a usable `host`, `path` or `rule` where one is written, the
  route is not served. Any other bad label costs only itself.

A request passes what its route asks for in this order, whatever the order of labels: `redirect`, `body-limit`,
`request.header`, `strip-prefix`, `rewrite`, `add-prefix`. On the way back come `headers`, `hsts` and then `response.header`, also on
answers that Gangway gives itself.

";

const SHARED_DEFINITIONS: &str = "\
## Shared definitions

What several routes have in common stands once in the configuration file, in tables `[middlewares.<name>]` with the keys of labels.
A route takes it by [`use`](#use), and `--default-use` gives it to every route. The file is followed: a changed definition changes its
routes at once, and a broken file leaves the last good definitions in force.

```toml
[middlewares.lan-only]
allow = \"lan\"

[middlewares.secure]
response.header.X-Content-Type-Options = \"nosniff\"
hsts = true
```

What the route says itself goes before what it uses. Where both, or several definitions, say the same key:

| keys | what holds |
|---|---|
| {later} | the route's own, else the later definition; two of one `use` that differ give a warning |
| {all} | the route's own, except that `deny` adds up; of several definitions all: a client has to be in each `allow`, is kept out by any `deny`, and the strictest limit counts |
| {agreed} | the route's own; definitions that differ close the route |
| {log-in} | the log-in is taken as a whole: a route with a way to log in of its own takes none of these, and its own `auth.skip`, `auth.headers`, `auth.users`, `auth.groups`, `auth.domains`, `auth.bearer`, `auth.keep` and `auth.realm` replace those of the definition; definitions that differ close the route |

What protects in a definition by `--default-use` holds beside everything that the route says: lists and limits as those of \
several definitions, and anything else that differs closes the route, unless [`opt-out`](#opt-out) names its project or container. Other \
keys are defaults, which a label replaces.

A name that is not there closes the route, as it may have protected it; so does a definition in which something that protects cannot \
be applied. It is said where the name stands, and once at the definition. About one route, and never shared, are {never}.

";

/// `docs/reference/labels.md`, whole.
pub fn labels() -> String {
    let mut page = String::from(LABELS_HEAD);
    page += &shared_definitions();
    let (now, others): (Vec<&Key>, Vec<&Key>) = KEYS.iter().partition(|key| key.status.is_in_force());
    let (refused, later): (Vec<&Key>, Vec<&Key>) =
        others.into_iter().partition(|key| matches!(key.status, KeyStatus::Refused { .. }));
    page += &table(&now);
    for key in now {
        page += &section(key);
    }
    page += "\n## Known, and not in force in this version\n\n\
             They are rejected with a diagnostic. Those that protect close their route until they are removed.\n\n";
    page += &table(&later);
    for key in later {
        let _ = write!(page, "\n- `{}`: {}", key.name, key.doc);
    }
    page += "\n\n## Refused\n\nWhat other software offers and no version of Gangway will; a diagnostic says why.\n";
    for key in refused {
        let _ = write!(page, "\n- `{}`: {}", key.name, key.doc);
    }
    page.push('\n');
    page
}

fn shared_definitions() -> String {
    let names = |sharing: Sharing| {
        let shared = KEYS.iter().filter(|key| key.status.is_in_force() && key.sharing() == sharing);
        shared.map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
    };
    SHARED_DEFINITIONS
        .replace("{later}", &names(Sharing::LaterCounts))
        .replace("{all}", &names(Sharing::AllHold))
        .replace("{agreed}", &names(Sharing::Agreed))
        .replace("{log-in}", &names(Sharing::LogIn))
        .replace("{never}", &names(Sharing::OfOneRoute))
}

fn table(keys: &[&Key]) -> String {
    let mut table = String::from("| key | value | default |\n|---|---|---|\n");
    for key in keys {
        let _ = writeln!(table, "| `{}` | {} | {} |", key.name, cell(&key.value.to_string()), cell(key.default));
    }
    table
}

/// A vertical line would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn section(key: &Key) -> String {
    let mut text = format!("\n## `{}`\n\n{}\n\n", key.name, key.doc);
    match (key.place, key.example.split_once(": ")) {
        (Placement::InDefinitions, _) => {
            let _ = write!(text, "```toml\n[middlewares.household]\n{} = \"{}\"\n```\n", key.name, key.example);
        }
        (Placement::InTheFile, _) => {
            let _ = write!(text, "```toml\n{} = \"{}\"\n```\n", key.name, key.example);
        }
        (_, Some((name, value))) if key.is_open() => {
            let _ = write!(text, "```yaml\ngangway.{name}: \"{value}\"\n```\n");
        }
        _ => {
            let escaped = key.example.replace('$', "$$");
            let _ = write!(text, "```yaml\ngangway.{}: \"{escaped}\"\n```\n", key.name);
        }
    }
    if key.place == Placement::OnContainers {
        text += "\nNot in the configuration file.\n";
    }
    text
}
