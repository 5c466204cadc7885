//! The reference page of the flags, made from the schema of the settings: this test compares it with the page in the
//! repository, and `make docs` writes that again.

// The binary has no library. The schema uses no other module, so that it can be included here.
#[path = "../src/settings/schema.rs"]
mod schema;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use schema::{Count, FLAGS, Flag};

/// The text of `docs/reference/flags.md`.
fn page() -> String {
    let mut page = String::from(HEAD);
    for flag in FLAGS {
        page += &section(flag);
    }
    page
}

const HEAD: &str = "\
<!-- Generated from crates/gangway/src/settings/schema.rs by `make docs`. -->
# Flags

`gangway serve` takes these flags, and so does `gangway` without a command. Each is also a variable, and a key of the TOML file that
`--config` names. A setting that is given in several places is taken from the first of these: flag, variable, file. An empty
variable counts as not given.

An unknown flag, an unknown variable that begins with `GANGWAY_`, and an unknown key are errors: Gangway does not start, or,
where the file changes while it runs, the last settings stay in force. Variables that a container link or Kubernetes makes for
a service named `gangway` (`GANGWAY_PORT`, `GANGWAY_SERVICE_HOST`) are left alone.
";

fn section(flag: &Flag) -> String {
    let mut text = match flag.count {
        Count::Switch => format!("\n## `--{}`\n\n", flag.name),
        Count::One | Count::Many => format!("\n## `--{} {}`\n\n", flag.name, flag.value),
    };
    let mut sentence = flag.help.to_owned();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let _ = write!(text, "{sentence}.");
    if !flag.more.is_empty() {
        let _ = write!(text, " {}", flag.more);
    }
    text += "\n\n";
    let _ = writeln!(text, "- variable: `{}`", flag.variable());
    if flag.is_key() {
        let _ = writeln!(text, "- key: `{}`", flag.name);
    }
    if !flag.default.is_empty() {
        let _ = writeln!(text, "- default: `{}`", flag.default);
    }
    match flag.count {
        Count::One => {}
        Count::Many => text += "- several: the flag again, or a list with commas; in the file an array\n",
        Count::Switch => {
            let _ = writeln!(text, "- values: `{}`; the flag alone is `true`", flag.value.replace('|', "`, `"));
        }
    }
    text
}

#[test]
fn the_page_in_the_repository_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/flags.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(page.as_bytes()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/reference/flags.md is stale; write it again: UPDATE_DOCS=1 cargo test -p gangway --test reference"
    );
}
