//! `docs/rbac.yaml` has exactly the rights for the requests of each use.

use super::{Sim, running};
use futures_util::stream::{self, StreamExt};
use http::{Method, Uri};
use http_body_util::StreamBody;
use k8s_openapi::api::rbac::v1::Role;
use kube::client::Body;
use podwait::{FINALIZER, wait_job};
use podwait_sim::{Life, Terminated, pod};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

const ROLES: &str = include_str!("../../../docs/rbac.yaml");

/// API group, resource with its subresource, and verb, as in authorization.
type Right = (String, String, String);

/// The rights of each Role.
fn named() -> BTreeMap<String, BTreeSet<Right>> {
    let roles = ROLES.split("\n---\n").map(|text| serde_saphyr::from_str::<Role>(text).expect("a Role"));
    let rights = |role: &Role| {
        let mut rights = BTreeSet::new();
        for rule in role.rules.iter().flatten() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let right = |verb: &String| (group.clone(), resource.clone(), verb.clone());
                    rights.extend(rule.verbs.iter().map(right));
                }
            }
        }
        rights
    };
    roles.map(|role| (role.metadata.name.clone().expect("a name"), rights(&role))).collect()
}

/// The right that authorization checks for a request (`RequestInfoFactory` of k8s.io/apiserver).
fn right(method: &Method, uri: &Uri) -> Right {
    let path: Vec<&str> = uri.path().split('/').skip(1).collect();
    let (group, path) = match path.as_slice() {
        ["api", _, path @ ..] => ("", path),
        ["apis", group, _, path @ ..] => (*group, path),
        _ => panic!("{uri} is no resource"),
    };
    let path = if let ["namespaces", _, path @ ..] = path { path } else { path };
    let (resource, name) = match path {
        [resource] => ((*resource).to_owned(), None),
        [resource, name] => ((*resource).to_owned(), Some(name)),
        [resource, name, subresource] => (format!("{resource}/{subresource}"), Some(name)),
        _ => panic!("{uri} is no resource"),
    };
    let is_watch = uri.query().is_some_and(|query| query.contains("watch=true"));
    let verb = match (method.as_str(), name) {
        ("GET", Some(_)) => "get",
        ("GET", None) if is_watch => "watch",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => panic!("{method} {uri}"),
    };
    (group.to_owned(), resource, verb.to_owned())
}

/// The rights for all requests of these uses.
async fn sent(uses: &[&[&str]]) -> BTreeSet<Right> {
    let all = Arc::<Mutex<BTreeSet<Right>>>::default();
    for arguments in uses {
        let sim = Sim::new().await;
        let rights = Arc::clone(&all);
        sim.cluster.faults().listen(move |method, uri| {
            rights.lock().expect("no panic").insert(right(method, uri));
        });
        running()
            .after(Duration::from_millis(500))
            .terminated("step", Terminated::exit(3))
            .spawn(&sim.cluster);
        let mut other = pod("ci", "q", &["step"]);
        other["metadata"]["labels"] = json!({ "app": "x" });
        other["metadata"]["finalizers"] = json!([FINALIZER]);
        Life::of(other).scheduled("node-1").running().finished(0).run(&sim.cluster).await.expect("a life");
        if arguments[0] == "run" {
            let child = sim.start(arguments);
            let name = sim.play(&["p", "q"], |life| life.after(Duration::from_millis(300)).finished(0)).await;
            let run = child.end().await;
            assert_eq!(run.status, Some(0), "{name}: {run:?}");
        } else {
            let run = sim.run(arguments).await;
            assert!(matches!(run.status, Some(0 | 3)), "{arguments:?}: {run:?}");
        }
    }
    all.lock().expect("no panic").clone()
}

/// The same for a wait for a Job, which the simulated cluster does not support. The Job is complete once its pods were listed.
async fn sent_for_a_job() -> BTreeSet<Right> {
    let all = Arc::<Mutex<BTreeSet<Right>>>::default();
    let rights = Arc::clone(&all);
    let job = |version: u32, status| {
        let metadata =
            json!({ "namespace": "ci", "name": "j", "uid": "u", "resourceVersion": version.to_string() });
        let spec = json!({ "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u" } } });
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec, "status": status })
    };
    let listed = Arc::<Notify>::default();
    let running = job(1, json!({ "active": 1 }));
    let complete =
        job(2, json!({ "conditions": [{ "type": "Complete", "status": "True" }], "succeeded": 1 }));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let right = right(request.method(), request.uri());
        let is_end = right.1 == "jobs" && right.2 == "watch";
        let text = match right.2.as_str() {
            "watch" if is_end => format!("{}\n", json!({ "type": "MODIFIED", "object": complete })),
            "watch" => String::new(),
            "list" => json!({ "kind": "PodList", "metadata": {}, "items": [] }).to_string(),
            _ => running.to_string(),
        };
        // Before Kubernetes 1.34 the pods come in pages.
        let is_stream = request.uri().query().is_some_and(|query| query.contains("sendInitialEvents"));
        let code = if is_stream { 422 } else { 200 };
        if right.2 == "list" {
            listed.notify_one();
        }
        rights.lock().expect("no panic").insert(right);
        let listed = Arc::clone(&listed);
        let frames = stream::once(async move {
            if is_end {
                listed.notified().await;
            }
            Ok::<_, Infallible>(http_body::Frame::data(bytes::Bytes::from(text)))
        });
        async move {
            let answer = http::Response::builder().status(code).body(StreamBody::new(frames.boxed()));
            Ok::<_, Infallible>(answer.expect("an answer"))
        }
    });
    let end = wait_job(podwait::Client::from_service(service, "ci"), "ci", "j").await;
    assert!(end.is_ok_and(|exit| exit.is_success()));
    all.lock().expect("no panic").clone()
}

#[tokio::test]
async fn the_roles_have_exactly_the_rights_for_the_sent_requests() {
    let uses: [(&str, &[&[&str]]); 6] = [
        ("podwait-wait", &[&["wait", "p", "-c", "step"]]),
        ("podwait-wait-for-many", &[&["wait", "p", "q", "-c", "step"], &["wait", "-l", "app=x"]]),
        (
            "podwait-logs",
            &[
                &["logs", "p", "-c", "step"],
                &["logs", "-f", "p", "-c", "step"],
                &["wait", "p", "-c", "step", "--logs"],
            ],
        ),
        ("podwait-hold", &[&["wait", "p", "-c", "step", "--hold"]]),
        ("podwait-release", &[&["release", "--older-than", "0s"], &["release", "-A", "--older-than", "0s"]]),
        ("podwait-run", &[&["run", "--image", "i"], &["run", "--image", "i", "--rm"]]),
    ];
    let mut found = BTreeMap::new();
    for (role, uses) in uses {
        found.insert(role.to_owned(), sent(uses).await);
    }
    found.insert(String::from("podwait-wait-for-jobs"), sent_for_a_job().await);
    let named = named();
    assert_eq!(found.keys().collect::<Vec<_>>(), named.keys().collect::<Vec<_>>());
    for (role, found) in found {
        let named = &named[&role];
        let missing: Vec<_> = found.difference(named).collect();
        let superfluous: Vec<_> = named.difference(&found).collect();
        assert!(
            missing.is_empty() && superfluous.is_empty(),
            "{role} lacks {missing:?} and does not need {superfluous:?}"
        );
    }
}
