//! The queue of reads.

use crate::registry::PodId;
use alloc::collections::BTreeSet;
use core::time::Duration;
use podwait_core::Instant;

/// A read that is due sooner than this is urgent: a decision waits for it. The other reads are periodic checks.
const URGENT: Duration = Duration::from_secs(10);

/// Reads that are to be sent, in the order of their due times. So an urgent read overtakes others, but each read is
/// sent in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    queue: BTreeSet<Due>,
    /// How many reads in the queue are urgent and could be replaced by a LIST.
    listable: usize,
    asked: u64,
}

/// A read in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    by: Instant,
    /// Distinguishes reads that are due at the same time.
    number: u64,
    pod: PodId,
    is_listable: bool,
}

impl Reads {
    /// Puts a read in the queue.
    pub(crate) fn ask(&mut self, now: Instant, pod: PodId, patience: Duration, would_be_listed: bool) -> Due {
        self.asked += 1;
        let is_listable = would_be_listed && patience < URGENT;
        let due = Due { by: now.after(patience), number: self.asked, pod, is_listable };
        self.listable += usize::from(is_listable);
        self.queue.insert(due);
        due
    }

    /// Removes a read from the queue.
    pub(crate) fn forget(&mut self, due: Due) {
        if self.queue.remove(&due) {
            self.listable -= usize::from(due.is_listable);
        }
    }

    /// Takes the next one of the queue.
    pub(crate) fn next(&mut self) -> Option<PodId> {
        let due = self.queue.pop_first()?;
        self.listable -= usize::from(due.is_listable);
        Some(due.pod)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many decisions wait for a read that a LIST could replace.
    pub(crate) const fn listable(&self) -> usize {
        self.listable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use alloc::vec::Vec;

    #[test]
    fn the_earliest_deadline_comes_first_and_none_is_overtaken_for_ever() {
        let mut ids: Table<PodId, ()> = Table::new();
        let pods: Vec<PodId> = (0..5).map(|_| ids.insert(())).collect();
        let (mut reads, seconds) = (Reads::default(), Duration::from_secs);
        let start = Instant::from_millis(1000);
        reads.ask(start, pods[0], seconds(30), true);
        reads.ask(start, pods[2], seconds(0), true);
        reads.ask(start, pods[1], seconds(0), true);
        let forgotten = reads.ask(start, pods[3], seconds(0), true);
        assert_eq!(reads.listable(), 3);
        reads.forget(forgotten);
        reads.forget(forgotten);
        assert_eq!(reads.listable(), 2);
        reads.ask(start.after(seconds(31)), pods[4], seconds(0), false);
        let order: Vec<PodId> = core::iter::from_fn(|| reads.next()).collect();
        assert_eq!(order, [pods[2], pods[1], pods[0], pods[4]]);
        assert_eq!((reads.listable(), reads.is_empty()), (0, true));
    }
    #[test]
    fn a_read_that_has_ten_seconds_is_not_urgent() {
        let mut ids: Table<PodId, ()> = Table::new();
        for (millis, listable) in [(9_999, 1), (10_000, 0)] {
            let mut reads = Reads::default();
            reads.ask(Instant::ZERO, ids.insert(()), Duration::from_millis(millis), true);
            assert_eq!(reads.listable(), listable, "{millis}");
        }
    }
}
