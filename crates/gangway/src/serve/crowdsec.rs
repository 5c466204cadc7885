//! The CrowdSec engine of `--crowdsec-url`, and what is wrong with it or its decisions.

use std::convert::Infallible;
use std::future::pending;

use gangway_crowdsec::{Bouncer, DECISIONS_MAX, LapiError, LapiSettings, Outputs, Skipped, Status};
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_proxy::GeoDatabases;
use gangway_publish::{Publisher, Reader};

use super::finding_log::FindingLog;

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

/// Publishes what is wrong, for ever.
pub(super) async fn judge(
    settings: Option<LapiSettings>,
    mut status: Reader<Status>,
    mut geography: Reader<GeoDatabases>,
    mut output: Publisher<Vec<Diagnostic>>,
) -> Infallible {
    let Some(settings) = settings else { return pending().await };
    let mut log = FindingLog::default();
    loop {
        let findings = findings(&settings, &status.load(), &geography.load());
        if log.tell(&findings) {
            output.publish(findings);
        }
        let changed = tokio::select! {
            changed = status.changed() => changed,
            changed = geography.changed() => changed,
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

fn place(flag: &str) -> Place {
    Place::Flag(flag.into())
}

fn unavailable(settings: &LapiSettings, trouble: &LapiError, is_known: bool) -> Diagnostic {
    let file = settings.key_file.display();
    let (flag, help) = match trouble {
        LapiError::Key(_) => {
            ("--crowdsec-key-file", format!("put the key that `cscli bouncers add gangway` prints into `{file}`"))
        }
        LapiError::Refused(_) => (
            "--crowdsec-key-file",
            format!("make a key by `cscli bouncers add gangway`, and put it into `{file}`; `cscli bouncers list` shows those that count"),
        ),
        LapiError::Unreachable(_) => (
            "--crowdsec-url",
            "look whether the engine is up, and whether Gangway shares a network with it; its local API must listen on more \
             than loopback"
                .to_owned(),
        ),
        LapiError::Invalid(_) => {
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
            (LapiError::Key("it is empty".into()), "--crowdsec-key-file", "/run/secrets/crowdsec"),
            (LapiError::Refused(403), "--crowdsec-key-file", "cscli bouncers add"),
            (LapiError::Unreachable("connection refused".into()), "--crowdsec-url", "shares a network"),
            (LapiError::Invalid("500".into()), "--crowdsec-url", "local API"),
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
    fn decisions_that_are_not_in_force_are_named() {
        let skipped = Skipped { unreadable: 2, example: Some("Username:ann".into()), too_many: 3 };
        let status = Status { is_known: true, skipped, names_countries: true, ..Status::default() };
        let messages: Vec<_> = found(&status).into_iter().map(|found| found.message).collect();
        assert_eq!(messages.len(), 3);
        assert!(messages[0].contains("decided by countries") && messages[1].contains("`Username:ann`"), "{messages:?}");
        assert!(messages[2].contains("3 decisions more"), "{messages:?}");
    }
}
