//! Where the engine is, and what it knows us by.

use std::path::PathBuf;

/// Where the local API is, and the key of this bouncer.
#[derive(Clone, Debug)]
pub struct LapiSettings {
    /// The URL without a path, such as `http://crowdsec:8080`.
    pub url: Box<str>,
    /// The file with the key that `cscli bouncers add` has printed. It is read again after each failure, so that another
    /// key counts without a restart.
    pub key_file: PathBuf,
}
