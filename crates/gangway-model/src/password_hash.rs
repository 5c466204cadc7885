//! Hashes of passwords, as they are written in `auth.basic` and in htpasswd files.
//!
//! Only the shape is checked here. The author of a hash decides how long a check takes, so that is bounded: a label must
//! not be able to keep the machine busy.

use std::fmt::{self, Debug, Formatter};

use gangway_diagnostic::{Finding, codes};

/// The largest cost of bcrypt: two to its power are the rounds, which takes about a second.
const BCRYPT_COST_MAX: u32 = 14;

/// The most memory of argon2 in KiB.
const ARGON2_MEMORY_MAX: u32 = 64 * 1024;

/// The most passes of argon2 over its memory.
const ARGON2_PASSES_MAX: u32 = 20;

/// The most lanes of argon2.
const ARGON2_LANES_MAX: u32 = 16;

/// The most rounds of `$5$` and `$6$`.
const SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;

const HELP: &str = "make one by `gangway hash`";

/// The hash of a password, in the modular crypt format or one of its relatives. Its text is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash {
    scheme: PasswordScheme,
    text: Box<str>,
}

/// How a password was hashed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PasswordScheme {
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$argon2id$`, `$argon2i$`, `$argon2d$` (RFC 9106).
    Argon2,
    /// `$5$`.
    Sha256Crypt,
    /// `$6$`.
    Sha512Crypt,
    /// `$apr1$`, the MD5 of Apache.
    Apr1,
    /// `{SHA}`, without salt.
    Sha1,
}

impl PasswordScheme {
    /// Whether a stolen hash gives its password away with little effort.
    pub const fn is_weak(self) -> bool {
        match self {
            Self::Apr1 | Self::Sha1 => true,
            Self::Bcrypt | Self::Argon2 | Self::Sha256Crypt | Self::Sha512Crypt => false,
        }
    }
}

impl PasswordHash {
    /// Reads a hash. The finding never repeats it; its span is empty.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let scheme = scheme(text)?;
        Ok(Self { scheme, text: text.into() })
    }

    /// How the password was hashed.
    pub fn scheme(&self) -> PasswordScheme {
        self.scheme
    }

    /// The hash as written. It must not be shown.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Debug for PasswordHash {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

fn not(note: &str, help: &str) -> Finding {
    Finding::error(codes::PASSWORD_HASH, 0..0, "not the hash of a password", note, help)
}

/// Reads what follows a known prefix.
type ReadScheme = fn(&str) -> Result<PasswordScheme, Finding>;

fn scheme(text: &str) -> Result<PasswordScheme, Finding> {
    if text.contains("$$") {
        return Err(not("every `$` stands twice", "write every `$` once: only compose files need it twice"));
    }
    let known: [(&[&str], ReadScheme); 6] = [
        (&["$2a$", "$2b$", "$2y$"], bcrypt),
        (&["$argon2id$", "$argon2i$", "$argon2d$"], argon2),
        (&["$5$"], |rest| sha_crypt(rest, 43, PasswordScheme::Sha256Crypt)),
        (&["$6$"], |rest| sha_crypt(rest, 86, PasswordScheme::Sha512Crypt)),
        (&["$apr1$"], apr1),
        (&["{SHA}"], sha1),
    ];
    for (prefixes, read) in known {
        if let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            return read(rest);
        }
    }
    Err(if text.starts_with("$1$") || text.starts_with('{') || text.starts_with('_') {
        not("a kind that is not checked here", HELP)
    } else if text.starts_with('$') {
        not("an unknown kind", "bcrypt, argon2, `$6$`, `$5$` and `$apr1$` are known; `gangway hash` makes one")
    } else {
        let help =
            "make a hash by `gangway hash`; in a compose file every `$` is written twice, which `--compose` does";
        not("a password itself, or a hash whose `$` were taken for variables", help)
    })
}

fn cut() -> Finding {
    let help = "copy all of it; in a compose file every `$` is written twice, which `gangway hash --compose` does";
    not("a part of it is missing", help)
}

fn too_costly(what: &str) -> Finding {
    not(&format!("{what}: each log-in would keep the machine busy"), HELP)
}

/// The alphabet of crypt.
fn is_crypt64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn bcrypt(rest: &str) -> Result<PasswordScheme, Finding> {
    let (cost, hash) = rest.split_once('$').ok_or_else(cut)?;
    if cost.len() != 2 || hash.len() != 53 || !is_crypt64(hash) {
        return Err(cut());
    }
    match number(cost).ok_or_else(cut)? {
        cost if cost > BCRYPT_COST_MAX => Err(too_costly(&format!("a cost above {BCRYPT_COST_MAX}"))),
        cost if cost < 4 => Err(not("a cost below 4", HELP)),
        _ => Ok(PasswordScheme::Bcrypt),
    }
}

fn argon2(rest: &str) -> Result<PasswordScheme, Finding> {
    let mut parts = rest.split('$').peekable();
    if let Some(version) = parts.next_if(|part| part.starts_with("v="))
        && !matches!(version, "v=16" | "v=19")
    {
        return Err(not("an unknown version of argon2", HELP));
    }
    let (Some(parameters), Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(cut());
    };
    for (name, max) in [("m", ARGON2_MEMORY_MAX), ("t", ARGON2_PASSES_MAX), ("p", ARGON2_LANES_MAX)] {
        let value =
            parameters.split(',').find_map(|parameter| number(parameter.strip_prefix(name)?.strip_prefix('=')?));
        if value.ok_or_else(cut)? > max {
            return Err(too_costly(&format!("`{name}` above {max}")));
        }
    }
    let is_whole = (11..=86).contains(&salt.len()) && (14..=172).contains(&hash.len());
    if is_whole && is_base64(salt) && is_base64(hash) { Ok(PasswordScheme::Argon2) } else { Err(cut()) }
}

fn sha_crypt(rest: &str, len: usize, scheme: PasswordScheme) -> Result<PasswordScheme, Finding> {
    let rest = match rest.strip_prefix("rounds=") {
        None => rest,
        Some(rounds) => {
            let (rounds, rest) = rounds.split_once('$').ok_or_else(cut)?;
            if number(rounds).ok_or_else(cut)? > SHA_CRYPT_ROUNDS_MAX {
                return Err(too_costly("more than a million rounds"));
            }
            rest
        }
    };
    salted(rest, 16, len).then_some(scheme).ok_or_else(cut)
}

fn apr1(rest: &str) -> Result<PasswordScheme, Finding> {
    salted(rest, 8, 22).then_some(PasswordScheme::Apr1).ok_or_else(cut)
}

fn sha1(rest: &str) -> Result<PasswordScheme, Finding> {
    let is_whole = rest.len() == 28 && rest.strip_suffix('=').is_some_and(is_base64);
    is_whole.then_some(PasswordScheme::Sha1).ok_or_else(cut)
}

/// Whether it is a salt of at most so many bytes, and a hash of exactly so many characters.
fn salted(text: &str, salt_max: usize, hash_len: usize) -> bool {
    text.split_once('$').is_some_and(|(salt, hash)| {
        let is_salt =
            (1..=salt_max).contains(&salt.len()) && salt.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        is_salt && hash.len() == hash_len && is_crypt64(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: [(&str, PasswordScheme); 8] = [
        ("$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", PasswordScheme::Bcrypt),
        ("$2b$14$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", PasswordScheme::Bcrypt),
        (
            "$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21l$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            PasswordScheme::Argon2,
        ),
        ("$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ", PasswordScheme::Argon2),
        ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", PasswordScheme::Sha256Crypt),
        (
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
            PasswordScheme::Sha512Crypt,
        ),
        ("$apr1$eHzfHtYT$rqh9HmJ4mdGFXfQwxJjDg1", PasswordScheme::Apr1),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", PasswordScheme::Sha1),
    ];

    #[test]
    fn every_kind_is_known_and_no_part_of_one_is() {
        for (text, scheme) in HASHES {
            assert_eq!(PasswordHash::parse(text).expect(text).scheme(), scheme, "{text}");
            for len in 0..text.len() {
                // A shorter digest of argon2 is one too.
                let is_shorter_argon2 = scheme == PasswordScheme::Argon2 && len + 29 >= text.len();
                assert!(is_shorter_argon2 || PasswordHash::parse(&text[..len]).is_err(), "{}", &text[..len]);
            }
            assert!(
                PasswordHash::parse(&format!("{text}:")).is_err() && PasswordHash::parse(&format!("{text} ")).is_err()
            );
            assert!(PasswordHash::parse(&text.replace('$', "$$")).is_err() || !text.contains('$'));
        }
    }

    #[test]
    fn no_label_can_keep_the_machine_busy() {
        for text in [
            "$2y$15$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "$2y$31$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21l$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$argon2id$v=19$m=7168,t=99999,p=1$c29tZXNhbHRzb21l$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$5$rounds=999999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
        ] {
            let finding = PasswordHash::parse(text).expect_err(text);
            assert!(finding.note.contains("busy"), "{text}: {}", finding.note);
        }
    }

    #[test]
    fn a_hash_is_in_no_message() {
        for text in ["hunter2", "$2y$05$c4WoMPo3SXsafkva.HHa6", "$1$abc$qwert", "y$05$c4WoMPo3SXsafkva"] {
            let finding = PasswordHash::parse(text).expect_err(text);
            assert!(!format!("{finding:?}").contains(text), "{finding:?}");
        }
        let hash = PasswordHash::parse(HASHES[0].0).expect("valid");
        assert!(!format!("{hash:?}").contains("c4Wo"), "{hash:?}");
    }
}
