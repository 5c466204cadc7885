//! One request and its answer, whichever HTTP version carries it.

use std::io;

use bytes::Bytes;

use super::h1::H1;
use super::h2::H2;

/// A request as it was received.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The method, as sent.
    pub method: String,
    /// The target, as sent; of HTTP/2 its `:path`.
    pub target: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub version: String,
    /// All fields in the order and case in which they came; of HTTP/2 `:authority` is the first.
    pub headers: Vec<(String, String)>,
    /// The peer's address and port.
    pub peer: String,
    /// The address and port that it came to.
    pub local: String,
}

impl Asked {
    /// The first field of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// One parameter of the query, without any decoding.
    pub fn query(&self, name: &str) -> Option<&str> {
        let query = self.target.split_once('?')?.1;
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// Where the answer goes and the request's body comes from.
pub(super) enum Exchange<'a> {
    H1(H1<'a>),
    H2(H2),
}

impl Exchange<'_> {
    /// The next part of the request's body.
    pub(super) async fn body(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::H1(h1) => h1.body().await,
            Self::H2(h2) => h2.body().await,
        }
    }

    /// An informational answer before the real one.
    pub(super) async fn hint(&mut self, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
        match self {
            Self::H1(h1) => h1.hint(status, headers).await,
            Self::H2(h2) => h2.hint(status, headers),
        }
    }

    /// The head of the answer; `length` none means that the end is only shown by the framing.
    pub(super) fn head(&mut self, status: u16, headers: &[(&str, &str)], length: Option<u64>) -> io::Result<()> {
        match self {
            Self::H1(h1) => {
                h1.head(status, headers, length);
                Ok(())
            }
            Self::H2(h2) => h2.head(status, headers, length),
        }
    }

    /// A part of the answer's body, written at once.
    pub(super) async fn send(&mut self, part: &[u8]) -> io::Result<()> {
        match self {
            Self::H1(h1) => h1.send(part).await,
            Self::H2(h2) => h2.send(part).await,
        }
    }

    /// The end of the answer.
    pub(super) async fn finish(&mut self, trailers: &[(&str, &str)]) -> io::Result<()> {
        match self {
            Self::H1(h1) => h1.finish(trailers).await,
            Self::H2(h2) => h2.finish(trailers),
        }
    }

    /// A whole answer with a text.
    pub(super) async fn text(&mut self, status: u16, kind: &str, text: &str) -> io::Result<()> {
        self.head(status, &[("content-type", kind)], Some(text.len() as u64))?;
        self.send(text.as_bytes()).await?;
        self.finish(&[]).await
    }

    /// Breaks the answer off so that it is seen to be broken.
    pub(super) fn cut(&mut self) -> io::Error {
        if let Self::H2(h2) = self {
            h2.reset();
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, "cut on request")
    }
}
