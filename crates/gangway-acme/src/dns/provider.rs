//! The DNS provider that the user chose, with its secrets.

use std::fmt;
use std::path::PathBuf;

use super::providers::{Credentials, KNOWN, KnownProvider};
use super::record::{RecordChange, TxtRecord};
use super::{exec, webhook};
use crate::http::Http;

/// The service that keeps the records for DNS-01.
#[derive(Clone)]
pub struct DnsProvider {
    kind: ProviderKind,
    /// Texts that must not appear in errors.
    secrets: Vec<Box<str>>,
}

#[derive(Clone)]
enum ProviderKind {
    Cloud { known: &'static KnownProvider, given: Credentials },
    Exec(PathBuf),
    Hook { url: Box<str>, login: Option<(Box<str>, Box<str>)> },
    AcmeDns { url: Box<str>, login: (Box<str>, Box<str>), subdomain: Box<str> },
}

/// Variables of the providers that gangway itself defines.
const HOOK_USER: &str = "WEBHOOK_USERNAME";
const HOOK_PASSWORD: &str = "WEBHOOK_PASSWORD";
const ACME_DNS: [&str; 3] = ["ACME_DNS_USERNAME", "ACME_DNS_PASSWORD", "ACME_DNS_SUBDOMAIN"];

/// Looks up a variable of the environment, or reads the file that the variable with `_FILE` names. The error says
/// why a file cannot be read.
type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, String>;

impl DnsProvider {
    /// Parses `cloudflare`, `exec=/program`, `webhook=https://…` or `acme-dns=https://…` and takes the secrets from
    /// the environment.
    ///
    /// # Errors
    ///
    /// If no provider has that name, a variable is missing, or a value cannot be used.
    pub fn parse(text: &str, variable: Lookup<'_>) -> Result<Self, UnusableProvider> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        match (name, value.filter(|value| !value.is_empty())) {
            ("exec", Some(program)) => Self::exec(program),
            ("webhook", Some(url)) => Self::hook(url, variable),
            ("acme-dns", Some(url)) => Self::acme_dns(url, variable),
            ("exec", None) => Err(UnusableProvider::Incomplete("exec", "=/path/to/program")),
            ("webhook", None) => Err(UnusableProvider::Incomplete("webhook", "=https://…")),
            ("acme-dns", None) => Err(UnusableProvider::Incomplete("acme-dns", "=https://…")),
            (name, _) => match KNOWN.iter().find(|known| known.name == name) {
                Some(known) if value.is_none() => Self::cloud(known, variable),
                _ => Err(UnusableProvider::Unknown(name.into())),
            },
        }
    }

    /// Parses the name that lego, and with it Traefik, has for a provider. Secrets are looked for by our names and by
    /// those of lego.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_lego(name: &str, variable: Lookup<'_>) -> Result<Self, UnusableProvider> {
        let also_elsewhere = |ours: &str| match variable(ours)? {
            Some(value) if !value.trim().is_empty() => Ok(Some(value)),
            Some(_) | None => {
                let theirs = elsewhere(ours).iter().find_map(|theirs| variable(theirs).transpose());
                theirs.transpose()
            }
        };
        Self::parse(&Self::text_of_lego(name, variable)?, &also_elsewhere)
    }

    /// What [`parse`](Self::parse) takes for the provider that lego, and with it Traefik, has by this name. Of `variable` only
    /// programs and URLs are asked.
    ///
    /// # Errors
    ///
    /// If no provider has that name, or the variable with its program or URL is missing.
    pub fn text_of_lego(name: &str, variable: Lookup<'_>) -> Result<String, UnusableProvider> {
        let with_value = |ours: &str, of: &'static str| {
            let value = optional(of, variable)?.ok_or(UnusableProvider::Missing(of))?;
            Ok(format!("{ours}={value}"))
        };
        match name {
            "gandiv5" => Ok("gandi".to_owned()),
            "exec" => with_value("exec", "EXEC_PATH"),
            "httpreq" => with_value("webhook", "HTTPREQ_ENDPOINT"),
            "acme-dns" => with_value("acme-dns", "ACME_DNS_API_BASE"),
            name if KNOWN.iter().any(|known| known.name == name) => Ok(name.to_owned()),
            name => Err(UnusableProvider::Unknown(name.into())),
        }
    }

    /// The names of all providers, for a list.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.name).chain(["exec", "webhook", "acme-dns"])
    }

    /// The provider's names with the variables that each needs and may have, for the reference.
    pub fn variables() -> impl Iterator<Item = (&'static str, &'static [&'static str], &'static [&'static str])> {
        const OURS: [(&str, &[&str], &[&str]); 3] = [
            ("exec=/program", &[], &["EXEC_…"]),
            ("webhook=URL", &[], &[HOOK_USER, HOOK_PASSWORD]),
            ("acme-dns=URL", &ACME_DNS, &[]),
        ];
        KNOWN.iter().map(|known| (known.name, known.needs, known.takes)).chain(OURS)
    }

    /// The provider's name as the user writes it.
    pub fn name(&self) -> &str {
        match &self.kind {
            ProviderKind::Cloud { known, .. } => known.name,
            ProviderKind::Exec(_) => "exec",
            ProviderKind::Hook { .. } => "webhook",
            ProviderKind::AcmeDns { .. } => "acme-dns",
        }
    }

    fn exec(program: &str) -> Result<Self, UnusableProvider> {
        let path = PathBuf::from(program);
        if !path.is_absolute() || !path.is_file() {
            return Err(UnusableProvider::NoProgram(program.into()));
        }
        Ok(Self { kind: ProviderKind::Exec(path), secrets: Vec::new() })
    }

    fn hook(url: &str, variable: Lookup<'_>) -> Result<Self, UnusableProvider> {
        let url = web_url(url)?;
        let login = match (optional(HOOK_USER, variable)?, optional(HOOK_PASSWORD, variable)?) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (None, Some(_)) => return Err(UnusableProvider::missing(HOOK_USER, variable)),
            (Some(_), None) => return Err(UnusableProvider::missing(HOOK_PASSWORD, variable)),
        };
        let secrets = login.iter().map(|(_, password)| password.clone()).collect();
        Ok(Self { kind: ProviderKind::Hook { url, login }, secrets })
    }

    fn acme_dns(url: &str, variable: Lookup<'_>) -> Result<Self, UnusableProvider> {
        let url = web_url(url)?;
        let [user, password, subdomain] = ACME_DNS.map(|name| needed(name, variable));
        let (user, password, subdomain) = (user?, password?, subdomain?);
        let secrets = vec![password.clone()];
        Ok(Self { kind: ProviderKind::AcmeDns { url, login: (user, password), subdomain }, secrets })
    }

    fn cloud(known: &'static KnownProvider, variable: Lookup<'_>) -> Result<Self, UnusableProvider> {
        let mut given = Credentials::new();
        for name in known.needs {
            given.insert(name, needed(name, variable)?);
        }
        for name in known.takes {
            given.extend(optional(name, variable)?.map(|value| (*name, value)));
        }
        let secrets = given.values().cloned().collect();
        let provider = Self { kind: ProviderKind::Cloud { known, given: given.clone() }, secrets };
        match known.check(&given) {
            Ok(()) => Ok(provider),
            Err(error) => Err(UnusableProvider::Refused(known.name, provider.without_secrets(&error))),
        }
    }

    /// Whether the provider keeps only one value at a name.
    pub(super) fn is_single(&self) -> bool {
        matches!(&self.kind, ProviderKind::Cloud { known, .. } if known.is_single)
    }

    /// Whether changes need the zone that a record is in.
    pub(super) fn needs_zone(&self) -> bool {
        matches!(&self.kind, ProviderKind::Cloud { .. })
    }

    /// Makes or removes the record. The error may hold secrets.
    pub(super) async fn change(&self, http: &Http, record: &TxtRecord, change: RecordChange) -> Result<(), String> {
        let (owner, value) = (record.owner.as_str(), record.value.as_str());
        match &self.kind {
            ProviderKind::Cloud { known, given } => known.change(given, record, change).await,
            ProviderKind::Exec(program) => exec::change(program, owner, value, change).await,
            ProviderKind::Hook { url, login } => {
                let login = login.as_ref().map(|(user, password)| (&**user, &**password));
                webhook::hook(http, url, login, owner, value, change).await
            }
            ProviderKind::AcmeDns { url, login, subdomain } => {
                webhook::acme_dns(http, url, (&login.0, &login.1), subdomain, value, change).await
            }
        }
    }

    /// The text without secrets. Some providers take their token in the URL, which errors repeat.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(&**secret, "…");
        }
        text
    }
}

fn optional(name: &'static str, variable: Lookup<'_>) -> Result<Option<Box<str>>, UnusableProvider> {
    let value = variable(name).map_err(|error| UnusableProvider::Unreadable(name, error))?;
    Ok(value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(Into::into))
}

fn needed(name: &'static str, variable: Lookup<'_>) -> Result<Box<str>, UnusableProvider> {
    optional(name, variable)?.ok_or_else(|| UnusableProvider::missing(name, variable))
}

fn web_url(text: &str) -> Result<Box<str>, UnusableProvider> {
    let is_web = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    match text.parse::<http::Uri>() {
        Ok(uri) if is_web(&uri) => Ok(text.into()),
        _ => Err(UnusableProvider::NoUrl(text.into())),
    }
}

/// Omits the secrets, so that they stay out of logs.
impl fmt::Debug for DnsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DnsProvider").field(&self.name()).finish()
    }
}

/// The reason why a provider cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnusableProvider {
    /// No provider has this name.
    #[error("`{0}` is no DNS provider that is known")]
    Unknown(Box<str>),
    /// The provider needs a value after its name.
    #[error("`{0}` needs more: `{0}{1}`")]
    Incomplete(&'static str, &'static str),
    /// The environment lacks a variable.
    #[error("`{0}` is not given in the environment, nor `{0}_FILE`")]
    Missing(&'static str),
    /// The environment has the variable under the name that other software gives it.
    #[error("`{0}` is not given in the environment, nor `{0}_FILE`; `{1}` is, which is another software's name for it")]
    Misnamed(&'static str, &'static str),
    /// The file that a variable names cannot be read.
    #[error("the file that `{0}_FILE` names cannot be read: {1}")]
    Unreadable(&'static str, String),
    /// The path of the program is not absolute.
    #[error("`{0}` is no program: an absolute path is needed")]
    NoProgram(Box<str>),
    /// The text is not a URL of a web service.
    #[error("`{0}` is no URL")]
    NoUrl(Box<str>),
    /// A value that was given cannot be used.
    #[error("`{0}` cannot be used: {1}")]
    Refused(&'static str, String),
}

/// The names that lego (and with it Traefik), Caddy and acme.sh give to our variables.
const ELSEWHERE: [(&str, &[&str]); 11] = [
    (
        "CLOUDFLARE_API_TOKEN",
        &["CF_DNS_API_TOKEN", "CLOUDFLARE_DNS_API_TOKEN", "CF_API_TOKEN", "CF_Token", "CLOUDFLARE_TOKEN"],
    ),
    ("DIGITALOCEAN_TOKEN", &["DO_AUTH_TOKEN", "DO_API_KEY"]),
    ("HETZNER_API_TOKEN", &["HETZNER_API_KEY", "HETZNER_TOKEN", "HETZNER_Token"]),
    ("GANDI_TOKEN", &["GANDIV5_PERSONAL_ACCESS_TOKEN", "GANDIV5_API_KEY", "GANDI_LIVEDNS_TOKEN"]),
    ("DESEC_TOKEN", &["DEDYN_TOKEN"]),
    ("DUCKDNS_TOKEN", &["DuckDNS_Token"]),
    ("BUNNY_API_KEY", &["BUNNY_ACCESS_KEY"]),
    ("LINODE_TOKEN", &["LINODE_V4_API_KEY"]),
    ("RFC2136_TSIG_KEY", &["RFC2136_TSIG_KEYNAME"]),
    ("WEBHOOK_USERNAME", &["HTTPREQ_USERNAME"]),
    ("WEBHOOK_PASSWORD", &["HTTPREQ_PASSWORD"]),
];

fn elsewhere(ours: &str) -> &'static [&'static str] {
    ELSEWHERE.iter().find(|(name, _)| *name == ours).map_or(&[][..], |(_, theirs)| theirs)
}

impl UnusableProvider {
    /// The error for a missing variable, which looks for it under the names that other software uses.
    fn missing(name: &'static str, variable: Lookup<'_>) -> Self {
        let is_given = |theirs: &&&'static str| variable(theirs).is_ok_and(|value| value.is_some());
        elsewhere(name).iter().find(is_given).map_or(Self::Missing(name), |theirs| Self::Misnamed(name, theirs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, given: &[(&str, &str)]) -> Result<DnsProvider, UnusableProvider> {
        let lookup =
            |name: &str| Ok(given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()));
        DnsProvider::parse(text, &lookup)
    }

    #[test]
    fn every_known_provider_is_made_from_what_it_needs() {
        for known in KNOWN {
            let given: Vec<_> = known
                .needs
                .iter()
                .map(|name| match *name {
                    "RFC2136_NAMESERVER" => (*name, "192.0.2.1:53"),
                    "RFC2136_TSIG_SECRET" => (*name, "c2VjcmV0"),
                    _ => (*name, "12345"),
                })
                .collect();
            let provider = parse(known.name, &given).unwrap_or_else(|error| panic!("{}: {error}", known.name));
            assert_eq!((provider.name(), provider.is_single()), (known.name, known.name == "duckdns"));
            for missing in 0..given.len() {
                let mut less = given.clone();
                let (name, _) = less.remove(missing);
                assert_eq!(
                    parse(known.name, &less).err(),
                    Some(UnusableProvider::Missing(known.needs[missing])),
                    "{name}"
                );
            }
        }
        assert!(KNOWN.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn a_secret_by_another_softwares_name_is_found() {
        let given = [("CF_DNS_API_TOKEN", "12345")];
        let error = parse("cloudflare", &given).expect_err("that is not its name");
        assert_eq!(error, UnusableProvider::Misnamed("CLOUDFLARE_API_TOKEN", "CF_DNS_API_TOKEN"));
        let is_ours = |name: &&str| [HOOK_USER, HOOK_PASSWORD].contains(name);
        let needed = |name: &&str| KNOWN.iter().any(|known| known.needs.contains(name)) || is_ours(name);
        assert!(ELSEWHERE.iter().all(|(ours, _)| needed(ours)));
    }

    #[test]
    fn providers_of_lego_are_found_with_the_variables_that_it_has() {
        let lego = |name: &str, given: &[(&str, &str)]| {
            let lookup = |name: &str| Ok(given.iter().find(|one| one.0 == name).map(|one| one.1.to_owned()));
            DnsProvider::parse_lego(name, &lookup).map(|provider| provider.name().to_owned())
        };
        for (name, given, ours) in [
            ("cloudflare", &[("CF_DNS_API_TOKEN", "t")][..], "cloudflare"),
            ("cloudflare", &[("CLOUDFLARE_API_TOKEN", ""), ("CLOUDFLARE_DNS_API_TOKEN", "t")], "cloudflare"),
            ("gandiv5", &[("GANDIV5_PERSONAL_ACCESS_TOKEN", "t")], "gandi"),
            ("porkbun", &[("PORKBUN_API_KEY", "k"), ("PORKBUN_SECRET_API_KEY", "s")], "porkbun"),
            (
                "httpreq",
                &[("HTTPREQ_ENDPOINT", "http://x"), ("HTTPREQ_USERNAME", "u"), ("HTTPREQ_PASSWORD", "p")],
                "webhook",
            ),
        ] {
            assert_eq!(lego(name, given).as_deref(), Ok(ours), "{name}");
        }
        assert_eq!(lego("httpreq", &[]), Err(UnusableProvider::Missing("HTTPREQ_ENDPOINT")));
        assert_eq!(lego("cloudflare", &[("CF_API_KEY", "k")]), Err(UnusableProvider::Missing("CLOUDFLARE_API_TOKEN")));
        assert_eq!(lego("inwx", &[]), Err(UnusableProvider::Unknown("inwx".into())));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let said = |text| parse(text, &[]).expect_err("unusable").to_string();
        assert_eq!(said("clodflare"), "`clodflare` is no DNS provider that is known");
        assert_eq!(said("exec"), "`exec` needs more: `exec=/path/to/program`");
        assert_eq!(said("exec=hook.sh"), "`hook.sh` is no program: an absolute path is needed");
        assert_eq!(said("webhook=ftp://x"), "`ftp://x` is no URL");
        assert_eq!(said("cloudflare=x"), "`cloudflare` is no DNS provider that is known");
        let half = parse("webhook=http://hook:80", &[("WEBHOOK_USERNAME", "me")]);
        assert_eq!(half.err(), Some(UnusableProvider::Missing("WEBHOOK_PASSWORD")));
        let refused = parse(
            "ovh",
            &[
                ("OVH_APPLICATION_KEY", "a1"),
                ("OVH_APPLICATION_SECRET", "b1"),
                ("OVH_CONSUMER_KEY", "c1"),
                ("OVH_ENDPOINT", "mars"),
            ],
        );
        assert!(matches!(refused, Err(UnusableProvider::Refused("ovh", _))));
    }

    #[test]
    fn secrets_are_neither_printed_nor_repeated_in_errors() {
        let provider = parse("duckdns", &[("DUCKDNS_TOKEN", "7c-secret\n")]).expect("usable");
        assert!(!format!("{provider:?}").contains("secret"));
        let told = provider.without_secrets("error sending request for url (https://x.test/update?token=7c-secret)");
        assert_eq!(told, "error sending request for url (https://x.test/update?token=…)");
    }
}
