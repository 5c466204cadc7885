//! The errors that keep Gangway from starting, with what the user can do.

use std::fs;
use std::io;

use super::data_folder::DataError;
use super::handover::is_behind;
use super::log::LogError;
use super::socket_activation::SocketActivationError;

/// Why Gangway did not start. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    SocketActivation(#[from] SocketActivationError),
    #[error("{error}{}", holder(error))]
    DataPlane {
        #[from]
        error: gangway_proxy::StartError,
    },
    #[error("{error}{}", admin_help(error))]
    Admin {
        #[from]
        error: gangway_admin::BindError,
    },
    #[error("take over: {0}\n  help: the other instance goes on; the logs of both say more")]
    NotTakenOver(&'static str),
    #[error("start a runtime: {0}")]
    Runtime(io::Error),
    #[error("listen for signals: {0}")]
    Signals(io::Error),
    #[error("start the log: {0}")]
    Log(#[from] LogError),
    #[error("register a metric: {0}")]
    Metric(#[from] prometheus::Error),
}

/// The process that listens on the address already, and what to do about it.
fn holder(error: &gangway_proxy::StartError) -> String {
    match error {
        gangway_proxy::StartError::Bind { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
            let process = listening_process(address.port())
                .map_or_else(String::new, |process| format!("\n  {process} listens there"));
            // Not if that instance has just refused for another reason, which the log says.
            let help = if is_behind(*address) {
                "\n  help: that is Gangway; to take its place without a gap, start this one with --take-over"
            } else {
                ""
            };
            process + help
        }
        gangway_proxy::StartError::Bind { .. }
        | gangway_proxy::StartError::Overlap { .. }
        | gangway_proxy::StartError::Unasked { .. }
        | gangway_proxy::StartError::WiderThanAsked { .. }
        | gangway_proxy::StartError::Sockets(_)
        | gangway_proxy::StartError::AccessLog { .. }
        | gangway_proxy::StartError::Thread(_) => String::new(),
    }
}

/// The help for an admin address that cannot be bound.
fn admin_help(gangway_admin::BindError { address, error }: &gangway_admin::BindError) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let process = listening_process(address.port()).unwrap_or_else(|| "another process".to_owned());
            format!("\n  {process} listens there\n  help: stop it, or choose another address with --admin")
        }
        io::ErrorKind::PermissionDenied => "\n  help: choose a port above 1023 with --admin".to_owned(),
        io::ErrorKind::AddrNotAvailable => "\n  help: choose an address of this machine with --admin".to_owned(),
        _ => String::new(),
    }
}

/// The process that listens on a port, if this one may see it.
fn listening_process(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| listening_inodes(table, port)).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let id = entry.file_name().into_string().ok()?;
        id.bytes().all(|byte| byte.is_ascii_digit()).then_some(id)
    });
    for id in processes {
        let open = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
        for file in open {
            let target = fs::read_link(file.path()).unwrap_or_default().display().to_string();
            if sockets.iter().any(|inode| target == format!("socket:[{inode}]")) {
                let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
                return Some(format!("`{}` (process {id})", name.trim()));
            }
        }
    }
    None
}

/// The inodes of the sockets in a table of `/proc/net` that listen on this port.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    /// `TCP_LISTEN` of the kernel.
    const TCP_LISTEN: &str = "0A";
    let inode = |line: &str| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let is_port = local.rsplit_once(':').is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port));
        (is_port && state == TCP_LISTEN).then(|| fields.nth(5).map(str::to_owned))?
    };
    table.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn the_process_that_listens_is_found() {
        let name = fs::read_to_string("/proc/self/comm").expect("this process has a name");
        for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().expect("it is bound").port();
            let process = listening_process(port).expect("this process");
            assert!(process.contains(name.trim()) && process.contains(&std::process::id().to_string()), "{process}");
            drop(listener);
            assert_eq!(listening_process(port), None);
        }
    }
}
