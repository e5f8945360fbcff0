//! The table: the verdicts of many runs, by kind of life.

use crate::storm::Run;
use crate::storm::life::Kind;
use crate::storm::verdict::Verdict;
use crate::storm::way::Way;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The window in which bursts of requests are counted.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The verdicts of many runs.
#[derive(Clone, Debug, Default)]
pub struct Table {
    kinds: BTreeMap<Kind, Row>,
    ways: BTreeMap<Way, Row>,
    /// The seeds of the runs with a bad verdict, with that verdict.
    pub bad: Vec<(u64, Verdict)>,
}

/// The verdicts of some of these runs.
#[derive(Clone, Debug, Default)]
pub struct Row {
    verdicts: BTreeMap<Verdict, u64>,
    requests: Vec<usize>,
    /// With the seed of the first such run.
    burst: (usize, u64),
}

impl Table {
    /// Counts a run.
    pub fn add(&mut self, run: &Run) {
        let verdict = run.verdict();
        if verdict.is_bad() {
            self.bad.push((run.seed, verdict));
        }
        let way = self.ways.entry(run.way).or_default();
        let (requests, burst) = (run.ledger.requests.len(), run.ledger.burst(WINDOW));
        for row in [self.kinds.entry(run.story.kind).or_default(), way] {
            row.add(verdict, requests);
            row.take_burst((burst, run.seed));
        }
    }

    /// Adds the runs of another table.
    pub fn merge(&mut self, other: Self) {
        for (kind, row) in other.kinds {
            self.kinds.entry(kind).or_default().merge(row);
        }
        for (way, row) in other.ways {
            self.ways.entry(way).or_default().merge(row);
        }
        self.bad.extend(other.bad);
        self.bad.sort_unstable();
    }

    /// All runs.
    #[must_use]
    pub fn total(&self) -> Row {
        let mut total = Row::default();
        self.ways.values().for_each(|row| total.merge(row.clone()));
        total
    }

    /// The kinds of life of these runs.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.keys().copied()
    }
}

impl Row {
    /// The head of the rows that `Display` prints.
    pub const HEAD: &str = "runs | right | cut off | unseen | wrong | greener | lost | spurious | hung | requests p50 | p99 | max";

    /// Counts a run.
    pub fn add(&mut self, verdict: Verdict, requests: usize) {
        *self.verdicts.entry(verdict).or_default() += 1;
        self.requests.push(requests);
    }

    /// Adds the runs of another row.
    pub fn merge(&mut self, other: Self) {
        for (verdict, count) in other.verdicts {
            *self.verdicts.entry(verdict).or_default() += count;
        }
        self.requests.extend(other.requests);
        self.take_burst(other.burst);
    }

    /// The order of the threads must make no difference.
    fn take_burst(&mut self, (burst, seed): (usize, u64)) {
        if burst > self.burst.0 || burst == self.burst.0 && seed < self.burst.1 {
            self.burst = (burst, seed);
        }
    }

    /// How many runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.requests.len()
    }

    /// How many runs have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// The most requests in any [`WINDOW`] of any run, and the seed of that run.
    #[must_use]
    pub const fn burst(&self) -> (usize, u64) {
        self.burst
    }

    /// The number of requests that `percent` of the runs do not exceed.
    #[must_use]
    pub fn requests(&self, percent: usize) -> usize {
        let mut requests = self.requests.clone();
        requests.sort_unstable();
        let last = requests.len().saturating_sub(1);
        requests.get(last * percent / 100).copied().unwrap_or(0)
    }
}

/// As cells of Markdown.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Verdict::{CutOff, Greener, Hung, Lost, Right, Spurious, Unseen, Wrong};
        // An answer that is greener than the truth is also wrong.
        let wrong = self.count(Wrong) + self.count(Greener);
        write!(f, "{}", self.runs())?;
        for count in [self.count(Right), self.count(CutOff), self.count(Unseen), wrong] {
            write!(f, " | {count}")?;
        }
        for verdict in [Greener, Lost, Spurious, Hung] {
            write!(f, " | {}", self.count(verdict))?;
        }
        let percentiles = [50, 99, 100].map(|percent| self.requests(percent));
        write!(f, " | {} | {} | {}", percentiles[0], percentiles[1], percentiles[2])
    }
}

/// As Markdown.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| life | {} | in 10 s |", Row::HEAD)?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        let mut row = |name: &str, row: &Row| writeln!(f, "| {name} | {row} | {} |", row.burst.0);
        for (kind, counts) in &self.kinds {
            row(kind.name(), counts)?;
        }
        for (way, counts) in &self.ways {
            row(&format!("**{}**", way.name()), counts)?;
        }
        row("**all**", &self.total())
    }
}
