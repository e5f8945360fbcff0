//! The life of a pod, and the truth by its container's runtime.

use crate::kubelet::{shell, step_with, trap};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{End, Scratch, pause};
use podwait_tests::storm::dice::Dice;
use podwait_tests::storm::truth::{Answer, STEP};
use serde_json::{Value, json};

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
pub(super) const INIT: &str = "clone";

/// The life of one pod.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) kind: Kind,
    pub(super) pod: Value,
    /// The delay of the change by the test.
    late: u64,
}

/// How the step ended, by the runtime's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truth {
    /// The answer.
    pub(super) answer: Answer,
    /// The code of the answer's container.
    pub(super) code: i32,
    /// The container.
    pub(super) container: &'static str,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exits by itself",
            Self::Sidecar => "sidecar",
            Self::InitFails => "init container fails",
            Self::OnFailure => "OnFailure",
            Self::Oom => "out of memory",
            Self::Deadline => "activeDeadlineSeconds",
            Self::Deleted => "deleted while running",
            Self::DeletedAfterwards => "deleted after its end",
        }
    }

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
        Self { kind, pod, late }
    }

    /// Makes the changes of the pod that are not the kubelet's.
    pub(super) async fn happen(&self, scratch: &Scratch, name: &str) {
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
}

impl Truth {
    /// The truth by these ends of the pod's containers, without other evidence than the cause of a stop.
    ///
    /// # Panics
    /// The runtime has no decisive end yet.
    pub(super) fn of(kind: Kind, ends: &[End]) -> Option<Self> {
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
        Some(Self { answer, code, container })
    }
}
