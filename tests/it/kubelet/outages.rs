//! The API server and its store go away and come back. Alone on the cluster, since everybody would notice.

use super::servers::{SECOND_IN_USE, Second};
use super::{Waiters, end, step, trap};
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, PostParams};
use podwait::DoneReason;
use podwait_tests::cluster::{Cluster, Scratch, alone, kube_client, own_cluster, pause};
use podwait_tests::proxy::Proxy;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::MutexGuard;

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
        // Connections stay open and nothing comes.
        ("apiserver-paused", &["pause apiserver", "resume apiserver"]),
        ("etcd-killed", &["kill etcd", "start etcd"]),
    ] {
        let scratch = Scratch::in_outages(name).await;
        let life = async {
            pause(300).await;
            scratch.create_pod(&step(&trap(5))).await;
            let uid = scratch.wait_until_running("step").await;
            let (first, others) = orders.split_first().expect("something happens");
            own.order(first).await;
            pause(1500).await;
            end(own, &uid).await;
            pause(1500).await;
            for order in others {
                own.order(order).await;
                pause(3000).await;
            }
            own.order("ready 120").await;
        };
        let waiters = Waiters::default();
        let (answers, ()) = tokio::join!(waiters.wait(&scratch, "step"), life);
        answers.all_done(DoneReason::NonzeroExit, 5);
        answers.agree_with_the_runtime(scratch.namespace(), "step");
        answers.keep_recording(name);
        scratch.remove().await;
    }
    forgotten(own).await;
    one_of_two(own, second_in_use).await;
}

/// What a watch would go on from is gone: a server that starts anew knows nothing from before its start, and the pod has not
/// changed since. There must be a watch all the same, since the pod does not outlast its end for long.
async fn forgotten(own: &Cluster) {
    let scratch = Scratch::in_outages("compacted").await;
    let proxy = Proxy::start(scratch.kube()).await.expect("a port");
    let life = async {
        scratch.create_pod(&step(&trap(5))).await;
        let uid = scratch.wait_until_running("step").await;
        proxy.until(|traffic| traffic.requests.watch >= 2).await;
        // Something else happens, or the pod's version would be the newest that there is.
        scratch.create("other", &["step"]).await;
        for order in ["compact", "kill apiserver", "start apiserver", "ready 120", "compact"] {
            own.order(order).await;
        }
        // Two watch. Each is told that it is gone before it watches again.
        let again = proxy.until(|traffic| traffic.requests.watch >= 6);
        let again = tokio::time::timeout(Duration::from_secs(60), again).await;
        assert!(again.is_ok(), "nobody watches: {proxy:#?}");
        pause(1000).await;
        end(own, &uid).await;
        scratch.wait_until_ended("step").await;
        scratch.delete("step", 0).await;
    };
    let waiters = Waiters::default();
    let (answers, ()) = tokio::join!(waiters.wait_through(&proxy, &scratch, "step"), life);
    answers.watchers_done(DoneReason::NonzeroExit, 5);
    answers.agree_with_the_runtime(scratch.namespace(), "step");
    answers.keep_recording("compacted");
    scratch.remove().await;
}

/// The other server goes on. The kubelet knows the first one only, so the end comes when that is back.
async fn one_of_two(own: &Cluster, in_use: MutexGuard<'static, ()>) {
    let second = Second::start(own, in_use).await;
    let scratch = Scratch::in_outages("one-of-two-killed").await;
    let proxy = second.balance(|_| 0).await;
    let life = async {
        scratch.create_pod(&step(&trap(5))).await;
        let uid = scratch.wait_until_running("step").await;
        proxy.until(|traffic| traffic.requests.watch >= 2).await;
        own.order("kill apiserver").await;
        end(own, &uid).await;
        // Two watch, and so they do at the other one.
        let again = proxy.until(|traffic| traffic.requests.watch >= 4);
        let again = tokio::time::timeout(Duration::from_secs(60), again).await;
        assert!(again.is_ok(), "nobody watches: {proxy:#?}");
        // Longer than the budget below.
        pause(4000).await;
        own.order("start apiserver").await;
        own.order("ready 120").await;
    };
    // No outage at all would fit into this budget.
    let waiters = Waiters {
        policy: Some(|policy| policy.api_error_budget(Duration::from_secs(3))),
        ..Waiters::default()
    };
    let (answers, ()) = tokio::join!(waiters.wait_through(&proxy, &scratch, "step"), life);
    answers.all_done(DoneReason::NonzeroExit, 5);
    answers.agree_with_the_runtime(scratch.namespace(), "step");
    answers.keep_recording("one-of-two-killed");
    scratch.remove().await;
    second.stop().await;
}

/// The name of all that starves.
const NAME: &str = "podwait-starved";

/// API priority and fairness has a level without shares for the user who waits: 429 for whoever finds its one seat taken. And
/// taken it is, by requests for a future that does not come, of which each waits three seconds for it.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn being_starved_changes_no_answer() {
    let own = own_cluster();
    let _node = super::disruptions::NODE_IN_USE.lock().await;
    let _alone = alone().await;
    let scratch = Scratch::in_outages("starved").await;
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
    let bindings: Api<RoleBinding> = Api::namespaced(scratch.kube(), scratch.namespace());
    create(&bindings, may_all).await;
    let levels: Api<PriorityLevelConfiguration> = Api::all(scratch.kube());
    create(&levels, level).await;
    let schemas: Api<FlowSchema> = Api::all(scratch.kube());
    scratch.create_pod(&step(&trap(6))).await;
    let uid = scratch.wait_until_running("step").await;
    create(&schemas, schema).await;
    let nobody = kube_client(Some("nobody")).await;
    let refused = tokio::sync::Notify::new();
    let hog = async || {
        let future = format!("/api/v1/namespaces/{}/pods?resourceVersion=999999999", scratch.namespace());
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
        // Some for the command to be there.
        pause(4000).await;
        end(own, &uid).await;
        pause(2500).await;
        schemas.delete(NAME, &DeleteParams::default()).await.expect("the FlowSchema is deleted");
    };
    let waiters = Waiters { context: Some("nobody"), ..Waiters::default() };
    let waits = async {
        // The server takes a moment to act upon it.
        refused.notified().await;
        tokio::join!(waiters.wait(&scratch, "step"), relent)
    };
    let hogs = async { tokio::join!(hog(), hog(), hog()) };
    let (answers, ()) = tokio::select! {
        waited = waits => waited,
        (never, _, _) = hogs => never,
    };
    answers.all_done(DoneReason::NonzeroExit, 6);
    answers.agree_with_the_runtime(scratch.namespace(), "step");
    assert!(answers.trace.contains("api_throttled"), "the command met no 429: {answers:#?}");
    // Retry-After is one second, so this is no storm.
    assert!((1..60).contains(&answers.throttled), "throttled {} times: {answers:#?}", answers.throttled);
    answers.keep_recording("starved");
    levels.delete(NAME, &DeleteParams::default()).await.expect("the priority level is deleted");
    scratch.remove().await;
}

pub(super) async fn create<K>(api: &Api<K>, object: Value)
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object = serde_json::from_value(object).expect("an object of that kind");
    api.create(&PostParams::default(), &object).await.expect("it is created");
}
