//! `[oidc.<name>]` tables of the config file: OpenID providers, which `auth.oidc` names.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use gangway_certs::LOGIN_KEPT_MAX;
use gangway_diagnostic::{Diagnostic, Place, Span, codes, nearest};
use gangway_model::parse_duration;
use gangway_oidc::{ClientSecret, ProviderSettings, is_secure_url};

/// How long a log-in lasts where nothing is written.
const SESSION_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// A shorter one would send users to the provider all the time.
const SESSION_MIN: Duration = Duration::from_secs(60);

/// Scopes that are asked for where nothing is written.
const SCOPES_DEFAULT: &str = "openid, profile, email";

/// Bytes of a secret or of certificates in a file.
const FILE_BYTES_MAX: u64 = 256 * 1024;

const CLOSED: &str = "routes that name it are closed: they answer 503 to everybody";

/// The keys of a table.
const KEYS: [&str; 10] = [
    "issuer",
    "client-id",
    "client-secret-file",
    "client-secret-env",
    "scopes",
    "groups-claim",
    "trust-email",
    "session",
    "cookie-domain",
    "ca-file",
];

/// One table, its values unread.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OidcTable {
    /// `<name>`.
    pub(crate) name: Box<str>,
    /// Key, value and where it stands.
    keys: Vec<(Box<str>, Box<str>, Place)>,
    /// Where the table itself stands.
    pub(crate) place: Place,
}

/// What a table refers to outside of the file.
pub(crate) struct Outside<'a> {
    /// Reads a file.
    pub(crate) file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Reads a variable of the environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl OidcTable {
    /// Keeps the keys, but not the value of a secret that should not be there.
    pub(crate) fn new(name: Box<str>, keys: Vec<(Box<str>, Box<str>, Place)>, place: Place) -> Self {
        let without_secret = |(key, value, place): (Box<str>, Box<str>, Place)| match &*key {
            "client-secret" => (key, Box::default(), place),
            _ => (key, value, place),
        };
        Self { name, keys: keys.into_iter().map(without_secret).collect(), place }
    }

    /// The settings of the provider, or what is wrong with them: any mistake makes it one that cannot be used.
    pub(crate) fn parse(&self, outside: &Outside<'_>) -> Result<ProviderSettings, Vec<Diagnostic>> {
        let mut reader = Reader { table: self, found: Vec::new() };
        let settings = reader.settings(outside);
        match settings {
            Some(settings) if reader.found.is_empty() => Ok(settings),
            Some(_) | None => Err(reader.found),
        }
    }
}

/// Reads one table and collects what is wrong.
struct Reader<'t> {
    table: &'t OidcTable,
    found: Vec<Diagnostic>,
}

impl<'t> Reader<'t> {
    fn settings(&mut self, outside: &Outside<'_>) -> Option<ProviderSettings> {
        self.check_keys();
        let issuer = self.required("issuer", "https://id.example.org");
        let issuer = issuer.filter(|issuer| {
            let is_issuer = is_secure_url(issuer) && !issuer.contains('?');
            if !is_issuer {
                self.wrong("issuer", "not an issuer", "write a URL with `https`, exactly as the provider says it");
            }
            is_issuer
        });
        let client_id = self.required("client-id", "gangway");
        let client_secret = self.client_secret(outside);
        let mut scopes: Vec<Box<str>> = Vec::new();
        let written = self.value("scopes").unwrap_or(SCOPES_DEFAULT);
        for scope in ["openid"].into_iter().chain(written.split([',', ' '])).filter(|scope| !scope.is_empty()) {
            if !scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
                self.wrong("scopes", "not a list of scopes", "write names such as `openid, profile, email`");
            }
            if !scopes.iter().any(|known| **known == *scope) {
                scopes.push(scope.into());
            }
        }
        let trust_email = match self.value("trust-email") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.wrong("trust-email", "not a boolean", "write `true` or `false`");
                false
            }
        };
        let session = self.session();
        let cookie_domain = self.cookie_domain();
        let ca_pem = self.value("ca-file").and_then(|path| self.read("ca-file", path, outside));
        Some(ProviderSettings {
            name: self.table.name.clone(),
            issuer: issuer?.into(),
            client_id: client_id?.into(),
            client_secret,
            scopes,
            groups_claim: self.value("groups-claim").unwrap_or("groups").into(),
            trust_email,
            session,
            cookie_domain,
            ca_pem: ca_pem.map(Into::into),
        })
    }

    fn check_keys(&mut self) {
        let name = &*self.table.name;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=32).contains(&name.len()) || !name.bytes().all(is_part) {
            let message = format!("`{name}` cannot be the name of an OpenID provider");
            let help = "write 1 to 32 letters, digits, hyphens and underscores";
            self.found.push(about(&self.table.place, message, "", help));
        }
        for (key, _, place) in &self.table.keys {
            if &**key == "client-secret" {
                let help = "write it to a file, and name that as `client-secret-file`, or use `client-secret-env`";
                let message = "a client secret does not stand in the config file".to_owned();
                self.found.push(about(place, message, "whoever reads the file would have it", help));
            } else if !KEYS.contains(&&**key) {
                let help = match nearest(key, KEYS) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("take it out; the keys are {}", KEYS.join(", ")),
                };
                self.found.push(about(place, format!("unknown key `{key}`"), "not a setting of a provider", &help));
            }
        }
    }

    fn client_secret(&mut self, outside: &Outside<'_>) -> Option<ClientSecret> {
        let text = match (self.value("client-secret-file"), self.value("client-secret-env")) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.wrong("client-secret-env", "two client secrets", "remove one of them");
                return None;
            }
            (Some(path), None) => self.read("client-secret-file", path, outside)?,
            (None, Some(name)) => match (outside.variable)(name) {
                Some(text) => text,
                None => {
                    let help = format!("set the variable `{name}` for Gangway");
                    self.wrong("client-secret-env", "the variable is not set", &help);
                    return None;
                }
            },
        };
        let secret = text.trim();
        if secret.is_empty() || secret.contains(char::is_control) {
            let key =
                if self.value("client-secret-file").is_some() { "client-secret-file" } else { "client-secret-env" };
            self.wrong(key, "not a client secret", "write one line with nothing but the secret");
            return None;
        }
        Some(ClientSecret::new(secret))
    }

    fn session(&mut self) -> Duration {
        let Some(text) = self.value("session") else { return SESSION_DEFAULT };
        match parse_duration(text) {
            Ok(session) if (SESSION_MIN..=LOGIN_KEPT_MAX).contains(&session) => session,
            Ok(_) | Err(_) => {
                self.wrong("session", "not the duration of a log-in", "write one from `1m` to `30d`, such as `24h`");
                SESSION_DEFAULT
            }
        }
    }

    fn cookie_domain(&mut self) -> Option<Box<str>> {
        let text = self.value("cookie-domain")?;
        let domain = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        // Browsers refuse cookies for a whole top-level domain, and would come back without one for ever.
        let is_domain = domain.split('.').count() >= 2
            && domain.split('.').all(is_label)
            && domain.parse::<std::net::IpAddr>().is_err();
        if !is_domain {
            let help = "write the domain that the hosts have in common, such as `example.org`";
            self.wrong("cookie-domain", "not a domain", help);
            return None;
        }
        Some(domain.into())
    }

    fn read(&mut self, key: &str, path: &str, outside: &Outside<'_>) -> Option<String> {
        match (outside.file)(Path::new(path)) {
            Ok(text) => Some(text),
            Err(error) => {
                let help = "check the path, and let the user that Gangway runs as read it";
                self.wrong(key, &format!("the file cannot be read: {error}"), help);
                None
            }
        }
    }

    fn value(&self, key: &str) -> Option<&'t str> {
        self.table.keys.iter().find(|(known, ..)| &**known == key).map(|(_, value, _)| value.trim())
    }

    fn required(&mut self, key: &str, example: &str) -> Option<&'t str> {
        let value = self.value(key).filter(|value| !value.is_empty() && !value.contains(char::is_control));
        if value.is_none() {
            let message = format!("OpenID provider `{}` has no `{key}`", self.table.name);
            let help = format!("write `{key} = \"{example}\"`");
            self.found.push(about(&self.table.place, message, "", &help));
        }
        value
    }

    fn wrong(&mut self, key: &str, note: &str, help: &str) {
        let place =
            self.table.keys.iter().find(|(known, ..)| &**known == key).map_or(&self.table.place, |(.., place)| place);
        let message = format!("`{key}` of OpenID provider `{}` cannot be used", self.table.name);
        self.found.push(about(place, message, note, help));
    }
}

fn about(place: &Place, message: String, note: &str, help: &str) -> Diagnostic {
    // The key is pointed at, and no value is shown.
    let key = place.subject().unwrap_or_default();
    Diagnostic::error(codes::OIDC_PROVIDER, place.clone(), message)
        .with_caret(key, Span::of(key), note)
        .with_help(help)
        .with_effect(CLOSED)
}

/// Reads a file with a secret or with certificates.
pub(crate) fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 256 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[(&str, &str)]) -> OidcTable {
        let keys = keys.iter().map(|(key, value)| ((*key).into(), (*value).into(), Place::Configuration)).collect();
        OidcTable::new("home".into(), keys, Place::Configuration)
    }

    fn parsed(keys: &[(&str, &str)]) -> Result<ProviderSettings, Vec<Diagnostic>> {
        let outside = Outside {
            file: &|path| match path.to_str() {
                Some("/secret") => Ok("s3cret\n".to_owned()),
                Some("/empty") => Ok("\n".to_owned()),
                Some(_) | None => Err(io::ErrorKind::NotFound.into()),
            },
            variable: &|name| (name == "SECRET").then(|| "s3cret".to_owned()),
        };
        table(keys).parse(&outside)
    }

    const GOOD: [(&str, &str); 2] = [("issuer", "https://id.example.org"), ("client-id", "gangway")];

    #[test]
    fn a_table_with_two_keys_is_a_provider_with_defaults() {
        let settings = parsed(&GOOD).expect("whole");
        assert_eq!((settings.client_secret, settings.session), (None, SESSION_DEFAULT));
        assert_eq!(settings.scopes, ["openid", "profile", "email"].map(Box::from));
        for secret in [("client-secret-file", "/secret"), ("client-secret-env", "SECRET")] {
            let settings = parsed(&[GOOD[0], GOOD[1], secret]).expect("whole");
            assert_eq!(settings.client_secret, Some(ClientSecret::new("s3cret")));
        }
        let more = [("scopes", "groups,openid"), ("session", "7d"), ("cookie-domain", ".Example.org")];
        let settings = parsed(&[&GOOD[..], &more].concat()).expect("whole");
        assert_eq!(settings.scopes, ["openid", "groups"].map(Box::from));
        assert_eq!((settings.session.as_secs(), settings.cookie_domain), (604_800, Some("example.org".into())));
    }

    #[test]
    fn the_table_that_the_guide_shows_is_a_provider() {
        let text = include_str!("../../tests/openid-provider.toml");
        let file = crate::settings::file::parse("gangway.toml", text, "nothing").expect("in order");
        let outside = Outside { file: &|_| Ok("s3cret".to_owned()), variable: &|_| None };
        assert_eq!(file.oidc[0].parse(&outside).map(|settings| settings.name), Ok("home".into()));
    }

    #[test]
    fn a_mistake_makes_a_provider_that_cannot_be_used_and_no_secret_is_repeated() {
        for mistake in [
            ("client-secret", "s3cret"),
            ("client-secret-file", "/missing"),
            ("client-secret-file", "/empty"),
            ("client-secret-env", "MISSING"),
            ("client_id", "x"),
            ("scopes", "a\"b"),
            ("trust-email", "maybe"),
            ("session", "31d"),
            ("session", "5s"),
            ("session", "soon"),
            ("cookie-domain", "org"),
            ("cookie-domain", "192.0.2.1"),
            ("cookie-domain", "a.org; Secure"),
            ("ca-file", "/missing"),
        ] {
            let found = parsed(&[GOOD[0], GOOD[1], mistake]).expect_err(mistake.0);
            assert!(found.iter().all(|one| one.code == codes::OIDC_PROVIDER && one.effect == CLOSED), "{found:?}");
            assert!(!found.is_empty() && !format!("{found:?}").contains("s3cret"), "{mistake:?}");
        }
        for keys in [&GOOD[..1], &GOOD[1..], &[("issuer", "http://id.example.org"), GOOD[1]], &[]] {
            assert!(parsed(keys).is_err(), "{keys:?}");
        }
        assert!(!format!("{:?}", table(&[("client-secret", "s3cret")])).contains("s3cret"));
    }
}
