//! What a wait needs as time passes.

use super::entries::{How, Role, What};
use super::index::Topic;
use super::pod::{Coverage, Own};
use super::scope::{Lane, Link};
use super::story::Story;
use crate::pod::Pod;
use podwait_hub::{ApiFailure, Confirms, Observed, Via, WaitId};
use std::time::Duration;

/// A delivery may be later than a wait wants by this time, for a read that began in time.
pub const FINAL_READ: u64 = 1_000;
/// The first and the longest interval between two reads of a pod that does not change and is not watched, in
/// microseconds. It grows by half each time.
const INTERVALS: (u64, u64) = (500_000, 5_000_000);
/// A watch that has ended normally counts as open for this long, because it is about to be resumed.
const GOES_ON: u64 = 1_000;

/// What the last observation of a wait was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// There was none.
    Nothing,
    /// The server has refused the scope since.
    Refusal,
    /// The pod, which may be read again after so many microseconds if it is not watched.
    Object(u64),
    Absence,
    /// Anything else.
    Other,
}

impl<'a> Story<'a> {
    /// The last observation, from what was shown to the wait.
    fn last_of_wait(self, wait: WaitId) -> Last {
        let pod = self.pod_of(wait);
        let mut shown = self.about(Topic::Shown(wait), 0).rev().filter_map(|(place, what)| {
            let What::Shown { how, observed, .. } = what else { return None };
            let is_tick = *how == How::Late && self.before(place).confirms(wait);
            (!is_tick).then_some((place, observed))
        });
        let last = shown.next();
        let joined = self
            .last(Topic::Waits(pod), |what| matches!(what, What::Join { wait: other, .. } if *other == wait));
        // The entry after its own join is no refusal.
        let since = last.map(|(place, _)| place).max(joined.map(|joined| joined + 1)).unwrap_or(0);
        let is_refused = self.has_since(pod, since + 1, |what| matches!(what, What::Alone { .. }));
        match last {
            _ if is_refused => Last::Refusal,
            None => Last::Nothing,
            Some((_, Observed::NotFound(_))) => Last::Absence,
            Some((
                _,
                Observed::Deleted(_) | Observed::Failed(_) | Observed::Silence | Observed::Cancelled,
            )) => Last::Other,
            Some((_, Observed::Pod(_, object))) => {
                let is_same = |observed: &Observed<Pod>| matches!(observed, Observed::Pod(_, other) if other.revision == object.revision);
                let refused = self.last_of(pod, |what| matches!(what, What::Alone { .. })).unwrap_or(0);
                let same =
                    shown.take_while(|(place, observed)| *place > refused && is_same(observed)).count();
                let longer = |interval: u64, _| (interval * 3 / 2).min(INTERVALS.1);
                Last::Object((0..same.min(20)).fold(INTERVALS.0, longer))
            }
        }
    }

    /// When the pod has to be read for a wait, if its changes are noticed in this way.
    fn read_from(self, wait: WaitId, coverage: Coverage) -> Option<u64> {
        let (place, after, confirms) = self.want(wait)?;
        if confirms != Confirms::Nothing {
            return None;
        }
        let delay = match (self.last_of_wait(wait), coverage) {
            (Last::Nothing | Last::Refusal, Coverage::Watched | Coverage::Uncovered) => 0,
            (Last::Object(interval), Coverage::Pending | Coverage::Uncovered) => {
                (interval / 1_000).min(after)
            }
            (Last::Nothing | Last::Refusal | Last::Object(_) | Last::Absence | Last::Other, _) => after,
        };
        Some(self.at(place).saturating_add(delay))
    }

    /// When a wait has to have its next delivery, a final read aside.
    pub fn end(self, wait: WaitId) -> Option<u64> {
        let (place, after, _) = self.want(wait)?;
        Some(self.at(place).saturating_add(after))
    }

    /// Whether a read of the pod may be sent because a wait needs it by now, however its changes were noticed since
    /// the wait wanted it.
    pub fn may_be_due(self, pod: usize) -> bool {
        let now = self.now();
        self.waits(pod).1.into_iter().any(|wait| {
            let Some((place, ..)) = self.want(wait).filter(|_| self.pending(wait).is_empty()) else {
                return false;
            };
            let is_due = |coverage| self.read_from(wait, coverage).is_some_and(|from| from <= now);
            is_due(Coverage::Uncovered)
                && (is_due(Coverage::Listed)
                    || (place..=self.entries.len())
                        .rev()
                        .any(|end| is_due(self.before(end).coverage_or_none(pod))))
        })
    }

    /// The coverage, where the pod has a wait.
    fn coverage_or_none(self, pod: usize) -> Coverage {
        if self.has_waits(pod) { self.coverage(pod) } else { Coverage::Listed }
    }

    /// When the pod has to be read at the latest, however its changes are noticed now.
    pub fn must_be_read(self, pod: usize) -> Option<u64> {
        let coverage = self.coverage(pod);
        let waits = self.waits(pod).1.into_iter();
        waits
            .filter(|wait| self.pending(*wait).is_empty())
            .filter_map(|wait| self.read_from(wait, coverage))
            .min()
    }

    /// What a wait receives if time has passed and its pod was not read, or why it must not receive that.
    pub fn late(self, wait: WaitId, observed: &Observed<Pod>) -> Result<(), String> {
        let (Some(end), Some((_, _, confirms))) = (self.end(wait), self.want(wait)) else {
            return Err("it has wanted nothing".into());
        };
        if self.now() < end {
            return Err(format!("nothing is due before {end}"));
        }
        let pod = self.pod_of(wait);
        // A read that has begun has a second for its answer. One that replaces a dropped one has the time of that one.
        let since = self.last_of(pod, |what| matches!(what, What::Shown { how: How::News, .. })).unwrap_or(0);
        let mut sent =
            self.about(Topic::Pod(pod), since).filter(|(_, what)| matches!(what, What::Sent { .. }));
        let first =
            sent.find(|(place, _)| self.at(*place) + FINAL_READ > end).map(|(place, _)| self.at(place));
        let is_read = confirms == Confirms::Nothing && self.reading(pod).is_some();
        if first.is_some_and(|sent| is_read && self.now() < (end + FINAL_READ).min(sent + FINAL_READ)) {
            return Err(format!("a read is under way since {first:?}"));
        }
        let lane = if self.alone(pod).is_some() { Lane::Pods } else { Lane::Scope };
        let is_queued = self.reading(pod).is_none();
        let expected = match (confirms, self.pause(lane).filter(|_| is_queued)) {
            (Confirms::Deletion | Confirms::LostRecord, _) => Observed::Silence,
            (Confirms::Nothing, Some((until, failure))) => {
                let retry_after = Some(Duration::from_millis(until - self.now() + FINAL_READ));
                Observed::Failed(ApiFailure { retry_after, ..failure.clone() })
            }
            (Confirms::Nothing, None) => match self.last_of_wait(wait) {
                Last::Nothing | Last::Other => Observed::Silence,
                Last::Object(_) if is_queued && self.is_well_watched(pod) => Observed::Silence,
                Last::Object(_) | Last::Absence | Last::Refusal => {
                    Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"))
                }
            },
        };
        if is_same(&expected, observed) { Ok(()) } else { Err(format!("it should be {expected:?}")) }
    }

    /// Whether the watch would show a change of the pod, and the server answers.
    fn is_well_watched(self, pod: usize) -> bool {
        if self.alone(pod).is_some() {
            let is_open = self.open(Role::OwnWatch(pod)).is_some_and(|call| call.opened.is_some());
            return matches!(self.own(pod), Own::On(_)) && is_open && !self.is_failing(Some(pod));
        }
        let ended = self.last(Topic::Scope, |what| matches!(what, What::Watch { .. }));
        let goes_on = ended.is_some_and(|place| {
            let input = if matches!(self.what(place - 1), What::Current) { place - 2 } else { place - 1 };
            self.now() < self.at(place) + GOES_ON && matches!(self.what(input), What::Ended { .. })
        });
        let is_open = self.open_watch().is_some() || goes_on;
        matches!(self.link(), Link::On(_))
            && is_open
            && self.coverage(pod) == Coverage::Watched
            && !self.is_failing(None)
    }

    /// Whether the last call for the scope, or for the pod, failed.
    fn is_failing(self, of: Option<usize>) -> bool {
        let last = (0..self.entries.len()).rev().find_map(|place| {
            let what = self.what(place);
            let is_failure = matches!(what, What::Failed { .. } | What::Ended { .. });
            let (What::Failed { id, .. }
            | What::Ended { id }
            | What::Opened { id }
            | What::Event { id, .. }
            | What::Listed { id, .. }
            | What::Answer { id, .. }
            | What::Page { id, next: None, .. }) = what
            else {
                return None;
            };
            let call = self.call(*id)?;
            let story = self.before(place);
            let counts = match (call.role, of) {
                (Role::Watch, None) => {
                    !(matches!(what, What::Ended { .. }) && self.before(place + 1).ends_in_order(call))
                }
                (Role::Page | Role::WatchList, None) => !matches!(what, What::Opened { .. }),
                (Role::OwnWatch(pod), Some(of)) => {
                    pod == of
                        && !(matches!(what, What::Ended { .. }) && self.before(place + 1).ends_in_order(call))
                }
                (Role::Get(pod) | Role::Question(pod), _) => {
                    let is_of = match of {
                        None => story.alone(pod).is_none(),
                        Some(of) => of == pod && story.alone(pod).is_some(),
                    };
                    is_of && story.reading(pod).is_some_and(|read| read.id == *id)
                }
                (Role::Watch | Role::Page | Role::WatchList | Role::OwnWatch(_), _)
                | (Role::Probe | Role::OwnProbe(_), _) => false,
            };
            counts.then_some(is_failure)
        });
        last == Some(true)
    }
}

/// Whether two observations are the same, texts of failures aside.
pub fn is_same(one: &Observed<Pod>, other: &Observed<Pod>) -> bool {
    let (Observed::Failed(one), Observed::Failed(other)) = (one, other) else { return one == other };
    (one.via, one.code, one.is_status, one.retry_after)
        == (other.via, other.code, other.is_status, other.retry_after)
}
