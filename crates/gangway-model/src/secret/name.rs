//! Names whose values are secrets, by their parts: `sessionKey`, `X-Amz-Signature` and `auth[token]` have `key`,
//! `signature`, `auth` and `token` in them, `keyword` and `author` have not.

/// Parts that make a name a secret's. Parts that begin with `auth` do too, but for [`LIKE_AUTH`].
const PARTS: &[&str] = &[
    "assertion",
    "bearer",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "creds",
    "csrf",
    "hmac",
    "jsessionid",
    "jwt",
    "key",
    "oauth",
    "otp",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "passwords",
    "phpsessid",
    "pin",
    "psw",
    "pw",
    "pwd",
    "saml",
    "sas",
    "sess",
    "session",
    "sessionid",
    "sid",
    "sig",
    "sign",
    "signature",
    "ticket",
    "token",
    "totp",
    "xsrf",
];

/// Ends of parts that are written without a border.
const ENDS: &[&str] = &[
    "accesskey",
    "apikey",
    "appkey",
    "authkey",
    "cookie",
    "jwt",
    "passphrase",
    "passwd",
    "privatekey",
    "pwd",
    "secretkey",
    "sessid",
    "sessionid",
    "sessionkey",
    "sharekey",
    "sharedkey",
    "signature",
    "token",
];

/// Texts that make a part a secret's wherever they stand in it.
const INSIDE: &[&str] = &["apikey", "credential", "password", "secret"];

/// Ordinary words that begin like `auth`.
const LIKE_AUTH: &[&str] = &["author", "authored", "authoring", "authoritative", "authorities", "authority", "authors"];

/// Parts before `token` that make it a place in a list, and before `key` a name in one.
const BEFORE_TOKEN: &[&str] = &["continuation", "next", "page", "skip", "start", "sync"];
const BEFORE_KEY: &[&str] =
    &["cache", "end", "foreign", "group", "partition", "primary", "pub", "public", "sort", "start", "translation"];

/// Parts before `keys` and `tokens` that make them secrets; else they are counts and lists.
const BEFORE_PLURAL: &[&str] = &["access", "api", "app", "auth", "bearer", "private", "secret", "session"];

/// Parts before `code` that make it one which lets in; alone it is one of OAuth.
const BEFORE_CODE: &[&str] = &[
    "access",
    "auth",
    "authorization",
    "backup",
    "device",
    "invitation",
    "invite",
    "login",
    "pairing",
    "recovery",
    "reset",
    "security",
    "share",
    "user",
    "verification",
];

/// Whole names of parameters: of Subsonic (password, token, salt), and of OAuth.
const PARAMETERS: &[&str] = &["code", "p", "s", "t"];

/// The longest part that is compared. A longer one is no word.
const PART_LEN_MAX: usize = 64;

/// Whether a label, a key, a field or a parameter of this name usually carries a secret.
pub fn is_secret_name(name: &str) -> bool {
    let mut before = "";
    for part in Parts(name) {
        if is_secret_part(part, before) {
            return true;
        }
        before = part;
    }
    false
}

/// Whether the parameter of a query with this name usually carries a secret.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    is_secret_name(name) || is_one_of(name, PARAMETERS)
}

fn is_secret_part(part: &str, before: &str) -> bool {
    let is = |known: &str| part.eq_ignore_ascii_case(known);
    if is("token") || is("key") {
        let harmless = if is("token") { BEFORE_TOKEN } else { BEFORE_KEY };
        return !is_one_of(before, harmless);
    }
    if is("tokens") || is("keys") {
        return is_one_of(before, BEFORE_PLURAL);
    }
    if is("code") {
        return is_one_of(before, BEFORE_CODE);
    }
    let begins = |start: &str| part.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    is_one_of(part, PARTS)
        || begins("auth") && !is_one_of(part, LIKE_AUTH)
        || part.len() <= PART_LEN_MAX
            && (ENDS.iter().any(|end| ends_with(part, end)) || INSIDE.iter().any(|text| contains(part, text)))
}

fn is_one_of(text: &str, known: &[&str]) -> bool {
    known.iter().any(|known| text.eq_ignore_ascii_case(known))
}

fn ends_with(part: &str, end: &str) -> bool {
    part.len().checked_sub(end.len()).and_then(|at| part.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn contains(part: &str, text: &str) -> bool {
    part.as_bytes().windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// The parts of a name: what stands between signs, and within `camelCase` and `APIKey`.
struct Parts<'n>(&'n str);

impl<'n> Iterator for Parts<'n> {
    type Item = &'n str;

    fn next(&mut self) -> Option<&'n str> {
        let begin = self.0.find(char::is_alphanumeric)?;
        let rest = &self.0[begin..];
        let mut end = rest.len();
        let mut chars = rest.char_indices().peekable();
        let mut previous: Option<char> = None;
        while let Some((at, char)) = chars.next() {
            let is_next_lower = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
            let is_border =
                previous.is_some_and(|previous| char.is_uppercase() && (!previous.is_uppercase() || is_next_lower));
            if !char.is_alphanumeric() || is_border {
                end = at;
                break;
            }
            previous = Some(char);
        }
        let (part, after) = rest.split_at(end);
        self.0 = after;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_parts() {
        let parts = |name| Parts(name).collect::<Vec<_>>().join(" ");
        assert_eq!(parts("X-Amz-Signature"), "X Amz Signature");
        assert_eq!(parts("sessionKey"), "session Key");
        assert_eq!(parts("APIKeyId"), "API Key Id");
        assert_eq!(parts("auth[token]"), "auth token");
        assert_eq!(parts("__éa2fCode__"), "éa2f Code");
        assert_eq!(parts("TOKEN"), "TOKEN");
        assert_eq!(parts("-"), "");
    }

    #[test]
    fn names_that_real_apps_give_to_secrets_are_known() {
        for name in [
            "authSig",
            "key",
            "sessionKey",
            "signature",
            "X-Amz-Signature",
            "X-Amz-Security-Token",
            "X-Amz-Credential",
            "secret",
            "client_secret",
            "id_token",
            "refresh_token",
            "auth_token",
            "access_token",
            "jwt",
            "session",
            "sid",
            "sharing_sid",
            "passwd",
            "pwd",
            "pass",
            "password",
            "otp",
            "ticket",
            "token[]",
            "auth[token]",
            "token",
            "auth",
            "api_key",
            "apikey",
            "ApiKey",
            "X-Plex-Token",
            "sig",
            "X-Goog-Signature",
            "AWSAccessKeyId",
            "Key-Pair-Id",
            "PHPSESSID",
            "JSESSIONID",
            "sessionid",
            "oauth_token",
            "itoken",
            "accessToken",
            "accesstoken",
            "user_password",
            "newPassword",
            "passwordConfirm",
            "SAMLResponse",
            "csrf_token",
            "authenticity_token",
            "X-Api-Key",
            "X-Api-Keys",
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "X-Auth",
            "gangway.auth.basic",
            "gangway.auth.basik",
            "routes.nas.request.header.X-Emby-Authorization",
            "acme-dns-secret",
            "user_code",
            "invite_code",
            "device_code",
            "privateKey",
            "X-MediaBrowser-Token",
            "k3y_token_1",
        ] {
            assert!(is_secret_name(name) && is_secret_parameter(name), "{name}");
        }
        for name in ["p", "t", "s", "P", "code", "Code"] {
            assert!(is_secret_parameter(name) && !is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_shown() {
        for name in [
            "keyword",
            "keywords",
            "author",
            "authors",
            "authority",
            "page_token",
            "pageToken",
            "nextPageToken",
            "next_token",
            "sync-token",
            "continuation_token",
            "max_tokens",
            "tokens",
            "keys",
            "sort_key",
            "sortKey",
            "public_key",
            "cache_key",
            "startkey",
            "monkey",
            "turkey",
            "hotkey",
            "keyboard",
            "bypass",
            "compass",
            "passenger",
            "design",
            "signal",
            "assignee",
            "side",
            "sidebar",
            "inside",
            "obsess",
            "status_code",
            "country_code",
            "zipCode",
            "decode",
            "encoding",
            "pinned",
            "opinion",
            "shipping",
            "ticketing",
            "q",
            "query",
            "page",
            "id",
            "user",
            "u",
            "v",
            "c",
            "ts",
            "start",
            "gangway.host",
            "gangway.rule",
            "gangway.routes.monkey.host",
            "gangway.response.header.X-Frame-Options",
            "gangway.sticky",
            "gangway.request.header.X-Tenant",
            "gangway.strip-prefix",
            "domain",
            "network",
            "",
        ] {
            assert!(!is_secret_name(name) && !is_secret_parameter(name), "{name}");
        }
    }
}
