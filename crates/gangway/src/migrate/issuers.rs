//! Resolvers → the flags of the issuer.
//!
//! Traefik has one authority for each resolver, and a router names its resolver. Flags of ours are for all names, so they say
//! what the resolvers say for names whose router names none: each flag what the first of them says that says something.

use std::collections::BTreeSet;

use gangway_acme::{DirectoryUrl, DnsProvider, UnusableProvider};
use gangway_compose::Service;
use gangway_traefik::{Resolver, StaticConfig};

use crate::settings::external_account_variables;
use crate::traefik::issuing::{LETS_ENCRYPT, wildcards};

/// A provider needs less variables.
const VARIABLES_MAX: usize = 8;

/// What the resolvers become.
pub(super) struct IssuerPlan<'s> {
    resolvers: &'s [Resolver],
    pub(super) email: Said<'s, str>,
    pub(super) authority: Said<'s, str>,
    pub(super) root: Said<'s, std::path::Path>,
    pub(super) profile: Said<'s, str>,
    /// The resolver with the provider for DNS, and what `--acme-dns` takes.
    pub(super) dns: Option<(&'s Resolver, String)>,
    /// Domains of which a certificate for `*.` serves all hosts.
    pub(super) wildcards: Vec<Box<str>>,
    /// Variables of the provider by our names, each with the name by which the service has it.
    pub(super) misnamed: Vec<(&'static str, &'static str)>,
    /// Whether a user stands in the URL of the provider that is not printed, as it comes from a file of variables.
    pub(super) hides_user: bool,
}

/// What a flag says, and the resolver that says it.
pub(super) struct Said<'s, T: ?Sized>(Option<(&'s Resolver, &'s T)>);

impl<'s, T: ?Sized + PartialEq> Said<'s, T> {
    /// Whether the flag says this for a resolver.
    pub(super) fn is(&self, value: &T) -> bool {
        self.0.is_some_and(|(_, said)| said == value)
    }

    /// The name of the resolver whose value counts.
    pub(super) fn resolver(&self) -> &'s str {
        self.0.map_or("", |(resolver, _)| &resolver.name)
    }

    fn value(&self) -> Option<&'s T> {
        self.0.map(|(_, value)| value)
    }

    fn first(resolvers: &'s [Resolver], of: impl Fn(&'s Resolver) -> Option<&'s T>) -> Self {
        Self(resolvers.iter().find_map(|resolver| Some((resolver, of(resolver)?))))
    }
}

impl<'s> IssuerPlan<'s> {
    pub(super) fn new(config: &'s StaticConfig, service: Option<&Service>) -> Self {
        let resolvers = &config.resolvers;
        let given = service.map(Service::variables).unwrap_or_default();
        // What a variable with `_FILE` names is not here, and there all the same.
        let variable = |name: &str| {
            let value = given.get(name).map(|(_, value)| value.as_str().to_owned());
            Ok(value.or_else(|| given.contains_key(&format!("{name}_FILE")).then(|| "x".to_owned())))
        };
        // What stands in the compose file may be printed there once more; a file of variables may hold secrets.
        let is_here = |name: &str| service.is_some_and(|service| service.environment.contains_key(name));
        let shown = |name: &str| {
            let without_user = |value: String| without_user(&value).unwrap_or(value);
            variable(name).map(|value| if is_here(name) { value } else { value.map(without_user) })
        };
        let provider = |resolver: &'s Resolver| {
            let name = resolver.dns_provider.as_deref()?;
            let text = DnsProvider::text_of_lego(name, &shown).ok()?;
            let hides_user = DnsProvider::text_of_lego(name, &variable).is_ok_and(|whole| whole != text);
            Some((resolver, text, hides_user))
        };
        let dns = resolvers.iter().find_map(provider);
        let hides_user = dns.as_ref().is_some_and(|(.., hides_user)| *hides_user);
        let dns = dns.map(|(resolver, text, _)| (resolver, text));
        let misnamed = dns.as_ref().map(|(_, text)| misnamed(text, &variable)).unwrap_or_default();
        let is_real = |resolver: &&Resolver| !directory(resolver).is_some_and(|directory| directory.is_staging());
        let usual = resolvers.iter().find(is_real).or(resolvers.first());
        Self {
            resolvers,
            email: Said::first(resolvers, |resolver| resolver.email.as_deref()),
            authority: Said(usual.map(|resolver| (resolver, authority(resolver)))),
            root: Said::first(resolvers, |resolver| resolver.ca_certificates.first().map(AsRef::as_ref)),
            profile: Said::first(resolvers, |resolver| resolver.profile.as_deref()),
            wildcards: if dns.is_some() { wildcards(config) } else { Vec::new() },
            dns,
            misnamed,
            hides_user,
        }
    }

    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        let mut flags = Vec::new();
        flags.extend(self.email.value().map(|email| ("acme-email", email.to_owned())));
        let authority = self.authority.value().filter(|authority| *authority != LETS_ENCRYPT);
        flags.extend(authority.map(|server| ("acme-ca", server.to_owned())));
        flags.extend(self.root.value().map(|file| ("acme-ca-root", file.display().to_string())));
        flags.extend(self.profile.value().map(|profile| ("acme-profile", profile.to_owned())));
        flags.extend(self.dns.as_ref().map(|(_, text)| ("acme-dns", text.clone())));
        flags.extend(self.wildcards.iter().map(|name| ("acme-wildcard", name.to_string())));
        flags
    }

    /// The resolver whose authority is asked in place of that of another one. None where it is the same.
    pub(super) fn instead_of(&self, name: &str) -> Option<&'s str> {
        let resolver = self.resolvers.iter().find(|resolver| resolver.name.eq_ignore_ascii_case(name))?;
        (!self.authority.is(authority(resolver))).then(|| self.authority.resolver())
    }

    /// Whether one of the wildcard certificates is for this name.
    pub(super) fn has_wildcard_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map_or("", |(_, parent)| parent);
        self.wildcards.iter().any(|domain| **domain == *name || **domain == *parent)
    }
}

/// The directory of a resolver's authority, as it is written or as it goes without saying.
pub(super) fn authority(resolver: &Resolver) -> &str {
    resolver.ca_server.as_deref().unwrap_or(LETS_ENCRYPT)
}

/// The variables of the external account with a resolver's authority.
pub(super) fn account_variables(resolver: &Resolver) -> (String, String) {
    external_account_variables(directory(resolver).as_ref().map_or("", DirectoryUrl::issuer_name))
}

fn directory(resolver: &Resolver) -> Option<DirectoryUrl> {
    DirectoryUrl::parse(authority(resolver)).ok()
}

/// A URL without the name and the password in it. None where it has none.
fn without_user(url: &str) -> Option<String> {
    let begin = url.find("://")? + 3;
    let len = url[begin..].find(['/', '?', '#']).unwrap_or(url.len() - begin);
    let at = url[begin..begin + len].rfind('@')?;
    Some(format!("{}{}", &url[..begin], &url[begin + at + 1..]))
}

fn misnamed(
    text: &str,
    variable: &dyn Fn(&str) -> Result<Option<String>, String>,
) -> Vec<(&'static str, &'static str)> {
    let mut found: Vec<(&'static str, &'static str)> = Vec::new();
    let mut known = BTreeSet::new();
    for _ in 0..VARIABLES_MAX {
        let with_found = |name: &str| {
            if known.contains(name) { Ok(Some("x".to_owned())) } else { variable(name) }
        };
        match DnsProvider::parse(text, &with_found) {
            Err(UnusableProvider::Misnamed(ours, theirs)) => {
                found.push((ours, theirs));
                known.insert(ours);
            }
            // What is missing may come from where these files do not show it.
            Ok(_)
            | Err(
                UnusableProvider::Unknown(_)
                | UnusableProvider::Incomplete(..)
                | UnusableProvider::Missing(_)
                | UnusableProvider::Unreadable(..)
                | UnusableProvider::NoProgram(_)
                | UnusableProvider::NoUrl(_)
                | UnusableProvider::Refused(..),
            ) => break,
        }
    }
    found
}
