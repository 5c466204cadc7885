//! Bundles by name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::bundle::{Bundle, Origin};
use crate::cert_name::{CertName, parent};
use crate::challenges::Challenges;
use crate::client_ca::{ClientCa, ClientCas};
use crate::tickets::{TicketKey, TicketKeys};
use crate::time::UnixTime;

/// All bundles of one moment by name, with the challenges, client CAs and ticket keys of that moment.
///
/// A value: the keeper builds a new one and publishes it. Cloning is cheap. It does not contain certificates that
/// are made at the first handshake: see [`CertificateResolver`](crate::CertificateResolver).
#[derive(Clone, Debug, Default)]
pub struct Store {
    names: Arc<BundleIndex>,
    challenges: Arc<Challenges>,
    clients: Arc<ClientCas>,
    tickets: Arc<TicketKeys>,
}

#[derive(Debug, Default)]
struct BundleIndex {
    exact: HashMap<Box<str>, Candidates>,
    /// Wildcards by the domain below their star.
    below: HashMap<Box<str>, Candidates>,
}

/// All bundles for one name, the best first. Never empty.
type Candidates = Vec<(BundleQuality, Arc<Bundle>)>;

/// How well clients would accept a bundle; the greatest is served.
///
/// An expired certificate is better than a placeholder: it shows the real problem, and a client that ignores dates
/// still gets the right key.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum BundleQuality {
    Placeholder,
    OutOfDate,
    Good,
}

impl Store {
    /// Sorts `bundles` by name; `now` decides which are out of date.
    pub fn new(bundles: impl IntoIterator<Item = Arc<Bundle>>, now: UnixTime) -> Self {
        let mut names = BundleIndex::default();
        for bundle in bundles {
            let quality = quality(&bundle, now);
            for name in &bundle.names {
                let (map, name) = match CertName::parse(name).wildcard_parent() {
                    Some(below) => (&mut names.below, below),
                    None => (&mut names.exact, &**name),
                };
                let entry = (quality, Arc::clone(&bundle));
                match map.get_mut(name) {
                    Some(candidates) => candidates.push(entry),
                    None => drop(map.insert(name.into(), vec![entry])),
                }
            }
        }
        for candidates in names.exact.values_mut().chain(names.below.values_mut()).filter(|all| all.len() > 1) {
            candidates.sort_by(|a, b| rank(b).cmp(&rank(a)));
        }
        Self { names: Arc::new(names), ..Self::default() }
    }

    /// The same bundles, and `challenges` to be answered.
    pub fn with_challenges(self, challenges: Arc<Challenges>) -> Self {
        Self { challenges, ..self }
    }

    /// The same bundles, and `clients` to verify certificates of clients with.
    pub fn with_clients(self, clients: Arc<ClientCas>) -> Self {
        Self { clients, ..self }
    }

    /// The same bundles, and `tickets` to seal sessions with.
    pub fn with_tickets(self, tickets: Arc<TicketKeys>) -> Self {
        Self { tickets, ..self }
    }

    /// The keys for session tickets; the first one seals. If there are none, each configuration uses keys of its
    /// own.
    pub(crate) fn ticket_keys(&self) -> &[TicketKey] {
        &self.tickets
    }

    /// The client CAs of this name.
    pub fn client_ca(&self, name: &str) -> Option<&Arc<ClientCa>> {
        self.clients.get(name)
    }

    /// The bundle for a normal name: an exact name before a wildcard, then the preferred origin, then the later
    /// end. A bundle that is out of date, or a placeholder, is returned only if there is no other.
    pub fn find(&self, host: &str) -> Option<&Arc<Bundle>> {
        self.best(host).map(|(_, bundle)| bundle)
    }

    /// The best bundle for a normal name, with its quality.
    pub(crate) fn best_with_quality(&self, host: &str) -> Option<(BundleQuality, &Arc<Bundle>)> {
        self.best(host).map(|(quality, bundle)| (*quality, bundle))
    }

    /// The best bundle whose key the client can verify. If it can verify none, the best one all the same, so that
    /// rustls answers `handshake_failure`.
    pub(crate) fn usable(&self, host: &str, schemes: &[SignatureScheme]) -> Option<&Arc<Bundle>> {
        let is_usable = |bundle: &&Arc<Bundle>| bundle.key.key.choose_scheme(schemes).is_some();
        self.candidates(host).map(|(_, bundle)| bundle).find(is_usable).or_else(|| self.find(host))
    }

    fn best(&self, host: &str) -> Option<&(BundleQuality, Arc<Bundle>)> {
        self.candidates(host).next()
    }

    /// The certificate that answers a TLS-ALPN-01 challenge for a normal name.
    pub fn challenge(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.challenges.tls.get(name)
    }

    /// The body that answers `GET /.well-known/acme-challenge/<token>` on plain HTTP at a normal host
    /// name without port.
    ///
    /// `None` for any host other than the token's own: someone who can make a browser send us a request under a
    /// foreign name must not get an answer that speaks for that name.
    pub fn http_challenge(&self, host: &str, token: &str) -> Option<&str> {
        let challenge = self.challenges.http.get(token)?;
        (*challenge.host == *host).then_some(&*challenge.key_authorization)
    }

    /// The number of names that have bundles.
    pub fn len(&self) -> usize {
        self.names.exact.len() + self.names.below.len()
    }

    /// Whether no name has a bundle.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bundles for a normal name, the best first.
    fn candidates(&self, host: &str) -> impl Iterator<Item = &(BundleQuality, Arc<Bundle>)> {
        let exact = self.names.exact.get(host).map_or(&[][..], Vec::as_slice);
        let below = parent(host).and_then(|parent| self.names.below.get(parent)).map_or(&[][..], Vec::as_slice);
        let quality = |all: &[(BundleQuality, Arc<Bundle>)]| all.first().map(|(quality, _)| *quality);
        let (first, second) = if quality(below) > quality(exact) { (below, exact) } else { (exact, below) };
        first.iter().chain(second)
    }
}

fn quality(bundle: &Bundle, now: UnixTime) -> BundleQuality {
    match bundle.origin {
        Origin::Placeholder => BundleQuality::Placeholder,
        _ if bundle.is_valid_at(now) => BundleQuality::Good,
        _ => BundleQuality::OutOfDate,
    }
}

/// The order of bundles for one name. The serial decides last, so that the choice never depends on the order in
/// which files were listed.
fn rank((quality, bundle): &(BundleQuality, Arc<Bundle>)) -> (BundleQuality, OriginClass, UnixTime, &str) {
    (*quality, origin_class(&bundle.origin), bundle.not_after, &bundle.serial)
}

/// The rank of an origin, without the file's name, which must not decide before the later end does.
type OriginClass = u8;

fn origin_class(origin: &Origin) -> OriginClass {
    match origin {
        Origin::Placeholder => 0,
        Origin::Internal => 1,
        Origin::Acme => 2,
        Origin::Folder(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::internal_ca::{InternalCa, Scope};

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
    const LATER: UnixTime = UnixTime::from_seconds(1_700_086_400);

    fn bundle(ca: &InternalCa, name: &str, origin: Origin, not_after: UnixTime) -> Arc<Bundle> {
        Arc::new(Bundle { origin, not_after, ..ca.issue(name, NOW).expect("signs") })
    }

    fn ca() -> InternalCa {
        InternalCa::make(&Scope::default(), NOW).expect("makes a CA")
    }

    #[track_caller]
    fn found(store: &Store, host: &str, expected: &Arc<Bundle>) {
        assert!(Arc::ptr_eq(store.find(host).expect("some"), expected), "{host}");
    }

    #[test]
    fn an_exact_name_comes_before_a_wildcard_of_any_origin() {
        let ca = ca();
        let exact = bundle(&ca, "a.x.test", Origin::Internal, LATER);
        let wide = bundle(&ca, "*.x.test", Origin::Folder("x".into()), LATER + Duration::from_secs(1));
        for order in [[&exact, &wide], [&wide, &exact]] {
            let store = Store::new(order.map(Arc::clone), NOW);
            found(&store, "a.x.test", &exact);
            found(&store, "b.x.test", &wide);
            assert!(store.find("x.test").is_none() && store.find("a.b.x.test").is_none());
        }
    }

    #[test]
    fn then_comes_the_preferred_origin_then_the_later_end() {
        let ca = ca();
        let internal = bundle(&ca, "a.test", Origin::Internal, LATER + Duration::from_secs(9));
        let early = bundle(&ca, "a.test", Origin::Folder("z".into()), LATER);
        let late = bundle(&ca, "a.test", Origin::Folder("a".into()), LATER + Duration::from_secs(1));
        found(&Store::new([&internal, &early].map(Arc::clone), NOW), "a.test", &early);
        found(&Store::new([&late, &early, &internal].map(Arc::clone), NOW), "a.test", &late);
        found(&Store::new([&early, &late].map(Arc::clone), NOW), "a.test", &late);
    }

    #[test]
    fn what_is_expired_or_a_placeholder_is_served_only_for_want_of_better() {
        let ca = ca();
        let expired = bundle(&ca, "a.x.test", Origin::Folder("a".into()), NOW);
        let placeholder = bundle(&ca, "a.x.test", Origin::Placeholder, LATER);
        let wide = bundle(&ca, "*.x.test", Origin::Internal, LATER);
        found(&Store::new([&expired, &placeholder, &wide].map(Arc::clone), NOW), "a.x.test", &wide);
        found(&Store::new([&placeholder, &expired].map(Arc::clone), NOW), "a.x.test", &expired);
        found(&Store::new([&placeholder].map(Arc::clone), NOW), "a.x.test", &placeholder);
    }

    #[test]
    fn a_challenge_is_answered_at_its_own_host_only() {
        let challenge = crate::HttpChallenge { host: "a.test".into(), key_authorization: "t.k".into() };
        let challenges = Challenges { http: [("t".into(), challenge)].into(), ..Challenges::default() };
        let store = Store::default().with_challenges(Arc::new(challenges));
        assert_eq!(store.http_challenge("a.test", "t"), Some("t.k"));
        assert_eq!(store.http_challenge("b.test", "t"), None);
        assert_eq!(store.http_challenge("a.test", "u"), None);
    }
}
