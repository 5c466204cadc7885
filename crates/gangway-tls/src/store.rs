//! Bundles by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::bundle::{Bundle, Origin};
use crate::challenges::Challenges;
use crate::clients::{ClientCa, ClientCas};
use crate::demand::Demand;
use crate::mint::Mint;
use crate::name::parent;
use crate::place::Kind;
use crate::tickets::{TicketKey, TicketKeys};

/// Every bundle of one moment, by name, and which names get one when they are first asked for. A value: the
/// keeper builds a new one and publishes it.
///
/// Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Store {
    names: Arc<Names>,
    challenges: Arc<Challenges>,
    mint: Option<Arc<Mint>>,
    clients: Arc<ClientCas>,
    tickets: Arc<TicketKeys>,
    demand: Option<Arc<Demand>>,
}

#[derive(Debug, Default)]
struct Names {
    exact: HashMap<Box<str>, Candidates>,
    /// Wildcards by what they stand below.
    below: HashMap<Box<str>, Candidates>,
}

/// All bundles for one name, the best first. Never empty.
type Candidates = Vec<(Standing, Arc<Bundle>)>;

/// What clients would make of a bundle; the greatest is served.
///
/// An expired certificate is better than a placeholder: it says what is really wrong, and who ignores
/// dates still gets the right key.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Standing {
    Placeholder,
    OutOfDate,
    Good,
}

/// What a handshake for a name would get.
enum Offer<'a> {
    /// This one.
    Given(&'a Arc<Bundle>),
    /// What is made when it is first asked for.
    Minted(Kind, &'a Mint),
}

impl Store {
    /// Sorts `bundles` by name; `now`, in seconds since the epoch, tells which are out of date.
    pub fn new(bundles: impl IntoIterator<Item = Arc<Bundle>>, now: i64) -> Self {
        let mut names = Names::default();
        for bundle in bundles {
            let standing = standing(&bundle, now);
            for name in &bundle.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(below) => (&mut names.below, below),
                    None => (&mut names.exact, &**name),
                };
                let entry = (standing, Arc::clone(&bundle));
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

    /// The same bundles, and `mint` for names that none of them serves well.
    pub fn with_mint(self, mint: Option<Arc<Mint>>) -> Self {
        Self { mint, ..self }
    }

    /// The same bundles, and `clients` to check certificates of clients against.
    pub fn with_clients(self, clients: Arc<ClientCas>) -> Self {
        Self { clients, ..self }
    }

    /// The same bundles, and `tickets` to seal sessions with.
    pub fn with_tickets(self, tickets: Arc<TicketKeys>) -> Self {
        Self { tickets, ..self }
    }

    /// The same bundles, and `demand` for names that none of them carries and nobody has listed.
    pub fn with_demand(self, demand: Option<Arc<Demand>>) -> Self {
        Self { demand, ..self }
    }

    /// Where names that nobody has listed are asked for; none: they get no certificate.
    pub fn demand(&self) -> Option<&Arc<Demand>> {
        self.demand.as_ref()
    }

    /// What sessions are sealed with, the first one now; none: each configuration has keys of its own.
    pub(crate) fn ticket_keys(&self) -> &[TicketKey] {
        &self.tickets
    }

    /// The authorities of this name.
    pub fn client_ca(&self, name: &str) -> Option<&Arc<ClientCa>> {
        self.clients.get(name)
    }

    /// The bundle for a normal name: an exact name before a wildcard, then the preferred origin, then
    /// the later end. One that is out of date, or a placeholder, only where there is no other.
    ///
    /// None where it would be made only now, see [`Store::origin`].
    pub fn find(&self, host: &str) -> Option<Arc<Bundle>> {
        match self.offer(host)? {
            Offer::Given(bundle) => Some(Arc::clone(bundle)),
            Offer::Minted(_, mint) => mint.present(host),
        }
    }

    /// Where what a handshake for a normal name would get came from, or will come from.
    pub fn origin(&self, host: &str) -> Option<Origin> {
        Some(match self.offer(host)? {
            Offer::Given(bundle) => bundle.origin.clone(),
            Offer::Minted(kind, _) => kind.origin(),
        })
    }

    /// Whether a handshake for a normal name would get a placeholder.
    pub fn is_placeheld(&self, host: &str) -> bool {
        match self.offer(host) {
            Some(Offer::Given(bundle)) => bundle.origin == Origin::Placeholder,
            Some(Offer::Minted(kind, _)) => kind == Kind::Placeholder,
            None => false,
        }
    }

    /// Whether a handshake for a normal name would get a certificate that clients may accept: no placeholder,
    /// and not out of date when the store was made.
    pub fn serves_well(&self, host: &str) -> bool {
        match self.offer(host) {
            Some(Offer::Given(_)) => self.best(host).is_some_and(|(standing, _)| *standing == Standing::Good),
            Some(Offer::Minted(kind, _)) => kind == Kind::Internal,
            None => false,
        }
    }

    /// Whether a handshake for a normal name would get a certificate.
    pub fn serves(&self, host: &str) -> bool {
        self.offer(host).is_some()
    }

    /// Whether a handshake for a normal name would have to make its certificate first, `now` in seconds since the
    /// epoch.
    pub fn is_to_be_made(&self, host: &str, now: i64) -> bool {
        matches!(self.offer(host), Some(Offer::Minted(_, mint)) if !mint.is_made(host, now))
    }

    /// What a handshake for a normal name would get, made now where that is still to be done: for who needs
    /// a certificate although nobody has asked for it yet.
    pub fn make(&self, host: &str, now: i64) -> Option<Arc<Bundle>> {
        match self.offer(host)? {
            Offer::Given(bundle) => Some(Arc::clone(bundle)),
            Offer::Minted(_, mint) => mint.bundle(host, now),
        }
    }

    /// What a handshake for a normal name that nobody claims may be served so that its client can be told so;
    /// none where there is no saying, or too many were made just now. `now` twice, in seconds since the epoch and
    /// as pauses are measured.
    pub(crate) fn unclaimed(&self, host: &str, now: i64, instant: Instant) -> Option<Arc<CertifiedKey>> {
        if self.serves(host) {
            return None;
        }
        let bundle = self.mint.as_ref()?.unclaimed(host, now, instant)?;
        Some(Arc::clone(&bundle.key))
    }

    /// What a handshake for a normal name is served, among the bundles whose key the client can verify.
    pub(crate) fn serve(&self, host: &str, schemes: &[SignatureScheme], now: i64) -> Option<Arc<CertifiedKey>> {
        if let Some(Offer::Minted(_, mint)) = self.offer(host)
            && let Some(minted) = mint.bundle(host, now)
        {
            return Some(Arc::clone(&minted.key));
        }
        let usable = |bundle: &&Arc<Bundle>| bundle.key.key.choose_scheme(schemes).is_some();
        // Without any usable one the best is handed over, so that rustls says `handshake_failure`.
        let mut given = self.candidates(host).map(|(_, bundle)| bundle);
        let best = given.find(usable).or_else(|| self.best(host).map(|(_, bundle)| bundle));
        best.map(|bundle| Arc::clone(&bundle.key))
    }

    /// The best that there is for a normal name, whoever the client is: what is given and good, what the
    /// internal CA signs, what is given and out of date, a placeholder.
    fn offer(&self, host: &str) -> Option<Offer<'_>> {
        let given = self.best(host);
        if let Some((Standing::Good, bundle)) = given {
            return Some(Offer::Given(bundle));
        }
        let minted = self.mint.as_deref().and_then(|mint| Some((mint.kind(host)?, mint)));
        match (given, minted) {
            (_, Some((Kind::Internal, mint))) => Some(Offer::Minted(Kind::Internal, mint)),
            (Some((Standing::OutOfDate, bundle)), _) | (Some((_, bundle)), None) => Some(Offer::Given(bundle)),
            (_, Some((kind, mint))) => Some(Offer::Minted(kind, mint)),
            (None, None) => None,
        }
    }

    fn best(&self, host: &str) -> Option<&(Standing, Arc<Bundle>)> {
        self.candidates(host).next()
    }

    /// The certificate that answers a TLS-ALPN-01 challenge for a normal name.
    pub fn challenge(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.challenges.tls.get(name)
    }

    /// The body that answers `GET /.well-known/acme-challenge/<token>` on plain HTTP at a normal host
    /// name without port.
    ///
    /// None for another host than the one the token is for: whoever can make a browser ask us under a
    /// foreign name must not get an answer that speaks for it.
    pub fn http_challenge(&self, host: &str, token: &str) -> Option<&str> {
        let challenge = self.challenges.http.get(token)?;
        (*challenge.host == *host).then_some(&*challenge.key_authorization)
    }

    /// How many bundles are found by some name.
    pub fn len(&self) -> usize {
        self.names.exact.len() + self.names.below.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bundles for a normal name, the best first.
    fn candidates(&self, host: &str) -> impl Iterator<Item = &(Standing, Arc<Bundle>)> {
        let exact = self.names.exact.get(host).map_or(&[][..], Vec::as_slice);
        let below = parent(host).and_then(|parent| self.names.below.get(parent)).map_or(&[][..], Vec::as_slice);
        let standing = |all: &[(Standing, Arc<Bundle>)]| all.first().map(|(standing, _)| *standing);
        let (first, second) = if standing(below) > standing(exact) { (below, exact) } else { (exact, below) };
        first.iter().chain(second)
    }
}

fn standing(bundle: &Bundle, now: i64) -> Standing {
    match bundle.origin {
        Origin::Placeholder => Standing::Placeholder,
        _ if bundle.is_valid_at(now) => Standing::Good,
        _ => Standing::OutOfDate,
    }
}

/// The serial decides last, so that the choice never depends on the order in which files were listed.
fn rank((standing, bundle): &(Standing, Arc<Bundle>)) -> (Standing, OriginClass, i64, &str) {
    (*standing, origin_class(&bundle.origin), bundle.not_after, &bundle.serial)
}

/// An origin without the file's name: that must not decide before the later end does.
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
    use super::*;
    use crate::internal::{InternalCa, Scope};

    const NOW: i64 = 1_700_000_000;
    const LATER: i64 = NOW + 86_400;

    fn bundle(ca: &InternalCa, name: &str, origin: Origin, not_after: i64) -> Arc<Bundle> {
        Arc::new(Bundle { origin, not_after, ..ca.issue(name, NOW).expect("signs") })
    }

    fn ca() -> InternalCa {
        InternalCa::make(&Scope::default(), NOW).expect("makes a CA")
    }

    #[track_caller]
    fn found(store: &Store, host: &str, expected: &Arc<Bundle>) {
        assert!(Arc::ptr_eq(&store.find(host).expect("some"), expected), "{host}");
    }

    #[test]
    fn an_exact_name_comes_before_a_wildcard_of_any_origin() {
        let ca = ca();
        let exact = bundle(&ca, "a.x.test", Origin::Internal, LATER);
        let wide = bundle(&ca, "*.x.test", Origin::Folder("x".into()), LATER + 1);
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
        let internal = bundle(&ca, "a.test", Origin::Internal, LATER + 9);
        let early = bundle(&ca, "a.test", Origin::Folder("z".into()), LATER);
        let late = bundle(&ca, "a.test", Origin::Folder("a".into()), LATER + 1);
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
    fn what_the_internal_ca_signs_comes_after_what_is_given_and_good_and_before_what_has_ended() {
        let ca = Arc::new(ca());
        let good = bundle(&ca, "good.test", Origin::Folder("g".into()), LATER);
        let ended = bundle(&ca, "ended.test", Origin::Folder("e".into()), NOW);
        let ended_too = bundle(&ca, "late.test", Origin::Folder("l".into()), NOW);
        let promises = crate::Promises {
            internal: ["good.test", "ended.test", "new.test"].map(Box::from).into(),
            placeholders: ["late.test", "none.test"].map(Box::from).into(),
            ..crate::Promises::default()
        };
        let placeholders = crate::Placeholders::new().ok().map(Arc::new);
        let mint = Arc::new(Mint::default().next(Some(Arc::clone(&ca)), placeholders, &promises));
        let store = Store::new([&good, &ended, &ended_too].map(Arc::clone), NOW).with_mint(Some(Arc::clone(&mint)));
        for (name, origin, is_good) in [
            ("good.test", Some(Origin::Folder("g".into())), true),
            ("ended.test", Some(Origin::Internal), true),
            ("new.test", Some(Origin::Internal), true),
            ("late.test", Some(Origin::Folder("l".into())), false),
            ("none.test", Some(Origin::Placeholder), false),
            ("other.test", None, false),
        ] {
            assert_eq!((store.origin(name), store.serves_well(name)), (origin.clone(), is_good), "{name}");
            assert_eq!(store.is_placeheld(name), origin == Some(Origin::Placeholder), "{name}");
        }
        assert!(store.is_to_be_made("new.test", NOW) && !store.is_to_be_made("good.test", NOW));
        assert!(store.find("new.test").is_none() && mint.count() == 0, "looking makes none");
        let made = store.make("new.test", NOW).expect("makes one");
        found(&store, "new.test", &made);
        assert!(!store.is_to_be_made("new.test", NOW) && mint.count() == 1);
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
