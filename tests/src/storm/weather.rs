//! The faults between the wait and the API server, and their times.

mod what;

pub use what::What;

use crate::storm::dice::Dice;
use crate::storm::edition::Edition;
use podwait_sim::{Fault, RequestInfo, Verb};
use std::time::Duration;
use tokio::time::Instant;
use what::FLAKY_RETRY_AFTER;

/// How long a spell may have an effect after its end: the longest backoff (5 s) and a call that hangs (10 s).
const AFTERMATH: Duration = Duration::from_secs(15);

/// The longest `Retry-After` with an effect: then the policy's budget ends, and there is a last read in any case.
const LONGEST_RETRY_AFTER: u64 = 900;

/// A spell of bad weather, in the run's time.
#[derive(Clone, Debug)]
pub struct Spell {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// Its faults.
    pub what: What,
}

/// The namespace of pods that were not requested.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// All the weather of one run.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// The spells, in any order. They may overlap.
    pub spells: Vec<Spell>,
}

impl Weather {
    /// Draws weather, most of it around `moments`, at which the pod changes.
    pub fn draw(dice: &mut Dice, moments: &[Duration], edition: Edition) -> Self {
        let count = dice.weighted(&[(2, 0), (4, 1), (3, 2), (2, 3), (1, 5)]);
        let end = moments.last().copied().unwrap_or_default();
        let spells = (0..count).map(|_| {
            let (what, length) = match edition {
                Edition::Second if dice.chance(30) => what::later(dice),
                Edition::First | Edition::Second => what::what(dice),
            };
            let from = if dice.chance(65) && !moments.is_empty() {
                dice.pick(moments).saturating_sub(dice.time(0, millis(length) + 1))
            } else {
                dice.time(0, millis(end) + 60_000)
            };
            Spell { from, to: from + length, what }
        });
        Self { spells: spells.collect() }
    }

    /// The times in which reads may fail, or failures may still have an effect: disjoint and in order.
    #[must_use]
    pub fn shadows(&self) -> Vec<(Duration, Duration)> {
        let mut shadows: Vec<_> = self.spells.iter().filter_map(Spell::shadow).collect();
        shadows.sort_unstable();
        let mut apart: Vec<(Duration, Duration)> = Vec::new();
        for (from, to) in shadows {
            match apart.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => apart.push((from, to)),
            }
        }
        apart
    }

    /// Whether a spell that harms reads, or its `Retry-After`, overlaps this time.
    #[must_use]
    pub fn harms_reads(&self, from: Duration, to: Duration) -> bool {
        let reaches = |spell: &Spell| spell.from <= to && from <= spell.to + spell.retry_after();
        self.spells.iter().any(|spell| spell.harms_reads() && reaches(spell))
    }

    /// Whether watches fail at some time in this interval, while reads may succeed.
    #[must_use]
    pub fn harms_watches(&self, from: Duration, to: Duration) -> bool {
        let is_meant = |spell: &&Spell| {
            matches!(spell.what, What::BadWatches | What::NoWatches(_) | What::OneEvent | What::Broken)
        };
        self.spells.iter().filter(is_meant).any(|spell| spell.from <= to && from <= spell.to)
    }

    /// Whether reads may have been stale in this interval.
    #[must_use]
    pub fn is_stale(&self, from: Duration, to: Duration) -> bool {
        let is_stale = |spell: &&Spell| matches!(spell.what, What::Stale);
        self.spells.iter().filter(is_stale).any(|spell| spell.from <= from && to <= spell.to)
    }

    /// The times at which the history is compacted.
    pub fn compactions(&self) -> impl Iterator<Item = Duration> {
        self.spells.iter().filter(|spell| matches!(spell.what, What::Compaction)).map(|spell| spell.from)
    }

    /// The fault of each request, for [`podwait_sim::Faults::rule`], of a run that began at `start`.
    pub fn rule(
        &self,
        start: Instant,
        mut dice: Dice,
    ) -> impl FnMut(&RequestInfo) -> Option<Fault> + Send + 'static {
        let mut spells = self.spells.clone();
        spells.sort_by_key(|spell| spell.from);
        // A server that does not respond sends no stale objects either.
        let mut by_strength = spells.clone();
        by_strength.sort_by_key(|spell| !matches!(spell.what, What::Outage { .. } | What::Denied(_)));
        move |request| {
            let now = start.elapsed();
            let watches = request.verb == Verb::Watch;
            let mut active = by_strength.iter().filter(|spell| spell.from <= now && now < spell.to);
            let fault = active.find_map(|spell| spell.what.fault(request, &mut dice));
            // A watch that begins without a fault is broken by the next spell that breaks connections.
            fault.or_else(|| {
                let later = spells.iter().filter(|spell| watches && spell.from > now);
                later.filter_map(|spell| spell.what.breaks(spell.from.saturating_sub(now))).next()
            })
        }
    }
}

impl Spell {
    fn harms_reads(&self) -> bool {
        match self.what {
            What::Outage { .. } | What::Throttled { .. } | What::Denied(_) | What::Flaky(_) => true,
            What::Slow | What::Stale | What::Pages { .. } | What::Elsewhere(_) => true,
            What::BadWatches | What::NoWatches(_) | What::Cut | What::Broken => false,
            What::Silence | What::Compaction | What::OneEvent => false,
        }
    }

    /// How long a `Retry-After` may last after the spell.
    fn retry_after(&self) -> Duration {
        Duration::from_secs(match self.what {
            What::Throttled { retry_after, .. } => retry_after.unwrap_or(0).min(LONGEST_RETRY_AFTER),
            What::Flaky(_) => FLAKY_RETRY_AFTER,
            What::Outage { .. }
            | What::Denied(_)
            | What::Slow
            | What::Stale
            | What::BadWatches
            | What::NoWatches(_)
            | What::Cut
            | What::Broken
            | What::Silence
            | What::Compaction
            | What::Pages { .. }
            | What::Elsewhere(_)
            | What::OneEvent => 0,
        })
    }

    fn shadow(&self) -> Option<(Duration, Duration)> {
        let to = self.to + AFTERMATH + self.retry_after();
        self.harms_reads().then_some((self.from, to))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
