//! The moves of the host and of the server, and where a walk begins.

use crate::promises::Promises;
use crate::server::{Answer, Outage, failure};
use crate::sim::Sim;
use crate::waiter::Decider;
use podwait_hub::{PodName, Scope, Via};
use std::rc::Rc;

/// The pod of a walk, and a pod without waits.
pub const POD: usize = 0;
pub const STRANGER: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Join,
    JoinMachine,
    JoinPolled,
    Leave,
    Create,
    Change,
    End,
    Delete,
    /// The pod ends and is deleted at the same time.
    EndDelete,
    /// The pod is deleted, and another one takes its name.
    Replace,
    /// The same, without a label.
    ReplaceUnlabelled,
    /// The next object of a watch cannot be read.
    Garble,
    LabelLost,
    LabelGained,
    /// Another pod of the scope comes or goes.
    Stranger,
    Compact,
    Bookmark,
    /// A backup from before the last two changes is restored.
    Restore,
    /// Every watch breaks.
    Cut,
    /// Every watch ends cleanly.
    Close,
    /// Every watch fails with 410.
    Expire,
    /// Every watch is half-open from now on.
    Mute,
    /// New connections are refused, and existing ones break.
    Down,
    /// No request is answered, and the watches are half-open.
    Hang,
    Failing,
    Proxy,
    Throttle,
    /// 403 for requests for the scope.
    Refuse,
    /// 403 for every watch.
    RefuseWatch,
    /// The next answers to reads take 400 ms.
    SlowReads,
    /// The next events take 400 ms.
    SlowEvents,
    /// The watch cache lags behind the store.
    Lag,
    /// All faults are over.
    Heal,
    Millis(u64),
}

/// Where a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A wait with its own watch.
    Own,
    /// A hub without a label selector.
    Hub,
    /// A hub with one.
    Labels,
    /// The same two with a server that refuses a LIST at the beginning of a watch.
    HubPages,
    LabelsPages,
    /// A hub of another namespace.
    Outside,
}

impl Place {
    pub fn sim(self) -> Sim {
        let namespace = if self == Self::Outside { "other" } else { "ci" };
        let names = Rc::new([PodName::new("ci", "pod"), PodName::new("ci", "stranger")]);
        let labels = matches!(self, Self::Labels | Self::LabelsPages).then(|| "podwait".into());
        let scope = Scope { namespace: Some(namespace.into()), labels };
        let scope = (self != Self::Own).then_some((scope, 10));
        let rate = scope.as_ref().map(|(_, rate)| *rate);
        let mut sim = Sim::new(scope, names, Promises::new(rate));
        sim.weather.refuses_watch_list = matches!(self, Self::HubPages | Self::LabelsPages);
        sim
    }
}

impl Sim {
    /// Whether a move changes anything.
    pub fn may(&self, step: Move, most: usize) -> bool {
        let pod = self.world.pods[POD].as_ref();
        let is_well = self.weather.outage == Outage::None;
        match step {
            Move::Join | Move::JoinMachine | Move::JoinPolled => self.waiters.len() < most,
            Move::Leave => !self.waiters.is_empty(),
            Move::Create => pod.is_none(),
            Move::Change | Move::Delete | Move::EndDelete | Move::Replace | Move::ReplaceUnlabelled => {
                pod.is_some()
            }
            Move::End => pod.is_some_and(|pod| !pod.is_over()),
            Move::LabelLost => pod.is_some_and(|pod| pod.is_labelled),
            Move::LabelGained => pod.is_some_and(|pod| !pod.is_labelled),
            Move::Compact => self.world.compacted < self.world.cached,
            Move::Cut | Move::Close | Move::Expire | Move::Bookmark => {
                self.open.values().any(|open| open.stream.is_some())
            }
            Move::Mute => {
                self.open.values().any(|open| open.stream.as_ref().is_some_and(|stream| !stream.is_muted))
            }
            Move::Down | Move::Hang | Move::Failing | Move::Proxy | Move::Throttle => is_well,
            Move::Refuse => is_well && !self.weather.refuses_scope,
            Move::RefuseWatch => is_well && !self.weather.refuses_watch,
            Move::SlowReads => is_well && self.weather.answers_take == 1,
            Move::SlowEvents => is_well && self.weather.events_take == 1,
            Move::Lag => !self.world.is_lagging,
            Move::Heal => !self.weather.is_fair() || self.world.is_lagging,
            Move::Restore | Move::Stranger | Move::Garble | Move::Millis(_) => true,
        }
    }

    /// Does a move, and lets a short time pass.
    pub fn go(&mut self, step: Move) {
        self.note(format!("# {step:?}"));
        match step {
            Move::Join => self.join(POD, true, Decider::simple()),
            Move::JoinMachine => self.join(POD, true, Decider::machine(None)),
            Move::JoinPolled => self.join(POD, false, Decider::simple()),
            Move::Leave => self.leave(0),
            Move::Create => self.world.create(POD, true),
            Move::Change => self.world.step_on(POD),
            Move::End => self.world.end(POD),
            Move::Delete => self.world.delete(POD),
            Move::EndDelete => {
                self.world.end(POD);
                self.world.delete(POD);
            }
            Move::Replace | Move::ReplaceUnlabelled => {
                self.world.delete(POD);
                self.world.create(POD, step == Move::Replace);
            }
            Move::Garble => self.garbles = true,
            Move::LabelLost => self.world.label(POD, false),
            Move::LabelGained => self.world.label(POD, true),
            Move::Stranger => match self.world.pods[STRANGER] {
                None => self.world.create(STRANGER, true),
                Some(_) => self.world.delete(STRANGER),
            },
            Move::Compact => self.world.compact(),
            Move::Bookmark => self.bookmark(),
            Move::Restore => {
                self.world.restore(2);
                self.hand_watches(&Answer::Failed(failure(Via::Watch, 0, false)));
            }
            Move::Cut => self.hand_watches(&Answer::Failed(failure(Via::Watch, 0, false))),
            Move::Close => self.hand_watches(&Answer::Ended),
            Move::Expire => self.hand_watches(&Answer::Failed(failure(Via::Watch, 410, true))),
            Move::Mute => self.mute(),
            Move::Down => {
                self.weather.outage = Outage::Refused;
                self.hand_watches(&Answer::Failed(failure(Via::Watch, 0, false)));
            }
            Move::Hang => {
                self.weather.outage = Outage::Silent;
                self.mute();
            }
            Move::Failing => self.weather.outage = Outage::Failing,
            Move::Proxy => self.weather.outage = Outage::Proxy,
            Move::Throttle => self.weather.outage = Outage::Throttled(5),
            Move::Refuse => self.weather.refuses_scope = true,
            Move::RefuseWatch => self.weather.refuses_watch = true,
            Move::SlowReads => self.weather.answers_take = 400,
            Move::SlowEvents => self.weather.events_take = 400,
            Move::Lag => self.world.is_lagging = true,
            Move::Heal => self.heal(),
            Move::Millis(millis) => self.run(millis),
        }
        if let Move::Cut | Move::Close | Move::Expire | Move::Restore = step {
            self.promises.stirred(self.now);
        }
        self.publish();
        self.run(20);
    }
}

/// The log of a walk, from its beginning.
pub fn transcript(place: Place, moves: &[Move]) -> (Vec<String>, Option<(&'static str, String)>) {
    let mut sim = place.sim();
    sim.log = Some(Vec::new());
    for step in moves {
        if !sim.promises.has_broken() {
            sim.go(*step);
        }
    }
    if !sim.promises.has_broken() {
        sim.finish();
    }
    (sim.log.unwrap_or_default(), sim.promises.broken)
}

/// A walk in which every promise has to be kept, with either way to LIST.
#[track_caller]
pub fn walk(place: Place, moves: &[Move]) {
    match place {
        Place::Hub => walk(Place::HubPages, moves),
        Place::Labels => walk(Place::LabelsPages, moves),
        Place::Own | Place::HubPages | Place::LabelsPages | Place::Outside => {}
    }
    let (log, broken) = transcript(place, moves);
    if let Some((promise, details)) = broken {
        panic!("{place:?} {moves:?}\n{}\n{promise}: {details}", log.join("\n"));
    }
}
