//! `gangway check`, the real binary, on one folder of compose files a case.
//!
//! Each folder of `tests/check/` is a case; what was printed, and the exit code, stands beside it. A file
//! `command` in it says otherwise than `gangway check`: lines `NAME=value` set variables, `< file` is
//! standard input, and the line that begins with `check` is the command.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use support::run_case;

/// The cases, in the order of their names.
fn case_folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn every_folder_gives_what_stands_beside_it() {
    let folders = case_folders();
    assert!(folders.len() > 20, "the cases are gone: {folders:?}");
    for folder in folders {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("output", run_case(&folder)));
    }
}

#[test]
fn nothing_stands_in_the_cases_but_cases() {
    for folder in case_folders() {
        let inside: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(inside.iter().any(|path| path.ends_with("output.snap")), "{} has no snapshot", folder.display());
        assert!(!inside.iter().any(|path| path.extension().is_some_and(|kind| kind == "new")), "{}", folder.display());
    }
}

#[test]
fn examples_and_deployments_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("compose.yaml"))
        .filter(|path| path.is_file())
        .collect();
    let deployments = std::fs::read_dir(root.join("deploy")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(deployments.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let folder = file.parent().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let (code, out, err) = support::gangway(folder, &["check", name], &[], None);
        assert_eq!(code, 0, "{}:\n{out}{err}", file.display());
    }
}
