//! The reference pages are what the code says.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gangway_diagnostic::{Code, codes};
use gangway_model::reference;

const DIAGNOSTICS_HEAD: &str = "\
<!-- Generated from the lists of codes in crates/gangway-diagnostic/src/codes by `make docs`. -->
# Diagnostics

What Gangway finds about labels, the configuration file, compose files and certificates, the same in the log, in `gangway check`,
in the API and in the metrics. An **error** says that something you asked for is not done; a **warning**, that it is done, but
probably not what you meant. `effect` says what was done instead. Codes are stable.
";

/// Writes the pages instead of comparing them.
const WRITE: &str = "UPDATE_DOCS";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

#[expect(clippy::disallowed_methods, reason = "a page that is cut short is written again")]
fn compare(name: &str, text: &str) {
    let path = page(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, text).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/reference/{name} is stale; write it again: {WRITE}=1 cargo test -p gangway-model --test reference"
    );
}

/// What the fixtures give: for each code one diagnostic, of the fixture with the fewest findings.
fn examples() -> BTreeMap<Code, String> {
    let mut examples: BTreeMap<Code, (usize, String)> = BTreeMap::new();
    for (_, text) in common::fixtures() {
        let (snapshot, settings) = common::read(&text);
        let compiled = gangway_model::compile(&snapshot, &settings);
        let len = compiled.diagnostics.len();
        for diagnostic in &compiled.diagnostics {
            let example = examples.entry(diagnostic.code).or_insert_with(|| (len, diagnostic.to_string()));
            if len < example.0 {
                *example = (len, diagnostic.to_string());
            }
        }
    }
    examples.into_iter().map(|(code, (_, shown))| (code, shown)).collect()
}

/// `docs/reference/diagnostics.md`, whole: an index by code, then a section for each.
fn diagnostics(examples: &BTreeMap<Code, String>) -> String {
    let mut page = String::from(DIAGNOSTICS_HEAD);
    for group in codes::GROUPS {
        let _ =
            write!(page, "\n`G{}xx`: {}\n\n| code | severity | title |\n|---|---|---|\n", group.hundred, group.subject);
        for description in group.codes {
            let code = description.code;
            let severities: Vec<&str> = description.severities.iter().map(|severity| severity.as_str()).collect();
            // A vertical line would end the cell.
            let title = description.title.replace('|', "\\|");
            let _ = writeln!(page, "| [{code}](#{}) | {} | {title} |", anchor(code), severities.join(" or "));
        }
    }
    for description in codes::all() {
        let (code, title, explanation) = (description.code, description.title, description.explanation);
        let _ = write!(page, "\n<a id=\"{}\"></a>\n\n## {code}: {title}\n\n{explanation}\n", anchor(code));
        if let Some(example) = examples.get(&code) {
            let _ = write!(page, "\n```text\n{}\n```\n", example.trim_end());
        }
    }
    page
}

/// A link to a code outlives a new wording of its title.
fn anchor(code: Code) -> String {
    code.to_string().to_ascii_lowercase()
}

#[test]
fn the_page_of_labels_is_what_the_schema_says() {
    compare("labels.md", &reference::labels());
}

#[test]
fn the_page_of_diagnostics_is_what_the_codes_say() {
    compare("diagnostics.md", &diagnostics(&examples()));
}
