//! The choices for the log of the process. Those for the access log belong to the proxy.

/// The least severe level that is logged: `--log-level`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// The format of the process log: `--log-format`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}
