//! The compose files and variables that an invocation means, found as compose finds them.
//!
//! Variables come first, because they may name the files: `COMPOSE_FILE` may stand in `.env`. They come from
//! the process, then from `.env` of the project's folder or from the files that are named instead of it.
//!
//! Compose takes everything that begins with `COMPOSE_` from `.env` as if it came from the process. But it has
//! looked for `COMPOSE_ENV_FILES` before that, so only the process decides about this one.

use std::path::{Path, PathBuf};

use gangway_compose::{Environment, Input, LoadError, Loader};

/// The names of compose files, in compose's own order of preference.
const DEFAULT_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The prefix of the variables that configure compose itself.
const COMPOSE_PREFIX: &str = "COMPOSE_";

/// The arguments and the environment that compose files are found with.
#[derive(Debug, Default)]
pub(crate) struct Invocation<'a> {
    /// The named files. `-` is standard input. Without any, compose's own choice counts.
    pub(crate) files: &'a [String],
    /// Files with variables that replace `.env`. The later ones win over the earlier.
    pub(crate) env_files: &'a [String],
    /// The variables of this process.
    pub(crate) process: Environment,
}

/// The compose files that an invocation means, and the variables that hold for them.
#[derive(Debug)]
pub(crate) struct ComposeInputs {
    pub(crate) files: Vec<Input>,
    pub(crate) environment: Environment,
}

/// The reason why an invocation means no compose files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvocationError {
    #[error("there is no compose.yaml in {0}")]
    NothingInFolder(String),
    #[error("there is none of {} here or in a folder above; name a file", DEFAULT_NAMES.join(", "))]
    NothingHere,
    #[error("standard input can be read once only")]
    StdinTwice,
    #[error(transparent)]
    Unreadable(#[from] LoadError),
}

impl Invocation<'_> {
    /// Finds the compose files, and reads the files with variables.
    pub(crate) fn inputs(&self, loader: &mut Loader<'_>) -> Result<ComposeInputs, InvocationError> {
        let named = named_files(self.files)?;
        let folder = named.first().map(Input::folder).unwrap_or_default();
        let replacing = self.env_files_instead();
        let mut environment = match &replacing {
            Some(paths) => environment_of_files(loader, paths, &self.process)?,
            None => environment_of_folder(loader, &folder, &self.process)?,
        };
        let files = if named.is_empty() { default_project(&environment)? } else { named };
        let project_folder = files.first().map(Input::folder).unwrap_or_default();
        // A file in another folder brings that folder's variables, below those that led to it.
        if replacing.is_none() && project_folder != folder {
            environment = environment_of_folder(loader, &project_folder, &environment)?;
        }
        Ok(ComposeInputs { files, environment })
    }

    /// The files that replace `.env`: those of `--env-file`, or of the process's `COMPOSE_ENV_FILES`. A space beside a
    /// comma belongs to a name.
    fn env_files_instead(&self) -> Option<Vec<PathBuf>> {
        if !self.env_files.is_empty() {
            return Some(self.env_files.iter().map(PathBuf::from).collect());
        }
        let listed = self.process.get("COMPOSE_ENV_FILES").unwrap_or_default();
        let paths: Vec<PathBuf> = listed.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        if !paths.is_empty() {
            return Some(paths);
        }
        is_dotenv_disabled(&self.process).then(Vec::new)
    }
}

fn is_dotenv_disabled(environment: &Environment) -> bool {
    matches!(environment.get("COMPOSE_DISABLE_ENV_FILE"), Some("1" | "true" | "TRUE" | "True" | "t" | "T"))
}

/// The variables that are set, and below them those of `.env` in a folder, where there is one.
fn environment_of_folder(
    loader: &mut Loader<'_>,
    folder: &Path,
    set: &Environment,
) -> Result<Environment, InvocationError> {
    if is_dotenv_disabled(set) {
        return Ok(set.clone());
    }
    match loader.environment_with_file(set, &folder.join(".env")) {
        // A file that disables itself still configures compose.
        Ok(environment) if is_dotenv_disabled(&environment) => {
            let mut own = set.clone();
            environment.with_prefix(COMPOSE_PREFIX).for_each(|(name, value)| own.set_default(name, value));
            Ok(own)
        }
        Ok(environment) => Ok(environment),
        Err(error) if error.error.is_missing() => Ok(set.clone()),
        Err(error) => Err(error.into()),
    }
}

/// The variables that are set, and below them those of files that were asked for. Each of them must exist.
fn environment_of_files(
    loader: &mut Loader<'_>,
    paths: &[PathBuf],
    set: &Environment,
) -> Result<Environment, InvocationError> {
    let mut environment = set.clone();
    for path in paths.iter().rev() {
        environment = loader.environment_with_file(&environment, path)?;
    }
    Ok(environment)
}

/// The files that the arguments name.
fn named_files(files: &[String]) -> Result<Vec<Input>, InvocationError> {
    let mut inputs = Vec::new();
    for file in files {
        let path = PathBuf::from(file);
        if file == "-" {
            inputs.push(Input::Stdin);
        } else if path.is_dir() {
            inputs.extend(default_files(&path).ok_or_else(|| InvocationError::NothingInFolder(file.clone()))?);
        } else {
            inputs.push(Input::Path(path));
        }
    }
    if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
        return Err(InvocationError::StdinTwice);
    }
    Ok(inputs)
}

/// The files where none are named: those of `COMPOSE_FILE`, otherwise those of this folder, otherwise those of the
/// nearest folder above that has any.
fn default_project(environment: &Environment) -> Result<Vec<Input>, InvocationError> {
    let set = |name| environment.get(name).filter(|value| !value.is_empty());
    if let Some(listed) = set("COMPOSE_FILE") {
        let separator = set("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        return Ok(listed.split(separator).map(|path| Input::Path(path.into())).collect());
    }
    let here = std::env::current_dir().unwrap_or_default();
    let mut folder = PathBuf::new();
    for _ in here.ancestors() {
        if let Some(inputs) = default_files(&folder) {
            return Ok(inputs);
        }
        folder.push("..");
    }
    Err(InvocationError::NothingHere)
}

/// The files that compose takes in a folder, or None where there are none.
fn default_files(folder: &Path) -> Option<Vec<Input>> {
    let existing = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let first = existing(&DEFAULT_NAMES)?;
    Some([Some(first), existing(&OVERRIDE_NAMES)].into_iter().flatten().map(Input::Path).collect())
}
