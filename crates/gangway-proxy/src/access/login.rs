//! Log-ins by name and password.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use gangway_model::{BasicAuth, BasicUser, PasswordHash, PasswordScheme};
use gangway_publish::Reader;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::access::credentials::Credentials;
use crate::access::login_cache::LoginCache;
use crate::access::password;
use crate::access::rate_limiter::{Rate, RateExceeded, RateLimiter};
use crate::access::user_lists::UserLists;
use crate::address_key::AddressKey;

/// Passwords that are checked at the same time. Each keeps a core busy.
const CHECKS_MAX: usize = 2;

/// Requests that wait for a check. Beyond that an attack is more likely than so many users.
const WAITING_MAX: usize = 64;

/// Wrong passwords of an address: that many at once, and then one in each interval.
const FAILURES_MAX: u32 = 10;
const FAILURE_INTERVAL: Duration = Duration::from_secs(6);

/// Everything that log-ins share.
#[derive(Debug)]
pub(super) struct Logins {
    lists: Reader<UserLists>,
    cache: LoginCache,
    checks: Arc<Semaphore>,
    waiting: Semaphore,
    /// One at a time: argon2 takes memory.
    large: Arc<Semaphore>,
    decoys: RandomState,
}

/// Why a client is not let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum LoginError {
    /// No credentials, or none that can be right.
    Missing,
    /// Another name or password is needed.
    Wrong,
    /// Too many wrong ones came from this address.
    Blocked(RateExceeded),
    /// Too many passwords are being checked.
    Busy,
    /// A list of users is not there.
    NoList(Box<str>),
}

impl Logins {
    pub(super) fn new(lists: Reader<UserLists>) -> Self {
        Self {
            lists,
            cache: LoginCache::new(),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            waiting: Semaphore::new(CHECKS_MAX + WAITING_MAX),
            large: Arc::new(Semaphore::new(1)),
            decoys: RandomState::new(),
        }
    }

    /// Whether credentials were checked a short while ago and were right.
    pub(super) fn is_known(&self, basic: &BasicAuth, credentials: &Credentials) -> bool {
        let lists = self.lists.load();
        let user = users(basic, &lists).find(|user| *user.name == *credentials.user());
        user.is_some_and(|user| self.cache.knows(&self.cache.tag(user, credentials.password())))
    }

    /// Checks the credentials of a request. An unknown name takes as long as a known one.
    pub(super) async fn log_in(
        &self,
        basic: &BasicAuth,
        credentials: Option<&Credentials>,
        client: AddressKey,
        limiter: &RateLimiter,
    ) -> Result<(), LoginError> {
        let (user, decoy, credentials) = {
            let lists = self.lists.load();
            if let Some(missing) = basic.lists.iter().find(|list| lists.get(list).is_none()) {
                return Err(LoginError::NoList(missing.clone()));
            }
            let credentials = credentials.ok_or(LoginError::Missing)?;
            let user = users(basic, &lists).find(|user| *user.name == *credentials.user()).cloned();
            let decoy = if user.is_none() { self.decoy(basic, &lists, credentials.user()) } else { None };
            (user, decoy, credentials)
        };
        if let Some(user) = &user
            && self.cache.knows(&self.cache.tag(user, credentials.password()))
        {
            return Ok(());
        }
        let failures = Failures { client };
        let rate = Rate::new(FAILURE_INTERVAL * FAILURES_MAX, FAILURES_MAX, FAILURES_MAX);
        limiter.check(&failures, rate).map_err(LoginError::Blocked)?;
        let Some(hash) = user.as_ref().map(|user| user.hash.clone()).or(decoy) else { return Err(LoginError::Wrong) };
        let is_right = self.check(hash, credentials.password().to_vec()).await? && user.is_some();
        match user.filter(|_| is_right) {
            Some(user) => {
                self.cache.remember(self.cache.tag(&user, credentials.password()));
                Ok(())
            }
            None => {
                // The bucket may have become empty meanwhile; then it stays so.
                let _ = limiter.take(&failures, rate);
                Err(LoginError::Wrong)
            }
        }
    }

    /// A hash of some user, always the same for a name, so that the time tells nothing about which names there are.
    fn decoy(&self, basic: &BasicAuth, lists: &UserLists, name: &str) -> Option<PasswordHash> {
        let count = users(basic, lists).count();
        let position = usize::try_from(self.decoys.hash_one(name)).unwrap_or(0).checked_rem(count)?;
        users(basic, lists).nth(position).map(|user| user.hash.clone())
    }

    async fn check(&self, hash: PasswordHash, password: Vec<u8>) -> Result<bool, LoginError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| LoginError::Busy)?;
        let large = match hash.scheme() {
            PasswordScheme::Argon2 => {
                Some(Arc::clone(&self.large).acquire_owned().await.map_err(|_| LoginError::Busy)?)
            }
            PasswordScheme::Bcrypt
            | PasswordScheme::Sha256Crypt
            | PasswordScheme::Sha512Crypt
            | PasswordScheme::Apr1
            | PasswordScheme::Sha1 => None,
        };
        let check = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| LoginError::Busy)?;
        let checking = spawn_blocking(move || {
            let is_right = password::matches(&hash, &password);
            // Held until the work is done, also if its client leaves.
            drop((check, large));
            is_right
        });
        // A panic would be a bug, and lets nobody in.
        Ok(checking.await.unwrap_or(false))
    }
}

fn users<'u>(basic: &'u BasicAuth, lists: &'u UserLists) -> impl Iterator<Item = &'u BasicUser> {
    basic.users.iter().chain(basic.lists.iter().filter_map(|list| lists.get(list)).flatten())
}

/// The key of the wrong passwords of an address.
#[derive(Hash)]
struct Failures {
    client: AddressKey,
}
