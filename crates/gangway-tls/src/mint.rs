//! Internal certificates at the moment they are asked for.
//!
//! A certificate for `*.localhost` is refused by OpenSSL and browsers, since the star stands directly
//! below a top-level domain; and a route for `budget.*` or `*` has no list of names at all. For
//! internal names signing takes about as long as the handshake itself, so it is done within it.
//!
//! There is deliberately nothing of the kind for public names: a CA's budget is not for strangers to
//! spend.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bundle::Bundle;
use crate::internal::{InternalCa, renewal_time};
use crate::name::{is_below_internal_domain, is_dns_name, parent};

/// Certificates kept. Whoever asks for random names pushes others out, which then are signed anew.
const MINTED_MAX: usize = 1024;

/// Makes certificates of the internal CA during the handshake, for names that a wildcard route serves.
#[derive(Debug)]
pub struct Mint {
    ca: Arc<InternalCa>,
    patterns: Vec<Pattern>,
    minted: Mutex<Minted>,
}

/// Which names may be asked for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Pattern {
    /// `*`
    Any,
    /// `budget.*`: any domain below one label or several.
    First(Box<str>),
    /// `*.localhost`: one label below a domain.
    Below(Box<str>),
}

#[derive(Debug, Default)]
struct Minted {
    bundles: HashMap<Box<str>, Arc<Bundle>>,
    /// The oldest first.
    order: VecDeque<Box<str>>,
}

impl Mint {
    /// For the host patterns `*`, `budget.*` and `*.localhost`; what is none of these is left out.
    pub fn new<'a>(ca: Arc<InternalCa>, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<_> = patterns.into_iter().filter_map(Pattern::parse).collect();
        patterns.sort_unstable();
        patterns.dedup();
        Self { ca, patterns, minted: Mutex::default() }
    }

    /// Whether it would make one for a normal name: an internal one that a pattern matches.
    pub fn covers(&self, host: &str) -> bool {
        host.contains('.')
            && is_below_internal_domain(host)
            && is_dns_name(host)
            && !host.starts_with('*')
            && self.patterns.iter().any(|pattern| pattern.matches(host))
            && self.ca.permits(host)
    }

    /// The bundle for a normal name, made now if need be.
    pub(crate) fn bundle(&self, host: &str) -> Option<Arc<Bundle>> {
        if !self.covers(host) {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let current = |bundle: &&Arc<Bundle>| bundle.is_valid_at(now) && now < renewal_time(bundle);
        if let Some(bundle) =
            self.minted.lock().unwrap_or_else(PoisonError::into_inner).bundles.get(host).filter(current)
        {
            return Some(Arc::clone(bundle));
        }
        // Signed outside the lock; two handshakes at once may both sign, and the later one is kept.
        let bundle = match self.ca.issue(host, now) {
            Ok(bundle) => Arc::new(bundle),
            Err(error) => {
                tracing::warn!(%error, host, "failed to make an internal certificate");
                return None;
            }
        };
        self.minted.lock().unwrap_or_else(PoisonError::into_inner).keep(host, Arc::clone(&bundle));
        Some(bundle)
    }
}

impl Minted {
    fn keep(&mut self, host: &str, bundle: Arc<Bundle>) {
        if self.bundles.insert(host.into(), bundle).is_some() {
            return;
        }
        self.order.push_back(host.into());
        if self.order.len() > MINTED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.bundles.remove(&oldest);
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return is_dns_name(domain).then(|| Self::Below(domain.into()));
        }
        let first = text.strip_suffix(".*")?;
        is_dns_name(first).then(|| Self::First(first.into()))
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::First(first) => host.strip_prefix(&**first).is_some_and(|rest| rest.starts_with('.')),
            Self::Below(domain) => parent(host) == Some(domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal::Scope;

    const NOW: i64 = 1_700_000_000;

    fn mint(patterns: &[&str]) -> Mint {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        Mint::new(Arc::new(ca), patterns.iter().copied())
    }

    #[test]
    fn only_internal_names_of_a_pattern_are_covered() {
        let mint = mint(&["*.localhost", "budget.*", "nonsense"]);
        for host in ["a.localhost", "budget.lan", "budget.x.home.arpa"] {
            assert!(mint.covers(host), "{host}");
        }
        for host in
            ["a.b.localhost", "budget.example.org", "budgets.lan", "a.lan", "budget", "localhost", "*.localhost"]
        {
            assert!(!mint.covers(host), "{host}");
        }
    }

    #[test]
    fn a_catch_all_covers_every_internal_name_and_no_other() {
        let mint = mint(&["*"]);
        assert!(mint.covers("whatever.home.arpa"));
        assert!(!mint.covers("example.org"));
        assert!(!mint.covers("a..lan"));
    }

    #[test]
    fn what_was_made_is_kept() {
        let mint = mint(&["*.localhost"]);
        let first = mint.bundle("a.localhost").expect("makes one");
        assert_eq!(*first.names, [Box::from("a.localhost")]);
        assert!(Arc::ptr_eq(&first, &mint.bundle("a.localhost").expect("keeps it")));
        assert!(mint.bundle("a.example.org").is_none());
    }

    #[test]
    fn strangers_cannot_make_it_grow_without_bound() {
        let mint = mint(&["*.test"]);
        let bundle = mint.bundle("a.test").expect("makes one");
        let mut minted = mint.minted.lock().expect("not poisoned");
        for number in 0..2 * MINTED_MAX {
            minted.keep(&format!("{number}.test"), Arc::clone(&bundle));
        }
        assert_eq!((minted.bundles.len(), minted.order.len()), (MINTED_MAX, MINTED_MAX));
        assert!(!minted.bundles.contains_key("a.test"));
    }
}
