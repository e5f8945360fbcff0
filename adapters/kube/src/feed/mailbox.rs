//! What one wait is told, until it looks.

use crate::source::Observed;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// How many observations are kept for somebody who does not look.
const LONGEST: usize = 32;

/// The observations that one wait has not taken yet. Whoever delivers never waits for it.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    observed: VecDeque<Observed>,
    notice: Option<Notice>,
    /// Something did not fit in.
    overflowed: bool,
    waker: Option<Waker>,
}

/// What a mailbox holds beside observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Look again how long to wait: the watch is not what it was.
    Changed,
    /// Nobody feeds this mailbox any more.
    Closed,
}

/// What is taken out of a mailbox.
#[derive(Debug)]
pub(crate) enum Delivery {
    Observed(Observed),
    Notice(Notice),
    /// All that was kept is taken, and there was more: the pod must be read.
    Overflowed,
}

impl Mailbox {
    /// Puts an observation in. Of somebody who is far behind, only the pod's newest state is kept beside what came first;
    /// that may make an answer less certain, but never another.
    pub(crate) fn deliver(&self, observed: Observed) {
        self.change(|inside| {
            if inside.observed.len() < LONGEST {
                inside.observed.push_back(observed);
                return;
            }
            match (inside.observed.back_mut(), &observed) {
                (Some(Observed::Pod(last)), Observed::Pod(pod))
                    if last.pod.snapshot.uid == pod.pod.snapshot.uid =>
                {
                    *last = pod.clone();
                }
                _ => inside.overflowed = true,
            }
        });
    }

    pub(crate) fn notify(&self, notice: Notice) {
        self.change(|inside| {
            if inside.notice != Some(Notice::Closed) {
                inside.notice = Some(notice);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Inside)) {
        let waker = {
            let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut inside);
            inside.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next thing in the mailbox. Cancel-safe.
    pub(crate) async fn next(&self) -> Delivery {
        poll_fn(|context| {
            let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(observed) = inside.observed.pop_front() {
                if inside.observed.is_empty() {
                    // Most are empty for most of their time.
                    inside.observed = VecDeque::new();
                }
                return Poll::Ready(Delivery::Observed(observed));
            }
            if std::mem::take(&mut inside.overflowed) {
                return Poll::Ready(Delivery::Overflowed);
            }
            match inside.notice {
                Some(Notice::Closed) => return Poll::Ready(Delivery::Notice(Notice::Closed)),
                Some(Notice::Changed) => {
                    inside.notice = None;
                    return Poll::Ready(Delivery::Notice(Notice::Changed));
                }
                None => {}
            }
            if inside.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
                inside.waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::table::tests::{failure, pod};
    use crate::source::Via;
    use futures_util::FutureExt;

    /// What is in it, in short.
    fn taken(mailbox: &Mailbox) -> Vec<String> {
        let next = || mailbox.next().now_or_never();
        let brief = |delivery| {
            if let Delivery::Observed(Observed::Pod(pod)) = delivery {
                return pod.pod.snapshot.resource_version;
            }
            format!("{delivery:?}")
        };
        std::iter::from_fn(next).take(100).map(brief).collect()
    }

    #[test]
    fn what_came_first_and_the_newest_state_are_kept_for_who_does_not_look() {
        let mailbox = Mailbox::default();
        for version in 1..=100 {
            mailbox.deliver(pod("u", version));
        }
        let versions: Vec<String> = (1..32).chain([100]).map(|version| version.to_string()).collect();
        assert_eq!(taken(&mailbox), versions);
    }

    #[test]
    fn what_cannot_be_summed_up_makes_it_overflow() {
        for odd in [pod("another", 40), failure(503), Observed::NotFound(Via::Get)] {
            let mailbox = Mailbox::default();
            for version in 1..=32 {
                mailbox.deliver(pod("u", version));
            }
            mailbox.deliver(odd);
            mailbox.deliver(pod("u", 41));
            let taken = taken(&mailbox);
            assert_eq!((taken.len(), &*taken[31], &*taken[32]), (33, "41", "Overflowed"));
        }
    }

    #[test]
    fn nothing_follows_the_end_and_it_stays() {
        let mailbox = Mailbox::default();
        mailbox.notify(Notice::Changed);
        mailbox.deliver(pod("u", 1));
        mailbox.notify(Notice::Closed);
        mailbox.notify(Notice::Changed);
        let taken = taken(&mailbox);
        assert_eq!(&*taken[0], "1");
        assert!(taken.len() == 100 && taken[1..].iter().all(|word| word == "Notice(Closed)"), "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_is_woken_and_what_comes_while_nobody_looks_is_kept() {
        let mailbox = Mailbox::default();
        // Somebody looked and went away again.
        assert!(mailbox.next().now_or_never().is_none());
        let deliver = async {
            tokio::task::yield_now().await;
            mailbox.deliver(pod("u", 1));
            mailbox.deliver(pod("u", 2));
        };
        let (first, ()) = tokio::join!(mailbox.next(), deliver);
        assert!(matches!(first, Delivery::Observed(Observed::Pod(_))), "{first:?}");
        assert_eq!(taken(&mailbox), ["2"]);
    }
}
