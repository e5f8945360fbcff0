//! An agent that tests its own retry behaviour in simulated time: an outage of ten minutes takes microseconds.
//!
//! ```console
//! $ cargo run -p podwait-core --example simulated_time
//! ```

use podwait_core::{
    ApiError, Container, ContainerState, ContainerStatus, Decision, FailReason, Input, Instant, Phase,
    PodSnapshot, Policy, RestartPolicy, Terminated, WaitMachine,
};
use std::time::Duration;

/// What the API server does at each moment of the simulated time.
struct Outage {
    begins: Instant,
    ends: Instant,
    pod: PodSnapshot,
}

/// The result of one simulated wait: its decision, the time, and the number of calls.
struct Outcome {
    decision: Decision,
    at: Instant,
    calls: u32,
}

fn main() -> Result<(), podwait_core::PolicyError> {
    // The policy is to wait until an upgrade of the API server is over, which takes four minutes here.
    let policy = Policy::builder().api_error_budget(Duration::from_secs(600)).jitter_seed(7u64).build()?;

    let survived = simulate(&policy, &Outage::of(60, 60 + 240));
    assert!(matches!(survived.decision, Decision::Done(exit) if exit.code == 0));
    assert!(survived.calls < 100, "no storm: {} calls", survived.calls);
    println!("four minutes: exit 0 after {} ms and {} calls", survived.at.as_millis(), survived.calls);

    let given_up = simulate(&policy, &Outage::of(60, 60 + 3600));
    let Decision::Fail(failure) = given_up.decision else { panic!("an hour is too long") };
    assert_eq!(failure.reason, FailReason::ApiUnavailable);
    println!("an hour: {failure} after {} ms and {} calls", given_up.at.as_millis(), given_up.calls);
    Ok(())
}

/// The agent's loop with the clock as a number: where it would sleep, time jumps.
fn simulate(policy: &Policy, server: &Outage) -> Outcome {
    let mut machine = WaitMachine::new(policy.clone().into());
    let mut now = Instant::ZERO;
    let mut calls = 0;
    loop {
        calls += 1;
        let decision = if (server.begins..server.ends).contains(&now) {
            machine.handle(
                now,
                Input::ApiError(ApiError {
                    code: 503,
                    is_status: true,
                    retry_after: None,
                    message: "upgrading",
                }),
            )
        } else {
            machine.handle(now, Input::Snapshot(&server.pod_at(now)))
        };
        match decision {
            Decision::Retry { after, .. } => now = now.after(after),
            Decision::Done(_) | Decision::Fail(_) => return Outcome { decision, at: now, calls },
        }
    }
}

impl Outage {
    /// An outage between these seconds, and a pod that ends during the outage.
    fn of(begins: u64, ends: u64) -> Self {
        let pod = PodSnapshot {
            uid: "5f1d".into(),
            resource_version: "110".into(),
            restart_policy: RestartPolicy::Never,
            containers: vec![Container { name: "step".into(), ..Default::default() }],
            phase: Phase::Running,
            ..Default::default()
        };
        Self { begins: Instant::from_millis(begins * 1000), ends: Instant::from_millis(ends * 1000), pod }
    }

    fn pod_at(&self, now: Instant) -> PodSnapshot {
        let state = if now < self.ends {
            ContainerState::Running
        } else {
            ContainerState::Terminated(Terminated {
                exit_code: 0,
                reason: "Completed".into(),
                ..Default::default()
            })
        };
        let status = ContainerStatus { name: "step".into(), state: Some(state), ..Default::default() };
        let resource_version = if now < self.ends { "110" } else { "120" }.into();
        PodSnapshot { resource_version, container_statuses: vec![status], ..self.pod.clone() }
    }
}
