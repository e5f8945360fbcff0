//! Rule 4: an outside cause comes first, whatever the code.
//!
//! Since Kubernetes 1.27 (#115331) a pod that is deleted, evicted or caught by a node shutdown, and whose process
//! exits 0 on SIGTERM, becomes `Succeeded`. So the code alone proves nothing if an outside cause may have stopped the
//! step. The order of the two decides; if the order is unknown, the end counts as later, because doubt is never green.

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

/// An outside cause: what stopped the step.
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

/// The outside cause that `status.reason` of a `Failed` pod names.
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

/// Whether an outside cause made the pod `Failed`. A kubelet never reports `Failed` while a container runs; pod garbage
/// collection does (`markFailedAndDeletePod`).
pub(crate) fn has_ended(pod: &PodSnapshot) -> bool {
    let runs = |status: &ContainerStatus| status.state == Some(ContainerState::Running);
    of_reason(&pod.reason).is_some()
        || disruption(pod).is_some_and(|condition| disruption_counts(pod, condition))
        || (pod.deletion_timestamp.is_some() && pod.container_statuses.iter().any(runs))
}

/// The outside cause of a terminal pod without the target's record.
pub(crate) fn of_pod(pod: &PodSnapshot, history: &History) -> Option<Cause> {
    if pod.phase == Phase::Failed
        && let Some(reason) = of_reason(&pod.reason)
    {
        return Some(reason);
    }
    // A cause that comes after a terminal phase is not the cause of that phase.
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

/// The outside cause that `status.reason` of a non-terminal pod names: a node shutdown writes its reason under Running
/// (#104531). A NodeLost there is stale: the node has just reported.
pub(crate) fn of_open_pod(pod: &PodSnapshot) -> Option<Cause> {
    let reason = of_reason(&pod.reason)?;
    match pod.phase {
        Phase::Pending | Phase::Running => (reason != Cause::NodeLost).then_some(reason),
        Phase::Succeeded | Phase::Failed | Phase::Unknown | Phase::Unrecognized => None,
    }
}

/// An end of a container: its record, and the facts seen with it and before it.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) record: &'a Terminated,
    /// The run, if the record is real.
    pub(crate) run: Option<&'a Run>,
    /// The outside causes that were seen before the end.
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
    // If another run may follow, this is not the end of the step, so it proves nothing that it was seen first.
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
    // A deletion that was seen also counts if the store was restored from a backup and has lost it.
    (history.deletion.is_some() && ended_after_delete(pod, history, end, skew)).then_some(Cause::Deleted)
}

/// The condition alone does not prove that the pod was stopped: the delete that follows it may have failed.
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
    // The kubelet sets its own condition only when all containers have ended, so the condition's time is later than
    // every end and shows no order. The kubelet may also have stopped the pod before the delete that the generations
    // show.
    if by_kubelet {
        return true;
    }
    if end.run.is_some_and(|run| run.written_before_delete) {
        return false;
    }
    at_or_after(end.record.finished_at, condition.last_transition_time, skew)
}

/// The sources in order of precedence: observations, generations, timestamps.
fn ended_after_delete(pod: &PodSnapshot, history: &History, end: End<'_>, skew: i64) -> bool {
    if end.run.is_some_and(|run| run.seen_without_deletion) {
        return false;
    }
    if end.unfinished.deletion {
        return true;
    }
    let deletion = history.deletion;
    if let Some(run) = end.run.filter(|run| run.written_before_delete) {
        // The change that the kubelet had not observed may be an edit after the delete, if the times differ clearly
        // enough.
        let request =
            deletion.filter(|deletion| !deletion.is_rewritten()).map(|deletion| deletion.earliest.0);
        let late = end
            .record
            .finished_at
            .zip(request)
            .is_some_and(|(end, request)| end.0 > request.saturating_add(1).saturating_add(skew));
        return late && !run.written_before_edits;
    }
    // The last DELETE comes after the unmounts, which may take long (kubernetes#122342), so its timestamp gives no
    // bound; and the kubelet had seen the delete at its last write.
    let knew = pod.observed_generation > 0 && pod.observed_generation >= pod.generation;
    if knew && deletion.is_some_and(|deletion| deletion.is_rewritten()) {
        return true;
    }
    at_or_after(end.record.finished_at, deletion.map(|deletion| deletion.earliest), skew)
}

/// Whether `end` is at or after `cause`; if a time is unknown, `end` counts as later.
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
/// `k8s.io/apiserver/pkg/registry/rest/delete.go`). If the deletion is first seen in that state, the request may be as
/// old as the pod's own grace period.
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
    // The kubelet writes both; pod garbage collection and evictions through the API set only the condition.
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

/// When the cause began, if the object shows that.
fn time_of(cause: Cause, pod: &PodSnapshot) -> Option<Timestamp> {
    match cause {
        Cause::Deleted => earliest_request(pod).filter(|_| pod.deletion_grace_period_seconds > Some(1)),
        Cause::Disrupted | Cause::Evicted | Cause::NodeShutdown | Cause::NodeLost => disruption(pod)
            .filter(|condition| condition.reason != "TerminationByKubelet")
            .and_then(|condition| condition.last_transition_time),
        Cause::RejectedByNode | Cause::DeadlineExceeded => None,
    }
}
