//! The parts of a template.

use std::ops::Range;

use super::functions::Function;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Text that is copied.
    Text {
        text: Box<str>,
        /// Where it begins in the template.
        offset: usize,
    },
    /// The text of an expression.
    Print(Expression),
    /// The first branch whose condition holds; the last one may have none.
    If(Vec<(Option<Expression>, Vec<Self>)>),
}

/// An expression with the bytes that it is written in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    pub span: Range<usize>,
    pub kind: ExpressionKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExpressionKind {
    Text(Box<str>),
    Number(i64),
    Bool(bool),
    /// `.`, or `.A.B` with the names of the fields.
    Field(Vec<Box<str>>),
    Call(Function, Vec<Expression>),
}
