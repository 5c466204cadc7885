//! `--select`: the containers of an engine that belong to this instance.
//!
//! A container that is not selected does not exist for the instance: it gives no route, claims no host, and no
//! diagnostic mentions it. Two instances can therefore share one engine without reporting each other's apps.

use std::fmt::{self, Display, Formatter};

use crate::snapshot::Container;

/// The value of one `--select`: a container has to meet all of its terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selector {
    terms: Vec<SelectorTerm>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum SelectorTerm {
    Project(Box<str>),
    Network(Box<str>),
    Label { key: Box<str>, wants: Wants },
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Wants {
    Present,
    Equal(Box<str>),
    /// Absent counts as different.
    Different(Box<str>),
}

/// The reason for which a text is no selector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotASelector {
    /// The problem, for a caret.
    pub note: &'static str,
    /// Something to write instead.
    pub help: &'static str,
}

impl Selector {
    /// Reads terms that are separated by commas: `KEY`, `KEY=VALUE` and `KEY!=VALUE` for a label, `project=NAME`,
    /// `network=NAME`. `label:KEY=VALUE` is a label whatever it is called, and so is Docker's
    /// `label=KEY=VALUE`.
    ///
    /// # Errors
    ///
    /// Fails where a term has no name, and where `project=` or `network=` has none.
    pub fn parse(text: &str) -> Result<Self, NotASelector> {
        let terms = text.split(',').map(str::trim).filter(|term| !term.is_empty());
        let terms = terms.map(SelectorTerm::parse).collect::<Result<Vec<SelectorTerm>, NotASelector>>()?;
        if terms.is_empty() {
            return Err(NotASelector { note: "nothing is selected", help: EXAMPLE });
        }
        Ok(Self { terms })
    }

    fn takes(&self, container: &Container) -> bool {
        self.terms.iter().all(|term| term.takes(container))
    }
}

/// Whether a container belongs to this instance: every container where there is no selector, otherwise those that
/// one of the selectors takes.
pub(crate) fn is_selected(selectors: &[Selector], container: &Container) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.takes(container))
}

const EXAMPLE: &str = "write a label such as `com.example.edge=lan`, or `project=shop`, or `network=edge`";

impl SelectorTerm {
    fn parse(text: &str) -> Result<Self, NotASelector> {
        if let Some(rest) = text.strip_prefix("label:") {
            return Self::label(rest);
        }
        if let Some(rest) = text.strip_prefix("label=").filter(|rest| rest.contains('=')) {
            return Self::label(rest);
        }
        let named = |name: &str| match name.trim() {
            "" => Err(NotASelector { note: "a name is missing", help: EXAMPLE }),
            name => Ok(Box::from(name)),
        };
        match text.split_once('=') {
            Some(("project", name)) => named(name).map(Self::Project),
            Some(("network", name)) => named(name).map(Self::Network),
            _ => Self::label(text),
        }
    }

    fn label(text: &str) -> Result<Self, NotASelector> {
        let (key, wants) = match text.split_once('=') {
            None => (text, Wants::Present),
            Some((key, value)) => match key.strip_suffix('!') {
                Some(key) => (key, Wants::Different(value.trim().into())),
                None => (key, Wants::Equal(value.trim().into())),
            },
        };
        match key.trim() {
            "" => Err(NotASelector { note: "the name of a label is missing", help: EXAMPLE }),
            key => Ok(Self::Label { key: key.into(), wants }),
        }
    }

    fn takes(&self, container: &Container) -> bool {
        match self {
            Self::Project(project) => container.project() == Some(&**project),
            Self::Network(network) => container.attachments.iter().any(|attachment| attachment.network == *network),
            Self::Label { key, wants } => match (container.label(key), wants) {
                (value, Wants::Present) => value.is_some(),
                (value, Wants::Equal(wanted)) => value == Some(&**wanted),
                (value, Wants::Different(unwanted)) => value != Some(&**unwanted),
            },
        }
    }
}

/// The canonical text, which [`Selector::parse`] reads again.
impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, term) in self.terms.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            match term {
                SelectorTerm::Project(name) => write!(f, "project={name}")?,
                SelectorTerm::Network(name) => write!(f, "network={name}")?,
                SelectorTerm::Label { key, wants: Wants::Present } => write!(f, "label:{key}")?,
                SelectorTerm::Label { key, wants: Wants::Equal(value) } => write!(f, "label:{key}={value}")?,
                SelectorTerm::Label { key, wants: Wants::Different(value) } => write!(f, "label:{key}!={value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_shown() {
        for (text, shown) in [
            ("com.example.edge=lan", "label:com.example.edge=lan"),
            (" a , b != c ", "label:a,label:b!=c"),
            ("project=shop,network=edge", "project=shop,network=edge"),
            ("label:project=x", "label:project=x"),
            ("label=edge=lan", "label:edge=lan"),
            ("label=lan", "label:label=lan"),
            ("a=", "label:a="),
        ] {
            let selector = Selector::parse(text).expect(text);
            assert_eq!(selector.to_string(), shown);
            assert_eq!(Selector::parse(shown), Ok(selector), "{text}");
        }
        for text in ["", " , ", "=x", "!=x", "project=", "network= ", "label:"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
