//! Log-ins by name and password.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use gangway_model::{BasicAuth, BasicUser, PasswordHash, PasswordScheme};
use gangway_publish::Reader;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

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
        limiter: &Arc<RateLimiter>,
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
        let failures = Failures { client, limiter: Arc::clone(limiter) };
        failures.check()?;
        let Some(hash) = user.as_ref().map(|user| user.hash.clone()).or(decoy) else { return Err(LoginError::Wrong) };
        let guess = Guess { hash, password: credentials.password().to_vec(), is_of_user: user.is_some() };
        let is_right = self.check(guess, failures).await?;
        let user = user.filter(|_| is_right).ok_or(LoginError::Wrong)?;
        self.cache.remember(self.cache.tag(&user, credentials.password()));
        Ok(())
    }

    /// A hash of some user, always the same for a name, so that the time tells nothing about which names there are.
    fn decoy(&self, basic: &BasicAuth, lists: &UserLists, name: &str) -> Option<PasswordHash> {
        let count = users(basic, lists).count();
        let position = usize::try_from(self.decoys.hash_one(name)).unwrap_or(0).checked_rem(count)?;
        users(basic, lists).nth(position).map(|user| user.hash.clone())
    }

    async fn check(&self, guess: Guess, failures: Failures) -> Result<bool, LoginError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| LoginError::Busy)?;
        let large = match guess.hash.scheme() {
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
        // Others of the same address may have failed since this one began to wait.
        failures.check()?;
        let checking = spawn_blocking(move || {
            let is_right = password::matches(&guess.hash, &guess.password) && guess.is_of_user;
            if !is_right {
                failures.count();
            }
            // Held until the work is done and counted, also if its client leaves.
            drop((check, large));
            is_right
        });
        // A panic would be a bug, and lets nobody in.
        Ok(checking.await.unwrap_or(false))
    }
}

/// A password that is checked.
struct Guess {
    hash: PasswordHash,
    password: Vec<u8>,
    /// The hash is that of a user, and not a decoy.
    is_of_user: bool,
}

/// The wrong passwords of an address.
struct Failures {
    client: AddressKey,
    limiter: Arc<RateLimiter>,
}

impl Failures {
    fn rate() -> Rate {
        Rate::new(FAILURE_INTERVAL * FAILURES_MAX, FAILURES_MAX, FAILURES_MAX)
    }

    /// Whether there is room for another one.
    fn check(&self) -> Result<(), LoginError> {
        self.limiter
            .check(&FailuresKey { client: self.client }, Self::rate(), Instant::now())
            .map_err(LoginError::Blocked)
    }

    fn count(&self) {
        // The bucket may have become empty meanwhile; then it stays so.
        let _ = self.limiter.take(&FailuresKey { client: self.client }, Self::rate(), Instant::now());
    }
}

fn users<'u>(basic: &'u BasicAuth, lists: &'u UserLists) -> impl Iterator<Item = &'u BasicUser> {
    basic.users.iter().chain(basic.lists.iter().filter_map(|list| lists.get(list)).flatten())
}

/// The key of the wrong passwords of an address.
#[derive(Hash)]
struct FailuresKey {
    client: AddressKey,
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use tokio::task::JoinSet;

    use super::*;
    use crate::message::fields::Fields;

    /// All log-ins, a user of them, and what she sends with a wrong password.
    fn wrong_password() -> (Logins, BasicAuth, Credentials) {
        let (_publisher, lists) = gangway_publish::channel(UserLists::default());
        // A slow hash, so that a client can leave before its password is checked.
        let ann = "ann:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
        let ann = BasicUser::parse(ann).expect("a user");
        let basic = BasicAuth { users: vec![ann], lists: vec![], realm: "x".into(), keep: false, user_field: None };
        let mut fields = Fields::default();
        let encoded = STANDARD.encode("ann:wrong");
        fields.push(b"authorization", format!("Basic {encoded}").as_bytes());
        (Logins::new(lists), basic, Credentials::of(&fields).expect("credentials"))
    }

    fn client() -> AddressKey {
        AddressKey::of(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    #[tokio::test]
    async fn a_wrong_password_counts_also_if_its_client_has_left() {
        let (logins, basic, credentials) = wrong_password();
        let limiter = Arc::new(RateLimiter::new());
        for _ in 0..FAILURES_MAX {
            {
                let mut asked = pin!(logins.log_in(&basic, Some(&credentials), client(), &limiter));
                let _ = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            let all = u32::try_from(CHECKS_MAX).expect("few");
            drop(logins.checks.acquire_many(all).await.expect("open"));
        }
        let outcome = logins.log_in(&basic, Some(&credentials), client(), &limiter).await;
        assert!(matches!(outcome, Err(LoginError::Blocked(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn wrong_passwords_that_come_at_once_are_no_more_than_others() {
        let asked = Arc::new((wrong_password(), Arc::new(RateLimiter::new())));
        let mut all = JoinSet::new();
        for _ in 0..WAITING_MAX {
            let asked = Arc::clone(&asked);
            all.spawn(async move {
                let ((logins, basic, credentials), limiter) = &*asked;
                logins.log_in(basic, Some(credentials), client(), limiter).await
            });
        }
        let outcomes = all.join_all().await;
        let checked = outcomes.iter().filter(|outcome| **outcome == Err(LoginError::Wrong)).count();
        let may_be = usize::try_from(FAILURES_MAX).expect("few") + CHECKS_MAX - 1;
        assert!(checked <= may_be, "{checked} were checked, of which {may_be} may be");
    }
}
