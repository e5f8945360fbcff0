//! The life of a pod, and the truth by its container's runtime.

use crate::kubelet::{Runtime, shell, step_with, trap};
use crate::mixtures::{self, Truth};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{End, Scratch, own_cluster, pause};
use podwait_tests::storm::dice::Dice;
use podwait_tests::storm::truth::{Answer, STEP};
use serde_json::{Value, json};
use std::fmt;

/// A kind of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Exit,
    Sidecar,
    InitFails,
    OnFailure,
    Oom,
    Deadline,
    Deleted,
    DeletedAfterwards,
}

/// The name of the init container.
const INIT: &str = "clone";

/// The life of one pod.
#[derive(Debug)]
pub(super) struct Life {
    kind: Kind,
    pod: Value,
    /// The delay of the change by the test.
    late: u64,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exit => "exits by itself",
            Self::Sidecar => "sidecar",
            Self::InitFails => "init container fails",
            Self::OnFailure => "OnFailure",
            Self::Oom => "out of memory",
            Self::Deadline => "activeDeadlineSeconds",
            Self::Deleted => "deleted while running",
            Self::DeletedAfterwards => "deleted after its end",
        })
    }
}

impl Kind {
    /// Why the step was stopped, if it was.
    const fn cause(self) -> FailReason {
        match self {
            Self::Deadline => FailReason::DeadlineExceeded,
            Self::InitFails => FailReason::InitContainerFailed,
            Self::Exit
            | Self::Sidecar
            | Self::OnFailure
            | Self::Oom
            | Self::Deleted
            | Self::DeletedAfterwards => FailReason::PodDeleted,
        }
    }
}

impl Life {
    pub(super) fn draw(name: &str, dice: &mut Dice) -> Self {
        let kind = dice.weighted(&[
            (3, Kind::Exit),
            (2, Kind::Sidecar),
            (1, Kind::InitFails),
            (1, Kind::OnFailure),
            (1, Kind::Oom),
            (2, Kind::Deadline),
            (3, Kind::Deleted),
            (3, Kind::DeletedAfterwards),
        ]);
        let code = dice.pick(&[0, 0, 1, 2, 3, 137, 143]);
        let ends = format!("sleep {}; exit {code}", dice.below(4));
        let mut pod = match kind {
            Kind::Exit | Kind::DeletedAfterwards => step_with(&ends, |_| {}),
            Kind::Sidecar => step_with(&ends, |pod| {
                let sidecar = shell("a-proxy", "sleep 1; exit 9");
                pod["spec"]["containers"].as_array_mut().expect("a list").insert(0, sidecar);
            }),
            Kind::InitFails => step_with("exit 0", |pod| {
                pod["spec"]["initContainers"] = json!([shell(INIT, "sleep 1; exit 9")]);
            }),
            Kind::OnFailure => {
                step_with("cd $PODWAIT_ROOT/data; test -e x && exit 0; touch x; exit 7", |pod| {
                    pod["spec"]["restartPolicy"] = json!("OnFailure");
                    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
                    pod["spec"]["containers"][0]["volumeMounts"] =
                        json!([{ "name": "data", "mountPath": "/data" }]);
                })
            }
            Kind::Oom => step_with("sleep 3600", |pod| {
                pod["spec"]["containers"][0]["env"] = json!([{ "name": "PODWAIT_FAULT", "value": "oom@2s" }]);
            }),
            Kind::Deadline => step_with(&trap(0), |pod| pod["spec"]["activeDeadlineSeconds"] = json!(4)),
            Kind::Deleted => step_with(&trap(code), |_| {}),
        };
        pod["metadata"]["name"] = json!(name);
        // The label for hubs with a selector.
        pod["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "ci-agent" });
        // A record that exists only briefly is easily missed.
        let late = dice.below(if kind == Kind::DeletedAfterwards { 600 } else { 3000 });
        Self { kind, pod: Runtime::Processes.steady().place(pod), late }
    }
}

impl mixtures::Life for Life {
    type Kind = Kind;

    fn kind(&self) -> Kind {
        self.kind
    }

    fn pod(&self) -> &Value {
        &self.pod
    }

    async fn happen(&self, scratch: &Scratch, name: &str, _uid: &str) {
        let grace = match self.kind {
            Kind::Deleted => {
                scratch.wait_until_running(name).await;
                5
            }
            Kind::DeletedAfterwards => {
                scratch.wait_until_ended(name).await;
                0
            }
            Kind::Exit | Kind::Sidecar | Kind::InitFails | Kind::OnFailure | Kind::Oom | Kind::Deadline => {
                return;
            }
        };
        pause(self.late).await;
        scratch.delete(name, grace).await;
    }

    async fn truth(&self, uid: &str) -> (Truth, String) {
        for _ in 0..300 {
            let ends: Vec<End> = own_cluster().ends().into_iter().filter(|end| end.uid == uid).collect();
            if let Some(truth) = truth(self.kind, &ends) {
                return (truth, format!("{ends:?}"));
            }
            pause(200).await;
        }
        panic!("{} has no end", self.pod["metadata"]["name"])
    }
}

/// The truth by these ends of the pod's containers, without other evidence than the cause of a stop. `None` if there is
/// no decisive end yet.
fn truth(kind: Kind, ends: &[End]) -> Option<Truth> {
    let container = if kind == Kind::InitFails { INIT } else { STEP };
    let last = ends.iter().rfind(|end| end.container == container)?;
    let code = last.exit_code;
    let answer = if kind == Kind::InitFails || last.stopped_by_kubelet {
        Answer::Fail(kind.cause())
    } else if kind == Kind::Oom {
        Answer::Exit(code, DoneReason::OomKilled)
    } else if code == 0 {
        Answer::Exit(code, DoneReason::Completed)
    } else {
        Answer::Exit(code, DoneReason::NonzeroExit)
    };
    Some(Truth { right: vec![(answer, Some(code))], container })
}
