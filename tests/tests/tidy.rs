//! What the repository promises about itself: who may depend on whom, what lies where, what is not written.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use gangway_tests::diagrams::{self, Message};
use gangway_tests::modules;
use gangway_tests::process::output;
use gangway_tests::root;

/// Which of our crates each crate may depend on. A new edge needs a decision record.
const EDGES: &[(&str, &[&str])] = &[
    ("gangway-diagnostic", &[]),
    ("gangway-model", &["gangway-diagnostic"]),
    ("gangway-compose", &["gangway-diagnostic", "gangway-model"]),
    ("gangway-traefik", &["gangway-compose", "gangway-diagnostic", "gangway-model"]),
    ("gangway-publish", &[]),
    ("gangway-tls", &["gangway-publish"]),
    ("gangway-watcher", &["gangway-diagnostic", "gangway-model", "gangway-publish"]),
    ("gangway-http-client", &[]),
    ("gangway-acme", &["gangway-diagnostic", "gangway-http-client", "gangway-publish", "gangway-tls"]),
    ("gangway-certs", &["gangway-acme", "gangway-diagnostic", "gangway-publish", "gangway-tls"]),
    ("gangway-oidc", &["gangway-http-client"]),
    ("gangway-crowdsec", &["gangway-http-client", "gangway-model", "gangway-publish"]),
    ("gangway-otlp", &["gangway-http-client"]),
    (
        "gangway-proxy",
        &["gangway-crowdsec", "gangway-model", "gangway-oidc", "gangway-otlp", "gangway-publish", "gangway-tls"],
    ),
    ("gangway-admin", &["gangway-diagnostic", "gangway-model", "gangway-publish", "gangway-tls"]),
    (
        "gangway",
        &[
            "gangway-acme",
            "gangway-admin",
            "gangway-certs",
            "gangway-compose",
            "gangway-crowdsec",
            "gangway-diagnostic",
            "gangway-http-client",
            "gangway-model",
            "gangway-oidc",
            "gangway-otlp",
            "gangway-proxy",
            "gangway-publish",
            "gangway-tls",
            "gangway-traefik",
            "gangway-watcher",
        ],
    ),
    ("gangway-testkit", &[]),
];

/// Foreign crates that only one of ours may name.
const OWNED: &[(&str, &str)] = &[
    ("arc-swap", "gangway-publish"),
    ("bollard", "gangway-watcher"),
    ("dns-update", "gangway-acme"),
    ("instant-acme", "gangway-acme"),
    ("jsonwebtoken", "gangway-oidc"),
    ("maud", "gangway-admin"),
    ("maxminddb", "gangway-proxy"),
    ("ppp", "gangway-proxy"),
    ("prost", "gangway-otlp"),
    ("quick_cache", "gangway-proxy"),
    ("pingora", "gangway-proxy"),
    ("pingora-core", "gangway-proxy"),
    ("pingora-error", "gangway-proxy"),
    ("pingora-http", "gangway-proxy"),
    ("pingora-proxy", "gangway-proxy"),
    ("clap", "gangway"),
    ("saphyr-parser", "gangway-compose"),
];

/// Everything that may lie at the root, beside dotfiles.
const ROOT: &[&str] =
    &["Cargo.toml", "Cargo.lock", "LICENSE", "Makefile", "README.md", "crates", "deploy", "docs", "examples", "tests"];

fn tracked() -> Vec<String> {
    let root = root();
    let listed = output("git", ["-C", &root.to_string_lossy(), "ls-files", "-co", "--exclude-standard"]);
    listed.lines().filter(|file| root.join(file).exists()).map(str::to_owned).collect()
}

fn read(file: &str) -> String {
    String::from_utf8_lossy(&fs::read(root().join(file)).unwrap()).into_owned()
}

fn rust_files() -> Vec<String> {
    tracked().into_iter().filter(|file| file.ends_with(".rs")).collect()
}

fn dependencies(name: &str, section: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&format!("crates/{name}/Cargo.toml")).parse().unwrap();
    let table = manifest.get(section).and_then(toml::Value::as_table);
    table.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

/// The lines in question, each with its file, or nothing.
fn lines_with(files: &[String], is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in read(file).lines().enumerate() {
            if is_bad(line) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn crates_depend_only_inwards() {
    let on_disk: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(on_disk, listed, "a crate without a place in the map");
    for (name, allowed) in EDGES {
        for dependency in dependencies(name, "dependencies") {
            if dependency.starts_with("gangway") {
                assert!(allowed.contains(&dependency.as_str()), "`{name}` must not depend on `{dependency}`");
            }
        }
    }
}

#[test]
fn the_lock_file_holds_nothing_that_is_banned() {
    let rules: toml::Table = read(".deny.toml").parse().unwrap();
    let banned: Vec<&str> =
        rules["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap()).collect();
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(&name), "`{name}` is banned, see .deny.toml");
        let source = package.get("source").and_then(toml::Value::as_str);
        let is_known =
            source.is_none_or(|source| source.starts_with("registry+https://github.com/rust-lang/crates.io-index"));
        assert!(is_known, "`{name}` comes from {source:?}");
    }
}

/// The fuzz targets are no members of the workspace, so no other build notices.
#[test]
fn the_lock_file_of_the_fuzz_targets_names_the_dependencies_of_our_crates() {
    let lock: toml::Table = read("tests/fuzz/Cargo.lock").parse().unwrap();
    let ours = |package: &&toml::Value| package.get("source").is_none() && package["name"] != "gangway-fuzz".into();
    for package in lock["package"].as_array().unwrap().iter().filter(ours) {
        let name = package["name"].as_str().unwrap();
        let locked = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
        // A version follows the name where there are several.
        let locked: BTreeSet<&str> = locked.filter_map(|text| text.as_str()?.split(' ').next()).collect();
        let asked = dependencies(name, "dependencies");
        let missing: Vec<&String> = asked.iter().filter(|name| !locked.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{name} in tests/fuzz/Cargo.lock lacks {missing:?}");
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        let gone: Vec<&&str> = locked.iter().filter(|name| !manifest.contains(**name)).collect();
        assert!(gone.is_empty(), "{name} in tests/fuzz/Cargo.lock still has {gone:?}");
    }
}

#[test]
fn the_testkit_is_never_shipped() {
    for (name, _) in EDGES {
        for section in ["dependencies", "build-dependencies"] {
            assert!(!dependencies(name, section).contains("gangway-testkit"), "`{name}` ships the testkit");
        }
    }
}

#[test]
fn foreign_crates_are_named_only_by_their_owner() {
    for (name, _) in EDGES {
        let all = dependencies(name, "dependencies");
        for (foreign, owner) in OWNED {
            // Parts of the testkit stand in for what such a crate talks to.
            let is_stand_in = *name == "gangway-testkit";
            assert!(
                name == owner || is_stand_in || !all.contains(*foreign),
                "only `{owner}` may use `{foreign}`, not `{name}`"
            );
        }
    }
}

#[test]
fn the_model_and_its_diagnostics_are_pure() {
    let impure = ["tokio", "tracing", "log", "futures", "hyper", "bollard", "serde_json", "async-trait"];
    let pure = ["gangway-diagnostic", "gangway-model"];
    for name in pure {
        let used = dependencies(name, "dependencies");
        let found: Vec<_> = impure.iter().filter(|name| used.contains(**name)).collect();
        assert!(found.is_empty(), "`{name}` depends on {found:?}");
    }
    let is_pure = |file: &String| pure.iter().any(|name| file.starts_with(&format!("crates/{name}/src/")));
    let files: Vec<String> = rust_files().into_iter().filter(is_pure).collect();
    let worldly =
        ["std::fs", "std::env", "std::process", "TcpStream", "SystemTime", "Instant::now", "async fn", "println!"];
    let found = lines_with(&files, |line| {
        !line.trim_start().starts_with("//") && worldly.iter().any(|word| line.contains(word))
    });
    assert!(found.is_empty(), "a pure crate touches the world:\n{}", found.join("\n"));
}

#[test]
fn the_loader_of_compose_files_does_not_touch_the_world() {
    let files: Vec<String> =
        rust_files().into_iter().filter(|file| file.starts_with("crates/gangway-compose/src/")).collect();
    assert!(!files.is_empty(), "the crate has moved");
    let worldly = ["std::fs", "std::env", "std::process", "canonicalize(", "is_file(", "is_dir(", "println!"];
    let found = lines_with(&files, |line| {
        !line.trim_start().starts_with("//") && worldly.iter().any(|word| line.contains(word))
    });
    assert!(found.is_empty(), "the loader of compose files touches the world:\n{}", found.join("\n"));
}

#[test]
fn pingora_is_pinned() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let shared = manifest["workspace"]["dependencies"].as_table().unwrap();
    for (name, value) in shared.iter().filter(|(name, _)| name.starts_with("pingora")) {
        let version = value.as_str().or_else(|| value.get("version")?.as_str()).unwrap();
        assert_eq!(version, "=0.9.1", "`{name}`");
    }
}

#[test]
fn pingora_is_named_in_one_folder() {
    const FOLDER: &str = "crates/gangway-proxy/src/upstream/http2/";
    let names = |line: &str| {
        let foreign = OWNED.iter().map(|(name, _)| name).filter(|name| name.starts_with("pingora"));
        !line.trim_start().starts_with("//") && foreign.clone().any(|name| is_named(line, name))
    };
    let (inside, outside): (Vec<String>, Vec<String>) =
        rust_files().into_iter().partition(|file| file.starts_with(FOLDER));
    let found = lines_with(&outside, names);
    assert!(found.is_empty(), "Pingora is named outside `{FOLDER}`:\n{}", found.join("\n"));
    assert!(!lines_with(&inside, names).is_empty(), "the folder has moved, or Pingora has gone");
}

#[test]
fn the_root_holds_only_what_a_reader_needs() {
    let entries: BTreeSet<String> = tracked().iter().map(|file| file.split('/').next().unwrap().to_owned()).collect();
    let strays: Vec<_> =
        entries.iter().filter(|name| !name.starts_with('.') && !ROOT.contains(&name.as_str())).collect();
    assert!(strays.is_empty(), "not agreed at the root: {strays:?}");
    let missing: Vec<_> = ROOT.iter().filter(|name| !entries.contains(**name)).collect();
    assert!(missing.is_empty(), "missing at the root: {missing:?}");
}

#[test]
fn every_source_file_says_why_it_is_here() {
    let silent: Vec<_> = rust_files()
        .into_iter()
        .filter(|file| !file.contains("/fuzz_targets/") && !read(file).starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "no `//!` on the first line: {silent:#?}");
}

#[test]
fn nothing_is_left_open() {
    // Put together here, or this file would find itself.
    let open: Vec<String> =
        [("TO", "DO"), ("FIX", "ME"), ("#[ign", "ore"), ("todo", "!("), ("unimpl", "emented!("), ("XX", "X:")]
            .iter()
            .map(|(first, second)| format!("{first}{second}"))
            .collect();
    let files: Vec<String> =
        tracked().into_iter().filter(|file| !file.ends_with(".lock") && !file.starts_with("docs/decisions")).collect();
    let found = lines_with(&files, |line| open.iter().any(|word| line.contains(word.as_str())));
    assert!(found.is_empty(), "left open:\n{}", found.join("\n"));
}

#[test]
fn no_test_waits_by_the_clock() {
    let wait = format!("{}{}", "sle", "ep(");
    let files: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| file.contains("/tests/") || file.ends_with("tests.rs") || file.starts_with("tests/"))
        .collect();
    let found = lines_with(&files, |line| line.contains(&wait));
    assert!(found.is_empty(), "wait for a condition instead:\n{}", found.join("\n"));
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let paths = [format!("/{}/", "work"), format!("/{}/", "farm"), format!("/{}/", "root/.cargo")];
    let files: Vec<String> = tracked().into_iter().filter(|file| !file.ends_with(".lock")).collect();
    let found = lines_with(&files, |line| paths.iter().any(|path| line.contains(path.as_str())));
    assert!(found.is_empty(), "paths of one machine:\n{}", found.join("\n"));
}

#[test]
fn make_lists_its_targets_and_the_documentation_names_them() {
    let makefile = read("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).expect("targets are declared");
    let written: String = tracked().iter().filter(|file| file.ends_with(".md")).map(|file| read(file)).collect();
    for target in phony.split_whitespace() {
        assert!(makefile.contains(&format!("\n{target}: ## ")), "`make help` does not list `{target}`");
        assert!(written.contains(&format!("make {target}")) || target == "help", "no page mentions `make {target}`");
    }
}

#[test]
fn continuous_integration_calls_make_and_nothing_else() {
    let run = read(".ci/run");
    let calls: Vec<&str> = run.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    assert_eq!(calls, ["set -euo pipefail", "cd \"$(dirname \"$0\")/..\"", "exec make test"]);
}

#[test]
fn the_plain_compose_file_stays_short() {
    assert!(read("deploy/compose.yaml").lines().count() <= 20);
}

/// The texts of these keys, wherever they stand.
fn texts_of(value: &serde_json::Value, keys: &[&str], found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
            Some(text) if keys.contains(&key.as_str()) => found.push(text.to_owned()),
            _ => texts_of(value, keys, found),
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts_of(item, keys, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    texts_of(&dashboard, &["expr", "query"], &mut queries);
    assert!(queries.len() > 20, "the queries are read: {queries:?}");
    let code: String = rust_files().iter().filter(|file| file.contains("/src/")).map(|file| read(file)).collect();
    let page = read("docs/reference/api.md");
    let is_there = |name: &str| code.contains(&format!("\"{name}\"")) && page.contains(&format!("`{name}`"));
    for query in queries {
        let names = query.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let names: Vec<&str> = names.filter(|word| word.starts_with("gangway_")).collect();
        assert!(!names.is_empty() || query == "prometheus", "`{query}` asks for nothing of ours");
        for name in names {
            // The parts of a histogram.
            let whole = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            assert!(is_there(name) || whole.is_some_and(is_there), "`{name}` in `{query}` is no metric of ours");
        }
    }
}

#[test]
fn no_deployment_gives_privileges() {
    let files: Vec<String> = tracked()
        .into_iter()
        .filter(|file| {
            file.starts_with("deploy/compose") || (file.starts_with("examples/") && file.contains("compose"))
        })
        .collect();
    let found = lines_with(&files, |line| {
        let line = line.trim();
        !line.starts_with('#') && (line.starts_with("privileged: true") || line.contains("SYS_ADMIN"))
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
    for file in files.iter().filter(|file| file.starts_with("deploy/")) {
        let text = read(file);
        let services = text.matches("    image: ").count();
        for wish in ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"] {
            assert_eq!(text.matches(wish).count(), services, "`{file}` must say `{wish}` for each service");
        }
    }
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let mut numbers: Vec<PathBuf> =
        tracked().into_iter().filter(|file| file.starts_with("docs/decisions/")).map(PathBuf::from).collect();
    numbers.sort();
    for (at, file) in numbers.iter().enumerate() {
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(name.starts_with(&format!("{:04}-", at + 1)), "`{name}` should have number {:04}", at + 1);
    }
}

/// The names of dependencies with the table of a manifest that they stand in.
fn named_dependencies(manifest: &toml::Table) -> Vec<(&'static str, String)> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let names = |section| {
        let table = manifest.get(section).and_then(toml::Value::as_table);
        table.into_iter().flat_map(toml::Table::keys).map(move |name| (section, name.clone()))
    };
    sections.into_iter().flat_map(names).collect()
}

/// Whether code names a crate: by a path into it, or by importing the crate itself.
fn is_named(code: &str, dependency: &str) -> bool {
    // The only package whose library has another name.
    let name = if dependency == "md-5" { "md5".to_owned() } else { dependency.replace('-', "_") };
    code.match_indices(&name).any(|(at, _)| {
        let is_whole = !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let behind = &code[at + name.len()..];
        is_whole && [":", ";", " as "].iter().any(|next| behind.starts_with(next))
    })
}

#[test]
fn every_dependency_is_used() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let shared = workspace["workspace"]["dependencies"].as_table().unwrap();
    let mut unused_by_all: BTreeSet<&str> = shared.keys().map(String::as_str).collect();
    let mut unused = Vec::new();
    for folder in EDGES.iter().map(|(name, _)| format!("crates/{name}")).chain(["tests".to_owned()]) {
        let code = |parts: &[&str]| -> String {
            let is_part = |file: &&String| parts.iter().any(|part| file.starts_with(&format!("{folder}/{part}")));
            rust_files().iter().filter(is_part).map(|file| read(file)).collect()
        };
        // The crate `tests` is for tests alone, so all of its dependencies are ordinary ones.
        let shipped = if folder == "tests" { code(&["src/", "tests/"]) } else { code(&["src/", "build.rs"]) };
        let with_tests = code(&["src/", "build.rs", "tests/", "examples/", "benches/"]);
        let manifest: toml::Table = read(&format!("{folder}/Cargo.toml")).parse().unwrap();
        for (section, dependency) in named_dependencies(&manifest) {
            unused_by_all.remove(&*dependency);
            let code = if section == "dev-dependencies" { &with_tests } else { &shipped };
            if !is_named(code, &dependency) {
                unused.push(format!("`{dependency}` in [{section}] of {folder}/Cargo.toml"));
            }
        }
    }
    assert!(unused.is_empty(), "no code names {unused:#?}");
    assert!(unused_by_all.is_empty(), "no crate depends on {unused_by_all:?}");
}

/// The files of a module such as `watcher/reading`: it may be a file, a folder, or a crate.
fn files_of(module: &str) -> Vec<String> {
    let (name, inside) = module.split_once('/').unwrap_or((module, ""));
    let name = if name == "gangway" { name.to_owned() } else { format!("gangway-{name}") };
    let place = format!("crates/{name}/src/{inside}");
    let place = place.trim_end_matches('/');
    rust_files()
        .into_iter()
        .filter(|file| *file == format!("{place}.rs") || file.starts_with(&format!("{place}/")))
        .collect()
}

#[test]
fn the_diagrams_of_the_architecture_name_what_there_is() {
    /// Participants that are no code of ours.
    const OUTSIDE: &[&str] = &["engine", "client", "endpoint", "authority", "volume"];
    let (names, messages) = diagrams::read(&read("docs/architecture.md"));
    assert!(names.len() > 10 && messages.len() > 20, "the diagrams are read");
    let all: String = rust_files().iter().filter(|file| file.contains("/src/")).map(|file| read(file)).collect();
    for name in names.iter().filter(|name| !OUTSIDE.contains(&name.as_str())) {
        assert!(!files_of(name).is_empty(), "there is no module `{name}`");
    }
    for Message { to, text } in &messages {
        let there: String = files_of(to).iter().map(|file| read(file)).collect();
        for function in diagrams::functions(text) {
            assert!(there.contains(&format!("fn {function}")), "`{to}` has no function `{function}`");
        }
        for name in diagrams::types(text) {
            let is_there =
                ["struct", "enum", "trait", "type"].iter().any(|kind| all.contains(&format!("{kind} {name}")));
            assert!(is_there, "there is no type `{name}`");
        }
    }
}

#[test]
fn the_files_that_the_guidance_names_exist() {
    let tracked = tracked();
    for page in ["docs/architecture.md", "docs/CONTRIBUTING.md", "docs/SECURITY.md"] {
        let text = read(page);
        let named = text.split('`').skip(1).step_by(2).filter(|word| {
            ["crates/", "tests/", "docs/", "deploy/", "examples/", ".ci/"].iter().any(|top| word.starts_with(top))
        });
        for name in named {
            let is_there = tracked
                .iter()
                .any(|file| file == name || file.starts_with(&format!("{}/", name.trim_end_matches('/'))));
            assert!(is_there, "{page} names `{name}`, which does not exist");
        }
    }
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let mut circles = Vec::new();
    // The test kit is not shipped.
    for (name, _) in EDGES.iter().filter(|(name, _)| *name != "gangway-testkit") {
        let src = format!("crates/{name}/src/");
        let files: BTreeMap<String, String> = rust_files()
            .into_iter()
            .filter_map(|file| Some((file.strip_prefix(&src)?.to_owned(), read(&file))))
            .collect();
        let arrows = modules::arrows(&files);
        circles.extend(modules::circles(&arrows).iter().map(|circle| format!("{name}: {}", circle.join(" "))));
    }
    assert!(circles.is_empty(), "move what they share into a module below them:\n{}", circles.join("\n"));
}

/// The words of the glossary's last column: each means the same as another one that is used instead.
fn words_not_used() -> Vec<String> {
    let page = read("docs/architecture.md");
    let glossary = page.split("\n## Glossary\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = glossary.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| word "));
    let words = rows.flat_map(|row| row.split('|').nth(3).unwrap().split(',')).map(|word| word.trim().to_lowercase());
    words.filter(|word| !word.is_empty()).collect()
}

/// The prose of a line: a page's whole line, a source's comment.
fn prose(file: &str, line: &str) -> String {
    let text = if file.ends_with(".md") { line } else { line.split_once("//").map_or("", |(_, comment)| comment) };
    text.to_lowercase()
}

/// The lines of all comments and pages in which one of the words stands.
fn prose_with(words: &[impl AsRef<str>]) -> Vec<String> {
    let is_in = |text: &str, word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + word.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
    };
    let files = tracked().into_iter().filter(|file| file.ends_with(".rs") || file.ends_with(".md"));
    let files = files.filter(|file| file != "docs/architecture.md" && !file.starts_with("tests/tests/tidy"));
    files
        .flat_map(|file| {
            lines_with(std::slice::from_ref(&file), |line| {
                let text = prose(&file, line);
                words.iter().any(|word| is_in(&text, word.as_ref()))
            })
        })
        .collect()
}

#[test]
fn one_thing_has_one_word() {
    let words = words_not_used();
    assert!(words.len() > 5, "the glossary is read: {words:?}");
    let found = prose_with(&words);
    assert!(found.is_empty(), "the glossary has another word for it:\n{}", found.join("\n"));
}

#[test]
fn comments_are_plain() {
    // Each of these makes a sentence that has to be read twice, or a person of a machine.
    let mut found = prose_with(&["whoever", "anybody", "none of ours", "is told", "are told", "so long", "so often"]);
    found.retain(|line| line.contains(".rs:"));
    assert!(found.is_empty(), "say it plainly, subject first:\n{}", found.join("\n"));
}
