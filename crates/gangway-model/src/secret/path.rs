//! Secrets in paths: webhooks, links to share, and what looks like a token wherever it stands.

use std::borrow::Cow;

use super::mask::MASK;
use super::name::is_secret_name;
use super::percent::percent_decoded;

/// Segments after which the next one is a secret whatever it looks like, and further ones are if they look like one:
/// webhooks (Home Assistant, Discord, n8n, Mattermost, Rocket.Chat), links to share (Immich, Filebrowser, Paperless,
/// Grafana, Nextcloud's calendars), the sends of Vaultwarden, pushes of Uptime Kuma, invitations and resets.
const BEFORE_SECRET: &[&str] = &[
    "email-login",
    "hook",
    "hooks",
    "invitation",
    "invitations",
    "invite",
    "invites",
    "magic-link",
    "password-reset",
    "password_reset",
    "public-calendars",
    "public-dashboards",
    "push",
    "reset-password",
    "reset_password",
    "sends",
    "share",
    "shared",
    "unsubscribe",
    "webhook",
    "webhook-test",
    "webhook-waiting",
    "webhooks",
];

/// Segments after which one that looks like a token is a secret: links of Nextcloud, PhotoPrism and Seafile, checks of
/// healthchecks.io, Slack's services, confirmations.
const BEFORE_TOKEN: &[&str] = &[
    "access", "activate", "call", "confirm", "d", "dl", "f", "feed", "files", "ical", "link", "p", "ping", "public",
    "reset", "rss", "s", "services", "snapshot", "token", "u", "verify",
];

/// The shortest segment that looks like a token after a segment that says so, or like a part of several after it.
const TOKEN_LEN_MIN: usize = 10;

/// The shortest segment that is a token by itself. Digests and the ids of apps are of hexadecimal digits, or shorter.
const TOKEN_BY_ITSELF_LEN_MIN: usize = 40;

/// Masks the segments that may be secrets, and the values of their parameters (`;jsessionid=…`).
pub(super) fn masked_path(path: &str) -> Cow<'_, str> {
    let mut masked: Option<String> = None;
    let mut expected = Expected::Nothing;
    let mut at = 0;
    for segment in path.split('/') {
        let shown = shown(segment, expected);
        expected = expected.after(segment);
        if let Cow::Owned(shown) = &shown {
            masked.get_or_insert_with(|| path[..at].to_owned()).push_str(shown);
        } else if let Some(masked) = &mut masked {
            masked.push_str(segment);
        }
        at += segment.len();
        if at < path.len() {
            at += 1;
            if let Some(masked) = &mut masked {
                masked.push('/');
            }
        }
    }
    masked.map_or(Cow::Borrowed(path), Cow::Owned)
}

/// What the segments before one say about it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Expected {
    Nothing,
    /// It is a secret if it looks like a token.
    Token,
    /// It is a secret.
    Secret,
}

impl Expected {
    /// What is expected behind this segment.
    fn after(self, segment: &str) -> Self {
        let is_one_of = |known: &[&str]| known.iter().any(|known| segment.eq_ignore_ascii_case(known));
        if segment.is_empty() {
            self
        } else if is_one_of(BEFORE_SECRET) {
            Self::Secret
        } else if self != Self::Nothing || is_one_of(BEFORE_TOKEN) {
            // Secrets may come in several segments: an id and a token.
            Self::Token
        } else {
            Self::Nothing
        }
    }
}

fn shown(segment: &str, expected: Expected) -> Cow<'_, str> {
    if segment.is_empty() || segment == MASK {
        return Cow::Borrowed(segment);
    }
    let decoded = percent_decoded(segment);
    // A page or a file of the app itself.
    let is_file = decoded.contains('.') && !is_jwt(&decoded);
    let is_secret = match expected {
        Expected::Secret => !is_file,
        Expected::Token => is_token(&decoded),
        Expected::Nothing => false,
    };
    if is_secret || is_token_by_itself(&decoded) || is_bot(&decoded) {
        return Cow::Owned(MASK.to_owned());
    }
    let Some((name, parameters)) = segment.split_once(';') else { return Cow::Borrowed(segment) };
    let is_secret = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) => !value.is_empty() && value != MASK && is_secret_name(&percent_decoded(name)),
        None => false,
    };
    if !parameters.split(';').any(is_secret) {
        return Cow::Borrowed(segment);
    }
    let mut shown = name.to_owned();
    for parameter in parameters.split(';') {
        shown.push(';');
        match parameter.split_once('=') {
            Some((name, _)) if is_secret(parameter) => shown.extend([name, "=", MASK]),
            Some(_) | None => shown.push_str(parameter),
        }
    }
    Cow::Owned(shown)
}

/// Whether a text is a token wherever it stands: a JSON Web Token, or many letters and digits in no order.
pub(super) fn is_token_by_itself(text: &str) -> bool {
    // Of so many random letters and digits some are digits; the long names of components have none.
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    is_jwt(text) || text.len() >= TOKEN_BY_ITSELF_LEN_MIN && has_digit && is_token(text) && is_mixed(text)
}

/// Three parts in base64, of which the first two are JSON (RFC 7519).
fn is_jwt(text: &str) -> bool {
    // The beginning of `{"` in base64.
    text.starts_with("eyJ") && text.split('.').count() >= 3 && text.bytes().all(|byte| byte == b'.' || is_base64(byte))
}

/// The token of a bot of Telegram: `bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw`.
fn is_bot(text: &str) -> bool {
    let token = text.strip_prefix("bot").and_then(|bot| bot.split_once(':'));
    token.is_some_and(|(id, token)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) && !token.is_empty())
}

/// Whether a text looks like a token: letters and digits in one run, not a word and not a number.
fn is_token(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.as_bytes().iter().any(kind);
    let is_plain = text.bytes().all(is_base64);
    let is_word = !has(u8::is_ascii_digit) && !is_mixed(text);
    let is_number = !has(u8::is_ascii_alphabetic);
    text.len() >= TOKEN_LEN_MIN && is_plain && !is_word && !is_number
}

/// Whether upper and lower case letters alternate as no words do: in words, capitals begin them.
fn is_mixed(text: &str) -> bool {
    let (bytes, mut changes) = (text.as_bytes(), 0);
    for pair in bytes.windows(2) {
        changes += usize::from(
            pair[0].is_ascii_alphanumeric() && pair[1].is_ascii_uppercase() && !pair[0].is_ascii_uppercase(),
        );
    }
    let has_lower = bytes.iter().any(u8::is_ascii_lowercase);
    has_lower && changes * 6 > bytes.len()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_the_paths_of_real_apps_are_masked() {
        for (path, shown) in [
            ("/hooks/7f3kq9d1xtnwzeg8y4o5jrmb6c", "/hooks/***"),
            (
                "/api/webhooks/1098765432109876543/aBcDeFgHiJkLmNoPqRsTuVwXyZ012345-_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123",
                "/api/webhooks/***/***",
            ),
            ("/services/T024BE7LD/B024BE7LH/XXq9QmYAiIVa8ZpTbWcDeFgH", "/services/T024BE7LD/B024BE7LH/***"),
            ("/api/webhook/my_hook", "/api/webhook/***"),
            ("/webhook-test/5f0c9f6e-8f52-4a1b-bb0e-0c8f4f0a1c11", "/webhook-test/***"),
            ("/hooks/5fae67/kTN4CDsJ2HwqXoyYJ", "/hooks/***/***"),
            ("/s/ZkpT3QwXb9Lm2Rd", "/s/***"),
            ("/index.php/s/ZkpT3QwXb9Lm2Rd/download", "/index.php/s/***/download"),
            ("/public.php/dav/files/ZkpT3QwXb9Lm2Rd/a.txt", "/public.php/dav/files/***/a.txt"),
            (
                "/remote.php/dav/public-calendars/Xw9TqLmZkp3QbR2d/?export",
                "/remote.php/dav/public-calendars/***/?export",
            ),
            ("/share/4fQz-1kmW9x_8vYbN3sRt6uPo2LdHcGa7iJeKfMqXwZ", "/share/***"),
            ("/share//holiday", "/share//***"),
            ("/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage", "/***/sendMessage"),
            ("/file/bot110201543%3AAAHdqTcvCH1vGWJxfSeofSAs0K5/x.jpg", "/file/***/x.jpg"),
            ("/api/sends/access/aGVsbG8gd29ybGQgMTIz", "/api/sends/***/***"),
            ("/api/push/Zk3pT9QwXb", "/api/push/***"),
            ("/ping/5f0c9f6e-8f52-4a1b-bb0e-0c8f4f0a1c11", "/ping/***"),
            ("/d/3f2a9c1b7e5d4f608a1c/", "/d/***/"),
            ("/reset/MTI/c7x2k9-0b1f5e8a7d6c4b3a2f1e", "/reset/MTI/***"),
            ("/x/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl/y", "/x/***/y"),
            ("/x/q8Zk3pT9QwXb2LmRdV5nY7cGh1JfKs4Tu6Wo0EiAxBv", "/x/***"),
            ("/app;jsessionid=1A2B;v=1/x", "/app;jsessionid=***;v=1/x"),
        ] {
            let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
            assert_eq!(format!("{}{query}", masked_path(path)), shown, "{path}");
        }
    }

    #[test]
    fn ordinary_paths_are_shown() {
        for path in [
            "",
            "/",
            "/token=x",
            "/share/",
            "/share/index.html",
            "/s/photos",
            "/settings/profile",
            "/services/billing/overview",
            "/files/holiday-2024.jpg",
            "/dav/files/ann/Documents",
            "/u/ann",
            "/p/hello-world",
            "/d/grafana",
            "/bot/status",
            "/bots:x",
            "/api/assets/5f0c9f6e-8f52-4a1b-bb0e-0c8f4f0a1c11/thumbnail",
            "/Items/8f14e45fceea167a5a36dedd4bea2543/Images/Primary",
            "/ann/repo/commit/da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "/v2/app/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "/_next/static/chunks/pages/index-4f1c9a2b7d8e3f60.js",
            "/assets/index.DkX3p9Qz.js",
            "/SomeVeryLongCamelCaseNameOfAComponentThatIsNoToken",
            "/a-very-long-title-of-an-article-about-hooks-and-tokens-2024",
            "/.well-known/acme-challenge/x",
            "/app;v=1/x",
        ] {
            assert!(
                matches!(masked_path(path), Cow::Borrowed(shown) if shown == path),
                "{path}: {}",
                masked_path(path)
            );
        }
    }
}
