//! Waits on steps that a real containerd runs under a real kubelet, in every way at once.
//!
//! The truth to compare with is the step's own: before it ends, it writes to a file of this machine how it is going to. With
//! `PODWAIT_RECORD=1` the recordings go to `tests/recordings`.

mod behind;
mod disks;
mod ends;
mod hooks;
mod images;
mod lifetime;
mod logs;
mod mixtures;
mod outages;
mod probes;
mod resources;
mod restarts;
mod shared;
mod sidecars;
mod starts;
mod stops;
mod upgrades;

use podwait::DoneReason;
use podwait_tests::cluster::{Answers, CONTAINERD_NODE, Scratch, Waiters, own_cluster};
use serde_json::{Value, json};
use std::path::Path;
use tokio::sync::RwLock;

/// Held by every scenario, and by one alone that stops containerd itself.
static NODE_IN_USE: RwLock<()> = RwLock::const_new(());

/// The waits for a pod with several containers.
const STEP: Waiters = Waiters { container: Some("step"), context: None, options: &[], policy: None };

/// A container that runs this in a shell.
fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "busybox:1", "command": ["sh", "-c", script] })
}

/// A pod of the container `step`, which runs this in a shell.
fn step(script: &str) -> Value {
    step_with(script, |_| {})
}

/// The same with its container changed.
fn step_with(script: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut container = shell("step", script);
    change(&mut container);
    json!({
        "metadata": { "name": "step" },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 3,
            "nodeSelector": { "kubernetes.io/hostname": CONTAINERD_NODE },
            "tolerations": [{ "key": "podwait.test/runtime", "operator": "Exists" }],
            "containers": [container],
        },
    })
}

/// A script whose process takes memory until it is killed.
const GREEDY: &str = "a=x; while :; do a=$a$a; done";

/// A script that goes on when it is sent SIGUSR1.
const ON_SIGNAL: &str = "trap go=1 USR1; echo begun; while [ -z $go ]; do sleep 0.1; done";

/// A container that may have so little memory that it is soon killed for it.
fn little_memory(container: &mut Value) {
    container["resources"] = json!({ "limits": { "memory": "12Mi" } });
}

/// The end of a script, which first writes its code to the file.
fn end(code: i32) -> String {
    format!("echo {code} >/truth/end; exit {code}")
}

/// A script that ignores SIGTERM.
const DEAF: &str = "trap '' TERM; echo deaf >/truth/end; echo begun; sleep 3600";

/// A script that exits with this code on SIGTERM, and otherwise runs for an hour. It prints a line when its trap is set.
fn trap(code: i32) -> String {
    format!("trap '{}' TERM; echo begun; sleep 3600 & wait", end(code))
}

/// What came of a step.
struct Ended {
    answers: Answers,
    /// What the step wrote about its end; `None` if it did not get that far.
    truth: Option<String>,
}

impl Ended {
    /// Asserts that the step wrote this code, and that every way of waiting found it.
    #[track_caller]
    fn by_itself(&self, code: i32) {
        let reason = match code {
            0 => DoneReason::Completed,
            _ => DoneReason::NonzeroExit,
        };
        self.answers.all_done(reason, code);
        assert_eq!(self.truth.as_deref(), Some(code.to_string().as_str()), "{:#?}", self.answers);
    }

    /// Asserts that the step wrote nothing: it did not run, or did not come to its end.
    #[track_caller]
    fn without_a_word(&self) -> &Answers {
        assert_eq!(self.truth, None, "{:#?}", self.answers);
        &self.answers
    }

    /// Asserts that the step wrote this before something else than its own exit ended it.
    #[track_caller]
    fn after(&self, word: &str) -> &Answers {
        assert_eq!(self.truth.as_deref(), Some(word), "{:#?}", self.answers);
        &self.answers
    }

    /// Asserts that every way found this code, for one of these reasons: which of them is decided by a race in the runtime.
    #[track_caller]
    fn done_as(&self, reasons: &[DoneReason], code: i32) {
        for exit in [&self.answers.watched, &self.answers.shared, &self.answers.polled] {
            let exit = exit.as_ref().unwrap_or_else(|failure| panic!("{failure:?} in {:#?}", self.answers));
            assert!(reasons.contains(&exit.reason) && exit.code == code, "{:#?}", self.answers);
        }
        assert_eq!(self.answers.command.status, Some(code), "{:#?}", self.answers);
    }

    /// The sentence of the command.
    fn sentence(&self) -> &str {
        &self.answers.command.stderr
    }
}

/// Waits for the pod `step`, which this creates in a namespace of its own, while `life` happens to it. The name is that of
/// the recording, after `containerd-`.
async fn scenario(name: &str, waiters: Waiters, pod: Value, life: impl AsyncFnOnce(&Scratch, &str)) -> Ended {
    let _node = NODE_IN_USE.read().await;
    disturbed(name, waiters, pod, life).await
}

/// The same for a scenario that has the node for itself.
async fn disturbed(
    name: &str,
    waiters: Waiters,
    mut pod: Value,
    life: impl AsyncFnOnce(&Scratch, &str),
) -> Ended {
    let truth = tempfile::tempdir().expect("a temporary folder");
    add_truth(&mut pod["spec"], truth.path());
    let name = format!("containerd-{name}");
    let scratch = Scratch::new(&name).await;
    let create_and_live = async {
        // Long enough for most waits to be there first, which is what a recording shows best.
        podwait_tests::cluster::pause(300).await;
        let uid = scratch.create_pod(&pod).await.metadata.uid.expect("a pod has a uid");
        life(&scratch, &uid).await;
    };
    let (answers, ()) = tokio::join!(waiters.wait(&scratch, "step"), create_and_live);
    answers.keep_recording(&name);
    keep_status(&name, &scratch).await;
    scratch.remove().await;
    let truth = std::fs::read_to_string(truth.path().join("end")).ok();
    Ended { answers, truth: truth.map(|text| text.trim().to_owned()) }
}

/// Gives every container of the pod the folder `/truth`.
fn add_truth(spec: &mut Value, folder: &Path) {
    add_folder(spec, "truth", folder);
}

/// Gives every container of the pod this folder of the machine.
fn add_folder(spec: &mut Value, name: &str, folder: &Path) {
    let volume = json!({ "name": name, "hostPath": { "path": folder } });
    let mount = json!({ "name": name, "mountPath": format!("/{name}") });
    add(&mut spec["volumes"], volume);
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            add(&mut container["volumeMounts"], mount.clone());
        }
    }
}

/// Adds an item to a list that may be missing.
fn add(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(items) => items.push(item),
        None => *list = json!([item]),
    }
}

/// Writes the pod's status as it was published to the folder that `PODWAIT_STATUSES` names, for people.
pub(crate) async fn keep_status(name: &str, scratch: &Scratch) {
    let Some(folder) = std::env::var_os("PODWAIT_STATUSES") else { return };
    if let Ok(pod) = scratch.pods().get("step").await {
        let status = serde_json::to_string_pretty(&pod.status).expect("a status is JSON");
        let file = std::path::Path::new(&folder).join(format!("{name}.json"));
        std::fs::write(file, status).expect("the status is kept");
    }
}

/// A scenario in which nothing happens but the step itself.
async fn undisturbed(name: &str, pod: Value) -> Ended {
    scenario(name, Waiters::default(), pod, async |_, _| {}).await
}

/// The same in a pod that has other containers.
async fn undisturbed_step(name: &str, pod: Value) -> Ended {
    scenario(name, STEP, pod, async |_, _| {}).await
}

/// Gives an order to what runs the containers.
async fn order(order: &str) {
    own_cluster().order(order).await;
}
