//! An answer that is kept.

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use crate::cache::memory::MemoryShare;
use crate::cache::rules::Freshness;
use crate::message::fields::{Field, Fields};
use crate::message::vary;

/// What an answer takes beside its bytes.
const OVERHEAD: usize = 512;

/// A whole answer to GET, as the application sent it: no middleware has changed or compressed it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) status: StatusCode,
    pub(crate) reason_phrase: Vec<u8>,
    /// Without `Age`, which is computed.
    pub(crate) fields: Fields,
    pub(crate) body: Bytes,
    pub(crate) freshness: Freshness,
    pub(crate) selected_by: SelectedBy,
    pub(crate) _share: MemoryShare,
}

impl Stored {
    /// Bytes in memory.
    pub(crate) fn weight(&self) -> usize {
        weight(&self.fields, self.body.len(), &self.selected_by)
    }

    pub(crate) fn etag(&self) -> Option<&[u8]> {
        self.fields.all_named(b"etag").next()
    }

    pub(crate) fn last_modified(&self) -> Option<&[u8]> {
        self.fields.all_named(b"last-modified").next()
    }

    /// How many seconds old it is.
    pub(crate) fn age_seconds(&self, now: Instant) -> u64 {
        self.freshness.age(now).as_secs()
    }

    /// The fields after the application has said that the answer still holds (RFC 9111, section 3.2). What describes the
    /// body stays: it is the body that was kept.
    pub(crate) fn fields_updated_by(&self, not_modified: &Fields) -> Fields {
        let is_taken = |field: &Field<'_>| {
            let name = field.name.to_ascii_lowercase();
            !(name.starts_with(b"content-")
                || matches!(&*name, b"age" | b"transfer-encoding" | b"set-cookie" | b"vary"))
        };
        let mut updated = Fields::default();
        updated.extend_from(&self.fields, |field| {
            !is_taken(&field) || not_modified.all_named(field.name).next().is_none()
        });
        updated.extend_from(not_modified, |field| is_taken(&field));
        updated
    }
}

/// The bytes that an answer takes in memory.
pub(crate) fn weight(fields: &Fields, body_len: usize, selected_by: &SelectedBy) -> usize {
    OVERHEAD + body_len + fields.wire_len() + selected_by.len()
}

/// The fields of the request by which the application has chosen an answer, as `Vary` names them, with their values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SelectedBy(Vec<(Box<[u8]>, FieldValue)>);

/// The values of all fields of a name as one; none if there is no such field.
type FieldValue = Option<Vec<u8>>;

impl SelectedBy {
    /// What an answer to this request was chosen by. An answer in a coding depends on which ones the client takes, whether
    /// it says so or not.
    pub(crate) fn of(answer: &Fields, request: &Fields) -> Self {
        let is_coded = answer.all_named(b"content-encoding").next().is_some();
        let named = vary::tokens(answer, b"vary").filter(|name| !name.is_empty()).map(<[u8]>::to_ascii_lowercase);
        let mut names: Vec<Vec<u8>> = named.chain(is_coded.then(|| b"accept-encoding".to_vec())).collect();
        names.sort_unstable();
        names.dedup();
        Self(
            names
                .into_iter()
                .map(|name| {
                    let value = value_of(request, &name);
                    (name.into(), value)
                })
                .collect(),
        )
    }

    /// Whether the answer is the one for this request.
    pub(crate) fn matches(&self, request: &Fields) -> bool {
        self.0.iter().all(|(name, value)| *value == value_of(request, name))
    }

    /// Appends the values that a request has in the same fields.
    pub(crate) fn append_values_of(&self, request: &Fields, key: &mut Vec<u8>) {
        for (name, _) in &self.0 {
            key.push(b'\n');
            key.extend_from_slice(name);
            if let Some(value) = value_of(request, name) {
                key.push(b':');
                key.extend_from_slice(&value);
            }
        }
    }

    fn len(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
}

fn value_of(fields: &Fields, name: &[u8]) -> FieldValue {
    let mut values = fields.all_named(name);
    let mut all = values.next()?.to_vec();
    for value in values {
        all.extend_from_slice(b", ");
        all.extend_from_slice(value);
    }
    Some(all)
}
