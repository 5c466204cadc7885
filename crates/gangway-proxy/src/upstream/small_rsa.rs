//! RSA signatures by keys of fewer than 2,048 bits.
//!
//! The cryptographic library checks PSS, which TLS 1.3 asks for, with larger keys only. All values here are public, so
//! nothing depends on how long a computation takes.

use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA384, SHA512, digest};
use num_bigint::BigUint;
use rustls::SignatureScheme;

/// Bytes of a public exponent. Nearly all keys have one of three bytes; a long one would only cost time.
const EXPONENT_LEN_MAX: usize = 8;

/// The public key: two numbers, the most significant byte first, without leading zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct RsaKey<'k> {
    pub(super) modulus: &'k [u8],
    pub(super) exponent: &'k [u8],
}

/// How a hash is made as long as the key.
#[derive(Clone, Copy, Debug)]
enum Padding {
    /// RFC 8017, section 9.2, with the bytes that name the hash.
    Pkcs1(&'static [u8]),
    /// RFC 8017, section 9.1, with a salt as long as the hash (RFC 8446, section 4.2.3).
    Pss,
}

impl RsaKey<'_> {
    /// The bits of the modulus.
    pub(super) fn bits(self) -> usize {
        let unused = self.modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        self.modulus.len() * 8 - unused
    }

    /// Whether the key made the signature.
    pub(super) fn has_signed(self, message: &[u8], scheme: SignatureScheme, signature: &[u8]) -> bool {
        let Some((padding, hash)) = padding_and_hash(scheme) else { return false };
        let Some(encoded) = self.open(signature) else { return false };
        match padding {
            Padding::Pkcs1(name) => encoded == pkcs1(encoded.len(), name, hash, message),
            Padding::Pss => is_pss(&encoded, self.bits(), hash, message).unwrap_or(false),
        }
    }

    /// The padded hash that was signed, as long as the modulus.
    fn open(self, signature: &[u8]) -> Option<Vec<u8>> {
        let [modulus, exponent, number] = [self.modulus, self.exponent, signature].map(BigUint::from_bytes_be);
        let is_in_order = modulus.bit(0) && self.exponent.len() <= EXPONENT_LEN_MAX && number < modulus;
        if !is_in_order || signature.len() != self.modulus.len() {
            return None;
        }
        let opened = number.modpow(&exponent, &modulus).to_bytes_be();
        let mut encoded = vec![0; signature.len().saturating_sub(opened.len())];
        encoded.extend_from_slice(&opened);
        Some(encoded)
    }
}

fn padding_and_hash(scheme: SignatureScheme) -> Option<(Padding, &'static Algorithm)> {
    const OF_SHA256: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    const OF_SHA384: &[u8] = b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
    const OF_SHA512: &[u8] = b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";
    Some(match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => (Padding::Pkcs1(OF_SHA256), &SHA256),
        SignatureScheme::RSA_PKCS1_SHA384 => (Padding::Pkcs1(OF_SHA384), &SHA384),
        SignatureScheme::RSA_PKCS1_SHA512 => (Padding::Pkcs1(OF_SHA512), &SHA512),
        SignatureScheme::RSA_PSS_SHA256 => (Padding::Pss, &SHA256),
        SignatureScheme::RSA_PSS_SHA384 => (Padding::Pss, &SHA384),
        SignatureScheme::RSA_PSS_SHA512 => (Padding::Pss, &SHA512),
        // The enum is not exhaustive. All others are no schemes of RSA, or use SHA-1, which is never offered.
        _ => return None,
    })
}

/// The hash of the message, padded; empty if `len` is too small for it.
fn pkcs1(len: usize, name: &[u8], hash: &'static Algorithm, message: &[u8]) -> Vec<u8> {
    /// Bytes of padding at least.
    const FILL_MIN: usize = 8;
    let hashed = digest(hash, message);
    let behind = [&[0], name, hashed.as_ref()].concat();
    match len.checked_sub(2 + behind.len()) {
        Some(fill) if fill >= FILL_MIN => [&[0, 1], &*vec![0xff; fill], &*behind].concat(),
        Some(_) | None => Vec::new(),
    }
}

/// Whether this is the padded hash of the message. None if it is too short for one.
fn is_pss(encoded: &[u8], key_bits: usize, hash: &'static Algorithm, message: &[u8]) -> Option<bool> {
    const LAST: u8 = 0xbc;
    let hash_len = hash.output_len();
    // It has one bit less than the key, so that it is always the smaller number.
    let bits = key_bits.checked_sub(1)?;
    let (before, encoded) = encoded.split_at_checked(encoded.len().checked_sub(bits.div_ceil(8))?)?;
    let used = u8::MAX >> (encoded.len() * 8 - bits);
    let (last, rest) = encoded.split_last()?;
    let (masked, salted_hash) = rest.split_at_checked(rest.len().checked_sub(hash_len)?)?;
    let mut block: Vec<u8> = masked.iter().zip(mask(salted_hash, masked.len(), hash)).map(|(a, b)| a ^ b).collect();
    let first = block.first_mut()?;
    *first &= used;
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(hash_len)?)?;
    let (one, zeros) = padding.split_last()?;
    let is_formed = before.iter().all(|byte| *byte == 0)
        && masked.first()? & !used == 0
        && zeros.iter().all(|byte| *byte == 0)
        && (*one, *last) == (1, LAST);
    let mut hashed = Context::new(hash);
    for part in [&[0; 8], digest(hash, message).as_ref(), salt] {
        hashed.update(part);
    }
    Some(is_formed && hashed.finish().as_ref() == salted_hash)
}

/// The mask generation function MGF1 (RFC 8017, appendix B.2.1).
fn mask(seed: &[u8], len: usize, hash: &'static Algorithm) -> Vec<u8> {
    let blocks = (0_u32..).map(|number| digest(hash, &[seed, &number.to_be_bytes()].concat()));
    let mut mask = Vec::with_capacity(len + hash.output_len());
    for block in blocks {
        if mask.len() >= len {
            break;
        }
        mask.extend_from_slice(block.as_ref());
    }
    mask.truncate(len);
    mask
}
