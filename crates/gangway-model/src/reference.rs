//! The reference page of labels, written from the schema.
//!
//! A test compares it with `docs/reference/`, so that it cannot become stale.

use std::fmt::Write as _;

use crate::dialect::native::schema::{KEYS, Key, KeyStatus, Placement};

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
`request.header`, `strip-prefix`, `rewrite`, `add-prefix`. On the way back come `hsts` and then `response.header`, also on
answers that Gangway gives itself.

";

/// `docs/reference/labels.md`, whole.
pub fn labels() -> String {
    let mut page = String::from(LABELS_HEAD);
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
        let _ = write!(page, "\n- `{}`: {}{}", key.name, key.doc, if key.protects() { " Protects." } else { "" });
    }
    page += "\n\n## Refused\n\nWhat other software offers and no version of Gangway will; a diagnostic says why.\n";
    for key in refused {
        let _ = write!(page, "\n- `{}`: {}", key.name, key.doc);
    }
    page.push('\n');
    page
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
