//! The truth about a step, and the objects of the API server that show it.

use podwait::{DoneReason, Exit, FailReason, Failure};
use serde_json::Value;
use std::time::Duration;

/// The target.
pub const STEP: &str = "step";

/// An answer, with the parts that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The step's own exit.
    Exit(i32, DoneReason),
    /// The reason why there is none.
    Fail(FailReason),
}

impl Answer {
    /// The answer of a wait.
    #[must_use]
    pub fn of(outcome: &Result<Exit, Failure>) -> Self {
        match outcome {
            Ok(exit) => Self::Exit(exit.code, exit.reason),
            Err(failure) => Self::Fail(failure.reason),
        }
    }
}

/// How the step of a life ended, whatever a wait could observe.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The true answers. There are several only if Kubernetes itself has several names for one cause.
    pub right: Vec<Answer>,
    /// Answers that are less than the truth and never green. They are accepted if no object that shows the truth was
    /// observable.
    pub vague: Vec<FailReason>,
    /// Which objects show the truth.
    pub shown_by: ShownBy,
    /// How long the policy itself delays the answer, from the last change of the pod.
    pub patience: Duration,
}

/// Which objects alone show the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// An object with the step's real record that ended before any deletion beyond doubt.
    Record(i32),
    /// An object of this phase without a sign of an outside cause.
    Phase(&'static str),
    /// An object with its cause: the condition `DisruptionTarget`, or a reason of the whole pod.
    Cause,
    /// An object in which the step has started.
    Start,
    /// Any object.
    Anything,
}

impl ShownBy {
    /// Whether this object shows the truth.
    #[must_use]
    pub fn matches(self, pod: &Value) -> bool {
        match self {
            Self::Record(code) => record(pod).is_some_and(|record| {
                record["exitCode"] == code
                    && !matches!(record["reason"].as_str(), Some("ContainerStatusUnknown" | "Unknown"))
                    && ended_undisturbed(pod, record)
            }),
            Self::Phase(phase) => pod["status"]["phase"] == phase && !is_marked(pod),
            Self::Cause => is_disrupted(pod) || pod["status"]["reason"].is_string(),
            Self::Start => step(pod).is_some_and(|step| step["state"]["waiting"].is_null()),
            Self::Anything => true,
        }
    }
}

fn step(pod: &Value) -> Option<&Value> {
    pod["status"]["containerStatuses"].as_array()?.iter().find(|status| status["name"] == STEP)
}

/// The record of the step in the object.
fn record(pod: &Value) -> Option<&Value> {
    Some(&step(pod)?["state"]["terminated"]).filter(|record| record.is_object())
}

fn is_marked(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string() || is_disrupted(pod)
}

fn is_disrupted(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "DisruptionTarget")
}

/// Whether this object alone leaves no doubt that the end came before any deletion.
///
/// Either there is no deletion; or the kubelet wrote the record before it had observed the deletion (generations); or
/// the times, which have whole seconds, differ. The kubelet's last DELETE replaces the time of the request by its own,
/// with a grace period of 0. Then the request may be older by the pod's whole grace period (`BeforeDelete` in
/// k8s.io/apiserver).
fn ended_undisturbed(pod: &Value, record: &Value) -> bool {
    if !is_marked(pod) {
        return true;
    }
    if is_disrupted(pod) {
        return false;
    }
    let metadata = &pod["metadata"];
    let generation = |value: &Value| value.as_i64().unwrap_or(0);
    let observed = generation(&pod["status"]["observedGeneration"]);
    if observed < generation(&metadata["generation"]) {
        return true;
    }
    let (end, request) = (second(&record["finishedAt"]), second(&metadata["deletionTimestamp"]));
    let Some((end, timestamp)) = end.zip(request) else { return false };
    let grace = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if observed > 0 && grace <= 1 {
        // The last DELETE follows the unmounts, which may take any time, so that not even the pod's grace period is a
        // bound.
        return false;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let reach = if grace <= 1 { own.max(grace) } else { grace };
    end < timestamp - reach
}

/// A timestamp in seconds since the beginning of its month. No run is longer than a month.
fn second(timestamp: &Value) -> Option<i64> {
    let field = |range: std::ops::Range<usize>| timestamp.as_str()?.get(range)?.parse::<i64>().ok();
    Some(((field(8..10)? * 24 + field(11..13)?) * 60 + field(14..16)?) * 60 + field(17..19)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use podwait_sim::{Life, Terminated, pod};

    /// The last object of a pod whose step ended with 3, after the steps that `then` adds.
    fn last(then: impl FnOnce(Life) -> Life) -> Value {
        let life = Life::of(pod("ci", "p", &[STEP, "proxy"])).scheduled("n").running();
        let life = life.after(Duration::from_secs(40)).terminated(STEP, Terminated::exit(3));
        let events = then(life).events().unwrap();
        Value::clone(&events.last().unwrap().1.object)
    }

    #[test]
    fn a_record_shows_the_truth_unless_a_deletion_may_be_its_cause() {
        let second = Duration::from_secs(1);
        let shown = ShownBy::Record(3);
        assert!(shown.matches(&last(|life| life)));
        assert!(!ShownBy::Record(4).matches(&last(|life| life)));
        assert!(!shown.matches(&last(|life| life.terminated(STEP, Terminated::unknown()))));
        // First the kubelet wrote the record before it had observed the deletion; then after that, in the same second
        // or later.
        assert!(shown.matches(&last(|life| life.delete(5))));
        assert!(!shown.matches(&last(|life| life.delete(5).phase("Running"))));
        assert!(shown.matches(&last(|life| life.after(second).delete(5).phase("Running"))));
        // The last DELETE removes the time of the request.
        let removed = |life: Life| life.after(second).delete(5).after(second).finished(0).removed();
        assert!(!shown.matches(&last(removed)));
        assert!(!shown.matches(&last(|life| life.disruption_target("EvictionByEvictionAPI", ""))));
    }

    #[test]
    fn phases_and_causes_show_the_truth() {
        assert!(ShownBy::Phase("Failed").matches(&last(|life| life.finished(0))));
        assert!(!ShownBy::Phase("Failed").matches(&last(|life| life.finished(0).delete(0))));
        assert!(!ShownBy::Phase("Failed").matches(&last(|life| life)));
        assert!(ShownBy::Cause.matches(&last(|life| life.failed("Evicted", ""))));
        assert!(ShownBy::Cause.matches(&last(|life| life.disruption_target("PreemptionByScheduler", ""))));
        assert!(!ShownBy::Cause.matches(&last(|life| life.finished(0))));
    }
}
