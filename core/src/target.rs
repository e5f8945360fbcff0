//! What a wait is for.

use crate::machine::WaitMachine;
use crate::policy::Policy;
use alloc::string::String;
use alloc::sync::Arc;

/// What a wait is for: a pod by its name, and a container in it.
///
/// The machine itself has neither namespace nor name: its caller must pass only observations of this pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Target {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container; `None` for the pod's only regular one.
    pub container: Option<String>,
    /// The uid that the pod must have, if the caller knows it.
    pub uid: Option<String>,
}

impl Target {
    /// A machine for the wait.
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
