//! The requests of HTTP/1 that are recorded: written by hand where a kind is known, and drawn where a kind is wide.
//!
//! Each case is the bytes of one client connection. Its last request is [`LAST`], so that the connection ends by itself
//! whatever became of those before; where a request is left unfinished, the client closes its sending direction instead.

mod bodies;
mod corpus;
mod fields;
mod heads;
mod routes;

use corpus::Corpus;
pub(crate) use corpus::{HOST, LAST, Listener, RequestCase};

/// All cases, in the same order each time.
pub(crate) fn all() -> Vec<RequestCase> {
    let mut corpus = Corpus::new();
    corpus.methods();
    corpus.targets();
    corpus.fields();
    corpus.connection_options();
    corpus.cookies();
    corpus.forwarding();
    corpus.hosts();
    corpus.routes();
    corpus.bodies();
    corpus.broken_framing();
    corpus.several_requests();
    corpus.versions();
    corpus.expectations();
    corpus.upgrades();
    corpus.trailers();
    corpus.large_heads();
    corpus.line_ends();
    corpus.early_ends();
    corpus.cases
}
