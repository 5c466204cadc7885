//! Why a data plane cannot start.

use std::io;
use std::net::SocketAddr;

use crate::settings::AccessLogTarget;

/// Why the data plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error("listen on {address}: {}", explain(error))]
    Bind {
        /// The address that was to be opened.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// A socket that was handed over listens on an address that no setting names.
    #[error(
        "use the socket handed over for {address}: neither --http nor --https names that address; name it there, \
         or take it out of the socket unit"
    )]
    Unasked {
        /// The address that the socket listens on.
        address: SocketAddr,
    },
    /// A running instance listens on IPv4 and IPv6, and this one is to listen on IPv4 only.
    #[error(
        "take over {address}: the running instance listens there for IPv6 too, and its sockets cannot be narrowed; stop it first"
    )]
    WiderThanAsked {
        /// The address to listen on.
        address: SocketAddr,
    },
    /// A listener of this process has the address, or one that includes it or is included by it.
    #[error("listen on {address}: another listener of this Gangway has {ours}")]
    Overlap {
        /// The address that was to be opened.
        address: SocketAddr,
        /// The address that is open.
        ours: SocketAddr,
    },
    /// A listener could not be kept for a successor.
    #[error("keep a socket at hand: {0}")]
    Sockets(io::Error),
    /// The access log could not be opened.
    #[error("open the access log{}: {}", named(target), explain_file(error))]
    AccessLog {
        /// The access log that was to be opened.
        target: AccessLogTarget,
        /// The system's error.
        error: io::Error,
    },
    /// A thread could not be started.
    #[error("start a thread: {0}")]
    Thread(io::Error),
}

fn named(target: &AccessLogTarget) -> String {
    match target {
        AccessLogTarget::File(path) => format!(" `{}`", path.display()),
        AccessLogTarget::Off | AccessLogTarget::Stdout => String::new(),
    }
}

fn explain_file(error: &io::Error) -> String {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "make its folder first; in a container, mount one there",
        io::ErrorKind::PermissionDenied => "let the user that Gangway runs as write there, or name another file",
        io::ErrorKind::ReadOnlyFilesystem => "mount its folder without `:ro`",
        io::ErrorKind::IsADirectory => "name a file in it, such as `access.log`",
        _ => return error.to_string(),
    };
    format!("{error}\n  help: {help}")
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "a process listens there already, maybe Gangway itself for something else (`ss -ltnp` names it); stop it or choose \
             another address"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed to use a port below 1024; grant CAP_NET_BIND_SERVICE, set the sysctl \
             net.ipv4.ip_unprivileged_port_start=0, or choose a higher port"
                .into()
        }
        _ => error.to_string(),
    }
}
