//! The machine of a Job, rule by rule.

use super::*;
use crate::{
    ApiError, Condition, Container, ContainerState, ContainerStatus, DoneReason, FailReason, Failure,
    Instant, Phase, PodSnapshot, Policy, RestartPolicy, RetryReason, Terminated, Timestamp,
};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;

/// The reason to wait, or the answer.
type Said = Result<RetryReason, Box<Result<JobExit, Failure>>>;

/// A wait for the Job `uid-j`, with a version that grows with every object.
struct World {
    machine: JobMachine,
    version: u32,
    job: JobSnapshot,
}

fn condition(reason: &str) -> Option<Condition> {
    Some(Condition { is_true: true, reason: reason.into(), ..Condition::default() })
}

impl World {
    fn under(policy: Policy) -> Self {
        let job = JobSnapshot { uid: "uid-j".into(), completions: Some(1), ..JobSnapshot::default() };
        Self { machine: JobMachine::new(Arc::new(policy)), version: 100, job }
    }

    /// A Job that was read at 0.
    fn new() -> Self {
        let mut world = Self::under(Policy::default());
        assert_eq!(world.read(0, |_| {}), Ok(RetryReason::AwaitingPod));
        world
    }

    /// Passes an input, and returns the reason to wait, or the answer.
    fn pass(&mut self, at: u64, input: JobInput<'_>) -> Said {
        match self.machine.handle(Instant::from_millis(at), input) {
            JobDecision::Retry { after, why } => {
                let due = Some(Instant::from_millis(at).after(after));
                assert!(!after.is_zero() && self.machine.next_deadline() == due);
                Ok(why)
            }
            JobDecision::Done(exit) => Err(Box::new(Ok(exit))),
            JobDecision::Fail(failure) => Err(Box::new(Err(failure))),
        }
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        alloc::format!("{}", self.version)
    }

    fn read(&mut self, at: u64, change: impl FnOnce(&mut JobSnapshot)) -> Said {
        self.job.resource_version = self.next_version();
        change(&mut self.job);
        let job = self.job.clone();
        self.pass(at, JobInput::Read(&job))
    }

    fn pod(&mut self, at: u64, name: &str, change: impl FnOnce(&mut PodSnapshot)) -> Said {
        let mut snapshot = pod(name, &self.next_version());
        change(&mut snapshot);
        self.pass(at, JobInput::Pod(JobPod { name, owner: "uid-j", snapshot: &snapshot }))
    }

    /// A complete list of these pods.
    fn list(&mut self, at: u64, pods: &[(&str, PodSnapshot)]) -> Said {
        let pods: alloc::vec::Vec<_> =
            pods.iter().map(|(name, snapshot)| JobPod { name, owner: "uid-j", snapshot }).collect();
        self.pass(at, JobInput::Pods(&pods))
    }
}

/// A pod whose container waits.
fn pod(name: &str, version: &str) -> PodSnapshot {
    PodSnapshot {
        uid: alloc::format!("uid-{name}"),
        resource_version: version.into(),
        restart_policy: RestartPolicy::Never,
        containers: vec![Container { name: "step".into(), ..Container::default() }],
        container_statuses: vec![ContainerStatus { name: "step".into(), ..ContainerStatus::default() }],
        ..PodSnapshot::default()
    }
}

fn runs(pod: &mut PodSnapshot) {
    pod.phase = Phase::Running;
    pod.container_statuses[0].state = Some(ContainerState::Running);
}

fn waits(reason: &'static str) -> impl Fn(&mut PodSnapshot) {
    move |pod| {
        let state = ContainerState::Waiting { reason: reason.into(), message: String::new() };
        pod.container_statuses[0].state = Some(state);
    }
}

fn record(exit_code: i32, finished: i64) -> Terminated {
    let finished_at = Some(Timestamp(finished));
    Terminated { exit_code, reason: "Error".into(), finished_at, ..Terminated::default() }
}

fn ends(exit_code: i32, finished: i64) -> impl Fn(&mut PodSnapshot) {
    move |pod| {
        pod.phase = if exit_code == 0 { Phase::Succeeded } else { Phase::Failed };
        pod.container_statuses[0].state = Some(ContainerState::Terminated(record(exit_code, finished)));
    }
}

fn is_evicted(pod: &mut PodSnapshot) {
    pod.phase = Phase::Failed;
    pod.reason = "Evicted".into();
    pod.container_statuses.clear();
}

fn failed(job: &mut JobSnapshot) {
    job.conditions.failed = condition("BackoffLimitExceeded");
}

#[track_caller]
fn exit_of(answer: Said) -> JobExit {
    answer.expect_err("an answer").expect("an exit")
}

#[track_caller]
fn failure_of(answer: Said) -> Failure {
    answer.expect_err("an answer").expect_err("a failure")
}

const HOUR: u64 = 3_600_000;

#[test]
fn a_job_that_is_complete_is_0_whatever_its_pods_did() {
    let mut world = World::new();
    assert_eq!(world.pod(1, "a", ends(3, 1)), Ok(RetryReason::Restarting));
    let exit = exit_of(world.read(2, |job| job.conditions.complete = condition("CompletionsReached")));
    assert_eq!((exit.code, exit.reason, exit.rule, exit.pod), (0, DoneReason::Completed, 15, None));
    assert_eq!(exit_of(world.pass(3, JobInput::Cancel)).code, 0, "the answer stays");
}

#[test]
fn the_code_of_a_failed_job_is_that_of_its_last_failed_pod() {
    let mut world = World::new();
    assert_eq!(world.pod(1, "a", ends(3, 1)), Ok(RetryReason::Restarting));
    assert_eq!(world.pod(2, "b", ends(4, 2)), Ok(RetryReason::Restarting));
    assert_eq!(world.read(3, failed), Ok(RetryReason::AwaitingTerminatedState));
    assert_eq!(
        world.pass(4, JobInput::Tick),
        Ok(RetryReason::AwaitingTerminatedState),
        "a tick reads nothing"
    );
    let (mut b, mut c) = (pod("b", "200"), pod("c", "200"));
    ends(4, 2)(&mut b);
    ends(5, 3)(&mut c);
    let exit = exit_of(world.list(5, &[("c", c), ("b", b)]));
    assert_eq!((exit.code, exit.reason, exit.rule), (5, DoneReason::NonzeroExit, 18));
    assert_eq!(
        alloc::format!("{exit}"),
        "the job failed (BackoffLimitExceeded); in pod c, container step exited 5"
    );
}

#[test]
fn an_evicted_pod_that_decided_is_the_cluster_s_fault() {
    let mut world = World::new();
    assert_eq!(world.pod(1, "a", ends(3, 1)), Ok(RetryReason::Restarting));
    assert_eq!(world.pod(2, "b", is_evicted), Ok(RetryReason::Restarting));
    assert_eq!(world.read(3, failed), Ok(RetryReason::AwaitingTerminatedState));
    let failure = failure_of(world.list(4, &[]));
    assert_eq!((failure.reason, failure.rule), (FailReason::Evicted, 18));
    assert!(
        failure.message.contains("BackoffLimitExceeded") && failure.message.contains("pod b"),
        "{failure}"
    );
    assert!(failure.is_safe_to_rerun(), "no pod has succeeded");
}

#[test]
fn what_the_controller_deleted_because_the_job_had_failed_does_not_decide() {
    let mut world = World::new();
    let is_deleted = |pod: &mut PodSnapshot| {
        ends(143, 3)(pod);
        (pod.deletion_timestamp, pod.deletion_grace_period_seconds) = (Some(Timestamp(2)), Some(0));
    };
    assert_eq!(world.pod(1, "a", ends(3, 1)), Ok(RetryReason::Restarting));
    assert_eq!(world.pod(2, "b", runs), Ok(RetryReason::Running));
    let _ = world.pod(3, "b", is_deleted);
    assert_eq!(world.read(4, failed), Ok(RetryReason::AwaitingTerminatedState));
    assert_eq!(exit_of(world.list(5, &[])).code, 3);
}

#[test]
fn a_pod_that_was_deleted_after_too_many_restarts_has_the_code_of_its_last_run() {
    let mut world = World::new();
    let restarts = |pod: &mut PodSnapshot| {
        waits("CrashLoopBackOff")(pod);
        (pod.phase, pod.restart_policy) = (Phase::Running, RestartPolicy::OnFailure);
        (pod.container_statuses[0].restart_count, pod.container_statuses[0].last_terminated) =
            (2, Some(record(3, 5)));
    };
    assert_eq!(world.pod(1, "a", restarts), Ok(RetryReason::Running));
    let _ = world.pod(2, "a", |pod| {
        restarts(pod);
        (pod.deletion_timestamp, pod.deletion_grace_period_seconds) = (Some(Timestamp(40)), Some(30));
    });
    assert_eq!(world.read(3, failed), Ok(RetryReason::AwaitingTerminatedState));
    let exit = exit_of(world.list(4, &[]));
    assert_eq!((exit.code, exit.pod.map(|pod| pod.name)), (3, Some("a".into())));
}

#[test]
fn the_pod_that_the_condition_names_decides() {
    let mut world = World::new();
    let _ = world.pod(1, "a", ends(42, 1));
    let _ = world.pod(2, "b", ends(3, 2));
    let _ = world.read(3, |job| {
        let message = "Container step for pod ci/a failed with exit code 42 matching FailJob rule at index 0";
        let reason = "PodFailurePolicy".into();
        let condition = Condition { is_true: true, reason, message: message.into(), ..Condition::default() };
        job.conditions.failed = Some(condition);
    });
    assert_eq!(exit_of(world.list(4, &[])).code, 42);
}

#[test]
fn a_pod_of_an_index_that_failed_decides() {
    let mut world = World::new();
    let _ = world.pod(1, "build-1-aaaaa", ends(7, 1));
    let _ = world.pod(2, "build-2-bbbbb", ends(8, 2));
    let _ = world.read(3, |job| {
        job.conditions.failed = condition("FailedIndexes");
        job.failed_indexes = "0-1".into();
    });
    assert_eq!(exit_of(world.list(4, &[])).code, 7);
}

#[test]
fn the_job_s_own_deadline_is_no_exit_of_a_pod() {
    let mut world = World::new();
    let _ = world.pod(1, "a", ends(3, 1));
    let _ = world.read(2, |job| job.conditions.failed = condition("DeadlineExceeded"));
    let failure = failure_of(world.list(3, &[]));
    assert_eq!((failure.reason, failure.exit_code), (FailReason::DeadlineExceeded, Some(3)));
}

#[test]
fn without_the_right_to_list_pods_a_job_that_failed_has_no_code() {
    let forbidden = ApiError { code: 403, is_status: true, retry_after: None, message: "no" };
    let mut world = World::new();
    assert_eq!(world.pass(1, JobInput::PodsError(forbidden)), Ok(RetryReason::AwaitingPod));
    assert_eq!(world.read(2, failed), Ok(RetryReason::AwaitingTerminatedState));
    assert_eq!(failure_of(world.pass(3, JobInput::PodsError(forbidden))).reason, FailReason::JobFailed);

    let mut world = World::new();
    assert_eq!(world.read(2, failed), Ok(RetryReason::AwaitingTerminatedState));
    let unreachable = JobInput::PodsError(ApiError::default());
    assert_eq!(world.pass(3, unreachable), Ok(RetryReason::AwaitingTerminatedState));
    assert_eq!(world.pass(15_001, JobInput::Tick), Ok(RetryReason::AwaitingTerminatedState));
    assert_eq!(failure_of(world.pass(15_002, JobInput::Tick)).reason, FailReason::JobFailed);
}

#[test]
fn a_pod_that_is_over_may_still_get_its_record() {
    let mut world = World::new();
    let without_record = |pod: &mut PodSnapshot| pod.phase = Phase::Failed;
    let _ = world.pod(1, "a", without_record);
    let _ = world.read(2, failed);
    let mut a = pod("a", "200");
    without_record(&mut a);
    assert_eq!(world.list(3, &[("a", a)]), Ok(RetryReason::AwaitingTerminatedState));
    let exit = exit_of(world.pod(900, "a", |pod| {
        ends(3, 1)(pod);
        pod.resource_version = "201".into();
    }));
    assert_eq!(exit.code, 3);
}

#[test]
fn an_outcome_that_is_certain_decides_when_the_last_condition_never_comes() {
    let mut world = World::new();
    let met = |job: &mut JobSnapshot| job.conditions.success_criteria_met = condition("SuccessPolicy");
    assert_eq!(world.read(1000, met), Ok(RetryReason::AwaitingTerminalCondition));
    assert_eq!(world.pass(120_999, JobInput::Tick), Ok(RetryReason::AwaitingTerminalCondition));
    let exit = exit_of(world.pass(121_000, JobInput::Tick));
    assert_eq!((exit.code, exit.rule, exit.condition_reason.as_str()), (0, 16, "SuccessPolicy"));

    let mut world = World::new();
    let _ = world.pod(1, "a", ends(3, 1));
    let target = |job: &mut JobSnapshot| job.conditions.failure_target = condition("BackoffLimitExceeded");
    assert_eq!(world.read(1000, target), Ok(RetryReason::AwaitingTerminalCondition));
    assert_eq!(exit_of(world.pass(121_000, JobInput::Tick)).code, 3);
}

#[test]
fn a_job_that_is_gone_has_ended_as_its_last_object_says() {
    let mut world = World::new();
    let met = |job: &mut JobSnapshot| job.conditions.success_criteria_met = condition("");
    let _ = world.read(1, met);
    assert_eq!(exit_of(world.pass(2, JobInput::NotFound)).code, 0);

    let mut world = World::new();
    let mut last = world.job.clone();
    (last.resource_version, last.conditions.complete) = ("200".into(), condition(""));
    assert_eq!(exit_of(world.pass(1, JobInput::Deleted(&last))).code, 0);

    let mut world = World::new();
    let failure = failure_of(world.pass(1, JobInput::NotFound));
    assert_eq!((failure.reason, failure.rule), (FailReason::PodDeleted, 14));
    assert!(failure.may_have_finished && !failure.message.contains("again"), "{failure}");
}

#[test]
fn an_absence_is_confirmed_and_an_old_object_still_tells_how_it_ended() {
    let grace = Duration::from_secs(3);
    let mut world = World::under(Policy::builder().gone_grace(grace).build().expect("a policy"));
    let _ = world.read(0, |_| {});
    assert_eq!(world.pass(1000, JobInput::NotFound), Ok(RetryReason::ConfirmingDeletion));
    let mut last = world.job.clone();
    last.conditions.complete = condition("");
    assert_eq!(exit_of(world.pass(2000, JobInput::Deleted(&last))).code, 0);
}

#[test]
fn another_job_of_the_name_is_not_ours() {
    let mut world = World::new();
    let mut other = world.job.clone();
    (other.uid, other.resource_version) = ("uid-k".into(), "900".into());
    other.conditions.complete = condition("");
    assert_eq!(failure_of(world.pass(1, JobInput::Read(&other))).reason, FailReason::PodReplaced);

    let mut machine = JobMachine::new(Arc::default()).uid("uid-j");
    let decision = machine.handle(Instant::ZERO, JobInput::Read(&other));
    assert!(matches!(decision, JobDecision::Retry { why: RetryReason::AwaitingJob, .. }), "{decision:?}");
    assert_eq!(machine.job_uid(), Some("uid-j"));
}

#[test]
fn pods_of_others_are_ignored() {
    let mut world = World::new();
    let mut snapshot = pod("a", "1");
    ends(3, 1)(&mut snapshot);
    for owner in ["", "uid-k"] {
        let pod = JobPod { name: "a", owner, snapshot: &snapshot };
        assert_eq!(world.pass(1, JobInput::Pod(pod)), Ok(RetryReason::AwaitingPod), "{owner}");
        assert_eq!(world.pass(1, JobInput::Pods(&[pod])), Ok(RetryReason::AwaitingPod), "{owner}");
    }
}

#[test]
fn a_job_fails_when_no_pod_that_it_needs_can_start() {
    let mut world = World::new();
    assert_eq!(world.pod(0, "a", waits("ErrImagePull")), Ok(RetryReason::Pending));
    assert_eq!(world.pass(119_999, JobInput::Tick), Ok(RetryReason::Pending));
    let failure = failure_of(world.pass(120_000, JobInput::Tick));
    assert_eq!((failure.reason, failure.rule), (FailReason::ImagePull, 17));
    assert!(failure.message.contains("pod a: container step could not pull its image"), "{failure}");
    assert!(!failure.may_have_finished);
}

#[test]
fn a_stuck_pod_does_not_fail_a_job_whose_other_pods_go_on() {
    let mut world = World::new();
    let two = |job: &mut JobSnapshot| (job.parallelism, job.completions) = (Some(2), Some(2));
    let _ = world.read(0, two);
    assert_eq!(world.pod(1, "a", waits("InvalidImageName")), Ok(RetryReason::Pending));
    assert_eq!(world.pod(2, "b", runs), Ok(RetryReason::Running));
    assert_eq!(world.pass(HOUR, JobInput::Tick), Ok(RetryReason::Running));
    let _ = world.pod(HOUR + 1, "b", ends(3, 1));
    assert_eq!(world.pass(HOUR + 2, JobInput::Tick), Ok(RetryReason::Pending), "b is to be replaced");
    let failure = failure_of(world.read(HOUR + 3, |job| job.succeeded = 1));
    assert_eq!(failure.reason, FailReason::InvalidImageName, "the last one that is needed is stuck");
    assert!(failure.may_have_finished, "a pod has succeeded");
}

#[test]
fn a_pod_that_starts_after_all_is_stuck_no_more() {
    let mut world = World::new();
    let _ = world.read(0, |job| (job.parallelism, job.completions) = (Some(2), Some(2)));
    let _ = world.pod(0, "a", waits("ErrImagePull"));
    let _ = world.pod(0, "b", runs);
    assert_eq!(world.pass(HOUR, JobInput::Tick), Ok(RetryReason::Running));
    assert_eq!(world.pod(HOUR + 1, "a", runs), Ok(RetryReason::Running));
    assert_eq!(world.pod(HOUR + 2, "a", ends(3, 1)), Ok(RetryReason::Running));
    let _ = world.read(HOUR + 3, failed);
    assert_eq!(exit_of(world.list(HOUR + 4, &[])).code, 3);
}

#[test]
fn a_pod_that_is_being_deleted_is_not_stuck() {
    let mut world = World::new();
    let is_deleted = |pod: &mut PodSnapshot| {
        waits("ErrImagePull")(pod);
        (pod.deletion_timestamp, pod.deletion_grace_period_seconds) = (Some(Timestamp(30)), Some(30));
    };
    let _ = world.read(0, |job| job.pod_replacement_policy = PodReplacementPolicy::Failed);
    assert_eq!(world.pod(1, "a", is_deleted), Ok(RetryReason::PodTerminating));
    assert_eq!(world.pass(500_000, JobInput::Tick), Ok(RetryReason::PodTerminating));
}

#[test]
fn a_job_without_pods_fails_after_the_start_deadline_unless_it_is_suspended() {
    let mut world = World::new();
    assert_eq!(world.pass(599_999, JobInput::Tick), Ok(RetryReason::AwaitingPod));
    let failure = failure_of(world.pass(600_000, JobInput::Tick));
    assert_eq!((failure.reason, failure.rule), (FailReason::StartTimeout, 19));
    assert!(failure.message.contains("events") && !failure.may_have_finished, "{failure}");

    let mut world = World::new();
    assert_eq!(world.read(300_000, |job| job.suspend = true), Ok(RetryReason::Suspended));
    assert_eq!(world.pass(HOUR, JobInput::Tick), Ok(RetryReason::Suspended));
    assert_eq!(world.read(HOUR + 1, |job| job.suspend = false), Ok(RetryReason::AwaitingPod));
    assert_eq!(world.pass(HOUR + 300_000, JobInput::Tick), Ok(RetryReason::AwaitingPod));
    assert_eq!(failure_of(world.pass(HOUR + 300_001, JobInput::Tick)).reason, FailReason::StartTimeout);
}

#[test]
fn pods_that_are_not_known_may_run_elsewhere() {
    let mut world = World::new();
    let _ = world.read(0, |job| (job.active, job.managed_by) = (1, "kueue.x-k8s.io/multikueue".into()));
    assert_eq!(world.pass(HOUR, JobInput::Tick), Ok(RetryReason::Pending));
    assert_eq!(world.read(HOUR + 1, |job| job.ready = 1), Ok(RetryReason::Running));

    let mut world = World::new();
    let _ = world.read(0, |job| job.managed_by = "acme.io/none".into());
    let failure = failure_of(world.pass(HOUR, JobInput::Tick));
    assert!(failure.message.ends_with("(the job is managed by acme.io/none)"), "{failure}");
}

#[test]
fn errors_of_the_job_have_budgets_and_those_of_its_pods_have_none() {
    let error = ApiError { code: 503, is_status: true, retry_after: None, message: "overloaded" };
    let mut world = World::new();
    let _ = world.pod(0, "a", waits("ErrImagePull"));
    assert_eq!(world.pass(1, JobInput::PodsError(error)), Ok(RetryReason::Pending));
    assert_eq!(world.pass(HOUR / 2, JobInput::Tick), Ok(RetryReason::Pending), "its state may have changed");

    let mut world = World::new();
    assert_eq!(world.pass(1, JobInput::ApiError(error)), Ok(RetryReason::ApiError));
    let failure = failure_of(world.pass(300_001, JobInput::Tick));
    assert_eq!((failure.reason, failure.rule), (FailReason::ApiUnavailable, 14));
    let forbidden = ApiError { code: 403, message: "jobs of the pod", ..error };
    let mut world = World::new();
    let _ = world.pass(1, JobInput::ApiError(forbidden));
    let failure = failure_of(world.pass(60_001, JobInput::Tick));
    assert_eq!(failure.message, "the API server denies access to the job (jobs of the pod)");
}

#[test]
fn a_certain_outcome_outlasts_the_caller_s_deadline_and_not_a_cancellation() {
    let second = Duration::from_secs(1);
    let met = |job: &mut JobSnapshot| job.conditions.success_criteria_met = condition("");
    let mut world = World::under(Policy::builder().deadline(second).build().expect("a policy"));
    let _ = world.read(0, met);
    assert_eq!(world.pass(999, JobInput::Tick), Ok(RetryReason::AwaitingTerminalCondition));
    assert_eq!(exit_of(world.pass(1000, JobInput::Tick)).code, 0);

    let mut world = World::new();
    let _ = world.read(0, met);
    assert_eq!(failure_of(world.pass(1, JobInput::Cancel)).reason, FailReason::Cancelled);

    let mut world = World::under(Policy::builder().deadline(second).build().expect("a policy"));
    let _ = world.read(0, |job| job.suspend = true);
    let failure = failure_of(world.pass(1000, JobInput::Tick));
    assert_eq!(failure.message, "the job did not end within 1s (the job is suspended)");
}

#[test]
fn what_is_kept_of_pods_is_limited() {
    let mut world = World::new();
    for n in 0..150 {
        let _ = world.pod(n, &alloc::format!("p{n}"), ends(3, i64::try_from(n).expect("small")));
    }
    let _ = world.pod(200, "old", ends(4, -1));
    let _ = world.read(201, failed);
    let exit = exit_of(world.list(202, &[]));
    assert_eq!(exit.pod.map(|pod| pod.name), Some("p149".into()));
}
