//! Values that are one of a few words, and other plain texts.

use std::path::PathBuf;
use std::time::Duration;

use gangway_model::{Expose, NotASelector, Selector};
use gangway_otlp::{NotARatio, SampleRatio};
use gangway_proxy::{AccessLogFormat, AccessLogTarget, Limits};

use crate::settings::error::ValueError;
use crate::settings::log_options::{LogFormat, LogLevel};

/// Finds the word of a table that is written.
fn one_of<T: Copy, const N: usize>(text: &str, choices: &[(&str, T); N]) -> Result<T, ValueError> {
    let choice = choices.iter().find(|(word, _)| *word == text);
    choice.map(|(_, value)| *value).ok_or_else(|| ValueError::unknown_word(text, &choices.map(|(word, _)| word)))
}

pub(crate) fn switch(text: &str) -> Result<bool, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        other => Err(ValueError::unknown_word(other, &["true", "false"])),
    }
}

pub(crate) fn expose(text: &str) -> Result<Expose, ValueError> {
    match text {
        // The American spelling is accepted and not offered.
        "labeled" => Ok(Expose::Labelled),
        _ => one_of(text, &[("labelled", Expose::Labelled), ("all", Expose::All)]),
    }
}

pub(crate) fn log_level(text: &str) -> Result<LogLevel, ValueError> {
    const LEVELS: [(&str, LogLevel); 5] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    one_of(text, &LEVELS)
}

pub(crate) fn log_format(text: &str) -> Result<LogFormat, ValueError> {
    one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub(crate) fn access_log_format(text: &str) -> Result<AccessLogFormat, ValueError> {
    const FORMATS: [(&str, AccessLogFormat); 6] = [
        ("text", AccessLogFormat::Text),
        ("json", AccessLogFormat::Json),
        ("common", AccessLogFormat::Common),
        ("combined", AccessLogFormat::Combined),
        ("traefik", AccessLogFormat::Traefik),
        ("caddy", AccessLogFormat::Caddy),
    ];
    one_of(text, &FORMATS)
}

#[expect(clippy::unnecessary_wraps, reason = "every parser has this signature")]
pub(crate) fn access_log(text: &str) -> Result<AccessLogTarget, ValueError> {
    Ok(match text {
        "off" => AccessLogTarget::Off,
        "-" => AccessLogTarget::Stdout,
        file => AccessLogTarget::File(file.into()),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "every parser has this signature")]
pub(crate) fn path(text: &str) -> Result<PathBuf, ValueError> {
    Ok(PathBuf::from(text))
}

#[expect(clippy::unnecessary_wraps, reason = "every parser has this signature")]
pub(crate) fn text(text: &str) -> Result<Box<str>, ValueError> {
    Ok(text.into())
}

/// What a collector is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OtlpSignal {
    Traces,
    Metrics,
}

pub(crate) fn otlp_signal(text: &str) -> Result<OtlpSignal, ValueError> {
    one_of(text, &[("traces", OtlpSignal::Traces), ("metrics", OtlpSignal::Metrics)])
}

pub(crate) fn sample_ratio(text: &str) -> Result<SampleRatio, ValueError> {
    text.parse().map_err(|NotARatio| {
        ValueError::new("not a number from 0 to 1", "write the part of traces to record, such as `0.1` for every tenth")
    })
}

pub(crate) fn selector(text: &str) -> Result<Selector, ValueError> {
    Selector::parse(text).map_err(|NotASelector { note, help }| ValueError::new(note, help))
}

/// The memory of the process, in bytes.
pub(crate) fn memory(text: &str) -> Result<usize, ValueError> {
    let bytes = gangway_model::parse_size(text).map_err(|finding| ValueError::new(finding.note, finding.help))?;
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes >= Limits::MEMORY_MIN)
        .ok_or_else(|| ValueError::new("too little to serve anything", "write at least `64MiB`"))
}

pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    gangway_model::parse_duration(text).map_err(|finding| ValueError::new(finding.note, finding.help))
}
