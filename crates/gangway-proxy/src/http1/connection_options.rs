//! The options of the field `Connection`, in requests and responses.

use http::Version;

use crate::message::field_kind::FieldKind;
use crate::message::fields::{Field, Fields};

/// The options in the `Connection` fields of one head.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    pub(crate) upgrade: bool,
    /// How many options there are.
    pub(crate) count: usize,
    /// The other options, each with a comma behind it: names of fields that concern only this connection. Nearly
    /// always empty.
    named: Vec<u8>,
}

impl ConnectionOptions {
    pub(crate) fn clear(&mut self) {
        self.close = false;
        self.keep_alive = false;
        self.upgrade = false;
        self.count = 0;
        self.named.clear();
    }

    /// The options that one field lists.
    pub(crate) fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
        value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
    }

    /// Notes the options that one field lists.
    pub(crate) fn note_all(&mut self, value: &[u8]) {
        match value {
            // Nearly all that is sent.
            b"keep-alive" | b"Keep-Alive" => {
                self.count += 1;
                self.keep_alive = true;
            }
            _ => Self::split(value).for_each(|option| self.note(option)),
        }
    }

    pub(crate) fn note(&mut self, option: &[u8]) {
        self.count += 1;
        match option.len() {
            5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
            7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
            _ => {
                self.named.extend_from_slice(option);
                self.named.push(b',');
            }
        }
    }

    /// Whether the connection stays open after the message (RFC 9112, section 9.3).
    pub(crate) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (self.keep_alive || version == Version::HTTP_11)
    }

    /// Removes the fields that `Connection` names (RFC 9110, section 7.6.1), unless `protects` says otherwise.
    pub(crate) fn remove_named(&self, fields: &mut Fields, protects: impl Fn(FieldKind) -> bool) {
        if self.named.is_empty() {
            return;
        }
        let is_named = |field: &Field<'_>| Self::split(&self.named).any(|name| name.eq_ignore_ascii_case(field.name));
        fields.retain(|field| protects(field.kind) || !is_named(&field));
    }
}
