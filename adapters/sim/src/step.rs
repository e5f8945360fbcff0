//! One step of a pod's life: what one writer does to it at one moment.

use serde_json::{Value, json};

use crate::conditions::set_condition;
use crate::kubelet::{self, Terminated};
use crate::refusal::Refusal;
use crate::store::{Cluster, text};

/// One step of a [`Life`](crate::Life). Each is one write, except [`Step::Removed`] and a
/// [`Step::DeletionRequested`] that ends at once, which may be two.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// The pod is created; also after a removal, for another pod with the same name.
    Created(Value),
    /// The scheduler binds the pod to a node.
    Scheduled {
        /// The node's name.
        node: String,
    },
    /// The scheduler finds no node.
    Unschedulable {
        /// Why not.
        message: String,
    },
    /// The kubelet's first status: every container waits.
    ContainersCreating,
    /// One container waits; an attempt that had ended moves to lastState.
    Waiting {
        /// The container, an init container or not.
        container: String,
        /// "ImagePullBackOff", "CrashLoopBackOff", ...
        reason: String,
        /// Empty if there is none.
        message: String,
    },
    /// All init containers have completed and all containers run.
    Running,
    /// One container runs, again if an attempt of it has ended.
    Started {
        /// The container.
        container: String,
    },
    /// One container has ended; the phase stays.
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
    /// The phase alone changes, whatever the containers do.
    Phase(String),
    /// Every container has ended, the first of the spec with this code and the others with 0, and
    /// the phase says so, in one write.
    Finished {
        /// The first container's exit code.
        exit_code: i32,
    },
    /// The pod fails as a whole, containers as they are.
    Failed {
        /// "Evicted", "OutOfcpu", "DeadlineExceeded", ...
        reason: String,
        /// For people.
        message: String,
    },
    /// Someone announces that the pod is about to be disrupted.
    DisruptionTarget {
        /// "EvictionByEvictionAPI", "PreemptionByScheduler", ...
        reason: String,
        /// For people.
        message: String,
    },
    /// Several changes of the pod in one write, as a kubelet says together what belongs together:
    /// how the containers ended, the phase, and the reason.
    Together(Vec<Self>),
    /// A JSON merge patch of the whole pod, for what no honest kubelet writes.
    Merge(Value),
    /// Someone deletes the pod.
    DeletionRequested {
        /// Seconds; `None` is the pod's own grace period.
        grace: Option<i64>,
    },
    /// A container writes to its log.
    Wrote {
        /// The container.
        container: String,
        /// With its line ends.
        text: String,
    },
    /// A controller takes back its finalizer.
    FinalizerRemoved(String),
    /// The kubelet's final delete.
    Removed,
    /// Other objects are written so many times.
    Elsewhere {
        /// By so much the resourceVersion grows.
        writes: u64,
    },
    /// The store is saved: [`Cluster::back_up`].
    BackedUp,
    /// The store is what it was when it was saved: [`Cluster::restore`].
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

    /// A script that names a container the pod does not have is a mistake, not a life; so is one
    /// that puts the doings of several writers into one write.
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
