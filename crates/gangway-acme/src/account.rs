//! Gangway's accounts with CAs: one for each CA, shared by all instances on a volume.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gangway_tls::UnixTime;
use instant_acme::{Account, Error, HttpClient, Key};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::directory::Directory;
use crate::directory_url::DirectoryUrl;
use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::jws::{damaged, is_rsa, pair, thumbprint};
use crate::key_change::KeyChange;
use crate::registration::Registration;
use crate::repeat::repeat;
use crate::resigned::Resigned;
use crate::settings::{AcmeSettings, ExternalAccount};
use crate::storage::{FolderStorage, Storage, StorageError, while_held};

const VERSION: u32 = 1;

/// The folder of the account files on the volume.
const FOLDER: &str = "acme/accounts/";

/// A CA's directory changes seldom, and is fetched anew after each failure.
const DIRECTORY_LIFETIME: Duration = Duration::from_hours(12);

/// Opens accounts and keeps them open.
#[derive(Clone)]
pub(crate) struct Accounts<S> {
    storage: S,
    http: Http,
    settings: Arc<AcmeSettings>,
    clock: Clock,
    /// One lock for each CA, so that a CA that hangs delays no other.
    open: Arc<HashMap<DirectoryUrl, Mutex<Option<OpenAccount>>>>,
    /// The last directory that each CA gave.
    known: Arc<parking_lot::Mutex<BTreeMap<DirectoryUrl, Directory>>>,
}

/// An account in use.
#[derive(Clone)]
pub(crate) struct OpenAccount {
    pub(crate) account: Account,
    pub(crate) directory: Directory,
    /// The thumbprint of the account's key, which answers to challenges contain.
    pub(crate) thumbprint: Arc<str>,
    /// The key in the same form as in the file.
    key: String,
    since: UnixTime,
}

/// The format of an account file.
#[derive(Clone, Deserialize, Serialize)]
struct AccountFile {
    version: u32,
    directory: String,
    /// The account's URL; empty until the CA has given one.
    id: String,
    /// PKCS #8, base64url.
    key: String,
    /// Whether the key is to be changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    new_key_wanted: bool,
    /// The key that the CA was asked, or is about to be asked, to accept in place of `key`; its answer is not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_key: Option<String>,
    /// The e-mail address that was last sent to the CA, accepted or not; empty if it was sent none. `None` if it
    /// was never noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
}

impl<S: Storage> Accounts<S> {
    pub(crate) fn new(storage: S, http: Http, settings: Arc<AcmeSettings>, clock: Clock) -> Self {
        let open = settings.issuers.iter().map(|issuer| (issuer.directory.clone(), Mutex::default())).collect();
        Self { storage, http, settings, clock, open: Arc::new(open), known: Arc::default() }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// The last directory that each CA gave.
    pub(crate) fn known(&self) -> BTreeMap<DirectoryUrl, Directory> {
        self.known.lock().clone()
    }

    /// Returns the account with a CA, and registers one if there is none.
    pub(crate) async fn get(&self, directory: &DirectoryUrl) -> Result<OpenAccount, Failure> {
        let slot = self.open.get(directory);
        let slot = slot.ok_or_else(|| Failure::new(FailureKind::Account, format!("`{directory}` is no CA of ours")))?;
        let mut slot = slot.lock().await;
        let now = self.clock.now();
        // Another instance may have changed the key; a file that cannot be read counts as unchanged.
        let file = self.read(&key_for(directory)).await.ok().flatten();
        let is_current = |open: &&OpenAccount| {
            let is_same = file.as_ref().is_none_or(|file| file.key == open.key && file.next_key.is_none());
            is_same && open.since <= now && now.since(open.since) < DIRECTORY_LIFETIME
        };
        if let Some(open) = slot.as_ref().filter(is_current) {
            return Ok(open.clone());
        }
        let about = Directory::fetch(&self.http, directory, now).await?;
        self.known.lock().insert(directory.clone(), about.clone());
        if file.is_some_and(|file| file.next_key.is_some())
            && let Err(failure) = self.change_key(directory, &about).await
        {
            tracing::warn!(
                ca = directory.as_str(),
                error = failure.detail,
                "failed to find out which of two keys is in force"
            );
        }
        let (account, key) = self.restore_or_register(directory, &about).await?;
        let thumbprint = thumbprint(&pair(&decode(&key)?)?).ok_or_else(damaged)?.into();
        let open = OpenAccount { account, directory: about, thumbprint, key, since: now };
        *slot = Some(open.clone());
        Ok(open)
    }

    /// Returns the CA's directory without opening an account.
    pub(crate) async fn directory(&self, directory: &DirectoryUrl) -> Result<Directory, Failure> {
        if let Some(slot) = self.open.get(directory)
            && let Some(open) = &*slot.lock().await
        {
            return Ok(open.directory.clone());
        }
        Ok(Directory::fetch(&self.http, directory, self.clock.now()).await?)
    }

    /// Drops the open account, which may have changed: the next use asks the CA anew.
    pub(crate) async fn close(&self, directory: &DirectoryUrl) {
        if let Some(slot) = self.open.get(directory) {
            *slot.lock().await = None;
        }
    }

    /// Forgets an account that the CA no longer knows; the next use registers another.
    pub(crate) async fn forget(&self, directory: &DirectoryUrl) -> Result<(), Failure> {
        let lease = self.lock(directory).await?;
        let key = key_for(directory);
        if self.storage.get(&key).await?.is_some() {
            let aside = self.storage.set_aside(&key, &lease).await?;
            tracing::warn!(ca = directory.as_str(), %aside, "the CA does not know our account any more; another is made");
        }
        self.close(directory).await;
        Ok(())
    }

    async fn restore_or_register(
        &self,
        directory: &DirectoryUrl,
        about: &Directory,
    ) -> Result<(Account, String), Failure> {
        let key = key_for(directory);
        if let Some(file) = self.read(&key).await?.filter(|file| !file.id.is_empty()) {
            return Ok((self.restore(&file).await?, file.key));
        }
        let lease = self.lock(directory).await?;
        // Read again under the lease: another instance may have been faster.
        let file = match self.storage.get(&key).await?.map(|text| read(&text)) {
            Some(Ok(file)) => Some(file),
            Some(Err(error)) => {
                let aside = self.storage.set_aside(&key, &lease).await?;
                tracing::error!(file = %key, %aside, %error, "set a damaged account aside; another is made");
                None
            }
            None => None,
        };
        match file {
            Some(file) if !file.id.is_empty() => Ok((self.restore(&file).await?, file.key)),
            file => {
                let registered = self.register(directory, about, file, &lease);
                while_held(&self.storage, &lease, registered).await.unwrap_or_else(|| Err(taken_over()))
            }
        }
    }

    async fn restore(&self, file: &AccountFile) -> Result<Account, Failure> {
        let (http, key) = self.client_of(&decode(&file.key)?)?;
        let builder = Account::builder_with_http(http);
        Ok(builder.from_parts(file.id.clone(), PrivatePkcs8KeyDer::from(key), file.directory.clone()).await?)
    }

    /// A client that signs with an account's key, and the key that the protocol crate is given: the same one, or another
    /// one that no CA knows.
    fn client_of(&self, key: &[u8]) -> Result<(Box<dyn HttpClient>, Vec<u8>), Failure> {
        let signer = pair(key)?;
        if !is_rsa(&signer) {
            return Ok((Box::new(self.http.clone()), key.to_vec()));
        }
        let (_, stand_in) = Key::generate_pkcs8().map_err(Failure::from)?;
        let client = Resigned { http: self.http.clone(), key: Arc::new(signer) };
        Ok((Box::new(client), stand_in.secret_pkcs8_der().to_vec()))
    }

    async fn register(
        &self,
        directory: &DirectoryUrl,
        about: &Directory,
        begun: Option<AccountFile>,
        lease: &S::Lease,
    ) -> Result<(Account, String), Failure> {
        let issuer = self.settings.issuers.iter().find(|issuer| issuer.directory == *directory);
        let external = issuer.and_then(|issuer| issuer.external_account.as_ref());
        if about.meta.external_account_required && external.is_none() {
            let words = "this CA asks for an account of its own (EAB): a key identifier and a key from its web pages";
            return Err(Failure::new(FailureKind::Account, words));
        }
        // Write the key first: if we are stopped after the CA has made the account, the same key gives the same
        // account.
        let (key, is_begun) = match begun {
            Some(file) => (decode(&file.key)?, true),
            None => {
                let (_, key) = Key::generate_pkcs8().map_err(Failure::from)?;
                let key = key.secret_pkcs8_der().to_vec();
                self.store(&AccountFile::of(directory, "", &key), lease).await?;
                (key, false)
            }
        };
        let mut file = AccountFile::of(directory, "", &key);
        let account = match external {
            Some(external) => {
                // A key identifier may be valid for one use only, which an earlier attempt of ours may have spent.
                let known = if is_begun { self.account_of(&key, directory).await? } else { None };
                file.id = match known {
                    Some(account) => account.id().to_owned(),
                    None => self.bind(&key, external, about).await?,
                };
                file.contact = Some(self.email().to_owned());
                self.store(&file, lease).await?;
                self.restore(&file).await?
            }
            None => {
                let (account, _) = repeat!(async {
                    let pair = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(&*key))?;
                    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
                    let builder = Account::builder_with_http(Box::new(self.http.clone()));
                    builder.create_from_key((pair, der), directory.to_string()).await
                })?;
                file.id = account.id().to_owned();
                self.store(&file, lease).await?;
                self.tell_contact(&account, &mut file, lease).await?;
                account
            }
        };
        tracing::info!(ca = directory.as_str(), account = account.id(), "made an account with a CA");
        Ok((account, file.key))
    }

    /// Registers the key under the account that the user has at the CA.
    async fn bind(&self, key: &[u8], external: &ExternalAccount, about: &Directory) -> Result<String, Failure> {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(external.key.trim_end_matches('='));
        let secret = secret.map_err(|_| Failure::new(FailureKind::Account, "the EAB key is not base64url"))?;
        let contact = self.contact();
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let registration = Registration { key, external: (&external.id, &secret), contact: &contact };
        registration.ask(&self.http, about).await
    }

    fn email(&self) -> &str {
        self.settings.email.as_deref().unwrap_or_default()
    }

    fn contact(&self) -> Option<String> {
        self.settings.email.as_ref().map(|email| format!("mailto:{email}"))
    }

    /// Sends the CA the e-mail address if the last one sent was another. An address that the CA refuses is sent
    /// once and not again.
    async fn tell_contact(&self, account: &Account, file: &mut AccountFile, lease: &S::Lease) -> Result<(), Failure> {
        if !file.has_other_contact(self.email()) {
            return Ok(());
        }
        let contact = self.contact();
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        match repeat!(account.update_contacts(&contact)) {
            Ok(()) => tracing::info!(ca = file.directory, "told the CA the e-mail address"),
            Err(error @ Error::Api(_)) => {
                tracing::warn!(%error, ca = file.directory, "the CA does not take the contact; it goes without");
            }
            Err(error) => return Err(error.into()),
        }
        file.contact = Some(self.email().to_owned());
        Ok(self.store(file, lease).await?)
    }

    /// CAs that were last sent another e-mail address than the one that is set.
    pub(crate) async fn wanting_contacts(&self) -> Vec<DirectoryUrl> {
        let mut wanting = Vec::new();
        for issuer in &self.settings.issuers {
            let file = self.read(&key_for(&issuer.directory)).await.ok().flatten();
            let is_wanting = |file: &AccountFile| !file.id.is_empty() && file.has_other_contact(self.email());
            wanting.extend(file.filter(is_wanting).map(|_| issuer.directory.clone()));
        }
        wanting
    }

    /// Sends a CA the e-mail address that is set.
    pub(crate) async fn renew_contact(&self, directory: &DirectoryUrl) -> Result<(), Failure> {
        let lease = self.lock(directory).await?;
        let Some(mut file) = self.read(&key_for(directory)).await?.filter(|file| !file.id.is_empty()) else {
            return Ok(());
        };
        let told = async {
            let account = self.restore(&file.clone()).await?;
            self.tell_contact(&account, &mut file, &lease).await
        };
        while_held(&self.storage, &lease, told).await.unwrap_or_else(|| Err(taken_over()))
    }

    /// CAs whose account is to have another key.
    pub(crate) async fn wanting_new_keys(&self) -> Vec<DirectoryUrl> {
        let mut wanting = Vec::new();
        for issuer in &self.settings.issuers {
            let file = self.read(&key_for(&issuer.directory)).await.ok().flatten();
            let is_wanting = |file: &AccountFile| file.new_key_wanted && !file.id.is_empty();
            wanting.extend(file.filter(is_wanting).map(|_| issuer.directory.clone()));
        }
        wanting
    }

    /// Gives the account another key. Callers that need the account meanwhile wait.
    pub(crate) async fn renew_key(&self, directory: &DirectoryUrl) -> Result<(), Failure> {
        let slot = self.open.get(directory);
        let slot = slot.ok_or_else(|| Failure::new(FailureKind::Account, format!("`{directory}` is no CA of ours")))?;
        let mut slot = slot.lock().await;
        let about = Directory::fetch(&self.http, directory, self.clock.now()).await?;
        *slot = None;
        self.change_key(directory, &about).await
    }

    /// At every point where this may stop, the key that is in force at the CA is on the volume: the new key is
    /// written before the CA is asked, and the old key is dropped after the CA has answered.
    async fn change_key(&self, directory: &DirectoryUrl, about: &Directory) -> Result<(), Failure> {
        let lease = self.lock(directory).await?;
        let changed = self.change_key_under(directory, about, &lease);
        while_held(&self.storage, &lease, changed).await.unwrap_or_else(|| Err(taken_over()))
    }

    async fn change_key_under(
        &self,
        directory: &DirectoryUrl,
        about: &Directory,
        lease: &S::Lease,
    ) -> Result<(), Failure> {
        let file = self.read(&key_for(directory)).await?.filter(|file| !file.id.is_empty());
        let Some(mut file) = file.filter(|file| file.new_key_wanted || file.next_key.is_some()) else { return Ok(()) };
        let (new, is_known) = match &file.next_key {
            Some(key) => (decode(key)?, self.is_in_force(key, &file).await?),
            None => {
                let (_, key) = Key::generate_pkcs8().map_err(Failure::from)?;
                file.next_key = Some(BASE64_URL_SAFE_NO_PAD.encode(key.secret_pkcs8_der()));
                self.store(&file, lease).await?;
                (key.secret_pkcs8_der().to_vec(), false)
            }
        };
        if !is_known {
            let change = KeyChange { account: &file.id, old: &decode(&file.key)?, new: &new };
            let asked = change.ask(&self.http, about).await;
            // A refusal settles the change as well: the old key stays.
            if let Err(failure) = asked.as_ref().map_err(Clone::clone) {
                if failure.kind == FailureKind::Rejected {
                    (file.next_key, file.new_key_wanted) = (None, false);
                    self.store(&file, lease).await?;
                }
                return Err(failure);
            }
        }
        (file.key, file.next_key, file.new_key_wanted) = (BASE64_URL_SAFE_NO_PAD.encode(&new), None, false);
        self.store(&file, lease).await?;
        tracing::info!(ca = directory.as_str(), account = file.id, "the account has another key");
        Ok(())
    }

    /// Whether the CA knows the account by this key.
    async fn is_in_force(&self, key: &str, file: &AccountFile) -> Result<bool, Failure> {
        let account = self.account_of(&decode(key)?, &file.directory()).await?;
        Ok(account.is_some_and(|account| account.id() == file.id))
    }

    /// The account that the CA knows by this key.
    async fn account_of(&self, key: &[u8], directory: &DirectoryUrl) -> Result<Option<Account>, Failure> {
        let (_, stand_in) = self.client_of(key)?;
        let found = repeat!(async {
            let (http, _) = self.client_of(key).map_err(|failure| Error::Other(failure.detail.into()))?;
            let pair = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(&*stand_in))?;
            let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(stand_in.clone()));
            Account::builder_with_http(http).from_key((pair, der), directory.to_string()).await
        });
        match found {
            Ok((account, _)) => Ok(Some(account)),
            // Any other refusal leaves the question open, and a wrong answer would cost the account.
            Err(error) if Failure::from(&error).is_account_gone(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn store(&self, file: &AccountFile, lease: &S::Lease) -> Result<(), StorageError> {
        self.storage.put(&key_for(&file.directory()), file.text(), lease).await
    }

    async fn read(&self, key: &str) -> Result<Option<AccountFile>, StorageError> {
        Ok(self.storage.get(key).await?.and_then(|text| read(&text).ok()))
    }

    async fn lock(&self, directory: &DirectoryUrl) -> Result<S::Lease, Failure> {
        for _ in 0..LOCK_ATTEMPTS {
            if let Some(lease) = self.storage.lock(&lease_for(directory)).await? {
                return Ok(lease);
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
        Err(Failure::new(FailureKind::Storage, "another instance has been making the account for too long"))
    }
}

/// Notes on a volume that every account is to get another key, and returns the CAs' directories. A running instance
/// sees the note within seconds, others see it when they start.
///
/// # Errors
///
/// If a file cannot be read or written, or another instance holds its lease.
pub async fn want_new_account_keys(data: &Path) -> Result<Vec<String>, StorageError> {
    let storage = FolderStorage::new(data);
    let mut directories = Vec::new();
    for stored in storage.list(FOLDER).await? {
        let busy = || StorageError::busy("change", &stored.key);
        let Some(mut file) = storage.get(&stored.key).await?.and_then(|text| read(&text).ok()) else { continue };
        let lease = storage.lock(&lease_for(&file.directory())).await?.ok_or_else(busy)?;
        file.new_key_wanted = true;
        storage.put(&stored.key, file.text(), &lease).await?;
        directories.push(file.directory);
    }
    Ok(directories)
}

/// An account that other software has made.
#[derive(Clone, Eq, PartialEq)]
pub struct AdoptedAccount {
    /// The directory of its CA.
    pub directory: DirectoryUrl,
    /// Its URL.
    pub url: Box<str>,
    /// Its private key, as DER in PKCS #1 or PKCS #8.
    pub key: Vec<u8>,
    /// The e-mail address that the CA has.
    pub email: Box<str>,
}

/// The key stays out of logs.
impl fmt::Debug for AdoptedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptedAccount").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Puts an account on the volume `data`, unless there is one with its CA. Returns whether it was put there.
///
/// # Errors
///
/// The key is of no kind that can be used, the URL is not at the CA, the volume cannot be written, or another instance
/// is making an account.
pub async fn adopt_account(data: &Path, adopted: &AdoptedAccount) -> Result<bool, AdoptError> {
    let AdoptedAccount { directory, url, key, email } = adopted;
    let host = |url: &str| url.parse::<http::Uri>().ok()?.host().map(str::to_ascii_lowercase);
    if host(url).is_none() || host(url) != host(directory.as_str()) {
        return Err(AdoptError::OfAnotherCa);
    }
    let key = pkcs8(key).filter(|key| pair(key).is_ok()).ok_or(AdoptError::UnusableKey)?;
    let storage = FolderStorage::new(data);
    let busy = || StorageError::busy("adopt", &key_for(directory));
    let lease = storage.lock(&lease_for(directory)).await?.ok_or_else(busy)?;
    if storage.get(&key_for(directory)).await?.is_some() {
        return Ok(false);
    }
    let mut file = AccountFile::of(directory, url, &key);
    file.contact = Some(email.trim_start_matches("mailto:").to_owned());
    storage.put(&key_for(directory), file.text(), &lease).await?;
    Ok(true)
}

/// Why an account cannot be adopted. Reads well after "failed to adopt it:".
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Its URL is not at the CA that is asked.
    #[error("it is with another CA than the one that is asked")]
    OfAnotherCa,
    /// Its key is of no known kind.
    #[error("its key is neither RSA nor ECDSA on P-256")]
    UnusableKey,
    /// The volume does not keep it.
    #[error("failed to {0}")]
    Storage(#[from] StorageError),
}

/// A private key in PKCS #8. Traefik keeps RSA keys in PKCS #1.
fn pkcs8(key: &[u8]) -> Option<Vec<u8>> {
    match rsa::KeyPair::from_der(key) {
        Ok(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(&key).ok().map(|der| der.as_ref().to_vec()),
        Err(_) => Some(key.to_vec()),
    }
}

impl AccountFile {
    fn of(directory: &DirectoryUrl, id: &str, key: &[u8]) -> Self {
        let (directory, id, key) = (directory.to_string(), id.to_owned(), BASE64_URL_SAFE_NO_PAD.encode(key));
        Self { version: VERSION, directory, id, key, new_key_wanted: false, next_key: None, contact: None }
    }

    fn directory(&self) -> DirectoryUrl {
        DirectoryUrl::from_volume(self.directory.as_str())
    }

    /// Whether the last address sent to the CA was another, or is unknown. A CA that was never sent an address
    /// needs no message that there is none.
    fn has_other_contact(&self, email: &str) -> bool {
        self.contact.as_deref().map_or(!email.is_empty(), |told| told != email)
    }

    fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("text and numbers can always be written");
        text.push(b'\n');
        text
    }
}

/// The failure of an action whose lease was lost to another instance midway.
fn taken_over() -> Failure {
    Failure::new(FailureKind::Storage, "another instance has taken the account over; it is tried again")
}

/// Together these bound the wait for another instance, whose registration takes a second or two.
const LOCK_POLL: Duration = Duration::from_millis(100);
const LOCK_ATTEMPTS: u32 = 600;

fn read(text: &[u8]) -> Result<AccountFile, String> {
    let file: AccountFile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    decode(&file.key).map_err(|failure| failure.detail)?;
    Ok(file)
}

fn decode(key: &str) -> Result<Vec<u8>, Failure> {
    BASE64_URL_SAFE_NO_PAD.decode(key).map_err(|_| Failure::new(FailureKind::Account, "the account's key is damaged"))
}

/// The storage key of the account with a CA.
pub(crate) fn key_for(directory: &DirectoryUrl) -> String {
    format!("{FOLDER}{}.json", directory.file_name())
}

fn lease_for(directory: &DirectoryUrl) -> String {
    format!("account-{}", directory.file_name())
}
