//! The OpenID providers in `[oidc.<name>]` tables of the config file, with the keys for cookies on the volume.
//!
//! A provider whose settings stay is kept, with what it has said about itself. One that is not in order is not there, and
//! routes that name it are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gangway_certs::{LOGIN_KEYS_LOOK_EVERY, LoginKey};
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{Compiled, Middleware, OidcAuth};
use gangway_oidc::{CookieKeys, LoginError, Provider, Providers};
use gangway_publish::{Generation, Publisher, Reader};
use gangway_tls::UnixTime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::finding_log::FindingLog;
use crate::settings::{OidcTable, Outside, read_file};

/// Secrets are files too, so everything is read again now and then.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Providers are asked how they are, so that trouble is known before a user wants to log in.
const CHECK_EVERY: Duration = Duration::from_secs(10);

const CLOSED: &str = "routes with `auth.oidc` that name it are closed: they answer 503 to everybody";

/// The written ends of what the task knows.
pub(super) struct ProviderOutputs {
    pub(super) providers: Publisher<Providers>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// The providers by name, and what is wrong with the others.
type Read = (BTreeMap<Box<str>, Arc<Provider>>, Vec<Diagnostic>);

/// Follows the tables and the keys, for ever.
pub(super) async fn follow(
    data: PathBuf,
    tables: Reader<Vec<OidcTable>>,
    compiled: Reader<Compiled>,
    mut outputs: ProviderOutputs,
) -> Infallible {
    let mut log = FindingLog::default();
    let mut known: BTreeMap<Box<str>, Arc<Provider>> = BTreeMap::new();
    let mut keys = VolumeKeys::default();
    let mut is_published = false;
    let mut routes = NamedProviders::default();
    loop {
        let (last, of_file) = (known.clone(), tables.load().clone());
        let in_file: BTreeSet<Box<str>> = of_file.iter().map(|table| table.name.clone()).collect();
        // Reading secrets is work with files.
        let read = tokio::task::spawn_blocking(move || providers(&of_file, &last)).await;
        let (current, mut findings) = match read {
            Ok(read) => read,
            // A panic would be a bug; what is published stays in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the OpenID providers");
                return std::future::pending().await;
            }
        };
        let have_keys_changed = !current.is_empty() && keys.look(&data).await;
        let is_same = |one: &Arc<Provider>, other: &Arc<Provider>| Arc::ptr_eq(one, other);
        let have_changed = current.len() != known.len()
            || !current.values().zip(known.values()).all(|(one, other)| is_same(one, other));
        if have_changed || have_keys_changed || !is_published {
            known = current;
            outputs.providers.publish(Providers::new(known.values().cloned(), Arc::clone(&keys.sealing)));
            is_published = true;
        }
        routes.look(&compiled);
        findings.extend(routes.all.iter().filter(|name| !in_file.contains(*name)).map(|name| missing(name)));
        findings.extend(routes.not_narrowed.iter().filter_map(|name| open(known.get(name)?)));
        findings.extend(keys.trouble.clone());
        if log.tell(&findings) {
            outputs.findings.publish(findings);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads the tables. A provider whose settings are as before stays the same one.
fn providers(tables: &[OidcTable], last: &BTreeMap<Box<str>, Arc<Provider>>) -> Read {
    let outside = Outside { file: &read_file, variable: &|name| std::env::var(name).ok() };
    let (mut providers, mut findings) = (BTreeMap::new(), Vec::new());
    for table in tables {
        let settings = match table.parse(&outside) {
            Ok(settings) => settings,
            Err(found) => {
                findings.extend(found);
                continue;
            }
        };
        let kept = last.get(&table.name).filter(|provider| *provider.settings() == settings);
        match kept.map_or_else(|| Provider::new(settings).map(Arc::new), |kept| Ok(Arc::clone(kept))) {
            Ok(provider) => drop(providers.insert(table.name.clone(), provider)),
            Err(error) => {
                let message = format!("`ca-file` of OpenID provider `{}` cannot be used: {error}", table.name);
                let found = Diagnostic::error(codes::OIDC_PROVIDER, table.place.clone(), message)
                    .with_help("name a file with certificates in PEM, such as the one that `gangway ca` prints")
                    .with_effect(CLOSED);
                findings.push(found);
            }
        }
    }
    (providers, findings)
}

/// The keys of the volume as they were read last.
#[derive(Default)]
struct VolumeKeys {
    keys: Vec<LoginKey>,
    sealing: Arc<CookieKeys>,
    looked: Option<Instant>,
    trouble: Option<Diagnostic>,
}

impl VolumeKeys {
    /// Reads them if it is time. Returns whether they have changed. Keys that were read stay if they cannot be read any more.
    async fn look(&mut self, data: &std::path::Path) -> bool {
        let every = if self.keys.is_empty() { LOOK_EVERY } else { LOGIN_KEYS_LOOK_EVERY };
        if self.looked.is_some_and(|looked| looked.elapsed() < every) {
            return false;
        }
        self.looked = Some(Instant::now());
        let about = |message: String, effect: &str| {
            Diagnostic::error(codes::OIDC_KEYS, Place::Name("oidc/keys.json".into()), message)
                .with_help("let Gangway read and write `oidc/` on the volume, and look at its clock")
                .with_effect(effect)
        };
        match gangway_certs::login_keys(data, UnixTime::now()).await {
            Ok(keys) => {
                self.trouble = keys.is_empty().then(|| {
                    let message = "the volume has no key for the cookies of log-ins".to_owned();
                    about(message, "every route with `auth.oidc` is closed: it answers 503 to everybody")
                });
                let have_changed = keys != self.keys;
                if have_changed {
                    let bytes: Vec<[u8; 32]> = keys.iter().map(|key| *key.bytes()).collect();
                    self.sealing = Arc::new(CookieKeys::new(&bytes));
                    self.keys = keys;
                }
                have_changed
            }
            Err(error) => {
                let effect = match self.keys.is_empty() {
                    true => "every route with `auth.oidc` is closed: it answers 503 to everybody",
                    false => "the keys that were read before stay in use",
                };
                self.trouble = Some(about(format!("failed to share keys for the cookies of log-ins: {error}"), effect));
                false
            }
        }
    }
}

/// The providers that routes name.
#[derive(Default)]
struct NamedProviders {
    /// The table that was looked at.
    generation: Option<Generation>,
    all: BTreeSet<Box<str>>,
    /// Those of a route that lets all of their users in.
    not_narrowed: BTreeSet<Box<str>>,
}

impl NamedProviders {
    /// Looks at the table if it is a new one.
    fn look(&mut self, compiled: &Reader<Compiled>) {
        let compiled = compiled.load();
        if self.generation == Some(compiled.generation()) {
            return;
        }
        self.generation = Some(compiled.generation());
        self.all = log_ins(&compiled).map(|oidc| oidc.provider.clone()).collect();
        let not_narrowed = log_ins(&compiled).filter(|oidc| !oidc.is_narrowed());
        self.not_narrowed = not_narrowed.map(|oidc| oidc.provider.clone()).collect();
    }
}

/// Issuers that give an account to everybody who wants one.
const PUBLIC_ISSUERS: [&str; 8] = [
    "https://accounts.google.com",
    "https://api.login.yahoo.com",
    "https://appleid.apple.com",
    "https://gitlab.com",
    "https://id.twitch.tv/oauth2",
    // The tenant of Microsoft's personal accounts.
    "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    "https://www.facebook.com",
    "https://www.linkedin.com/oauth",
];

/// What is to be said of a route that lets all users of a provider in.
fn open(provider: &Provider) -> Option<Diagnostic> {
    let name = &provider.settings().name;
    if !PUBLIC_ISSUERS.contains(&provider.settings().issuer.trim_end_matches('/')) {
        return None;
    }
    let place = Place::Name(format!("oidc.{name}").into());
    let message = format!("everybody can have an account at OpenID provider `{name}`, and a route lets all of them in");
    let found = Diagnostic::warning(codes::OIDC_OPEN, place, message)
        .with_help(
            "add the label `auth.users` with the addresses of those who are meant, or `auth.domains` with your domain",
        )
        .with_effect("whoever has an account there is let in");
    Some(found)
}

/// Asks the providers that routes name how they are, for ever.
pub(super) async fn check(
    providers: Reader<Providers>,
    compiled: Reader<Compiled>,
    mut findings: Publisher<Vec<Diagnostic>>,
) -> Infallible {
    let mut log = FindingLog::default();
    let mut named = NamedProviders::default();
    loop {
        named.look(&compiled);
        let mut checks = JoinSet::new();
        for (name, provider) in
            named.all.iter().filter_map(|name| Some((name.clone(), providers.load().get(name)?.clone())))
        {
            checks.spawn(async move { (name, provider.check().await) });
        }
        let mut found = Vec::new();
        while let Some(checked) = checks.join_next().await {
            if let Ok((name, Err(error))) = checked {
                found.push(unavailable(&name, &error));
            }
        }
        found.sort_by(|one, other| one.message.cmp(&other.message));
        if log.tell(&found) {
            findings.publish(found);
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

fn log_ins(compiled: &Compiled) -> impl Iterator<Item = &OidcAuth> {
    let middlewares = compiled.table.routes().iter().flat_map(|route| &route.middlewares);
    middlewares.filter_map(Middleware::authentication).filter_map(|login| login.oidc())
}

fn missing(name: &str) -> Diagnostic {
    let place = Place::Name(format!("oidc.{name}").into());
    Diagnostic::error(codes::OIDC_PROVIDER, place, format!("there is no OpenID provider `{name}` for `auth.oidc`"))
        .with_help(format!("write a table `[oidc.{name}]` with `issuer` and `client-id` into the config file"))
        .with_effect(CLOSED)
}

fn unavailable(name: &str, error: &LoginError) -> Diagnostic {
    let place = Place::Name(format!("oidc.{name}").into());
    let help = match error {
        LoginError::Unavailable(_) => {
            "look whether the provider is up, and whether Gangway reaches it by the URL in `issuer`"
        }
        LoginError::Invalid(_)
        | LoginError::Denied(_)
        | LoginError::NotBegun(_)
        | LoginError::Busy
        | LoginError::Closed(_) => "compare `issuer` with what the provider says, and the clocks of both machines",
    };
    Diagnostic::error(codes::OIDC_UNAVAILABLE, place, format!("OpenID provider `{name}` cannot be used: {error}"))
        .with_help(help)
        .with_effect("nobody can log in there; whoever is logged in stays so")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, client: &str) -> OidcTable {
        table_of(name, "https://id.example.org", client)
    }

    fn table_of(name: &str, issuer: &str, client: &str) -> OidcTable {
        let key = |key: &str, value: &str| (key.into(), value.into(), Place::Configuration);
        let keys = vec![key("issuer", issuer), key("client-id", client)];
        OidcTable::new(name.into(), keys, Place::Configuration)
    }

    #[test]
    fn a_provider_stays_the_same_one_as_long_as_its_settings_do() {
        let (first, found) = providers(&[table("home", "a"), table("work", "a")], &BTreeMap::new());
        assert!(found.is_empty() && first.len() == 2);
        let (second, _) = providers(&[table("home", "a"), table("work", "b")], &first);
        assert!(Arc::ptr_eq(&first["home"], &second["home"]) && !Arc::ptr_eq(&first["work"], &second["work"]));
        let (third, found) = providers(&[table("home", "")], &first);
        assert!(third.is_empty() && found.len() == 1, "what is not in order is not there: {found:?}");
    }

    #[test]
    fn a_route_that_lets_all_of_the_world_in_is_told() {
        let tables = [table("home", "a"), table_of("google", "https://accounts.google.com", "a")];
        let (known, _) = providers(&tables, &BTreeMap::new());
        assert!(open(&known["home"]).is_none());
        assert_eq!(open(&known["google"]).map(|found| found.code), Some(codes::OIDC_OPEN));
    }

    #[tokio::test]
    async fn without_a_volume_there_is_no_key_and_that_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        std::fs::File::create(&data).expect("a file in its place");
        let mut keys = VolumeKeys::default();
        assert!(!keys.look(&data).await && keys.sealing.is_empty());
        let trouble = keys.trouble.clone().expect("it is said");
        assert!(trouble.code == codes::OIDC_KEYS && trouble.effect.contains("closed"), "{trouble:?}");
        std::fs::remove_file(&data).expect("ours");
        keys.looked = None;
        assert!(keys.look(&data).await && !keys.sealing.is_empty() && keys.trouble.is_none());
    }
}
