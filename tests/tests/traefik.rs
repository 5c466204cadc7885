//! Traefik's labels and configuration: each recorded request is answered as by Traefik, or in the way that the guide names.

use std::collections::BTreeSet;
use std::sync::Arc;

use gangway_tests::docker::Docker;
use gangway_tests::{recorded, root};

fn cases() -> Vec<recorded::Case> {
    let file = root().join("tests/traefik/recorded.json");
    let text = std::fs::read_to_string(file).expect("the repository has it");
    serde_json::from_str(&text).expect("it is what the reader takes")
}

#[test]
fn recorded_requests_are_answered_as_by_traefik() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let cases: Vec<_> = cases().into_iter().filter(|case| case.id.contains(&only)).collect();
    let outcome = gangway_tests::run(async {
        let docker = Arc::new(Docker::shared());
        recorded::run(docker, cases).await
    });
    println!("figure: requests that Traefik answered, asked again of Gangway: {}", outcome.steps);
    let count = outcome.differences.len();
    assert!(outcome.differences.is_empty(), "{count} differ:\n{}", outcome.differences.join("\n"));
}

#[test]
fn the_guide_names_every_deliberate_difference() {
    let guide = std::fs::read_to_string(root().join("docs/guides/from-traefik.md")).expect("the repository has it");
    let reasons: BTreeSet<String> = cases()
        .into_iter()
        .flat_map(|case| case.steps)
        .filter_map(|step| step.differs)
        .map(|differs| differs.why)
        .collect();
    let missing: Vec<_> = reasons.iter().filter(|reason| !guide.contains(&format!("| {reason} |"))).collect();
    assert!(missing.is_empty(), "the guide does not name: {missing:?}");
}
