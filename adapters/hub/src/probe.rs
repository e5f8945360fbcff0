//! The final states of pods that are not found: a second, short watch from the resourceVersion where the pods were seen
//! last.
//!
//! A read that does not find a pod does not show how the pod ended, and neither does a LIST after an outage. The watch
//! that should have delivered the end may be dead, or did not exist. The API server keeps its history for some minutes
//! and sends it again.

use crate::call::RequestId;
use crate::link::{From, SHORTEST_REST};
use crate::name::parse_resource_version;
use alloc::string::{String, ToString};
use podwait_core::Instant;

/// How long the server is asked to keep the watch open, in seconds: longer than any confirmation, in case the watch is
/// not closed.
pub(crate) const SECONDS: u32 = 10;

/// A watch for final states.
#[derive(Clone, Debug, Default)]
pub(crate) enum Probe {
    /// No pod is missed.
    #[default]
    Off,
    /// To be opened at `at`, from `from`.
    Due { at: Instant, from: u64 },
    /// The answer is awaited.
    Opening { id: RequestId, from: u64 },
    /// Events arrive; the resourceVersion that they have reached.
    Open { id: RequestId, reached: String },
}

impl Probe {
    /// A pod that was at `from` is missed: probes from there. If no probe is under way, it does not begin before `at`.
    /// Returns a request that is not needed any more.
    pub(crate) fn listen(&mut self, from: u64, at: Instant) -> Option<RequestId> {
        match self {
            Self::Off => {
                *self = Self::Due { at, from };
                None
            }
            Self::Due { from: earlier, .. } => {
                *earlier = (*earlier).min(from);
                None
            }
            Self::Opening { id, from: earlier } => {
                if from >= *earlier {
                    return None;
                }
                let id = *id;
                *self = Self::Due { at, from };
                Some(id)
            }
            Self::Open { id, reached } => {
                // A new probe receives all events since then again.
                if from >= parse_resource_version(reached) {
                    return None;
                }
                let id = *id;
                *self = Self::Due { at, from };
                Some(id)
            }
        }
    }

    /// When the probe is to be opened.
    pub(crate) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Due { at, .. } => Some(*at),
            Self::Off | Self::Opening { .. } | Self::Open { .. } => None,
        }
    }

    /// Where the probe begins, if it is due.
    pub(crate) fn wanted(&self, now: Instant) -> Option<From> {
        match self {
            Self::Due { at, from } if *at <= now => Some(From::After(from.to_string())),
            Self::Due { .. } | Self::Off | Self::Opening { .. } | Self::Open { .. } => None,
        }
    }

    pub(crate) fn sent(&mut self, id: RequestId) {
        if let Self::Due { from, .. } = *self {
            *self = Self::Opening { id, from };
        }
    }

    pub(crate) fn opened(&mut self) {
        if let Self::Opening { id, from } = *self {
            *self = Self::Open { id, reached: from.to_string() };
        }
    }

    pub(crate) fn has_reached(&mut self, version: &str) {
        if let Self::Open { reached, .. } = self {
            reached.clear();
            reached.push_str(version);
        }
    }

    /// The probe ended early: one more, from where it was.
    pub(crate) fn ended(&mut self, now: Instant) {
        let from = match self {
            Self::Opening { from, .. } => *from,
            Self::Open { reached, .. } => parse_resource_version(reached),
            Self::Off | Self::Due { .. } => return,
        };
        *self = Self::Due { at: now.after(SHORTEST_REST), from };
    }

    /// The request of the probe, if it is under way.
    pub(crate) const fn request(&self) -> Option<RequestId> {
        match self {
            Self::Opening { id, .. } | Self::Open { id, .. } => Some(*id),
            Self::Off | Self::Due { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn id() -> RequestId {
        Table::<RequestId, ()>::new().insert(())
    }

    /// A probe from 7 that was sent.
    fn sent() -> Probe {
        let mut probe = Probe::Off;
        assert_eq!(probe.listen(7, at(10)), None);
        assert_eq!((probe.due(), probe.wanted(at(9))), (Some(at(10)), None));
        assert_eq!(probe.wanted(at(10)), Some(From::After("7".into())));
        probe.sent(id());
        assert_eq!((probe.due(), probe.wanted(at(10)), probe.request()), (None, None, Some(id())));
        probe
    }

    #[test]
    fn one_that_is_due_begins_at_the_earliest_place() {
        let mut probe = Probe::Off;
        for (from, earliest) in [(7, "7"), (9, "7"), (5, "5")] {
            assert_eq!(probe.listen(from, at(10)), None);
            assert_eq!(probe.wanted(at(10)), Some(From::After(earliest.into())));
        }
    }

    #[test]
    fn one_that_has_begun_later_begins_again() {
        for (reached, from, begins_again) in
            [(None, 7, false), (None, 6, true), (Some("9"), 9, false), (Some("9"), 8, true)]
        {
            let mut probe = sent();
            if let Some(version) = reached {
                probe.opened();
                probe.has_reached(version);
            }
            assert_eq!(probe.listen(from, at(20)), begins_again.then(id), "{reached:?} {from}");
            assert_eq!(probe.due(), begins_again.then_some(at(20)));
        }
    }

    #[test]
    fn one_that_ends_early_goes_on_where_it_was() {
        for (reached, from) in [(None, "7"), (Some("9"), "9")] {
            let mut probe = sent();
            if let Some(version) = reached {
                probe.opened();
                probe.has_reached(version);
            }
            probe.ended(at(50));
            assert_eq!((probe.due(), probe.request()), (Some(at(1_050)), None));
            assert_eq!(probe.wanted(at(1_050)), Some(From::After(from.into())));
        }
    }
}
