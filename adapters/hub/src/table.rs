//! Values by unique keys.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::num::NonZeroU64;
use core::ops::{Index, IndexMut};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The minimum capacity of a table.
const FEW: usize = 64;

/// A key of a table.
pub(crate) trait Key: Copy + Eq + core::hash::Hash {
    /// The key of this number. Not 0, so that an `Option` of a key is no larger.
    fn of(number: NonZeroU64) -> Self;
}

/// Declares types of keys.
macro_rules! keys {
    ($($(#[$doc:meta])* $visibility:vis struct $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name(core::num::NonZeroU64);

        impl crate::table::Key for $name {
            fn of(number: core::num::NonZeroU64) -> Self {
                Self(number)
            }
        }
    )+};
}
pub(crate) use keys;

/// Values by unique keys. The table releases memory when most of its values are gone.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    values: HashMap<K, Box<V>, FixedState>,
    given: u64,
}

impl<K: Key, V> Table<K, V> {
    pub(crate) fn new() -> Self {
        Self { values: HashMap::default(), given: 0 }
    }

    pub(crate) fn insert(&mut self, value: V) -> K {
        let key = K::of(NonZeroU64::MIN.saturating_add(self.given));
        self.given += 1;
        self.values.insert(key, Box::new(value));
        key
    }

    /// Stores a value under a key of another table.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.values.insert(key, Box::new(value));
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let value = self.values.remove(&key)?;
        if let Some(room) = smaller(self.values.len(), self.values.capacity()) {
            self.values.shrink_to(room);
        }
        Some(*value)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.values.get(&key).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.values.get_mut(&key).map(Box::as_mut)
    }

    pub(crate) fn contains_key(&self, key: K) -> bool {
        self.values.contains_key(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.values.iter().map(|(key, value)| (*key, &**value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.values.keys().copied()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values().map(Box::as_ref)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.values_mut().map(Box::as_mut)
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { values: HashMap::default(), given: 0 }
    }
}

/// The capacity for what is left, if most is gone: ten thousand ended waits must leave no memory behind.
pub(crate) const fn smaller(length: usize, capacity: usize) -> Option<usize> {
    if capacity > FEW && length < capacity / 4 { Some(length * 2) } else { None }
}

/// Takes the first element of a queue, which releases its memory when it is empty.
pub(crate) fn pop<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let value = queue.pop_front()?;
    if let Some(0) = smaller(queue.len(), queue.capacity()) {
        *queue = VecDeque::new();
    }
    Some(value)
}

/// For a key that is known to be in the table.
impl<K: Key, V> Index<K> for Table<K, V> {
    type Output = V;

    fn index(&self, key: K) -> &V {
        &self.values[&key]
    }
}

impl<K: Key, V> IndexMut<K> for Table<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        match self.values.get_mut(&key) {
            Some(value) => value,
            None => unreachable!("a key of this table"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    keys! {
        struct Id;
    }

    #[test]
    fn what_is_mostly_empty_becomes_smaller() {
        for (length, capacity, expected) in
            [(31, 128, Some(62)), (32, 128, None), (0, 128, Some(0)), (0, 65, Some(0)), (0, 64, None)]
        {
            assert_eq!(smaller(length, capacity), expected, "{length} of {capacity}");
        }
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut queue: VecDeque<usize> = (0..1_000).collect();
        assert!((0..999).all(|value| pop(&mut queue) == Some(value)) && queue.capacity() >= 1_000);
        assert_eq!((pop(&mut queue), queue.capacity(), pop(&mut queue)), (Some(999), 0, None));
    }

    #[test]
    fn keys_are_given_once_and_memory_is_given_back() {
        let mut table: Table<Id, u64> = Table::new();
        let keys: Vec<Id> = (0..10_000).map(|value| table.insert(value)).collect();
        assert_eq!((table[keys[7]], table.get(keys[9_999])), (7, Some(&9_999)));
        for key in &keys[1..] {
            assert!(table.remove(*key).is_some() && table.remove(*key).is_none());
        }
        assert!(table.values.capacity() <= 2 * FEW, "{}", table.values.capacity());
        let next = table.insert(1);
        assert!(!keys.contains(&next));
        assert_eq!(table.iter().count(), 2);
    }
}
