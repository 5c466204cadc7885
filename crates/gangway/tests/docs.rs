//! Every output that a page shows is compared with the real output.
//!
//! - A `console` block is what a case of `tests/check/` or `tests/migrate/` printed, named by `<!-- check: CASE -->` or
//!   `<!-- migrate: CASE -->` before it.
//! - A block after `<!-- file: PATH -->` is in that file, word for word.
//! - Any other `yaml` block passes `gangway check`.
//! - Every relative link leads to a file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{gangway, run_case};

/// A fenced block of a page.
struct Block {
    page: PathBuf,
    line: usize,
    language: String,
    /// `(kind, argument)` of the comment before it.
    mark: Option<(String, String)>,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Pages written by hand that are tracked or not ignored.
fn pages() -> Vec<PathBuf> {
    let mut listing = Command::new("git");
    listing.current_dir(root()).args(["ls-files", "-co", "--exclude-standard", "docs", "examples", "README.md"]);
    let listed = String::from_utf8(listing.output().unwrap().stdout).unwrap();
    let pages = listed.lines().filter(|file| file.ends_with(".md") && !file.starts_with("docs/reference/"));
    pages.map(|file| root().join(file)).filter(|file| file.exists()).collect()
}

fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|page| blocks_of(page)).collect()
}

fn blocks_of(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut lines = text.lines().enumerate();
    let (mut found, mut mark) = (Vec::new(), None);
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(comment) = trimmed.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            mark = comment.split_once(": ").map(|(kind, argument)| (kind.to_owned(), argument.to_owned()));
        } else if let Some(language) = trimmed.strip_prefix("```") {
            let inner = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.trim_start().starts_with("```"));
            let text = inner.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect();
            let mark = mark.take();
            found.push(Block { page: page.to_owned(), line: number + 1, language: language.to_owned(), mark, text });
        } else if !trimmed.is_empty() {
            mark = None;
        }
    }
    found
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page.strip_prefix(root()).unwrap().display(), self.line)
    }

    fn marked(&self, kind: &str) -> Option<&str> {
        self.mark.as_ref().filter(|(found, _)| found == kind).map(|(_, argument)| argument.as_str())
    }
}

#[test]
fn shown_commands_print_what_is_shown() {
    let mut seen = 0;
    for block in blocks().iter().filter(|block| block.language == "console") {
        let case = ["check", "migrate"].into_iter().find_map(|kind| Some(Path::new(kind).join(block.marked(kind)?)));
        let case = case.unwrap_or_else(|| panic!("{} shows what nothing checks", block.place()));
        let printed = run_case(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(case));
        assert!(printed.contains(&block.text), "{} is not what is printed:\n{printed}", block.place());
        seen += 1;
    }
    assert!(seen > 0, "no page shows a command any more");
}

#[test]
fn shown_files_are_as_shown() {
    let mut seen = 0;
    for block in blocks() {
        let Some(file) = block.marked("file") else { continue };
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&block.text), "{} is not in {file}", block.place());
        seen += 1;
    }
    assert!(seen > 0, "no page shows a file any more");
}

#[test]
fn shown_labels_pass_check() {
    for block in blocks().iter().filter(|block| block.language == "yaml" && block.mark.is_none()) {
        let text = if block.text.contains("services:") {
            block.text.clone()
        } else {
            let labels: String = block.text.lines().map(|line| format!("    {line}\n")).collect();
            format!("services:\n  app:\n    image: example/app\n{labels}")
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compose.yaml");
        std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
        let (code, out, err) = gangway(folder.path(), &["check"], &[], None);
        assert_eq!(code, 0, "{}:\n{out}{err}", block.place());
    }
}

#[test]
fn other_files_and_tables_are_marked() {
    // The names in diagrams are checked by tidy.
    let known = ["console", "yaml", "toml", "sh", "mermaid", ""];
    for block in blocks() {
        assert!(known.contains(&block.language.as_str()), "{}: `{}`", block.place(), block.language);
        assert!(block.language != "toml" || block.mark.is_some(), "{} shows what nothing checks", block.place());
    }
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if link.contains("://") || path.is_empty() {
                continue;
            }
            assert!(page.parent().unwrap().join(path).exists(), "{}: `{link}`", page.display());
        }
    }
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let record = std::fs::read_to_string(root().join("docs/decisions/0002-dependencies.md")).unwrap();
    let shared = manifest["workspace"]["dependencies"].as_table().unwrap();
    for name in shared.keys().filter(|name| !name.starts_with("gangway")) {
        assert!(record.contains(&format!("`{name}`")), "`{name}` is not in docs/decisions/0002-dependencies.md");
    }
}
