//! What remains of an exit if no wait runs while its pod is removed: with a hold, and without.

mod node;
mod rights;

use super::{Node, Runtime, end, on_each, step, step_with, trap};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, EvictParams, Patch, PatchParams, PostParams};
use podwait::{Exit, FailReason, Failure, Hold, HoldState};
use podwait_tests::cli::run;
use podwait_tests::cluster::{Cluster, Scratch, own_cluster, pause};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::time::{Duration, Instant};

const HELD: &str = "held";
const BARE: &str = "bare";

/// Longer than a garbage collector needs.
const LONGEST: Duration = Duration::from_secs(180);

/// Two pods with the same life: one is held, by a wait that was then killed, and the other is not held.
struct Pair {
    own: &'static Cluster,
    node: Node,
    scratch: Scratch,
    held: String,
    bare: String,
}

impl Pair {
    /// A pair of this pod on this node, in a new namespace. Both run.
    async fn new(own: &'static Cluster, node: Node, name: &str, pod: Value) -> Self {
        let scratch = Scratch::new(&node.named(name)).await;
        for name in [HELD, BARE] {
            let mut pod = pod.clone();
            pod["metadata"]["name"] = json!(name);
            node.create(&scratch, pod).await;
        }
        let held = scratch.wait_until_running(HELD).await;
        let bare = scratch.wait_until_running(BARE).await;
        let hold = Hold::new(scratch.client(), scratch.namespace(), HELD);
        let wait = podwait::wait(scratch.client(), scratch.namespace(), HELD).hold(&hold).into_future();
        let is_held = async {
            while hold.state() != (HoldState::Held { uid: held.clone() }) {
                pause(20).await;
            }
        };
        tokio::select! {
            answer = wait => panic!("{name} has ended: {answer:?}"),
            () = is_held => {}
        }
        Self { own, node, scratch, held, bare }
    }

    /// Ends both steps, as if by themselves, and waits more than a second: the times of the object have whole seconds,
    /// and a step that ended in the second of a deletion may have ended by it.
    async fn end_both(&self) {
        for (name, uid) in [(HELD, &self.held), (BARE, &self.bare)] {
            end(self.own, uid).await;
            self.scratch.wait_until_ended(name).await;
        }
        pause(2000).await;
    }

    async fn delete_both(&self, grace: u32) {
        for name in [HELD, BARE] {
            self.scratch.delete(name, grace).await;
        }
    }

    /// Applies `life` to both, and prints a row of the table: the answers of waits that begin when the pod without a
    /// hold is gone, and the answer of a wait that watched it all the time. Returns the answer about the held pod.
    async fn row(self, what: &str, life: impl AsyncFnOnce(&Self)) -> Result<Exit, Failure> {
        let watch = podwait::wait(self.scratch.client(), self.scratch.namespace(), BARE).uid(&self.bare);
        let live = async {
            life(&self).await;
            self.until_gone(BARE).await;
            self.scratch.wait_until_ended(HELD).await;
        };
        let (watched, ()) = tokio::join!(watch, live);
        let late = |name, uid| podwait::wait(self.scratch.client(), self.scratch.namespace(), name).uid(uid);
        let (held, bare) = tokio::join!(late(HELD, &self.held), late(BARE, &self.bare));
        assert_eq!(code(&bare), None, "{what}: there is no evidence of a code: {bare:?}");
        self.is_true(what, &held).await;
        println!(
            "| {what}, {:?} | {} | {} | {} |",
            self.node.runtime,
            words(&held),
            words(&watched),
            words(&bare)
        );
        self.release().await;
        held
    }

    /// Asserts that the answer agrees with the runtime: the code, and no exit if the step was stopped.
    async fn is_true(&self, what: &str, held: &Result<Exit, Failure>) {
        let end = self.own.last_end(|end| end.uid == self.held, |_| true).await;
        let end = end.expect("the runtime saw its end");
        // The kubelet removes the containers of a pod that it has evicted, perhaps before it has published their ends.
        let is_made_up = held.as_ref().is_err_and(|failure| {
            failure.reason == FailReason::Evicted && failure.message.contains("is made up")
        });
        assert!(is_made_up || code(held) == Some(end.exit_code), "{what}: {held:?} and {end:?}");
        assert!(held.is_err() || !end.stopped_by_kubelet, "{what}: {held:?} and {end:?}");
    }

    /// The command finds the held pod, prints its end and releases it.
    async fn release(self) {
        let kubeconfig = self.own.kubeconfig.to_str().expect("a readable path");
        let arguments = ["release", "-n", self.scratch.namespace(), "--kubeconfig", kubeconfig];
        let released = run(&[&arguments[..], &["--older-than", "0s"]].concat()).await;
        assert_eq!(released.status, Some(0), "{released:?}");
        let line = format!("{}/{HELD} released: step ", self.scratch.namespace());
        assert!(released.stdout.starts_with(&line), "{released:?}");
        self.until_gone(HELD).await;
        self.scratch.remove().await;
    }

    async fn until_gone(&self, name: &str) {
        let begin = Instant::now();
        while self.scratch.pods().get_opt(name).await.expect("an answer").is_some() {
            assert!(begin.elapsed() < LONGEST, "{name} in {} still exists", self.scratch.namespace());
            pause(200).await;
        }
    }
}

/// The step's exit code, if it is known.
fn code(answer: &Result<Exit, Failure>) -> Option<i32> {
    match answer {
        Ok(exit) => Some(exit.code),
        Err(failure) => failure.exit_code,
    }
}

fn words(answer: &Result<Exit, Failure>) -> String {
    let reason = match answer {
        Ok(exit) => exit.reason.as_str(),
        Err(failure) => failure.reason.as_str(),
    };
    match code(answer) {
        Some(code) => format!("{reason}, {code}"),
        None => format!("{reason}, **lost**"),
    }
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn no_deletion_loses_the_exit_of_a_held_pod() {
    let own = own_cluster();
    on_each(Runtime::steady, async |node| {
        let pair = async |name: &str, pod: Value| Pair::new(own, node, name, pod).await;
        let for_two_seconds =
            |script: &str| step_with(script, |pod| pod["spec"]["terminationGracePeriodSeconds"] = json!(2));
        tokio::join!(
            async {
                let pair = pair("hold-deleted", step(&trap(0))).await;
                let held =
                    pair.row("deleted while running, exits 0", async |pair| pair.delete_both(5).await).await;
                held.expect_err("it was stopped");
            },
            async {
                let pair = pair("hold-deaf", for_two_seconds("sleep 3600")).await;
                let life = async |pair: &Pair| pair.delete_both(2).await;
                let held = pair.row("deleted while running, ignores SIGTERM", life).await;
                held.expect_err("it was stopped");
            },
            async {
                let pair = pair("hold-forced", step(&trap(0))).await;
                let held =
                    pair.row("force-deleted while running", async |pair| pair.delete_both(0).await).await;
                held.expect_err("it was stopped");
            },
            async {
                let pair = pair("hold-ended", step(&trap(7))).await;
                let life = async |pair: &Pair| {
                    pair.end_both().await;
                    pair.delete_both(30).await;
                };
                pair.row("deleted after its end", life).await.expect("an exit of its own");
            },
            async {
                let pair = pair("hold-evicted", step(&trap(0))).await;
                let life = async |pair: &Pair| {
                    for name in [HELD, BARE] {
                        let evicted = pair.scratch.pods().evict(name, &EvictParams::default()).await;
                        evicted.expect("the pod is evicted");
                    }
                };
                pair.row("evicted by the API (drain)", life).await.expect_err("it was stopped");
            },
            async {
                let pair = pair("hold-namespace", step(&trap(0))).await;
                let life = async |pair: &Pair| {
                    let namespaces: Api<Namespace> = Api::all(pair.scratch.kube());
                    let deleted = namespaces.delete(pair.scratch.namespace(), &DeleteParams::default()).await;
                    deleted.expect("the namespace is deleted");
                };
                pair.row("its namespace deleted", life).await.expect_err("it was stopped");
            },
            async {
                let pair = pair("hold-owner", step(&trap(7))).await;
                let life = async |pair: &Pair| {
                    pair.end_both().await;
                    delete_an_owner(&pair.scratch).await;
                };
                pair.row("its owner deleted after its end", life).await.expect("an exit of its own");
            },
        );
    })
    .await;
}

/// Gives both pods an owner and deletes it, so that the garbage collector deletes the pods.
async fn delete_an_owner(scratch: &Scratch) {
    let owners: Api<ConfigMap> = Api::namespaced(scratch.kube(), scratch.namespace());
    let owner = serde_json::from_value(json!({ "metadata": { "name": "owner" } })).expect("a ConfigMap");
    let owner = owners.create(&PostParams::default(), &owner).await.expect("it is created");
    let reference =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid });
    for name in [HELD, BARE] {
        let patch = Patch::Merge(json!({ "metadata": { "ownerReferences": [reference] } }));
        let patched = scratch.pods().patch(name, &PatchParams::default(), &patch).await;
        patched.expect("the pod has an owner");
    }
    owners.delete("owner", &DeleteParams::default()).await.expect("the owner is deleted");
}
