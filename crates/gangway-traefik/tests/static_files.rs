//! Every form of a static configuration: what is in force, and what is said about the rest.
//!
//! The fixtures named like behaviours of Traefik are the static parts of what was recorded from it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gangway_traefik::{AcmeStorage, Source, StaticReading, is_command_line, model_settings, read_static};
use proptest::prelude::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn read(file: &Path) -> StaticReading {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    match file.extension().unwrap().to_str().unwrap() {
        "flags" => read_static(&lines.map(str::to_owned).collect::<Vec<_>>(), &[], &[]),
        "env" => {
            let variables = lines.map(|line| line.split_once('=').unwrap());
            let variables: Vec<_> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            read_static(&[], &variables, &[])
        }
        _ => read_static(&[format!("--configFile={}", file.display())], &[], &[]),
    }
}

fn shown(reading: &StaticReading) -> String {
    let mut shown = String::new();
    let StaticReading { config, in_force, without_effect, diagnostics, .. } = reading;
    write!(shown, "in force: {in_force}, without effect: {without_effect}\n{config:#?}\n\n{diagnostics}").unwrap();
    shown.replace(&format!("{}/", fixtures().display()), "")
}

#[test]
fn every_fixture_gives_what_it_gave() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|end| ["yml", "toml", "flags", "env"].iter().any(|known| end == *known))
    });
    files.sort();
    assert!(files.len() > 50, "{}", files.len());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        insta::with_settings!({ snapshot_path => fixtures(), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, shown(&read(&file)));
        });
    }
}

#[test]
fn the_three_forms_of_one_configuration_are_one() {
    let [flags, variables] = ["form-flags.flags", "form-env.env"].map(|name| read(&fixtures().join(name)));
    assert_eq!(flags.config, variables.config);
    assert_eq!((flags.source, variables.source), (Some(Source::Flags), Some(Source::Variables)));
    // The resolver of the recorded case stands outside of its static part, and trust of entry points comes later.
    assert!(flags.diagnostics.iter().all(|found| matches!(found.code.0, 601 | 602)), "{}", flags.diagnostics);
    assert!(flags.config.entry_points.values().any(|entry| entry.trusts_all || !entry.trusted.is_empty()));
}

/// A list of what becomes of each option is made of these, by the names that the user knows.
#[test]
fn each_option_that_is_in_force_is_given_once_as_it_was_written() {
    let written = |reading: &StaticReading| {
        reading.given.iter().map(|option| format!("{:?} {}", option.setting, option.written)).collect::<Vec<_>>()
    };
    let flags = [
        "--EntryPoints.Web.address=:80",
        "--ping=false",
        "--ping.entryPoint=web",
        "--api=true",
        "--nope=1",
        "--entrypoints.web.transport.respondingtimeouts.readtimeout=0",
    ];
    assert_eq!(
        written(&read_static(&flags.map(str::to_owned), &[], &[])),
        [
            "EntryPointAddress --EntryPoints.Web.address",
            "Api --api",
            "ReadTimeout --entrypoints.web.transport.respondingtimeouts.readtimeout",
        ]
    );
    let variables = [
        "TRAEFIK_ENTRYPOINTS_WEB_FORWARDEDHEADERS_TRUSTEDIPS_0",
        "TRAEFIK_ENTRYPOINTS_WEB_FORWARDEDHEADERS_TRUSTEDIPS_1",
    ];
    let variables = variables.map(|name| (name.to_owned(), "192.0.2.1".to_owned()));
    assert_eq!(
        written(&read_static(&[], &variables, &[])),
        ["ForwardedTrustedIps TRAEFIK_ENTRYPOINTS_WEB_FORWARDEDHEADERS_TRUSTEDIPS"]
    );
    let file = read(&fixtures().join("a-file-of-today.yml"));
    assert_eq!(
        file.given
            .iter()
            .filter(|option| option.names.iter().any(|name| **name == *"websecure"))
            .map(|option| &*option.written)
            .collect::<Vec<_>>(),
        [
            "entryPoints.websecure.forwardedHeaders.trustedIPs",
            "entryPoints.websecure.http.tls.certResolver",
            "entryPoints.websecure.http.tls.domains[0].main",
            "entryPoints.websecure.http.tls.domains[0].sans",
            "entryPoints.websecure.http.middlewares",
        ]
    );
}

#[test]
fn the_first_source_counts_and_the_others_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        std::io::Write::write_all(&mut std::fs::File::create(folder.path().join(name)).unwrap(), text.as_bytes())
            .unwrap();
    };
    put("traefik.yml", "entryPoints: {a: {address: ':1'}}\n");
    let (flags, variables) =
        (["--entrypoints.b.address=:2".to_owned()], [("TRAEFIK_ENTRYPOINTS_C_ADDRESS".to_owned(), ":3".to_owned())]);
    let names = |reading: &StaticReading| {
        reading.config.entry_points.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let folders = [folder.path().to_owned()];
    let codes = |reading: &StaticReading| reading.diagnostics.iter().map(|found| found.code.0).collect::<Vec<_>>();
    let all = read_static(&flags, &variables, &folders);
    assert_eq!((names(&all), codes(&all)), ("a".into(), vec![605, 605]));
    assert_eq!(all.source, Some(Source::File(folder.path().join("traefik.yml"))));
    let without_file = read_static(&flags, &variables, &[]);
    assert_eq!((names(&without_file), codes(&without_file)), ("b".into(), vec![605]));
    assert_eq!(names(&read_static(&[], &variables, &[])), "c");
    // Traefik prefers TOML.
    put("traefik.toml", "[entryPoints.t]\naddress = ':4'\n");
    assert_eq!(names(&read_static(&[], &[], &folders)), "t");
    put("traefik.toml", "[entryPoints.t\n");
    let broken = read_static(&flags, &[], &folders);
    assert_eq!((names(&broken), codes(&broken)), ("http".into(), vec![605, 603]));
    let missing = read_static(&["--configfile=/nowhere/traefik.yml".to_owned(), flags[0].clone()], &[], &[]);
    assert_eq!((names(&missing), codes(&missing)), ("b".into(), vec![603]));
    let nothing = read_static(&[], &[], &[]);
    assert_eq!((nothing.source.clone(), names(&nothing)), (None, "http".into()));
}

#[test]
fn what_the_dialect_needs_follows_from_it() {
    let reading = read(&fixtures().join("form-flags.flags"));
    let settings = model_settings(&reading.config, "host", Vec::new(), &|_| None);
    let [web, websecure] = settings.entry_points.as_slice() else { panic!("{settings:?}") };
    let redirection = web.redirection.as_ref().unwrap();
    assert!(web.is_default && websecure.is_default);
    assert_eq!((&*redirection.scheme, redirection.port, redirection.is_permanent), ("https", 443, true));
    assert_eq!(redirection.priority, i64::MAX - 1);
    let tls = websecure.tls.as_ref().unwrap();
    assert_eq!(tls.resolver.as_deref(), Some("le"));
    let [domain] = tls.domains.as_slice() else { panic!("{tls:?}") };
    assert_eq!(
        (&*domain.main, domain.sans.as_slice()),
        ("example.com", ["*.example.com".into(), Box::from("x.test")].as_slice())
    );
    assert_eq!(domain.names().collect::<Vec<_>>(), ["example.com", "*.example.com", "x.test"]);
    assert!(!settings.exposed_by_default);
}

#[test]
fn domains_of_an_entry_point_are_those_of_one_certificate_each() {
    let flag = |text: &str| format!("--entrypoints.websecure.http.tls.domains{text}");
    let flags = ["[1].sans=www.b.test", "[0].main=a.test", "[1].main=b.test"].map(flag);
    let config = read_static(&flags, &[], &[]).config;
    let domains = &config.entry_points.values().next().unwrap().tls.as_ref().unwrap().domains;
    let names: Vec<Vec<&str>> = domains.iter().map(|domain| domain.names().collect()).collect();
    assert_eq!(names, [vec!["a.test"], vec!["b.test", "www.b.test"]]);
}

#[test]
fn a_misspelt_option_that_protects_closes_what_it_protects() {
    let read = |flag: &str| read_static(&[flag.to_owned()], &[], &[]).config;
    for flag in ["--providers.docker.exposeByDefault=false", "--providers.docker.exposedByDefault=maybe"] {
        assert!(!read(flag).docker.unwrap().exposed_by_default, "{flag}");
    }
    let config = read("--entrypoints.web.http.middleware=auth@file");
    assert_eq!(config.entry_points.values().next().unwrap().middlewares, [Box::from("unreadable@internal")]);
}

#[test]
fn the_entry_point_of_traefiks_own_pages_is_no_default_and_one_of_udp_is_no_listener() {
    let flags =
        ["--entrypoints.web.address=:80", "--entrypoints.traefik.address=:9000", "--entrypoints.dns.address=:53/udp"];
    let settings =
        model_settings(&read_static(&flags.map(str::to_owned), &[], &[]).config, "host", Vec::new(), &|_| None);
    let points: Vec<_> = settings.entry_points.iter().map(|one| (one.name.to_string(), one.is_default)).collect();
    assert_eq!(points, [("traefik".to_owned(), false), ("web".to_owned(), true)]);
}

#[test]
fn a_command_line_with_an_option_of_traefik_is_one_of_traefik() {
    for (argument, is_of_traefik) in [
        ("--configFile=/etc/traefik/traefik.yml", true),
        ("--configfile", true),
        ("--providers.docker", true),
        ("--config=/data/gangway.toml", false),
        ("serve", false),
    ] {
        assert_eq!(is_command_line([argument]), is_of_traefik, "{argument}");
    }
}

#[test]
fn a_certificate_for_no_name_is_none() {
    let [chain, key] = ["LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"];
    let of = |main: &str| {
        let text = format!(
            r#"{{"le":{{"Certificates":[{{"domain":{{"main":"{main}"}},"certificate":"{chain}","key":"{key}"}}]}}}}"#
        );
        let storage = AcmeStorage::parse(&text).unwrap();
        (storage.resolvers[0].certificates.len(), storage.unreadable)
    };
    assert_eq!((of("a.test"), of("")), ((1, 0), (0, 1)));
}

proptest! {
    #[test]
    fn nothing_written_in_flags_panics(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "--", "-", "entrypoints", ".", "web", "address", "=", ":80", "[0]", "[", "]", "http.tls.domains", "providers.docker",
                "true", "false", "\n", "ü", "certificatesresolvers.le.acme", "acme.email", "experimental.plugins", "trustedips", ",",
                "api", "[99999999999999999999]", "/udp", "log.level",
            ]),
            0..30,
        )
    ) {
        let arguments: Vec<String> = words.concat().split('\n').map(str::to_owned).collect();
        let reading = read_static(&arguments, &[], &[]);
        for found in &reading.diagnostics {
            prop_assert!(!found.effect.is_empty() && !found.help.is_empty(), "{}", found);
            prop_assert!(found.text.get(found.span.start..found.span.end).is_some(), "{:?}", found);
        }
        let variables: Vec<(String, String)> =
            arguments.iter().map(|word| (format!("TRAEFIK_{}", word.replace('.', "_")), word.clone())).collect();
        let _ = read_static(&[], &variables, &[]);
    }
}

#[test]
fn the_default_rule_brings_the_variables_that_it_asks_for() {
    let rule = "--providers.docker.defaultrule=Host(`{{ .Name }}.{{ env \"DOMAIN\" }}`) || Host(`{{env `OTHER`}}.{{ env \"GONE\" }}`)";
    let reading = read_static(&[rule.to_owned()], &[], &[]);
    let variable = |name: &str| (name != "GONE").then(|| format!("{name}.example").to_lowercase());
    let settings = model_settings(&reading.config, "host", Vec::new(), &variable);
    let variables: Vec<_> = settings.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(variables, [("DOMAIN", "domain.example"), ("OTHER", "other.example")]);
}
