//! A code and its description.

use std::fmt::{self, Display, Formatter};

use crate::severity::Severity;

/// A stable code such as `G104`. [`codes`](crate::codes) lists all of them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(pub u16);

/// A code and what the reference says about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CodeDescription {
    /// The code.
    pub code: Code,
    /// The severities that its diagnostics may have.
    pub severities: &'static [Severity],
    /// One line, lower case, no full stop.
    pub title: &'static str,
    /// The meaning and the remedy, in whole sentences.
    pub explanation: &'static str,
}

/// `G104`: at least three digits.
impl Display for Code {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "G{:03}", self.0)
    }
}

/// Declares a constant for each code, and one for the descriptions of all of them in the order of the list.
macro_rules! codes {
    (const $all:ident; $($name:ident = $number:literal, $($severity:ident)|+, $title:literal, $explanation:literal;)*) => {
        $(#[doc = concat!("Code ", stringify!($number), ": ", $title, ".")]
        pub const $name: $crate::Code = $crate::Code($number);)*

        pub(super) const $all: &[$crate::CodeDescription] = &[
            $($crate::CodeDescription {
                code: $name,
                severities: &[$($crate::Severity::$severity),+],
                title: $title, explanation: $explanation },)*
        ];
    };
}
pub(crate) use codes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_three_digits() {
        assert_eq!(Code(1).to_string(), "G001");
        assert_eq!(Code(104).to_string(), "G104");
    }
}
