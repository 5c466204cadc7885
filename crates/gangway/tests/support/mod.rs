//! Runs the binary under test with an empty environment.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// The output of a case as a terminal shows it, with the exit code.
pub(crate) fn run_case(folder: &Path) -> String {
    let usual = if folder.parent().is_some_and(|parent| parent.ends_with("migrate")) { "migrate" } else { "check" };
    let script = std::fs::read_to_string(folder.join("command")).unwrap_or_else(|_| format!("{usual}\n"));
    let mut arguments = vec![usual];
    let (mut variables, mut input, mut current) = (Vec::new(), None, folder.to_owned());
    for line in script.lines() {
        if let Some(file) = line.strip_prefix("< ") {
            input = Some(folder.join(file));
        } else if let Some(below) = line.strip_prefix("cd ") {
            current.push(below);
        } else if line.starts_with(usual) {
            arguments = line.split(' ').collect();
        } else {
            variables.push(line.split_once('=').expect("NAME=value"));
        }
    }
    let (code, out, err) = gangway(&current, &arguments, &variables, input.as_deref());
    let command = format!("$ gangway {}", arguments.join(" "));
    let input = input.map(|input| format!(" < {}", input.file_name().unwrap().to_string_lossy())).unwrap_or_default();
    format!("{command}{input}\n{out}{err}exit code {code}\n")
}

/// Runs the binary and returns exit code, standard output and standard error.
pub(crate) fn gangway(
    folder: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
    input: Option<&Path>,
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gangway"));
    command.current_dir(folder).args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(input.map_or_else(Stdio::null, |path| File::open(path).unwrap().into()));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}
