//! Rule 18: which pod decided about a Job that failed, and what that comes to.

use super::conditions::{Conclusion, Sign};
use super::decision::{JobExit, JobPodExit, said};
use super::pods::{FailedPod, Pods};
use super::snapshot::indexes;
use crate::decision::Failure;
use crate::reason::{DoneReason, FailReason};
use crate::snapshot::Timestamp;
use crate::text::{name, one_line};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

/// Longest message of a failure, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// The answer for a Job that is complete.
pub(super) fn complete(conclusion: &Conclusion) -> JobExit {
    let rule = match conclusion.sign {
        Sign::Final => 15,
        Sign::Announced => 16,
    };
    JobExit {
        code: 0,
        reason: DoneReason::Completed,
        rule,
        condition_reason: conclusion.reason.clone(),
        condition_message: conclusion.message.clone(),
        pod: None,
    }
}

/// The answer for a Job that failed. `has_successes` if some of its work may be done.
pub(super) fn failed(
    conclusion: &Conclusion,
    pods: &Pods,
    at: Instant,
    has_successes: bool,
) -> Result<JobExit, Failure> {
    let said = said(&conclusion.reason, &conclusion.message);
    let decided = deciding_pod(conclusion, pods, at);
    if conclusion.reason == "DeadlineExceeded" {
        // The controller stopped what ran, so no pod decided.
        let code = decided.and_then(|pod| pod.end.ok()).map(|exit| exit.code);
        let message =
            format!("the job ran past its activeDeadlineSeconds{said}; give it more time or make it faster");
        return Err(Failure::new(FailReason::DeadlineExceeded, message, code).by_rule(18));
    }
    let Some(pod) = decided else {
        let message = format!("the job failed{said}, and no pod of it is known that failed");
        return Err(Failure::new(FailReason::JobFailed, message, None));
    };
    match pod.end {
        Ok(exit) => Ok(JobExit {
            code: exit.code,
            reason: exit.reason,
            rule: 18,
            condition_reason: conclusion.reason.clone(),
            condition_message: conclusion.message.clone(),
            pod: Some(Box::new(JobPodExit { name: pod.name, uid: pod.uid, exit })),
        }),
        Err(failure) => {
            Err(of_pod(&format!("the job failed{said}"), &pod.name, failure, has_successes).by_rule(18))
        }
    }
}

/// The failure of a Job that a pod's failure stands for.
pub(super) fn of_pod(what: &str, pod: &str, failure: Failure, has_successes: bool) -> Failure {
    let message = format!("{what}; pod {}: {}", name(pod), failure.message);
    Failure {
        message: one_line(&message, LONGEST_MESSAGE).into_owned(),
        may_have_finished: failure.may_have_finished || has_successes,
        ..failure
    }
}

/// How much a pod's end says about the end of its Job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// It was deleted, perhaps by the Job controller because the Job had failed (`deleteActivePods`).
    Deleted,
    /// It failed.
    Failed,
    /// It failed in an index that failed.
    OfFailedIndex,
    /// The condition names it.
    Named,
}

/// The pod that decided: the one that the condition names, or the last one that failed by itself.
fn deciding_pod(conclusion: &Conclusion, pods: &Pods, at: Instant) -> Option<FailedPod> {
    let failed_indexes: Vec<_> = match conclusion.reason.as_str() {
        "FailedIndexes" | "MaxFailedIndexesExceeded" => indexes(&conclusion.failed_indexes).collect(),
        _ => Vec::new(),
    };
    let weight = |pod: &FailedPod| -> Weight {
        let is_deletion = |failure: &Failure| failure.reason == FailReason::PodDeleted;
        let index = index(&pod.name);
        if is_named(&conclusion.message, &pod.name) {
            Weight::Named
        } else if pod.end.as_ref().is_err_and(is_deletion) {
            Weight::Deleted
        } else if failed_indexes
            .iter()
            .any(|&(first, last)| index.is_some_and(|n| (first..=last).contains(&n)))
        {
            Weight::OfFailedIndex
        } else {
            Weight::Failed
        }
    };
    let ended = pods.failed.iter().cloned();
    let unfinished = pods.present.iter().filter_map(|(uid, pod)| {
        let (end, ended_at) = match &pod.failed_run {
            Some(exit) => (Ok(exit.clone()), exit.finished_at),
            None if pod.is_terminating => (pod.end_if_gone(at)?, pod.ended_at),
            None => return None,
        };
        Some(FailedPod { uid: uid.clone(), name: pod.name.clone(), ended_at, end })
    });
    let key = |pod: &FailedPod| -> (Weight, Option<Timestamp>) { (weight(pod), pod.ended_at) };
    unfinished.chain(ended).max_by_key(key)
}

/// Whether a condition by `podFailurePolicy` names this pod: `Container C for pod NAMESPACE/NAME failed with ...` or
/// `Pod NAMESPACE/NAME has condition ...` (`matchPodFailurePolicy` in `pkg/controller/job/pod_failure_policy.go`).
fn is_named(message: &str, pod: &str) -> bool {
    message.split(' ').filter_map(|word| word.split_once('/')).any(|(_, name)| name == pod)
}

/// The index in the name of a pod of an Indexed Job, `JOB-INDEX-SUFFIX` (`podGenerateNameWithIndex`).
fn index(pod: &str) -> Option<usize> {
    pod.rsplit('-').nth(1)?.parse().ok()
}
