//! Findings about names and CAs: the CA's own words, the likely cause, and a remedy.
//!
//! A finding stops nothing: the CA's verdict decides, and a hint is only a hint.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gangway_diagnostic::{Code, Diagnostic, Place, Severity, codes};

use crate::clock::{date, moment};
use crate::directory::Directory;
use crate::directory_url::DirectoryUrl;
use crate::failure::{Failure, FailureKind};
use crate::http::ApiRootError;
use crate::schedule::{CaState, NameState, OrderRefusal, Schedule};
use gangway_tls::UnixTime;

/// The largest error of our clock that is not reported, in seconds. A larger one makes certificates look invalid,
/// or soon will.
const CLOCK_ERROR_MAX: i64 = 60;

/// The state of the certificate for a wanted name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NameView {
    /// The time of the next order.
    pub next: Option<UnixTime>,
    /// The window that the CA suggests for the next order.
    pub window: Option<(UnixTime, UnixTime)>,
    /// The current problem, as one clause.
    pub trouble: Option<Box<str>>,
}

/// The state from which findings are derived.
pub(crate) struct FindingInput<'a, Damages> {
    pub(crate) wanted: Vec<&'a str>,
    pub(crate) schedule: &'a Schedule,
    pub(crate) states: &'a BTreeMap<Box<str>, NameState>,
    pub(crate) cas: &'a HashMap<DirectoryUrl, CaState>,
    /// The number of CAs that may be asked.
    pub(crate) cas_max: usize,
    /// The directory of each CA.
    pub(crate) known: BTreeMap<DirectoryUrl, Directory>,
    /// The certificate profile to ask for.
    pub(crate) profile: Option<&'a str>,
    pub(crate) storage_error: Option<&'a str>,
    /// The certificate that clients get for a name that has none of its own, in words.
    pub(crate) without_certificate: &'a str,
    pub(crate) unsaved: &'a BTreeMap<Box<str>, String>,
    pub(crate) damages: Damages,
}

/// Returns one view for each wanted name, and all findings.
pub(crate) fn tell<'a>(
    input: &FindingInput<'a, impl Iterator<Item = &'a Diagnostic> + Clone>,
    now: UnixTime,
) -> (BTreeMap<Box<str>, NameView>, Vec<Diagnostic>) {
    let mut findings: Vec<Diagnostic> = input.damages.clone().cloned().collect();
    let mut names = BTreeMap::new();
    let mut told = BTreeSet::new();
    for name in input.wanted.iter().copied() {
        let certificate = input.schedule.served_by.get(name).map_or(name, |certificate| &**certificate);
        let state = input.states.get(certificate);
        let next = input.schedule.due.get(certificate).copied();
        let stored = state.and_then(|state| state.stored.as_ref());
        let renewal = state.and_then(|state| state.history.renewal.as_ref());
        let mut finding = input
            .schedule
            .refused
            .get(name)
            .or_else(|| input.schedule.refused.get(certificate))
            .map(|refusal| refused(name, *refusal));
        if finding.is_none() {
            finding = state.and_then(|state| failed(certificate, state, next, input.without_certificate, now));
        }
        if stored.is_some_and(|stored| stored.directory.is_staging()) {
            findings.push(staging(name));
        }
        let trouble = finding.as_ref().map(|finding| finding.message.as_str().into());
        names.insert(
            name.into(),
            NameView {
                next,
                window: renewal
                    .filter(|renewal| {
                        stored.and_then(|stored| stored.id.as_ref()).is_some_and(|id| id.to_string() == *renewal.id)
                    })
                    .map(|renewal| (renewal.start, renewal.end)),
                trouble,
            },
        );
        // One wildcard may serve a hundred names; its trouble is reported once.
        if let Some(finding) = finding
            && told.insert((finding.code, certificate))
        {
            findings.push(finding);
        }
    }
    let others = input.cas_max.saturating_sub(1);
    findings.extend(input.cas.iter().filter_map(|(directory, ca)| unwilling(directory, ca, others, now)));
    for (url, directory) in &input.known {
        findings.extend(directory.clock_error.and_then(|error| clock(url, error)));
        findings.extend(input.profile.and_then(|profile| without_profile(url, directory, profile)));
    }
    findings.extend(input.storage_error.map(|error| storage(error, input.unsaved)));
    (names, findings)
}

fn failed(
    name: &str,
    state: &NameState,
    next: Option<UnixTime>,
    without_certificate: &str,
    now: UnixTime,
) -> Option<Diagnostic> {
    let (directory, attempts) = state
        .history
        .attempts
        .iter()
        .filter(|(_, attempts)| attempts.last.is_some())
        .max_by_key(|(_, attempts)| attempts.next)?;
    let failure = attempts.last.as_ref().filter(|failure| failure.kind != FailureKind::Interrupted)?;
    let stored = state.stored.as_ref().filter(|stored| stored.bundle.is_valid_at(now));
    let again =
        next.filter(|next| *next > now).map(|next| format!("; tried again at {}", moment(next))).unwrap_or_default();
    let effect = match stored {
        Some(stored) => format!("the certificate in force is served until {}{again}", date(stored.bundle.not_after)),
        None if state.stored.is_some() => format!("an expired certificate is served{again}"),
        None => format!("{}{again}", without_certificate),
    };
    // A renewal that fails leaves time; a name without a certificate does not.
    let severity = if stored.is_some() { Severity::Warning } else { Severity::Error };
    let message = format!("{} gave no certificate for `{name}`: {}", directory.issuer_name(), failure.detail);
    Some(
        Diagnostic::new(severity, code(failure.kind), Place::Name(name.into()), message)
            .with_help(help(failure))
            .with_effect(effect),
    )
}

fn code(kind: FailureKind) -> Code {
    match kind {
        FailureKind::Connection => codes::CA_CANNOT_CONNECT,
        FailureKind::WrongAnswer => codes::CA_REACHED_ANOTHER,
        FailureKind::Dns => codes::NAME_NOT_RESOLVED,
        FailureKind::Caa => codes::CAA_FORBIDS,
        FailureKind::RateLimited => codes::CA_RATE_LIMITED,
        FailureKind::Rejected => codes::NAME_REJECTED_BY_CA,
        FailureKind::Account => codes::ACME_ACCOUNT_REFUSED,
        FailureKind::DnsProvider => codes::DNS_PROVIDER_FAILED,
        FailureKind::NoChallenge => codes::ACME_CHALLENGE_MISSING,
        FailureKind::Busy | FailureKind::Unreachable => codes::CA_UNREACHABLE,
        FailureKind::Storage => codes::VOLUME_UNUSABLE,
        FailureKind::Confused | FailureKind::Interrupted => codes::ACME_ORDER_FAILED,
    }
}

fn help(failure: &Failure) -> String {
    let detail = failure.detail.to_ascii_lowercase();
    let text = match failure.kind {
        FailureKind::Connection if detail.contains("secondary validation") => {
            "the CA looks from several countries, and one of them was kept out: allow all addresses to port 80 and 443"
        }
        FailureKind::Connection if detail.contains('[') || detail.contains("ipv6") => {
            "the CA prefers the name's IPv6 address: remove the AAAA record, or make gangway reachable by IPv6"
        }
        FailureKind::Connection => {
            "make port 80 and 443 reachable from the internet: look at the name's A and AAAA records, the router's port \
             forwarding, the firewall, and the ports that gangway's container publishes. Behind a carrier's NAT use DNS-01"
        }
        FailureKind::WrongAnswer if detail.contains("cloudflare") || detail.contains("cf-ray") => {
            "a CDN answers for the name: set the record to `DNS only`, or use DNS-01"
        }
        FailureKind::WrongAnswer => {
            "somebody else answers for the name: compare its A and AAAA records with this machine's public address, and \
             look for another web server, a CDN or a router's own page on port 80 and 443"
        }
        FailureKind::Dns if detail.contains("nxdomain") || detail.contains("no valid") => {
            "make an A or AAAA record for the name that leads here"
        }
        FailureKind::Dns if detail.contains("dnssec") || detail.contains("servfail") => {
            "the domain's own name servers fail, or its DNSSEC is broken: ask its registrar"
        }
        FailureKind::Dns => "look at the name's records and its domain's name servers",
        FailureKind::Caa => "add the CA to the domain's CAA record, or remove the record",
        FailureKind::RateLimited if detail.contains("paused") => {
            "the CA has paused the name after many failures: follow the link in its words to go on"
        }
        FailureKind::RateLimited => "wait; use `--acme-ca letsencrypt-staging` while trying things out",
        FailureKind::Rejected => "look at the name and the profile: the CA will not sign this for anybody",
        FailureKind::Account => "look at the CA's words: it may ask for an e-mail address or for EAB credentials",
        FailureKind::DnsProvider => "look at the token's rights and the zone it is for",
        FailureKind::NoChallenge => "give a DNS provider with `--acme-dns`",
        FailureKind::Busy => "nothing; give a second CA with `--acme-ca` for such times",
        FailureKind::Unreachable => "look at this machine's way to the internet and its DNS",
        FailureKind::Storage => "look at the volume",
        FailureKind::Confused | FailureKind::Interrupted => "look at the CA's words",
    };
    text.to_owned()
}

fn refused(name: &str, refusal: OrderRefusal) -> Diagnostic {
    let (code, message, help) = match refusal {
        OrderRefusal::NeedsDns => (
            codes::ACME_CHALLENGE_MISSING,
            format!("`{name}` needs DNS-01, and no DNS provider is given"),
            "give one with `--acme-dns`, list the names one by one, or put a certificate into `certs/`",
        ),
        OrderRefusal::NotPublic => (
            codes::NAME_REJECTED_BY_CA,
            format!("no public CA signs for `{name}`"),
            "correct the name, or use `tls: internal` with a name below `.internal`",
        ),
        OrderRefusal::Budget => (
            codes::CERTIFICATE_BUDGET_SPENT,
            format!("no more certificates are ordered for `{name}` this week"),
            "find out why so many were needed: is the volume kept? The CA would refuse further ones for days",
        ),
        OrderRefusal::Storage => (
            codes::VOLUME_UNUSABLE,
            format!("no certificate is ordered for `{name}`, since it could not be kept"),
            "make the volume writable",
        ),
    };
    Diagnostic::error(code, Place::Name(name.into()), message)
        .with_help(help)
        .with_effect("what there is goes on being served, or a self-signed placeholder")
}

fn unwilling(directory: &DirectoryUrl, ca: &CaState, others: usize, now: UnixTime) -> Option<Diagnostic> {
    let failure = ca.last.as_ref().filter(|_| ca.next > now)?;
    let meanwhile = if others == 0 { "what there is goes on being served" } else { "the next CA is asked meanwhile" };
    let help = match failure.kind {
        FailureKind::Busy if others > 0 => "nothing; it is asked again".to_owned(),
        _ => help(failure),
    };
    let message = format!("{} gives no certificates at the moment: {}", directory.issuer_name(), failure.detail);
    Some(
        Diagnostic::warning(code(failure.kind), Place::Name(directory.issuer_name().into()), message)
            .with_help(help)
            .with_effect(format!("{meanwhile}; asked again at {}", moment(ca.next))),
    )
}

fn without_profile(url: &DirectoryUrl, directory: &Directory, profile: &str) -> Option<Diagnostic> {
    let offered: Vec<&str> = directory.meta.profiles.keys().map(String::as_str).collect();
    let help = match offered.is_empty() {
        true => "leave `--acme-profile` out: this CA has no profiles".to_owned(),
        false => format!("use one of those it offers: `{}`", offered.join("`, `")),
    };
    (!offered.contains(&profile)).then(|| {
        Diagnostic::error(
            codes::ACME_PROFILE_UNKNOWN,
            Place::Name(url.issuer_name().into()),
            format!("{} offers no profile `{profile}`", url.issuer_name()),
        )
        .with_help(help)
        .with_effect("its certificates are of the kind that it gives by itself")
    })
}

/// The finding that no CA can be asked, because there is no HTTP client.
pub(crate) fn without_client(error: ApiRootError) -> Diagnostic {
    Diagnostic::error(
        codes::CA_UNREACHABLE,
        Place::Name("acme".into()),
        format!("no certificate authority can be asked: {error}"),
    )
    .with_help("look at `--acme-ca-root`: it should name a PEM file with the root of the authority's API")
    .with_effect("no certificate is ordered or renewed; those on the volume are served")
}

/// The finding about an account whose key was to change and did not.
pub(crate) fn old_key(directory: &DirectoryUrl, failure: &Failure) -> Diagnostic {
    let is_refused = failure.kind == FailureKind::Rejected;
    let effect = "the account goes on with the key it has";
    Diagnostic::error(
        codes::ACME_ACCOUNT_KEY_KEPT,
        Place::Name(directory.issuer_name().into()),
        format!("the account with {} did not get another key: {}", directory.issuer_name(), failure.detail),
    )
    .with_help(if is_refused {
        "if the key is known to others, set its file in `acme/accounts/` aside: another account is made".to_owned()
    } else {
        help(failure)
    })
    .with_effect(if is_refused { effect.to_owned() } else { format!("{effect}; it is tried again") })
}

/// The finding that the volume has no locks, which makes leases uncertain.
pub(crate) fn without_locks() -> Diagnostic {
    Diagnostic::warning(
        codes::VOLUME_WITHOUT_LOCKS,
        Place::Name("locks".into()),
        "the file system of the volume has no file locks",
    )
    .with_help(
        "for NFS mount it with version 4, or start the lock service (`rpc.statd`); else use a volume of this \
         machine. One instance on the volume needs none",
    )
    .with_effect(
        "two instances that begin in the same moment may both order a certificate; each lease takes four \
         seconds more",
    )
}

fn staging(name: &str) -> Diagnostic {
    Diagnostic::warning(
        codes::CA_STAGING,
        Place::Name(name.into()),
        format!("the certificate for `{name}` is from a CA for tests"),
    )
    .with_help("use `--acme-ca letsencrypt` once everything works")
    .with_effect("it is served, and no browser trusts it")
}

fn clock(directory: &DirectoryUrl, error: i64) -> Option<Diagnostic> {
    let direction = if error > 0 { "ahead of" } else { "behind" };
    (error.abs() > CLOCK_ERROR_MAX).then(|| {
        Diagnostic::warning(
            codes::CLOCK_WRONG,
            Place::Name(directory.issuer_name().into()),
            format!("this machine's clock is {} s {direction} that of {}", error.abs(), directory.issuer_name()),
        )
        .with_help("set the clock: `timedatectl set-ntp true`")
        .with_effect("certificates may look expired, or not yet valid")
    })
}

pub(crate) fn storage(error: &str, unsaved: &BTreeMap<Box<str>, String>) -> Diagnostic {
    let effect = match unsaved.len() {
        0 => "nothing that is not pressing is ordered; the write is tried again".to_owned(),
        1 => "one new certificate is served from memory and would be lost at a restart; the write is tried again"
            .to_owned(),
        many => format!(
            "{many} new certificates are served from memory and would be lost at a restart; the write is tried again"
        ),
    };
    Diagnostic::error(codes::VOLUME_UNUSABLE, Place::Name("acme".into()), error)
        .with_help("look at the volume: is it full, read-only, or somebody else's?")
        .with_effect(effect)
}
