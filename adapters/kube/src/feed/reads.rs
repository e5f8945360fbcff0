//! Which pods are to be read, in which order, and which not yet.

use crate::selection::PodName;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// A read that is due sooner than this is urgent: a decision waits for it. The others are for safety.
const URGENT: Duration = Duration::from_secs(10);

/// Reads that are to be sent.
#[derive(Default)]
pub(crate) struct Reads {
    /// The one first that was asked for with the least patience. So an urgent one overtakes the others, but none is
    /// overtaken for ever.
    queue: BTreeSet<Due>,
    /// Those that are put off, since what the last one found is kept back, by their time.
    put_off: BTreeSet<PutOff>,
    /// How many of the queue are urgent and would be spared by a LIST.
    listable: usize,
    asked: u64,
}

/// A read in the queue: by when, whether it is urgent and a LIST would spare it, a number that tells it from others, the
/// pod.
pub(crate) type Due = (Instant, bool, u64, PodName);

/// A read that is put off, since what the last one found is kept back: until when, the pod.
pub(crate) type PutOff = (Instant, PodName);

/// The read of one pod.
#[derive(Default)]
pub(crate) enum Read {
    #[default]
    None,
    Queued(Due),
    PutOff(PutOff),
    /// Whether it asks if the selector of the watch matches the pod.
    Sent(bool),
}

impl Reads {
    /// Puts a read in the queue.
    pub(crate) fn ask(&mut self, pod: &PodName, patience: Duration, would_be_listed: bool) -> Read {
        self.asked += 1;
        let is_listable = would_be_listed && patience < URGENT;
        let due = (Instant::now() + patience, is_listable, self.asked, pod.clone());
        self.listable += usize::from(is_listable);
        self.queue.insert(due.clone());
        Read::Queued(due)
    }

    /// Allows no read until that time.
    pub(crate) fn put_off(&mut self, pod: &PodName, until: Instant) -> Read {
        let put_off = (until, pod.clone());
        self.put_off.insert(put_off.clone());
        Read::PutOff(put_off)
    }

    /// Takes a read back.
    pub(crate) fn forget(&mut self, read: &Read) {
        match read {
            Read::Queued(due) => {
                self.queue.remove(due);
                self.listable -= usize::from(due.1);
            }
            Read::PutOff(put_off) => {
                self.put_off.remove(put_off);
            }
            Read::None | Read::Sent(_) => {}
        }
    }

    /// Takes the next one of the queue.
    pub(crate) fn next(&mut self) -> Option<PodName> {
        let (_, is_listable, _, pod) = self.queue.pop_first()?;
        self.listable -= usize::from(is_listable);
        Some(pod)
    }

    /// Takes one of those that were put off until now.
    pub(crate) fn next_put_off(&mut self, now: Instant) -> Option<PodName> {
        self.put_off.first().filter(|(until, _)| *until <= now)?;
        self.put_off.pop_first().map(|(_, pod)| pod)
    }

    /// When the next one of those is due.
    pub(crate) fn put_off_until(&self) -> Option<Instant> {
        self.put_off.first().map(|(until, _)| *until)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many decisions wait for a read that a LIST would spare.
    pub(crate) fn listable(&self) -> usize {
        self.listable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> PodName {
        PodName::new("ci", name)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_content_to_wait_is_overtaken_but_not_for_ever() {
        let (mut reads, seconds) = (Reads::default(), Duration::from_secs);
        reads.ask(&pod("patient"), seconds(30), true);
        reads.ask(&pod("urgent"), seconds(0), true);
        reads.ask(&pod("as urgent"), seconds(0), true);
        assert_eq!(reads.listable(), 2);
        tokio::time::advance(seconds(31)).await;
        reads.ask(&pod("late"), seconds(0), false);
        let order: Vec<String> =
            std::iter::from_fn(|| reads.next()).map(|pod| pod.name().to_owned()).collect();
        assert_eq!(order, ["urgent", "as urgent", "patient", "late"]);
        assert_eq!((reads.listable(), reads.is_empty()), (0, true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_off_comes_at_its_time_and_what_is_forgotten_never() {
        let mut reads = Reads::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let second = reads.put_off(&pod("b"), at(2));
        reads.put_off(&pod("a"), at(3));
        reads.put_off(&pod("c"), at(1));
        assert_eq!((reads.put_off_until(), reads.next_put_off(now)), (Some(at(1)), None));
        assert_eq!(reads.next_put_off(at(1)), Some(pod("c")));
        reads.forget(&second);
        assert_eq!(reads.put_off_until(), Some(at(3)));
        let queued = reads.ask(&pod("d"), Duration::ZERO, true);
        reads.forget(&queued);
        assert_eq!((reads.next(), reads.listable()), (None, 0));
    }
}
