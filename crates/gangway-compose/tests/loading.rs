//! The loader on files in memory: what is merged, and what becomes a diagnostic.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use gangway_compose::{ComposeSnapshot, Environment, Input, Loader};
use gangway_model::NetworkMode;
use support::MemoryFiles;

/// The parts of a loaded project that the tests look at.
#[derive(Debug)]
struct Loaded {
    /// The labels of Gangway by the container's name.
    labels: BTreeMap<String, Vec<String>>,
    networks: BTreeMap<String, Vec<String>>,
    /// The code and the message of each diagnostic, with the text of its file that it points at.
    diagnostics: Vec<(String, String, String)>,
}

impl Loaded {
    fn labels(&self, container: &str) -> Vec<&str> {
        self.labels.get(container).map(|labels| labels.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    fn messages(&self) -> Vec<&str> {
        self.diagnostics.iter().map(|(_, message, _)| message.as_str()).collect()
    }
}

fn load_with(files: &MemoryFiles, paths: &[&str], variables: &[(&str, &str)]) -> Loaded {
    let mut loader = Loader::new(files);
    let inputs: Vec<_> = paths.iter().map(|path| Input::Path(path.into())).collect();
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let project = loader.project(&inputs, environment).unwrap();
    let diagnostics = loader.take_diagnostics().into_iter().map(|found| {
        let at = &found.span;
        let text = loader.sources().text(at.file)[at.start..at.end].to_owned();
        (found.diagnostic.code.to_string(), found.diagnostic.message, text)
    });
    let diagnostics = diagnostics.collect();
    let compose = ComposeSnapshot::new(&project);
    let mut loaded = Loaded { labels: BTreeMap::new(), networks: BTreeMap::new(), diagnostics };
    for container in compose.snapshot.containers {
        let labels = container.labels.iter().filter(|(key, _)| key.starts_with("gangway."));
        let labels = labels.map(|(key, value)| format!("{key}={value}")).collect();
        loaded.labels.insert(container.name.to_string(), labels);
        let networks = container.attachments.iter().map(|attachment| attachment.network.to_string()).collect();
        loaded.networks.insert(container.name.to_string(), networks);
    }
    loaded
}

fn load(files: &[(&str, &str)], paths: &[&str]) -> Loaded {
    load_with(&MemoryFiles::new(files.iter().copied()), paths, &[])
}

#[test]
fn a_project_is_named_after_its_folder_where_nothing_else_names_it() {
    let service = "services: {web: {labels: {gangway.host: a}}}\n";
    assert_eq!(load(&[("compose.yaml", service)], &["compose.yaml"]).labels("shop-web-1"), ["gangway.host=a"]);
    let named = format!("name: My Store\n{service}");
    assert_eq!(load(&[("compose.yaml", &named)], &["compose.yaml"]).labels("mystore-web-1"), ["gangway.host=a"]);
    let files = MemoryFiles::new([("compose.yaml", named.as_str())]);
    let loaded = load_with(&files, &["compose.yaml"], &[("COMPOSE_PROJECT_NAME", "other")]);
    assert_eq!(loaded.labels("other-web-1"), ["gangway.host=a"]);
}

#[test]
fn a_later_file_wins_over_an_earlier_one() {
    let loaded = load(
        &[
            ("a.yaml", "services:\n  web:\n    labels: {gangway.host: a, gangway.path: /x}\n"),
            ("b.yaml", "services:\n  web:\n    labels:\n      - gangway.host=b\n"),
        ],
        &["a.yaml", "b.yaml"],
    );
    assert_eq!(loaded.labels("shop-web-1"), ["gangway.host=b", "gangway.path=/x"]);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
}

#[test]
fn a_reset_drops_what_earlier_files_say() {
    let loaded = load(
        &[
            ("a.yaml", "services:\n  web:\n    labels: {gangway.host: a, gangway.path: /x}\n  old: {}\n"),
            ("b.yaml", "services:\n  web:\n    labels:\n      gangway.path: !reset null\n  old: !reset null\n"),
        ],
        &["a.yaml", "b.yaml"],
    );
    assert_eq!(loaded.labels.keys().collect::<Vec<_>>(), ["shop-web-1"]);
    assert_eq!(loaded.labels("shop-web-1"), ["gangway.host=a"]);
}

#[test]
fn a_service_has_the_labels_of_the_one_that_it_extends() {
    let loaded = load(
        &[
            (
                "compose.yaml",
                "services:\n  web:\n    extends: {file: base/base.yaml, service: app}\n    labels: {gangway.host: a}\n",
            ),
            ("base/base.yaml", "services:\n  app:\n    label_file: app.labels\n"),
            ("base/app.labels", "gangway.host=base\ngangway.path=/x\n"),
        ],
        &["compose.yaml"],
    );
    assert_eq!(loaded.labels("shop-web-1"), ["gangway.host=a", "gangway.path=/x"]);
}

#[test]
fn services_that_extend_each_other_in_a_circle_are_reported_once_each() {
    let text = "services:\n  a: {extends: b}\n  b: {extends: a}\n";
    let loaded = load(&[("compose.yaml", text)], &["compose.yaml"]);
    let circles = [
        "services extend each other in a circle: `a` extends `b` extends `a`",
        "services extend each other in a circle: `b` extends `a` extends `b`",
    ];
    assert_eq!(loaded.messages(), circles);
}

#[test]
fn an_included_project_has_the_variables_of_its_own_folder() {
    let loaded = load(
        &[
            ("compose.yaml", "include: [other/compose.yaml]\nservices: {web: {}}\n"),
            ("other/compose.yaml", "services:\n  app:\n    labels: [\"gangway.host=${HOST}\"]\n"),
            ("other/.env", "HOST=other.test\n"),
        ],
        &["compose.yaml"],
    );
    assert_eq!(loaded.labels("shop-app-1"), ["gangway.host=other.test"]);
    assert!(loaded.labels.contains_key("shop-web-1"));
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
}

#[test]
fn a_file_that_includes_itself_is_reported_and_read_once() {
    let text = "include: [./compose.yaml]\nservices: {web: {}}\n";
    let loaded = load(&[("compose.yaml", text)], &["compose.yaml"]);
    assert_eq!(loaded.messages(), ["`./compose.yaml` includes itself"]);
    assert_eq!(loaded.diagnostics[0].2, "./compose.yaml");
}

#[test]
fn files_that_include_others_without_end_are_bounded() {
    let nested = (0..300).map(|number| {
        let text = format!("include: [{}.yaml]\nservices: {{s{number}: {{}}}}\n", number + 1);
        (format!("{number}.yaml"), text)
    });
    let loaded = load_with(&MemoryFiles::new(nested), &["0.yaml"], &[]);
    assert_eq!(loaded.labels.len(), 32);
    assert_eq!(loaded.messages().len(), 1);
}

#[test]
fn files_that_include_many_others_are_bounded() {
    let names = (0..300).map(|number| format!("{number}.yaml"));
    let list: String = names.clone().map(|name| format!("- {name}\n")).collect();
    let services = names.enumerate().map(|(number, name)| (name, format!("services: {{s{number}: {{}}}}\n")));
    let files = MemoryFiles::new(services.chain([("compose.yaml".to_owned(), format!("include:\n{list}"))]));
    let loaded = load_with(&files, &["compose.yaml"], &[]);
    assert!(loaded.labels.len() < 256, "{}", loaded.labels.len());
    assert!(loaded.messages().iter().all(|message| message.contains("more than 256 files")), "{loaded:?}");
}

#[test]
fn documents_that_extend_each_other_over_and_over_are_bounded() {
    // Each document has every service, so a chain of twenty would be followed ten to the power of twenty times.
    let services: String =
        (0..20).map(|at| format!("  s{at}: {{extends: {{file: x.yaml, service: s{}}}}}\n", at + 1)).collect();
    let text = format!("services:\n{services}  s20: {{labels: {{gangway.host: a}}}}\n---\n").repeat(10);
    let files = [("compose.yaml", "services: {web: {extends: {file: x.yaml, service: s0}}}\n"), ("x.yaml", &text)];
    let loaded = load(&files, &["compose.yaml"]);
    assert!(loaded.messages().iter().any(|message| message.contains("are extended more than 10000 times")));
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    for (bytes, reason) in
        [(b"services: \xff".to_vec(), "byte 10 is not UTF-8"), (vec![b'#'; 5 * 1024 * 1024], "it is larger than 4 MiB")]
    {
        let files = MemoryFiles::new([("compose.yaml", bytes)]);
        let error = Loader::new(&files).project(&[Input::Path("compose.yaml".into())], Environment::default());
        assert_eq!(error.unwrap_err().to_string(), format!("failed to read compose.yaml: {reason}"));
    }
    let files = MemoryFiles::new::<&str, &str>([]);
    let error = Loader::new(&files).project(&[Input::Path("none.yaml".into())], Environment::default()).unwrap_err();
    assert!(error.error.is_missing(), "{error}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let loaded = load(&[("compose.yaml", "\u{feff}services: {web: {labels: {gangway.host: a}}}\n")], &["compose.yaml"]);
    assert_eq!(loaded.labels("shop-web-1"), ["gangway.host=a"]);
}

#[test]
fn an_unset_variable_in_a_label_points_at_its_reference() {
    let text = "services:\n  web:\n    environment: {PORT: \"80\"}\n    labels:\n      - gangway.host=a.${PORT}\n";
    let loaded = load(&[("compose.yaml", text)], &["compose.yaml"]);
    assert_eq!(loaded.messages(), ["the variable `PORT` is not set"]);
    assert_eq!(loaded.diagnostics[0].2, "${PORT}");
}

#[test]
fn networks_have_the_names_that_the_engine_gives_them() {
    let text = concat!(
        "services:\n  a: {networks: [front, back, none]}\n  b: {}\n",
        "networks:\n  front: {external: true}\n  back: {name: spine}\n",
    );
    let loaded = load(&[("compose.yaml", text)], &["compose.yaml"]);
    assert_eq!(loaded.networks["shop-a-1"], ["spine", "front", "shop_none"]);
    assert_eq!(loaded.networks["shop-b-1"], ["shop_default"]);
    assert_eq!(loaded.messages(), ["the network `none` is not defined"]);
    assert_eq!(loaded.diagnostics[0].2, "none");
}

#[test]
fn a_service_may_borrow_the_network_of_another() {
    let text = "services:\n  a: {network_mode: \"service:b\"}\n  b: {}\n  c: {network_mode: host}\n";
    let files = MemoryFiles::new([("compose.yaml", text)]);
    let mut loader = Loader::new(&files);
    let project = loader.project(&[Input::Path("compose.yaml".into())], Environment::default()).unwrap();
    let containers = ComposeSnapshot::new(&project).snapshot.containers;
    let id = containers[1].id.clone();
    assert_eq!(containers[0].network, NetworkMode::Container(id));
    assert_eq!(containers[2].network, NetworkMode::Host);
}
