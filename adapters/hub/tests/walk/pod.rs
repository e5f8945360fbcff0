//! A pod's object as the model server stores it.

use podwait_core::{
    Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartPolicy, Terminated,
};
use podwait_hub::Object;
use std::ops::Deref;
use std::rc::Rc;

/// The stage of a pod's life at which its step has ended.
pub const OVER: u8 = 9;

/// The exit code of every step.
pub const CODE: i32 = 3;

/// One stored version of a pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    /// The pod's place in the world's list of names.
    pub name: usize,
    pub uid: String,
    pub revision: u64,
    text: String,
    pub is_labelled: bool,
    pub life: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod(Rc<Version>);

impl Pod {
    pub fn new(name: usize, uid: String, revision: u64, is_labelled: bool, life: u8) -> Self {
        Self(Rc::new(Version { name, uid, revision, text: revision.to_string(), is_labelled, life }))
    }

    /// The same object after another write.
    pub fn written(&self, revision: u64, is_labelled: bool, life: u8) -> Self {
        Self::new(self.name, self.uid.clone(), revision, is_labelled, life)
    }

    pub fn is_over(&self) -> bool {
        self.life >= OVER
    }

    /// The snapshot for the machine.
    pub fn snapshot(&self) -> PodSnapshot {
        let (state, phase) = if self.is_over() {
            (
                ContainerState::Terminated(Terminated { exit_code: CODE, ..Terminated::default() }),
                Phase::Failed,
            )
        } else {
            (ContainerState::Running, Phase::Running)
        };
        PodSnapshot {
            uid: self.uid.as_str().into(),
            resource_version: self.text.as_str().into(),
            restart_policy: RestartPolicy::Never,
            containers: vec![Container { name: "step".into(), ..Container::default() }],
            container_statuses: vec![ContainerStatus {
                name: "step".into(),
                state: Some(state),
                ..ContainerStatus::default()
            }],
            phase,
            ..PodSnapshot::default()
        }
    }
}

impl Deref for Pod {
    type Target = Version;

    fn deref(&self) -> &Version {
        &self.0
    }
}

impl Object for Pod {
    fn uid(&self) -> &str {
        &self.0.uid
    }

    fn resource_version(&self) -> &str {
        &self.0.text
    }
}
