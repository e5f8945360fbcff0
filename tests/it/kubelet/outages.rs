//! The API server and its store stop and start again. Such a test has the cluster for itself, since it disturbs all
//! others.

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
        // Connections stay open and are silent.
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

/// The resourceVersion from which a watch would continue is gone: a restarted server has no history from before its
/// start, and the pod has not changed since. There must still be a watch, since the pod exists only briefly after its
/// end.
async fn forgotten(own: &Cluster) {
    let scratch = Scratch::in_outages("compacted").await;
    let proxy = Proxy::start(scratch.kube()).await.expect("a port");
    let life = async {
        scratch.create_pod(&step(&trap(5))).await;
        let uid = scratch.wait_until_running("step").await;
        proxy.until(|traffic| traffic.requests.watch >= 2).await;
        // Another object changes: otherwise the pod's resourceVersion would be the newest.
        scratch.create("other", &["step"]).await;
        for order in ["compact", "kill apiserver", "start apiserver", "ready 120", "compact"] {
            own.order(order).await;
        }
        // Two waits watch. Each gets a 410 before it watches again.
        let again = proxy.until(|traffic| traffic.requests.watch >= 6);
        let again = tokio::time::timeout(Duration::from_secs(60), again).await;
        assert!(again.is_ok(), "there is no watch: {proxy:#?}");
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

/// The other server continues. The kubelet uses only the first server, so the end is published when that one is back.
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
        // Two waits watch, and then watch the other server.
        let again = proxy.until(|traffic| traffic.requests.watch >= 4);
        let again = tokio::time::timeout(Duration::from_secs(60), again).await;
        assert!(again.is_ok(), "there is no watch: {proxy:#?}");
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
    let (answers, ()) = tokio::join!(waiters.wait_through(&proxy, &scratch, "step"), life);
    answers.all_done(DoneReason::NonzeroExit, 5);
    answers.agree_with_the_runtime(scratch.namespace(), "step");
    answers.keep_recording("one-of-two-killed");
    scratch.remove().await;
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
        // Some time for the start of the command.
        pause(4000).await;
        end(own, &uid).await;
        pause(2500).await;
        schemas.delete(NAME, &DeleteParams::default()).await.expect("the FlowSchema is deleted");
    };
    let waiters = Waiters { context: Some("nobody"), ..Waiters::default() };
    let waits = async {
        // The server applies the change a moment later.
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
    assert!(answers.trace.contains("api_throttled"), "the command got no 429: {answers:#?}");
    // Retry-After is one second, so there are few requests.
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
