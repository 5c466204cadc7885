//! `gangway migrate`, the real binary, on one folder of compose files for each case, and on real labels.
//!
//! A snapshot in each folder has what is printed. What is printed always passes `gangway check` as a compose file of ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use support::{gangway, run_case};

fn put(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn inside(folder: &str) -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 4, "the cases are gone: {paths:?}");
    paths
}

/// Checks that what is printed is a compose file of ours in which nothing is wrong, and that the tables below it make a
/// configuration file.
fn passes_check(printed: &str, of: &Path) {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("compose.yaml"), printed);
    // Files of variables are named and not printed.
    for file in std::fs::read_dir(of).into_iter().flatten().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "env") {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let (code, out, err) = gangway(folder.path(), &["check"], &[("DOMAIN", "example.org")], None);
    assert_eq!(code, 0, "{}:\n{out}{err}\n{printed}", of.display());
    let theirs = printed.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    assert!(!theirs.clone().any(|line| line.contains("traefik.")), "{}:\n{printed}", of.display());
    let tables = printed.lines().skip_while(|line| !line.contains("for a file that `--config` names"));
    let tables: Vec<&str> = tables.skip(1).map(|line| line.strip_prefix("# ").unwrap_or_default()).collect();
    if !tables.is_empty() {
        put(&folder.path().join("gangway.toml"), &(tables.join("\n") + "\n"));
        let (_, out, err) =
            gangway(folder.path(), &["check", "compose.yaml", "gangway.toml"], &[("DOMAIN", "example.org")], None);
        assert!(!out.contains("error["), "{}:\n{out}{err}\n{printed}", of.display());
    }
}

#[test]
fn every_case_prints_its_snapshot_and_that_passes_check() {
    for folder in inside("migrate") {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("output", run_case(&folder)));
        // Without a compose file there are comments alone.
        if folder.join("compose.yaml").exists() {
            let (_, printed, _) = gangway(&folder, &["migrate"], &[], None);
            passes_check(&printed, &folder);
        }
    }
}

#[test]
fn real_labels_become_ours_and_every_difference_is_named() {
    for file in inside("migrate_real").iter().filter(|path| path.extension().is_some_and(|kind| kind == "yaml")) {
        let folder = file.parent().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let (code, printed, err) = gangway(folder, &["migrate", name], &[], None);
        assert_eq!(code, 0, "{name}: {err}");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.trim_end_matches(".yaml"), printed));
        passes_check(&printed, file);
    }
}

#[test]
fn files_without_anything_of_traefik_or_that_are_broken_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("compose.yaml"), "services:\n  app:\n    image: example/app\n");
    let (code, out, err) = gangway(folder.path(), &["migrate"], &[], None);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("nothing of Traefik"), "{err}");
    put(&folder.path().join("broken.yaml"), "services:\n  app: [\n");
    for (file, why) in [("missing.yaml", "failed to read"), ("broken.yaml", "broken.yaml:")] {
        let (code, out, err) = gangway(folder.path(), &["migrate", file], &[], None);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(why), "{err}");
    }
}
