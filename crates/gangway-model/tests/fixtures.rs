//! Labels → table and diagnostics: every file of `fixtures/` against the snapshot beside it.

mod common;

use std::collections::BTreeMap;

use gangway_diagnostic::{Code, Severity, codes};

/// Codes of what is not found in labels: other crates have their tests.
fn is_of_others(code: Code) -> bool {
    // What all ask for together is too much for a file; `bounds.rs` asks for it. Lists of users, pages and keys are on the
    // volume, OpenID providers in the config file, and databases of places are files of their own.
    let elsewhere = [
        codes::CLIENTS_OF_GATEWAY,
        codes::ADDRESSES_OF_GATEWAY,
        codes::APP_SETTING_MISSING,
        codes::ALTERNATIVES_IN_ALL_TOO_MANY,
        codes::USER_LIST,
        codes::ERROR_PAGE_MISSING,
        codes::OIDC_PROVIDER,
        codes::OIDC_UNAVAILABLE,
        codes::OIDC_KEYS,
        codes::OIDC_SESSIONS,
        codes::OIDC_OPEN,
        codes::GEOIP_FILE,
        codes::GEOIP_KIND_MISSING,
        codes::GEOIP_FILE_UNUSED,
        codes::CROWDSEC_UNAVAILABLE,
        codes::CROWDSEC_DECISIONS,
        codes::APPSEC_UNAVAILABLE,
    ];
    let is_of_certificates = matches!(code.0, 501..540 | 543..550);
    // The static configuration of Traefik has a crate of its own.
    let is_of_traefik = matches!(code.0, 600..700);
    elsewhere.contains(&code) || is_of_certificates || is_of_traefik || code.0 >= 900
}

#[test]
fn every_fixture_gives_what_stands_beside_it() {
    for (name, text) in common::fixtures() {
        let (snapshot, settings) = common::read(&text);
        let compiled = common::compiled(&snapshot, &settings);
        insta::with_settings!({
            snapshot_path => common::folder(),
            prepend_module_to_snapshot => false,
            omit_expression => true,
            description => text.lines().next().unwrap_or_default().trim_start_matches("# "),
        }, {
            insta::assert_snapshot!(name, common::shown(&compiled));
        });
    }
}

#[test]
fn every_snapshot_belongs_to_a_fixture() {
    let names: Vec<String> = common::fixtures().into_iter().map(|(name, _)| name).collect();
    for file in std::fs::read_dir(common::folder()).expect("the folder of fixtures") {
        let path = file.expect("a file").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "new") {
            // What a failed run leaves for looking at.
            continue;
        }
        assert!(names.contains(&stem), "{} belongs to no fixture", path.display());
    }
}

#[test]
fn every_code_has_a_fixture() {
    let mut found: BTreeMap<Code, String> = BTreeMap::new();
    for (name, text) in common::fixtures() {
        let (snapshot, settings) = common::read(&text);
        for diagnostic in &gangway_model::compile(&snapshot, &settings).diagnostics {
            let description = codes::find(diagnostic.code);
            let is_listed = |severities: &[Severity]| severities.contains(&diagnostic.severity);
            assert!(
                description.is_some_and(|description| is_listed(description.severities)),
                "{} in {name} is not listed as {}",
                diagnostic.code,
                diagnostic.severity
            );
            found.entry(diagnostic.code).or_insert_with(|| name.clone());
        }
    }
    let missing: Vec<_> = codes::all()
        .filter(|text| !is_of_others(text.code) && !found.contains_key(&text.code))
        .map(|text| format!("{} {}", text.code, text.title))
        .collect();
    assert!(missing.is_empty(), "without a fixture: {missing:#?}");
}

#[test]
fn every_diagnostic_is_complete() {
    for (name, text) in common::fixtures() {
        let (snapshot, settings) = common::read(&text);
        for found in &gangway_model::compile(&snapshot, &settings).diagnostics {
            let shown = found.to_string();
            assert!(!found.effect.is_empty() && !found.help.is_empty(), "{name}: {shown}");
            for clause in [&found.message, &found.note, &found.effect] {
                assert!(!clause.ends_with('.') && !clause.contains("  "), "{name}: {shown}");
            }
            assert!(!found.message.starts_with(char::is_uppercase) || found.message.contains('('), "{name}: {shown}");
            assert!(found.span.start <= found.span.end && found.span.end <= found.text.len(), "{name}: {shown}");
            assert!(
                found.text.is_char_boundary(found.span.start) && found.text.is_char_boundary(found.span.end),
                "{name}"
            );
            assert!(shown.lines().all(|line| line.chars().count() < 400), "{name}: {shown}");
        }
    }
}
