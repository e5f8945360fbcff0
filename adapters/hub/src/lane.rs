//! Requests of two kinds, each with a rate and a queue of its own.

use crate::rate::RateLimiter;
use crate::reads::Reads;
use core::ops::{Index, IndexMut};
use podwait_core::Instant;

/// Concurrent reads for the scope: enough for the usual rate if each read takes a second.
const READS_AT_ONCE: usize = 16;

/// A kind of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Requests for the scope.
    Shared,
    /// Requests for single pods.
    Own,
}

/// The requests of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) reads: Reads,
    pub(crate) rate: RateLimiter,
    /// The time that the rate limiter reserved for the next request.
    pub(crate) slot: Option<Instant>,
    /// Reads that are under way, and how many there may be.
    pub(crate) in_flight: usize,
    pub(crate) most: usize,
}

/// The requests of both kinds.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    shared: Traffic,
    own: Traffic,
}

impl Lanes {
    pub(crate) fn new(shared: RateLimiter, own: RateLimiter) -> Self {
        let traffic = |rate, most| Traffic { reads: Reads::default(), rate, slot: None, in_flight: 0, most };
        Self { shared: traffic(shared, READS_AT_ONCE), own: traffic(own, usize::MAX) }
    }
}

impl Index<Lane> for Lanes {
    type Output = Traffic;

    fn index(&self, lane: Lane) -> &Traffic {
        match lane {
            Lane::Shared => &self.shared,
            Lane::Own => &self.own,
        }
    }
}

impl IndexMut<Lane> for Lanes {
    fn index_mut(&mut self, lane: Lane) -> &mut Traffic {
        match lane {
            Lane::Shared => &mut self.shared,
            Lane::Own => &mut self.own,
        }
    }
}
