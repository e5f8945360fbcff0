//! The final state of pods that are not found: a second watch, for a moment, from where they were seen last.
//!
//! A read that does not find a pod does not say how it ended, and neither does a LIST after an outage. The watch that would have
//! brought it may be dead, or was not there. The API server keeps what happened, for some minutes, and sends it again.

use crate::call::RequestId;
use crate::link::{From, SHORTEST_REST};
use crate::name::parse_resource_version;
use alloc::string::{String, ToString};
use podwait_core::Instant;

/// How long the server is asked to keep the watch open, in seconds: longer than any confirmation lasts, should it not be closed.
pub(crate) const SECONDS: u32 = 10;

/// A watch for final states.
#[derive(Clone, Debug, Default)]
pub(crate) enum Probe {
    /// No pod is missed.
    #[default]
    Off,
    /// To be opened then, from there.
    Due { at: Instant, from: u64 },
    /// The answer is awaited.
    Opening { id: RequestId, from: u64 },
    /// Events come; the resourceVersion that they have reached.
    Open { id: RequestId, reached: String },
}

impl Probe {
    /// A pod that was at `from` is missed: listens from there, but not before that time where nothing is under way. Returns a
    /// request that is of no use any more.
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
                // What was sent since is sent again.
                if from >= parse_resource_version(reached) {
                    return None;
                }
                let id = *id;
                *self = Self::Due { at, from };
                Some(id)
            }
        }
    }

    /// When it is to be opened.
    pub(crate) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Due { at, .. } => Some(*at),
            Self::Off | Self::Opening { .. } | Self::Open { .. } => None,
        }
    }

    /// Where it is to begin, if it is to be opened by now.
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

    /// It ended before its time: once more, from where it was.
    pub(crate) fn ended(&mut self, now: Instant) {
        let from = match self {
            Self::Opening { from, .. } => *from,
            Self::Open { reached, .. } => parse_resource_version(reached),
            Self::Off | Self::Due { .. } => return,
        };
        *self = Self::Due { at: now.after(SHORTEST_REST), from };
    }

    /// Its request, if it is under way.
    pub(crate) const fn request(&self) -> Option<RequestId> {
        match self {
            Self::Opening { id, .. } | Self::Open { id, .. } => Some(*id),
            Self::Off | Self::Due { .. } => None,
        }
    }
}
