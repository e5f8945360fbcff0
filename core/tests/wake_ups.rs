//! When the machine is to be called again, to the millisecond.

use podwait_core::{
    ApiError, Container, ContainerState, ContainerStatus, Decision, Input, Instant, Phase, PodSnapshot,
    Policy, RestartPolicy, RetryReason, WaitMachine,
};
use std::time::Duration;

/// A wait with its times in milliseconds.
struct Wait(WaitMachine);

impl Wait {
    fn new() -> Self {
        Self(WaitMachine::new(Policy::default().into()))
    }

    #[track_caller]
    fn at(&mut self, at: u64, input: Input<'_>) -> (u64, RetryReason) {
        match self.0.handle(Instant::from_millis(at), input) {
            Decision::Retry { after, why } => (u64::try_from(after.as_millis()).expect("short"), why),
            decision @ (Decision::Done(_) | Decision::Fail(_)) => panic!("{decision:?}"),
        }
    }
}

fn pod(version: u32, phase: Phase) -> PodSnapshot {
    PodSnapshot {
        uid: "u".into(),
        resource_version: version.to_string(),
        restart_policy: RestartPolicy::Never,
        containers: vec![Container { name: "step".into(), ..Default::default() }],
        container_statuses: vec![ContainerStatus {
            name: "step".into(),
            state: Some(ContainerState::Running),
            ..Default::default()
        }],
        phase,
        ..Default::default()
    }
}

const fn error(code: u16) -> Input<'static> {
    Input::ApiError(ApiError { code, is_status: true, retry_after: None, message: "no" })
}

#[test]
fn a_missing_pod_is_asked_for_on_the_backoff_until_its_grace_ends() {
    let mut wait = Wait::new();
    let mut now = 0;
    let mut delays = Vec::new();
    while now < 10_000 {
        let (after, why) = wait.at(now, Input::NotFound);
        assert_eq!(why, RetryReason::AwaitingPod);
        delays.push(after);
        now += after;
    }
    assert_eq!(delays, [200, 400, 800, 1600, 3200, 3800]);
}

#[test]
fn a_missing_record_is_asked_for_on_the_backoff_and_last_when_its_budget_ends() {
    let mut wait = Wait::new();
    let mut now = 0;
    let mut delays = Vec::new();
    while now < 15_000 {
        let (after, why) = wait.at(now, Input::Snapshot(&pod(1, Phase::Failed)));
        assert_eq!(why, RetryReason::AwaitingTerminatedState);
        delays.push(after);
        now += after;
    }
    assert_eq!(delays, [200, 400, 800, 1600, 3200, 5000, 3800]);
    let last = wait.0.handle(Instant::from_millis(now), Input::Snapshot(&pod(1, Phase::Failed)));
    assert_eq!((now, last.code()), (15_000, "terminated_state_missing"));
}

#[test]
fn errors_double_their_delay_and_a_good_read_starts_anew() {
    let mut wait = Wait::new();
    let running = pod(1, Phase::Running);
    assert_eq!(wait.at(0, Input::Snapshot(&running)), (30_000, RetryReason::Running));
    let mut now = 1000;
    for expected in [200, 400, 800, 1600, 3200, 5000, 5000] {
        assert_eq!(wait.at(now, error(503)), (expected, RetryReason::ApiError));
        now += expected;
    }
    // A tick that is due counts as an attempt; an early one does not.
    assert_eq!(wait.at(now - 1, Input::Tick), (1, RetryReason::ApiError));
    assert_eq!(wait.at(now, Input::Tick), (5000, RetryReason::ApiError));
    assert_eq!(wait.at(now, Input::Snapshot(&running)), (30_000, RetryReason::Running));
    assert_eq!(wait.at(now, error(429)), (200, RetryReason::ApiThrottled));
}

#[test]
fn relists_that_come_close_together_grow_apart_also_with_good_reads_between() {
    let mut wait = Wait::new();
    let running = pod(1, Phase::Running);
    let _ = wait.at(0, Input::Snapshot(&running));
    for (at, expected) in [(2000, 200), (2100, 400), (2300, 800)] {
        assert_eq!(wait.at(at, error(410)), (expected, RetryReason::Relist));
        let _ = wait.at(at, Input::Snapshot(&running));
    }
    assert_eq!(wait.at(12_299, error(410)), (1600, RetryReason::Relist));
    assert_eq!(wait.at(22_299, error(410)), (200, RetryReason::Relist));
}

#[test]
fn silence_is_counted_from_the_last_snapshot() {
    let mut wait = Wait::new();
    let running = pod(1, Phase::Running);
    assert_eq!(wait.at(0, Input::Snapshot(&running)).0, 30_000);
    assert_eq!(wait.at(10_000, Input::Snapshot(&running)).0, 30_000);
    assert_eq!(wait.at(25_000, Input::Tick).0, 15_000);
    assert_eq!(wait.at(39_999, Input::Tick).0, 1);
    assert_eq!(wait.at(40_000, Input::Tick).0, 30_000);
}

#[test]
fn jitter_keeps_every_delay_in_the_upper_half_of_its_own() {
    let policy = Policy::builder().jitter_seed(11u64).build().expect("a policy");
    let mut wait = Wait(WaitMachine::new(policy.clone().into()));
    assert_eq!(wait.0.policy(), &policy);
    let mut now = 0;
    for full in [200, 400, 800, 1600, 3200] {
        let (after, _) = wait.at(now, error(500));
        assert!((full / 2..=full).contains(&after), "{after} of {full}");
        now += after;
    }
}

#[test]
fn retry_after_is_a_floor_and_the_next_timer_a_ceiling() {
    let error = |seconds| {
        Input::ApiError(ApiError {
            code: 429,
            is_status: true,
            retry_after: Some(Duration::from_secs(seconds)),
            message: "",
        })
    };
    assert_eq!(Wait::new().at(0, error(30)).0, 30_000);
    assert_eq!(Wait::new().at(0, error(0)).0, 200);
    // The API error budget ends the wait before the server's day is over.
    assert_eq!(Wait::new().at(0, error(86_400)).0, 300_000);
}

#[test]
fn a_loop_that_keeps_no_decision_asks_the_machine_when_it_is_due() {
    let mut wait = Wait::new();
    assert_eq!((wait.0.next_deadline(), wait.0.pod_uid()), (Some(Instant::ZERO), None), "at once");
    let (after, _) = wait.at(70, error(503));
    assert_eq!(wait.0.next_deadline(), Some(Instant::from_millis(70 + after)));
    let (after, _) = wait.at(100, Input::Read(&pod(1, Phase::Running)));
    assert_eq!(wait.0.next_deadline(), Some(Instant::from_millis(100 + after)));
    assert_eq!(wait.0.pod_uid(), Some("u"), "the first one seen");
    assert_eq!(wait.0.save().pod_uid(), Some("u"));
    // It is about that pod and no other, whatever comes later.
    wait.0 = wait.0.uid("other").container("other");
    assert_eq!(wait.0.pod_uid(), Some("u"));
    assert!(wait.0.handle(Instant::from_millis(200), Input::Cancel).is_final());
    assert_eq!(wait.0.next_deadline(), None);
    assert!(matches!(wait.0.verdict(), Some(Err(_))));
}
