//! The script of a pod: steps, and the time between them.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::event::Event;
use crate::kubelet::Terminated;
use crate::refusal::Refusal;
use crate::step::Step;
use crate::store::{Cluster, text};

/// The scripted life of one pod. Build it step by step. Then [`run`](Self::run) or [`spawn`](Self::spawn) it in a
/// cluster, or write it down with [`events`](Self::events).
///
/// After the removal of the pod the steps of a kubelet have no effect, as in a real cluster, until the pod is created
/// again.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    namespace: String,
    name: String,
    /// The delay before the next step to be added.
    pause: Duration,
    steps: Vec<(Duration, Step)>,
}

impl Life {
    /// The life of a new pod, which begins with its creation.
    pub fn of(pod: Value) -> Self {
        let namespace = match text(&pod, "/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        };
        Self::existing(namespace, text(&pod, "/metadata/name")).created(pod)
    }

    /// The life of a pod that exists before the first step.
    pub fn existing(namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { namespace, name, pause: Duration::ZERO, steps: Vec::new() }
    }

    /// The same life under another name.
    pub fn renamed(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        for (_, step) in &mut self.steps {
            if let Step::Created(pod) = step {
                pod["metadata"]["name"] = Value::from(name);
            }
        }
        self
    }

    /// Waits before the next step. Consecutive waits add up.
    pub fn after(mut self, time: Duration) -> Self {
        self.pause = self.pause.saturating_add(time);
        self
    }

    /// Adds any step; the methods below are shorthands.
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push((std::mem::take(&mut self.pause), step));
        self
    }

    /// [`Step::Created`]
    pub fn created(self, pod: Value) -> Self {
        self.then(Step::Created(pod))
    }

    /// [`Step::Scheduled`]
    pub fn scheduled(self, node: &str) -> Self {
        self.then(Step::Scheduled { node: node.to_owned() })
    }

    /// [`Step::Unschedulable`]
    pub fn unschedulable(self, message: &str) -> Self {
        self.then(Step::Unschedulable { message: message.to_owned() })
    }

    /// [`Step::ContainersCreating`]
    pub fn containers_creating(self) -> Self {
        self.then(Step::ContainersCreating)
    }

    /// [`Step::Waiting`]
    pub fn waiting(self, container: &str, reason: &str, message: &str) -> Self {
        let (container, reason, message) = (container.to_owned(), reason.to_owned(), message.to_owned());
        self.then(Step::Waiting { container, reason, message })
    }

    /// [`Step::Running`]
    pub fn running(self) -> Self {
        self.then(Step::Running)
    }

    /// [`Step::Started`]
    pub fn started(self, container: &str) -> Self {
        self.then(Step::Started { container: container.to_owned() })
    }

    /// [`Step::Terminated`]
    pub fn terminated(self, container: &str, how: Terminated) -> Self {
        self.then(Step::Terminated { container: container.to_owned(), how })
    }

    /// [`Step::Restarted`]
    pub fn restarted(self, container: &str) -> Self {
        self.then(Step::Restarted { container: container.to_owned() })
    }

    /// [`Step::Phase`]
    pub fn phase(self, phase: &str) -> Self {
        self.then(Step::Phase(phase.to_owned()))
    }

    /// [`Step::Finished`]
    pub fn finished(self, exit_code: i32) -> Self {
        self.then(Step::Finished { exit_code })
    }

    /// [`Step::Failed`]
    pub fn failed(self, reason: &str, message: &str) -> Self {
        self.then(Step::Failed { reason: reason.to_owned(), message: message.to_owned() })
    }

    /// [`Step::DisruptionTarget`]
    pub fn disruption_target(self, reason: &str, message: &str) -> Self {
        self.then(Step::DisruptionTarget { reason: reason.to_owned(), message: message.to_owned() })
    }

    /// [`Step::Together`]
    pub fn together(self, steps: impl Into<Vec<Step>>) -> Self {
        self.then(Step::Together(steps.into()))
    }

    /// [`Step::Merge`]
    pub fn merge(self, patch: Value) -> Self {
        self.then(Step::Merge(patch))
    }

    /// [`Step::DeletionRequested`]
    pub fn delete(self, grace: impl Into<Option<i64>>) -> Self {
        self.then(Step::DeletionRequested { grace: grace.into() })
    }

    /// [`Step::Wrote`]
    pub fn writes(self, container: &str, text: &str) -> Self {
        self.then(Step::Wrote { container: container.to_owned(), text: text.to_owned() })
    }

    /// [`Step::FinalizerRemoved`]
    pub fn finalizer_removed(self, finalizer: &str) -> Self {
        self.then(Step::FinalizerRemoved(finalizer.to_owned()))
    }

    /// [`Step::Removed`]
    pub fn removed(self) -> Self {
        self.then(Step::Removed)
    }

    /// [`Step::Elsewhere`]
    pub fn written_elsewhere(self, writes: u64) -> Self {
        self.then(Step::Elsewhere { writes })
    }

    /// [`Step::BackedUp`]
    pub fn backed_up(self) -> Self {
        self.then(Step::BackedUp)
    }

    /// [`Step::Restored`]
    pub fn restored(self) -> Self {
        self.then(Step::Restored)
    }

    /// Takes all steps in the cluster's time.
    pub async fn run(self, cluster: &Cluster) -> Result<(), Refusal> {
        let mut seen = false;
        for (pause, step) in &self.steps {
            // Without a delay there is no yield: no client observes the state between two such steps.
            if !pause.is_zero() {
                tokio::time::sleep(*pause).await;
            }
            self.take(step, cluster, &mut seen)?;
        }
        Ok(())
    }

    /// [`run`](Self::run) in a task of its own.
    pub fn spawn(self, cluster: &Cluster) -> JoinHandle<Result<(), Refusal>> {
        let cluster = cluster.clone();
        tokio::spawn(async move { self.run(&cluster).await })
    }

    /// Returns the events of the life without running it: every event of a cluster without other pods, with its time
    /// since the beginning. Needs no runtime.
    pub fn events(self) -> Result<Vec<(Duration, Event)>, Refusal> {
        let cluster = Cluster::with_clock(Clock::manual());
        let (mut events, mut written) = (Vec::new(), 0);
        let mut seen = false;
        for (pause, step) in &self.steps {
            cluster.with(|store| store.clock.advance(*pause));
            self.take(step, &cluster, &mut seen)?;
            cluster.with(|store| {
                let at = store.clock.age();
                // A restored store no longer has some of them.
                events.extend(store.log.iter().skip(written).cloned().map(|event| (at, event)));
                written = store.log.len();
            });
        }
        Ok(events)
    }

    /// A pod that is gone takes no more steps. A pod that never existed is an error in the script.
    fn take(&self, step: &Step, cluster: &Cluster, seen: &mut bool) -> Result<(), Refusal> {
        match step.apply(cluster, &self.namespace, &self.name) {
            Err(Refusal::NotFound { .. }) if *seen => Ok(()),
            outcome => {
                *seen = true;
                outcome
            }
        }
    }
}
