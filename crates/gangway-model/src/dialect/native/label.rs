//! One label of the native dialect: its key in the schema and its value.

use super::schema::{Form, Key, KeyId};
use crate::label::{Mark, Source, VALUE_LEN_MAX};
use crate::secret::is_secret_name;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// One label, or one key of a file's table, whose key is in the schema.
#[derive(Clone, Debug)]
pub(crate) struct Label<'a> {
    pub source: Source<'a>,
    pub key: &'static Key,
    /// The open end of the key as written: a header's name.
    pub tail: &'a str,
    pub mark: Mark<'a>,
}

impl<'a> Label<'a> {
    /// The value without the white space around it.
    pub(crate) fn value(&self) -> &'a str {
        self.mark.value.trim()
    }

    /// Whether both are the same key, whatever their values and their case.
    pub(crate) fn is_same_key(&self, other: &Label<'_>) -> bool {
        self.key.name == other.key.name && self.tail.eq_ignore_ascii_case(other.tail)
    }

    /// Whether it says by what clients log in.
    pub(crate) fn is_way_to_log_in(&self) -> bool {
        ["auth.basic", "auth.forward", "auth.oidc"].contains(&self.key.name)
    }

    /// Whether it comes from a shared definition.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.source, Source::Definition(_))
    }

    /// A diagnostic about the value, or about the key where the value may be a secret.
    pub(crate) fn found(&self, finding: Finding, effect: String) -> Diagnostic {
        if self.is_secret() {
            return self.source.about_key(self.mark, finding, effect);
        }
        self.source.about_value(self.mark, finding, effect)
    }

    /// Whether the value may be a secret, so that it is never shown.
    pub(crate) fn is_secret(&self) -> bool {
        let is_url =
            matches!(self.key.id(), Some(KeyId::Redirect | KeyId::Upstream | KeyId::AuthForward | KeyId::Errors));
        let may_have_password = is_url && self.mark.value.contains('@');
        let is_about_users = self.key.name.starts_with("auth.")
            && !matches!(self.key.id(), Some(KeyId::AuthForward | KeyId::AuthHeaders | KeyId::AuthSkip));
        is_about_users || is_secret_name(self.tail) || may_have_password
    }

    /// Checks what holds for values of every form, before a reader sees the value.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        let value = self.mark.value;
        // A rule says more about itself than could be said here.
        let is_rule = self.key.value == Form::Expression;
        if value.len() > VALUE_LEN_MAX && is_rule {
            return Ok(());
        }
        if value.len() > VALUE_LEN_MAX {
            return Err(Finding::error(
                codes::VALUE_TOO_LONG,
                0..0,
                format!("value of {} bytes is too long", value.len()),
                format!("at most {VALUE_LEN_MAX} bytes"),
                "shorten it; a route with many hosts can be written as several routes",
            ));
        }
        let value = self.value();
        let may_be_empty = is_rule || self.key.value == Form::Text;
        if value.is_empty() && !may_be_empty {
            return Err(Finding::error(
                codes::VALUE_EMPTY,
                0..0,
                "empty value",
                "has no value",
                "write a value, or remove the label; a variable of the compose file may not be set",
            ));
        }
        let may_have_lines = is_rule || matches!(self.key.value, Form::List(_));
        let is_refused = |char: char| char.is_control() && !(may_have_lines && matches!(char, '\n' | '\r' | '\t'));
        if let Some((at, char)) = value.char_indices().find(|(_, char)| is_refused(*char)) {
            return Err(Finding::error(
                codes::VALUE_CONTROL,
                at..at + char.len_utf8(),
                format!("control character `{}` in a value", char.escape_default()),
                "not text",
                "remove it",
            ));
        }
        Ok(())
    }
}
