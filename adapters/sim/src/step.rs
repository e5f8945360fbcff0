//! One step of a pod's life: one change by one writer.

use serde_json::{Value, json};

use crate::conditions::set_condition;
use crate::kubelet::{self, Terminated};
use crate::refusal::Refusal;
use crate::store::{Cluster, text};

/// One step of a [`Life`](crate::Life). Each step is one write. Exceptions are [`Step::Removed`] and a
/// [`Step::DeletionRequested`] that takes effect at once, which may be two.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// The pod is created; after a removal this is a namesake.
    Created(Value),
    /// The scheduler binds the pod to a node.
    Scheduled {
        /// The node's name.
        node: String,
    },
    /// The scheduler finds no node.
    Unschedulable {
        /// The scheduler's message.
        message: String,
    },
    /// The kubelet's first status: every container waits.
    ContainersCreating,
    /// One container waits. The state of an ended attempt becomes lastState.
    Waiting {
        /// The container, which may be an init container.
        container: String,
        /// `ImagePullBackOff` or `CrashLoopBackOff`, for example.
        reason: String,
        /// Empty if there is none.
        message: String,
    },
    /// All init containers have completed and all containers run.
    Running,
    /// One container runs, again if an attempt has ended.
    Started {
        /// The container.
        container: String,
    },
    /// One container has ended; the phase is unchanged.
    Terminated {
        /// The container.
        container: String,
        /// How.
        how: Terminated,
    },
    /// One container has ended, with exit code 1 if it was running, and runs again.
    Restarted {
        /// The container.
        container: String,
    },
    /// Only the phase changes, whatever the containers do.
    Phase(String),
    /// Every container has ended, the first of the spec with this code and the others with 0, and the phase is
    /// terminal, in one write.
    Finished {
        /// The first container's exit code.
        exit_code: i32,
    },
    /// The pod fails as a whole; the containers are unchanged.
    Failed {
        /// `Evicted`, `OutOfcpu` or `DeadlineExceeded`, for example.
        reason: String,
        /// For people.
        message: String,
    },
    /// The condition DisruptionTarget announces a disruption of the pod.
    DisruptionTarget {
        /// `EvictionByEvictionAPI` or `PreemptionByScheduler`, for example.
        reason: String,
        /// For people.
        message: String,
    },
    /// Several changes of the pod in one write, as a kubelet writes the ends of the containers, the phase and the
    /// reason together.
    Together(Vec<Self>),
    /// A JSON merge patch of the whole pod, for a state that no kubelet writes.
    Merge(Value),
    /// A client deletes the pod.
    DeletionRequested {
        /// Seconds; `None` is the pod's own grace period.
        grace: Option<i64>,
    },
    /// A container writes to its log.
    Wrote {
        /// The container.
        container: String,
        /// The text, with its line ends.
        text: String,
    },
    /// A controller removes its finalizer.
    FinalizerRemoved(String),
    /// The kubelet's final delete.
    Removed,
    /// Other objects are written.
    Elsewhere {
        /// How many times, by which the resourceVersion grows.
        writes: u64,
    },
    /// The store is saved: [`Cluster::back_up`].
    BackedUp,
    /// The store is restored to the saved state: [`Cluster::restore`].
    Restored,
}

impl Step {
    /// Takes this step with the pod `namespace/name` now.
    pub fn apply(&self, cluster: &Cluster, namespace: &str, name: &str) -> Result<(), Refusal> {
        match self {
            Self::Created(pod) => cluster.create(pod.clone()).map(drop),
            Self::DeletionRequested { grace } => cluster.request_deletion(namespace, name, *grace).map(drop),
            Self::FinalizerRemoved(finalizer) => {
                cluster.remove_finalizer(namespace, name, finalizer).map(drop)
            }
            Self::Removed => cluster.remove(namespace, name).map(drop),
            Self::Wrote { container, text } => {
                cluster.write_log(namespace, name, container, text);
                Ok(())
            }
            Self::Elsewhere { writes } => {
                cluster.write_elsewhere(*writes);
                Ok(())
            }
            Self::BackedUp => {
                cluster.back_up();
                Ok(())
            }
            Self::Restored => {
                cluster.restore();
                Ok(())
            }
            Self::Scheduled { .. }
            | Self::Unschedulable { .. }
            | Self::ContainersCreating
            | Self::Waiting { .. }
            | Self::Running
            | Self::Started { .. }
            | Self::Terminated { .. }
            | Self::Restarted { .. }
            | Self::Phase(_)
            | Self::Finished { .. }
            | Self::Failed { .. }
            | Self::DisruptionTarget { .. }
            | Self::Together(_)
            | Self::Merge(_) => self.write(cluster, namespace, name),
        }
    }

    fn write(&self, cluster: &Cluster, namespace: &str, name: &str) -> Result<(), Refusal> {
        let now = cluster.now();
        cluster.with(|store| {
            self.check(&*store.get(namespace, name)?)?;
            store.update(namespace, name, |pod| self.change(pod, &now)).map(drop)
        })
    }

    fn change(&self, pod: &mut Value, now: &str) {
        match self {
            Self::Scheduled { node } => return kubelet::scheduled(pod, node, now),
            Self::Unschedulable { message } => {
                return set_condition(pod, "PodScheduled", false, "Unschedulable", message, now);
            }
            Self::DisruptionTarget { reason, message } => {
                return set_condition(pod, "DisruptionTarget", true, reason, message, now);
            }
            Self::Together(steps) => return steps.iter().for_each(|step| step.change(pod, now)),
            Self::Merge(patch) => return merge(pod, patch),
            Self::ContainersCreating => kubelet::containers_creating(pod, now),
            Self::Waiting { container, reason, message } => {
                kubelet::waiting(pod, container, reason, message, now);
            }
            Self::Running => kubelet::running(pod, now),
            Self::Started { container } => kubelet::started(pod, container, now),
            Self::Terminated { container, how } => kubelet::terminated(pod, container, how, now),
            Self::Restarted { container } => kubelet::restarted(pod, container, now),
            Self::Phase(phase) => pod["status"]["phase"] = json!(phase),
            Self::Finished { exit_code } => kubelet::finished(pod, *exit_code, now),
            Self::Failed { reason, message } => kubelet::failed(pod, reason, message, now),
            Self::Created(_)
            | Self::DeletionRequested { .. }
            | Self::Wrote { .. }
            | Self::FinalizerRemoved(_)
            | Self::Removed
            | Self::Elsewhere { .. }
            | Self::BackedUp
            | Self::Restored => {
                return;
            }
        }
        kubelet::settle(pod, now);
    }

    /// A script must not name a container that the pod does not have, nor put changes by several writers into one
    /// write.
    fn check(&self, pod: &Value) -> Result<(), Refusal> {
        if let Self::Together(steps) = self {
            return steps.iter().try_for_each(|step| match step {
                Self::Created(_)
                | Self::DeletionRequested { .. }
                | Self::Wrote { .. }
                | Self::FinalizerRemoved(_)
                | Self::Removed
                | Self::Elsewhere { .. }
                | Self::BackedUp
                | Self::Restored => Err(Refusal::Invalid {
                    name: text(pod, "/metadata/name").to_owned(),
                    message: format!("{step:?} is a write of its own"),
                }),
                Self::Scheduled { .. }
                | Self::Unschedulable { .. }
                | Self::ContainersCreating
                | Self::Waiting { .. }
                | Self::Running
                | Self::Started { .. }
                | Self::Terminated { .. }
                | Self::Restarted { .. }
                | Self::Phase(_)
                | Self::Finished { .. }
                | Self::Failed { .. }
                | Self::DisruptionTarget { .. }
                | Self::Together(_)
                | Self::Merge(_) => step.check(pod),
            });
        }
        let Some(wanted) = self.container() else { return Ok(()) };
        let lists = ["containers", "initContainers"];
        let mut known = lists.iter().flat_map(|list| kubelet::containers(pod, list));
        if known.any(|container| text(&container, "/name") == wanted) {
            return Ok(());
        }
        Err(Refusal::Invalid {
            name: text(pod, "/metadata/name").to_owned(),
            message: format!("status.containerStatuses: no container {wanted:?} in the spec"),
        })
    }

    fn container(&self) -> Option<&str> {
        match self {
            Self::Waiting { container, .. }
            | Self::Started { container }
            | Self::Terminated { container, .. }
            | Self::Restarted { container }
            | Self::Wrote { container, .. } => Some(container),
            Self::Created(_)
            | Self::Scheduled { .. }
            | Self::Unschedulable { .. }
            | Self::ContainersCreating
            | Self::Running
            | Self::Phase(_)
            | Self::Finished { .. }
            | Self::Failed { .. }
            | Self::DisruptionTarget { .. }
            | Self::Together(_)
            | Self::Merge(_)
            | Self::DeletionRequested { .. }
            | Self::FinalizerRemoved(_)
            | Self::Removed
            | Self::Elsewhere { .. }
            | Self::BackedUp
            | Self::Restored => None,
        }
    }
}

/// RFC 7386: objects merge, null removes, anything else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (field, change) in changes {
        if change.is_null() {
            fields.remove(field);
        } else {
            merge(fields.entry(field.clone()).or_insert(Value::Null), change);
        }
    }
}
