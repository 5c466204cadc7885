//! The system's store of trusted roots. A change is a file in the right folder, and then the system's own command.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// The name of the file in the store.
const FILE: &str = "gangway-internal-root.crt";

/// The folder in which a system keeps added roots, and its command to apply them.
#[derive(Debug)]
struct TrustStore {
    systems: &'static str,
    folder: &'static str,
    command: &'static [&'static str],
    /// The command after a removal. Some systems would otherwise leave a link to the root.
    command_after_removal: &'static [&'static str],
}

/// The known systems. The first one with an existing folder is the system that Gangway runs on.
const STORES: &[TrustStore] = &[
    TrustStore {
        systems: "Fedora, RHEL",
        folder: "etc/pki/ca-trust/source/anchors",
        command: &["update-ca-trust", "extract"],
        command_after_removal: &["update-ca-trust", "extract"],
    },
    TrustStore {
        systems: "Arch Linux",
        folder: "etc/ca-certificates/trust-source/anchors",
        command: &["trust", "extract-compat"],
        command_after_removal: &["trust", "extract-compat"],
    },
    TrustStore {
        systems: "openSUSE",
        folder: "etc/pki/trust/anchors",
        command: &["update-ca-certificates"],
        command_after_removal: &["update-ca-certificates"],
    },
    TrustStore {
        systems: "Debian, Ubuntu, Alpine",
        folder: "usr/local/share/ca-certificates",
        command: &["update-ca-certificates"],
        command_after_removal: &["update-ca-certificates", "--fresh"],
    },
];

/// The advice after an installation, for browsers with a store of their own.
const BROWSERS_ADD: &str = "\
Firefox, and Chrome where it does not use this store, keep roots of their own. Import the file there, or for Chrome:
  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n gangway -i ";

/// Installs `root` below `base`, which is `/` except in tests. Returns a report.
pub(super) fn install(
    base: &Path,
    root: &str,
    run: &mut dyn FnMut(&[&str]) -> Result<(), String>,
) -> Result<String, TrustStoreError> {
    let store = STORES.iter().find(|store| base.join(store.folder).is_dir());
    // On Debian and Alpine, some versions of the command's package do not create the folder.
    let is_debian_like =
        || ["usr/sbin", "usr/bin"].iter().any(|bin| base.join(bin).join("update-ca-certificates").exists());
    let store = store.or_else(|| STORES.last().filter(|_| is_debian_like())).ok_or(TrustStoreError::UnknownSystem)?;
    let path = base.join(store.folder).join(FILE);
    let shown = path.display().to_string();
    let before = fs::read_to_string(&path).ok();
    write(&path, root).map_err(|error| TrustStoreError::Write { path: shown.clone(), error })?;
    run(store.command).map_err(|error| TrustStoreError::Command { command: store.command.join(" "), error })?;
    let wrote = match before {
        Some(before) if before == root => "was there already",
        Some(_) => "replaces another root of Gangway's that was there",
        None => "was written",
    };
    let command = store.command.join(" ");
    Ok(format!("{shown} {wrote}, and `{command}` was run ({}).\n{BROWSERS_ADD}{shown}\n", store.systems))
}

/// The advice after a removal, for browsers with a store of their own.
const BROWSERS_REMOVE: &str = "\
Firefox, and Chrome where it does not use this store, keep roots of their own. Remove it there, or for Chrome:
  certutil -d sql:$HOME/.pki/nssdb -D -n gangway
";

/// Removes Gangway's root from every store below `base`. Returns a report.
pub(super) fn uninstall(
    base: &Path,
    run: &mut dyn FnMut(&[&str]) -> Result<(), String>,
) -> Result<String, TrustStoreError> {
    let mut report = String::new();
    for store in STORES {
        let path = base.join(store.folder).join(FILE);
        let shown = path.display().to_string();
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(TrustStoreError::Remove { path: shown, error }),
        }
        let command = store.command_after_removal.join(" ");
        run(store.command_after_removal)
            .map_err(|error| TrustStoreError::Command { command: command.clone(), error })?;
        report += &format!("{shown} was removed, and `{command}` was run ({}).\n", store.systems);
    }
    if report.is_empty() {
        report += "No root of Gangway's is in this system's store; nothing was changed.\n";
    }
    Ok(report + BROWSERS_REMOVE)
}

/// Writes a file beside `path` and renames it, so that a crash leaves no partial root.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
    // Every user must be able to read it, whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// Runs a command of the system. An error has the text that the command printed.
pub(super) fn run_command(command: &[&str]) -> Result<(), String> {
    let output = Command::new(command[0]).args(&command[1..]).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", output.status, printed.trim()))
}

/// The reason why the trust store was not changed. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustStoreError {
    #[error(
        "find this system's store of trusted roots; copy the root there by hand: `gangway ca > gangway-root.crt` prints it"
    )]
    UnknownSystem,
    #[error("write {path}: {error}{}", hint(error, "install"))]
    Write { path: String, error: io::Error },
    #[error("remove {path}: {error}{}", hint(error, "uninstall"))]
    Remove { path: String, error: io::Error },
    #[error("run `{command}`: {error}")]
    Command { command: String, error: String },
}

/// Advice for a system error. `flag` is the flag of the command that failed.
fn hint(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("; run it as root: sudo gangway ca --{flag}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(folder: &str) -> tempfile::TempDir {
        let base = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(base.path().join(folder)).expect("a folder");
        base
    }

    #[test]
    fn each_system_gets_the_file_where_it_looks_and_its_own_command() {
        for store in STORES {
            let base = system(store.folder);
            let mut ran = Vec::new();
            let mut run = |command: &[&str]| {
                ran.push(command.join(" "));
                Ok(())
            };
            let done = install(base.path(), "root", &mut run).expect("a store");
            let path = base.path().join(store.folder).join(FILE);
            assert_eq!(fs::read_to_string(&path).expect("the root"), "root");
            assert_eq!(ran, [store.command.join(" ")]);
            assert!(done.contains("was written") && done.contains(&path.display().to_string()), "{done}");
        }
    }

    #[test]
    fn an_installed_root_is_removed_and_nothing_else() {
        for store in STORES {
            let base = system(store.folder);
            let folder = base.path().join(store.folder);
            fs::File::create(folder.join("another.crt")).expect("a folder");
            let mut ran = Vec::new();
            let mut run = |command: &[&str]| {
                ran.push(command.join(" "));
                Ok(())
            };
            install(base.path(), "root", &mut run).expect("a store");
            let done = uninstall(base.path(), &mut run).expect("it was there");
            assert!(done.contains(&format!("{} was removed", folder.join(FILE).display())), "{done}");
            let left: Vec<_> =
                fs::read_dir(&folder).expect("a folder").flatten().map(|file| file.file_name()).collect();
            assert_eq!(left, ["another.crt"]);
            let again = uninstall(base.path(), &mut run).expect("nothing is there");
            assert!(again.contains("nothing was changed"), "{again}");
            assert_eq!(ran, [store.command.join(" "), store.command_after_removal.join(" ")]);
        }
    }

    #[test]
    fn a_root_that_was_there_is_reported() {
        let base = system(STORES[0].folder);
        let mut run = |_: &[&str]| Ok(());
        for (root, expected) in [("one", "was written"), ("one", "was there already"), ("two", "replaces another")] {
            assert!(install(base.path(), root, &mut run).expect("a store").contains(expected), "{root}");
        }
    }

    #[test]
    fn an_unknown_system_and_a_failing_command_are_errors() {
        let base = system("etc");
        assert!(matches!(install(base.path(), "root", &mut |_| Ok(())), Err(TrustStoreError::UnknownSystem)));
        let base = system(STORES[1].folder);
        let error = install(base.path(), "root", &mut |_| Err("exit status: 1: no".into())).expect_err("it fails");
        assert_eq!(error.to_string(), "run `trust extract-compat`: exit status: 1: no");
    }

    #[test]
    fn the_output_of_a_command_is_in_the_error() {
        assert_eq!(run_command(&["true"]), Ok(()));
        assert!(run_command(&["sh", "-c", "echo broken >&2; exit 3"]).expect_err("it fails").contains("broken"));
        assert!(run_command(&["no-such-command-anywhere"]).is_err());
    }
}
