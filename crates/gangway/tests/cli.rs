//! The command line without a running instance.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use running::{Ended, ended, gangway, put, run};

/// `serve` on ports of the system's choice, which would start if nothing were wrong.
fn serve(folder: &std::path::Path) -> Command {
    let mut command = gangway();
    command.args(["serve", "--docker", "none", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
    command.args(["--admin", "127.0.0.1:0"]).arg("--data").arg(folder.join("data"));
    command
}

fn assert_usage(what: &str, (code, out, err): &Ended, named: &[&str]) {
    assert_eq!((*code, out.as_str()), (2, ""), "{what}: {err}");
    for name in named {
        assert!(err.contains(name), "{what} does not name {name}:\n{err}");
    }
}

#[test]
fn an_unknown_word_is_named_with_the_nearest_known_one() {
    let folder = tempfile::tempdir().unwrap();
    assert_usage("a flag", &run(["serve", "--hhtp", "127.0.0.1:0"]), &["--hhtp", "--http"]);
    assert_usage("a flag of the default command", &run(["--trusted-proxy", "lan"]), &["--trusted-proxies"]);
    assert_usage("a command", &run(["explian", "https://a.test"]), &["explain"]);
    assert_usage("a flag of another command", &run(["routes", "--formt", "json"]), &["--format"]);
    let by_variable = ended(serve(folder.path()).env("GANGWAY_ACESS_LOG", "off"));
    assert_usage("a variable", &by_variable, &["GANGWAY_ACESS_LOG", "GANGWAY_ACCESS_LOG", "G900"]);
    let file = folder.path().join("gangway.toml");
    put(&file, "acess-log = \"off\"\n[route.x]\nhost = \"x.test\"\n");
    let by_file = ended(serve(folder.path()).arg("--config").arg(&file));
    assert_usage("a key", &by_file, &["gangway.toml:1:1", "access-log", "gangway.toml:2:2", "`routes`", "G901"]);
}

#[test]
fn all_errors_of_the_settings_are_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gangway.toml");
    put(&file, "log-level = \"loud\"\ndomain = \"exa mple\"\n");
    let wrong = ended(
        serve(folder.path())
            .arg("--config")
            .arg(&file)
            .args(["--expose", "everything"])
            .env("GANGWAY_TRUSTED_PROXIES", "lan, foo"),
    );
    assert_usage(
        "bad values",
        &wrong,
        &["gangway.toml:1:13", "gangway.toml:2:10", "--expose", "GANGWAY_TRUSTED_PROXIES", "`foo`", "G902"],
    );
}

#[test]
fn a_config_file_that_cannot_be_used_keeps_gangway_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gangway.toml");
    let start = || ended(serve(folder.path()).arg("--config").arg(&file));
    assert_usage("no file", &start(), &["G903", "gangway.toml"]);
    put(&file, "[routes.a]\nhost = \"a.test\"\nupstream = \"http://127");
    assert_usage("half a file", &start(), &["G904", "gangway.toml:3", "^"]);
    put(&file, "http = { port = 80 }\n");
    assert_usage("a table", &start(), &["G907", "`http`"]);
}

#[test]
fn a_firewall_without_its_engine_keeps_gangway_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let refused = ended(serve(folder.path()).args(["--crowdsec-appsec-url", "http://127.0.0.1:7422"]));
    assert_usage("no engine", &refused, &["G902", "--crowdsec-appsec-url", "`--crowdsec-url`"]);
    let flags = ["--crowdsec-appsec-url", "crowdsec:7422", "--crowdsec-url", "http://crowdsec:8080"];
    assert_usage("no URL", &ended(serve(folder.path()).args(flags)), &["G902", "--crowdsec-appsec-url"]);
}

#[test]
fn a_start_that_fails_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let process = std::process::id().to_string();
    for flag in ["--http", "--https", "--admin"] {
        let mut command = serve(folder.path());
        // The last one given would be a second value for a flag that takes several.
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let at = arguments.iter().position(|argument| argument == flag).unwrap();
        let mut arguments = arguments;
        arguments[at + 1] = address.clone().into();
        command = gangway();
        let (code, _, err) = ended(command.args(arguments));
        assert_eq!(code, 1, "{flag}: {err}");
        assert!(err.contains(&address) && err.contains(&process), "{flag} does not name who listens: {err}");
    }
    let file = folder.path().join("file");
    put(&file, "");
    let (code, _, err) = ended(gangway().args(["--docker", "none", "--http", "127.0.0.1:0", "--data"]).arg(&file));
    assert!(code == 1 && err.contains("data folder") && err.contains("--data"), "{code}: {err}");
}

#[test]
fn client_commands_end_with_three_if_no_instance_answers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (command, expected) in [
        (&["status"][..], 3),
        (&["routes"], 3),
        (&["routes", "--watch"], 3),
        (&["certs"], 3),
        (&["explain", "https://a.test"], 3),
        (&["ca"], 3),
        // Engines accept no other code for a failed health check.
        (&["healthcheck"], 1),
    ] {
        let (code, out, err) = ended(gangway().args(command).args(["--admin", &silent]));
        assert_eq!((code, out.as_str()), (expected, ""), "{command:?}: {err}");
        assert!(err.contains(&silent) && err.contains("--"), "{command:?} says neither where nor what to do: {err}");
    }
    assert_usage("no address", &run(["status", "--admin", "here"]), &["here"]);
    assert_usage("no URL", &run(["explain"]), &["<URL>"]);
}

#[test]
fn foreign_variables_stop_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let silent = "127.0.0.1:1";
    // A client command prints a warning and goes on.
    let (code, _, err) = ended(gangway().args(["status", "--admin", silent]).env("GANGWAY_ADMN", "127.0.0.1:1"));
    assert!(code == 3 && err.contains("GANGWAY_ADMN") && err.contains("GANGWAY_ADMIN`?"), "{code}: {err}");
    let (code, _, err) = ended(gangway().args(["status", "--admin", silent]).env("GANGWAY_PORT", "tcp://10.0.0.1:80"));
    assert!(code == 3 && !err.contains("GANGWAY_PORT"), "{code}: {err}");
    // `serve` starts, which its next error shows.
    put(&folder.path().join("data"), "");
    let mut serve = serve(folder.path());
    let (code, _, err) =
        ended(serve.env("GANGWAY_SERVICE_HOST", "10.0.0.1").env("GANGWAY_PORT_80_TCP", "tcp://10.0.0.1:80"));
    assert!(code == 1 && err.contains("data folder"), "{code}: {err}");
    assert!(err.contains("GANGWAY_PORT_80_TCP GANGWAY_SERVICE_HOST"), "what is left alone is noted: {err}");
}

#[test]
fn gangway_alone_prints_help_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (code, out, err) = ended(gangway().env("GANGWAY_DATA", &data));
    assert!(code == 0 && err.is_empty() && out.contains("Usage: gangway"), "{code}: {out}{err}");
    assert!(!data.exists());
    for words in [["help"], ["--help"]] {
        let (code, out, _) = run(words);
        assert!(
            code == 0 && ["serve", "check", "explain", "completions"].iter().all(|word| out.contains(word)),
            "{out}"
        );
    }
    assert!(run(["help", "explain"]).1.contains("--method"));
    let version = format!("gangway {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(["version"]), (0, version.clone(), String::new()));
    assert_eq!(run(["--version"]), (0, version, String::new()));
}

#[test]
fn shells_complete_what_there_is() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(["completions", shell]);
        assert!(code == 0 && out.contains("gangway") && out.contains("take-over"), "{shell}: {code} {err}");
    }
    assert_usage("no shell", &run(["completions", "tcsh"]), &["bash", "zsh", "fish"]);
    let script = run(["completions", "bash"]).1;
    let mut bash = Command::new("bash");
    bash.args([
        "--norc",
        "-c",
        &format!(
            "{script}\nCOMP_WORDS=(gangway rou) COMP_CWORD=1; _gangway gangway rou gangway; echo ${{COMPREPLY[@]}}"
        ),
    ]);
    let (code, out, err) = ended(&mut bash);
    assert_eq!((code, out.trim()), (0, "routes"), "{err}");
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(run(["man", pages.to_str().unwrap()]), (0, String::new(), String::new()));
    let help = run(["help"]).1;
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).map_while(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|command| *command != "help").collect();
    assert!(commands.contains(&"explain") && commands.contains(&"man"), "{help}");
    for command in commands {
        let page = std::fs::read_to_string(pages.join(format!("gangway-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(command), "{command}: {page}");
    }
    assert!(std::fs::read_to_string(pages.join("gangway-serve.1")).unwrap().contains("take\\-over"));
    let file = folder.path().join("file");
    put(&file, "");
    let (code, _, err) = run(["man", file.to_str().unwrap()]);
    assert!(code == 1 && err.contains(file.to_str().unwrap()), "{code}: {err}");
    assert_usage("no folder", &run(["man"]), &["FOLDER"]);
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nowhere/access.log");
    let (code, _, err) = ended(serve(folder.path()).arg("--access-log").arg(&file));
    assert!(code == 1 && err.contains(&file.display().to_string()) && err.contains("help:"), "{code}: {err}");
}

#[test]
fn account_keys_are_changed_by_a_mark_on_the_volume() {
    let folder = tempfile::tempdir().unwrap();
    let rekey = || ended(gangway().args(["certs", "rekey", "--data"]).arg(folder.path()));
    let (code, out, err) = rekey();
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("no account"), "{err}");
    let account = folder.path().join("acme/accounts/ca.test-dir.json");
    std::fs::create_dir_all(account.parent().unwrap()).unwrap();
    put(&account, r#"{"version":1,"directory":"https://ca.test/dir","id":"https://ca.test/1","key":"AAAA"}"#);
    let (code, out, err) = rekey();
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("https://ca.test/dir: "), "{out}");
    let marked = std::fs::read_to_string(account).unwrap();
    assert!(marked.contains(r#""new_key_wanted": true"#) && marked.contains(r#""key": "AAAA""#), "{marked}");
}

#[test]
fn certificates_of_other_software_are_imported_without_an_instance() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let import =
        |source: &std::path::Path| ended(gangway().args(["certs", "import"]).arg(source).arg("--data").arg(&data));
    let (code, out, err) = import(&folder.path().join("nowhere"));
    assert!(code == 1 && out.is_empty() && err.contains("nowhere"), "{code}: {err}");
    let (code, out, err) = import(folder.path());
    assert!(code == 1 && out.is_empty() && err.contains("no certificate was found"), "{code}: {err}");
    // Traefik was stopped in the middle of writing it.
    let file = folder.path().join("acme.json");
    put(&file, "{\"le\": {\"Certificates\": [{\"domain\": {\"main\": \"a.example.org\"}, \"certificate\": \"LS0");
    let (code, out, err) = import(&file);
    assert!(code == 0 && out.starts_with("skipped  –: it is damaged") && err.is_empty(), "{code}: {out}{err}");
    assert_usage("nothing to import", &run(["certs", "import"]), &["<PATH>"]);
    assert!(!data.exists(), "nothing was made for nothing");
}

#[test]
fn a_password_becomes_an_entry() {
    let hash = |arguments: &[&str], input: &str| {
        let mut command = gangway();
        command.arg("hash").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // With wrong arguments the command ends without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) = hash(&[], "secret\n");
    assert!(code == 0 && out.starts_with("$argon2id$") && out.lines().count() == 1, "{code}: {out}");
    let (code, out, _) = hash(&["--user", "bob", "--compose"], "secret");
    assert!(code == 0 && out.starts_with("bob:$$argon2id$$") && !out.replace("$$", "").contains('$'), "{code}: {out}");
    let (code, out, err) = hash(&[], "\n");
    assert!(code == 1 && out.is_empty() && err.contains("empty"), "{code}: {out}{err}");
    assert_eq!(hash(&["--user", "a:b"], "secret").0, 2);
}

#[test]
fn help_lists_every_flag_with_its_variable() {
    let (code, out, _) = run(["serve", "--help"]);
    assert_eq!(code, 0);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/flags.md");
    let page = std::fs::read_to_string(page).unwrap();
    let flags: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## `")?.split(' ').next()).collect();
    assert!(flags.len() > 20, "{flags:?}");
    for flag in flags {
        let flag = flag.trim_end_matches('`');
        let variable = format!("GANGWAY_{}", flag.trim_start_matches('-').to_uppercase().replace('-', "_"));
        let is_listed = out.contains(&format!("{flag} <")) || out.contains(&format!("{flag}[=<"));
        assert!(is_listed && out.contains(&variable), "{flag} is not in the help");
    }
}
