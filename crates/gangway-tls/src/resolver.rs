//! Chooses the certificate of a handshake from the store in force and the mint beside it.

use std::sync::Arc;
use std::time::Instant;

use gangway_publish::Reader;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::bundle::{Bundle, Origin};
use crate::mint::Mint;
use crate::on_demand::Demand;
use crate::slot::Signer;
use crate::store::{BundleQuality, Store};
use crate::time::UnixTime;

/// Finds the certificate for a name.
///
/// Beside the reader of stores it holds the parts that outlive each store: the [`Mint`] with its certificates, and
/// the [`Demand`] for names that no route lists. Cloning is cheap, and clones find the same certificates.
#[derive(Clone, Debug)]
pub struct CertificateResolver {
    store: Reader<Store>,
    mint: Arc<Mint>,
    demand: Option<Arc<Demand>>,
}

/// The certificate that a handshake for a name would get.
enum Offer {
    /// A bundle of the store.
    Given(BundleQuality, Arc<Bundle>),
    /// A certificate that is made when it is first asked for.
    Minted(Signer),
}

impl CertificateResolver {
    /// Without `demand`, names that no route lists get no certificate of a public CA.
    pub fn new(store: Reader<Store>, mint: Arc<Mint>, demand: Option<Arc<Demand>>) -> Self {
        Self { store, mint, demand }
    }

    /// A resolver that finds only the bundles of stores.
    pub fn of_store(store: Reader<Store>) -> Self {
        Self::new(store, Arc::default(), None)
    }

    /// The reader of stores.
    pub fn store(&self) -> &Reader<Store> {
        &self.store
    }

    /// The demand for names that no route lists. If `None`, they get no certificate.
    pub fn demand(&self) -> Option<&Arc<Demand>> {
        self.demand.as_ref()
    }

    /// The bundle for a normal name, see [`Store::find`]. `None` if it is not made yet, see
    /// [`origin`](Self::origin).
    pub fn find(&self, host: &str) -> Option<Arc<Bundle>> {
        match self.offer(host)? {
            Offer::Given(_, bundle) => Some(bundle),
            Offer::Minted(_) => self.mint.present(host),
        }
    }

    /// The origin of the certificate that a handshake for a normal name would get, also if it is not made yet.
    pub fn origin(&self, host: &str) -> Option<Origin> {
        Some(match self.offer(host)? {
            Offer::Given(_, bundle) => bundle.origin.clone(),
            Offer::Minted(signer) => signer.origin(),
        })
    }

    /// Whether a handshake for a normal name would get a placeholder.
    pub fn is_placeheld(&self, host: &str) -> bool {
        match self.offer(host) {
            Some(Offer::Given(_, bundle)) => bundle.origin == Origin::Placeholder,
            Some(Offer::Minted(signer)) => signer == Signer::Placeholder,
            None => false,
        }
    }

    /// Whether a handshake for a normal name would get a certificate that clients may accept: no placeholder, and
    /// not out of date when the store was made.
    pub fn serves_well(&self, host: &str) -> bool {
        match self.offer(host) {
            Some(Offer::Given(quality, _)) => quality == BundleQuality::Good,
            Some(Offer::Minted(signer)) => signer == Signer::Internal,
            None => false,
        }
    }

    /// Whether a handshake for a normal name would get a certificate.
    pub fn serves(&self, host: &str) -> bool {
        self.offer(host).is_some()
    }

    /// Whether a handshake for a normal name would have to make its certificate first.
    pub fn is_to_be_made(&self, host: &str, now: UnixTime) -> bool {
        matches!(self.offer(host), Some(Offer::Minted(_)) if !self.mint.is_made(host, now))
    }

    /// The certificate that a handshake for a normal name would get, made now if necessary: for a caller that needs
    /// a certificate before any client has asked for it.
    pub fn make(&self, host: &str, now: UnixTime) -> Option<Arc<Bundle>> {
        match self.offer(host)? {
            Offer::Given(_, bundle) => Some(bundle),
            Offer::Minted(_) => self.mint.bundle(host, now),
        }
    }

    /// A certificate for a normal name that no route claims, so that its client can get an answer that says so.
    /// `None` if no such certificate can be made, or too many were made recently. `now` and `instant` are the same
    /// time: as certificates measure it, and for pauses.
    pub(crate) fn unclaimed(&self, host: &str, now: UnixTime, instant: Instant) -> Option<Arc<CertifiedKey>> {
        if self.serves(host) {
            return None;
        }
        let bundle = self.mint.unclaimed(host, now, instant)?;
        Some(Arc::clone(&bundle.key))
    }

    /// The certificate that a handshake for a normal name gets, among the bundles whose key the client can verify.
    pub(crate) fn serve(&self, host: &str, schemes: &[SignatureScheme], now: UnixTime) -> Option<Arc<CertifiedKey>> {
        if let Some(Offer::Minted(_)) = self.offer(host)
            && let Some(minted) = self.mint.bundle(host, now)
        {
            return Some(Arc::clone(&minted.key));
        }
        self.store.load().usable(host, schemes).map(|bundle| Arc::clone(&bundle.key))
    }

    /// The best certificate for a normal name and any client: first a given one that is good, then one that the
    /// internal CA signs, then a given one that is out of date, then a placeholder.
    fn offer(&self, host: &str) -> Option<Offer> {
        let store = self.store.load();
        let given = store.best_with_quality(host);
        if let Some((BundleQuality::Good, bundle)) = given {
            return Some(Offer::Given(BundleQuality::Good, Arc::clone(bundle)));
        }
        match (given, self.mint.kind(host)) {
            (_, Some(Signer::Internal)) => Some(Offer::Minted(Signer::Internal)),
            (Some((quality @ BundleQuality::OutOfDate, bundle)), _) | (Some((quality, bundle)), None) => {
                Some(Offer::Given(quality, Arc::clone(bundle)))
            }
            (_, Some(signer @ Signer::Placeholder)) => Some(Offer::Minted(signer)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_publish::channel;

    use super::*;
    use crate::internal_ca::{InternalCa, Scope};

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
    const LATER: UnixTime = UnixTime::from_seconds(1_700_086_400);

    fn bundle(ca: &InternalCa, name: &str, origin: Origin, not_after: UnixTime) -> Arc<Bundle> {
        Arc::new(Bundle { origin, not_after, ..ca.issue(name, NOW).expect("signs") })
    }

    #[test]
    fn what_the_internal_ca_signs_comes_after_what_is_given_and_good_and_before_what_has_ended() {
        let ca = Arc::new(InternalCa::make(&Scope::default(), NOW).expect("makes a CA"));
        let good = bundle(&ca, "good.test", Origin::Folder("g".into()), LATER);
        let ended = bundle(&ca, "ended.test", Origin::Folder("e".into()), NOW);
        let ended_too = bundle(&ca, "late.test", Origin::Folder("l".into()), NOW);
        let promises = crate::Promises {
            internal: ["good.test", "ended.test", "new.test"].map(Box::from).into(),
            placeholders: ["late.test", "none.test"].map(Box::from).into(),
            ..crate::Promises::default()
        };
        let placeholders = crate::Placeholders::new().ok().map(Arc::new);
        let mint = Arc::new(Mint::new());
        mint.promise(Some(Arc::clone(&ca)), placeholders, &promises);
        let (_store, stores) = channel(Store::new([&good, &ended, &ended_too].map(Arc::clone), NOW));
        let store = CertificateResolver::new(stores, Arc::clone(&mint), None);
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
        assert!(Arc::ptr_eq(&store.find("new.test").expect("has one"), &made));
        assert!(!store.is_to_be_made("new.test", NOW) && mint.count() == 1);
    }
}
