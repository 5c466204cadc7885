//! Checks a password against its hash.

use argon2::{Algorithm, Argon2, Params, PasswordHash as ParsedHash, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gangway_model::{PasswordHash, PasswordScheme};
use md5::{Digest, Md5};
use sha_crypt::{Sha256Params, Sha512Params, sha256_crypt_b64, sha512_crypt_b64};

/// The alphabet of crypt, in the order of its digits.
const CRYPT64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The rounds of SHA-crypt where none are written, and the fewest.
const ROUNDS_DEFAULT: usize = 5000;
const ROUNDS_MIN: usize = 1000;

/// Whether it is the password. It takes as long as the hash says, and compares in constant time. What cannot be checked
/// is no password.
pub(super) fn matches(hash: &PasswordHash, password: &[u8]) -> bool {
    let text = hash.as_str();
    match hash.scheme() {
        // A zero byte would end the password for bcrypt; credentials have none.
        PasswordScheme::Bcrypt => bcrypt::verify(password, text).unwrap_or(false),
        PasswordScheme::Argon2 => argon2(text, password).unwrap_or(false),
        PasswordScheme::Sha256Crypt => sha_crypt(text, "$5$", |rounds, salt| {
            sha256_crypt_b64(password, salt, &Sha256Params::new(rounds).ok()?).ok()
        }),
        PasswordScheme::Sha512Crypt => sha_crypt(text, "$6$", |rounds, salt| {
            sha512_crypt_b64(password, salt, &Sha512Params::new(rounds).ok()?).ok()
        }),
        PasswordScheme::Apr1 => {
            let salted = text.strip_prefix("$apr1$").and_then(|rest| rest.split_once('$'));
            salted.is_some_and(|(salt, expected)| is_equal(&apr1(password, salt.as_bytes()), expected.as_bytes()))
        }
        PasswordScheme::Sha1 => {
            let made = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, password));
            text.strip_prefix("{SHA}").is_some_and(|expected| is_equal(made.as_bytes(), expected.as_bytes()))
        }
    }
}

fn is_equal(made: &[u8], expected: &[u8]) -> bool {
    verify_slices_are_equal(made, expected).is_ok()
}

/// A hash that names no version is of the one before versions were written, unlike what the library takes it for.
fn argon2(text: &str, password: &[u8]) -> Option<bool> {
    let parsed = ParsedHash::new(text).ok()?;
    let algorithm = Algorithm::try_from(parsed.algorithm).ok()?;
    let version = parsed.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&parsed).ok()?);
    let mut salt = [0; 64];
    let salt = parsed.salt?.decode_b64(&mut salt).ok()?;
    let expected = parsed.hash?;
    let mut made = vec![0; expected.len()];
    argon2.hash_password_into(password, salt, &mut made).ok()?;
    Some(is_equal(&made, expected.as_bytes()))
}

/// Compares with what `compute` makes of the rounds and the salt.
fn sha_crypt(text: &str, prefix: &str, compute: impl Fn(usize, &[u8]) -> Option<String>) -> bool {
    let Some(rest) = text.strip_prefix(prefix) else { return false };
    let (rounds, rest) = match rest.strip_prefix("rounds=").and_then(|rest| rest.split_once('$')) {
        // Fewer count as the fewest.
        Some((rounds, rest)) => (rounds.parse().unwrap_or(ROUNDS_DEFAULT).max(ROUNDS_MIN), rest),
        None => (ROUNDS_DEFAULT, rest),
    };
    let Some((salt, expected)) = rest.split_once('$') else { return false };
    compute(rounds, salt.as_bytes()).is_some_and(|made| is_equal(made.as_bytes(), expected.as_bytes()))
}

/// Apache's variant of the MD5 crypt: a thousand rounds, with a twist each.
fn apr1(password: &[u8], salt: &[u8]) -> [u8; 22] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for at in (0..password.len()).step_by(16) {
        outer.update(&inner[..16.min(password.len() - at)]);
    }
    let mut len = password.len();
    while len > 0 {
        outer.update(if len & 1 == 1 { &b"\0"[..] } else { &password[..1] });
        len >>= 1;
    }
    let mut hash = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &hash[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &hash[..] } else { password });
        hash = next.finalize();
    }
    let mut text = [0; 22];
    let groups = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)];
    for (group, (high, middle, low)) in groups.into_iter().enumerate() {
        let bits = u32::from(hash[high]) << 16 | u32::from(hash[middle]) << 8 | u32::from(hash[low]);
        write_digits(&mut text[group * 4..group * 4 + 4], bits);
    }
    write_digits(&mut text[20..], u32::from(hash[11]));
    text
}

/// Writes the digits of a number, the lowest first.
fn write_digits(text: &mut [u8], mut bits: u32) {
    for digit in text {
        *digit = CRYPT64[(bits & 63) as usize];
        bits >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `htpasswd`, `openssl passwd` and `argon2`.
    const KNOWN: [(&str, &str); 8] = [
        ("myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"),
        ("hello", "{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
        ("password", "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"),
        ("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
        ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "Hello world!",
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        ),
    ];

    #[test]
    fn the_password_and_no_other_matches() {
        for (password, hash) in KNOWN {
            let parsed = PasswordHash::parse(hash).expect(hash);
            assert!(matches(&parsed, password.as_bytes()), "{hash}");
            for other in ["", "x", &password[1..], &format!("{password} "), &password.to_ascii_uppercase()] {
                assert!(other == password || !matches(&parsed, other.as_bytes()), "{other:?} for {hash}");
            }
            assert!(!matches(&parsed, &[0xFF, 0xFE]));
        }
    }
}
