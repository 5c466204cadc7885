//! Go templates, as far as configurations of Traefik use them: its default rule, and files of its file provider.
//!
//! [`GoTemplate::parse`] reads a template once, and [`GoTemplate::render`] gives its text for one container or file.
//! In the language are fields, `index`, pipes, parentheses, `if` with `else if` and `else`, `{{-` and `-}}`, comments,
//! and the functions that [`FUNCTIONS`] lists, which give what Go's and Sprig's give.
//!
//! Loops, variables and nested templates are deliberately absent: each is named where it stands. So a template takes no
//! more steps than it has words, and [`OUTPUT_LEN_MAX`] bounds what it writes. There is no environment here either: the
//! caller says what a variable holds.

mod error;
mod functions;
mod lexer;
mod parser;
mod render;
mod syntax;
mod value;

pub use self::error::TemplateError;
pub use self::functions::FUNCTIONS;
pub use self::render::{OUTPUT_LEN_MAX, Rendered};
pub use self::value::{TemplateContainer, TemplateData};

use self::functions::Function;
use self::syntax::{Expression, ExpressionKind, Node};

/// A template that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct GoTemplate {
    nodes: Vec<Node>,
}

impl GoTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// It is no template, or uses what is not in the language; the error names the first such thing.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parser::parse(text)? })
    }

    /// The names that stand behind `env`, wherever in the template; not those that are made by other functions.
    pub fn variables(&self) -> Vec<&str> {
        let mut found = Vec::new();
        syntax::each_expression(&self.nodes, &mut |expression| {
            if let ExpressionKind::Call(Function::Env, arguments) = &expression.kind
                && let [Expression { kind: ExpressionKind::Text(name), .. }] = arguments.as_slice()
            {
                found.push(&**name);
            }
        });
        found
    }

    /// The text of the template for `data`.
    ///
    /// # Errors
    ///
    /// Something is asked of a value that it cannot give, such as a field that it does not have, or the text would be
    /// longer than [`OUTPUT_LEN_MAX`].
    pub fn render(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        self.render_with_origins(data).map(|rendered| rendered.text)
    }

    /// Like [`render`](Self::render), and tells of each byte of the text where in the template it comes from.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render).
    pub fn render_with_origins(&self, data: &TemplateData<'_>) -> Result<Rendered, TemplateError> {
        render::render(&self.nodes, data)
    }
}

#[cfg(test)]
mod tests;
