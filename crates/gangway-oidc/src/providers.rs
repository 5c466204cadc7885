//! All providers that are configured, and the keys for cookies.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cookie_keys::CookieKeys;
use crate::provider::Provider;

/// The providers that routes can name. Empty until the first one is published.
#[derive(Clone, Debug, Default)]
pub struct Providers {
    by_name: BTreeMap<Box<str>, Arc<Provider>>,
    keys: Arc<CookieKeys>,
}

impl Providers {
    /// These providers and keys.
    pub fn new(providers: impl IntoIterator<Item = Arc<Provider>>, keys: Arc<CookieKeys>) -> Self {
        let by_name = providers.into_iter().map(|provider| (provider.settings().name.clone(), provider)).collect();
        Self { by_name, keys }
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.by_name.get(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The keys for cookies.
    pub fn keys(&self) -> &Arc<CookieKeys> {
        &self.keys
    }
}
