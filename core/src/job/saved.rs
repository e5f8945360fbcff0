//! A wait for a Job as a value, so that a process can continue it later or elsewhere.

use super::machine::JobMachine;
use crate::time::Instant;

/// The version of the saved form that this crate writes.
const SAVED_VERSION: u32 = 1;

/// The state of a [`JobMachine`] between two inputs, made by [`JobMachine::save`].
///
/// With the feature `serde` it can be written in every format that describes itself, such as JSON, and read by this
/// version of the crate and by later ones. Its times are as those of [`SavedWait`](crate::SavedWait).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedJob {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "known_version"))]
    version: u32,
    machine: JobMachine,
}

impl SavedJob {
    /// The time of the latest input.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.machine.now()
    }

    /// The uid of the Job: the caller's, or the first one seen.
    #[must_use]
    pub fn job_uid(&self) -> Option<&str> {
        self.machine.job_uid()
    }

    /// Whether the wait has its answer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.machine.verdict().is_some()
    }
}

impl JobMachine {
    /// The machine as a value; possible at any time.
    #[must_use]
    pub fn save(&self) -> SavedJob {
        SavedJob { version: SAVED_VERSION, machine: self.clone() }
    }

    /// A machine that continues from the saved state.
    #[must_use]
    pub fn restore(saved: SavedJob) -> Self {
        let mut machine = saved.machine;
        machine.share_policy();
        machine
    }
}

#[cfg(feature = "serde")]
fn known_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match serde::Deserialize::deserialize(deserializer)? {
        SAVED_VERSION => Ok(SAVED_VERSION),
        version => {
            Err(serde::de::Error::custom(alloc::format!("the saved Job has the unknown version {version}")))
        }
    }
}

/// A wait for a pod, in its own saved form.
#[cfg(feature = "serde")]
pub(super) mod as_saved_wait {
    use crate::machine::WaitMachine;
    use crate::saved::SavedWait;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::job) fn serialize<S: Serializer>(
        machine: &WaitMachine,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        machine.save().serialize(serializer)
    }

    pub(in crate::job) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<WaitMachine, D::Error> {
        WaitMachine::restore(SavedWait::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A policy that is shared.
#[cfg(feature = "serde")]
pub(super) mod as_policy {
    use crate::policy::Policy;
    use alloc::sync::Arc;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::job) fn serialize<S: Serializer>(
        policy: &Arc<Policy>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        policy.as_ref().serialize(serializer)
    }

    pub(in crate::job) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Policy>, D::Error> {
        Policy::deserialize(deserializer).map(Arc::new)
    }
}
