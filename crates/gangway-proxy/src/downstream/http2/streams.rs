//! The streams of one connection that are served, all in the task of the connection.

use std::sync::Arc;
use std::task::{Context, Waker};

use crate::downstream::http2::stream_loop::{OpenStream, ServeRequests, StreamLoop};
use crate::downstream::http2::wakes::{ConnectionPart, Wakes};

/// The streams that have not ended. Dropped, they end at once: nothing of a connection outlives it.
#[derive(Debug)]
pub(super) struct Streams<S> {
    wakes: Arc<Wakes>,
    /// The streams by their place, and what wakes each.
    places: Vec<Option<StreamLoop<S>>>,
    wakers: Vec<Waker>,
    /// The places without a stream.
    free: Vec<usize>,
    /// Those to be polled, in a buffer that is used again.
    woken: Vec<u64>,
}

impl<S: ServeRequests> Streams<S> {
    pub(super) fn new(wakes: Arc<Wakes>) -> Self {
        Self { wakes, places: Vec::new(), wakers: Vec::new(), free: Vec::new(), woken: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a stream, which is served from the next poll on.
    pub(super) fn begin(&mut self, stream: OpenStream<S>) {
        let begun = Some(StreamLoop::begin(stream));
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place] = begun;
                place
            }
            None => {
                let place = self.places.len();
                self.places.push(begun);
                self.wakers.push(self.wakes.waker(ConnectionPart::Stream(place)));
                place
            }
        };
        self.wakes.note(ConnectionPart::Stream(place));
    }

    /// Polls those that were woken.
    pub(super) fn poll_woken(&mut self) {
        if !self.wakes.take_streams(&mut self.woken) {
            return;
        }
        for (word, mut bits) in self.woken.iter().copied().enumerate() {
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // A stream may be woken in the moment in which it ends.
                let Some(stream) = &mut self.places[place] else { continue };
                if stream.poll(&mut Context::from_waker(&self.wakers[place])).is_ready() {
                    self.free.push(place);
                    if let Some(ended) = self.places[place].take() {
                        ended.release();
                    }
                }
            }
        }
    }
}
