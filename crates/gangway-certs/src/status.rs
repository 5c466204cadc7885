//! The report about each certificate.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gangway_diagnostic::Diagnostic;
use gangway_tls::{Bundle, CertName, CertificateResolver, ChainCertificate, InternalCa, Origin, UnixTime};

use gangway_acme::date;
use gangway_acme::{AcmeView, IssuerView};

/// The state of all certificates at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateReport {
    /// One entry for each wanted name and each bundle of `certs/`, by name.
    pub certificates: Vec<CertificateStatus>,
    /// The public CAs that may be asked, in the order in which they are.
    pub issuers: Vec<IssuerView>,
    /// All findings, errors first.
    pub findings: Vec<Diagnostic>,
    /// The volume cannot be written: new certificates live in memory only.
    pub degraded: bool,
}

/// One certificate in force, or a name without one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateStatus {
    /// The name that the certificate is for.
    pub name: Box<str>,
    /// The name of the issuer, for people to read; empty if there is no certificate.
    pub issuer: Box<str>,
    /// The serial number in hexadecimal; empty if there is no certificate, or it is not made until a handshake asks
    /// for it.
    pub serial: Box<str>,
    /// The first second of its validity; the epoch if there is no serial.
    pub not_before: UnixTime,
    /// The end of its validity; the epoch if there is no serial.
    pub not_after: UnixTime,
    /// What is sent behind it, in order.
    pub chain: Arc<[ChainCertificate]>,
    /// The source of the certificate, also if it is not made yet. `None` if there is no certificate.
    pub origin: Option<Origin>,
    /// The time of the next order or attempt.
    pub next: Option<UnixTime>,
    /// The window that the CA suggests for its renewal.
    pub renewal_window: Option<(UnixTime, UnixTime)>,
    /// Whether no route lists the name, so that it was permitted on demand.
    pub on_demand: bool,
    /// The problem with the certificate.
    pub trouble: Option<Box<str>>,
}

/// The input of the report.
pub(crate) struct StatusInput<'a> {
    pub(crate) certificates: &'a CertificateResolver,
    pub(crate) acme: &'a AcmeView,
    pub(crate) signer: Option<&'a InternalCa>,
    pub(crate) findings: &'a [Diagnostic],
    pub(crate) has_acme: bool,
    /// Names for which no certificate is ordered, since their containers cannot be reached.
    pub(crate) out_of_reach: &'a BTreeSet<Box<str>>,
}

impl StatusInput<'_> {
    /// One status for each of these names, and for each name with a certificate on demand.
    pub(crate) fn statuses<'a>(
        &'a self,
        listed: impl Iterator<Item = &'a Box<str>>,
        now: UnixTime,
    ) -> Vec<CertificateStatus> {
        let troubles: HashMap<&str, &str> = self
            .findings
            .iter()
            .rev()
            .map(|finding| (finding.place.subject().unwrap_or_default(), &*finding.message))
            .collect();
        let names: BTreeSet<&str> = listed.chain(&self.acme.on_demand).map(|name| &**name).collect();
        let status = |name: &str| {
            // There may be an origin without a bundle: the bundle is then made when a handshake asks for it.
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
                chain: bundle.map(|bundle| Arc::clone(&bundle.chain)).unwrap_or_default(),
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

    /// The problem with the certificate for a name, if no finding reports it.
    fn trouble(
        &self,
        name: &str,
        origin: Option<&Origin>,
        bundle: Option<&Arc<Bundle>>,
        now: UnixTime,
    ) -> Option<Box<str>> {
        match origin {
            None if CertName::parse(name).is_pattern() => return None,
            // Names below the wildcard get certificates on demand.
            None if CertName::parse(name).is_wildcard() && self.certificates.demand().is_some() => return None,
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
            // The next handshake renews a certificate that is out of date.
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
