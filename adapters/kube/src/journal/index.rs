//! Values in the order of their insertion, with a fast lookup by key.

use std::collections::BTreeMap;

/// The values.
pub(super) struct Index<K, V> {
    /// Each value with its position in the order.
    values: BTreeMap<K, (u64, V)>,
    next_place: u64,
}

impl<K: Ord, V> Index<K, V> {
    pub(super) fn new() -> Self {
        Self { values: BTreeMap::new(), next_place: 0 }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    /// Inserts a value: it takes the position of an older one with the same key, or the last one. Returns the older
    /// value.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        self.values.insert(key, (self.next_place, value));
        self.next_place += 1;
        None
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.values.remove(key).map(|(_, value)| value)
    }

    /// Removes all values, and returns them in the order of insertion.
    pub(super) fn drain(&mut self) -> Vec<(K, V)> {
        let mut all: Vec<_> = std::mem::take(&mut self.values).into_iter().collect();
        all.sort_unstable_by_key(|(_, (place, _))| *place);
        all.into_iter().map(|(key, (_, value))| (key, value)).collect()
    }

    /// Keeps the values for whose keys the closure returns true. It is called in the order of insertion.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&K) -> bool) {
        for (key, value) in self.drain() {
            if is_kept(&key) {
                self.insert(key, value);
            }
        }
    }

    /// All values from a key on, in the order of keys.
    pub(super) fn starting_at<'a>(&'a self, key: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        self.values.range(key..).map(|(key, (_, value))| (key, value))
    }

    /// All values in the order of insertion.
    pub(super) fn in_order(&self) -> Vec<(&K, &V)> {
        let mut all: Vec<_> = self.values.iter().collect();
        all.sort_unstable_by_key(|(_, (place, _))| *place);
        all.into_iter().map(|(key, (_, value))| (key, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Index;
    use std::cell::Cell;
    use std::cmp::Ordering;

    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    #[derive(PartialEq, Eq)]
    struct Key(u64);

    impl Ord for Key {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Key {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    fn values_keep_their_place_when_they_change() {
        let mut index = Index::new();
        for key in [5, 3, 4] {
            assert_eq!(index.insert(Key(key), key), None);
        }
        assert_eq!(index.insert(Key(5), 50), Some(5));
        assert_eq!(index.remove(&Key(3)), Some(3));
        assert_eq!(index.insert(Key(3), 30), None);
        let values = |all: Vec<(&Key, &u64)>| all.into_iter().map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!(values(index.in_order()), [50, 4, 30]);
        assert_eq!(values(index.starting_at(&Key(4)).collect()), [4, 50]);
        assert_eq!((index.get(&Key(4)), index.get(&Key(6))), (Some(&4), None));
        index.retain(|key| key.0 != 4);
        assert_eq!(values(index.in_order()), [50, 30]);
        index.insert(Key(4), 4);
        assert_eq!(index.drain().into_iter().map(|(_, value)| value).collect::<Vec<_>>(), [50, 30, 4]);
        assert!(index.in_order().is_empty());
    }

    #[test]
    fn four_times_as_many_values_are_about_four_times_the_work() {
        let work = |n: u64| {
            COMPARED.set(0);
            let mut index = Index::new();
            for key in 0..n {
                // Keys out of order, so that the tree has to search.
                let key = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                index.insert(Key(key), key);
                assert_eq!(index.get(&Key(key)), Some(&key));
            }
            COMPARED.get()
        };
        let (once, four_times) = (work(1000), work(4000));
        assert!(four_times < 6 * once, "{once} and {four_times} comparisons");
    }
}
