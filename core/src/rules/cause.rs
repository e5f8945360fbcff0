//! Rule 4: an outside cause comes first, whatever the code.
//!
//! Since Kubernetes 1.27 (#115331) a pod that is deleted, evicted or caught by a node shutdown, and whose process
//! exits 0 on SIGTERM, becomes `Succeeded`. So the code alone proves nothing once something else may have
//! stopped the step. What counts is which came first; undecided is after, for doubt is never green.

use crate::decision::Failure;
use crate::history::{History, Run, Under};
use crate::reason::FailReason;
use crate::rules::exit::is_fabricated;
use crate::snapshot::{
    Condition, ContainerState, ContainerStatus, Phase, PodSnapshot, Terminated, Timestamp,
};
use crate::text::{in_parentheses, quote};
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// Who stopped the step, if not the step itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Evicted,
    Disrupted,
    NodeShutdown,
    NodeLost,
    RejectedByNode,
    DeadlineExceeded,
    Deleted,
}

impl Cause {
    pub(crate) const ALL: [Self; 7] = [
        Self::Evicted,
        Self::Disrupted,
        Self::NodeShutdown,
        Self::NodeLost,
        Self::RejectedByNode,
        Self::DeadlineExceeded,
        Self::Deleted,
    ];

    pub(crate) const fn reason(self) -> FailReason {
        match self {
            Self::Evicted => FailReason::Evicted,
            Self::Disrupted => FailReason::Disrupted,
            Self::NodeShutdown => FailReason::NodeShutdown,
            Self::NodeLost => FailReason::NodeLost,
            Self::RejectedByNode => FailReason::RejectedByNode,
            Self::DeadlineExceeded => FailReason::DeadlineExceeded,
            Self::Deleted => FailReason::PodDeleted,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Evicted => "the pod was evicted",
            Self::Disrupted => "the pod was disrupted",
            Self::NodeShutdown => "the node was shut down",
            Self::NodeLost => "the node was lost",
            Self::RejectedByNode => "the node refused to run the pod",
            Self::DeadlineExceeded => "the pod ran past its activeDeadlineSeconds",
            Self::Deleted => "the pod was deleted",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "give it more time or make it faster",
            Self::Evicted
            | Self::Disrupted
            | Self::NodeShutdown
            | Self::NodeLost
            | Self::RejectedByNode
            | Self::Deleted => "run it again",
        }
    }
}

/// What `status.reason` of a `Failed` pod says about who stopped it.
///
/// The rejections are `admissionRejectionReasons` of `pkg/kubelet/kubelet.go`, the predicates' names that
/// `pkg/kubelet/lifecycle/predicate.go` puts in their place, those of the CPU manager's own error types, and names of
/// older versions.
pub(crate) fn of_reason(reason: &str) -> Option<Cause> {
    match reason {
        "Evicted" => Some(Cause::Evicted),
        "Preempting" | "Preempted" => Some(Cause::Disrupted),
        "Shutdown" | "NodeShutdown" | "Terminated" => Some(Cause::NodeShutdown),
        "NodeLost" => Some(Cause::NodeLost),
        "DeadlineExceeded" => Some(Cause::DeadlineExceeded),
        "UnexpectedAdmissionError"
        | "NodeAffinity"
        | "MatchNodeSelector"
        | "NodeName"
        | "NodePorts"
        | "TaintToleration"
        | "TopologyAffinityError"
        | "SMTAlignmentError"
        | "EmptyPodSharedPoolError"
        | "AppArmor"
        | "SysctlForbidden"
        | "PodOSNotSupported"
        | "PodOSSelectorNodeLabelDoesNotMatch"
        | "PodFeatureUnsupported"
        | "PodLevelResourcesNotSupported"
        | "SupplementalGroupsPolicyNotSupported"
        | "VolumeAttachmentLimitExceeded"
        | "InvalidNodeInfo"
        | "InitContainerRestartPolicyForbidden"
        | "UnknownReason"
        | "UnexpectedPredicateFailureType" => Some(Cause::RejectedByNode),
        _ if reason.starts_with("OutOf") => Some(Cause::RejectedByNode),
        _ => None,
    }
}

/// Whether the object carries any mark of an outside cause.
pub(crate) fn is_marked(pod: &PodSnapshot) -> bool {
    pod.deletion_timestamp.is_some() || disruption(pod).is_some() || of_reason(&pod.reason).is_some()
}

/// The condition `DisruptionTarget`, if it is True. A False one is stale: the disruption did not happen.
pub(crate) fn disruption(pod: &PodSnapshot) -> Option<&Condition> {
    pod.disruption_target.as_ref().filter(|condition| condition.is_true)
}

/// Whether something other than its containers has made the pod `Failed`. A kubelet never says so beside one that runs; pod
/// garbage collection does (`markFailedAndDeletePod`).
pub(crate) fn has_ended(pod: &PodSnapshot) -> bool {
    let runs = |status: &ContainerStatus| status.state == Some(ContainerState::Running);
    of_reason(&pod.reason).is_some()
        || disruption(pod).is_some_and(|condition| disruption_counts(pod, condition))
        || (pod.deletion_timestamp.is_some() && pod.container_statuses.iter().any(runs))
}

/// The cause that a terminal pod without the target's record carries.
pub(crate) fn of_pod(pod: &PodSnapshot, history: &History) -> Option<Cause> {
    if pod.phase == Phase::Failed
        && let Some(reason) = of_reason(&pod.reason)
    {
        return Some(reason);
    }
    // What comes after a terminal phase did not bring it about.
    if history.clean_terminal.is_some() {
        return None;
    }
    if history.open.reason.is_some() {
        return history.open.reason;
    }
    if disruption(pod).is_some_and(|condition| disruption_counts(pod, condition)) {
        return Some(Cause::Disrupted);
    }
    pod.deletion_timestamp.map(|_| Cause::Deleted)
}

/// What `status.reason` says of a pod that is not over: a node shutdown was seen to write its reason under Running
/// (#104531). A NodeLost there is stale: the node has just reported.
pub(crate) fn of_open_pod(pod: &PodSnapshot) -> Option<Cause> {
    let reason = of_reason(&pod.reason)?;
    match pod.phase {
        Phase::Pending | Phase::Running => (reason != Cause::NodeLost).then_some(reason),
        Phase::Succeeded | Phase::Failed | Phase::Unknown | Phase::Unrecognized => None,
    }
}

/// An end of a container: its record, and what was seen of it and before it.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) record: &'a Terminated,
    /// The run, if the record is real.
    pub(crate) run: Option<&'a Run>,
    /// What the pod was under before the end was seen.
    pub(crate) unfinished: Under,
}

/// The cause that stopped a container before it ended by itself, if there is one.
pub(crate) fn of_end(
    pod: &PodSnapshot,
    history: &History,
    end: End<'_>,
    settling: bool,
    clock_skew: Duration,
) -> Option<Cause> {
    let said = of_reason(&pod.reason).filter(|_| pod.phase == Phase::Failed).or_else(|| of_open_pod(pod));
    // What may be followed by another run is not the end of the step, so that it was seen first proves nothing.
    let is_before =
        || !settling && end.run.is_some_and(|run| run.seen_without_reason && !run.may_be_followed);
    match end.unfinished.reason {
        Some(seen) => return said.or(Some(seen)),
        None if said.is_some() && !is_before() => return said,
        None => {}
    }
    if history.clean_terminal == Some(Phase::Succeeded) {
        return None;
    }
    let skew = i64::try_from(clock_skew.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    if let Some(condition) = disruption(pod)
        && disruption_counts(pod, condition)
        && ended_after_disruption(end, condition, settling, skew)
    {
        return Some(Cause::Disrupted);
    }
    // A deletion that was seen counts, too, where the store was restored from a backup and has forgotten it.
    (history.deletion.is_some() && ended_after_delete(pod, history, end, skew)).then_some(Cause::Deleted)
}

/// The condition alone is no proof that anything was stopped: the delete behind it may have failed.
fn disruption_counts(pod: &PodSnapshot, condition: &Condition) -> bool {
    let by_phase = match condition.reason.as_str() {
        // Published when the kubelet has ended the pod, never before (`mergePodStatus`). An eviction whose process exits 0 on
        // SIGTERM ends as Succeeded, and the status that says so lacks the reason: `generateAPIPodStatus` drops it
        // where the phase differs from the one that the kubelet had set.
        "TerminationByKubelet" => true,
        "DeletionByPodGC" => pod.phase == Phase::Failed,
        _ => false,
    };
    pod.deletion_timestamp.is_some() || by_phase
}

fn ended_after_disruption(end: End<'_>, condition: &Condition, settling: bool, skew: i64) -> bool {
    let by_kubelet = condition.reason == "TerminationByKubelet";
    if end.run.is_some_and(|run| run.seen_without_disruption && !(settling && by_kubelet)) {
        return false;
    }
    if end.unfinished.disruption {
        return true;
    }
    // The kubelet stamps its own condition only when all containers have ended, so that time comes after every end and
    // orders nothing; and its doing may well precede the delete that the generations tell of.
    if by_kubelet {
        return true;
    }
    if end.run.is_some_and(|run| run.written_before_delete) {
        return false;
    }
    at_or_after(end.record.finished_at, condition.last_transition_time, skew)
}

/// In this order of trust: what was observed, the generations, the timestamps.
fn ended_after_delete(pod: &PodSnapshot, history: &History, end: End<'_>, skew: i64) -> bool {
    if end.run.is_some_and(|run| run.seen_without_deletion) {
        return false;
    }
    if end.unfinished.deletion {
        return true;
    }
    let deletion = history.deletion;
    if let Some(run) = end.run.filter(|run| run.written_before_delete) {
        // What was behind may have been an edit that came after the delete, if the time says so in so many seconds.
        let request =
            deletion.filter(|deletion| !deletion.is_rewritten()).map(|deletion| deletion.earliest.0);
        let late = end
            .record
            .finished_at
            .zip(request)
            .is_some_and(|(end, request)| end.0 > request.saturating_add(1).saturating_add(skew));
        return late && !run.written_before_edits;
    }
    // The last DELETE comes after the unmounts, however long those take (kubernetes#122342), so the time that it wrote gives
    // no bound; and the kubelet had seen the delete when it wrote last.
    let knew = pod.observed_generation > 0 && pod.observed_generation >= pod.generation;
    if knew && deletion.is_some_and(|deletion| deletion.is_rewritten()) {
        return true;
    }
    at_or_after(end.record.finished_at, deletion.map(|deletion| deletion.earliest), skew)
}

/// Whether `end` falls at or after `cause`; unknown times are undecided and so count as after.
fn at_or_after(end: Option<Timestamp>, cause: Option<Timestamp>, skew: i64) -> bool {
    match (end, cause) {
        (Some(end), Some(cause)) => end.0.saturating_add(skew) >= cause.0,
        _ => true,
    }
}

/// The earliest moment at which the delete may have been requested.
///
/// Normally deletionTimestamp minus deletionGracePeriodSeconds. But the kubelet's last DELETE rewrites both (grace
/// 0, timestamp now), and a shortened grace that is already over becomes 1 (`BeforeDelete` in
/// `k8s.io/apiserver/pkg/registry/rest/delete.go`). Seen first in that state, the request may lie as far back as
/// the pod's own grace period.
pub(crate) fn earliest_request(pod: &PodSnapshot) -> Option<Timestamp> {
    let timestamp = pod.deletion_timestamp?;
    let grace = pod.deletion_grace_period_seconds.unwrap_or(0);
    let own = pod.termination_grace_period_seconds.unwrap_or(30);
    let reach = if grace <= 1 { own.max(grace) } else { grace };
    Some(Timestamp(timestamp.0.saturating_sub(reach.max(0))))
}

/// The failure for a cause: what happened, what the step did, what to do.
pub(crate) fn failure(cause: Cause, pod: &PodSnapshot, record: Option<&Terminated>) -> Failure {
    let mut message = String::from(cause.sentence());
    let condition = disruption(pod);
    // The kubelet writes both; pod garbage collection and the API's evictions have the condition alone.
    let reason =
        if pod.reason.is_empty() { condition.map_or("", |condition| &condition.reason) } else { &pod.reason };
    let said = if pod.message.is_empty() {
        condition.map_or("", |condition| &condition.message)
    } else {
        &pod.message
    };
    message.push_str(&in_parentheses(&quote(reason, said)));
    match record {
        Some(record) if is_fabricated(record) => {
            message.push_str(&format!(" and the step's exit is not known ({} is made up)", record.exit_code));
        }
        Some(record) => {
            let lead = match (record.finished_at, time_of(cause, pod)) {
                (Some(end), Some(start)) if end > start => format!(" {} s", end.0.saturating_sub(start.0)),
                _ => String::new(),
            };
            message.push_str(&format!("{lead} before the step exited {}", record.exit_code));
        }
        None if cause == Cause::RejectedByNode => {}
        None => message.push_str(" before the step's exit was known"),
    }
    message.push_str("; ");
    message.push_str(cause.advice());
    Failure::new(cause.reason(), message, record.map(|record| record.exit_code)).by_rule(4)
}

/// When the cause set in, if the object tells.
fn time_of(cause: Cause, pod: &PodSnapshot) -> Option<Timestamp> {
    match cause {
        Cause::Deleted => earliest_request(pod).filter(|_| pod.deletion_grace_period_seconds > Some(1)),
        Cause::Disrupted | Cause::Evicted | Cause::NodeShutdown | Cause::NodeLost => disruption(pod)
            .filter(|condition| condition.reason != "TerminationByKubelet")
            .and_then(|condition| condition.last_transition_time),
        Cause::RejectedByNode | Cause::DeadlineExceeded => None,
    }
}
