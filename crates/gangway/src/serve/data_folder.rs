//! Prepares the volume at the start: a missing folder is made, and a start that could store nothing is refused.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gangway_certs::Denied;

/// Makes the folder, readable only by this user, and tests whether it can be written.
///
/// A folder that has files and cannot be written now causes only a warning: after a restart with a full or broken
/// disk, the certificates on it can still be served.
pub(super) fn prepare(folder: &Path) -> Result<(), DataError> {
    let failed = |error| DataError { folder: folder.to_owned(), denied: gangway_certs::denied(folder, &error), error };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let is_empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
    match test_write(folder) {
        Ok(()) => Ok(()),
        Err(error) if is_empty => Err(failed(error)),
        Err(error) => {
            let (folder, why) = (folder.display(), gangway_certs::denied(folder, &error));
            let Denied { why, help } = why.unwrap_or_else(|| Denied { why: error.to_string(), help: help(&error) });
            tracing::warn!(%folder, %error, why, help, "the volume cannot be written; new certificates and keys are not stored");
            Ok(())
        }
    }
}

fn test_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(".writable");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    drop(file);
    fs::remove_file(path)
}

/// A volume that cannot be used. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("use the data folder {}: {error}{}", folder.display(), explained(error, denied.as_ref()))]
pub(super) struct DataError {
    folder: PathBuf,
    error: io::Error,
    denied: Option<Denied>,
}

fn explained(error: &io::Error, denied: Option<&Denied>) -> String {
    match denied {
        Some(Denied { why, help }) => format!(": {why}\n  help: {help}; or name another folder with --data"),
        None => format!("\n  help: {}", help(error)),
    }
}

fn help(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount a volume there (docker run -v gangway:/data), or name another folder with --data".to_owned()
        }
        _ => "name another folder with --data".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_folder_is_made_for_this_user_only() {
        let base = tempfile::tempdir().expect("a folder");
        let folder = base.path().join("a/b");
        prepare(&folder).expect("it can be made");
        let mode = fs::metadata(&folder).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(fs::read_dir(&folder).expect("it can be read").next().is_none(), "nothing is left in it");
        prepare(&folder).expect("it can be used again");
    }

    #[test]
    fn the_owner_and_the_command_that_corrects_it_are_named() {
        let error =
            |denied| DataError { folder: "/data".into(), error: io::ErrorKind::PermissionDenied.into(), denied };
        let denied = Denied { why: "it belongs to user 1000".into(), help: "chown it".into() };
        assert_eq!(
            error(Some(denied)).to_string(),
            "use the data folder /data: permission denied: it belongs to user 1000\n  help: chown it; or name another \
             folder with --data"
        );
        let read_only = gangway_certs::denied(Path::new("/proc"), &io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(error(read_only).to_string().contains("help: mount it without `:ro`"));
    }

    #[test]
    fn a_path_that_is_no_folder_is_refused_with_help() {
        let base = tempfile::tempdir().expect("a folder");
        let file = base.path().join("file");
        fs::File::create(&file).expect("a file");
        let error = prepare(&file).expect_err("a file").to_string();
        assert!(error.contains("use the data folder") && error.contains("--data"), "{error}");
    }
}
