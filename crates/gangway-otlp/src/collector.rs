//! What takes requests of OTLP.

use bytes::Bytes;

use crate::export_error::ExportError;

/// Takes requests of one signal.
pub(crate) trait Collector {
    /// Sends a request, and returns how many of its items the collector has rejected.
    async fn send(&self, request: Bytes) -> Result<u64, ExportError>;
}
