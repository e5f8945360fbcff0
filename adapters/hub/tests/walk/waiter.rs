//! The host's side of a wait, and what it wants next.

use crate::pod::{CODE, Pod};
use podwait_core::{ApiError, Decision, Input, Instant, Policy, RetryReason, WaitMachine};
use podwait_hub::{Observed, Via, WaitId};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a deletion is confirmed.
pub const GRACE: u64 = 3_000;
/// How long a wait without news needs no delivery.
pub const STEADY: u64 = 30_000;

/// What a wait does after a delivery.
#[derive(Clone, Debug)]
pub enum Wish {
    Again { after: u64, is_confirming: bool },
    Leave(End),
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It saw the final object, or the deletion.
    Known,
    /// It received only the absence.
    Gone,
    /// It failed after too many errors.
    Failed,
}

/// What decides for a wait.
#[derive(Clone, Debug)]
pub enum Decider {
    Simple(Simple),
    Machine(Rc<WaitMachine>),
}

/// The simplest possible wait.
#[derive(Clone, Debug, Default)]
pub struct Simple {
    uid: Option<String>,
    confirming_since: Option<u64>,
    failures: u32,
}

impl Decider {
    pub fn simple() -> Self {
        Self::Simple(Simple::default())
    }

    pub fn machine(uid: Option<&str>) -> Self {
        let policy =
            Policy::builder().gone_grace(Duration::from_millis(GRACE)).build().expect("a good policy");
        let machine = WaitMachine::new(Arc::new(policy)).container("step");
        Self::Machine(Rc::new(match uid {
            Some(uid) => machine.uid(uid),
            None => machine,
        }))
    }

    /// The uid of its pod.
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::Simple(simple) => simple.uid.as_deref(),
            Self::Machine(machine) => machine.pod_uid(),
        }
    }

    pub fn start(&mut self, now: u64) -> Wish {
        match self {
            Self::Simple(_) => Wish::Again { after: STEADY, is_confirming: false },
            Self::Machine(_) => self.on(now, &Observed::Silence),
        }
    }

    pub fn on(&mut self, now: u64, observed: &Observed<Pod>) -> Wish {
        match self {
            Self::Simple(simple) => simple.on(now, observed),
            Self::Machine(machine) => on_machine(Rc::make_mut(machine), now, observed),
        }
    }
}

impl Simple {
    fn on(&mut self, now: u64, observed: &Observed<Pod>) -> Wish {
        let is_mine = |pod: &Pod| self.uid.as_ref().is_none_or(|uid| *uid == pod.uid);
        match observed {
            Observed::Pod(_, pod) | Observed::Deleted(pod) if is_mine(pod) && pod.is_over() => {
                Wish::Leave(End::Known)
            }
            Observed::Deleted(pod) if is_mine(pod) => Wish::Leave(End::Known),
            Observed::Pod(via, pod) if is_mine(pod) => {
                self.uid = Some(pod.uid.clone());
                self.failures = 0;
                if *via != Via::Watch {
                    self.confirming_since = None;
                }
                self.go_on(now)
            }
            Observed::NotFound(_) | Observed::Pod(..) if self.uid.is_some() => {
                self.confirming_since.get_or_insert(now);
                self.go_on(now)
            }
            Observed::NotFound(_) | Observed::Failed(_) if self.confirming_since.is_none() => {
                self.failures += 1;
                let after = (100 << self.failures.min(6)).min(5_000);
                Wish::Again { after, is_confirming: false }
            }
            Observed::Pod(..)
            | Observed::Deleted(_)
            | Observed::NotFound(_)
            | Observed::Failed(_)
            | Observed::Silence
            | Observed::Cancelled => self.go_on(now),
        }
    }

    fn go_on(&self, now: u64) -> Wish {
        match self.confirming_since {
            None => Wish::Again { after: STEADY, is_confirming: false },
            Some(since) if now < since + GRACE => {
                Wish::Again { after: since + GRACE - now, is_confirming: true }
            }
            Some(_) => Wish::Leave(End::Gone),
        }
    }
}

fn on_machine(machine: &mut WaitMachine, now: u64, observed: &Observed<Pod>) -> Wish {
    let snapshot = match observed {
        Observed::Pod(_, pod) | Observed::Deleted(pod) => pod.snapshot(),
        Observed::NotFound(_) | Observed::Failed(_) | Observed::Silence | Observed::Cancelled => {
            Default::default()
        }
    };
    let input = match observed {
        Observed::Pod(Via::Watch, _) => Input::Snapshot(&snapshot),
        Observed::Pod(..) => Input::Read(&snapshot),
        Observed::Deleted(_) => Input::Deleted(&snapshot),
        Observed::NotFound(_) => Input::NotFound,
        Observed::Failed(failure) => Input::ApiError(ApiError {
            code: failure.code,
            is_status: failure.is_status,
            retry_after: failure.retry_after,
            message: &failure.message,
        }),
        Observed::Silence | Observed::Cancelled => Input::Tick,
    };
    match machine.handle(Instant::from_millis(now), input) {
        Decision::Retry { after, why } => Wish::Again {
            after: after.as_millis() as u64,
            is_confirming: why == RetryReason::ConfirmingDeletion,
        },
        Decision::Done(exit) => {
            assert_eq!(exit.code, CODE, "a code that no step had");
            Wish::Leave(End::Known)
        }
        Decision::Fail(_) if matches!(observed, Observed::Deleted(_)) => Wish::Leave(End::Known),
        Decision::Fail(failure) if failure.reason.as_str().contains("api") => Wish::Leave(End::Failed),
        Decision::Fail(_) => Wish::Leave(End::Gone),
    }
}

/// A wait that has joined.
#[derive(Clone, Debug)]
pub struct Waiter {
    pub id: WaitId,
    pub name: usize,
    pub may_watch: bool,
    /// The uid of its pod, if it was known when it joined.
    pub uid: Option<String>,
    pub decider: Decider,
    /// The tick of its joining.
    pub joined: u64,
    /// When the next delivery is due.
    pub due: u64,
    /// Since when it has confirmed a deletion, without a break.
    pub confirming_since: Option<u64>,
    /// The last object of every uid and the tick of its delivery. The first uid is its own where none was known.
    pub seen: Vec<(Pod, u64)>,
    /// The tick of the last delivery of an object.
    pub sight: u64,
    /// The last delivery that describes the pod; `Some(None)` for its absence.
    pub last: Option<Option<Pod>>,
    pub end: Option<End>,
}

impl Waiter {
    /// The last object of its own pod.
    pub fn own(&self) -> Option<&Pod> {
        let mut seen = self.seen.iter().map(|(pod, _)| pod);
        match &self.uid {
            Some(uid) => seen.find(|pod| pod.uid == *uid),
            None => seen.next(),
        }
    }

    /// Records a delivered object.
    pub fn see(&mut self, pod: &Pod, tick: u64) {
        self.last = Some(Some(pod.clone()));
        self.sight = tick;
        match self.seen.iter_mut().find(|(seen, _)| seen.uid == pod.uid) {
            Some(seen) => *seen = (pod.clone(), tick),
            None => self.seen.push((pod.clone(), tick)),
        }
    }
}
