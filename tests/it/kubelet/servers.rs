//! Two API servers over one store. The second one is behind: its watch cache is old, and its reads are delayed.

use super::{Node, RUNTIMES, Runtime, end, on_each, step, trap};
use futures_util::future::join_all;
use podwait::{DoneReason, FailReason};
use podwait_sim::Verb;
use podwait_tests::cluster::{Answers, Cluster, Scratch, Waiters, kube_client, own_cluster, pause};
use podwait_tests::proxy::{Proxy, Request};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Locked by the test that has started the second server. A test that needs the cluster for itself locks this first.
pub(super) static SECOND_IN_USE: Mutex<()> = Mutex::const_new(());

/// The second server, while a test uses it.
pub(super) struct Second<'c> {
    own: &'c Cluster,
    clients: [kube::Client; 2],
    _in_use: MutexGuard<'static, ()>,
}

/// Longer than any of these tests takes.
const FOR_GOOD: u32 = 600_000;

impl<'c> Second<'c> {
    pub(super) async fn start(own: &'c Cluster, in_use: MutexGuard<'static, ()>) -> Self {
        own.order("start apiserver-2").await;
        let clients = [kube_client(None).await, kube_client(Some("second")).await];
        for _ in 0..300 {
            // The server is ready when its caches are filled.
            let ready = http::Request::get("/readyz").body(Vec::new()).expect("a request");
            if clients[1].request_text(ready).await.is_ok() {
                return Self { own, clients, _in_use: in_use };
            }
            pause(200).await;
        }
        panic!("the second server does not start");
    }

    /// A load balancer before both servers. `route` returns the index of the server for a request.
    pub(super) async fn balance(&self, route: fn(&Request) -> usize) -> Proxy {
        Proxy::balance(self.clients.to_vec(), route).await.expect("a port")
    }

    /// Delays all events to the second server by this many milliseconds.
    async fn lag(&self, millis: u32) {
        self.own.order(&format!("lag {millis}")).await;
    }

    pub(super) async fn stop(self) {
        self.own.order("kill apiserver-2").await;
    }

    /// Creates the pod `step` on this node, and waits for it through a load balancer.
    async fn scenario(
        &self,
        node: Node,
        name: &str,
        route: fn(&Request) -> usize,
        pod: Value,
        life: impl AsyncFnOnce(&Scratch, &Proxy),
    ) -> Answers {
        let name = node.named(name);
        let scratch = Scratch::new(&name).await;
        let proxy = self.balance(route).await;
        let create_and_live = async {
            node.create(&scratch, pod).await;
            life(&scratch, &proxy).await;
        };
        let waiters = Waiters::default();
        let (answers, ()) = tokio::join!(waiters.wait_through(&proxy, &scratch, "step"), create_and_live);
        answers.agree_with_the_runtime(scratch.namespace(), "step").await;
        answers.keep_recording(&name);
        scratch.remove().await;
        answers
    }
}

fn second_watches(request: &Request) -> usize {
    usize::from(request.verb == Verb::Watch)
}

fn second_reads(request: &Request) -> usize {
    usize::from(request.verb == Verb::Get)
}

fn in_turn(request: &Request) -> usize {
    usize::from(request.nth.is_multiple_of(2))
}

fn ends() -> Value {
    step("sleep 3; exit 5")
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_server_that_is_behind_changes_no_answer() {
    let own = own_cluster();
    let second = Second::start(own, SECOND_IN_USE.lock().await).await;
    second.lag(1500).await;
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                // From a resourceVersion that the server has not reached.
                let answers =
                    second.scenario(node, "second-watches", second_watches, ends(), async |_, _| {}).await;
                answers.all_done(DoneReason::NonzeroExit, 5);
            },
            async {
                let answers =
                    second.scenario(node, "second-reads", second_reads, ends(), async |_, _| {}).await;
                answers.all_done(DoneReason::NonzeroExit, 5);
            },
            async {
                // Each broken watch continues at the other server.
                let answers = second.scenario(
                    node,
                    "servers-in-turn",
                    in_turn,
                    step(&trap(5)),
                    async |cluster, proxy| {
                        let uid = cluster.wait_until_running("step").await;
                        for _ in 0..3 {
                            proxy.sever().await;
                            pause(500).await;
                        }
                        end(own, &uid).await;
                    },
                );
                answers.await.all_done(DoneReason::NonzeroExit, 5);
            },
            async {
                let pod = step(&trap(0));
                let answers =
                    second.scenario(node, "servers-in-turn-deleted", in_turn, pod, async |cluster, _| {
                        cluster.wait_until_running("step").await;
                        cluster.wait_until_seen("step").await;
                        cluster.delete("step", 5).await;
                    });
                answers.await.watchers_fail(&[FailReason::PodDeleted], Some(0));
            },
        );
    })
    .await;
    second.lag(0).await;
    for runtime in RUNTIMES {
        stands_still(&second, runtime.steady()).await;
    }
    second.stop().await;
}

/// The second server gets no events any more, without detecting that: watches are silent, and reads hang.
async fn stands_still(second: &Second<'_>, node: Node) {
    let names = ["second-watches-the-past", "second-reads-hang"].map(|name| node.named(name));
    let proxies = [second.balance(second_watches).await, second.balance(second_reads).await];
    let scratches = join_all(names.each_ref().map(async |name| Scratch::new(name).await)).await;
    let impatient =
        Waiters { policy: Some(|policy| policy.reobserve(Duration::from_secs(2))), ..Waiters::default() };
    let life = async {
        for scratch in &scratches {
            node.create(scratch, step(&trap(5))).await;
        }
        let uids = join_all(scratches.iter().map(|scratch| scratch.wait_until_running("step"))).await;
        second.lag(FOR_GOOD).await;
        // For that server the next watches begin in the future.
        let watches = proxies[0].traffic().requests.watch;
        proxies[0].sever().await;
        proxies[0].until(|traffic| traffic.requests.watch >= watches + 2).await;
        for (scratch, uid) in scratches.iter().zip(uids) {
            end(second.own, &uid).await;
            scratch.wait_until_ended("step").await;
        }
        // The library reads by itself before that; the command reads after half a minute, or after an event.
        pause(3000).await;
        second.lag(0).await;
    };
    let waits = scratches.iter().zip(&proxies);
    let waits = waits.map(|(scratch, proxy)| impatient.wait_through(proxy, scratch, "step"));
    let (all, ()) = tokio::join!(join_all(waits), life);
    for ((answers, name), scratch) in all.into_iter().zip(names).zip(scratches) {
        answers.all_done(DoneReason::NonzeroExit, 5);
        answers.agree_with_the_runtime(scratch.namespace(), "step").await;
        answers.keep_recording(&name);
        scratch.remove().await;
    }
}
