//! Plug-ins, by what they are known to do.

use std::sync::Arc;

use gangway_diagnostic::{Finding, codes, quoted};

use super::super::tree::{Node, Options};
use super::super::values;
use super::reading::{Features, Reading};
use crate::address_filter::{AddressEntry, AddressFilter, ClientEntry, ClientList};
use crate::geography::CountryCode;
use crate::label::whole;
use crate::reputation::OnDoubt;
use crate::route::Middleware;
use crate::spec::Without;

/// What a plug-in does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plugin {
    /// It keeps out whom CrowdSec has banned.
    Crowdsec,
    /// It lets in clients by their country.
    Geoblock,
    /// It protects nothing; this happens without it.
    Harmless(&'static str),
    /// Nobody knows.
    Unknown,
}

/// Plug-ins that protect nothing, by a part of their names.
const HARMLESS: [(&str, &str); 6] = [
    ("sablier", "applications are not started when they are asked for; let them run"),
    ("rewritebody", "answers of the application are passed on as they are"),
    ("rewrite-body", "answers of the application are passed on as they are"),
    ("themepark", "the application has its own looks"),
    ("cloudflarewarp", "`forwardedHeaders.trustedIPs` of the entry point says whose forwarded fields count"),
    ("real-ip", "`forwardedHeaders.trustedIPs` of the entry point says whose forwarded fields count"),
];

impl Plugin {
    /// The plug-in that a configuration calls by a name.
    pub(super) fn named(name: &str, features: Features<'_>) -> Self {
        let module = features.plugins.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        // Without a module its name is all there is, and Traefik would not serve the router.
        let text = module.map_or(name, |(_, module)| module).to_ascii_lowercase();
        let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        match last {
            "bouncer" => Self::Crowdsec,
            _ if last.contains("crowdsec") => Self::Crowdsec,
            _ if last.contains("geoblock") => Self::Geoblock,
            _ => HARMLESS
                .iter()
                .find(|(part, _)| last.contains(part))
                .map_or(Self::Unknown, |(_, instead)| Self::Harmless(instead)),
        }
    }

    /// What becomes of routers whose plug-in cannot be replaced.
    pub(super) fn without(self) -> Without {
        match self {
            Self::Crowdsec | Self::Geoblock | Self::Unknown => Without::Closed,
            Self::Harmless(_) => Without::Served,
        }
    }

    /// Our own steps in its place. The finding says why there are none.
    pub(super) fn steps<'s>(
        self,
        node: &Node<'s>,
        features: Features<'_>,
        reading: &mut Reading<'_, 's>,
    ) -> Result<Vec<Middleware>, Finding> {
        let options = node.options();
        let finding = |help: &str| {
            let message = format!("plug-in {} is not built into Gangway", quoted(node.name));
            whole(codes::TRAEFIK_MIDDLEWARE, message, "", help)
        };
        match self {
            Self::Crowdsec if !features.crowdsec => {
                Err(finding("start Gangway with `--crowdsec-url` and `--crowdsec-key-file`, which does what it does"))
            }
            Self::Crowdsec => Ok(crowdsec(&options, features, reading)),
            Self::Geoblock if !features.geoip => Err(finding("start Gangway with `--geoip`, which tells countries")),
            Self::Geoblock => Ok(geoblock(&options, reading)),
            Self::Harmless(instead) => Err(finding(instead).warning()),
            Self::Unknown => Err(finding("what it would have done is not known; take it out of the router")),
        }
    }
}

/// The engine and its key are settings of Gangway, so nothing else of it counts.
fn crowdsec<'s>(options: &Options<'_, 's>, features: Features<'_>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    if reading.problems.read(options, "enabled", values::boolean) == Some(false) {
        return Vec::new();
    }
    let mut steps = vec![Middleware::Crowdsec(OnDoubt::Close)];
    if reading.problems.read(options, "crowdsecappsecenabled", values::boolean) == Some(true) {
        steps.push(Middleware::Appsec(OnDoubt::Close));
        if !features.appsec {
            let help = "start Gangway with `--crowdsec-appsec-url`";
            reading.problems.add(options.node.first, values::invalid("no firewall is there to be asked", help));
        }
    }
    steps
}

/// The options of the plug-ins of this kind in use.
fn geoblock<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut countries = |name| {
        let mut countries = Vec::new();
        for (mark, text) in options.list(name) {
            let code = CountryCode::of(&text.to_ascii_uppercase());
            let code = code.ok_or_else(|| values::invalid("not a country", "write two letters such as `DE`"));
            countries.extend(reading.problems.take(mark, code));
        }
        countries
    };
    let (listed, allowed, blocked) =
        (countries("countries"), countries("allowedcountries"), countries("blockedcountries"));
    let mut is_on = |name| reading.problems.read(options, name, values::boolean) == Some(true);
    let blocks = is_on("blacklistmode");
    let lets_in_lan = is_on("allowlocalrequests") || is_on("allowprivate");
    if is_on("allowunknowncountries") || is_on("defaultallow") {
        let help = "write `gangway.allow` with the countries";
        reading
            .problems
            .add(options.node.first, values::invalid("clients of unknown countries cannot be let in", help));
    }
    let (allowed, blocked) =
        if blocks { (allowed, [blocked, listed].concat()) } else { ([allowed, listed].concat(), blocked) };
    if allowed.is_empty() && blocked.is_empty() {
        reading.problems.add(options.node.first, values::invalid("no country is named", "add `countries`"));
    }
    let lan = lets_in_lan.then_some(ClientEntry::Address(AddressEntry::Lan));
    let allow = (!allowed.is_empty()).then(|| ClientList::of(allowed.into_iter().map(ClientEntry::Country).chain(lan)));
    let deny = ClientList::of(blocked.into_iter().map(ClientEntry::Country));
    vec![Middleware::AddressFilter(Arc::new(AddressFilter { allow, deny, ..AddressFilter::default() }))]
}
