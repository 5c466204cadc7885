//! Bytes of a request's body that are at hand.

use bytes::Bytes;

/// Bytes of a request's body that are at hand, in one slice or several: HTTP/2 brings them in frames, and an endpoint of
/// HTTP/1.1 gets several of them by one system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyBytes<'b> {
    first: &'b [u8],
    rest: &'b [Bytes],
    len: usize,
}

impl<'b> BodyBytes<'b> {
    /// The most slices.
    pub(crate) const SLICES_MAX: usize = 16;

    /// Bytes that begin with `first`. Those of `rest` beyond the most slices are left for later.
    pub(crate) fn new(first: &'b [u8], rest: &'b [Bytes]) -> Self {
        let rest = &rest[..rest.len().min(Self::SLICES_MAX - 1)];
        Self { first, rest, len: first.len() + rest.iter().map(Bytes::len).sum::<usize>() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, if they are one slice.
    pub(crate) fn single(&self) -> Option<&'b [u8]> {
        self.rest.is_empty().then(|| &self.first[..self.len])
    }

    /// The first `len` bytes.
    pub(crate) fn up_to(self, len: usize) -> Self {
        Self { len: self.len.min(len), ..self }
    }

    /// The slices, which are no more than [`BodyBytes::SLICES_MAX`].
    pub(crate) fn slices(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let mut left = self.len;
        let all = std::iter::once(self.first).chain(self.rest.iter().map(|bytes| &**bytes));
        all.map_while(move |slice| {
            let slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            (!slice.is_empty()).then_some(slice)
        })
    }
}

impl<'b> From<&'b [u8]> for BodyBytes<'b> {
    fn from(bytes: &'b [u8]) -> Self {
        Self { first: bytes, rest: &[], len: bytes.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices<'b>(bytes: &BodyBytes<'b>) -> Vec<&'b [u8]> {
        bytes.slices().collect()
    }

    #[test]
    fn a_beginning_ends_within_any_slice() {
        let rest = [Bytes::from_static(b"cd"), Bytes::from_static(b"efg")];
        let all = BodyBytes::new(b"ab", &rest);
        assert_eq!((all.len(), slices(&all)), (7, vec![&b"ab"[..], b"cd", b"efg"]));
        for (len, expected) in
            [(0, vec![]), (1, vec![&b"a"[..]]), (4, vec![b"ab", b"cd"]), (5, vec![b"ab", b"cd", b"e"])]
        {
            let beginning = all.up_to(len);
            assert_eq!((beginning.len(), beginning.is_empty(), slices(&beginning)), (len, len == 0, expected));
        }
        assert_eq!(slices(&all.up_to(100)), slices(&all));
        assert_eq!(all.up_to(1).up_to(7).len(), 1);
    }

    #[test]
    fn slices_have_a_bound_and_what_is_beyond_it_does_not_count() {
        let rest = vec![Bytes::from_static(b"xy"); 2 * BodyBytes::SLICES_MAX];
        let all = BodyBytes::new(b"a", &rest);
        assert_eq!((slices(&all).len(), all.len()), (BodyBytes::SLICES_MAX, 2 * BodyBytes::SLICES_MAX - 1));
        assert!(all.single().is_none());
        assert_eq!(BodyBytes::from(&b"abc"[..]).up_to(2).single(), Some(&b"ab"[..]));
    }
}
