//! The host loop: it performs commands, delivers, wants, and lets time pass.

use crate::naive::Pair;
use crate::pod::Pod;
use crate::promises::{Checks, Promises};
use crate::server::{Answer, Listed, Open, Weather};
use crate::waiter::{Decider, Waiter, Wish};
use crate::world::World;
use podwait_core::Instant;
use podwait_hub::{Command, Confirms, Observed, PodName, RequestId, Scope, WaitId};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The source of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A consistent read that began at this tick.
    Read(u64),
    /// A watch, time, or the host.
    Other,
}

#[derive(Clone)]
pub struct Sim {
    pub now: u64,
    pub world: World,
    pub weather: Weather,
    pub reflector: Pair,
    pub open: BTreeMap<RequestId, Open>,
    /// Ended or closed, the latest last.
    pub over: Vec<RequestId>,
    pub lists: Vec<Listed>,
    pub waiters: Vec<Waiter>,
    queue: BTreeMap<(u64, u64), (RequestId, Answer)>,
    queued: u64,
    wake: Option<u64>,
    pub cause: Cause,
    pub promises: Promises,
    /// A log, if it is wanted.
    pub log: Option<Vec<String>>,
    /// Answers to closed requests are handed over too.
    pub hands_over_late: bool,
    /// The next object cannot be read.
    pub garbles: bool,
    /// An object could not be read; it may have been a final state.
    pub has_garbled: bool,
}

/// Writes a line of the log, if it is wanted.
macro_rules! note {
    ($sim:expr, $($arg:tt)*) => {
        if $sim.log.is_some() {
            let line = format!($($arg)*);
            $sim.note(line);
        }
    };
}
pub(crate) use note;

impl Sim {
    pub fn new(scope: Option<(Scope, u32)>, names: Rc<[PodName]>, promises: Promises) -> Self {
        let mut reflector = Pair::new(scope, names.clone());
        if promises.checks == Checks::Promises {
            reflector.compare_no_longer();
        }
        Self {
            now: 1_000,
            world: World::new(names),
            weather: Weather::default(),
            reflector,
            open: BTreeMap::new(),
            over: Vec::new(),
            lists: Vec::new(),
            waiters: Vec::new(),
            queue: BTreeMap::new(),
            queued: 0,
            wake: None,
            cause: Cause::Other,
            promises,
            log: None,
            hands_over_late: false,
            garbles: false,
            has_garbled: false,
        }
    }

    pub fn note(&mut self, line: String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{now:>7} {line}"));
        }
    }

    pub fn at(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    pub fn join(&mut self, name: usize, may_watch: bool, mut decider: Decider) {
        self.world.tick += 1;
        let id = self.reflector.join(self.at(), name, may_watch, decider.uid());
        note!(self, "join {} as {id:?}", self.world.names[name]);
        let wish = decider.start(self.now);
        self.waiters.push(Waiter {
            id,
            name,
            may_watch,
            uid: decider.uid().map(Into::into),
            decider,
            joined: self.world.tick,
            due: u64::MAX,
            confirming_since: None,
            seen: Vec::new(),
            sight: 0,
            last: None,
            end: None,
        });
        self.follow(self.waiters.len() - 1, wish);
        self.settle();
    }

    /// Removes a waiter that still waits.
    pub fn leave(&mut self, waiter: usize) {
        let waiter = self.waiters.remove(waiter);
        note!(self, "leave {:?}", waiter.id);
        self.reflector.leave(waiter.id);
        self.settle();
    }

    fn follow(&mut self, index: usize, wish: Wish) {
        note!(self, "  {:?} {wish:?}", self.waiters[index].id);
        let now = self.at();
        match wish {
            Wish::Again { after, is_confirming } => {
                let waiter = &mut self.waiters[index];
                waiter.due = self.now.saturating_add(after);
                let since = waiter.confirming_since.unwrap_or(self.now);
                waiter.confirming_since = is_confirming.then_some(since);
                let confirms = if is_confirming { Confirms::Deletion } else { Confirms::Nothing };
                self.reflector.want(now, waiter.id, Duration::from_millis(after), confirms);
            }
            Wish::Leave(end) => {
                self.check_end(index, &end);
                let waiter = &mut self.waiters[index];
                waiter.end = Some(end);
                self.reflector.leave(waiter.id);
            }
        }
    }

    /// Handles commands and deliveries until there are none.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let mut is_quiet = true;
            while let Some(command) = self.reflector.next_command() {
                is_quiet = false;
                self.perform(command);
            }
            while let Some((id, observed)) = self.reflector.next_delivery() {
                is_quiet = false;
                self.deliver(id, &observed);
            }
            let wake = self.reflector.poll(self.at()).map(Instant::as_millis);
            if is_quiet && wake == self.wake && wake.is_none_or(|wake| wake > self.now) {
                self.waiters.retain(|waiter| waiter.end.is_none());
                self.reflector.rests();
                return self.check_model();
            }
            self.wake = wake;
        }
        self.promises.broken("it never comes to rest", String::new());
        self.wake = None;
    }

    fn deliver(&mut self, id: WaitId, observed: &Observed<Pod>) {
        note!(self, "  deliver {id:?} {observed:?}");
        let Some(index) = self.waiters.iter().position(|waiter| waiter.id == id && waiter.end.is_none())
        else {
            self.promises.broken("delivered to a wait that has left", format!("{observed:?}"));
            return;
        };
        self.check_delivery(index, observed);
        let waiter = &mut self.waiters[index];
        let tick = self.world.tick;
        match observed {
            Observed::Pod(_, pod) | Observed::Deleted(pod) => {
                waiter.see(pod, tick);
            }
            Observed::NotFound(_) => waiter.last = Some(None),
            Observed::Failed(_) | Observed::Silence | Observed::Cancelled => {}
        }
        let wish = waiter.decider.on(self.now, observed);
        self.follow(index, wish);
    }

    fn perform(&mut self, command: Command) {
        note!(self, "  {command:?}");
        match command {
            Command::Send(id, request) => {
                self.check_send(&request);
                self.world.tick += 1;
                let mut open = Open { request, began: self.world.tick, stream: None };
                for (delay, answer) in self.weather.answer(&self.world, &mut open, &mut self.lists) {
                    self.enqueue(delay, id, answer);
                }
                if self.open.insert(id, open).is_some() || self.over.contains(&id) {
                    self.promises.broken("an id is used twice", format!("{id:?}"));
                }
            }
            Command::Close(id) => {
                if self.open.remove(&id).is_none() {
                    self.promises.broken("closed what is not under way", format!("{id:?}"));
                }
                self.over.push(id);
            }
        }
    }

    pub fn enqueue(&mut self, delay: u64, id: RequestId, answer: Answer) {
        self.queued += 1;
        self.queue.insert((self.now + delay, self.queued), (id, answer));
    }

    /// Lets that many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        loop {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let at = [next, self.wake].into_iter().flatten().min().filter(|at| *at <= end);
            let Some(at) = at else { break };
            self.now = self.now.max(at);
            self.check_due();
            if next.is_some_and(|next| next <= at)
                && let Some((_, (id, answer))) = self.queue.pop_first()
            {
                self.hand_over(id, answer);
            }
            self.settle();
            self.cause = Cause::Other;
            if self.promises.has_broken() {
                return;
            }
        }
        self.now = end;
        self.check_due();
    }
}
