//! The place that a diagnostic is about.

use std::fmt::{self, Display, Formatter};

use crate::printable::printable;

/// Where the user wrote what a diagnostic is about, or the thing that it is about.
///
/// The variants cover every source that Gangway reads, so no crate needs a place of its own. The order of the
/// variants is the order of diagnostics.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// The configuration as a whole.
    #[default]
    Configuration,
    /// A flag with its dashes, such as `--http`.
    Flag(Box<str>),
    /// A variable of the environment, such as `GANGWAY_HTTP`.
    Variable(Box<str>),
    /// The configuration file.
    ConfigFile {
        /// The full key, such as `routes.nas.host`; none for the file as a whole.
        key: Option<Box<str>>,
        /// The position of the value.
        at: FilePosition,
    },
    /// A compose file.
    ComposeFile {
        /// The position of the value.
        at: FilePosition,
        /// The service; none for the file as a whole.
        service: Option<Box<str>>,
        /// The label of the service.
        label: Option<Box<str>>,
    },
    /// A name that needs a certificate, or a path below the volume.
    Name(Box<str>),
    /// A container.
    Container {
        /// The container's name.
        name: Box<str>,
        /// The compose project of the container.
        project: Option<Box<str>>,
        /// The label's full key as written; none for the container as a whole.
        label: Option<Box<str>>,
    },
}

/// A position in a file.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FilePosition {
    /// The name by which the user knows the file.
    pub file: Box<str>,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
}

impl Place {
    /// A container as a whole.
    pub fn container_named(name: impl Into<Box<str>>) -> Self {
        Self::Container { name: name.into(), project: None, label: None }
    }

    /// The name of the container; none for every other kind of place.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Container { name, .. } => Some(name),
            Self::Configuration
            | Self::Flag(_)
            | Self::Variable(_)
            | Self::ConfigFile { .. }
            | Self::ComposeFile { .. }
            | Self::Name(_) => None,
        }
    }

    /// The compose project of the container.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::Container { project, .. } => project.as_deref(),
            Self::Configuration
            | Self::Flag(_)
            | Self::Variable(_)
            | Self::ConfigFile { .. }
            | Self::ComposeFile { .. }
            | Self::Name(_) => None,
        }
    }

    /// The label, key, flag, variable or name; none where a container, a file or the configuration is meant as a
    /// whole.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Configuration => None,
            Self::Flag(subject) | Self::Variable(subject) | Self::Name(subject) => Some(subject),
            Self::ConfigFile { key: subject, .. }
            | Self::ComposeFile { label: subject, .. }
            | Self::Container { label: subject, .. } => subject.as_deref(),
        }
    }

    /// The position in a file; none for a place outside of files.
    pub fn position(&self) -> Option<&FilePosition> {
        match self {
            Self::ConfigFile { at, .. } | Self::ComposeFile { at, .. } => Some(at),
            Self::Configuration | Self::Flag(_) | Self::Variable(_) | Self::Name(_) | Self::Container { .. } => None,
        }
    }

    /// The same place without its label or key: the container or the file as a whole.
    #[must_use]
    pub fn as_whole(&self) -> Self {
        let mut whole = self.clone();
        match &mut whole {
            Self::ConfigFile { key: part, .. }
            | Self::ComposeFile { label: part, .. }
            | Self::Container { label: part, .. } => *part = None,
            Self::Configuration | Self::Flag(_) | Self::Variable(_) | Self::Name(_) => {}
        }
        whole
    }
}

/// ``container `shop-web-1`, label `gangway.host` ``, or ``gangway.toml:3:9, key `routes.nas.host` ``.
impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("the configuration"),
            Self::Flag(flag) => write!(f, "flag `{}`", printable(flag)),
            Self::Variable(variable) => write!(f, "variable `{}`", printable(variable)),
            Self::ConfigFile { key, at } => {
                write!(f, "{at}")?;
                fmt_part(f, "key", key.as_deref())
            }
            Self::ComposeFile { at, service, label } => {
                write!(f, "{at}")?;
                fmt_part(f, "service", service.as_deref())?;
                fmt_part(f, "label", label.as_deref())
            }
            Self::Name(name) => write!(f, "`{}`", printable(name)),
            Self::Container { name, project: _, label } => {
                write!(f, "container `{}`", printable(name))?;
                fmt_part(f, "label", label.as_deref())
            }
        }
    }
}

fn fmt_part(f: &mut Formatter<'_>, kind: &str, part: Option<&str>) -> fmt::Result {
    match part {
        Some(part) => write!(f, ", {kind} `{}`", printable(part)),
        None => Ok(()),
    }
}

/// `gangway.toml:3:9`.
impl Display for FilePosition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", printable(&self.file), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str) -> FilePosition {
        FilePosition { file: file.into(), line: 3, column: 9 }
    }

    #[test]
    fn a_file_is_named_with_its_position() {
        let place = Place::ConfigFile { key: Some("routes.nas.host".into()), at: at("gangway.toml") };
        assert_eq!(place.to_string(), "gangway.toml:3:9, key `routes.nas.host`");
        let place = Place::ComposeFile { at: at("c.yaml"), service: Some("web".into()), label: Some("a.b".into()) };
        assert_eq!(place.to_string(), "c.yaml:3:9, service `web`, label `a.b`");
        assert_eq!(place.as_whole().to_string(), "c.yaml:3:9, service `web`");
    }

    #[test]
    fn a_place_outside_of_files_is_named_for_its_kind() {
        let places = [
            Place::Flag("--http".into()),
            Place::Variable("GANGWAY_HTTP".into()),
            Place::Name("shop.example.org".into()),
            Place::Configuration,
            Place::container_named("shop-web-1"),
        ];
        assert_eq!(
            places.map(|place| place.to_string()),
            [
                "flag `--http`",
                "variable `GANGWAY_HTTP`",
                "`shop.example.org`",
                "the configuration",
                "container `shop-web-1`"
            ]
        );
    }
}
