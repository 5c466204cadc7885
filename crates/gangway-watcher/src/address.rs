//! The engines to follow: from the addresses on the command line to connectors.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use gangway_model::EngineName;

use crate::connect::{Connector, EngineConnection, EngineStream};
use crate::event_counts::EventCounts;

/// The address of an engine unless another one is given.
pub const LOCAL_SOCKET: &str = "unix:///var/run/docker.sock";

/// The port of `tcp://host` without a port, as for Docker's own clients.
const TCP_PORT: u16 = 2375;

/// One engine to follow.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) name: EngineName,
    pub(crate) url: Box<str>,
    pub(crate) connector: Connector,
    /// Shared with the engine's status.
    pub(crate) events: EventCounts,
}

/// The variables that Docker's own clients read from the environment. Like there, empty values count as not set.
#[derive(Clone, Debug, Default)]
pub struct DockerEnvironment {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_TLS_VERIFY`.
    pub tls_verify: Option<String>,
}

/// The engines at the addresses of `--docker`. Without an address it is the engine of the environment, and without that
/// one the local socket. For the address `none` there are no engines.
pub fn engines(urls: &[String], environment: &DockerEnvironment) -> Result<Vec<Engine>, AddressError> {
    let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let urls = match (urls, set(&environment.host)) {
        ([], Some(host)) => {
            if set(&environment.tls_verify).is_some() && !host.starts_with("unix:") {
                return Err(AddressError::Tls(host));
            }
            vec![host]
        }
        ([], None) => vec![LOCAL_SOCKET.to_owned()],
        (urls, _) => urls.to_vec(),
    };
    if urls.iter().any(|url| url == "none") {
        return if urls.len() == 1 { Ok(Vec::new()) } else { Err(AddressError::NoneBesideOthers) };
    }
    let mut engines: Vec<Engine> = Vec::new();
    for url in &urls {
        if engines.iter().any(|engine| *engine.url == **url) {
            continue;
        }
        let mut engine = parse(url)?;
        engine.name = unique_name(&engine.name, &engines);
        engines.push(engine);
    }
    Ok(engines)
}

impl Engine {
    /// The name of the engine in snapshots, logs and the API.
    pub fn name(&self) -> &EngineName {
        &self.name
    }

    /// The address as the operator wrote it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An engine that is connected to by a function instead of an address.
    pub(crate) fn custom<S: EngineStream + 'static>(
        name: &str,
        connect: impl Fn() -> io::Result<S> + Send + Sync + 'static,
    ) -> Self {
        let connect = move || connect().map(|stream| Box::new(stream) as EngineConnection);
        let connector = Connector::Custom(Arc::new(connect));
        Self { name: EngineName(name.into()), url: name.into(), connector, events: EventCounts::default() }
    }
}

fn parse(url: &str) -> Result<Engine, AddressError> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| AddressError::NoScheme(url.to_owned()))?;
    let (name, connector) = match scheme {
        "unix" if rest.starts_with('/') => {
            let path = PathBuf::from(rest);
            let name = path.file_stem().map_or_else(|| rest.to_owned(), |stem| stem.to_string_lossy().into_owned());
            (name, Connector::Unix(path))
        }
        "unix" => return Err(AddressError::NotAbsolute(url.to_owned())),
        "tcp" | "http" => {
            let (host, port) = host_and_port(rest).ok_or_else(|| AddressError::NoHost(url.to_owned()))?;
            (host.clone(), Connector::Tcp { host, port })
        }
        "https" => return Err(AddressError::Tls(url.to_owned())),
        _ => return Err(AddressError::UnknownScheme(url.to_owned())),
    };
    Ok(Engine { name: EngineName(name.into()), url: url.into(), connector, events: EventCounts::default() })
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
    let authority: http::uri::Authority = authority.trim_end_matches('/').parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let given = authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let port = if given { authority.port_u16()? } else { TCP_PORT };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// A name that no other engine has: containers of two engines must never be taken for one.
fn unique_name(name: &EngineName, others: &[Engine]) -> EngineName {
    let taken = |name: &EngineName| others.iter().any(|other| other.name == *name);
    let numbered = (2..).map(|number| EngineName(format!("{}-{number}", name.0).into()));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).expect("the numbers do not end")
}

/// An address that cannot be used. Reads well after "failed to".
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// The address has no `://`.
    #[error("use `{0}` as an engine's address: {help}", help = self.help())]
    NoScheme(String),
    /// The scheme is unknown, or one for other clients (`ssh`, `npipe`, `fd`).
    #[error("use `{0}` as an engine's address: {help}", help = self.help())]
    UnknownScheme(String),
    /// The path of the socket is relative, as in `unix://docker.sock`.
    #[error("use `{0}` as an engine's address: {help}", help = self.help())]
    NotAbsolute(String),
    /// `tcp://` without a host and a usable port.
    #[error("use `{0}` as an engine's address: {help}", help = self.help())]
    NoHost(String),
    /// The address asks for TLS.
    #[error("use `{0}` over TLS: {help}", help = self.help())]
    Tls(String),
    /// `none` is given together with an engine.
    #[error("follow engines and `none` at once: {help}", help = self.help())]
    NoneBesideOthers,
}

impl AddressError {
    /// Advice for the operator.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoScheme(_) => "write `unix:///path/to/docker.sock`, `tcp://host:port` or `none`",
            Self::UnknownScheme(_) => "only `unix://`, `tcp://` and `none` can be used",
            Self::NotAbsolute(_) => "the path of a socket begins with `/`, as in `unix:///var/run/docker.sock`",
            Self::NoHost(_) => "there is no host and port in it, as in `tcp://socket-proxy:2375`",
            Self::Tls(_) => {
                "engines are reached by `unix://` or plain `tcp://` only; put a socket proxy beside the engine, or \
                 tunnel to it"
            }
            Self::NoneBesideOthers => "`none` stands alone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(urls: &[&str], environment: &DockerEnvironment) -> Result<Vec<String>, AddressError> {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        Ok(engines(&urls, environment)?.iter().map(|engine| format!("{} {}", engine.name.0, engine.url)).collect())
    }

    fn nothing() -> DockerEnvironment {
        DockerEnvironment::default()
    }

    #[test]
    fn without_an_address_the_environment_decides_and_else_the_local_socket() {
        let set = DockerEnvironment { host: Some("tcp://proxy:2375".into()), tls_verify: Some(String::new()) };
        assert_eq!(names(&[], &set).unwrap(), ["proxy tcp://proxy:2375"]);
        let empty = DockerEnvironment { host: Some(String::new()), tls_verify: None };
        assert_eq!(names(&[], &empty).unwrap(), ["docker unix:///var/run/docker.sock"]);
        assert_eq!(names(&["unix:///a/b.sock"], &set).unwrap(), ["b unix:///a/b.sock"]);
    }

    #[test]
    fn none_stands_alone() {
        assert_eq!(names(&["none"], &nothing()).unwrap(), [""; 0]);
        assert_eq!(names(&["none", LOCAL_SOCKET], &nothing()), Err(AddressError::NoneBesideOthers));
    }

    #[test]
    fn two_engines_never_share_a_name_and_one_is_followed_once() {
        let urls = ["unix:///a/docker.sock", "unix:///b/docker.sock", "unix:///a/docker.sock"];
        assert_eq!(
            names(&urls, &nothing()).unwrap(),
            ["docker unix:///a/docker.sock", "docker-2 unix:///b/docker.sock"]
        );
    }

    #[test]
    fn hosts_and_ports_are_found() {
        for (url, host, port) in [
            ("tcp://proxy", "proxy", 2375),
            ("tcp://proxy:9/", "proxy", 9),
            ("tcp://[::1]:9", "::1", 9),
            ("tcp://[::1]", "::1", 2375),
            ("http://10.0.0.5:2375", "10.0.0.5", 2375),
        ] {
            let engine = parse(url).unwrap();
            assert!(
                matches!(&engine.connector, Connector::Tcp { host: h, port: p } if h == host && *p == port),
                "{engine:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_reason() {
        let refused = |url: &str| parse(url).unwrap_err();
        assert!(matches!(refused("/var/run/docker.sock"), AddressError::NoScheme(_)));
        assert!(matches!(refused("unix://docker.sock"), AddressError::NotAbsolute(_)));
        assert!(matches!(refused("ssh://me@host"), AddressError::UnknownScheme(_)));
        assert!(matches!(refused("https://host:2376"), AddressError::Tls(_)));
        for url in ["tcp://", "tcp://:2375", "tcp://a:b", "tcp://me@host", "tcp://host:70000"] {
            assert!(matches!(refused(url), AddressError::NoHost(_)), "{url}");
        }
        let verified = DockerEnvironment { host: Some("tcp://host:2376".into()), tls_verify: Some("1".into()) };
        assert!(matches!(names(&[], &verified), Err(AddressError::Tls(_))));
    }
}
