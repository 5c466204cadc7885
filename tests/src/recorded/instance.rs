//! The containers of a case, and Gangway in Traefik's place before them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::case::{Case, ContainerOfCase, Form, Health};
use crate::docker::Docker;
use crate::gangway::{free_addresses, replace_file};
use crate::process::Process;
use crate::{STUCK, artifact};

/// The image of the application that exposes no port by itself.
const IMAGE: &str = "gangway-test/app:bare";

/// The label that keeps the containers of one worker apart from all others.
const LABEL: &str = "recorded.worker";

/// The entry point of the proxy's own pages.
pub(super) const OWN_ENTRY_POINT: &str = "traefik";

/// What one worker has for all its cases.
#[derive(Debug)]
pub(super) struct Bed {
    docker: Arc<Docker>,
    number: usize,
    /// Networks, each with the first three numbers of its addresses.
    networks: BTreeMap<u8, (String, String)>,
    healthy_image: Option<String>,
}

impl Bed {
    pub(super) fn new(docker: Arc<Docker>, number: usize) -> Self {
        Self { docker, number, networks: BTreeMap::new(), healthy_image: None }
    }

    fn network(&mut self, number: u8) -> (String, String) {
        let (docker, worker) = (&self.docker, self.number);
        self.networks
            .entry(number)
            .or_insert_with(|| {
                let name = docker.name(&format!("net-{worker}-{number}"));
                // Another network of the machine may have a subnet.
                let free = (0..200).find_map(|turn| {
                    let prefix = format!("10.{}.{}", 190 + worker, turn * 8 + usize::from(number));
                    let subnet = format!("{prefix}.0/24");
                    let made = Command::new("docker")
                        .args(["--host", &docker.url(), "network", "create", "--label", &docker.label()])
                        .args(["--subnet", &subnet, &name])
                        .output();
                    made.is_ok_and(|made| made.status.success()).then_some(prefix)
                });
                (name, free.expect("a subnet is free"))
            })
            .clone()
    }

    fn healthy_image(&mut self) -> String {
        let docker = &self.docker;
        let make = || {
            let name = format!("{IMAGE}-health");
            let source = docker.command(["create", "--label", &docker.label(), IMAGE]);
            let check = r#"HEALTHCHECK --interval=1s --timeout=1s --retries=1 CMD ["/app", "hc"]"#;
            docker.command(["commit", "--change", check, &source, &name]);
            name
        };
        self.healthy_image.get_or_insert_with(make).clone()
    }
}

/// A case that runs.
#[derive(Debug)]
pub(super) struct Instance<'c> {
    case: &'c Case,
    bed: &'c mut Bed,
    folder: TempDir,
    ports: BTreeMap<String, SocketAddr>,
    admin: SocketAddr,
    /// None until its containers run.
    process: Option<Process>,
    /// Cookies of answers.
    pub(super) cookies: BTreeMap<String, String>,
    /// How many lines of the access log were looked at.
    lines_seen: usize,
}

impl<'c> Instance<'c> {
    pub(super) async fn start(bed: &'c mut Bed, case: &'c Case) -> Self {
        let folder =
            tempfile::Builder::new().prefix("gangway-recorded-").tempdir().expect("a temporary folder can be made");
        let free: [SocketAddr; 8] = free_addresses();
        let names = case.entry_points.iter().map(String::as_str).chain([OWN_ENTRY_POINT]);
        let ports = names.map(|name| name.split('/').next().unwrap_or(name).to_owned()).zip(free).collect();
        let mut command = Command::new(artifact("gangway"));
        command
            .arg("traefik")
            .env("GANGWAY_ADMIN", free[7].to_string())
            .env("GANGWAY_DATA", folder.path().join("data"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRAEFIK_") || name == "DOCKER_HOST") {
            command.env_remove(name);
        }
        let mut instance =
            Self { case, bed, folder, ports, admin: free[7], process: None, cookies: BTreeMap::new(), lines_seen: 0 };
        // The containers come first, so that the first table has them all.
        for container in case.containers.iter().filter(|container| !container.late) {
            instance.run(container).await;
        }
        instance.configure(&mut command);
        instance.process = Some(Process::start(&mut command, &instance.folder.path().join("log")));
        instance
    }

    /// Waits until a table is in force; false where the process ended instead.
    pub(super) async fn is_ready(&mut self) -> bool {
        let (admin, process) = (self.admin, &mut self.process);
        eventually("a table is in force, or none can be", STUCK, || {
            let has_ended = process.as_mut().is_none_or(|process| process.ended().is_some());
            async move {
                if has_ended {
                    return Some(false);
                }
                let answer = Client::plain(admin).get(&admin.to_string(), "/readyz").await.ok()?;
                (answer.status == 200).then_some(true)
            }
        })
        .await
    }

    pub(super) fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// The lines that were added to the access log since the last call, at least as many as this: they are written behind
    /// the answers.
    pub(super) async fn new_log_lines(&mut self, count: usize) -> Vec<String> {
        let file = self.folder.path().join("access.log");
        let seen = self.lines_seen;
        let lines = eventually(&format!("{}: {count} lines more than {seen}", self.case.id), STUCK, async || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            // The last line may not be whole yet.
            let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            let lines: Vec<String> = whole.skip(seen).map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await;
        self.lines_seen += lines.len();
        lines
    }

    pub(super) fn address(&self, entry_point: &str) -> SocketAddr {
        self.ports[entry_point]
    }

    /// The containers that the table in force was made of, as the API shows them.
    pub(super) async fn containers(&self) -> Value {
        let answer = Client::plain(self.admin).get(&self.admin.to_string(), "/api/v1/containers").await;
        answer.expect("the admin listener answers").json()["containers"].clone()
    }

    /// The entry point of a scheme.
    pub(super) fn usual_entry_point(&self, is_https: bool) -> &str {
        &self.case.entry_points[usize::from(is_https)]
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.bed.docker
    }

    /// The address of a container in the first network that it is in.
    pub(super) fn ip(&mut self, name: &str) -> String {
        let network = self.container(name).nets[0];
        let place = self.case.containers.iter().position(|one| one.name == name).expect("the case has it");
        let (_, prefix) = self.bed.network(network);
        format!("{prefix}.{}", place + 10)
    }

    /// Where an application listens.
    pub(super) fn address_of(&mut self, name: &str) -> SocketAddr {
        let port = self.container(name).http.first().copied().unwrap_or(8080);
        format!("{}:{port}", self.ip(name)).parse().expect("an address")
    }

    pub(super) fn container(&self, name: &str) -> &'c ContainerOfCase {
        let found = self.case.containers.iter().find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("{} has no container `{name}`", self.case.id))
    }

    /// The name of a container on the engine.
    pub(super) fn name_on_engine(&self, name: &str) -> String {
        self.bed.docker.name(&format!("{}-{name}", self.bed.number))
    }

    /// Which network an address belongs to.
    pub(super) fn network_of(&self, address: &str) -> Option<u8> {
        let of = |(number, (_, prefix)): (&u8, &(String, String))| address.starts_with(prefix).then_some(*number);
        self.bed.networks.iter().find_map(of)
    }

    /// A text of the case with the names and addresses of this run.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let word = behind.split_once('}').and_then(|(word, after)| Some((self.word(word)?, after)));
            match word {
                Some((word, after)) => {
                    out.push_str(&word);
                    rest = after;
                }
                None => {
                    out.push('{');
                    rest = behind;
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn word(&mut self, word: &str) -> Option<String> {
        if word == "dir" {
            return Some(self.folder.path().display().to_string());
        }
        let (kind, name) = word.split_once(':')?;
        match kind {
            "ip" => Some(self.ip(name)),
            "c" => Some(self.name_on_engine(name)),
            "port" => Some(self.address(name).port().to_string()),
            "net" => Some(self.bed.network(name.parse().ok()?).0),
            _ => None,
        }
    }

    /// A value of the case with the names and addresses of this run, in keys too.
    pub(super) fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(all) => all.iter().map(|one| self.value(one)).collect(),
            Value::Object(all) => all.iter().map(|(key, one)| (self.text(key), self.value(one))).collect(),
            other => other.clone(),
        }
    }

    /// Starts a container, and waits until it listens and is as healthy as it will be.
    pub(super) async fn run(&mut self, container: &ContainerOfCase) {
        let docker = Arc::clone(&self.bed.docker);
        let image = if container.health.is_some() { self.bed.healthy_image() } else { IMAGE.to_owned() };
        let address = self.ip(&container.name);
        let mut labels = serde_json::Map::new();
        for label in &container.labels {
            let label = self.case.substitutes.iter().fold(label.clone(), |label, (from, to)| label.replace(from, to));
            let label = self.text(&label);
            let (name, value) = label.split_once('=').unwrap_or((&label, ""));
            labels.insert(name.to_owned(), value.into());
        }
        labels.insert(LABEL.to_owned(), self.bed.number.to_string().into());
        if let Some((service, project)) = &container.compose {
            labels.insert("com.docker.compose.service".to_owned(), service.clone().into());
            labels.insert("com.docker.compose.project".to_owned(), project.clone().into());
        }
        let all_ports = || container.http.iter().chain(&container.tls);
        let exposed = container.expose.clone();
        let exposed = exposed.unwrap_or_else(|| all_ports().map(ToString::to_string).collect());
        let protocol = |port: &String| if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        let exposed: serde_json::Map<_, _> = exposed.iter().map(|port| (protocol(port), json!({}))).collect();
        let mut command = vec!["--name".to_owned(), container.name.clone()];
        command.extend(["--directed".to_owned(), container.directed.clone()]);
        // Its health check asks at the usual port.
        let for_health = (container.health.is_some() && !container.http.contains(&8080)).then_some(8080);
        for port in container.http.iter().copied().chain(for_health) {
            command.extend(["--http".to_owned(), format!("0.0.0.0:{port}")]);
        }
        for port in &container.tls {
            command.extend(["--tls".to_owned(), format!("0.0.0.0:{port}")]);
        }
        command.extend((container.health == Some(Health::Sick)).then(|| "--unhealthy".to_owned()));
        let mut config = json!({ "Image": image, "Labels": labels, "ExposedPorts": exposed, "Cmd": command });
        match &container.mode {
            Some(mode) => config["HostConfig"] = json!({ "NetworkMode": mode }),
            None => {
                let (network, _) = self.bed.network(container.nets[0]);
                config["HostConfig"] = json!({ "NetworkMode": network });
                let endpoint = json!({ "IPAMConfig": { "IPv4Address": address } });
                config["NetworkingConfig"] = json!({ "EndpointsConfig": { network: endpoint } });
            }
        }
        let made = docker.create(&format!("{}-{}", self.bed.number, container.name), config);
        for network in &container.nets[1..] {
            let (name, prefix) = self.bed.network(*network);
            let last = address.rsplit('.').next().unwrap_or_default();
            docker.command(["network", "connect", "--ip", &format!("{prefix}.{last}"), &name, &made.id]);
        }
        docker.command(["start", &made.id]);
        for port in all_ports().filter(|_| container.mode.is_none()) {
            until_it_listens(&format!("{address}:{port}")).await;
        }
        if container.health == Some(Health::Well) {
            self.until_health(&container.name, "healthy").await;
        }
    }

    /// Waits until the engine says this of the container's health.
    pub(super) async fn until_health(&self, name: &str, health: &str) {
        let (docker, name) = (&self.bed.docker, self.name_on_engine(name));
        eventually(&format!("{name} is {health}"), STUCK, async || {
            let said = docker.command(["inspect", "-f", "{{.State.Health.Status}}", &name]);
            (said == health).then_some(())
        })
        .await;
    }

    fn configure(&mut self, command: &mut Command) {
        let case = self.case;
        let own = format!("Label(`{LABEL}`,`{}`)", self.bed.number);
        let entry_points: serde_json::Map<String, Value> =
            self.ports.iter().map(|(name, address)| (name.clone(), json!({ "address": address }))).collect();
        let docker = json!({ "endpoint": self.bed.docker.url(), "constraints": own });
        // The recording asked by a router of its own.
        let asks_api = case.steps.iter().any(|step| step.api.is_some());
        let mut config = json!({ "api": { "dashboard": false, "insecure": asks_api }, "ping": {}, "entryPoints": entry_points, "providers": { "docker": docker } });
        for resolver in &case.resolvers {
            let acme = json!({
                "email": "a@example.com",
                "storage": format!("{}/acme-{resolver}.json", self.folder.path().display()),
                // Nothing listens there.
                "caServer": "http://127.0.0.1:9/directory",
                "httpChallenge": { "entryPoint": case.entry_points[0] },
            });
            merge(&mut config, json!({ "certificatesResolvers": { resolver: { "acme": acme } } }));
        }
        let of_case = self.value(&case.static_config);
        let constraints =
            of_case["providers"]["docker"]["constraints"].as_str().map(|more| format!("{own} && ({more})"));
        if !of_case.is_null() {
            merge(&mut config, of_case);
        }
        if let Some(constraints) = constraints {
            config["providers"]["docker"]["constraints"] = constraints.into();
        }
        let folder = self.folder.path().to_owned();
        if let Some(file) = &case.file {
            let file = self.value(file);
            replace_file(&folder.join("dynamic.yml"), &file.to_string());
            merge(&mut config, json!({ "providers": { "file": { "filename": folder.join("dynamic.yml") } } }));
        }
        for (name, text) in &case.files {
            let text = self.text(text);
            replace_file(&folder.join(name), &text);
        }
        match case.form {
            // JSON is YAML too.
            Form::File => {
                let file = folder.join("traefik.yml");
                replace_file(&file, &config.to_string());
                command.arg(format!("--configfile={}", file.display()));
            }
            Form::Flags => {
                flat(&config, String::new(), &mut |key, value| {
                    command.arg(format!("--{key}={value}"));
                });
            }
            Form::Env => flat(&config, String::new(), &mut |key, value| {
                command.env(format!("TRAEFIK_{}", key.replace(['.', '['], "_").replace(']', "").to_uppercase()), value);
            }),
        }
        command.current_dir(&folder);
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            process.signal("KILL");
        }
        let names: Vec<String> =
            self.case.containers.iter().map(|container| self.name_on_engine(&container.name)).collect();
        if !names.is_empty() {
            let mut remove = Command::new("docker");
            remove.args(["--host", &self.bed.docker.url(), "rm", "-f", "-v"]).args(names);
            // One that was never started is not there.
            let _ = crate::process::outcome(&mut remove);
        }
    }
}

/// A configuration as flags: nested keys by dots, lists by commas, lists of objects by numbers.
fn flat(value: &Value, key: String, give: &mut dyn FnMut(String, String)) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Object(all) if !all.is_empty() => {
            for (name, one) in all {
                flat(one, below(name), give);
            }
        }
        Value::Array(all) if all.first().is_some_and(Value::is_object) => {
            for (number, one) in all.iter().enumerate() {
                flat(one, format!("{key}[{number}]"), give);
            }
        }
        Value::Array(all) => give(key, all.iter().map(plain).collect::<Vec<_>>().join(",")),
        Value::Object(_) | Value::Null => give(key, "true".to_owned()),
        other => give(key, plain(other)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts all of one configuration into another one. Null removes.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}

async fn until_it_listens(address: &str) {
    let connected = async || tokio::net::TcpStream::connect(address).await.ok();
    eventually(&format!("{address} listens"), STUCK, connected).await;
}
