//! The table of the observations, and its confidence bounds.

use super::Weather;
use super::sight::Sight;
use super::way::Way;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The observations of many pods that ended in one way.
#[derive(Debug)]
pub struct Row {
    way: Way,
    weather: Weather,
    at_once: usize,
    nodes: usize,
    /// Pods that ended with an exit.
    pub ended: usize,
    /// The time between exit and cause, for each pod whose exit was published first.
    exposed: Vec<Duration>,
    /// How many ended without any sign of the cause.
    unmarked: usize,
    ends: BTreeMap<String, usize>,
}

/// The rows.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

impl Row {
    pub(super) const fn new(way: Way, weather: Weather, at_once: usize, nodes: usize) -> Self {
        Self {
            way,
            weather,
            at_once,
            nodes,
            ended: 0,
            exposed: Vec::new(),
            unmarked: 0,
            ends: BTreeMap::new(),
        }
    }

    /// Counts a pod.
    pub(super) fn add(&mut self, sight: &Sight) {
        let Some(end) = sight.end() else { return };
        *self.ends.entry(end.to_string()).or_default() += 1;
        if end.code.is_some() {
            self.ended += 1;
            self.exposed.extend(end.exposed_for);
            self.unmarked += usize::from(!end.is_marked);
        }
    }

    /// The kinds of ends, one on each line.
    #[must_use]
    pub fn ends(&self) -> String {
        self.ends.iter().map(|(end, count)| format!("{count:6}  {end}\n")).collect()
    }
}

impl Table {
    /// The head of the table, as Markdown.
    pub const HEAD: &str = "| way | kubelet's CPU | API server slower by | nodes | at once | ended with an exit | exit first | without a mark \
                            | 95 % bound |\n|---|---|---|---|---|---|---|---|---|";

    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// The total of all rows of these ways.
    #[must_use]
    pub fn total(&self, title: &str, ways: &[Way]) -> String {
        let rows = self.0.iter().filter(|row| ways.contains(&row.way));
        let (mut ended, mut exposed, mut unmarked) = (0, 0, 0);
        for row in rows {
            ended += row.ended;
            exposed += row.exposed.len();
            unmarked += row.unmarked;
        }
        format!("| **{title}** | | | | | {ended} | {exposed} | {unmarked} | {} |", bound(ended, exposed))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Weather { cpu, delay } = self.weather;
        write!(f, "| {} | {cpu} % | {delay} ms | {} | {} ", self.way.title(), self.nodes, self.at_once)?;
        write!(f, "| {} | {} | {} ", self.ended, self.exposed.len(), self.unmarked)?;
        writeln!(f, "| {} |", bound(self.ended, self.exposed.len()))?;
        let mut exposed = self.exposed.clone();
        exposed.sort_unstable();
        if let (Some(median), Some(longest)) = (exposed.get(exposed.len() / 2), exposed.last()) {
            writeln!(f, "exposed for {median:?} (median), {longest:?} (longest)")?;
        }
        Ok(())
    }
}

/// The upper bound of the true share with 95 % confidence, if none of `of` pods was exposed.
fn bound(of: usize, seen: usize) -> String {
    if of == 0 || seen > 0 {
        return String::from("-");
    }
    let of = u32::try_from(of).map_or(f64::INFINITY, f64::from);
    format!("{:.2} %", 100.0 * (1.0 - 0.05_f64.powf(1.0 / of)))
}

#[cfg(test)]
mod tests {
    use super::bound;

    #[test]
    fn the_bound_is_the_rule_of_three() {
        assert_eq!([bound(300, 0), bound(4, 0)], ["0.99 %", "52.71 %"]);
        assert_eq!([bound(0, 0), bound(300, 1)], ["-", "-"]);
    }
}
