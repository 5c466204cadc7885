//! One recorded case, as the file holds it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Containers, a configuration, and requests in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What it shows.
    pub shows: String,
    /// The containers.
    #[serde(default)]
    pub containers: Vec<ContainerOfCase>,
    /// Entry points beside the one for the interface; the first one is for http, the second one for https.
    #[serde(default = "usual_entry_points")]
    pub entry_points: Vec<String>,
    /// Traefik's static configuration.
    #[serde(default, rename = "static")]
    pub static_config: Value,
    /// How it is given.
    #[serde(default)]
    pub form: Form,
    /// The file of the file provider.
    #[serde(default)]
    pub file: Option<Value>,
    /// Other files.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Resolvers of certificates. Their authority cannot be reached.
    #[serde(default)]
    pub resolvers: Vec<String>,
    /// Texts of labels that stand for others.
    #[serde(default, rename = "subst")]
    pub substitutes: BTreeMap<String, String>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// How the static configuration is given.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As a file.
    #[default]
    File,
    /// As flags.
    Flags,
    /// As variables of the environment.
    Env,
}

/// A container.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerOfCase {
    /// Its name in the texts of the case.
    pub name: String,
    /// Its labels, each `key=value`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Ports at which it speaks HTTP.
    #[serde(default = "usual_ports")]
    pub http: Vec<u16>,
    /// Ports at which it speaks HTTP over TLS.
    #[serde(default)]
    pub tls: Vec<u16>,
    /// Ports that the image exposes, where they are others.
    #[serde(default)]
    pub expose: Option<Vec<String>>,
    /// The networks that it is in.
    #[serde(default = "usual_networks")]
    pub nets: Vec<u8>,
    /// Service and project of Compose.
    #[serde(default)]
    pub compose: Option<(String, String)>,
    /// Whether it has a health check, and what that says.
    #[serde(default)]
    pub health: Option<Health>,
    /// What the fields begin with that direct its answers.
    #[serde(default = "usual_prefix")]
    pub directed: String,
    /// It is started by a step.
    #[serde(default)]
    pub late: bool,
    /// The mode of its network.
    #[serde(default)]
    pub mode: Option<String>,
}

/// What the health check of a container says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is well.
    Well,
    /// It is not.
    Sick,
}

/// Something that is asked or done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A request, `METHOD URL`.
    #[serde(default)]
    pub req: Option<String>,
    /// A WebSocket at this URL.
    #[serde(default)]
    pub ws: Option<String>,
    /// What the last request to this container was.
    #[serde(default)]
    pub last: Option<String>,
    /// How many requests came to this container.
    #[serde(default)]
    pub count: Option<String>,
    /// What Traefik's API says at this path.
    #[serde(default)]
    pub api: Option<String>,
    /// Of that, what stands under these names.
    #[serde(default)]
    pub pick: Vec<String>,
    /// Of that, the kinds of values and not the values.
    #[serde(default)]
    pub shape: bool,
    /// What was added to this log since it was last looked at. The only one is `access`.
    #[serde(default)]
    pub log: Option<LogOfCase>,
    /// Something that happens to a container, `VERB NAME`.
    #[serde(default, rename = "do")]
    pub act: Option<String>,
    /// Fields of the request.
    #[serde(default, rename = "h")]
    pub fields: BTreeMap<String, Value>,
    /// Its body: a text, or a length.
    #[serde(default)]
    pub body: Option<Value>,
    /// It is sent so many times.
    #[serde(default)]
    pub n: Option<usize>,
    /// Not what answered counts but how many different ones did.
    #[serde(default)]
    pub distinct: bool,
    /// The order of the answers counts.
    #[serde(default)]
    pub seq: bool,
    /// The entry point, where it is not the one for the scheme.
    #[serde(default)]
    pub ep: Option<String>,
    /// The address that it is sent from.
    #[serde(default)]
    pub from: Option<std::net::IpAddr>,
    /// With the cookies of the answers before.
    #[serde(default)]
    pub cookies: bool,
    /// What is sent before it.
    #[serde(default)]
    pub raw: Option<String>,
    /// The name in the handshake, where it is not the host.
    #[serde(default)]
    pub sni: Option<String>,
    /// What Traefik made of it.
    #[serde(default)]
    pub truth: Option<Truth>,
    /// What Gangway makes of it on purpose.
    #[serde(default)]
    pub differs: Option<Differs>,
}

/// A log that is looked at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum LogOfCase {
    /// The access log.
    Access,
}

/// A deliberate difference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// The reason, as the guide names it.
    pub why: String,
    /// What is seen instead.
    pub instead: Truth,
}

/// What is seen of a step. What is not named does not count.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// The status.
    #[serde(default)]
    pub status: Option<u16>,
    /// The application that answered.
    #[serde(default)]
    pub app: Option<String>,
    /// What the application saw.
    #[serde(default)]
    pub up: Option<Seen>,
    /// Fields of the answer that the application did not send; null where one of its own is missing.
    #[serde(default)]
    pub res: BTreeMap<String, Value>,
    /// There is no answer.
    #[serde(default)]
    pub error: bool,
    /// Of several requests: the answers in order, each a status and an application.
    #[serde(default)]
    pub seq: Option<Vec<String>>,
    /// How many there are of each.
    #[serde(default)]
    pub all: Option<BTreeMap<String, usize>>,
    /// How many different ones there are.
    #[serde(default)]
    pub distinct: Option<usize>,
    /// How many requests came.
    #[serde(default)]
    pub count: Option<u64>,
    /// Whether the WebSocket gave back what was sent.
    #[serde(default)]
    pub echo: Option<bool>,
    /// What the API says.
    #[serde(default)]
    pub json: Option<Value>,
    /// What it says where that is no JSON.
    #[serde(default)]
    pub body: Option<String>,
    /// The lines of a log: objects where they are JSON.
    #[serde(default)]
    pub lines: Option<Vec<Value>>,
}

/// What an application saw of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Method and target.
    pub target: String,
    /// The host, where it is not the client's.
    #[serde(default)]
    pub host: Option<String>,
    /// The port that it came to.
    #[serde(default)]
    pub port: Option<u16>,
    /// The network that it came by.
    #[serde(default)]
    pub net: Option<u8>,
    /// The length of the body.
    #[serde(default)]
    pub body: Option<u64>,
    /// Fields that are not as the client sent them; null where one is missing.
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    /// Beside them, the usual fields of a proxy have their usual values.
    #[serde(default)]
    pub std: bool,
}

impl Step {
    /// In a few words.
    pub fn what(&self) -> String {
        let kinds = [
            ("", &self.req),
            ("WebSocket ", &self.ws),
            ("last of ", &self.last),
            ("count of ", &self.count),
            ("API ", &self.api),
        ];
        let named = kinds.into_iter().find_map(|(kind, text)| Some(format!("{kind}{}", text.as_ref()?)));
        let of_log = self.log.map(|LogOfCase::Access| "access log".to_owned());
        named.or(of_log).or_else(|| self.act.clone()).unwrap_or_default()
    }

    /// What has to be seen, if anything has.
    pub fn expected(&self) -> Option<&Truth> {
        self.truth.as_ref().map(|truth| self.differs.as_ref().map_or(truth, |differs| &differs.instead))
    }
}

fn usual_entry_points() -> Vec<String> {
    vec!["web".to_owned(), "websecure".to_owned()]
}

fn usual_ports() -> Vec<u16> {
    vec![8080]
}

fn usual_networks() -> Vec<u8> {
    vec![0]
}

fn usual_prefix() -> String {
    "x".to_owned()
}
