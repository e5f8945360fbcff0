//! The limits of a wait, and what to answer when evidence is missing.

use crate::time::millis;
use core::time::Duration;

/// What to answer when a pod is `Succeeded` but the target's `terminated` record never came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum OnMissingTerminated {
    /// `Done` with code 0, marked as inferred: `Succeeded` means by definition that every regular container
    /// exited with 0. Never inferred where an outside cause was seen.
    #[default]
    Infer,
    /// `Fail(terminated_state_missing)`.
    Fail,
}

/// What to answer when the API server says that the pod does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum OnGone {
    /// The facts seen before decide; absence alone is never success.
    #[default]
    Evidence,
    /// Every 404 is `Done` with code 0, as Woodpecker's `WaitStep` answers since v3.15.
    ///
    /// **This reports a step that was deleted while it ran as green**, and a pod that never existed too. It is
    /// here for comparison and migration only.
    AssumeSuccess,
}

/// The limits of one wait, checked once by [`PolicyBuilder::build`] and trusted afterwards.
///
/// ```
/// use core::time::Duration;
/// use podwait_core::Policy;
///
/// let policy = Policy::builder().deadline(Duration::from_secs(3600)).build()?;
/// assert_eq!(policy.reobserve(), Duration::from_secs(30));
/// # Ok::<(), podwait_core::PolicyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "PolicyBuilder", try_from = "PolicyBuilder")
)]
pub struct Policy(pub(crate) PolicyBuilder);

impl Policy {
    /// A builder that holds the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// How long an adapter with a watch may go without news before it must GET the pod: a half-open connection gives no
    /// sign that it is dead.
    #[must_use]
    pub const fn reobserve(&self) -> Duration {
        self.0.reobserve
    }

    /// How long the absence of a pod that was seen, or of its record, is confirmed; zero if it decides at once.
    #[must_use]
    pub const fn gone_grace(&self) -> Duration {
        self.0.gone_grace
    }

    /// The seed of the backoff's jitter.
    #[must_use]
    pub const fn jitter_seed(&self) -> Option<u64> {
        self.0.jitter_seed
    }
}

impl From<Policy> for PolicyBuilder {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

impl TryFrom<PolicyBuilder> for Policy {
    type Error = PolicyError;

    fn try_from(builder: PolicyBuilder) -> Result<Self, PolicyError> {
        builder.build()
    }
}

/// Collects the values of a [`Policy`]; what is not set keeps its default.
///
/// All durations count in whole milliseconds, and in the serialised form their names end in `_ms`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[must_use = "call build()"]
pub struct PolicyBuilder {
    #[cfg_attr(feature = "serde", serde(rename = "finalize_initial_ms", with = "as_millis"))]
    pub(crate) finalize_initial: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "finalize_max_ms", with = "as_millis"))]
    pub(crate) finalize_max: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "finalize_budget_ms", with = "as_millis"))]
    pub(crate) finalize_budget: Duration,
    pub(crate) on_missing_terminated: OnMissingTerminated,
    pub(crate) on_gone: OnGone,
    #[cfg_attr(feature = "serde", serde(rename = "gone_grace_ms", with = "as_millis"))]
    pub(crate) gone_grace: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "absent_grace_ms", with = "as_millis"))]
    pub(crate) absent_grace: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "image_pull_grace_ms", with = "as_millis"))]
    pub(crate) image_pull_grace: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "config_error_grace_ms", with = "as_millis"))]
    pub(crate) config_error_grace: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "unknown_grace_ms", with = "as_millis"))]
    pub(crate) unknown_grace: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "settle_ms", with = "as_optional_millis"))]
    pub(crate) settle: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(rename = "clock_skew_ms", with = "as_millis"))]
    pub(crate) clock_skew: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "start_deadline_ms", with = "as_optional_millis"))]
    pub(crate) start_deadline: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(rename = "deadline_ms", with = "as_optional_millis"))]
    pub(crate) deadline: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(rename = "api_error_budget_ms", with = "as_millis"))]
    pub(crate) api_error_budget: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "auth_error_budget_ms", with = "as_millis"))]
    pub(crate) auth_error_budget: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "reobserve_ms", with = "as_millis"))]
    pub(crate) reobserve: Duration,
    pub(crate) jitter_seed: Option<u64>,
}

impl Default for PolicyBuilder {
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
            settle: None,
            clock_skew: Duration::ZERO,
            start_deadline: Some(Duration::from_secs(600)),
            deadline: None,
            api_error_budget: Duration::from_secs(300),
            auth_error_budget: Duration::from_secs(60),
            reobserve: Duration::from_secs(30),
            jitter_seed: None,
        }
    }
}

/// One setter for each field; the docs are written at the call below.
macro_rules! setters {
    ($($(#[$doc:meta])+ $name:ident: $type:ty;)+) => {
        impl PolicyBuilder {
            $($(#[$doc])+ pub fn $name(mut self, value: impl Into<$type>) -> Self {
                self.$name = value.into();
                self
            })+
        }
    };
}

setters! {
    /// First delay of the backoff, used while a terminal pod still lacks the target's `terminated` record,
    /// while the pod is not there yet, and after API errors. Default 200 ms; it doubles.
    finalize_initial: Duration;
    /// Longest delay of the backoff. Default 5 s.
    finalize_max: Duration;
    /// How much *observed* time a terminal pod may lack the record: only time between good reads without the record
    /// counts, so an API outage does not use it up. Default 15 s.
    finalize_budget: Duration;
    /// What to answer when that budget is used up on a `Succeeded` pod. Default: infer exit 0.
    on_missing_terminated: OnMissingTerminated;
    /// What to answer on a 404. Default: the evidence decides.
    on_gone: OnGone;
    /// How long to wait for the final state of a pod that was seen, after a 404 or the sight of another pod of its
    /// name; and for the record of an end, after a read has shown that it is lost. Then the absence decides. A few
    /// seconds suit a caller that can watch from the last seen resourceVersion. Default 0: both decide at once. An
    /// absence is not confirmed with [`OnGone::AssumeSuccess`].
    gone_grace: Duration;
    /// How long a pod that was never seen may answer 404. Default 10 s.
    absent_grace: Duration;
    /// How long the image-pull group of waiting reasons may last. Default 2 min: the kubelet tries after 0, 10, 30 and 70 s,
    /// and registries limit rates for about that long. If a registry was seen to refuse two attempts in a row for good (no such
    /// image, access denied), the wait fails before that.
    image_pull_grace: Duration;
    /// How long the config-error group of waiting reasons may last. Default 60 s.
    config_error_grace: Duration;
    /// How long a lost node may stay silent, and a pod stay Terminating beyond its own grace. Default 120 s.
    unknown_grace: Duration;
    /// How long an exit 0 under a non-terminal phase waits for a terminal phase before it is the answer. It does not
    /// wait if another container still runs, which keeps the phase. Default off: when the kubelet ends a pod, it
    /// publishes the end together with the reason, in 2649 of 2649 pods that real kubelets ended, including starved
    /// kubelets (see `tests/RELIABILITY.md`). The cost is about a second for each step that exits 0.
    settle: Option<Duration>;
    /// Tolerance between the node's clock and the API server's, used if only timestamps can show whether the step ended
    /// before the delete request. Default 0.
    clock_skew: Duration;
    /// How long the target may be neither running nor between restarts. Default 10 min; `None` is off.
    start_deadline: Option<Duration>;
    /// How long the whole wait may take. Default off.
    deadline: Option<Duration>;
    /// How long the API server may fail without one good read in between. Default 5 min.
    api_error_budget: Duration;
    /// How long it may answer 401 or 403. Default 60 s.
    auth_error_budget: Duration;
    /// See [`Policy::reobserve`]. Default 30 s.
    reobserve: Duration;
    /// Seed of the backoff's jitter; `None` is no jitter. Default `None`. Waits with the same seed retry at the same
    /// times.
    jitter_seed: Option<u64>;
}

/// Longest valid duration: a year and a day.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl PolicyBuilder {
    /// Checks the values.
    ///
    /// # Errors
    /// Names the first field whose value is under a millisecond (only `clock_skew` and `gone_grace` may be zero) or over a year,
    /// or a first backoff delay that is longer than the longest.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let durations = [
            ("finalize_initial", Some(self.finalize_initial)),
            ("finalize_max", Some(self.finalize_max)),
            ("finalize_budget", Some(self.finalize_budget)),
            ("absent_grace", Some(self.absent_grace)),
            ("image_pull_grace", Some(self.image_pull_grace)),
            ("config_error_grace", Some(self.config_error_grace)),
            ("unknown_grace", Some(self.unknown_grace)),
            ("settle", self.settle),
            ("start_deadline", self.start_deadline),
            ("deadline", self.deadline),
            ("api_error_budget", Some(self.api_error_budget)),
            ("auth_error_budget", Some(self.auth_error_budget)),
            ("reobserve", Some(self.reobserve)),
        ];
        for (field, duration) in durations {
            if duration.is_some_and(|duration| millis(duration) == 0) {
                return Err(PolicyError::TooShort { field });
            }
        }
        let may_be_zero = [("clock_skew", Some(self.clock_skew)), ("gone_grace", Some(self.gone_grace))];
        for (field, duration) in durations.into_iter().chain(may_be_zero) {
            if duration.is_some_and(|duration| duration > LONGEST) {
                return Err(PolicyError::TooLong { field });
            }
        }
        if self.finalize_initial > self.finalize_max {
            return Err(PolicyError::InitialOverMax);
        }
        Ok(Policy(self))
    }
}

/// Why a policy was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A duration is zero or under a millisecond.
    #[error("{field} must be at least 1 ms")]
    TooShort {
        /// The field's name.
        field: &'static str,
    },
    /// A duration is over a year.
    #[error("{field} must be at most 366 days")]
    TooLong {
        /// The field's name.
        field: &'static str,
    },
    /// The backoff would start above its cap.
    #[error("finalize_initial must not be longer than finalize_max")]
    InitialOverMax,
}

#[cfg(feature = "serde")]
mod as_millis {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(crate::time::millis(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(feature = "serde")]
mod as_optional_millis {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(crate::time::millis).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_checked_and_named() {
        let zero = Duration::ZERO;
        let cases = [
            (Policy::builder().finalize_initial(zero), "finalize_initial"),
            (Policy::builder().finalize_max(zero), "finalize_max"),
            (Policy::builder().finalize_budget(zero), "finalize_budget"),
            (Policy::builder().absent_grace(zero), "absent_grace"),
            (Policy::builder().image_pull_grace(zero), "image_pull_grace"),
            (Policy::builder().config_error_grace(zero), "config_error_grace"),
            (Policy::builder().unknown_grace(zero), "unknown_grace"),
            (Policy::builder().settle(zero), "settle"),
            (Policy::builder().start_deadline(zero), "start_deadline"),
            (Policy::builder().deadline(Duration::from_micros(999)), "deadline"),
            (Policy::builder().api_error_budget(zero), "api_error_budget"),
            (Policy::builder().auth_error_budget(zero), "auth_error_budget"),
            (Policy::builder().reobserve(zero), "reobserve"),
        ];
        for (builder, field) in cases {
            assert_eq!(builder.build(), Err(PolicyError::TooShort { field }));
        }
        let long = LONGEST + Duration::from_nanos(1);
        assert_eq!(Policy::builder().deadline(LONGEST).build().map(|_| ()), Ok(()));
        assert_eq!(
            Policy::builder().clock_skew(long).build(),
            Err(PolicyError::TooLong { field: "clock_skew" })
        );
        assert_eq!(
            Policy::builder().gone_grace(long).build(),
            Err(PolicyError::TooLong { field: "gone_grace" })
        );
        assert_eq!(Policy::builder().deadline(long).build(), Err(PolicyError::TooLong { field: "deadline" }));
        assert_eq!(
            Policy::builder().finalize_initial(Duration::from_secs(6)).build(),
            Err(PolicyError::InitialOverMax)
        );
        assert_eq!(
            Policy::builder().start_deadline(None).build().map(|policy| policy.0.start_deadline),
            Ok(None)
        );
    }
}
