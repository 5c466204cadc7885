//! Values for the ACME client, which may need files and secrets of this machine.
//!
//! Secrets of providers and authorities are not settings of Gangway. They have the names that other software uses
//! for them, and are read from the environment, or from the file that the variable with `_FILE` names.

use gangway_acme::{DnsProvider, DnsSettings, ExternalAccount, Issuer, UnusableProvider};

use crate::settings::error::ValueError;

/// Reads a secret by the name of its variable.
pub(crate) fn secret(name: &str) -> Result<Option<String>, String> {
    if let Some(file) = std::env::var_os(format!("{name}_FILE")).filter(|file| !file.is_empty()) {
        return std::fs::read_to_string(file).map(Some).map_err(|error| error.to_string());
    }
    Ok(std::env::var(name).ok())
}

pub(crate) fn dns_provider(text: &str) -> Result<DnsSettings, ValueError> {
    dns_provider_with(text, &secret)
}

fn dns_provider_with(
    text: &str,
    secret: &dyn Fn(&str) -> Result<Option<String>, String>,
) -> Result<DnsSettings, ValueError> {
    DnsProvider::parse(text, secret).map(DnsSettings::new).map_err(|error| match &error {
        UnusableProvider::Unknown(name) => {
            let name = name.split('=').next().unwrap_or_default();
            ValueError::unknown_word(name, &DnsProvider::names().collect::<Vec<_>>())
        }
        UnusableProvider::Missing(name) => {
            let help = format!("set `{name}`, or `{name}_FILE` to a file that holds it");
            ValueError::new(error.to_string(), help).on_this_machine()
        }
        UnusableProvider::Misnamed(ours, theirs) => {
            let help = format!("give the value of `{theirs}` by the name `{ours}`, or a file by `{ours}_FILE`");
            ValueError::new(error.to_string(), help).on_this_machine()
        }
        UnusableProvider::Incomplete(..)
        | UnusableProvider::Unreadable(..)
        | UnusableProvider::NoProgram(_)
        | UnusableProvider::NoUrl(_)
        | UnusableProvider::Refused(..) => {
            ValueError::new(error.to_string(), "see `--acme-dns` in the reference of the flags").on_this_machine()
        }
    })
}

/// An authority, with the external account that was created on its web pages, if one is given.
pub(crate) fn issuer(text: &str) -> Result<Issuer, ValueError> {
    let issuer = issuer_without_account(text)?;
    let external_account = external_account(issuer.name()).map_err(ValueError::on_this_machine)?;
    Ok(Issuer { external_account, ..issuer })
}

fn issuer_without_account(text: &str) -> Result<Issuer, ValueError> {
    Issuer::parse(text).map_err(|error| {
        if text.starts_with("http://") {
            return ValueError::new("not encrypted", "an authority's directory begins with `https://`");
        }
        ValueError::new("not an authority", error.to_string())
    })
}

/// The variables of an authority's external account: of the key's identifier, and of the key.
pub(crate) fn external_account_variables(issuer: &str) -> (String, String) {
    let prefix: String =
        issuer.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    (format!("{prefix}_EAB_KID"), format!("{prefix}_EAB_HMAC_KEY"))
}

fn external_account(issuer: &str) -> Result<Option<ExternalAccount>, ValueError> {
    let (id, key) = external_account_variables(issuer);
    let read = |name: &str| match secret(name) {
        Ok(value) => Ok(value.map(|value| Box::<str>::from(value.trim())).filter(|value| !value.is_empty())),
        Err(error) => {
            Err(ValueError::new(format!("`{name}_FILE` cannot be read: {error}"), "name a file that can be read"))
        }
    };
    let missing =
        |name: &str| Err(ValueError::new(format!("`{name}` is missing"), format!("give `{key}` and `{id}` together")));
    match (read(&id)?, read(&key)?) {
        (Some(id), Some(key)) => Ok(Some(ExternalAccount { id, key })),
        (None, None) => Ok(None),
        (None, Some(_)) => missing(&id),
        (Some(_), None) => missing(&key),
    }
}

/// The text of a PEM file with certificates.
pub(crate) fn pem_file(path: &str) -> Result<Box<str>, ValueError> {
    let note = match std::fs::read_to_string(path) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => return Ok(pem.into()),
        Ok(_) => "no certificate is in it".to_owned(),
        Err(error) => format!("it cannot be read: {error}"),
    };
    Err(ValueError::new(note, "name a file with a certificate in PEM form").on_this_machine())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_provider_is_known_and_has_what_it_needs() {
        let token = |name: &str| Ok((name == "HETZNER_API_TOKEN").then(|| "t".to_owned()));
        let parsed = |text| {
            dns_provider_with(text, &token).map(|dns| dns.provider.name().to_owned()).map_err(|error| error.help)
        };
        assert_eq!(parsed("hetzner").as_deref(), Ok("hetzner"));
        assert!(parsed("hetznr").is_err_and(|help| help.starts_with("did you mean `hetzner`?")));
        assert!(parsed("desec").is_err_and(|help| help.contains("`DESEC_TOKEN_FILE`")));
        assert!(parsed("exec=/nowhere/hook").is_err());
        let misnamed = |name: &str| Ok((name == "CF_DNS_API_TOKEN").then(|| "t".to_owned()));
        let error = dns_provider_with("cloudflare", &misnamed).expect_err("the variable has another name");
        assert!(error.help.starts_with("give the value of `CF_DNS_API_TOKEN` by the name `CLOUDFLARE_API_TOKEN`"));
    }
}
