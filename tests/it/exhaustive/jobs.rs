//! Rules 14 to 20: Jobs.

use podwait_core::{
    ApiError, Condition, Container, ContainerState, ContainerStatus, JobConditions, JobInput, JobPod,
    JobSnapshot, Phase, PodReplacementPolicy, PodSnapshot, RestartPolicy, Terminated, Timestamp,
};
use podwait_tests::explore::job::walk;
use podwait_tests::model::Config;
use std::time::Duration;

fn job() -> JobSnapshot {
    JobSnapshot { uid: "j".into(), parallelism: Some(1), completions: Some(1), ..JobSnapshot::default() }
}

/// The Job with a condition of this type.
fn with(kind: &str) -> JobSnapshot {
    of(&job(), kind, "R")
}

fn of(job: &JobSnapshot, kind: &str, reason: &str) -> JobSnapshot {
    let mut conditions = JobConditions::default();
    let condition = Condition { is_true: true, reason: reason.into(), ..Condition::default() };
    *conditions.get_mut(kind).expect("a type that is read") = Some(condition);
    JobSnapshot { conditions, ..job.clone() }
}

fn pod(uid: &str, phase: Phase, state: Option<ContainerState>) -> PodSnapshot {
    let status = ContainerStatus { name: "step".into(), state, ..ContainerStatus::default() };
    PodSnapshot {
        uid: uid.into(),
        restart_policy: RestartPolicy::Never,
        containers: vec![Container { name: "step".into(), ..Container::default() }],
        container_statuses: vec![status],
        phase,
        ..PodSnapshot::default()
    }
}

fn runs(uid: &str) -> PodSnapshot {
    pod(uid, Phase::Running, Some(ContainerState::Running))
}

fn waits(uid: &str, reason: &str) -> PodSnapshot {
    let state = ContainerState::Waiting { reason: reason.into(), message: String::new() };
    pod(uid, Phase::Pending, Some(state))
}

fn ends(uid: &str, exit_code: i32, finished: i64) -> PodSnapshot {
    let finished_at = Some(Timestamp(finished));
    let record = Terminated { exit_code, reason: "Error".into(), finished_at, ..Terminated::default() };
    let phase = if exit_code == 0 { Phase::Succeeded } else { Phase::Failed };
    pod(uid, phase, Some(ContainerState::Terminated(record)))
}

fn deleted(pod: PodSnapshot) -> PodSnapshot {
    let (deletion_timestamp, deletion_grace_period_seconds) = (Some(Timestamp(100)), Some(30));
    PodSnapshot { deletion_timestamp, deletion_grace_period_seconds, ..pod }
}

fn of_job(snapshot: &PodSnapshot) -> JobPod<'_> {
    JobPod { name: &snapshot.uid, owner: "j", snapshot }
}

const UNAVAILABLE: ApiError<'_> = ApiError { code: 503, is_status: true, retry_after: None, message: "no" };
const FORBIDDEN: ApiError<'_> = ApiError { code: 403, ..UNAVAILABLE };

/// How the Job's object comes and goes, and its conditions.
pub(super) fn conditions_and_the_object() -> usize {
    let (plain, complete, failed) = (job(), with("Complete"), with("Failed"));
    let (met, target) = (with("SuccessCriteriaMet"), with("FailureTarget"));
    let other = JobSnapshot { uid: "k".into(), ..complete.clone() };
    let letters = [
        ("job", JobInput::Read(&plain)),
        ("complete", JobInput::Snapshot(&complete)),
        ("failed", JobInput::Read(&failed)),
        ("met", JobInput::Read(&met)),
        ("target", JobInput::Snapshot(&target)),
        ("another job", JobInput::Read(&other)),
        ("deleted", JobInput::Deleted(&plain)),
        ("deleted, complete", JobInput::Deleted(&complete)),
        ("not found", JobInput::NotFound),
        ("no pods", JobInput::Pods(&[])),
        ("503", JobInput::ApiError(UNAVAILABLE)),
        ("403", JobInput::ApiError(FORBIDDEN)),
        ("tick", JobInput::Tick),
        ("cancel", JobInput::Cancel),
    ];
    let deadline = Config { deadline: Some(Duration::from_millis(10_007)), ..super::config() };
    walk(&super::config(), &[50, 4300], 3, &letters)
        + walk(&super::config(), &[4300], 4, &letters)
        + walk(&deadline, &[7100], 4, &letters)
}

/// Which pod decided.
pub(super) fn the_pod_that_decided() -> usize {
    let (plain, failed, late) = (job(), with("Failed"), of(&job(), "Failed", "DeadlineExceeded"));
    let target = with("FailureTarget");
    let (a, b, c) = (ends("a", 3, 10), ends("b", 4, 20), ends("c", 0, 30));
    let (a_runs, a_goes) = (runs("a"), deleted(runs("a")));
    let b_without_record = pod("b", Phase::Failed, None);
    let lists = [[of_job(&a), of_job(&c)], [of_job(&b_without_record), of_job(&a)]];
    let letters = [
        ("job", JobInput::Read(&plain)),
        ("failed", JobInput::Snapshot(&failed)),
        ("its deadline", JobInput::Snapshot(&late)),
        ("target", JobInput::Snapshot(&target)),
        ("a runs", JobInput::Pod(of_job(&a_runs))),
        ("a is being deleted", JobInput::Pod(of_job(&a_goes))),
        ("a exits 3", JobInput::Pod(of_job(&a))),
        ("b exits 4", JobInput::PodDeleted(of_job(&b))),
        ("a and c", JobInput::Pods(&lists[0])),
        ("a and b", JobInput::Pods(&lists[1])),
        ("503 for the pods", JobInput::PodsError(UNAVAILABLE)),
        ("403 for the pods", JobInput::PodsError(FORBIDDEN)),
        ("tick", JobInput::Tick),
    ];
    walk(&super::config(), &[50], 4, &letters) + walk(&super::config(), &[1500], 4, &letters)
}

/// Pods that cannot start, and those beside them.
pub(super) fn pods_that_cannot_start() -> usize {
    let plain = JobSnapshot { parallelism: Some(2), completions: Some(2), ..job() };
    let half = JobSnapshot { succeeded: 1, ..plain.clone() };
    let suspended = JobSnapshot { suspend: true, ..plain.clone() };
    let (a, b, b_config) =
        (waits("a", "ErrImagePull"), waits("b", "InvalidImageName"), waits("b", "CreateContainerError"));
    let (a_runs, b_goes) = (runs("a"), deleted(waits("b", "ErrImagePull")));
    let both = [of_job(&a), of_job(&b_config)];
    let letters = [
        ("job", JobInput::Read(&plain)),
        ("half", JobInput::Read(&half)),
        ("suspended", JobInput::Read(&suspended)),
        ("a: pull", JobInput::Pod(of_job(&a))),
        ("a runs", JobInput::Pod(of_job(&a_runs))),
        ("b: name", JobInput::Pod(of_job(&b))),
        ("b: config", JobInput::Pod(of_job(&b_config))),
        ("b is being deleted", JobInput::Pod(of_job(&b_goes))),
        ("both", JobInput::Pods(&both)),
        ("none", JobInput::Pods(&[])),
        ("503 for the pods", JobInput::PodsError(UNAVAILABLE)),
        ("tick", JobInput::Tick),
    ];
    walk(&super::config(), &[50, 7300], 3, &letters) + walk(&super::config(), &[7300], 4, &letters)
}

/// What a Job without a running pod waits for, and for how long.
pub(super) fn before_the_first_pod_runs() -> usize {
    let plain = job();
    let suspended = JobSnapshot { suspend: true, ..job() };
    let elsewhere = JobSnapshot { active: 1, managed_by: "a/b".into(), ..job() };
    let ready = JobSnapshot { active: 1, ready: 1, ..job() };
    let ran = JobSnapshot { failed: 1, pod_replacement_policy: PodReplacementPolicy::Failed, ..job() };
    let terminating = JobSnapshot { deletion_timestamp: Some(Timestamp(9)), ..job() };
    let (a, a_goes) = (waits("a", "ContainerCreating"), deleted(waits("a", "ContainerCreating")));
    let letters = [
        ("job", JobInput::Read(&plain)),
        ("suspended", JobInput::Read(&suspended)),
        ("active elsewhere", JobInput::Read(&elsewhere)),
        ("ready", JobInput::Read(&ready)),
        ("has run", JobInput::Read(&ran)),
        ("is being deleted", JobInput::Read(&terminating)),
        ("a waits", JobInput::Pod(of_job(&a))),
        ("a is being deleted", JobInput::Pod(of_job(&a_goes))),
        ("no pods", JobInput::Pods(&[])),
        ("503", JobInput::ApiError(UNAVAILABLE)),
        ("tick", JobInput::Tick),
    ];
    walk(&super::config(), &[50, 5300], 3, &letters) + walk(&super::config(), &[5300], 4, &letters)
}
