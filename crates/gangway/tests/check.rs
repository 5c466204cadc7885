//! `gangway check`, the real binary, on one folder of compose files for each case.
//!
//! Each folder of `tests/check/` is a case, and a snapshot in it has the output and the exit code. The command is
//! `gangway check`, except where a file `command` names another: its lines `NAME=value` set variables, `< file` is
//! standard input, `cd folder` goes to a folder below, and the line that begins with `check` is the command.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use support::run_case;

/// The folders of all cases, in the order of their names.
fn case_folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn every_case_prints_its_snapshot() {
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
fn every_case_has_a_snapshot_and_no_pending_one() {
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
        if folder.ends_with("traefik-stack") {
            // A slip that its page is about.
            assert_eq!((code, out.matches("[G").count()), (1, 1), "{out}{err}");
            assert!(out.contains("did you mean `letsencrypt`?"), "{out}");
            continue;
        }
        assert_eq!(code, 0, "{}:\n{out}{err}", file.display());
    }
}

/// The objects of SARIF 2.1.0 that are written, by their path, with the properties that the schema requires and those
/// that it allows beside them.
const SARIF: &[(&str, &[&str], &[&str])] = &[
    ("", &["version", "runs"], &["$schema"]),
    ("runs", &["tool"], &["columnKind", "results"]),
    ("runs.tool", &["driver"], &[]),
    ("runs.tool.driver", &["name"], &["version", "rules"]),
    ("runs.tool.driver.rules", &["id"], &["shortDescription", "fullDescription", "help"]),
    ("runs.tool.driver.rules.shortDescription", &["text"], &[]),
    ("runs.tool.driver.rules.fullDescription", &["text"], &[]),
    ("runs.tool.driver.rules.help", &["text"], &[]),
    ("runs.results", &["message"], &["ruleId", "ruleIndex", "level", "locations"]),
    ("runs.results.message", &["text"], &[]),
    ("runs.results.locations", &[], &["physicalLocation"]),
    ("runs.results.locations.physicalLocation", &["artifactLocation"], &["region"]),
    ("runs.results.locations.physicalLocation.artifactLocation", &["uri"], &[]),
    ("runs.results.locations.physicalLocation.region", &["startLine"], &["startColumn", "endLine", "endColumn"]),
];

fn assert_sarif(path: &str, value: &serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let (_, required, allowed) = SARIF.iter().find(|(known, ..)| *known == path).expect(path);
            assert!(required.iter().all(|key| object.contains_key(*key)), "{path}: {object:?}");
            for (key, inner) in object {
                assert!(required.contains(&key.as_str()) || allowed.contains(&key.as_str()), "{path} has {key}");
                assert_sarif(format!("{path}.{key}").trim_start_matches('.'), inner);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_sarif(path, item)),
        Value::Number(number) => {
            let least = if path.ends_with("ruleIndex") { 0 } else { 1 };
            assert!(number.as_u64().is_some_and(|number| number >= least), "{path}: {number}");
        }
        Value::String(text) => match path.rsplit('.').next().unwrap_or_default() {
            "level" => assert!(["none", "note", "warning", "error"].contains(&text.as_str()), "{text}"),
            "columnKind" => assert_eq!(text, "unicodeCodePoints"),
            "version" if path == "version" => assert_eq!(text, "2.1.0"),
            "uri" => {
                assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte)), "{text}");
            }
            _ => assert!(!text.is_empty(), "{path} is empty"),
        },
        other => panic!("{path}: {other}"),
    }
}

#[test]
fn sarif_follows_its_schema() {
    let mut results = 0;
    for folder in case_folders() {
        // A case with a command is about the names of files, or reads standard input.
        if folder.join("command").exists() {
            continue;
        }
        let (code, out, err) = support::gangway(&folder, &["check", "--format", "sarif"], &[], None);
        if code == 2 {
            continue;
        }
        assert_eq!(err, "", "{}", folder.display());
        let log: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_sarif("", &log);
        let run = &log["runs"][0];
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"], "{}", folder.display());
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let place = |line: &str, column: &str| (region[line].as_u64().unwrap(), region[column].as_u64().unwrap());
            assert!(place("startLine", "startColumn") <= place("endLine", "endColumn"), "{region}");
            results += 1;
        }
    }
    assert!(results > 50, "{results} results only");
}

#[test]
fn no_form_of_a_report_shows_a_secret() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/traefik-secrets");
    for form in ["text", "json", "sarif", "github"] {
        let (code, out, err) = support::gangway(&folder, &["check", "--format", form], &[], None);
        assert_eq!(code, 1, "{err}");
        assert!(out.contains("hub.token"), "{out}");
        assert!(!out.contains("hunter2"), "{form}: {out}");
    }
}
