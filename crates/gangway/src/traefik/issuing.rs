//! Traefik's resolvers → our settings for authorities, and what `acme.json` holds → certificates to be adopted.
//!
//! No resolver keeps Gangway from starting. What cannot be used of one is a diagnostic, and the rest is in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gangway_acme::{
    AcmeSettings, AdoptedAccount, ChallengeKind, DirectoryUrl, DnsProvider, DnsSettings, ExternalAccount, Issuer,
    UnusableProvider,
};
use gangway_certs::AdoptedCertificate;
use gangway_diagnostic::{Diagnostic, Place, Severity, codes, printable};
use gangway_model::CertificateDomain;
use gangway_traefik::{AcmeStorage, Resolver, StaticConfig};

use crate::settings::{pem_file, secret};

/// The authority of a resolver that names none.
pub(crate) const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The file of a resolver that names none.
const STORAGE: &str = "acme.json";

/// A longer delay before a record is looked for is surely not meant; the order would end before.
const DNS_DELAY_MAX: Duration = Duration::from_mins(10);

/// What the resolvers ask for.
#[derive(Debug, Default)]
pub(crate) struct Issuing {
    pub(crate) acme: AcmeSettings,
    /// The certificates that their files hold.
    pub(crate) certificates: Vec<AdoptedCertificate>,
    /// The accounts that their files hold.
    pub(crate) accounts: Vec<AdoptedAccount>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Issuing {
    /// Reads the settings of all resolvers, and their files. None where there is no resolver.
    pub(crate) fn of(config: &StaticConfig, variable: Lookup<'_>) -> Option<Self> {
        if config.resolvers.is_empty() {
            return None;
        }
        let mut issuing = Self::default();
        let resolvers = &config.resolvers;
        let directories: Vec<Option<DirectoryUrl>> =
            resolvers.iter().map(|resolver| issuing.directory(resolver)).collect();
        issuing.issuers(resolvers, &directories);
        issuing.acme.email = resolvers.iter().find_map(|resolver| resolver.email.clone());
        issuing.acme.profile = resolvers.iter().find_map(|resolver| resolver.profile.clone());
        issuing.acme.root_pem = issuing.roots(resolvers);
        issuing.acme.challenges = challenges(resolvers);
        issuing.acme.dns = issuing.dns(resolvers, variable);
        if issuing.acme.dns.is_some() {
            issuing.acme.wildcards = wildcards(config);
        }
        issuing.adopt(resolvers, &directories);
        Some(issuing)
    }

    fn directory(&mut self, resolver: &Resolver) -> Option<DirectoryUrl> {
        let server = resolver.ca_server.as_deref().unwrap_or(LETS_ENCRYPT);
        match DirectoryUrl::parse(server) {
            Ok(directory) => Some(directory),
            Err(_) => {
                self.tell(
                    (resolver, "caServer"),
                    format!("`{}` is not the `https` URL of an authority", printable(server)),
                    "write a URL that begins with `https://`; with `caCertificates` it may have a certificate of your own",
                    "the resolver orders no certificate",
                );
                None
            }
        }
    }

    /// Each authority once. A router that names a resolver gets certificates of its authority; names without such a router
    /// those of the first resolver, or the first whose authority is not for tests: no browser trusts one that is.
    fn issuers(&mut self, resolvers: &[Resolver], directories: &[Option<DirectoryUrl>]) {
        for (resolver, directory) in resolvers.iter().zip(directories) {
            let Some(directory) = directory else {
                // A choice that no CA fulfils: nobody else is asked for the names of its routers.
                let unusable = DirectoryUrl::from_volume(resolver.ca_server.as_deref().unwrap_or_default());
                self.acme.named.insert(resolver.name.clone(), unusable);
                continue;
            };
            let external_account = self.external_account(resolver);
            self.acme.named.insert(resolver.name.clone(), directory.clone());
            match self.acme.issuers.iter_mut().find(|issuer| issuer.directory == *directory) {
                Some(issuer) => issuer.external_account = issuer.external_account.take().or(external_account),
                None => self.acme.issuers.push(Issuer { directory: directory.clone(), external_account }),
            }
        }
        let issuers = &self.acme.issuers;
        let usual = issuers.iter().find(|issuer| !issuer.is_staging()).or(issuers.first());
        let others = issuers.iter().filter(|issuer| usual.is_some_and(|usual| usual.directory != issuer.directory));
        self.acme.only_chosen = others.map(|issuer| issuer.directory.clone()).collect();
    }

    fn external_account(&mut self, resolver: &Resolver) -> Option<ExternalAccount> {
        match (&resolver.kid, &resolver.hmac) {
            (Some(id), Some(hmac)) => Some(ExternalAccount { id: id.clone(), key: hmac.reveal().into() }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                self.tell(
                    (resolver, "eab"),
                    "`eab` needs `kid` and `hmacEncoded`".to_owned(),
                    "write both, as the web pages of the authority show them",
                    "the authority is asked without an account of yours",
                );
                None
            }
        }
    }

    fn roots(&mut self, resolvers: &[Resolver]) -> Option<Box<str>> {
        let mut roots = String::new();
        for resolver in resolvers {
            for file in &resolver.ca_certificates {
                match pem_file(&file.display().to_string()) {
                    Ok(pem) => roots = roots + &pem + "\n",
                    Err(error) => self.tell(
                        (resolver, "caCertificates"),
                        format!("`{}` cannot be used: {}", file.display(), error.note),
                        &error.help,
                        "the authority's own certificate is checked without it",
                    ),
                }
            }
        }
        (!roots.is_empty()).then(|| roots.into())
    }

    fn dns(&mut self, resolvers: &[Resolver], variable: Lookup<'_>) -> Option<DnsSettings> {
        let mut found: Option<(DnsSettings, &str)> = None;
        for resolver in resolvers {
            let Some(name) = resolver.dns_provider.as_deref() else { continue };
            if let Some((_, first)) = &found {
                if *first != name {
                    let message =
                        format!("resolver `{}` has another DNS provider than the first", printable(&resolver.name));
                    let effect = format!("records are made at `{}` for all names", printable(first));
                    self.tell((resolver, "dnsChallenge.provider"), message, "keep one provider", &effect);
                }
                continue;
            }
            match DnsProvider::parse_lego(name, variable) {
                Ok(provider) => {
                    let mut dns = DnsSettings::new(provider);
                    dns.resolvers.clone_from(&resolver.dns_resolvers);
                    dns.delay = resolver.dns_delay.unwrap_or_default().min(DNS_DELAY_MAX);
                    if resolver.dns_checks_off {
                        dns.wait = Duration::ZERO;
                    }
                    found = Some((dns, name));
                }
                Err(error) => {
                    let help = match &error {
                        UnusableProvider::Unknown(_) => {
                            let known: Vec<&str> = DnsProvider::names().collect();
                            format!("known are {}; or use `httpreq` or `exec`", known.join(", "))
                        }
                        UnusableProvider::Missing(_)
                        | UnusableProvider::Misnamed(..)
                        | UnusableProvider::Incomplete(..)
                        | UnusableProvider::Unreadable(..)
                        | UnusableProvider::NoProgram(_)
                        | UnusableProvider::NoUrl(_)
                        | UnusableProvider::Refused(..) => "give it to the container as a variable".to_owned(),
                    };
                    let effect = "challenges over HTTP and TLS are tried, and wildcards get no certificate";
                    self.tell((resolver, "dnsChallenge.provider"), error.to_string(), &help, effect);
                }
            }
        }
        found.map(|(dns, _)| dns)
    }

    /// Reads each file once. The files are never written.
    fn adopt(&mut self, resolvers: &[Resolver], directories: &[Option<DirectoryUrl>]) {
        let mut read = BTreeSet::new();
        for resolver in resolvers {
            let path: PathBuf = resolver.storage.clone().unwrap_or_else(|| STORAGE.into());
            if !read.insert(path.clone()) || is_missing(&path) {
                continue;
            }
            let storage = match AcmeStorage::read(&path) {
                Ok(storage) => storage,
                Err(error) => {
                    let message = format!("`{}` gives no certificates: failed to {error}", path.display());
                    let help = "let Gangway read the file as Traefik wrote it, or remove it";
                    self.tell((resolver, "storage"), message, help, "certificates are ordered anew");
                    continue;
                }
            };
            if storage.unreadable > 0 {
                let message = format!("{} certificates in `{}` are damaged", storage.unreadable, path.display());
                let help = "look at the file; the others are adopted";
                self.tell((resolver, "storage"), message, help, "certificates for their names are ordered anew");
            }
            for held in storage.resolvers {
                let at = resolvers.iter().position(|resolver| resolver.name.eq_ignore_ascii_case(&held.name));
                // A file of Traefik 1 does not say which resolver it is of; one resolver can only be that.
                let at = at.or_else(|| (resolvers.len() == 1).then_some(0));
                let directory = at.and_then(|at| directories[at].clone());
                let account = held.account.as_ref().zip(directory.as_ref());
                self.accounts.extend(account.and_then(|(account, directory)| {
                    Some(AdoptedAccount {
                        directory: directory.clone(),
                        url: account.registration.clone()?,
                        key: account.key_der()?,
                        email: account.email.clone(),
                    })
                }));
                self.certificates.extend(held.certificates.into_iter().map(|certificate| AdoptedCertificate {
                    from: path.clone(),
                    chain: certificate.chain,
                    key: certificate.key.reveal().into(),
                    directory: directory.clone(),
                }));
            }
        }
    }

    fn tell(&mut self, (resolver, option): (&Resolver, &str), message: String, help: &str, effect: &str) {
        let place = format!("certificatesResolvers.{}.acme.{option}", printable(&resolver.name));
        self.diagnostics.push(
            Diagnostic::new(Severity::Warning, codes::TRAEFIK_VALUE_UNUSABLE, Place::Name(place.into()), message)
                .with_help(help)
                .with_effect(effect),
        );
    }
}

/// Looks up a variable of the environment, as [`DnsProvider::parse`] wants it.
type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, String>;

/// Secrets of this process.
pub(crate) fn variables(name: &str) -> Result<Option<String>, String> {
    secret(name)
}

/// Traefik makes the file before its first order, so a missing one is worth no word.
fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Both challenges that need no provider, the one that a resolver names first: the other one is tried if that fails.
fn challenges(resolvers: &[Resolver]) -> Vec<ChallengeKind> {
    let names_tls_alone =
        resolvers.iter().any(|it| it.has_tls_challenge) && !resolvers.iter().any(|it| it.has_http_challenge);
    match names_tls_alone {
        true => vec![ChallengeKind::TlsAlpn01, ChallengeKind::Http01],
        false => vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
    }
}

/// Domains for which an entry point asks for a wildcard certificate: one certificate serves all hosts of its routers.
pub(crate) fn wildcards(config: &StaticConfig) -> Vec<Box<str>> {
    let domains = config.entry_points.values().filter_map(|entry| entry.tls.as_ref()).flat_map(|tls| &tls.domains);
    let names = domains.flat_map(CertificateDomain::names);
    let wildcards: BTreeSet<Box<str>> =
        names.filter_map(|name| Some(name.strip_prefix("*.")?.to_ascii_lowercase().into())).collect();
    wildcards.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn issuing(flags: &[&str], given: &[(&str, &str)]) -> Issuing {
        let flags: Vec<String> = flags.iter().map(|flag| format!("--{flag}")).collect();
        let config = gangway_traefik::read_static(&flags, &[], &[]).config;
        let variable = |name: &str| Ok(given.iter().find(|one| one.0 == name).map(|one| one.1.to_owned()));
        Issuing::of(&config, &variable).expect("resolvers")
    }

    fn told(issuing: &Issuing) -> Vec<String> {
        let told = |found: &Diagnostic| {
            format!("{}: {} → {}", found.place.subject().unwrap_or_default(), found.message, found.effect)
        };
        issuing.diagnostics.iter().map(told).collect()
    }

    #[test]
    fn the_settings_of_a_resolver_are_those_of_our_client() {
        let issuing = issuing(
            &[
                "certificatesresolvers.le.acme.email=me@example.org",
                "certificatesresolvers.le.acme.eab.kid=kid",
                "certificatesresolvers.le.acme.eab.hmacencoded=hmac",
                "certificatesresolvers.le.acme.storage=/nowhere/acme.json",
                "certificatesresolvers.le.acme.dnschallenge.provider=cloudflare",
                "certificatesresolvers.le.acme.dnschallenge.resolvers=1.1.1.1:53,[2606:4700::1111]:53",
                "certificatesresolvers.le.acme.dnschallenge.delaybeforecheck=15",
                "certificatesresolvers.le.acme.dnschallenge.disablepropagationcheck=true",
                "entrypoints.websecure.address=:443",
                "entrypoints.websecure.http.tls.domains[0].main=example.org",
                "entrypoints.websecure.http.tls.domains[0].sans=*.example.org",
            ],
            &[("CF_DNS_API_TOKEN", "token")],
        );
        assert_eq!(told(&issuing), Vec::<String>::new());
        let acme = &issuing.acme;
        assert_eq!((acme.email.as_deref(), acme.issuers[0].name()), (Some("me@example.org"), "letsencrypt"));
        let account = acme.issuers[0].external_account.as_ref().expect("an account");
        assert_eq!((&*account.id, &*account.key), ("kid", "hmac"));
        let dns = acme.dns.as_ref().expect("a provider");
        assert_eq!((dns.provider.name(), dns.resolvers.len(), dns.wait), ("cloudflare", 2, Duration::ZERO));
        assert_eq!((dns.delay, acme.wildcards.as_slice()), (Duration::from_secs(15), &["example.org".into()][..]));
    }

    #[test]
    fn what_cannot_be_used_is_told_and_keeps_nothing_else_from_being_in_force() {
        let unusable = issuing(
            &[
                "certificatesresolvers.le.acme.caserver=http://127.0.0.1:9/directory",
                "certificatesresolvers.le.acme.tlschallenge=true",
                "certificatesresolvers.le.acme.dnschallenge.provider=inwx",
                "certificatesresolvers.le.acme.cacertificates=/nowhere/root.pem",
                "certificatesresolvers.le.acme.storage=/nowhere/acme.json",
            ],
            &[],
        );
        let lines = told(&unusable).join("\n");
        assert!(unusable.acme.issuers.is_empty(), "nobody else is asked");
        for part in ["le.acme.caServer", "orders no certificate", "le.acme.caCertificates", "`inwx` is no DNS provider"]
        {
            assert!(lines.contains(part), "{part}: {lines}");
        }
        assert_eq!(unusable.acme.challenges, [ChallengeKind::TlsAlpn01, ChallengeKind::Http01]);
    }

    #[test]
    fn each_resolver_has_its_authority_and_names_without_one_that_of_the_first_real_one() {
        let staging = "certificatesresolvers.test.acme.caserver=https://acme-staging-v02.api.letsencrypt.org/directory";
        let storage = ["test", "le"].map(|name| format!("certificatesresolvers.{name}.acme.storage=/nowhere/a.json"));
        let both = issuing(&[staging, &storage[0], &storage[1]], &[]).acme;
        assert_eq!(both.issuers.iter().map(Issuer::name).collect::<Vec<_>>(), ["letsencrypt-staging", "letsencrypt"]);
        let name = |resolver: &str| both.named[resolver].issuer_name();
        assert_eq!([name("test"), name("le")], ["letsencrypt-staging", "letsencrypt"]);
        assert_eq!(both.only_chosen, [both.issuers[0].directory.clone()].into());
        let alone = issuing(&[staging, &storage[0]], &[]).acme;
        assert!(alone.issuers[0].is_staging() && alone.only_chosen.is_empty());
    }

    #[test]
    fn a_file_is_adopted_and_left_as_it_is_and_a_broken_one_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("acme.json");
        // The first words of a certificate, and of a key with `SECRET` behind them.
        let certificate = r#"{"domain":{"main":"a.test"},
            "certificate":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t","key":"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tU0VDUkVU"}"#;
        let account =
            r#"{"Email":"me@example.org","Registration":{"uri":"https://ca.test/1"},"PrivateKey":"U0VDUkVU"}"#;
        let storage = format!("certificatesresolvers.le.acme.storage={}", path.display());
        for text in [
            format!(r#"{{"le":{{"Account":{account},"Certificates":[{certificate}]}}}}"#),
            format!(r#"{{"Account":{account},"Certificates":[{certificate}]}}"#),
        ] {
            std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("ours");
            let modified = || std::fs::metadata(&path).and_then(|it| it.modified()).expect("ours");
            let before = modified();
            let issuing = issuing(&[&storage], &[]);
            assert_eq!((issuing.certificates.len(), issuing.accounts.len(), told(&issuing).len()), (1, 1, 0), "{text}");
            assert_eq!(issuing.certificates[0].directory.as_ref().map(DirectoryUrl::as_str), Some(LETS_ENCRYPT));
            assert!(!format!("{issuing:?}").contains("SECRET"));
            assert_eq!((std::fs::read_to_string(&path).expect("ours"), modified()), (text, before));
        }
        for broken in ["{\"le\": SECRET", "[]"] {
            std::fs::File::create(&path).and_then(|mut file| file.write_all(broken.as_bytes())).expect("ours");
            let lines = told(&issuing(&[&storage], &[]));
            assert!(lines.len() == 1 && lines[0].contains("gives no certificates"), "{lines:?}");
            assert!(!lines[0].contains("SECRET"), "{lines:?}");
        }
    }
}
