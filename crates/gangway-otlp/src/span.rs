//! A finished span.

use std::time::SystemTime;

use crate::trace_context::{SpanId, TraceId};

/// A finished span. Its maker bounds its texts.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that it is a part of; none where the trace begins.
    pub parent: Option<SpanId>,
    /// The `tracestate` of its trace.
    pub state: Box<str>,
    /// Whose work it is.
    pub kind: SpanKind,
    /// Its name, one of few.
    pub name: String,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is known of it, by names of the semantic conventions.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// How it ended.
    pub status: SpanStatus,
}

/// Whose work a span is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpanKind {
    /// Ours, for a client.
    Server,
    /// Another service's, for us.
    Client,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpanStatus {
    /// As it should, as far as is known.
    Unset,
    /// With an error.
    Error,
}

/// A value of an attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AttributeValue {
    /// A text.
    Text(Box<str>),
    /// A whole number.
    Number(i64),
}

#[cfg(test)]
impl Span {
    /// One that says nothing, of a trace of its own.
    pub(crate) fn of_test() -> Self {
        Self {
            trace: TraceId::random(),
            id: SpanId::random(),
            parent: None,
            state: Box::default(),
            kind: SpanKind::Server,
            name: "GET".to_owned(),
            started: SystemTime::UNIX_EPOCH,
            ended: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            status: SpanStatus::Unset,
        }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}
