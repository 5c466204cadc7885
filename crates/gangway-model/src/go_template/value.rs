//! Values of a template, and what it is rendered for.

use std::collections::BTreeMap;

/// What a template is rendered for.
#[derive(Clone, Copy)]
pub struct TemplateData<'d> {
    /// The container of a default rule; none for a file.
    pub container: Option<TemplateContainer<'d>>,
    /// What `env` gives for the name of a variable; none where it is not set.
    pub variable: &'d dyn Fn(&str) -> Option<String>,
}

/// What a default rule may ask of a container.
#[derive(Clone, Copy, Debug)]
pub struct TemplateContainer<'d> {
    /// `.Name`.
    pub name: &'d str,
    /// `.ContainerName`.
    pub container_name: &'d str,
    /// `.Labels`.
    pub labels: &'d BTreeMap<Box<str>, Box<str>>,
}

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'d> {
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<String>),
    Labels(&'d BTreeMap<Box<str>, Box<str>>),
    /// The container itself.
    Container,
    /// A key that a map does not have, asked for as a field.
    Missing,
}

impl Value<'_> {
    /// What `if` makes of it.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0,
            Self::Bool(value) => *value,
            Self::List(items) => !items.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Container => true,
            Self::Missing => false,
        }
    }

    /// What it prints as; none for the container.
    pub(super) fn print(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => format!("[{}]", items.join(" ")),
            Self::Labels(labels) => {
                let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("map[{}]", labels.join(" "))
            }
            Self::Container => return None,
            Self::Missing => "<no value>".to_owned(),
        })
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Labels(_) => "all labels",
            Self::Container => "the container",
            Self::Missing => "nothing",
        }
    }
}
