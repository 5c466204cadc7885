//! Collections of mostly one element, in as little memory as they need.
//!
//! A node of a B-tree has room for eleven elements from the first one on. Where nearly all of ten thousand collections
//! have one element, that is most of their memory.

use std::ops::Deref;

/// A map with few keys, sorted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FewMap<K, V>(Box<[(K, V)]>);

/// A set with few elements, sorted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FewSet<T>(Box<[T]>);

impl<K: Ord, V> FewMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.0.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// All keys with their values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// All values, in the order of the keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T> Default for FewSet<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

/// Of a key that occurs twice the last value counts.
impl<K: Ord, V> FromIterator<(K, V)> for FewMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        // Reversed and sorted stably, the last one of each key comes first and is the one that stays.
        entries.reverse();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        entries.dedup_by(|later, first| later.0 == first.0);
        Self(entries.into())
    }
}

impl<T: Ord> FromIterator<T> for FewSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements: Vec<T> = elements.into_iter().collect();
        elements.sort_unstable();
        elements.dedup();
        Self(elements.into())
    }
}

impl<T: Ord> FewSet<T> {
    /// Whether the element is among them.
    pub fn contains(&self, element: &T) -> bool {
        self.0.binary_search(element).is_ok()
    }
}

impl<T> Deref for FewSet<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'s, T> IntoIterator for &'s FewSet<T> {
    type Item = &'s T;
    type IntoIter = std::slice::Iter<'s, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_few_keys_are_as_in_a_tree(entries in proptest::collection::vec((0_u8..8, any::<u8>()), 0..12)) {
            let few: FewMap<u8, u8> = entries.iter().copied().collect();
            let tree: BTreeMap<u8, u8> = entries.iter().copied().collect();
            prop_assert!(few.iter().eq(&tree) && few.keys().eq(tree.keys()) && few.values().eq(tree.values()));
            prop_assert_eq!((few.len(), few.is_empty()), (tree.len(), tree.is_empty()));
            for key in 0..9 {
                prop_assert_eq!(few.get(&key), tree.get(&key));
            }
            let (few, tree): (FewSet<u8>, BTreeSet<u8>) =
                (few.values().copied().collect(), tree.values().copied().collect());
            prop_assert!(few.iter().eq(&tree));
            for element in 0..=u8::MAX {
                prop_assert_eq!(few.contains(&element), tree.contains(&element));
            }
        }
    }
}
