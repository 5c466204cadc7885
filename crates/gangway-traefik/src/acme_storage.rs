//! What `acme.json` holds: accounts and certificates, by resolver.
//!
//! The file is read and never written, so that going back to Traefik works. No text of an error holds a part of it.

use std::fmt::{self, Debug, Formatter};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use crate::config::Secret;
use crate::files_on_disk::{FileReadError, read_text};

/// Thousands of certificates with their chains and RSA keys. Losing them all would order more anew than an authority gives.
const STORAGE_LEN_MAX: u64 = 64 << 20;

/// The name of the resolver in a file of Traefik 1, which had one.
const OF_TRAEFIK_1: &str = "acme";

/// The content of an `acme.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AcmeStorage {
    /// What each resolver has, by its name.
    pub resolvers: Vec<ResolverStorage>,
    /// How many certificates cannot be understood.
    pub unreadable: usize,
}

/// What one resolver has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResolverStorage {
    /// The name of the resolver; `acme` in a file of Traefik 1.
    pub name: Box<str>,
    /// Its account.
    pub account: Option<AcmeAccount>,
    /// Its certificates.
    pub certificates: Vec<AcmeCertificate>,
}

/// An account with an authority.
#[derive(Clone, Debug, PartialEq)]
pub struct AcmeAccount {
    /// The address that the authority has.
    pub email: Box<str>,
    /// The URL of the account at the authority; none where the account was never registered.
    pub registration: Option<Box<str>>,
    /// The key: DER in Base64, PKCS #1 for RSA.
    pub key: Secret,
}

impl AcmeAccount {
    /// The key as DER; none where it is damaged.
    pub fn key_der(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.key.reveal()).ok()
    }
}

/// A certificate with its key.
#[derive(Clone, PartialEq)]
pub struct AcmeCertificate {
    /// The names that were asked for, the main one first.
    pub names: Vec<Box<str>>,
    /// The chain, in PEM.
    pub chain: Box<str>,
    /// The key, in PEM.
    pub key: Secret,
}

/// Omits the chain, which nobody reads in a log.
impl Debug for AcmeCertificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcmeCertificate").field(&self.names).finish()
    }
}

/// Why an `acme.json` gives nothing. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("read the file: {0}")]
pub struct AcmeStorageError(String);

impl AcmeStorage {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not JSON.
    pub fn read(path: &Path) -> Result<Self, AcmeStorageError> {
        let text =
            read_text(path, STORAGE_LEN_MAX).map_err(|error: FileReadError| AcmeStorageError(error.to_string()))?;
        Self::parse(&text)
    }

    /// Reads a text. An empty one is what Traefik makes before its first order.
    ///
    /// # Errors
    ///
    /// It is not JSON.
    pub fn parse(text: &str) -> Result<Self, AcmeStorageError> {
        let mut storage = Self::default();
        if text.trim().is_empty() {
            return Ok(storage);
        }
        // The error of the parser may repeat a part of the text.
        let content: Value = serde_json::from_str(text).map_err(|error| {
            AcmeStorageError(format!("it is not JSON, line {} column {}", error.line(), error.column()))
        })?;
        let Value::Object(root) = content else { return Err(AcmeStorageError("it is not a JSON object".into())) };
        if root.contains_key("Account") || root.contains_key("Certificates") {
            storage.add(OF_TRAEFIK_1, &root);
            return Ok(storage);
        }
        for (name, resolver) in &root {
            if let Value::Object(resolver) = resolver {
                storage.add(name, resolver);
            }
        }
        Ok(storage)
    }

    fn add(&mut self, name: &str, resolver: &Map<String, Value>) {
        let mut certificates = Vec::new();
        let given = get(resolver, "Certificates").and_then(Value::as_array);
        for certificate in given.into_iter().flatten() {
            match certificate.as_object().and_then(read_certificate) {
                Some(certificate) => certificates.push(certificate),
                None => self.unreadable += 1,
            }
        }
        let account = get(resolver, "Account").and_then(Value::as_object).and_then(read_account);
        self.resolvers.push(ResolverStorage { name: name.into(), account, certificates });
    }
}

/// Traefik 1 wrote `Domain`, `Certificate` and `Key`; later ones begin with small letters.
fn get<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    get(object, key)?.as_str().filter(|text| !text.is_empty())
}

fn read_account(account: &Map<String, Value>) -> Option<AcmeAccount> {
    let registration = get(account, "Registration").and_then(Value::as_object);
    Some(AcmeAccount {
        email: text(account, "Email").unwrap_or_default().into(),
        registration: registration.and_then(|registration| text(registration, "uri")).map(Into::into),
        key: Secret::new(text(account, "PrivateKey")?),
    })
}

fn read_certificate(certificate: &Map<String, Value>) -> Option<AcmeCertificate> {
    let domain = get(certificate, "domain")?.as_object()?;
    let sans = get(domain, "sans").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<Box<str>> = text(domain, "main").into_iter().chain(sans).map(Into::into).collect();
    let pem = |key| String::from_utf8(BASE64_STANDARD.decode(text(certificate, key)?).ok()?).ok();
    let (chain, key) = (pem("certificate")?, pem("key")?);
    let is_whole =
        chain.contains("-----BEGIN CERTIFICATE-----") && key.contains("PRIVATE KEY-----") && !names.is_empty();
    is_whole.then(|| AcmeCertificate { names, chain: chain.into(), key: Secret::new(&key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(main: &str, keys: [&str; 3]) -> String {
        let chain = BASE64_STANDARD.encode("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
        let key = BASE64_STANDARD.encode("-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n");
        let [domain, certificate, key_name] = keys;
        format!(
            r#"{{"{domain}":{{"main":"{main}","sans":["*.{main}"]}},"{certificate}":"{chain}","{key_name}":"{key}","Store":"default"}}"#
        )
    }

    const ACCOUNT: &str = r#"{"Email":"a@b.test","Registration":{"body":{"status":"valid"},"uri":"https://ca.test/acct/1"},"PrivateKey":"U0VDUkVU","KeyType":"4096"}"#;

    #[test]
    fn the_file_of_today_has_resolvers() {
        let certificate = certificate("a.test", ["domain", "certificate", "key"]);
        let text = format!(
            r#"{{"le":{{"Account":{ACCOUNT},"Certificates":[{certificate},{{}}]}},"empty":{{"Account":null,"Certificates":null}}}}"#
        );
        let storage = AcmeStorage::parse(&text).expect("a good file");
        assert_eq!((storage.resolvers.len(), storage.unreadable), (2, 1));
        let le = storage.resolvers.iter().find(|resolver| *resolver.name == *"le").expect("le");
        let account = le.account.as_ref().expect("an account");
        assert_eq!((&*account.email, account.registration.as_deref()), ("a@b.test", Some("https://ca.test/acct/1")));
        assert_eq!((account.key.reveal(), account.key_der().as_deref()), ("U0VDUkVU", Some(&b"SECRET"[..])));
        assert_eq!(le.certificates[0].names, ["a.test".into(), Box::from("*.a.test")]);
        assert!(le.certificates[0].key.reveal().contains("SECRET"));
        assert!(!format!("{storage:?}").contains("SECRET") && !format!("{storage:?}").contains("U0VDUkVU"));
    }

    #[test]
    fn the_file_of_traefik_1_has_one() {
        let certificate = certificate("a.test", ["Domain", "Certificate", "Key"]);
        let text = format!(r#"{{"Account":{ACCOUNT},"Certificates":[{certificate}],"HTTPChallenges":{{}}}}"#);
        let storage = AcmeStorage::parse(&text).expect("a good file");
        assert_eq!((&*storage.resolvers[0].name, storage.resolvers[0].certificates.len()), ("acme", 1));
    }

    #[test]
    fn what_is_no_such_file_says_so_without_its_content() {
        assert_eq!(AcmeStorage::parse(" \n").expect("empty"), AcmeStorage::default());
        assert_eq!(AcmeStorage::parse("{}").expect("empty"), AcmeStorage::default());
        for text in ["SECRET", "[\"SECRET\"]", "{\"a\": SECRET}"] {
            let error = AcmeStorage::parse(text).expect_err("no such file").to_string();
            assert!(error.starts_with("read the file: it is not") && !error.contains("SECRET"), "{error}");
        }
    }
}
