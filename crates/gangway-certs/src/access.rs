//! Explains why a file or folder of another user cannot be used, and gives the command that repairs it.
//!
//! Root without the capability `DAC_OVERRIDE`, which a hardened container runs as, has no more rights than any
//! other user: the system's "permission denied" then puzzles an operator who looks only at the user.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The cause of a refused access, in the words of a finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denied {
    /// The owner of the file, and the user of this process.
    pub why: String,
    /// Something to do.
    pub help: String,
}

/// The bit of the capability in a set of them.
const DAC_OVERRIDE: u64 = 1 << 1;

/// Explains an error at `path`, if its cause is the owner, the rights or a read-only mount.
pub fn denied(path: &Path, error: &io::Error) -> Option<Denied> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            // A path that does not exist could not be made in the folder above.
            let (at, there) = path.ancestors().find_map(|path| Some((path, fs::metadata(path).ok()?)))?;
            let what = if at == path { "it".to_owned() } else { format!("`{}`", at.display()) };
            let mode = there.mode() & 0o7777;
            Some(words(&what, (there.uid(), mode), rustix::process::geteuid().as_raw(), overrides_rights()))
        }
        io::ErrorKind::ReadOnlyFilesystem if is_mounted(path) => {
            Some(Denied { why: "it is mounted read-only".to_owned(), help: "mount it without `:ro`".to_owned() })
        }
        _ => None,
    }
}

fn words(what: &str, (owner, mode): (u32, u32), user: u32, overrides_rights: bool) -> Denied {
    let rights = format!("{what} belongs to user {owner} with mode {mode:04o}");
    match user {
        0 if !overrides_rights && owner != 0 => Denied {
            why: format!("{rights}, and gangway runs as root without the capability DAC_OVERRIDE"),
            help: "give it to root (`sudo chown -R 0:0`, on the machine), or let root use what is another's: \
                   `cap_add: [DAC_OVERRIDE]`"
                .to_owned(),
        },
        _ if user == owner => Denied {
            why: format!("{rights}, which gangway runs as"),
            help: "give its owner the right: `chmod u+rwX`; with SELinux, mount it with `:Z`".to_owned(),
        },
        _ => Denied {
            why: format!("{rights}, and gangway runs as user {user}"),
            help: format!(
                "let user {user} use it (`sudo chown -R {user}`, on the machine), or run gangway as its owner \
                 (`user: \"{owner}\"`)"
            ),
        },
    }
}

/// Whether this process may use files of other users.
fn overrides_rights() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & DAC_OVERRIDE != 0)
}

/// Whether something is mounted at the path itself.
fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4).is_some_and(|at| Path::new(at) == path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_and_the_line_that_mends_it_are_named() {
        let of = |user, overrides| words("it", (1000, 0o755), user, overrides);
        let root = of(0, false);
        assert_eq!(
            root.why,
            "it belongs to user 1000 with mode 0755, and gangway runs as root without the capability DAC_OVERRIDE"
        );
        assert!(root.help.contains("cap_add: [DAC_OVERRIDE]") && root.help.contains("chown -R 0:0"), "{}", root.help);
        let other = of(65532, false);
        assert!(other.why.ends_with("with mode 0755, and gangway runs as user 65532"), "{}", other.why);
        assert!(other.help.contains("chown -R 65532") && other.help.contains("user: \"1000\""), "{}", other.help);
        assert!(words("it", (1000, 0o500), 1000, false).help.contains("chmod u+rwX"));
    }

    #[test]
    fn what_is_mounted_is_told_from_what_is_not() {
        assert!(is_mounted(Path::new("/proc")) && !is_mounted(Path::new("/proc/self")));
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(denied(Path::new("/proc"), &missing), None);
        let read_only = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        assert!(denied(Path::new("/proc"), &read_only).expect("is mounted").help.contains("without `:ro`"));
        assert_eq!(denied(Path::new("/proc/self"), &read_only), None);
        let denied = denied(Path::new("/proc/nothing/there"), &io::ErrorKind::PermissionDenied.into());
        assert!(denied.expect("has a folder above").why.starts_with("`/proc` belongs to user 0"));
    }
}
