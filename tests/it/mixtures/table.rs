//! The results of all runs.

use podwait_tests::storm::table::Row;
use podwait_tests::storm::verdict::Verdict;
use podwait_tests::storm::way::Way;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A finished run.
pub(super) struct Run<K> {
    pub(super) seed: u64,
    pub(super) kind: K,
    pub(super) way: Way,
    pub(super) verdict: Verdict,
    pub(super) requests: usize,
    pub(super) faults: usize,
    pub(super) took: Duration,
    /// The printed story, if the verdict is bad.
    pub(super) story: String,
}

/// The results of many runs, by their kind of life.
pub(super) struct Table<K> {
    kinds: BTreeMap<K, (Row, Duration)>,
    ways: BTreeMap<Way, (Row, Duration)>,
    pub(super) faults: usize,
    /// The bad verdicts, with their seeds.
    pub(super) bad: Vec<(u64, Verdict)>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { kinds: BTreeMap::new(), ways: BTreeMap::new(), faults: 0, bad: Vec::new() }
    }
}

impl<K: Copy + Ord> Table<K> {
    pub(super) fn add(&mut self, run: &Run<K>) {
        let rows = [self.kinds.entry(run.kind).or_default(), self.ways.entry(run.way).or_default()];
        for (row, longest) in rows {
            row.add(run.verdict, run.requests);
            *longest = run.took.max(*longest);
        }
        self.faults += run.faults;
        if run.verdict.is_bad() {
            self.bad.push((run.seed, run.verdict));
        }
    }

    pub(super) fn total(&self) -> (Row, Duration) {
        let (mut all, mut longest) = (Row::default(), Duration::ZERO);
        for (row, took) in self.ways.values() {
            all.merge(row.clone());
            longest = longest.max(*took);
        }
        (all, longest)
    }
}

/// As Markdown.
impl<K: Copy + Ord + fmt::Display> fmt::Display for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| life | {} | longest wait |", Row::HEAD)?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        let mut row = |name: &str, (row, took): &(Row, Duration)| {
            writeln!(f, "| {name} | {row} | {} s |", took.as_secs())
        };
        for (kind, counts) in &self.kinds {
            row(&kind.to_string(), counts)?;
        }
        for (way, counts) in &self.ways {
            row(&format!("**{}**", way.name()), counts)?;
        }
        row("**all**", &self.total())
    }
}
