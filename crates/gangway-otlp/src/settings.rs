//! Where the collector is, and what it is sent.

use std::path::PathBuf;

use crate::sample_ratio::SampleRatio;

/// Where the collector is, and what it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtlpSettings {
    /// The URL to which the paths of the signals are added, such as `http://collector:4318`.
    pub url: Box<str>,
    /// A file with fields for each request, such as `Authorization`. It is read before each request, so that another key
    /// counts without a restart.
    pub headers_file: Option<PathBuf>,
    /// What is sent.
    pub signals: Signals,
    /// The part of the traces that begin here that is recorded.
    pub sample: SampleRatio,
    /// The name of this service.
    pub service: Box<str>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signals {
    /// Spans of requests.
    pub traces: bool,
    /// What `GET /metrics` answers.
    pub metrics: bool,
}
