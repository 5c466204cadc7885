//! Runs other programs: to their end, or as a child that does not outlive its test.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use gangway_testkit::wait::eventually;

/// Runs a program and returns its standard output.
///
/// # Panics
///
/// Panics with its standard error if it cannot be run or fails.
pub fn output<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = outcome(&mut command);
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program to its end, whatever its status.
pub fn outcome(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// A child process with its output in a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with both outputs appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a temporary folder can be written");
        let errors = file.try_clone().expect("a file can be shared");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Starts it with both outputs going where nobody reads them: once that is full, who writes waits.
    pub fn start_unread(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log: PathBuf::new() }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
    }

    /// Sends SIGTERM and waits until it has ended.
    pub fn stop(mut self) {
        self.signal("TERM");
        let _ = self.child.wait();
    }

    /// Its exit status, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits until it has ended.
    pub async fn end(&mut self, within: Duration) -> ExitStatus {
        let what = format!("process {} ends", self.id());
        eventually(&what, within, || std::future::ready(self.child.try_wait().expect("a child can be asked"))).await
    }

    /// Memory in use now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was ever in use, in KiB.
    pub fn resident_max_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// Makes [`Self::resident_max_kib`] begin again from what is in use now.
    pub fn forget_resident_max(&self) {
        use std::io::Write as _;
        let path = format!("/proc/{}/clear_refs", self.id());
        let done = File::options().write(true).open(path).and_then(|mut file| file.write_all(b"5"));
        done.expect("one's own child can be told");
    }

    /// The number of its open files and sockets.
    pub fn open_files(&self) -> usize {
        open_files(self.id())
    }

    fn status_kib(&self, key: &str) -> u64 {
        status_kib(self.id(), key)
    }
}

/// Raises the number of files that this process may have open as far as it may, and returns it.
pub fn raise_open_files() -> u64 {
    let id = std::process::id().to_string();
    let told = output("prlimit", ["--pid", &id, "--nofile", "--raw", "--noheadings", "--output", "HARD"]);
    let most = told.trim();
    output("prlimit", ["--pid", &id, &format!("--nofile={most}:{most}")]);
    most.parse().unwrap_or(u64::MAX)
}

/// Memory of any process in use now, in KiB. Zero if there is no such process.
pub fn resident_kib(id: u32) -> u64 {
    status_kib(id, "VmRSS:")
}

/// The number of open files and sockets of any process. Zero if there is no such process.
pub fn open_files(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).map(Iterator::count).unwrap_or_default()
}

fn status_kib(id: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// User and system time of a process, its threads and its descendants.
pub fn cpu_seconds(id: u32) -> f64 {
    let ticks: u64 = tree(id)
        .iter()
        .map(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // The name may hold anything; behind its closing bracket the fields are numbers.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
            field(11) + field(12)
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "ticks are hundredths of seconds")]
    let seconds = ticks as f64 / 100.0;
    seconds
}

/// Kills a process and all its descendants.
pub fn kill_tree(id: u32) {
    let all = tree(id).into_iter().map(|id| id.to_string());
    // Some may have ended by themselves, which is as good.
    let _ = Command::new("kill").arg("-KILL").args(all).stderr(Stdio::null()).status();
}

/// A process and all that descends from it.
pub fn tree(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut at = 0;
    while at < all.len() {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", all[at])).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        at += 1;
    }
    all
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6000);
            eprintln!("--- the end of {}:\n{}\n---", self.log.display(), log.get(from..).unwrap_or(&log));
        }
        // Workers do not notice that their master was killed, so all go.
        kill_tree(self.id());
        let _ = self.child.wait();
    }
}
