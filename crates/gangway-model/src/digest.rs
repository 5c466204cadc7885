//! A digest of a text that is the same in every process and on every machine, because it is stored on the volume.
//!
//! The algorithm is FNV-1a. It protects against no attack: two texts with one digest can be made on purpose.

use std::hash::Hasher;

/// The digest of the bytes written up to now.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Digest {
    /// The digest of a whole text.
    pub fn of(text: &str) -> u64 {
        let mut digest = Self::default();
        digest.write(text.as_bytes());
        digest.finish()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn it_is_what_was_written_down_before() {
        assert_eq!((Digest::of(""), Digest::of("foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }
}
