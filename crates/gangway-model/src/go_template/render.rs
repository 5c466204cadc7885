//! Nodes and data → text.

use std::ops::Range;

use super::error::TemplateError;
use super::functions::{Call, Function};
use super::syntax::{Expression, ExpressionKind, Node};
use super::value::{TemplateData, Value};

/// A longer text is refused, also one that is only a step on the way. All steps together may be eight times as long.
pub const OUTPUT_LEN_MAX: usize = 1 << 20;

const WORK_MAX: usize = 8 * OUTPUT_LEN_MAX;

/// The text of a template, and where it comes from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Where pieces of it begin, and what they come from, in order.
    origins: Vec<(usize, Origin)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    /// Copied from this byte on.
    Copied(usize),
    /// Made by the expression at this byte.
    Made(usize),
}

impl Rendered {
    /// The byte of the template from which a byte of the text comes.
    pub fn origin(&self, offset: usize) -> usize {
        let behind = self.origins.partition_point(|(start, _)| *start <= offset);
        match behind.checked_sub(1).map(|piece| self.origins[piece]) {
            Some((start, Origin::Copied(from))) => from + (offset - start),
            Some((_, Origin::Made(at))) => at,
            None => 0,
        }
    }
}

pub(super) fn render(nodes: &[Node], data: &TemplateData<'_>) -> Result<Rendered, TemplateError> {
    let mut renderer = Renderer { data, rendered: Rendered::default(), work: 0 };
    renderer.nodes(nodes)?;
    Ok(renderer.rendered)
}

struct Renderer<'d> {
    data: &'d TemplateData<'d>,
    rendered: Rendered,
    /// Bytes that were made so far.
    work: usize,
}

impl<'d> Renderer<'d> {
    fn nodes(&mut self, nodes: &[Node]) -> Result<(), TemplateError> {
        for node in nodes {
            match node {
                Node::Text { text, offset } => {
                    self.write(text, Origin::Copied(*offset), *offset..*offset + text.len())?;
                }
                Node::Print(expression) => {
                    let value = self.value(expression)?;
                    let text = value.print().ok_or_else(|| {
                        let help = "write one of its fields, such as `.Name`";
                        TemplateError::new(expression.span.clone(), "the container itself is not a text", help)
                    })?;
                    self.write(&text, Origin::Made(expression.span.start), expression.span.clone())?;
                }
                Node::If(branches) => self.first_that_holds(branches)?,
            }
        }
        Ok(())
    }

    fn first_that_holds(&mut self, branches: &[(Option<Expression>, Vec<Node>)]) -> Result<(), TemplateError> {
        for (condition, nodes) in branches {
            let holds = match condition {
                Some(condition) => self.value(condition)?.holds(),
                None => true,
            };
            if holds {
                return self.nodes(nodes);
            }
        }
        Ok(())
    }

    fn write(&mut self, text: &str, origin: Origin, span: Range<usize>) -> Result<(), TemplateError> {
        if self.rendered.text.len() + text.len() > OUTPUT_LEN_MAX {
            return Err(too_long(span));
        }
        if !text.is_empty() {
            self.rendered.origins.push((self.rendered.text.len(), origin));
            self.rendered.text.push_str(text);
        }
        Ok(())
    }

    fn value(&mut self, expression: &Expression) -> Result<Value<'d>, TemplateError> {
        match &expression.kind {
            ExpressionKind::Text(text) => Ok(Value::Text(text.to_string())),
            ExpressionKind::Number(number) => Ok(Value::Number(*number)),
            ExpressionKind::Bool(value) => Ok(Value::Bool(*value)),
            ExpressionKind::Field(names) => self.field(names, &expression.span),
            ExpressionKind::Call(function, arguments) => self.call(*function, arguments, &expression.span),
        }
    }

    fn field(&self, names: &[Box<str>], span: &Range<usize>) -> Result<Value<'d>, TemplateError> {
        let no_field = |name: &str| {
            let message = format!("there is no field `.{}`", gangway_diagnostic::printable(name));
            TemplateError::new(span.clone(), message, "a default rule has `.Name`, `.ContainerName` and `.Labels`")
        };
        let Some(container) = &self.data.container else {
            return match names.first() {
                Some(name) => Err(no_field(name)),
                None => Ok(Value::Bool(false)),
            };
        };
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        match names {
            [] => Ok(Value::Container),
            [name] if **name == *"Name" => text(container.name),
            [name] if **name == *"ContainerName" => text(container.container_name),
            [name] if **name == *"Labels" => Ok(Value::Labels(container.labels)),
            [name, key] if **name == *"Labels" => {
                Ok(container.labels.get(key).map_or(Value::Missing, |value| Value::Text(value.to_string())))
            }
            [name, key, ..] if matches!(&**name, "Labels" | "Name" | "ContainerName") => Err(no_field(key)),
            [name, ..] => Err(no_field(name)),
        }
    }

    fn call(
        &mut self,
        function: Function,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Result<Value<'d>, TemplateError> {
        if let Function::And | Function::Or = function {
            return self.first_decisive(function, arguments);
        }
        let arguments = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
        let call = Call { span, variable: self.data.variable, len_max: OUTPUT_LEN_MAX };
        let value = call.make(function, arguments)?;
        self.work += match &value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(String::len).sum(),
            Value::Number(_) | Value::Bool(_) | Value::Labels(_) | Value::Container | Value::Missing => 0,
        };
        if self.work > WORK_MAX { Err(too_long(span.clone())) } else { Ok(value) }
    }

    /// `and` and `or` do not look at what comes after the value that decides.
    fn first_decisive(&mut self, function: Function, arguments: &[Expression]) -> Result<Value<'d>, TemplateError> {
        let mut last = Value::Bool(function == Function::And);
        for argument in arguments {
            last = self.value(argument)?;
            if last.holds() != (function == Function::And) {
                break;
            }
        }
        Ok(last)
    }
}

fn too_long(span: Range<usize>) -> TemplateError {
    TemplateError::new(span, "the text of the template is longer than 1 MiB", "write a shorter one")
}
