//! The life of a pod on containerd, and the truth by the step's own word.

use super::outage::Outage;
use crate::containerd::{add_truth, end, order, step, step_with};
use crate::mixtures::{self, Truth};
use podwait_tests::cluster::{End, Scratch, own_cluster, pause};
use podwait_tests::storm::dice::Dice;
use podwait_tests::storm::truth::STEP;
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

/// The name of the init container.
pub(super) const INIT: &str = "clone";

/// The grace period in seconds: long enough for a trap on a machine that hardly runs.
const GRACE: u32 = 20;

/// A kind of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Exit,
    Sidecar,
    InitFails,
    OnFailure,
    Terminated,
    Killed,
    ShimKilled,
    Oom,
    OomOfChild,
    StartError,
    ImageLater,
    ImageRefused,
    Probe,
    Deadline,
    Deleted,
    DeletedAfterwards,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exit => "exits by itself",
            Self::Sidecar => "sidecar",
            Self::InitFails => "init container fails",
            Self::OnFailure => "OnFailure",
            Self::Terminated => "SIGTERM from outside",
            Self::Killed => "SIGKILL from outside",
            Self::ShimKilled => "shim killed",
            Self::Oom => "out of memory",
            Self::OomOfChild => "child out of memory",
            Self::StartError => "start error",
            Self::ImageLater => "image at the second pull",
            Self::ImageRefused => "image refused",
            Self::Probe => "liveness probe fails",
            Self::Deadline => "activeDeadlineSeconds",
            Self::Deleted => "deleted while running",
            Self::DeletedAfterwards => "deleted after its end",
        })
    }
}

/// The life of one pod.
#[derive(Debug)]
pub(super) struct Life {
    kind: Kind,
    pod: Value,
    /// The delay of the change by the test, in milliseconds.
    late: u64,
    outage: Option<Outage>,
    /// The folder of the step's own word.
    words: PathBuf,
}

/// A script that runs for an hour after this, and writes when it begins to. Its log is no place for that: a container that
/// was not started yet when containerd ended is made again, and then has a log of another number.
fn run_on(before: &str) -> String {
    format!("{before}; touch /truth/begun; sleep 3600 & wait")
}

/// The same, but it exits with this code on SIGTERM.
fn trap(code: i32) -> String {
    run_on(&format!("trap '{}' TERM", end(code)))
}

impl Life {
    /// Draws a life, whose word is kept in this folder, and makes the registry fail for its image.
    pub(super) async fn draw(words: &Path, name: &str, dice: &mut Dice) -> Self {
        let kind = dice.weighted(&[
            (3, Kind::Exit),
            (2, Kind::Sidecar),
            (1, Kind::InitFails),
            (2, Kind::OnFailure),
            (1, Kind::Terminated),
            (1, Kind::Killed),
            (1, Kind::ShimKilled),
            (2, Kind::Oom),
            (2, Kind::OomOfChild),
            (1, Kind::StartError),
            (2, Kind::ImageLater),
            (1, Kind::ImageRefused),
            (2, Kind::Probe),
            (2, Kind::Deadline),
            (3, Kind::Deleted),
            (3, Kind::DeletedAfterwards),
        ]);
        let code = dice.pick(&[0, 0, 1, 2, 3, 137, 143, 255]);
        let image = format!("registry.test/{name}");
        let (later, never) =
            (dice.pick(&["429 1", "500 1", "503 1", "cut 1", "digest 1"]), dice.pick(&["401", "403", "404"]));
        for (of, fault) in [(Kind::ImageLater, later), (Kind::ImageRefused, never)] {
            if kind == of {
                order(&format!("registry fault {image} {fault}")).await;
            }
        }
        let mut pod = kind.pod(&format!("sleep {}; {}", dice.below(4), end(code)), code, &image);
        pod["metadata"]["name"] = json!(name);
        pod["spec"]["terminationGracePeriodSeconds"] = json!(GRACE);
        // The label for hubs with a selector.
        pod["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "ci-agent" });
        let words = words.join(name);
        std::fs::create_dir(&words).expect("a folder for the word");
        add_truth(&mut pod["spec"], &words);
        // That it runs at all is the first word of every step.
        for command in ["/containers/0/command/2", "/initContainers/0/command/2"] {
            if let Some(Value::String(script)) = pod["spec"].pointer_mut(command) {
                script.insert_str(0, "touch /truth/started; ");
            }
        }
        // A record that exists only briefly is easily missed.
        let late = dice.below(if kind == Kind::DeletedAfterwards { 600 } else { 3000 });
        Self { kind, pod, late, outage: Outage::draw(dice), words }
    }

    /// Whether the step has written this file.
    fn wrote(&self, name: &str) -> bool {
        self.words.join(name).exists()
    }
}

impl Kind {
    /// The pod, whose step ends by itself with this script, or with this code when it is asked to, if it does.
    fn pod(self, ends: &str, code: i32, image: &str) -> Value {
        const GREEDY: &str = "a=x; while :; do a=$a$a; done";
        let little_memory = |container: &mut Value| {
            container["resources"] = json!({ "limits": { "memory": "12Mi" } });
        };
        match self {
            Self::Exit | Self::DeletedAfterwards => step(ends),
            Self::Sidecar => {
                let mut pod = step(ends);
                let sidecar =
                    json!({ "name": "proxy", "image": "busybox:1", "command": ["sh", "-c", "exit 9"] });
                pod["spec"]["containers"].as_array_mut().expect("a list").push(sidecar);
                pod
            }
            Self::InitFails => {
                let mut pod = step("exit 0");
                let script = format!("sleep 1; {}", end(9));
                pod["spec"]["initContainers"] =
                    json!([{ "name": INIT, "image": "busybox:1", "command": ["sh", "-c", script] }]);
                pod
            }
            Self::OnFailure => {
                let second = end(0);
                let mut pod =
                    step(&format!("if test -e /truth/once; then {second}; fi; touch /truth/once; exit 7"));
                pod["spec"]["restartPolicy"] = json!("OnFailure");
                pod
            }
            Self::Terminated | Self::Deleted => step(&trap(code)),
            Self::Killed | Self::ShimKilled => step(&run_on("echo forever >/truth/end")),
            Self::Oom => step_with(&format!("echo greedy >/truth/end; sleep 1; {GREEDY}"), little_memory),
            Self::OomOfChild => {
                step_with(&format!("sleep 1; sh -c '{GREEDY}'; sleep 1; {}", end(code)), little_memory)
            }
            Self::StartError => step_with("", |container| container["command"] = json!(["/no/such/program"])),
            Self::ImageLater | Self::ImageRefused => {
                step_with(ends, |container| container["image"] = json!(image))
            }
            Self::Probe => step_with(&trap(code), |container| {
                // Later than the trap is set.
                container["livenessProbe"] = json!({
                    "exec": { "command": ["false"] }, "initialDelaySeconds": 2, "failureThreshold": 1,
                });
            }),
            Self::Deadline => {
                // Long enough for the step to begin also after outages.
                let mut pod = step(&trap(code));
                pod["spec"]["activeDeadlineSeconds"] = json!(40);
                pod
            }
        }
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

    async fn happen(&self, scratch: &Scratch, name: &str, uid: &str) {
        // A step that does not start is not changed.
        let running = async || {
            for _ in 0..300 {
                if self.wrote("begun") {
                    pause(self.late).await;
                    return true;
                }
                pause(200).await;
            }
            false
        };
        let change = async {
            match self.kind {
                Kind::Terminated if running().await => {
                    order(&format!("runtime signal {uid} {STEP} SIGTERM")).await;
                }
                Kind::Killed if running().await => {
                    order(&format!("runtime signal {uid} {STEP} SIGKILL")).await;
                }
                Kind::ShimKilled if running().await => order(&format!("runtime shim {uid} SIGKILL")).await,
                Kind::Deleted if running().await => scratch.delete(name, GRACE).await,
                Kind::DeletedAfterwards => {
                    scratch.wait_until_ended(name).await;
                    pause(self.late).await;
                    scratch.delete(name, 0).await;
                }
                Kind::Terminated
                | Kind::Killed
                | Kind::ShimKilled
                | Kind::Deleted
                | Kind::Exit
                | Kind::Sidecar
                | Kind::InitFails
                | Kind::OnFailure
                | Kind::Oom
                | Kind::OomOfChild
                | Kind::StartError
                | Kind::ImageLater
                | Kind::ImageRefused
                | Kind::Probe
                | Kind::Deadline => {}
            }
        };
        let outage = async {
            if let Some(outage) = self.outage {
                outage.happen().await;
            }
        };
        tokio::join!(change, outage);
    }

    async fn truth(&self, uid: &str) -> (Truth, String) {
        for _ in 0..300 {
            let word = std::fs::read_to_string(self.words.join("end")).ok();
            let word = word.as_deref().map(str::trim);
            if let Some(truth) = self.kind.truth(word) {
                return (truth, format!("its word: {word:?}"));
            }
            pause(200).await;
        }
        if !self.wrote("started") {
            return (self.kind.truth_without_start(), String::from("it did not start"));
        }
        // SIGKILL leaves it no time for a word; containerd's event has the code.
        let is_ours = |end: &End| end.uid == uid && end.container == STEP;
        let code = own_cluster().ends().into_iter().rfind(is_ours).map(|end| end.exit_code);
        let truth = self.kind.truth_if_killed().filter(|_| code == Some(137));
        (truth.unwrap_or_else(|| panic!("{self:?} does not end: {code:?}")), String::from("it was killed"))
    }
}
