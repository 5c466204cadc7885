//! Logs of requests, endpoints and hosts.

pub(crate) mod access_log;
pub(crate) mod endpoint_log;
pub(crate) mod failure_log;
pub(crate) mod record;
pub(crate) mod request_log;
pub(crate) mod sink;
pub(crate) mod traefik_line;
pub(crate) mod unclaimed_hosts;
