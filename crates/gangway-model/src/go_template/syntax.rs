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

/// Visits all expressions below these nodes, in the order in which they stand.
pub(super) fn each_expression<'n>(nodes: &'n [Node], visit: &mut dyn FnMut(&'n Expression)) {
    for node in nodes {
        match node {
            Node::Text { .. } => {}
            Node::Print(expression) => expression.each(visit),
            Node::If(branches) => {
                for (condition, nodes) in branches {
                    condition.iter().for_each(|condition| condition.each(visit));
                    each_expression(nodes, visit);
                }
            }
        }
    }
}

impl Expression {
    fn each<'n>(&'n self, visit: &mut dyn FnMut(&'n Self)) {
        visit(self);
        match &self.kind {
            ExpressionKind::Call(_, arguments) => arguments.iter().for_each(|argument| argument.each(visit)),
            ExpressionKind::Text(_)
            | ExpressionKind::Number(_)
            | ExpressionKind::Bool(_)
            | ExpressionKind::Field(_) => {}
        }
    }
}
