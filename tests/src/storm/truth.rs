//! What really happened to a step, and which objects of the API server say so.

use podwait::{DoneReason, Exit, FailReason, Failure};
use serde_json::Value;
use std::time::Duration;

/// The container that is waited for.
pub const STEP: &str = "step";

/// An answer, as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The step's own exit.
    Exit(i32, DoneReason),
    /// The reason why there is none.
    Fail(FailReason),
}

impl Answer {
    /// What a wait said.
    #[must_use]
    pub fn of(outcome: &Result<Exit, Failure>) -> Self {
        match outcome {
            Ok(exit) => Self::Exit(exit.code, exit.reason),
            Err(failure) => Self::Fail(failure.reason),
        }
    }
}

/// What the kubelet of a life knows, whoever reads it or not.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The answers that are true. Several only where Kubernetes itself calls one thing by several names.
    pub right: Vec<Answer>,
    /// Answers that are less than the truth and never green: to be forgiven if no object that tells the truth could be read.
    pub vague: Vec<FailReason>,
    /// Which objects tell the truth.
    pub told_by: ToldBy,
    /// How long the policy itself waits before it may answer, from the last change of the pod on.
    pub patience: Duration,
}

/// Which objects tell the truth by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// One with the step's real record, and without doubt about what came first, the end or a deletion.
    Record(i32),
    /// One of this phase, of which nothing outside of it is known.
    Phase(&'static str),
    /// One that names its cause: the condition `DisruptionTarget`, or a reason of the whole pod.
    Cause,
    /// One in which the step has started.
    Start,
    /// Any at all.
    Anything,
}

impl ToldBy {
    /// Whether this object does.
    #[must_use]
    pub fn tells(self, pod: &Value) -> bool {
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

/// How the step ended, as the object says.
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
/// Either there is none; or the kubelet wrote the record before it had observed the deletion (generations); or the
/// times, which have whole seconds, differ. The kubelet's own last DELETE rewrites the request's time to its own, with a
/// grace of 0, so then the request may be older by the pod's whole grace period (`BeforeDelete` in k8s.io/apiserver).
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
        // It comes after the unmounts, however long those take, so that not even the pod's grace period is a bound.
        return false;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let reach = if grace <= 1 { own.max(grace) } else { grace };
    end < timestamp - reach
}

/// A timestamp in seconds since its month began, which is more than any run lasts.
fn second(timestamp: &Value) -> Option<i64> {
    let field = |range: std::ops::Range<usize>| timestamp.as_str()?.get(range)?.parse::<i64>().ok();
    Some(((field(8..10)? * 24 + field(11..13)?) * 60 + field(14..16)?) * 60 + field(17..19)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use podwait_sim::{Life, Terminated, pod};

    /// The last object of a pod whose step ended with 3, after what `then` makes of it.
    fn last(then: impl FnOnce(Life) -> Life) -> Value {
        let life = Life::of(pod("ci", "p", &[STEP, "proxy"])).scheduled("n").running();
        let life = life.after(Duration::from_secs(40)).terminated(STEP, Terminated::exit(3));
        let events = then(life).events().unwrap();
        Value::clone(&events.last().unwrap().1.object)
    }

    #[test]
    fn a_record_tells_unless_it_may_be_the_doing_of_a_deletion() {
        let second = Duration::from_secs(1);
        let told = ToldBy::Record(3);
        assert!(told.tells(&last(|life| life)));
        assert!(!ToldBy::Record(4).tells(&last(|life| life)));
        assert!(!told.tells(&last(|life| life.terminated(STEP, Terminated::unknown()))));
        // The kubelet wrote the record before it knew of the deletion; then it has seen it, in the same second or later.
        assert!(told.tells(&last(|life| life.delete(5))));
        assert!(!told.tells(&last(|life| life.delete(5).phase("Running"))));
        assert!(told.tells(&last(|life| life.after(second).delete(5).phase("Running"))));
        // With the last DELETE the time of the request is lost.
        let removed = |life: Life| life.after(second).delete(5).after(second).finished(0).removed();
        assert!(!told.tells(&last(removed)));
        assert!(!told.tells(&last(|life| life.disruption_target("EvictionByEvictionAPI", ""))));
    }

    #[test]
    fn phases_and_causes_tell_as_they_say() {
        assert!(ToldBy::Phase("Failed").tells(&last(|life| life.finished(0))));
        assert!(!ToldBy::Phase("Failed").tells(&last(|life| life.finished(0).delete(0))));
        assert!(!ToldBy::Phase("Failed").tells(&last(|life| life)));
        assert!(ToldBy::Cause.tells(&last(|life| life.failed("Evicted", ""))));
        assert!(ToldBy::Cause.tells(&last(|life| life.disruption_target("PreemptionByScheduler", ""))));
        assert!(!ToldBy::Cause.tells(&last(|life| life.finished(0))));
    }
}
