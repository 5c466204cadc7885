//! Properties of the loader: no text makes it panic, and every diagnostic lies inside its file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gangway_compose::{ComposeSnapshot, Environment, Input, Loader, service_sets};
use gangway_model::{Settings, compile};
use proptest::prelude::*;
use support::MemoryFiles;

/// Loads and compiles the files, and checks the place of each diagnostic.
fn load(files: &MemoryFiles) {
    let mut loader = Loader::new(files);
    let environment = loader.environment_with_file(&Environment::default(), ".env".as_ref()).unwrap();
    let project = loader.project(&[Input::Path("compose.yaml".into())], environment.clone()).unwrap();
    let mut found = loader.take_diagnostics();
    let sets = service_sets(&project, &environment);
    let snapshots = sets.iter().map(|set| ComposeSnapshot::of_services(&project, set));
    for compose in snapshots.chain([ComposeSnapshot::new(&project)]) {
        let compiled = compile(&compose.snapshot, &Settings::default());
        if let Some(start) = loader.start() {
            found.extend(
                compiled
                    .diagnostics
                    .iter()
                    .filter_map(|diagnostic| compose.locate(loader.sources(), diagnostic, &start)),
            );
        }
    }
    for diagnostic in &found {
        let at = &diagnostic.span;
        assert!(loader.sources().text(at.file).get(at.start..at.end).is_some(), "outside of its file: {diagnostic:?}");
    }
}

/// Parts of compose files, so that most texts get further than the first line.
fn compose_file() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "services:\n",
        "  web:\n",
        "  app: &app\n",
        "  app2: *app\n",
        "    <<: *app\n",
        "    labels:\n",
        "      - gangway.host=ü.${A:-x}\n",
        "      gangway.host: \"\\u0041 ${A}\"\n",
        "      gangway.rule: >-\n        Host(`a`) &&\n        Path(`/🦀`)\n",
        "      gangway.rule: 'Host(`it''s`)'\n",
        "    extends: web\n",
        "    extends: {file: other.yaml, service: app}\n",
        "    extends: {file: compose.yaml, service: web}\n",
        "include: [other.yaml]\n",
        "include: [{path: [other.yaml, compose.yaml], env_file: .env}]\n",
        "    env_file: .env\n",
        "    label_file: [.env, none]\n",
        "    ports: [\"80:8080\", {target: 1, published: \"2\"}, 1-90]\n",
        "    profiles: [a, ${A}]\n",
        "    networks: [n, default]\n",
        "networks: {n: {external: true}, m: }\n",
        "    network_mode: service:app\n",
        "    deploy: {labels: {gangway.host: x}}\n",
        "    image: gangway\n",
        "    command: serve --http \":80\" '\n",
        "    volumes: [a:/data:ro, /b]\n",
        "    labels: !reset null\n",
        "    ports: !override [1]\n",
        "---\n",
        "\r\n",
        "\t",
        "      - $$ $ ${ ${A:?x} }\n",
        "name: ${A}\n",
        "A=\"b\\n${A}\n",
        "\u{0}",
        "\u{2028}",
    ]);
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_set_of_files_is_loaded(compose in compose_file(), other in compose_file(), variables in compose_file()) {
        load(&MemoryFiles::new([("compose.yaml", &*compose), ("other.yaml", &*other), (".env", &*variables)]));
    }

    #[test]
    fn any_text_is_loaded(text in any::<String>()) {
        load(&MemoryFiles::new([("compose.yaml", &*text), (".env", &*text)]));
    }
}
