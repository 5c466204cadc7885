//! Which files are meant, and which variables hold for them: as compose finds both.
//!
//! Variables come first, because they may name the files: `COMPOSE_FILE` may stand in `.env`. They come from
//! the process, then from `.env` of the project's folder or from the files that are named instead of it.
//!
//! Compose takes everything that begins with `COMPOSE_` from `.env` as if it came from the process. But it has
//! looked for `COMPOSE_ENV_FILES` before that, so there only the process counts.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::project::Unreadable;
use super::reading::with_env_file;
use super::source::{Files, Origin};
use super::variables::Environment;

/// Compose's own order of preference.
const DEFAULT_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The variables that are about compose itself.
const OWN_PREFIX: &str = "COMPOSE_";

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub(super) struct Invocation<'a> {
    /// `-` is standard input. None at all means what compose would take here.
    pub(super) files: &'a [String],
    /// Instead of `.env`, the later ones over the earlier.
    pub(super) env_files: &'a [String],
    pub(super) process: Environment,
}

/// The compose files that are meant, and the variables around them.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) origins: Vec<Origin>,
    pub(super) environment: Environment,
}

impl Invocation<'_> {
    /// Finds both; the files with variables are kept in `files`, as findings may point into them.
    pub(super) fn meant(&self, files: &mut Files, findings: &mut Vec<Finding>) -> Result<Meant, String> {
        let named = named(self.files)?;
        let folder = named.first().map(Origin::folder).unwrap_or_default();
        let mut reading = Variables { files, findings };
        let named_instead = self.env_files_instead();
        let mut environment = match &named_instead {
            Some(paths) => reading.of_files(paths, &self.process)?,
            None => reading.of_folder(&folder, &self.process)?,
        };
        let origins = if named.is_empty() { found(&environment)? } else { named };
        let project_folder = origins.first().map(Origin::folder).unwrap_or_default();
        // A file in another folder brings that folder's variables, below those that led to it.
        if named_instead.is_none() && project_folder != folder {
            environment = reading.of_folder(&project_folder, &environment)?;
        }
        Ok(Meant { origins, environment })
    }

    /// `--env-file`, or what `COMPOSE_ENV_FILES` of the process says; spaces beside a comma belong to a name.
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

/// Reads files with variables.
struct Variables<'f> {
    files: &'f mut Files,
    findings: &'f mut Vec<Finding>,
}

impl Variables<'_> {
    /// Of `.env` in a folder, where there is one, below those that are set.
    fn of_folder(&mut self, folder: &Path, set: &Environment) -> Result<Environment, String> {
        if is_dotenv_disabled(set) {
            return Ok(set.clone());
        }
        let path = folder.join(".env");
        match with_env_file(self.files, self.findings, set, path.clone()) {
            // A file that disables itself still tells compose about itself.
            Ok(environment) if is_dotenv_disabled(&environment) => {
                let mut own = set.clone();
                environment.beginning_with(OWN_PREFIX).for_each(|(name, value)| own.add(name, value));
                Ok(own)
            }
            Ok(environment) => Ok(environment),
            Err(error) if error.is_missing() => Ok(set.clone()),
            Err(error) => Err(Unreadable { name: path.display().to_string(), error }.to_string()),
        }
    }

    /// Of files that were asked for, so that each must be there.
    fn of_files(&mut self, paths: &[PathBuf], set: &Environment) -> Result<Environment, String> {
        let mut environment = set.clone();
        for path in paths.iter().rev() {
            environment = with_env_file(self.files, self.findings, &environment, path.clone())
                .map_err(|error| Unreadable { name: path.display().to_string(), error }.to_string())?;
        }
        Ok(environment)
    }
}

/// The files that were named.
fn named(files: &[String]) -> Result<Vec<Origin>, String> {
    let mut origins = Vec::new();
    for file in files {
        let path = PathBuf::from(file);
        if file == "-" {
            origins.push(Origin::Stdin);
        } else if path.is_dir() {
            origins.extend(default_files(&path).ok_or_else(|| format!("there is no compose.yaml in {file}"))?);
        } else {
            origins.push(Origin::Path(path));
        }
    }
    if origins.iter().filter(|origin| **origin == Origin::Stdin).count() > 1 {
        return Err("standard input can be read once only".into());
    }
    Ok(origins)
}

/// The files that are meant where none are named: those of `COMPOSE_FILE`, else those of this folder, else
/// those of the nearest folder above that has any.
fn found(environment: &Environment) -> Result<Vec<Origin>, String> {
    let set = |name| environment.get(name).filter(|value| !value.is_empty());
    if let Some(listed) = set("COMPOSE_FILE") {
        let separator = set("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        return Ok(listed.split(separator).map(|path| Origin::Path(path.into())).collect());
    }
    let here = std::env::current_dir().unwrap_or_default();
    let mut folder = PathBuf::new();
    for _ in here.ancestors() {
        if let Some(origins) = default_files(&folder) {
            return Ok(origins);
        }
        folder.push("..");
    }
    let names = DEFAULT_NAMES.join(", ");
    Err(format!("there is none of {names} here or in a folder above; name a file"))
}

/// The files that compose takes in a folder, or None where there are none.
fn default_files(folder: &Path) -> Option<Vec<Origin>> {
    let existing = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let first = existing(&DEFAULT_NAMES)?;
    Some([Some(first), existing(&OVERRIDE_NAMES)].into_iter().flatten().map(Origin::Path).collect())
}
