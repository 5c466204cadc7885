//! The names of what is declared, and of containers.

use crate::snapshot::Container;

/// Who declares something. Its name stands behind the `@` of a whole name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Provider {
    /// Labels of containers.
    Docker,
    /// The file provider.
    File,
}

impl Provider {
    fn suffix(self) -> &'static str {
        match self {
            Self::Docker => "@docker",
            Self::File => "@file",
        }
    }

    /// The whole name of what is declared here under this name.
    pub(super) fn declared(self, name: &str) -> Box<str> {
        [name, self.suffix()].concat().into()
    }

    /// The whole name that a name stands for here.
    pub(super) fn referred(self, name: &str) -> Box<str> {
        if name.contains('@') { name.into() } else { self.declared(name) }
    }
}

/// Letters and digits, with one hyphen in place of anything else between them.
pub(super) fn normalised(text: &str) -> String {
    text.split(|char: char| !char.is_alphanumeric()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// What a container is called where it names nothing: its compose service and project, or else its name.
pub(super) fn of_container(container: &Container) -> String {
    let (service, project) = (
        container.label("com.docker.compose.service").unwrap_or_default(),
        container.label("com.docker.compose.project").unwrap_or_default(),
    );
    if service.is_empty() || project.is_empty() {
        normalised(&container.name)
    } else {
        normalised(&format!("{service}-{project}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_called_by_service_and_project() {
        let service = ("com.docker.compose.service", "my_web");
        let project = ("com.docker.compose.project", "shop.v2");
        assert_eq!(of_container(&Container::named("/x_y").with_labels(&[service])), "x-y");
        assert_eq!(of_container(&Container::named("x").with_labels(&[service, project])), "my-web-shop-v2");
        assert_eq!(&*Provider::Docker.referred("a@file"), "a@file");
        assert_eq!(&*Provider::Docker.referred("a"), "a@docker");
        assert_eq!(&*Provider::File.declared("a@b"), "a@b@file");
    }
}
