//! Compose files to a project, as compose itself merges them.
//!
//! Several files, and several documents of one file, are merged in order, and `extends` and `include` are followed.
//! Services of every profile are loaded, because a mistake in a service that does not start today is a mistake all the
//! same.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::documents::Documents;
use crate::environment::Environment;
use crate::file_access::{FileAccess, FileError, Input};
use crate::load_session::LoadSession;
use crate::merge::merge_document;
use crate::project::Project;
use crate::project_name;
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::{FileId, FileSpan, SourceMap};
use crate::yaml::Node;

/// Reads compose files, and keeps their texts and the diagnostics about them.
pub struct Loader<'f> {
    documents: Documents<'f>,
}

impl<'f> Loader<'f> {
    /// A loader that reads files through `files`.
    pub fn new(files: &'f dyn FileAccess) -> Self {
        Self { documents: Documents::new(LoadSession::new(files)) }
    }

    /// Loads files that belong together. The later ones win over the earlier.
    ///
    /// # Errors
    ///
    /// One of the given files cannot be read. Files that they name become diagnostics instead.
    pub fn project(&mut self, inputs: &[Input], environment: Environment) -> Result<Project, LoadError> {
        let folder = inputs.first().map(Input::folder).unwrap_or_default();
        let mut roots = Vec::new();
        for input in inputs {
            let id = self.read(input)?;
            roots.push((id, self.documents.roots(id)));
        }
        let (name, environment) = self.name(&roots, environment, &folder);
        let mut project = Project::named(&name);
        let mut documents = Vec::new();
        for (id, roots) in roots {
            documents.extend(self.documents.keep(id, roots, &folder, &environment));
        }
        for document in documents {
            let path = PathBuf::from(self.sources().name(document.id));
            merge_document(&mut self.documents, &document, path, &mut project);
        }
        let diagnostics = project.diagnostics(self.sources());
        self.documents.session.diagnostics.extend(diagnostics);
        Ok(project)
    }

    /// The name of the project: as given, as the last file says, or as the folder is called. References may use it,
    /// so it becomes a variable.
    fn name(
        &mut self,
        roots: &[(FileId, Vec<Node>)],
        mut environment: Environment,
        folder: &Path,
    ) -> (String, Rc<Environment>) {
        let given = environment.get("COMPOSE_PROJECT_NAME").map(project_name::normalized);
        let name = given.filter(|name| !name.is_empty()).or_else(|| {
            let written = roots
                .iter()
                .flat_map(|(_, roots)| roots)
                .rev()
                .find_map(|root| root.get("name").filter(|name| name.text().is_some()))?;
            Some(project_name::normalized(self.documents.text(&environment, written)?.as_str()))
        });
        let name = name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| project_name::of_folder(self.documents.session.files, folder));
        environment.set("COMPOSE_PROJECT_NAME", &name);
        (name, Rc::new(environment))
    }

    /// Reads a file and keeps its text, so that diagnostics may point into it.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&mut self, input: &Input) -> Result<FileId, LoadError> {
        self.documents.session.open(input).map_err(|error| LoadError { name: input.name(), error })
    }

    /// The variables of an environment, and below them those of a `.env` file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn environment_with_file(&mut self, environment: &Environment, path: &Path) -> Result<Environment, LoadError> {
        let read = self.documents.session.environment_with_file(environment, path.to_owned());
        read.map_err(|error| LoadError { name: path.display().to_string(), error })
    }

    /// The files that were read.
    pub fn sources(&self) -> &SourceMap {
        self.documents.sources()
    }

    /// The diagnostics since the last call.
    pub fn take_diagnostics(&mut self) -> Vec<SourceDiagnostic> {
        std::mem::take(&mut self.documents.session.diagnostics)
    }

    /// The beginning of the first compose file, for diagnostics that belong to no other place.
    pub fn start(&self) -> Option<FileSpan> {
        self.documents.start()
    }
}

/// A file that was asked for and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {name}: {error}")]
pub struct LoadError {
    name: String,
    /// The reason why the file cannot be read.
    pub error: FileError,
}
