//! An engine, used through its command line, as users do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::gangway::replace_file;
use crate::process::{outcome, output};
use crate::root;

/// The engine that all tests share.
pub const SOCKET: &str = "/var/run/docker.sock";

/// The image of the test application.
pub const APP: &str = "gangway-test/app";

/// The containers and networks of one test on an engine. All of them are removed on drop.
#[derive(Debug)]
pub struct Docker {
    socket: PathBuf,
    run: String,
    /// Options that every container needs on this engine.
    extra: Vec<String>,
    program: &'static str,
}

impl Docker {
    /// The shared engine.
    ///
    /// # Panics
    ///
    /// Panics if it does not answer.
    pub fn shared() -> Self {
        let docker = Self::at(Path::new(SOCKET));
        docker.command(["version"]);
        docker
    }

    /// Another Docker engine.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), run: unique(), extra: Vec::new(), program: "docker" }
    }

    /// Podman's own command line; it needs no socket.
    pub fn podman() -> Self {
        // The machine's hard limits lie below Podman's wishes, and it does not start containers then.
        let limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
        Self { socket: PathBuf::new(), run: unique(), extra: limits.map(String::from).to_vec(), program: "podman" }
    }

    /// The label of everything that this test makes. Not under the product's own prefix, where every
    /// label means something.
    pub fn label(&self) -> String {
        format!("testkit.run={}", self.run)
    }

    /// A name that no other test uses.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.run)
    }

    /// The engine's address as Gangway's `--docker` takes it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Runs any command. Returns its standard output without the final line end.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let mut all: Vec<String> = Vec::new();
        if self.program == "docker" {
            all.extend(["--host".to_owned(), self.url()]);
        }
        all.extend(arguments.into_iter().map(str::to_owned));
        output(self.program, all).trim_end().to_owned()
    }

    /// A test application, to be started by [`AppBuilder::start`].
    pub fn app(&self, name: &str) -> AppBuilder<'_> {
        let docker = self;
        let image = if self.program == "podman" { format!("localhost/{APP}") } else { APP.to_owned() };
        AppBuilder { docker, name: name.to_owned(), options: Vec::new(), image, arguments: Vec::new() }
    }

    /// Makes an image of the test application with a health check. Returns its name.
    pub fn image_with_health_check(&self) -> String {
        let name = format!("{APP}-health");
        let source = self.command(["create", "--label", &self.label(), APP]);
        let check = r#"HEALTHCHECK --interval=1s --timeout=1s --retries=1 CMD ["/app", "hc"]"#;
        self.command(["commit", "--change", check, &source, &name]);
        name
    }

    /// Starts a test application with labels that no command line could carry.
    pub fn start_with_labels(&self, name: &str, labels: &[(String, String)]) -> Container {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(key, value)| (key.clone(), serde_json::Value::from(value.clone()))).collect();
        let container = self.create(name, serde_json::json!({ "Image": APP, "Labels": labels }));
        self.command(["start", &container.id]);
        container
    }

    /// Makes a container as the API of the engine takes it, which takes what no command line does.
    pub fn create(&self, name: &str, mut config: serde_json::Value) -> Container {
        let name = self.name(name);
        config["Labels"]["testkit.run"] = self.run.clone().into();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let body = folder.path().join("body");
        replace_file(&body, &config.to_string());
        let (socket, body) = (self.socket.display().to_string(), format!("@{}", body.display()));
        let url = format!("http://engine/containers/create?name={name}");
        let kind = "Content-Type: application/json";
        let said = output("curl", ["-sS", "--fail-with-body", "--unix-socket", &socket, "-H", kind, "-d", &body, &url]);
        let told: serde_json::Value = serde_json::from_str(&said).expect("the engine speaks JSON");
        let id = told["Id"].as_str().expect("a new container has an id").to_owned();
        Container { id, name }
    }

    /// The test application under another image's name and ports, unless that image is really here.
    pub fn stand_in(&self, image: &str, ports: &[u16]) -> StandIn {
        let name = image.to_owned();
        if outcome(self.plain().args(["image", "inspect", image])).status.success() {
            return StandIn { url: self.url(), made: None };
        }
        let source = self.command(["create", "--label", &self.label(), APP]);
        let listen: Vec<String> = ports.iter().map(|port| format!(r#""--http", "0.0.0.0:{port}""#)).collect();
        let command = format!("CMD [{}]", listen.join(", "));
        let mut words = vec!["commit".to_owned(), "--change".to_owned(), command];
        for port in ports {
            words.extend(["--change".to_owned(), format!("EXPOSE {port}")]);
        }
        words.extend([source, name.clone()]);
        self.command(words.iter().map(String::as_str));
        StandIn { url: self.url(), made: Some(name) }
    }

    /// Makes a bridge network. Returns its name.
    pub fn network(&self, name: &str) -> String {
        let name = self.name(name);
        self.command(["network", "create", "--label", &self.label(), &name]);
        name
    }

    /// A compose project from a copy of one of the repository's folders, so adapted that it stands in
    /// nobody's way: published ports become free ones of loopback, and the network `gangway` its own.
    ///
    /// Everything else is as its users get it.
    pub fn compose(&self, folder: &str) -> Compose {
        let copy =
            tempfile::Builder::new().prefix("gangway-compose-").tempdir().expect("a temporary folder can be made");
        let project = self.name(&folder.replace('/', "-"));
        output("cp", ["-r", &format!("{}/.", root().join(folder).display()), &copy.path().display().to_string()]);
        for entry in std::fs::read_dir(copy.path()).expect("just made").flatten() {
            if entry.path().extension().is_some_and(|suffix| suffix == "yaml") {
                let text = std::fs::read_to_string(entry.path()).expect("just copied");
                let text = text
                    .replace("\"80:80\"", "\"127.0.0.1::80\"")
                    .replace("\"443:443\"", "\"127.0.0.1::443\"")
                    .replace("name: gangway\n", &format!("name: {project}-net\n"));
                replace_file(&entry.path(), &text);
            }
        }
        self.compose_in(copy, project)
    }

    /// A compose project of this one file.
    pub fn compose_of(&self, name: &str, file: &str) -> Compose {
        let folder =
            tempfile::Builder::new().prefix("gangway-compose-").tempdir().expect("a temporary folder can be made");
        replace_file(&folder.path().join("docker-compose.yaml"), file);
        self.compose_in(folder, self.name(name))
    }

    fn compose_in(&self, folder: TempDir, project: String) -> Compose {
        Compose {
            docker_url: self.url(),
            folder,
            project,
            files: Vec::new(),
            environment: vec![("DOCKER_HOST".into(), self.url())],
        }
    }

    /// Removes all containers and networks of this test.
    pub fn clear(&self) {
        let filter = format!("label={}", self.label());
        let containers = self.command(["ps", "-aq", "--filter", &filter]);
        for ids in containers.split_whitespace().collect::<Vec<_>>().chunks(50) {
            let _ = outcome(self.plain().args(["rm", "-f", "-v"]).args(ids));
        }
        for (list, remove) in [(["network", "ls"], ["network", "rm"]), (["volume", "ls"], ["volume", "rm"])] {
            let found = self.command([list[0], list[1], "-q", "--filter", &filter]);
            if !found.is_empty() {
                let _ = outcome(self.plain().args(remove).args(found.split_whitespace()));
            }
        }
    }

    fn plain(&self) -> Command {
        let mut command = Command::new(self.program);
        if self.program == "docker" {
            command.arg("--host").arg(self.url());
        }
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // A second engine may be gone by now, and its containers with it.
        if outcome(self.plain().arg("version")).status.success() {
            self.clear();
        }
    }
}

/// The options of a test application.
#[derive(Debug)]
pub struct AppBuilder<'a> {
    docker: &'a Docker,
    name: String,
    options: Vec<String>,
    image: String,
    arguments: Vec<String>,
}

impl AppBuilder<'_> {
    /// Uses another image.
    #[must_use]
    pub fn image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.image);
        self
    }

    /// Adds options of `docker run`.
    #[must_use]
    pub fn options<'b>(mut self, options: impl IntoIterator<Item = &'b str>) -> Self {
        self.options.extend(options.into_iter().map(str::to_owned));
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.options(["--label", &format!("{key}={value}")])
    }

    /// The compose labels that make it a container of a project's service.
    #[must_use]
    pub fn service(self, project: &str, service: &str) -> Self {
        self.label("com.docker.compose.project", project).label("com.docker.compose.service", service)
    }

    /// Adds arguments of the application itself.
    #[must_use]
    pub fn arguments<'b>(mut self, arguments: impl IntoIterator<Item = &'b str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Starts it. Returns its id.
    pub fn start(self) -> Container {
        self.begin(&["run", "-d"])
    }

    /// Makes it without starting it. Returns its id.
    pub fn create(self) -> Container {
        self.begin(&["create"])
    }

    fn begin(self, act: &[&str]) -> Container {
        let name = self.docker.name(&self.name);
        let label = self.docker.label();
        let mut words: Vec<&str> = act.to_vec();
        words.extend(["--name", &name, "--label", &label]);
        words.extend(self.docker.extra.iter().map(String::as_str));
        words.extend(self.options.iter().map(String::as_str));
        words.push(&self.image);
        words.extend(["--name", &self.name]);
        words.extend(self.arguments.iter().map(String::as_str));
        let id = self.docker.command(words);
        Container { id: id.lines().last().unwrap_or_default().to_owned(), name }
    }
}

/// A container that was made.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its full id.
    pub id: String,
    /// Its name on the engine.
    pub name: String,
}

/// An image under the name of another one. The name is freed on drop.
#[derive(Debug)]
pub struct StandIn {
    url: String,
    made: Option<String>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(name) = &self.made {
            let _ = outcome(Command::new("docker").args(["--host", &self.url, "image", "rm", "-f", name]));
        }
    }
}

/// One Compose project. It is taken down with its volumes on drop.
#[derive(Debug)]
pub struct Compose {
    docker_url: String,
    folder: TempDir,
    project: String,
    files: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Compose {
    /// Sets a variable for the compose files.
    #[must_use]
    pub fn variable(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file. Without any, Compose looks for its default files.
    #[must_use]
    pub fn file(mut self, path: &str) -> Self {
        self.files.extend(["-f".to_owned(), path.to_owned()]);
        self
    }

    /// The folder of the project, to change files before anything is started.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The name of the network that the files call `gangway`.
    pub fn network(&self) -> String {
        format!("{}-net", self.project)
    }

    /// The name of the project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The id of a service's container.
    pub fn container(&self, service: &str) -> String {
        self.command(["ps", "-q", service]).trim().to_owned()
    }

    /// The address of a published port of a service.
    pub fn address(&self, service: &str, port: u16) -> SocketAddr {
        let words = ["--host", &self.docker_url, "port", &self.container(service), &format!("{port}/tcp")];
        let said = output("docker", words);
        said.lines()
            .find_map(|line| line.parse().ok())
            .unwrap_or_else(|| panic!("port {port} of {service} is not published: {said}"))
    }

    /// Gives an external network of the compose file another name.
    pub fn rename_network(&self, name: &str, new: &str) {
        let file = self.folder().join("compose.yaml");
        let text = std::fs::read_to_string(&file).expect("an example has a compose file");
        let external = format!("  {name}:\n    external: true\n");
        assert!(text.contains(&external), "{} joins no network `{name}`", file.display());
        replace_file(&file, &text.replace(&external, &format!("{external}    name: {new}\n")));
    }

    /// Runs a Compose command that may fail. Returns its standard output, or `None` if it failed.
    pub fn attempt<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let output = outcome(self.program().args(arguments));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a Compose command. Returns its standard output.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let mut command = self.program();
        command.args(arguments);
        let output = outcome(&mut command);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?} failed:\n{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn program(&self) -> Command {
        let mut command = Command::new(root().join(".ci/compose"));
        command
            .current_dir(self.folder.path())
            .args(&self.files)
            .args(["-p", &self.project])
            .envs(self.environment.iter().cloned());
        command
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let removed = outcome(self.program().args(["down", "-v", "-t", "1"]));
        if !removed.status.success() {
            // Leftover containers would hold the hosts of later tests.
            eprintln!("{} is not removed: {}", self.project, String::from_utf8_lossy(&removed.stderr));
        }
    }
}

/// A word that is unique to this test and this run.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() % 100_000_000;
    format!("gwt{}-{now}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
