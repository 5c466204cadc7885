//! The reference pages are what the code says.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gangway_model::{Code, reference};

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

#[test]
fn the_page_of_labels_is_what_the_schema_says() {
    compare("labels.md", &reference::labels());
}

#[test]
fn the_page_of_diagnostics_is_what_the_codes_say() {
    compare("diagnostics.md", &reference::diagnostics(&examples()));
}
