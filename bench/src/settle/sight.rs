//! The observations in all versions of one pod.

use k8s_openapi::api::core::v1::Pod;
use std::time::{Duration, Instant};

/// The observations of one pod.
///
/// For an object with exit 0 and without a cause (no terminal phase, no deletion, no reason, no DisruptionTarget) the
/// verdict is `Done(0)`, unless the policy has a `settle` time. That time must be at least the time until the cause is
/// published. For an object with a terminal phase and without a cause the verdict is `Done(0)` under every policy.
#[derive(Debug, Default)]
pub struct Sight {
    has_started: bool,
    /// Since when the exit was published without its cause.
    exposed: Option<Instant>,
    end: Option<End>,
}

/// The first conclusive version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The exit code, if the pod had one.
    pub code: Option<i32>,
    phase: String,
    reason: String,
    disruption: String,
    /// How long the exit was published without its cause before.
    pub exposed_for: Option<Duration>,
    /// Whether the object shows that the step did not end by itself.
    pub is_marked: bool,
}

impl Sight {
    /// Whether the step ran.
    #[must_use]
    pub const fn has_started(&self) -> bool {
        self.has_started
    }

    /// Whether there was a conclusive version.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// The conclusive version.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Examines a version.
    pub fn see(&mut self, pod: &Pod) {
        let Some(status) = pod.status.as_ref().filter(|_| self.end.is_none()) else { return };
        let state = status.container_statuses.iter().flatten().find_map(|one| one.state.as_ref());
        self.has_started |= state.is_some_and(|state| state.running.is_some());
        let phase = status.phase.clone().unwrap_or_default();
        let disruption = status.conditions.iter().flatten().find(|one| one.type_ == "DisruptionTarget");
        let is_marked =
            status.reason.is_some() || disruption.is_some() || pod.metadata.deletion_timestamp.is_some();
        let is_terminal = matches!(phase.as_str(), "Succeeded" | "Failed");
        let code = state.and_then(|state| state.terminated.as_ref()).map(|ended| ended.exit_code);
        let is_over = is_terminal || is_marked && code.is_some();
        if !is_over {
            if code.is_some() {
                self.exposed.get_or_insert_with(Instant::now);
            }
            return;
        }
        self.end = Some(End {
            code,
            phase,
            reason: status.reason.clone().unwrap_or_default(),
            disruption: disruption.and_then(|one| one.reason.clone()).unwrap_or_default(),
            exposed_for: self.exposed.map(|since| since.elapsed()),
            is_marked,
        });
    }
}

/// Without the times, so that ends of one kind can be counted.
impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit {code}")?,
            None => f.write_str("no exit")?,
        }
        write!(f, ", {}, reason {:?}, DisruptionTarget {:?}", self.phase, self.reason, self.disruption)?;
        f.write_str(if self.exposed_for.is_some() { ", exit seen first" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sight(versions: &[serde_json::Value]) -> Sight {
        let mut sight = Sight::default();
        for status in versions {
            let pod = json!({ "metadata": {}, "status": status });
            sight.see(&serde_json::from_value(pod).expect("a pod"));
        }
        sight
    }

    fn status(phase: &str, state: serde_json::Value, conditions: serde_json::Value) -> serde_json::Value {
        let step = json!({ "name": "step", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        json!({ "phase": phase, "containerStatuses": [step], "conditions": conditions })
    }

    #[test]
    fn an_exit_is_exposed_until_its_cause_is_published() {
        let ended = || json!({ "terminated": { "exitCode": 0 } });
        let disrupted =
            json!([{ "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet" }]);
        let running = status("Running", json!({ "running": {} }), json!([]));
        let alone = status("Running", ended(), json!([]));
        let marked = status("Succeeded", ended(), disrupted.clone());
        let clean = status("Succeeded", ended(), json!([]));

        let late = sight(&[running.clone(), alone.clone(), marked.clone()]);
        assert!(
            late.has_started() && late.end().is_some_and(|end| end.exposed_for.is_some() && end.is_marked)
        );
        let at_once = sight(&[running.clone(), marked]);
        assert!(at_once.end().is_some_and(|end| end.exposed_for.is_none() && end.is_marked));
        let unmarked = sight(&[running.clone(), clean]);
        assert!(unmarked.end().is_some_and(|end| end.exposed_for.is_none() && !end.is_marked));
        let before_the_phase = sight(&[running.clone(), status("Running", ended(), disrupted)]);
        assert!(before_the_phase.end().is_some_and(|end| end.exposed_for.is_none() && end.is_marked));
        assert!(!sight(&[running, alone]).is_over());
        let refused = sight(&[json!({ "phase": "Failed", "reason": "OutOfpods" })]);
        assert!(!refused.has_started() && refused.end().is_some_and(|end| end.code.is_none()));
    }
}
