//! Pieces of a template → its nodes.

use std::ops::Range;

use gangway_diagnostic::{nearest, printable};

use super::error::TemplateError;
use super::functions::{FUNCTIONS, Function};
use super::lexer::{Piece, Word, pieces};
use super::syntax::{Expression, ExpressionKind, Node};

/// `if` and parentheses may be nested this deep. Reading and rendering take stack for each.
const DEPTH_MAX: usize = 50;

/// Words with which actions of Go begin that are not in the language.
const UNSUPPORTED: &[&str] = &["range", "with", "define", "template", "block", "break", "continue"];

/// Reads a template.
pub(super) fn parse(template: &str) -> Result<Vec<Node>, TemplateError> {
    let mut open: Vec<OpenIf> = Vec::new();
    let mut nodes = Vec::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text { text, offset } => nodes.push(Node::Text { text, offset }),
            Piece::Action { words, span } => action(&words, span, &mut nodes, &mut open)?,
        }
    }
    match open.pop() {
        Some(open) => Err(TemplateError::new(open.span, "`if` has no `end`", "close it with `{{ end }}`")),
        None => Ok(nodes),
    }
}

/// An `if` that has not ended.
struct OpenIf {
    span: Range<usize>,
    /// What stands before the `if`.
    before: Vec<Node>,
    branches: Vec<(Option<Expression>, Vec<Node>)>,
    /// The condition of the branch that is being read; none in `else`.
    condition: Option<Expression>,
}

fn action(
    words: &[(Word, Range<usize>)],
    span: Range<usize>,
    nodes: &mut Vec<Node>,
    open: &mut Vec<OpenIf>,
) -> Result<(), TemplateError> {
    let keyword = |position: usize| match words.get(position) {
        Some((Word::Name(name), _)) => &**name,
        _ => "",
    };
    match keyword(0) {
        "if" => {
            if open.len() >= DEPTH_MAX {
                return Err(TemplateError::new(span, "too many `if` inside each other", "nest fewer"));
            }
            let condition = Some(whole(&words[1..], &span)?);
            open.push(OpenIf { span, before: std::mem::take(nodes), branches: Vec::new(), condition });
        }
        "else" => {
            let within = open.last_mut().filter(|within| within.condition.is_some());
            let Some(within) = within else {
                return Err(TemplateError::new(span, "`else` belongs to no `if`", "write `{{ if … }}` before it"));
            };
            let condition = match keyword(1) {
                "if" => Some(whole(&words[2..], &span)?),
                _ if words.len() == 1 => None,
                _ => return Err(TemplateError::new(span, "`else` takes nothing but `if`", "write `{{ else }}`")),
            };
            let condition = std::mem::replace(&mut within.condition, condition);
            within.branches.push((condition, std::mem::take(nodes)));
        }
        "end" if words.len() == 1 => {
            let Some(mut ended) = open.pop() else {
                return Err(TemplateError::new(span, "`end` belongs to no `if`", "write `{{ if … }}` before it"));
            };
            ended.branches.push((ended.condition, std::mem::take(nodes)));
            *nodes = ended.before;
            nodes.push(Node::If(ended.branches));
        }
        word if UNSUPPORTED.contains(&word) => {
            let message = format!("templates with `{word}` are not supported");
            let at = words.first().map_or(span, |(_, at)| at.clone());
            return Err(TemplateError::new(at, message, "write out what it stands for"));
        }
        _ => nodes.push(Node::Print(whole(words, &span)?)),
    }
    Ok(())
}

/// An action that is one expression.
fn whole(words: &[(Word, Range<usize>)], span: &Range<usize>) -> Result<Expression, TemplateError> {
    let mut parser = Parser { words, at: 0, end: span.end, depth: 0 };
    let expression = parser.pipeline(span.start)?;
    match parser.words.get(parser.at) {
        None => Ok(expression),
        Some((_, at)) => {
            Err(TemplateError::new(at.clone(), "unexpected word in a template", "is a `(` missing, or one too many?"))
        }
    }
}

struct Parser<'w> {
    words: &'w [(Word, Range<usize>)],
    at: usize,
    end: usize,
    depth: usize,
}

impl<'w> Parser<'w> {
    fn next(&mut self) -> Option<&'w (Word, Range<usize>)> {
        let next = self.words.get(self.at)?;
        self.at += 1;
        Some(next)
    }

    fn is_next(&self, word: &Word) -> bool {
        self.words.get(self.at).is_some_and(|(next, _)| next == word)
    }

    /// Commands joined by `|`: the value of each is the last argument of the next.
    fn pipeline(&mut self, start: usize) -> Result<Expression, TemplateError> {
        let mut piped = self.command(None, start)?;
        while self.is_next(&Word::Pipe) {
            self.at += 1;
            piped = self.command(Some(piped), start)?;
        }
        Ok(piped)
    }

    fn command(&mut self, piped: Option<Expression>, start: usize) -> Result<Expression, TemplateError> {
        let Some((word, span)) = self.words.get(self.at) else {
            return Err(TemplateError::new(start..self.end, "an expression is missing", "write a field or a function"));
        };
        let Word::Name(name) = word else {
            let operand = self.operand()?;
            return match (piped, self.words.get(self.at)) {
                (Some(_), _) => Err(not_a_function(span.clone())),
                (None, Some((Word::Pipe | Word::Close, _)) | None) => Ok(operand),
                (None, Some(_)) => Err(not_a_function(span.clone())),
            };
        };
        if let Some(constant) = constant(name) {
            self.at += 1;
            let is_alone = matches!(self.words.get(self.at), Some((Word::Pipe | Word::Close, _)) | None);
            return match piped {
                None if is_alone => Ok(Expression { span: span.clone(), kind: constant }),
                _ => Err(not_a_function(span.clone())),
            };
        }
        let function = function(name, span)?;
        self.at += 1;
        let mut arguments = Vec::new();
        while !matches!(self.words.get(self.at), None | Some((Word::Pipe | Word::Close, _))) {
            arguments.push(self.operand()?);
        }
        arguments.extend(piped);
        if !function.takes(arguments.len()) {
            let message = format!("`{name}` does not take {} values", arguments.len());
            return Err(TemplateError::new(span.clone(), message, function.usage()));
        }
        Ok(Expression { span: span.clone(), kind: ExpressionKind::Call(function, arguments) })
    }

    fn operand(&mut self) -> Result<Expression, TemplateError> {
        let end = self.end;
        let missing = || TemplateError::new(end..end, "a value is missing", "write a field or a text");
        let (word, span) = self.next().ok_or_else(missing)?;
        let kind = match word {
            Word::Text(text) => ExpressionKind::Text(text.clone()),
            Word::Number(number) => ExpressionKind::Number(*number),
            Word::Field(names) => ExpressionKind::Field(names.clone()),
            Word::Name(name) => match constant(name) {
                Some(constant) => constant,
                // A function without arguments in the place of a value.
                None => {
                    let function = function(name, span)?;
                    if !function.takes(0) {
                        let message = format!("`{name}` stands where a value is expected");
                        return Err(TemplateError::new(span.clone(), message, "put it and its values in parentheses"));
                    }
                    ExpressionKind::Call(function, Vec::new())
                }
            },
            Word::Open => return self.parenthesised(span),
            Word::Pipe | Word::Close => {
                return Err(TemplateError::new(span.clone(), "a value is missing", "write a field or a text"));
            }
        };
        Ok(Expression { span: span.clone(), kind })
    }

    fn parenthesised(&mut self, open: &Range<usize>) -> Result<Expression, TemplateError> {
        if self.depth >= DEPTH_MAX {
            return Err(TemplateError::new(open.clone(), "too many parentheses inside each other", "nest fewer"));
        }
        self.depth += 1;
        let inner = self.pipeline(open.start)?;
        self.depth -= 1;
        match self.next() {
            Some((Word::Close, _)) => Ok(inner),
            _ => Err(TemplateError::new(open.clone(), "`(` is never closed", "close it with `)`")),
        }
    }
}

fn constant(name: &str) -> Option<ExpressionKind> {
    match name {
        "true" => Some(ExpressionKind::Bool(true)),
        "false" => Some(ExpressionKind::Bool(false)),
        _ => None,
    }
}

fn not_a_function(span: Range<usize>) -> TemplateError {
    TemplateError::new(span, "this is not a function, but values follow it", "put a function before it")
}

fn function(name: &str, span: &Range<usize>) -> Result<Function, TemplateError> {
    Function::named(name).ok_or_else(|| {
        let help = match nearest(name, FUNCTIONS.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known are {}", FUNCTIONS.join(", ")),
        };
        TemplateError::new(span.clone(), format!("unknown function `{}` in a template", printable(name)), help)
    })
}
