//! The facts that a wait publishes about its pod, for its hold and its logs.

use crate::source::Observed;
use crate::wait::Wait;
use podwait_core::{
    Container, ContainerState, ContainerStatus, PodSnapshot, RestartPolicy, Terminated, Timestamp,
    WaitMachine,
};
use podwait_hub::Turn;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The published facts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    /// The uid of the pod that was seen by this wait, or by the restored one.
    pub(crate) uid: Option<Arc<str>>,
    /// The newest state of the pod with this uid.
    pub(crate) pod: Option<Arc<PodFacts>>,
    /// The wait has its answer: logs read what is there, and do not wait for more.
    pub(crate) is_over: bool,
}

impl Board {
    /// The board of a wait with this restored machine, which has seen its pod.
    pub(crate) fn of_restored(machine: &WaitMachine) -> Self {
        Self { uid: machine.pod_uid().map(Arc::from), ..Self::default() }
    }

    /// The board of a wait that is over, with the last state of the pod.
    pub(crate) fn of_last_look(pod: Option<&PodSnapshot>) -> Self {
        let (uid, pod) = (pod.map(|pod| pod.uid.as_str().into()), pod.map(|pod| Arc::new(PodFacts::of(pod))));
        Self { uid, pod, is_over: true }
    }
}

/// The snapshot in an observation, if it is of the pod that the machine waits for.
///
/// Holds and logs act only on the pod that this returns: names are reused, uids are not.
pub(crate) fn own_pod<'a>(machine: &WaitMachine, observed: &'a Observed) -> Option<&'a PodSnapshot> {
    let pod = match observed {
        Observed::Pod(_, pod) | Observed::Deleted(pod) => &pod.pod.snapshot,
        Observed::NotFound(_) | Observed::Failed(_) | Observed::Silence | Observed::Cancelled => {
            return None;
        }
    };
    (machine.pod_uid() == Some(&pod.uid)).then_some(pod)
}

impl Wait {
    /// Publishes the wait's facts on a board.
    pub(crate) fn with_board(self) -> (Self, watch::Receiver<Board>) {
        let board = self.restored().map(Board::of_restored).unwrap_or_default();
        let (board, facts) = watch::channel(board);
        (self.on_turn(move |turn| publish(&board, turn)), facts)
    }
}

/// Publishes the facts of one turn.
fn publish(board: &watch::Sender<Board>, turn: Turn<'_>) {
    let pod = own_pod(turn.machine, turn.observed).map(PodFacts::of);
    board.send_if_modified(|board| {
        let is_over = turn.decision.is_final();
        let news = pod.filter(|pod| board.pod.as_deref() != Some(pod));
        let is_modified = news.is_some() || is_over != board.is_over;
        board.is_over = is_over;
        if let Some(pod) = news {
            board.uid = Some(Arc::clone(&pod.uid));
            board.pod = Some(Arc::new(pod));
        }
        is_modified
    });
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PodFacts {
    pub(crate) uid: Arc<str>,
    /// In the order in which they start: init containers, then the others, then ephemeral ones.
    pub(crate) containers: Vec<ContainerFacts>,
    /// The pod's only regular container, if it has just one.
    pub(crate) only: Option<String>,
}

/// Which logs a container has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerFacts {
    pub(crate) name: String,
    /// Another run may follow one that has ended.
    pub(crate) may_restart: bool,
    /// The run that began last; none while the container waits.
    pub(crate) current: Option<RunFacts>,
    /// The one before.
    pub(crate) before: Option<RunFacts>,
}

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunFacts {
    /// The container's id, or the number of restarts where there is none.
    pub(crate) id: String,
    /// Counted from 1.
    pub(crate) attempt: u32,
    /// Whether the run has ended.
    pub(crate) has_ended: bool,
    pub(crate) finished_at: Option<Timestamp>,
}

impl PodFacts {
    pub(crate) fn of(pod: &PodSnapshot) -> Self {
        let lists = [
            (&pod.init_containers, &pod.init_container_statuses),
            (&pod.containers, &pod.container_statuses),
            (&pod.ephemeral_containers, &pod.ephemeral_container_statuses),
        ];
        // A rule of any container may restart all containers of the pod.
        let mut specs = lists.iter().flat_map(|(specs, _)| specs.iter());
        let has_rules = specs.any(|container| !container.restart_policy_rules.is_empty());
        let may_all_restart = has_rules || pod.restart_policy != RestartPolicy::Never;
        let containers = lists.into_iter().flat_map(|(specs, statuses)| {
            // An index by name. If two statuses have the same name, the first one counts.
            let by_name: HashMap<&str, &ContainerStatus> =
                statuses.iter().rev().map(|status| (status.name.as_str(), status)).collect();
            specs.iter().map(move |spec| {
                let status = by_name.get(spec.name.as_str()).copied();
                ContainerFacts::of(spec, status, may_all_restart || spec.restart_policy.is_some())
            })
        });
        let only = match pod.containers.as_slice() {
            [only] => Some(only.name.clone()),
            _ => None,
        };
        Self { uid: pod.uid.as_str().into(), containers: containers.collect(), only }
    }

    pub(crate) fn container(&self, name: &str) -> Option<&ContainerFacts> {
        self.containers.iter().find(|container| container.name == name)
    }
}

impl ContainerFacts {
    fn of(spec: &Container, status: Option<&ContainerStatus>, may_restart: bool) -> Self {
        let name = spec.name.clone();
        let Some(status) = status else { return Self { name, may_restart, ..Self::default() } };
        let restarts = u32::try_from(status.restart_count).unwrap_or(0);
        let current = match &status.state {
            Some(ContainerState::Running) => Some(RunFacts {
                id: id(&status.container_id, restarts),
                attempt: restarts.saturating_add(1),
                has_ended: false,
                finished_at: None,
            }),
            Some(ContainerState::Terminated(record)) => {
                let id =
                    if record.container_id.is_empty() { &status.container_id } else { &record.container_id };
                Some(RunFacts::ended(id, restarts, record))
            }
            Some(ContainerState::Waiting { .. }) | None => None,
        };
        // While the container waits after an end, the count is still that of the run that ended.
        let ended = if current.is_some() { restarts.saturating_sub(1) } else { restarts };
        let before = status.last_terminated.as_ref();
        let before = before.map(|record| RunFacts::ended(&record.container_id, ended, record));
        Self { name, may_restart, current, before }
    }
}

impl RunFacts {
    fn ended(container_id: &str, restarts: u32, record: &Terminated) -> Self {
        Self {
            id: id(container_id, restarts),
            attempt: restarts.saturating_add(1),
            has_ended: true,
            finished_at: record.finished_at,
        }
    }
}

fn id(container_id: &str, restarts: u32) -> String {
    if container_id.is_empty() { format!("#{restarts}") } else { container_id.to_owned() }
}
