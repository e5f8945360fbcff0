//! The API server and its store stop and start again. Such a test has the cluster for itself, since it disturbs all
//! others.

use super::servers::{SECOND_IN_USE, Second};
use super::{Node, RUNTIMES, Waiters, end, step, trap};
use futures_util::future::join_all;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, PostParams};
use podwait::DoneReason;
use podwait_tests::cluster::{Answers, Cluster, Scratch, alone, kube_client, own_cluster, pause};
use podwait_tests::proxy::Proxy;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::MutexGuard;

/// One step on each runtime, which have the outage in common. Each is in a namespace of its own.
struct Steps {
    name: &'static str,
    each: Vec<(Node, Scratch)>,
}

impl Steps {
    async fn new(name: &'static str) -> Self {
        let each = RUNTIMES.iter().map(async |runtime| {
            let node = runtime.steady();
            (node, Scratch::in_outages(&node.named(name)).await)
        });
        Self { name, each: join_all(each).await }
    }

    fn scratches(&self) -> impl Iterator<Item = &Scratch> {
        self.each.iter().map(|(_, scratch)| scratch)
    }

    /// Creates the steps, which end with this code when they are asked to, and returns their uids once they run.
    async fn run(&self, code: i32) -> Vec<String> {
        for (node, scratch) in &self.each {
            node.create(scratch, step(&trap(code))).await;
        }
        join_all(self.scratches().map(|scratch| scratch.wait_until_running("step"))).await
    }

    /// Keeps the recordings, and removes the namespaces. Each answer has been compared with the runtime's.
    async fn over(self, all: &[Answers]) {
        for ((node, scratch), answers) in self.each.into_iter().zip(all) {
            answers.agree_with_the_runtime(scratch.namespace(), "step").await;
            answers.keep_recording(&node.named(self.name));
            scratch.remove().await;
        }
    }
}

async fn end_all(own: &Cluster, uids: &[String]) {
    for uid in uids {
        end(own, uid).await;
    }
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn an_outage_changes_no_answer() {
    let own = own_cluster();
    let _node = super::disruptions::NODE_IN_USE.lock().await;
    let second_in_use = SECOND_IN_USE.lock().await;
    let _alone = alone().await;
    for (name, orders) in [
        // Watches end in the middle, connections are refused.
        ("apiserver-killed", &["kill apiserver", "start apiserver"][..]),
        // Connections stay open and are silent.
        ("apiserver-paused", &["pause apiserver", "resume apiserver"]),
        ("etcd-killed", &["kill etcd", "start etcd"]),
    ] {
        let steps = Steps::new(name).await;
        let life = async {
            pause(300).await;
            let uids = steps.run(5).await;
            let (first, others) = orders.split_first().expect("something happens");
            own.order(first).await;
            pause(1500).await;
            end_all(own, &uids).await;
            pause(1500).await;
            for order in others {
                own.order(order).await;
                pause(3000).await;
            }
            own.order("ready 120").await;
        };
        let waiters = Waiters::default();
        let waits = join_all(steps.scratches().map(|scratch| waiters.wait(scratch, "step")));
        let (all, ()) = tokio::join!(waits, life);
        for answers in &all {
            answers.all_done(DoneReason::NonzeroExit, 5);
        }
        steps.over(&all).await;
    }
    forgotten(own).await;
    one_of_two(own, second_in_use).await;
}

/// Waits until this many more watches came through every proxy.
async fn until_watched(proxies: &[Proxy], times: u64) {
    for proxy in proxies {
        let again = proxy.until(|traffic| traffic.requests.watch >= times);
        let again = tokio::time::timeout(Duration::from_secs(60), again).await;
        assert!(again.is_ok(), "there is no watch: {proxy:#?}");
    }
}

/// The resourceVersion from which a watch would continue is gone: a restarted server has no history from before its
/// start, and the pod has not changed since. There must still be a watch, since the pod exists only briefly after its
/// end.
async fn forgotten(own: &Cluster) {
    let steps = Steps::new("compacted").await;
    let proxies =
        join_all(steps.scratches().map(async |scratch| Proxy::start(scratch.kube()).await.expect("a port")))
            .await;
    let life = async {
        let uids = steps.run(5).await;
        until_watched(&proxies, 2).await;
        // Another object changes: otherwise the pod's resourceVersion would be the newest.
        for scratch in steps.scratches() {
            scratch.create("other", &["step"]).await;
        }
        for order in ["compact", "kill apiserver", "start apiserver", "ready 120", "compact"] {
            own.order(order).await;
        }
        // Two waits watch. Each gets a 410 before it watches again.
        until_watched(&proxies, 6).await;
        pause(1000).await;
        end_all(own, &uids).await;
        for scratch in steps.scratches() {
            scratch.wait_until_ended("step").await;
            scratch.delete("step", 0).await;
        }
    };
    let waiters = Waiters::default();
    let waits = steps.scratches().zip(&proxies);
    let waits = join_all(waits.map(|(scratch, proxy)| waiters.wait_through(proxy, scratch, "step")));
    let (all, ()) = tokio::join!(waits, life);
    for answers in &all {
        answers.watchers_done(DoneReason::NonzeroExit, 5);
    }
    steps.over(&all).await;
}

/// The other server continues. The kubelet uses only the first server, so the end is published when that one is back.
async fn one_of_two(own: &Cluster, in_use: MutexGuard<'static, ()>) {
    let second = Second::start(own, in_use).await;
    let steps = Steps::new("one-of-two-killed").await;
    let proxies = join_all(RUNTIMES.iter().map(|_| second.balance(|_| 0))).await;
    let life = async {
        let uids = steps.run(5).await;
        until_watched(&proxies, 2).await;
        own.order("kill apiserver").await;
        end_all(own, &uids).await;
        // Two waits watch, and then watch the other server.
        until_watched(&proxies, 4).await;
        // Longer than the budget below.
        pause(12_000).await;
        own.order("start apiserver").await;
        own.order("ready 120").await;
    };
    // This budget is shorter than the outage, and longer than a busy machine needs for a response.
    let waiters = Waiters {
        policy: Some(|policy| policy.api_error_budget(Duration::from_secs(10))),
        ..Waiters::default()
    };
    let waits = steps.scratches().zip(&proxies);
    let waits = join_all(waits.map(|(scratch, proxy)| waiters.wait_through(proxy, scratch, "step")));
    let (all, ()) = tokio::join!(waits, life);
    for answers in &all {
        answers.all_done(DoneReason::NonzeroExit, 5);
    }
    steps.over(&all).await;
    second.stop().await;
}

/// The name of the objects for throttling.
const NAME: &str = "podwait-starved";

/// API priority and fairness has a level without shares for the user of the waits: a request gets 429 if the only seat
/// is taken. The seat is taken by requests for a future resourceVersion, each of which waits three seconds.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn throttling_changes_no_answer() {
    let own = own_cluster();
    let _node = super::disruptions::NODE_IN_USE.lock().await;
    let _alone = alone().await;
    let steps = Steps::new("starved").await;
    let nobody = json!({ "kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io" });
    let may_all = json!({
        "metadata": { "name": NAME },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [nobody],
    });
    let level = json!({
        "metadata": { "name": NAME },
        "spec": { "type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": { "type": "Reject" },
        } },
    });
    let schema = json!({
        "metadata": { "name": NAME },
        "spec": {
            "priorityLevelConfiguration": { "name": NAME },
            "matchingPrecedence": 2,
            "rules": [{
                "subjects": [{ "kind": "User", "user": { "name": "nobody" } }],
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"] }],
            }],
        },
    });
    for scratch in steps.scratches() {
        let bindings: Api<RoleBinding> = Api::namespaced(scratch.kube(), scratch.namespace());
        create(&bindings, may_all.clone()).await;
    }
    let admin = kube_client(None).await;
    let levels: Api<PriorityLevelConfiguration> = Api::all(admin.clone());
    create(&levels, level).await;
    let schemas: Api<FlowSchema> = Api::all(admin);
    let uids = steps.run(6).await;
    create(&schemas, schema).await;
    let nobody = kube_client(Some("nobody")).await;
    let refused = tokio::sync::Notify::new();
    let hogged = steps.scratches().next().expect("there is a runtime").namespace();
    let hog = async || {
        let future = format!("/api/v1/namespaces/{hogged}/pods?resourceVersion=999999999");
        loop {
            let request = http::Request::get(&future).body(Vec::new()).expect("a request");
            if let Err(kube::Error::Api(status)) = nobody.request_text(request).await
                && status.code == 429
            {
                refused.notify_one();
            }
            pause(50).await;
        }
    };
    let relent = async {
        // Some time for the start of the command.
        pause(4000).await;
        end_all(own, &uids).await;
        pause(2500).await;
        schemas.delete(NAME, &DeleteParams::default()).await.expect("the FlowSchema is deleted");
    };
    let waiters = Waiters { context: Some("nobody"), ..Waiters::default() };
    let waits = async {
        // The server applies the change a moment later.
        refused.notified().await;
        tokio::join!(join_all(steps.scratches().map(|scratch| waiters.wait(scratch, "step"))), relent)
    };
    let hogs = async { tokio::join!(hog(), hog(), hog()) };
    let (all, ()) = tokio::select! {
        waited = waits => waited,
        (never, _, _) = hogs => never,
    };
    for answers in &all {
        answers.all_done(DoneReason::NonzeroExit, 6);
        assert!(answers.trace.contains("api_throttled"), "the command got no 429: {answers:#?}");
        // Retry-After is one second, so there are few requests.
        assert!((1..60).contains(&answers.throttled), "throttled {} times: {answers:#?}", answers.throttled);
    }
    levels.delete(NAME, &DeleteParams::default()).await.expect("the priority level is deleted");
    steps.over(&all).await;
}

pub(super) async fn create<K>(api: &Api<K>, object: Value)
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object = serde_json::from_value(object).expect("an object of that kind");
    api.create(&PostParams::default(), &object).await.expect("it is created");
}
