//! What the reflector promises, checked with every step.

use crate::pod::Pod;
use crate::server::{read_of, wide};
use crate::sim::{Cause, Sim};
use crate::waiter::{End, GRACE, Waiter};
use podwait_hub::{ApiFailure, Observed, Request, Selection, Via};

/// How late a delivery may be.
const SLACK: u64 = 1_000;

/// A rate of requests per second, with a burst of twice as many.
#[derive(Clone, Debug)]
struct Bucket {
    rate: u64,
    /// Thousandths of a request.
    level: u64,
    at: u64,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate, level: 2_000 * rate, at: 0 }
    }

    fn take(&mut self, now: u64) -> bool {
        self.level = (self.level + (now - self.at) * self.rate).min(2_000 * self.rate);
        self.at = now;
        let is_there = self.level >= 1_000;
        self.level = self.level.saturating_sub(1_000);
        is_there
    }
}

/// The promise to do what the naive model says.
const MODEL: &str = "as the model says";

/// What a walk checks: `WALK_ONLY=model` or `WALK_ONLY=promises` checks only that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    Model,
    Promises,
    Both,
}

impl Checks {
    fn of_environment() -> Self {
        match std::env::var("WALK_ONLY").as_deref() {
            Ok("model") => Self::Model,
            Ok("promises") => Self::Promises,
            Ok(_) | Err(_) => Self::Both,
        }
    }
}

#[derive(Clone)]
pub struct Promises {
    pub checks: Checks,
    /// The first broken promise, with a fixed text, and its details.
    pub broken: Option<(&'static str, String)>,
    /// The requests for the scope alone, and all requests.
    scope: Bucket,
    all: Bucket,
    /// Until when the server has asked not to send requests.
    pub paused_until: u64,
    /// Since when the server has been healthy and no connection was disturbed.
    pub calm_since: u64,
}

impl Promises {
    /// For a hub with this rate; single waits have a rate of their own.
    pub fn new(rate: Option<u32>) -> Self {
        rate.map_or_else(|| Self::single(10), |rate| Self::of_rates(u64::from(rate), 11 * u64::from(rate)))
    }

    /// Without a hub, for pods with this rate together.
    pub fn single(all: u64) -> Self {
        Self::of_rates(0, all)
    }

    fn of_rates(scope: u64, all: u64) -> Self {
        Self {
            checks: Checks::of_environment(),
            broken: None,
            scope: Bucket::new(scope),
            all: Bucket::new(all),
            paused_until: 0,
            calm_since: 0,
        }
    }

    pub fn broken(&mut self, promise: &'static str, details: String) {
        if self.checks != Checks::Model || promise == MODEL {
            self.broken.get_or_insert((promise, details));
        }
    }

    pub fn has_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub fn stirred(&mut self, now: u64) {
        self.calm_since = now;
    }
}

/// What a watch is for: the pods, and the time that it is open.
fn purpose(request: &Request) -> Option<(&Selection, u32)> {
    match request {
        Request::Watch { selection, seconds, .. } | Request::WatchList { selection, seconds } => {
            Some((selection, *seconds))
        }
        Request::Get(_) | Request::List { .. } => None,
    }
}

impl Sim {
    pub fn break_promise(&mut self, promise: &'static str, details: String) {
        self.note(format!("BROKEN: {promise}: {details}"));
        self.promises.broken(promise, details);
    }

    /// The reflector does what the naive model says.
    pub fn check_model(&mut self) {
        if let Some(details) = self.reflector.disagreement() {
            let details = details.to_owned();
            self.break_promise(MODEL, details);
        }
    }

    /// Every wait gets a delivery in time.
    pub fn check_due(&mut self) {
        let pause = self.promises.paused_until;
        let late = self.waiters.iter().find(|waiter| waiter.due.max(pause).saturating_add(SLACK) < self.now);
        if let Some(late) = late {
            let details = format!("{:?} was due at {}, it is {}", late.id, late.due, self.now);
            self.break_promise("bounded", details);
        }
    }

    pub fn check_pause(&mut self, failure: &ApiFailure) {
        if let Some(pause) = failure.retry_after {
            let until = self.now + pause.as_millis() as u64;
            self.promises.paused_until = self.promises.paused_until.max(until);
        }
    }

    /// No burst beyond the rate, and no duplicate request.
    pub fn check_send(&mut self, request: &Request) {
        if wide(request).is_some() && !self.promises.scope.take(self.now) {
            self.break_promise("storm of the scope", format!("{request:?}"));
        }
        if !self.promises.all.take(self.now) {
            self.break_promise("storm", format!("{request:?}"));
        }
        if let Some(name) = read_of(&self.world, request)
            && self.open.values().any(|open| read_of(&self.world, &open.request) == Some(name))
        {
            self.break_promise("one read at a time", format!("{request:?}"));
        }
        if let Some(purpose) = purpose(request)
            && self.open.values().any(|open| self::purpose(&open.request) == Some(purpose))
        {
            self.break_promise("one watch for one purpose", format!("{request:?}"));
        }
    }

    /// The truth of a delivery.
    pub fn check_delivery(&mut self, index: usize, observed: &Observed<Pod>) {
        let waiter = &self.waiters[index];
        let broken = match observed {
            Observed::Pod(_, pod) | Observed::Deleted(pod) if pod.name != waiter.name => {
                Some("the right pod")
            }
            Observed::NotFound(_) => self.is_false_absence(waiter),
            Observed::Deleted(pod) => {
                // If a pod lost its label and is gone by now, the DELETED of a watch with a selector may not be its
                // end.
                let is_end = self.world.deleted.contains(pod)
                    || (self.world.deleted.iter().any(|gone| gone.uid == pod.uid)
                        && self.world.was_ever_unlabelled(pod));
                (!is_end).then_some("a deletion that was none")
            }
            Observed::Pod(Via::Watch, pod) => {
                let is_older = self.is_older(waiter, pod);
                (is_older && waiter.confirming_since.is_none()).then_some("older by watch")
            }
            Observed::Pod(_, pod) => self.is_false_read(waiter, pod),
            Observed::Failed(_) | Observed::Silence | Observed::Cancelled => None,
        };
        if let Some(promise) = broken {
            let details = format!("{:?} {observed:?} by {:?}", waiter.id, self.cause);
            self.break_promise(promise, details);
        }
    }

    fn is_false_absence(&self, waiter: &Waiter) -> Option<&'static str> {
        let Cause::Read(began) = self.cause else { return Some("an absence without a read") };
        let name = waiter.name;
        if !self.world.was_absent_since(name, began) {
            return Some("an absence that was none");
        }
        if !self.world.was_absent_since(name, began.max(waiter.joined)) {
            return Some("an absence before the join");
        }
        let seen = waiter.sight;
        (!self.world.was_absent_since(name, began.max(seen))).then_some("an absence before the last sight")
    }

    fn is_false_read(&self, waiter: &Waiter, pod: &Pod) -> Option<&'static str> {
        let Cause::Read(began) = self.cause else { return Some("a read without a read") };
        if !self.world.was_current_since(pod, began) {
            return Some("a read that none could see");
        }
        // An older object is the state after a restore, or a newer answer came first.
        let seen = waiter.sight;
        let is_older = self.is_older(waiter, pod);
        (is_older && !self.world.was_current_since(pod, began.max(seen))).then_some("an overtaken read")
    }

    /// Whether the wait has received a newer object, and no backup was restored since.
    fn is_older(&self, waiter: &Waiter, pod: &Pod) -> bool {
        waiter.seen.iter().any(|(newest, tick)| {
            newest.uid == pod.uid && newest.revision > pod.revision && *tick >= self.world.restored
        })
    }

    /// A final state that the server's history still has must be found.
    pub fn check_end(&mut self, index: usize, end: &End) {
        let waiter = &self.waiters[index];
        if *end == End::Known {
            return;
        }
        let Some(newest) = waiter.own() else { return };
        let Some(since) = waiter.confirming_since else { return };
        let is_calm = self.weather.is_fair()
            && self.promises.calm_since + 10_000 <= since
            && self.promises.paused_until <= since
            && !self.has_garbled
            && !self.world.is_lagging;
        let is_in_history = newest.revision >= self.world.compacted
            // If the hub's watch begins at a resourceVersion in the future, so does its probe.
            && self.world.restored == 0
            && self.world.deleted.iter().any(|pod| pod.uid == newest.uid);
        if *end == End::Gone && is_calm && is_in_history && waiter.may_watch && self.now >= since + GRACE {
            let details = format!("{:?} has seen {newest:?}", waiter.id);
            self.break_promise("the final state", details);
        }
    }
}
