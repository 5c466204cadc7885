//! The rule language: text becomes an [`Expression`] and findings.
//!
//! [`parse`] reports every error and goes on. It never panics, and needs bounded time and stack for any text. Printing an
//! expression and parsing the result gives the same expression.
//!
//! A [`Finding`](gangway_diagnostic::Finding) has no place: the caller, which read the text out of a label or a file, adds the place and the effect.
//! There is deliberately no evaluation here; see [`Matcher`](crate::Matcher).

mod condition;
mod expression;
mod lexer;
mod parser;
mod print;

pub(crate) use condition::{Argument, network, read as read_condition};
pub use expression::{Condition, Expression, Term};
pub(crate) use lexer::values;
pub(crate) use parser::parse_with;
pub use parser::{DEPTH_MAX, FINDINGS_MAX, RULE_LEN_MAX, parse};
