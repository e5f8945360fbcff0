//! What goes wrong between the wait and the API server, and when.

use crate::storm::dice::Dice;
use podwait_sim::{Fault, FaultBody, RequestInfo, Verb};
use std::time::Duration;
use tokio::time::Instant;

/// How long a spell may still be felt after its end: the longest backoff (5 s) and a call that hangs (10 s).
const AFTERMATH: Duration = Duration::from_secs(15);

/// The longest `Retry-After` that is felt: then the policy's budget ends, and a last look is made whatever was asked.
const LONGEST_RETRY_AFTER: u64 = 900;

/// A spell of bad weather, in the run's time.
#[derive(Clone, Debug)]
pub struct Spell {
    /// Its begin.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// What it does.
    pub what: What,
}

/// What a spell does to the requests that come in during it, or to the connections that are open when it begins.
#[derive(Clone, Debug)]
pub enum What {
    /// No request is answered usefully; open watches break, or fall silent.
    Outage {
        /// What a request gets instead.
        fault: Fault,
        /// Open watches are told nothing.
        half_open: bool,
    },
    /// So many requests in a hundred get 429.
    Throttled {
        /// How many.
        percent: u64,
        /// `Retry-After`.
        retry_after: Option<u64>,
    },
    /// 401 or 403 for everything.
    Denied(u16),
    /// So many requests in a hundred fail, each in its own way.
    Flaky(u64),
    /// Answers take up to 12 s, longer than a call waits for them.
    Slow,
    /// Reads get an object as it was some writes ago.
    Stale,
    /// Every watch is cut, torn, silent, or expired.
    BadWatches,
    /// Watches are refused with this code, GETs are not.
    NoWatches(u16),
    /// Open watches end cleanly when it begins.
    Cut,
    /// Open watches break when it begins.
    Broken,
    /// Open watches fall silent when it begins: half-open connections.
    Silence,
    /// The history is compacted when it begins: watches that would need it get 410.
    Compaction,
}

/// All the weather of one run.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// In no order; they may overlap.
    pub spells: Vec<Spell>,
}

impl Weather {
    /// Draws weather by lot, most of it around `moments`, when the pod changes.
    pub fn draw(dice: &mut Dice, moments: &[Duration]) -> Self {
        let count = dice.weighted(&[(2, 0), (4, 1), (3, 2), (2, 3), (1, 5)]);
        let end = moments.last().copied().unwrap_or_default();
        let spells = (0..count).map(|_| {
            let (what, length) = what(dice);
            let from = if dice.chance(65) && !moments.is_empty() {
                dice.pick(moments).saturating_sub(dice.time(0, millis(length) + 1))
            } else {
                dice.time(0, millis(end) + 60_000)
            };
            Spell { from, to: from + length, what }
        });
        Self { spells: spells.collect() }
    }

    /// When reads may fail, or failures may still be felt: apart, in order.
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

    /// Whether some spell that harms reads reaches into this time.
    #[must_use]
    pub fn harms_reads(&self, from: Duration, to: Duration) -> bool {
        self.spells.iter().any(|spell| spell.harms_reads() && spell.from <= to && from <= spell.to)
    }

    /// Whether reads may have been stale from then to then.
    #[must_use]
    pub fn is_stale(&self, from: Duration, to: Duration) -> bool {
        let is_stale = |spell: &&Spell| matches!(spell.what, What::Stale);
        self.spells.iter().filter(is_stale).any(|spell| spell.from <= from && to <= spell.to)
    }

    /// When the history is compacted.
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
        // A server that answers nothing answers nothing stale either.
        let mut by_strength = spells.clone();
        by_strength.sort_by_key(|spell| !matches!(spell.what, What::Outage { .. } | What::Denied(_)));
        move |request| {
            let now = start.elapsed();
            let watches = request.verb == Verb::Watch;
            let mut active = by_strength.iter().filter(|spell| spell.from <= now && now < spell.to);
            let fault = active.find_map(|spell| spell.what.fault(watches, &mut dice));
            // A watch that begins well meets the next spell that breaks connections.
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
            What::Slow | What::Stale => true,
            What::BadWatches | What::NoWatches(_) | What::Cut | What::Broken => false,
            What::Silence | What::Compaction => false,
        }
    }

    fn shadow(&self) -> Option<(Duration, Duration)> {
        let retry_after = match self.what {
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
            | What::Compaction => 0,
        };
        let to = self.to + AFTERMATH + Duration::from_secs(retry_after);
        self.harms_reads().then_some((self.from, to))
    }
}

/// The `Retry-After` of a single 429.
const FLAKY_RETRY_AFTER: u64 = 7;

impl What {
    /// What a request that comes in meets.
    fn fault(&self, watches: bool, dice: &mut Dice) -> Option<Fault> {
        match self {
            Self::Outage { fault, .. } => Some(fault.clone()),
            Self::Throttled { percent, retry_after } => dice.chance(*percent).then(|| {
                let fault = Fault::status(429);
                retry_after.map_or(fault.clone(), |seconds| fault.retry_after(seconds))
            }),
            Self::Denied(code) => Some(Fault::status(*code)),
            Self::Flaky(percent) => dice.chance(*percent).then(|| failure(dice)),
            Self::Slow => Some(Fault::Delay(dice.time(0, 12_000))),
            Self::Stale => {
                let writes = usize::try_from(dice.below(4)).unwrap_or(0);
                (!watches && writes > 0).then_some(Fault::Stale { writes })
            }
            Self::BadWatches => watches.then(|| bad_watch(dice)),
            Self::NoWatches(code) => watches.then(|| Fault::status(*code)),
            Self::Cut | Self::Broken | Self::Silence | Self::Compaction => None,
        }
    }

    /// What a watch meets that is open when the spell begins, after this time.
    fn breaks(&self, after: Duration) -> Option<Fault> {
        match self {
            Self::Outage { half_open: true, .. } | Self::Silence => Some(Fault::SilentIn(after)),
            Self::Outage { half_open: false, .. } | Self::Broken => Some(Fault::ResetIn(after)),
            Self::Cut => Some(Fault::CutIn(after)),
            Self::Throttled { .. } | Self::Denied(_) | Self::Flaky(_) | Self::Slow | Self::Stale => None,
            Self::BadWatches | Self::NoWatches(_) | Self::Compaction => None,
        }
    }
}

fn what(dice: &mut Dice) -> (What, Duration) {
    let outage = |fault, half_open| What::Outage { fault, half_open };
    match dice.weighted(&[
        (6, 0),
        (3, 1),
        (2, 2),
        (3, 3),
        (2, 4),
        (3, 5),
        (1, 6),
        (2, 7),
        (2, 8),
        (1, 9),
        (2, 10),
    ]) {
        0 => {
            let page = FaultBody::Text(String::from("<html><h1>502 Bad Gateway</h1></html>"));
            let page = Fault::Status { code: 502, retry_after: None, body: page };
            let faults =
                [Fault::Reset, Fault::Hang, page, Fault::status(503), Fault::status(500), Fault::status(504)];
            let length =
                if dice.chance(85) { dice.skewed_time(500, 200_000) } else { dice.time(200_000, 600_000) };
            (outage(dice.pick(&faults), dice.chance(40)), length)
        }
        1 => {
            let retry_after =
                dice.pick(&[None, None, Some(0), Some(1), Some(5), Some(10), Some(60), Some(3600)]);
            let percent = dice.pick(&[30, 70, 100]);
            (What::Throttled { percent, retry_after }, dice.skewed_time(1000, 120_000))
        }
        2 => (What::Denied(dice.pick(&[401, 403])), dice.skewed_time(500, 120_000)),
        3 => (What::Flaky(dice.pick(&[10, 30, 60])), dice.skewed_time(2000, 300_000)),
        4 => (What::Slow, dice.skewed_time(2000, 120_000)),
        5 => (What::BadWatches, dice.skewed_time(5000, 1_200_000)),
        6 => (What::NoWatches(dice.pick(&[400, 403, 405])), dice.skewed_time(5000, 1_200_000)),
        7 => (dice.pick(&[What::Cut, What::Broken]), Duration::ZERO),
        8 => (What::Silence, Duration::ZERO),
        9 => (What::Compaction, Duration::ZERO),
        _ => (What::Stale, dice.skewed_time(1000, 60_000)),
    }
}

/// One request that fails.
fn failure(dice: &mut Dice) -> Fault {
    let text = |code: u16, text: &str| Fault::Status {
        code,
        retry_after: None,
        body: FaultBody::Text(text.to_owned()),
    };
    match dice.below(11) {
        0 => Fault::Reset,
        1 => Fault::Hang,
        2 => Fault::status(500),
        3 => Fault::status(503),
        4 => Fault::status(429).retry_after(FLAKY_RETRY_AFTER),
        5 => Fault::status(429),
        // Not this pod's absence: another kind's, and a proxy's.
        6 => Fault::status(404),
        7 => text(404, "404 page not found\n"),
        8 => text(502, "<html>"),
        9 => Fault::CutMidLine { events: 0 },
        _ => Fault::Delay(dice.time(0, 12_000)),
    }
}

/// One watch that is no good.
fn bad_watch(dice: &mut Dice) -> Fault {
    let events = usize::try_from(dice.below(4)).unwrap_or(0);
    match dice.below(12) {
        0 => Fault::CutAfter { events },
        1 => Fault::CutMidLine { events },
        2 => Fault::ResetAfter { events },
        3 => Fault::SilentAfter { events },
        4 => Fault::CutIn(dice.skewed_time(1, 100_000)),
        5 => Fault::ResetIn(dice.skewed_time(1, 100_000)),
        6 => Fault::SilentIn(dice.skewed_time(1, 100_000)),
        7 => Fault::status(410),
        8 => Fault::status(429).retry_after(dice.below(6)),
        9 => Fault::status(503),
        10 => Fault::Hang,
        _ => Fault::Delay(dice.time(0, 12_000)),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
