//! The CrowdSec engine of `--crowdsec-url`, and what is wrong with it or its decisions.

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;

use gangway_crowdsec::{
    AppsecSettings, AppsecStatus, Bouncer, DECISIONS_MAX, EngineError, LapiSettings, Outputs, Skipped, Status,
};
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_proxy::GeoDatabases;
use gangway_publish::{Publisher, Reader};

use crate::finding_log::FindingLog;

/// Follows the decisions, for ever. Without an engine there is nothing to follow, which is published at once.
pub(super) async fn follow(settings: Option<LapiSettings>, bouncer: Bouncer, mut outputs: Outputs) -> Infallible {
    match settings {
        Some(settings) => gangway_crowdsec::follow(settings, bouncer, outputs).await,
        None => {
            outputs.status.publish(Status::default());
            pending().await
        }
    }
}

/// What is known of CrowdSec.
pub(super) struct States {
    pub(super) engine: Reader<Status>,
    pub(super) appsec: Reader<AppsecStatus>,
    pub(super) geography: Reader<GeoDatabases>,
}

/// Publishes what is wrong, for ever.
pub(super) async fn judge(
    settings: Option<LapiSettings>,
    appsec: Option<AppsecSettings>,
    mut states: States,
    mut output: Publisher<Vec<Diagnostic>>,
) -> Infallible {
    let Some(settings) = settings else { return pending().await };
    let mut log = FindingLog::default();
    loop {
        let mut findings = findings(&settings, &states.engine.load(), &states.geography.load());
        if let Some(appsec) = &appsec {
            findings.extend(of_appsec(appsec, &states.appsec.load()));
        }
        if log.tell(&findings) {
            output.publish(findings);
        }
        let changed = tokio::select! {
            changed = states.engine.changed() => changed,
            changed = states.appsec.changed() => changed,
            changed = states.geography.changed() => changed,
        };
        if changed.is_err() {
            return pending().await;
        }
    }
}

fn findings(settings: &LapiSettings, status: &Status, geography: &GeoDatabases) -> Vec<Diagnostic> {
    let unavailable = status.trouble.as_ref().map(|trouble| unavailable(settings, trouble, status.is_known));
    let lacks_countries = status.names_countries && geography.country.is_none();
    let lacks_systems = status.names_autonomous_systems && geography.autonomous_system.is_none();
    let places = (lacks_countries || lacks_systems).then(|| without_places(lacks_countries, lacks_systems));
    unavailable.into_iter().chain(places).chain(skipped(&status.skipped)).collect()
}

/// What is wrong with the web application firewall.
fn of_appsec(settings: &AppsecSettings, status: &AppsecStatus) -> Option<Diagnostic> {
    let trouble = status.trouble.as_ref()?;
    let (flag, help) = match trouble {
        EngineError::Key(_) | EngineError::Refused(_) => ("--crowdsec-key-file", key_help(&settings.key_file, trouble)),
        EngineError::Unreachable(_) => (
            "--crowdsec-appsec-url",
            "look whether AppSec is set up in the engine, and whether Gangway shares a network with it; it must listen on \
             more than loopback: `listen_addr: 0.0.0.0:7422`"
                .to_owned(),
        ),
        EngineError::Invalid(_) => (
            "--crowdsec-appsec-url",
            "look whether the URL is that of AppSec, usually at port 7422, and what its log says".to_owned(),
        ),
    };
    let message = format!("CrowdSec AppSec at `{}` cannot be asked: {trouble}", settings.url);
    let effect =
        "routes with `appsec` answer 503; those with `appsec` `open` let requests in that nobody has looked at";
    Some(Diagnostic::error(codes::APPSEC_UNAVAILABLE, place(flag), message).with_help(help).with_effect(effect))
}

/// What to do about a key that cannot be used, or is refused.
fn key_help(file: &Path, trouble: &EngineError) -> String {
    let file = file.display();
    match trouble {
        EngineError::Refused(_) => format!(
            "make a key by `cscli bouncers add gangway`, and put it into `{file}`; `cscli bouncers list` shows those that count"
        ),
        EngineError::Key(_) | EngineError::Unreachable(_) | EngineError::Invalid(_) => {
            format!("put the key that `cscli bouncers add gangway` prints into `{file}`")
        }
    }
}

fn place(flag: &str) -> Place {
    Place::Flag(flag.into())
}

fn unavailable(settings: &LapiSettings, trouble: &EngineError, is_known: bool) -> Diagnostic {
    let (flag, help) = match trouble {
        EngineError::Key(_) | EngineError::Refused(_) => ("--crowdsec-key-file", key_help(&settings.key_file, trouble)),
        EngineError::Unreachable(_) => (
            "--crowdsec-url",
            "look whether the engine is up, and whether Gangway shares a network with it; its local API must listen on more \
             than loopback"
                .to_owned(),
        ),
        EngineError::Invalid(_) => {
            ("--crowdsec-url", "look whether the URL is that of the engine's local API, usually at port 8080".to_owned())
        }
    };
    let effect = match is_known {
        true => "decisions that were read before stay in force until they end; new ones are not known",
        false => "nobody is kept out yet; routes with `crowdsec` that are not `open` are closed: they answer 503",
    };
    Diagnostic::error(
        codes::CROWDSEC_UNAVAILABLE,
        place(flag),
        format!("the CrowdSec engine at `{}` cannot be asked: {trouble}", settings.url),
    )
    .with_help(help)
    .with_effect(effect)
}

fn without_places(lacks_countries: bool, lacks_systems: bool) -> Diagnostic {
    let (what, file) = match (lacks_countries, lacks_systems) {
        (true, true) => ("countries and AS numbers", "GeoLite2-Country.mmdb"),
        (true, false) => ("countries", "GeoLite2-Country.mmdb"),
        (false, _) => ("AS numbers", "GeoLite2-ASN.mmdb"),
    };
    let message = format!("CrowdSec has decided by {what}, and no file of `--geoip` tells those of clients");
    Diagnostic::warning(codes::CROWDSEC_DECISIONS, place("--geoip"), message)
        .with_help(format!("name such a file, such as `--geoip /geoip/{file}`"))
        .with_effect(
            "these decisions keep nobody out; routes with `crowdsec` that are not `open` answer 503 to clients of whom \
             nothing else is decided",
        )
}

fn skipped(skipped: &Skipped) -> impl Iterator<Item = Diagnostic> {
    let Skipped { unreadable, example, too_many } = skipped;
    let unreadable = (*unreadable > 0).then(|| {
        let example = example.as_deref().unwrap_or_default();
        let message = format!("{unreadable} decisions of CrowdSec cannot be applied, such as `{example}`");
        Diagnostic::warning(codes::CROWDSEC_DECISIONS, place("--crowdsec-url"), message)
            .with_help(
                "decide about addresses, networks, countries (`FR`) or AS numbers (`64500`), for a time such as `4h`",
            )
            .with_effect("these keep nobody out; all others are in force")
    });
    let too_many = (*too_many > 0).then(|| {
        let message = format!("CrowdSec has {too_many} decisions more than the {DECISIONS_MAX} that are kept");
        Diagnostic::warning(codes::CROWDSEC_DECISIONS, place("--crowdsec-url"), message)
            .with_help("subscribe to fewer lists")
            .with_effect("those that came last keep nobody out")
    });
    unreadable.into_iter().chain(too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: &Status) -> Vec<Diagnostic> {
        let settings = LapiSettings { url: "http://crowdsec:8080".into(), key_file: "/run/secrets/crowdsec".into() };
        findings(&settings, status, &GeoDatabases::default())
    }

    #[test]
    fn every_trouble_names_a_place_a_fix_and_what_stays_in_force() {
        for (trouble, flag, help) in [
            (EngineError::Key("it is empty".into()), "--crowdsec-key-file", "/run/secrets/crowdsec"),
            (EngineError::Refused(403), "--crowdsec-key-file", "cscli bouncers add"),
            (EngineError::Unreachable("connection refused".into()), "--crowdsec-url", "shares a network"),
            (EngineError::Invalid("500".into()), "--crowdsec-url", "local API"),
        ] {
            for (is_known, effect) in [(true, "stay in force"), (false, "answer 503")] {
                let found = found(&Status { trouble: Some(trouble.clone()), is_known, ..Status::default() });
                assert_eq!((found.len(), found[0].code), (1, codes::CROWDSEC_UNAVAILABLE));
                assert_eq!(found[0].place, place(flag));
                assert!(found[0].help.contains(help) && found[0].effect.contains(effect), "{:?}", found[0]);
            }
        }
        assert!(found(&Status { is_known: true, ..Status::default() }).is_empty());
    }

    #[test]
    fn every_trouble_of_the_firewall_names_a_place_a_fix_and_what_becomes_of_requests() {
        let settings = AppsecSettings { url: "http://crowdsec:7422".into(), key_file: "/run/secrets/crowdsec".into() };
        for (trouble, flag, help) in [
            (EngineError::Key("it is empty".into()), "--crowdsec-key-file", "/run/secrets/crowdsec"),
            (EngineError::Refused(401), "--crowdsec-key-file", "cscli bouncers add"),
            (EngineError::Unreachable("connection refused".into()), "--crowdsec-appsec-url", "listen_addr"),
            (EngineError::Invalid("500".into()), "--crowdsec-appsec-url", "7422"),
        ] {
            let found = of_appsec(&settings, &AppsecStatus { trouble: Some(trouble) }).expect("a finding");
            assert_eq!((found.code, &found.place), (codes::APPSEC_UNAVAILABLE, &place(flag)));
            assert!(found.help.contains(help) && found.effect.contains("503"), "{found:?}");
        }
        assert!(of_appsec(&settings, &AppsecStatus::default()).is_none());
    }

    #[test]
    fn decisions_that_are_not_in_force_are_named() {
        let skipped = Skipped { unreadable: 2, example: Some("Username:ann".into()), too_many: 3 };
        let status = Status { is_known: true, skipped, names_countries: true, ..Status::default() };
        let messages: Vec<_> = found(&status).into_iter().map(|found| found.message).collect();
        assert_eq!(messages.len(), 3);
        assert!(messages[0].contains("decided by countries") && messages[1].contains("`Username:ann`"), "{messages:?}");
        assert!(messages[2].contains("3 decisions more"), "{messages:?}");
    }
}
