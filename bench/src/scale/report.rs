//! Results, as values, lines of JSON and a table.

use super::exit_code;
use super::metrics::Served;
use super::running::Answer;
use super::waiter::Waiter;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};

/// Delays in milliseconds. A delay is negative if the waiter answered before the writer had its response.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delays {
    /// The median.
    pub p50: f64,
    /// One in ten is longer.
    pub p90: f64,
    /// One in a hundred is longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Delays {
    /// The delays of these milliseconds; `None` if there are none.
    #[must_use]
    pub fn of(mut millis: Vec<f64>) -> Option<Self> {
        millis.sort_unstable_by(f64::total_cmp);
        let at = |percent| percentile(&millis, percent);
        Some(Self { p50: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }
}

/// The smallest of these sorted values that `percent` of them do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The waiter's name.
    pub waiter: String,
    /// How many pods there were.
    pub count: usize,
    /// Why the run was not completed.
    pub trouble: Option<String>,
    /// The time from the start of the waiter until it had observed all pods.
    pub attach_seconds: f64,
    /// The waiter's CPU time until then.
    pub attach_cpu_seconds: f64,
    /// The waiter's CPU time in total.
    pub cpu_seconds: f64,
    /// The waiter's peak of resident memory.
    pub peak_mib: f64,
    /// The waiter's requests to the API server.
    pub served: Served,
    /// The API server's CPU time meanwhile, including that for the writes.
    pub server_cpu_seconds: f64,
    /// The API server's peak of resident memory since its start.
    pub server_peak_mib: f64,
    /// Right answers.
    pub right: usize,
    /// Wrong answers, including errors.
    pub wrong: usize,
    /// Pods without an answer.
    pub missing: usize,
    /// The first answer that was wrong.
    pub first_wrong: Option<String>,
    /// The delays from the acceptance of the ends to the answers.
    pub delays: Option<Delays>,
    /// The size of a pod, in bytes of JSON.
    pub pod_bytes: usize,
}

impl Outcome {
    /// Compares the answers with the written ends.
    pub(super) fn judge(&mut self, answers: &[Answer], accepted: &[i128], waiter: Waiter) {
        let mut delays = Vec::new();
        let mut answered = vec![false; self.count];
        for answer in answers {
            let expected = waiter.knows_codes().then(|| exit_code(answer.number));
            let first =
                answered.get_mut(answer.number).is_some_and(|before| !std::mem::replace(before, true));
            if first && answer.code == Ok(expected) {
                self.right += 1;
                delays.extend(accepted.get(answer.number).map(|at| super::seconds(answer.at - at) * 1e3));
            } else {
                self.wrong += 1;
                self.first_wrong.get_or_insert_with(|| format!("{answer:?} instead of {expected:?}"));
            }
        }
        self.missing = answered.iter().filter(|answered| !**answered).count();
        self.delays = Delays::of(delays);
    }

    /// Whether the run was completed and every answer is right.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.trouble.is_none() && self.right == self.count && self.wrong == 0
    }
}

/// The head of the table.
pub const HEAD: &str = "\
| N | waiter | answers | delay p50 / p99 / max, ms | CPU, s | peak, MiB | GET / LIST / WATCH | received, MiB | API server: CPU, s | peak, MiB | attached after, s |
|---:|---|---|---|---:|---:|---|---:|---:|---:|---:|";

impl fmt::Display for Outcome {
    /// A row of the table.
    #[expect(clippy::cast_precision_loss, reason = "bytes are far from 2^53")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut answers = if self.right == self.count {
            String::from("all right")
        } else {
            format!("{} right", self.right)
        };
        for (count, what) in [(self.wrong, "wrong"), (self.missing, "missing")] {
            if count > 0 {
                write!(answers, ", {count} {what}")?;
            }
        }
        if let Some(trouble) = &self.trouble {
            write!(answers, " ({trouble})")?;
        }
        let delays = self.delays.map_or_else(
            || String::from("-"),
            |delays| format!("{:.1} / {:.1} / {:.1}", delays.p50, delays.p99, delays.max),
        );
        let served = &self.served;
        write!(f, "| {} | {} | {answers} | {delays} ", self.count, self.waiter)?;
        write!(f, "| {:.2} | {:.1} ", self.cpu_seconds, self.peak_mib)?;
        write!(f, "| {} / {} / {} ", served.get, served.list, served.watch)?;
        write!(f, "| {:.1} ", served.bytes as f64 / f64::from(1 << 20))?;
        write!(f, "| {:.1} | {:.0} ", self.server_cpu_seconds, self.server_peak_mib)?;
        write!(f, "| {:.1} |", self.attach_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Delays::of(hundred), Some(Delays { p50: 50.0, p90: 90.0, p99: 99.0, max: 100.0 }));
        assert_eq!(Delays::of(vec![7.0]), Some(Delays { p50: 7.0, p90: 7.0, p99: 7.0, max: 7.0 }));
        assert_eq!(Delays::of(Vec::new()), None);
    }

    #[test]
    fn answers_are_compared_with_the_written_ends() {
        let mut outcome = Outcome { count: 4, ..Outcome::default() };
        let answer = |number, code| Answer { number, at: 3_000_000, code };
        let wrong = exit_code(1) + 1;
        let answers =
            [answer(0, Ok(Some(0))), answer(1, Ok(Some(wrong))), answer(2, Err(String::from("no")))];
        outcome.judge(&answers, &[1_000_000; 4], Waiter::PerPod);
        assert_eq!((outcome.right, outcome.wrong, outcome.missing), (1, 2, 1));
        assert_eq!(outcome.delays.map(|delays| delays.max), Some(2.0));
        assert!(!outcome.is_good());
        assert!(outcome.to_string().contains("1 right, 2 wrong, 1 missing"), "{outcome}");
    }

    #[test]
    fn a_waiter_without_exit_codes_is_right_without_a_code() {
        let mut outcome = Outcome { count: 1, ..Outcome::default() };
        outcome.judge(&[Answer { number: 0, at: 0, code: Ok(None) }], &[0], Waiter::Limit);
        assert!(outcome.is_good());
    }
}
