//! Simulated wall time: what the API server and the kubelet write into timestamps.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z, the time at which every simulated cluster begins.
const EPOCH: i64 = 1_767_225_600;

/// Where the simulated time comes from.
#[derive(Debug)]
pub(crate) enum Clock {
    /// Tokio's clock, so that a paused runtime drives the cluster too.
    Tokio { born: Instant },
    /// Moved by the script: for a life that is only written down, without a runtime.
    Manual { age: Duration },
}

impl Clock {
    pub(crate) fn tokio() -> Self {
        Self::Tokio { born: Instant::now() }
    }

    pub(crate) fn manual() -> Self {
        Self::Manual { age: Duration::ZERO }
    }

    /// Moves a manual clock. Tokio's clock moves by itself.
    pub(crate) fn advance(&mut self, by: Duration) {
        match self {
            Self::Tokio { .. } => {}
            Self::Manual { age } => *age = age.saturating_add(by),
        }
    }

    /// How long the cluster has existed.
    pub(crate) fn age(&self) -> Duration {
        match self {
            Self::Tokio { born } => Instant::now().saturating_duration_since(*born),
            Self::Manual { age } => *age,
        }
    }

    /// Unix nanoseconds, as container runtimes write them into logs.
    pub(crate) fn nanos(&self) -> i128 {
        i128::from(EPOCH) * 1_000_000_000 + i128::try_from(self.age().as_nanos()).unwrap_or(0)
    }

    /// Unix seconds: `metav1.Time` has no fractions.
    pub(crate) fn now(&self) -> i64 {
        EPOCH.saturating_add_unsigned(self.age().as_secs())
    }
}

/// Writes Unix seconds as Kubernetes does.
pub(crate) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

/// Reads a timestamp that [`rfc3339`] wrote.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(|at| at.as_second())
}
