//! Numbers as text, without the heap.

/// The decimal digits of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) fn of(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 19 };
        while number > 9 {
            decimal.digits[decimal.start] = digit(number % 10);
            decimal.start -= 1;
            number /= 10;
        }
        decimal.digits[decimal.start] = digit(number);
        decimal
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

fn digit(below_ten: u64) -> u8 {
    b'0' + u8::try_from(below_ten).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_number_is_written_as_always(number: u64) {
            for number in [number, number % 1000, 0, 9, 10, u64::MAX] {
                proptest::prop_assert!(Decimal::of(number).bytes() == number.to_string().as_bytes(), "{}", number);
            }
        }
    }
}
