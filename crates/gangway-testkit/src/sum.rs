//! A pattern of distinguishable bytes to send, and a checksum to compare what arrived.
//!
//! Gigabytes go through the proxy in tests, so both are made for speed, not against an adversary.

/// The pattern's period is a prime, so that a part that is lost, doubled or moved by any round number
/// of bytes changes the sum.
const PERIOD: usize = 65_521;

/// The deterministic bytes that `/bytes/<n>` answers with, from any offset.
#[derive(Clone, Debug)]
pub struct Pattern {
    block: Vec<u8>,
    offset: usize,
}

impl Default for Pattern {
    fn default() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let block = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        Self { block, offset: 0 }
    }
}

impl Pattern {
    /// The next at most `limit` bytes; at least one unless `limit` is 0.
    pub fn next(&mut self, limit: u64) -> &[u8] {
        let from = self.offset;
        let len = (PERIOD - from).min(usize::try_from(limit).unwrap_or(usize::MAX));
        self.offset = (from + len) % PERIOD;
        &self.block[from..from + len]
    }

    /// The first `len` bytes of the pattern, for bodies small enough to hold.
    pub fn bytes(len: usize) -> Vec<u8> {
        let mut pattern = Self::default();
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.extend_from_slice(pattern.next((len - bytes.len()) as u64));
        }
        bytes
    }
}

/// A running FNV-1a sum over eight bytes at a time; it does not depend on how the bytes are cut.
#[derive(Clone, Debug)]
pub struct Sum {
    state: u64,
    rest: [u8; 8],
    rest_len: usize,
    len: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { state: 0xcbf2_9ce4_8422_2325, rest: [0; 8], rest_len: 0, len: 0 }
    }
}

impl Sum {
    /// The sum of these bytes alone.
    pub fn of(bytes: &[u8]) -> String {
        let mut sum = Self::default();
        sum.add(bytes);
        sum.hex()
    }

    /// The sum of the first `len` bytes of the [`Pattern`].
    pub fn of_pattern(len: u64) -> String {
        let (mut pattern, mut sum) = (Pattern::default(), Self::default());
        while sum.len() < len {
            let left = len - sum.len();
            sum.add(pattern.next(left));
        }
        sum.hex()
    }

    /// Takes in the next bytes.
    pub fn add(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while self.rest_len > 0 && !bytes.is_empty() {
            self.rest[self.rest_len] = bytes[0];
            self.rest_len += 1;
            bytes = &bytes[1..];
            if self.rest_len == 8 {
                self.mix(u64::from_le_bytes(self.rest));
                self.rest_len = 0;
            }
        }
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().expect("chunks of eight")));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.rest[..rest.len()].copy_from_slice(rest);
            self.rest_len = rest.len();
        }
    }

    /// How many bytes were taken in.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was taken in.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sum as text; the length is part of it.
    pub fn hex(&self) -> String {
        let mut last = self.clone();
        for at in 0..last.rest_len {
            last.mix(u64::from(last.rest[at]));
        }
        last.mix(last.len);
        format!("{:016x}", last.state)
    }

    fn mix(&mut self, word: u64) {
        self.state = (self.state ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_does_not_depend_on_how_the_bytes_are_cut() {
        let bytes = Pattern::bytes(200_003);
        for cut in [1, 3, 7, 8, 9, 4096, 65_521, 200_003] {
            let mut sum = Sum::default();
            bytes.chunks(cut).for_each(|part| sum.add(part));
            assert_eq!(sum.hex(), Sum::of(&bytes), "cut into {cut}");
        }
        assert_eq!(Sum::of_pattern(200_003), Sum::of(&bytes));
    }

    #[test]
    fn a_lost_doubled_or_moved_byte_changes_the_sum() {
        let bytes = Pattern::bytes(100_000);
        let mut lost = bytes.clone();
        lost.remove(70_000);
        let mut moved = bytes.clone();
        moved.swap(4096, 8192 + 1);
        let mut longer = bytes.clone();
        longer.push(0);
        for other in [lost, moved, longer] {
            assert_ne!(Sum::of(&other), Sum::of(&bytes));
        }
    }
}
