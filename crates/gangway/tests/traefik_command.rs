//! The real binary is called as Traefik is.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

#[test]
fn help_and_version_are_printed_and_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (&["traefik", "--help"][..], "--configfile=FILE"),
        (&["traefik", "-h"], "--configfile=FILE"),
        (&["traefik", "--entrypoints.web.address=:80", "--help"], "--configfile=FILE"),
        (&["traefik", "healthcheck", "--help"], "--configfile=FILE"),
        (&["traefik", "--version"], env!("CARGO_PKG_VERSION")),
        (&["traefik", "version"], env!("CARGO_PKG_VERSION")),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gangway"));
        let output = command.args(arguments).current_dir(folder.path()).env_clear().output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}: {output:?}");
        assert!(out.contains(part), "{arguments:?}: {out}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn by_the_name_traefik_it_takes_traefiks_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("traefik");
    symlink(env!("CARGO_BIN_EXE_gangway"), &program).unwrap();
    let run = |arguments: &[&str]| Command::new(&program).args(arguments).env_clear().output().unwrap();
    let version = run(&["version"]);
    assert!(String::from_utf8_lossy(&version.stdout).contains("Codename"), "{version:?}");
    // Our own command of this name knows no such flag.
    let health = run(&["healthcheck", "--ping", "--entrypoints.traefik.address=127.0.0.1:1"]);
    assert_eq!(health.status.code(), Some(1), "{health:?}");
    assert!(String::from_utf8_lossy(&health.stderr).contains("127.0.0.1:1"), "{health:?}");
}

#[test]
fn variables_of_traefik_alone_are_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Command::new(env!("CARGO_BIN_EXE_gangway"))
        .arg("serve")
        .current_dir(folder.path())
        .env_clear()
        .env("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", "127.0.0.1:0")
        .env("GANGWAY_ADMIN", "127.0.0.1:0")
        .env("GANGWAY_DATA", folder.path().join("data"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(serving.stderr.take().unwrap()).read_line(&mut first).unwrap();
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert!(first.contains("runs in Traefik's place, as its variables say"), "{first}");
}
