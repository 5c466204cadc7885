//! Keeps the body of an answer while it passes to the client who has asked.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::cache::memory::MemoryShare;
use crate::cache::rules::Freshness;
use crate::cache::store::{Leading, RouteCache};
use crate::cache::stored::{SelectedBy, Stored, weight};
use crate::message::fields::Fields;

/// Room for the body of an answer whose length is not known.
const ROOM_MIN: usize = 16 * 1024;

/// An answer that is being kept. Dropped before its end, it leaves nothing behind, and those who wait go on.
#[derive(Debug)]
pub(crate) struct Recorder {
    cache: Arc<RouteCache>,
    key: Box<[u8]>,
    head: RecordedHead,
    body: Vec<u8>,
    /// Bytes of the body that the share has room for.
    room: usize,
    share: MemoryShare,
    changes_seen: u64,
    leading: Option<Leading>,
}

/// The head of an answer that is being kept.
#[derive(Debug)]
pub(crate) struct RecordedHead {
    pub(crate) status: StatusCode,
    pub(crate) reason_phrase: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) freshness: Freshness,
    pub(crate) selected_by: SelectedBy,
}

/// Where an answer is kept.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) cache: Arc<RouteCache>,
    pub(crate) key: Box<[u8]>,
    pub(crate) changes_seen: u64,
    pub(crate) leading: Option<Leading>,
}

impl Recorder {
    /// Begins to keep an answer whose body has this length, if that is known; none if there is no room.
    pub(crate) fn begin(head: RecordedHead, len: Option<usize>, to: Destination) -> Result<Self, Destination> {
        let room = len.unwrap_or(ROOM_MIN);
        let Some(share) = to.cache.memory.share(weight(&head.fields, room, &head.selected_by)) else { return Err(to) };
        if let Some(leading) = &to.leading {
            leading.is_keeping();
        }
        let Destination { cache, key, changes_seen, leading } = to;
        Ok(Self { cache, key, head, body: Vec::with_capacity(room), room, share, changes_seen, leading })
    }

    /// Takes a piece of the body. Returns whether there was room.
    pub(crate) fn push(&mut self, data: &[u8]) -> bool {
        let len = self.body.len() + data.len();
        if len > self.cache.body_max {
            if let Some(leading) = &self.leading {
                leading.not_kept(true);
            }
            return false;
        }
        if len > self.room {
            let room = (2 * self.room).max(len).min(self.cache.body_max);
            let weight = weight(&self.head.fields, room, &self.head.selected_by);
            let Some(share) = self.cache.memory.share(weight) else { return false };
            self.body.reserve_exact(room - self.body.len());
            (self.room, self.share) = (room, share);
        }
        self.body.extend_from_slice(data);
        true
    }

    /// Keeps the answer, whose whole body has come.
    pub(crate) fn finish(mut self) {
        let RecordedHead { status, reason_phrase, fields, freshness, selected_by } = self.head;
        if self.body.len() < self.room {
            self.body.shrink_to_fit();
            let weight = weight(&fields, self.body.len(), &selected_by);
            // Taken anew, since a share does not shrink; without room, the larger one stays.
            if let Some(share) = self.cache.memory.share(weight) {
                self.share = share;
            }
        }
        let body = Bytes::from(self.body);
        let stored = Stored { status, reason_phrase, fields, body, freshness, selected_by, _share: self.share };
        self.cache.keep(&self.key, Arc::new(stored), self.changes_seen);
    }
}
