//! Connections to an engine, and hints for the operator if connecting fails.
//!
//! Each request has a connection of its own. If the socket is replaced, the next request finds the new one.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// An engine on the same network answers in milliseconds. One that is down must not delay the next try.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The mounts that this process sees.
const MOUNTS: &str = "/proc/self/mountinfo";

/// A connection that can be read and written.
pub(crate) trait EngineStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> EngineStream for T {}

/// A connection to an engine.
pub(crate) type EngineConnection = Box<dyn EngineStream>;

type CustomConnect = dyn Fn() -> io::Result<EngineConnection> + Send + Sync;

/// Makes connections to one engine.
#[derive(Clone)]
pub(crate) enum Connector {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
    Custom(Arc<CustomConnect>),
}

impl Connector {
    /// Makes a new connection.
    pub(crate) async fn connect(&self) -> Result<EngineConnection, ConnectError> {
        match self {
            Self::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(ConnectError { hint: Some(unix_hint(path, &error)), to: self.to_string(), error }),
            },
            Self::Tcp { host, port } => match timeout(CONNECT_MAX, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(stream)) => {
                    // Requests are one small write each; nothing is gained by gathering them.
                    let _ = stream.set_nodelay(true);
                    Ok(Box::new(stream))
                }
                Ok(Err(error)) => Err(ConnectError { to: self.to_string(), error, hint: None }),
                Err(_) => {
                    let error = io::Error::new(ErrorKind::TimedOut, format!("no connection within {CONNECT_MAX:?}"));
                    Err(ConnectError { to: self.to_string(), error, hint: None })
                }
            },
            Self::Custom(connect) => {
                connect().map_err(|error| ConnectError { to: self.to_string(), error, hint: None })
            }
        }
    }

    /// Whether the engine may be on another machine.
    pub(crate) fn may_be_remote(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Custom(_) => false,
            Self::Tcp { host, .. } => {
                host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "`{}`", path.display()),
            Self::Tcp { host, port } => write!(f, "`{host}:{port}`"),
            Self::Custom(_) => f.write_str("the engine"),
        }
    }
}

impl Debug for Connector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({self})")
    }
}

fn unix_hint(path: &Path, error: &io::Error) -> String {
    let mounts = std::fs::read_to_string(MOUNTS).unwrap_or_default();
    let metadata = std::fs::metadata(path).ok();
    let socket = Socket {
        mounted: mounts.lines().find_map(|line| mounted_at(line, path)),
        folder: metadata.as_ref().is_some_and(std::fs::Metadata::is_dir),
        group: metadata.map(|metadata| metadata.gid()),
    };
    socket.hint(error.kind())
}

/// The facts about a socket that does not answer.
#[derive(Clone, Copy, Debug, Default)]
struct Socket {
    mounted: Option<SocketMount>,
    folder: bool,
    group: Option<u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SocketMount {
    Present,
    /// The mounted file was removed on the host, so no engine will ever answer there again.
    Dead,
}

impl Socket {
    fn hint(self, error: ErrorKind) -> String {
        const REMEDY: &str = "mount the folder of the socket instead of the file, or recreate this container";
        match (self.mounted, error) {
            _ if self.folder => "it is a folder and not a socket, because there was no socket on the host when this \
                                 container was made: start the engine, remove that folder on the host, recreate \
                                 this container"
                .to_owned(),
            (Some(SocketMount::Dead), _) => {
                format!("the mount of the socket is dead, because the engine made a new socket since: {REMEDY}")
            }
            (Some(SocketMount::Present), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => format!(
                "the socket is mounted as a single file, and an engine that restarts makes a new file that this \
                 mount never shows: if the engine runs, {REMEDY}"
            ),
            (_, ErrorKind::PermissionDenied) => match self.group {
                Some(group) => format!("run as root, or with the socket's group (`--group-add {group}`)"),
                None => "run as root, or with the socket's group".to_owned(),
            },
            (_, ErrorKind::NotFound) => {
                "is the engine running, and is the folder of its socket mounted here?".to_owned()
            }
            _ => "is the engine running?".to_owned(),
        }
    }
}

/// Whether this line of the kernel's list is a mount at exactly this path, and whether the mounted file still exists.
fn mounted_at(line: &str, path: &Path) -> Option<SocketMount> {
    let mut fields = line.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    same_path(Path::new(&unescaped(point)), path)
        .then(|| if unescaped(root).ends_with("//deleted") { SocketMount::Dead } else { SocketMount::Present })
}

/// Undoes the kernel's escapes, such as `\040` for a space.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

/// Whether two paths name the same file.
fn same_path(a: &Path, b: &Path) -> bool {
    a == b || std::fs::canonicalize(a).ok().is_some_and(|a| std::fs::canonicalize(b).is_ok_and(|b| a == b))
}

/// The error without the `(os error …)` that helps only programmers.
pub(crate) fn without_os_code(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Connecting failed. Reads well after "failed to".
#[derive(Debug)]
pub(crate) struct ConnectError {
    to: String,
    error: io::Error,
    hint: Option<String>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "connect to {}: {}", self.to, without_os_code(&self.error))?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "60 50 254:0 /run/docker.sock /srv/a\\040b.sock rw,relatime - ext4 /dev/vda rw";
    const DEAD: &str = "60 50 254:0 /run/docker.sock//deleted /srv/docker.sock rw,relatime - ext4 /dev/vda rw";

    #[test]
    fn a_mount_is_found_by_its_path_and_a_dead_one_is_recognised() {
        assert_eq!(mounted_at(LIVE, Path::new("/srv/a b.sock")), Some(SocketMount::Present));
        assert_eq!(mounted_at(DEAD, Path::new("/srv/docker.sock")), Some(SocketMount::Dead));
        assert_eq!(mounted_at(DEAD, Path::new("/srv")), None);
        assert_eq!(mounted_at("", Path::new("/srv")), None);
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let refused = |socket: Socket| socket.hint(ErrorKind::ConnectionRefused);
        let mounted = |mount| Socket { mounted: Some(mount), ..Socket::default() };
        assert!(refused(mounted(SocketMount::Dead)).contains("mount of the socket is dead"));
        assert!(refused(mounted(SocketMount::Dead)).contains("mount the folder"));
        assert!(refused(mounted(SocketMount::Present)).contains("mounted as a single file"));
        assert!(refused(Socket { folder: true, ..mounted(SocketMount::Present) }).contains("is a folder"));
        assert_eq!(refused(Socket::default()), "is the engine running?");
        let denied = Socket { group: Some(999), ..mounted(SocketMount::Present) }.hint(ErrorKind::PermissionDenied);
        assert!(denied.contains("--group-add 999"), "{denied}");
    }

    #[tokio::test]
    async fn a_missing_socket_reads_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let error = Connector::Unix(path.clone()).connect().await.err().unwrap().to_string();
        assert_eq!(
            error,
            format!(
                "connect to `{}`: no such file; is the engine running, and is the folder of its socket mounted here?",
                path.display()
            )
        );
    }
}
