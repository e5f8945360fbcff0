//! The configuration of a wait, with public fields: those of a `Policy` are private.

use podwait_core::{OnGone, OnMissingTerminated, Policy, WaitMachine};
use std::sync::Arc;
use std::time::Duration;

/// The values of a policy. `Default` is written from the rules, independently of the builder.
#[derive(Clone, Debug)]
pub struct Config {
    /// See `PolicyBuilder::finalize_initial`.
    pub finalize_initial: Duration,
    /// See `PolicyBuilder::finalize_max`.
    pub finalize_max: Duration,
    /// See `PolicyBuilder::finalize_budget`.
    pub finalize_budget: Duration,
    /// See `PolicyBuilder::on_missing_terminated`.
    pub on_missing_terminated: OnMissingTerminated,
    /// See `PolicyBuilder::on_gone`.
    pub on_gone: OnGone,
    /// See `PolicyBuilder::gone_grace`.
    pub gone_grace: Duration,
    /// See `PolicyBuilder::absent_grace`.
    pub absent_grace: Duration,
    /// See `PolicyBuilder::image_pull_grace`.
    pub image_pull_grace: Duration,
    /// See `PolicyBuilder::config_error_grace`.
    pub config_error_grace: Duration,
    /// See `PolicyBuilder::unknown_grace`.
    pub unknown_grace: Duration,
    /// See `PolicyBuilder::clock_skew`.
    pub clock_skew: Duration,
    /// See `PolicyBuilder::settle`.
    pub settle: Option<Duration>,
    /// See `PolicyBuilder::start_deadline`.
    pub start_deadline: Option<Duration>,
    /// See `PolicyBuilder::deadline`.
    pub deadline: Option<Duration>,
    /// See `PolicyBuilder::api_error_budget`.
    pub api_error_budget: Duration,
    /// See `PolicyBuilder::auth_error_budget`.
    pub auth_error_budget: Duration,
    /// See `PolicyBuilder::jitter_seed`.
    pub jitter_seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            finalize_initial: Duration::from_millis(200),
            finalize_max: Duration::from_secs(5),
            finalize_budget: Duration::from_secs(15),
            on_missing_terminated: OnMissingTerminated::Infer,
            on_gone: OnGone::Evidence,
            gone_grace: Duration::ZERO,
            absent_grace: Duration::from_secs(10),
            image_pull_grace: Duration::from_secs(120),
            config_error_grace: Duration::from_secs(60),
            unknown_grace: Duration::from_secs(120),
            clock_skew: Duration::ZERO,
            settle: None,
            start_deadline: Some(Duration::from_secs(600)),
            deadline: None,
            api_error_budget: Duration::from_secs(300),
            auth_error_budget: Duration::from_secs(60),
            jitter_seed: None,
        }
    }
}

impl Config {
    /// The same as a policy.
    ///
    /// # Panics
    /// A value is refused.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::builder()
            .finalize_initial(self.finalize_initial)
            .finalize_max(self.finalize_max)
            .finalize_budget(self.finalize_budget)
            .on_missing_terminated(self.on_missing_terminated)
            .on_gone(self.on_gone)
            .gone_grace(self.gone_grace)
            .absent_grace(self.absent_grace)
            .image_pull_grace(self.image_pull_grace)
            .config_error_grace(self.config_error_grace)
            .unknown_grace(self.unknown_grace)
            .clock_skew(self.clock_skew)
            .settle(self.settle)
            .start_deadline(self.start_deadline)
            .deadline(self.deadline)
            .api_error_budget(self.api_error_budget)
            .auth_error_budget(self.auth_error_budget)
            .jitter_seed(self.jitter_seed)
            .build()
            .expect("a policy within its bounds")
    }
}

/// The target of a wait.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    /// The container, if the caller names one.
    pub container: Option<String>,
    /// The uid, if the caller knows it.
    pub uid: Option<String>,
}

impl Goal {
    /// The container with this name, in the first pod that is seen.
    #[must_use]
    pub fn container(name: &str) -> Self {
        Self { container: Some(name.to_owned()), uid: None }
    }

    /// A machine for this wait.
    #[must_use]
    pub fn machine(&self, policy: Arc<Policy>) -> WaitMachine {
        let mut machine = WaitMachine::new(policy);
        if let Some(container) = &self.container {
            machine = machine.container(container);
        }
        if let Some(uid) = &self.uid {
            machine = machine.uid(uid);
        }
        machine
    }
}
