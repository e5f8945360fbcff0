//! Policies: from any JSON, and from any values.

use arbitrary::{Arbitrary, Unstructured};
use podwait_core::{Decision, Input, Instant, Policy, PolicyBuilder, WaitMachine};
use std::time::Duration;

/// Values for a builder.
#[derive(Arbitrary, Debug)]
struct Values {
    finalize_initial: Duration,
    finalize_max: Duration,
    finalize_budget: Duration,
    absent_grace: Duration,
    image_pull_grace: Duration,
    config_error_grace: Duration,
    unknown_grace: Duration,
    settle: Option<Duration>,
    clock_skew: Duration,
    start_deadline: Option<Duration>,
    deadline: Option<Duration>,
    api_error_budget: Duration,
    auth_error_budget: Duration,
    reobserve: Duration,
    jitter_seed: Option<u64>,
}

/// Any values are a policy or an error. A policy survives JSON, and a machine with it returns valid delays.
///
/// # Panics
/// A finding.
pub fn policy(data: &[u8]) {
    if let Ok(policy) = serde_json::from_slice::<Policy>(data) {
        check(&policy);
    }
    if let Ok(values) = Values::arbitrary_take_rest(Unstructured::new(data))
        && let Ok(policy) = values.builder().build()
    {
        check(&policy);
    }
}

impl Values {
    fn builder(&self) -> PolicyBuilder {
        Policy::builder()
            .finalize_initial(self.finalize_initial)
            .finalize_max(self.finalize_max)
            .finalize_budget(self.finalize_budget)
            .absent_grace(self.absent_grace)
            .image_pull_grace(self.image_pull_grace)
            .config_error_grace(self.config_error_grace)
            .unknown_grace(self.unknown_grace)
            .settle(self.settle)
            .clock_skew(self.clock_skew)
            .start_deadline(self.start_deadline)
            .deadline(self.deadline)
            .api_error_budget(self.api_error_budget)
            .auth_error_budget(self.auth_error_budget)
            .reobserve(self.reobserve)
            .jitter_seed(self.jitter_seed)
    }
}

fn check(policy: &Policy) {
    let json = serde_json::to_string(policy).expect("a policy is JSON");
    let again: Policy = serde_json::from_str(&json).expect("and reads back");
    assert_eq!(serde_json::to_string(&again).expect("a policy is JSON"), json);
    let mut machine = WaitMachine::new(again.into());
    let mut now = Instant::ZERO;
    let mut input = Input::NotFound;
    for _ in 0..64 {
        let Decision::Retry { after, .. } = machine.handle(now, input) else { return };
        assert!(after >= Duration::from_millis(1), "{json}");
        now = now.after(after);
        input = Input::Tick;
    }
}
