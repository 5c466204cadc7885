//! What there is to say about each certificate.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gangway_tls::{Bundle, CertificateResolver, InternalCa, Origin, UnixTime};

use gangway_acme::AcmeView;
use gangway_acme::Finding;
use gangway_acme::date;

/// Everything there is to tell about certificates at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateReport {
    /// One for each wanted name and each bundle of `certs/`, by name.
    pub certificates: Vec<CertificateStatus>,
    /// What is wrong, errors first.
    pub findings: Vec<Finding>,
    /// The volume cannot be written: what is new lives in memory only.
    pub degraded: bool,
}

/// One certificate in force, or missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateStatus {
    /// The name it is for.
    pub name: Box<str>,
    /// Who signed it, for people; empty where there is none.
    pub issuer: Box<str>,
    /// In hexadecimal; empty where there is none, and as long as nobody has asked for one that is made then.
    pub serial: Box<str>,
    /// The first second of its validity; the epoch where there is no serial.
    pub not_before: UnixTime,
    /// The end of its validity; the epoch where there is no serial.
    pub not_after: UnixTime,
    /// Where it came from, or will come from; none where there is no certificate.
    pub origin: Option<Origin>,
    /// When the next one is ordered, or the next attempt made.
    pub next: Option<UnixTime>,
    /// The time within which the CA would like it renewed.
    pub renewal_window: Option<(UnixTime, UnixTime)>,
    /// No route lists it: it was permitted when somebody asked for it.
    pub on_demand: bool,
    /// What is wrong with it.
    pub trouble: Option<Box<str>>,
}

/// What is known at one moment.
pub(crate) struct StatusInput<'a> {
    pub(crate) certificates: &'a CertificateResolver,
    pub(crate) acme: &'a AcmeView,
    pub(crate) signer: Option<&'a InternalCa>,
    pub(crate) findings: &'a BTreeSet<Finding>,
    pub(crate) has_acme: bool,
    /// Names for which nothing is ordered, since nobody could be led there.
    pub(crate) out_of_reach: &'a BTreeSet<Box<str>>,
}

impl StatusInput<'_> {
    /// One for each of these names, and for each that has a certificate on demand.
    pub(crate) fn statuses<'a>(
        &'a self,
        listed: impl Iterator<Item = &'a Box<str>>,
        now: UnixTime,
    ) -> Vec<CertificateStatus> {
        let troubles: HashMap<&str, &str> =
            self.findings.iter().rev().map(|finding| (&*finding.subject, &*finding.message)).collect();
        let names: BTreeSet<&str> = listed.chain(&self.acme.on_demand).map(|name| &**name).collect();
        let status = |name: &str| {
            // There may be none although there is an origin: then it is made when it is first asked for.
            let (bundle, origin) = (self.certificates.find(name), self.certificates.origin(name));
            let bundle = bundle.as_ref();
            let signer = self.signer.filter(|_| origin == Some(Origin::Internal)).map(|signer| signer.name().into());
            let ordered = self.acme.names.get(name);
            let told = ordered.and_then(|view| view.trouble.clone());
            CertificateStatus {
                name: name.into(),
                issuer: bundle.map(|bundle| bundle.issuer.clone()).or(signer).unwrap_or_default(),
                serial: bundle.map(|bundle| bundle.serial.clone()).unwrap_or_default(),
                not_before: bundle.map_or(UnixTime::EPOCH, |bundle| bundle.not_before),
                not_after: bundle.map_or(UnixTime::EPOCH, |bundle| bundle.not_after),
                origin: origin.clone(),
                next: ordered.and_then(|view| view.next),
                renewal_window: ordered.and_then(|view| view.window),
                on_demand: self.acme.on_demand.contains(name),
                trouble: told
                    .or_else(|| troubles.get(name).map(|text| Box::from(*text)))
                    .or_else(|| self.trouble(name, origin.as_ref(), bundle, now)),
            }
        };
        names.into_iter().map(status).collect()
    }

    /// What is wrong with what is served for a name, where no finding says it.
    fn trouble(
        &self,
        name: &str,
        origin: Option<&Origin>,
        bundle: Option<&Arc<Bundle>>,
        now: UnixTime,
    ) -> Option<Box<str>> {
        match origin {
            None if name == "*" || name.ends_with(".*") => return None,
            // Its names get certificates when they are wanted.
            None if name.starts_with("*.") && self.certificates.demand().is_some() => return None,
            None => return Some("there is no certificate yet".into()),
            Some(Origin::Placeholder) if self.out_of_reach.contains(name) => {
                return Some("none is ordered, since its containers share no network with gangway".into());
            }
            Some(Origin::Placeholder) if self.has_acme => {
                return Some("a self-signed placeholder is served until the CA has given a certificate".into());
            }
            Some(Origin::Placeholder) => {
                return Some("a self-signed placeholder is served: no public CA is in use".into());
            }
            // One that is out of date is made anew at the next handshake.
            Some(Origin::Internal) => return None,
            Some(Origin::Acme | Origin::Folder(_)) => {}
        }
        match bundle? {
            bundle if now >= bundle.not_after => Some(format!("expired on {}", date(bundle.not_after)).into()),
            bundle if now < bundle.not_before => Some(format!("not valid before {}", date(bundle.not_before)).into()),
            _ => None,
        }
    }
}
