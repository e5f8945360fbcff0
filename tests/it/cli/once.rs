//! `podwait run` creates a pod once and changes no other pod, whatever the API server responds.

use super::fake::{Fake, Reply, Request};
use super::{Sim, assert_one_line};
use podwait_sim::{Fault, Life, Verb};
use podwait_tests::cli::{Run, Started, start};
use podwait_tests::cluster::pause;
use serde_json::{Value, json};
use std::time::Duration;

/// The pods of a namespace, as in a real API server.
#[derive(Default)]
struct Pods(Vec<Value>);

/// The name at the end of the path of a pod.
fn name(request: &Request) -> &str {
    let path = request.target.split('?').next().unwrap_or_default();
    path.strip_prefix("/api/v1/namespaces/ci/pods/").unwrap_or_default()
}

impl Pods {
    fn create(&mut self, body: &Value) -> Reply {
        let name = body["metadata"]["name"].as_str().expect("the client chooses the name");
        if self.0.iter().any(|pod| pod["metadata"]["name"] == name) {
            return Reply::status(409, "AlreadyExists", name);
        }
        let mut pod = body.clone();
        pod["metadata"]["uid"] = json!("u-1");
        pod["metadata"]["resourceVersion"] = json!("7");
        let terminated = json!({ "exitCode": 0, "reason": "Completed", "containerID": "c://1",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z" });
        pod["status"] = json!({ "phase": "Succeeded", "containerStatuses":
            [{ "name": "step", "restartCount": 0, "state": { "terminated": terminated } }] });
        self.0.push(pod.clone());
        Reply::Json(201, pod)
    }

    /// The response of a server without faults.
    fn answer(&mut self, request: &Request) -> Reply {
        let name = name(request);
        let found = self.0.iter().position(|pod| pod["metadata"]["name"] == name);
        match (request.method.as_str(), found) {
            ("POST", _) => self.create(&request.body),
            ("GET" | "PATCH", Some(found)) => Reply::Json(200, self.0[found].clone()),
            ("DELETE", Some(found)) => Reply::Json(200, self.0.remove(found)),
            (_, None) => Reply::status(404, "NotFound", name),
            (_, Some(_)) => Reply::status(405, "MethodNotAllowed", name),
        }
    }
}

fn run(fake: &Fake) -> Started {
    start(&["run", "--kubeconfig", fake.kubeconfig(), "--image", "i", "--quiet"])
}

#[track_caller]
fn assert_ran_once(run: &Run, fake: &Fake) {
    assert_eq!(run.status, Some(0), "{run:?} {:?}", fake.requests());
    assert_eq!(fake.count("DELETE"), 1, "{:?}", fake.requests());
    // Only the rights of the Role podwait-run.
    let is_about_pods = |request: &String| request.contains(" /api/v1/namespaces/ci/pods");
    assert!(fake.requests().iter().all(is_about_pods), "{:?}", fake.requests());
    let is_list = |request: &String| {
        request.starts_with("GET /api/v1/namespaces/ci/pods?") && !request.contains("watch")
    };
    assert!(!fake.requests().iter().any(is_list), "{:?}", fake.requests());
}

#[tokio::test]
async fn created_without_a_response_and_not_readable_at_first() {
    let sim = Sim::new().await;
    sim.cluster.faults().forbid(Verb::List);
    sim.cluster.faults().push(Verb::Create, Fault::ResetAfter { events: 0 });
    // One read before the creation, and one after it.
    sim.cluster.faults().push(Verb::Get, Fault::status(503));
    sim.cluster.faults().push(Verb::Get, Fault::status(503));
    let child = sim.start(&["run", "--image", "i"]);
    let pod = loop {
        let events = sim.cluster.events();
        match events.first() {
            Some(event) => break event.object.clone(),
            None => pause(10).await,
        }
    };
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let life = Life::existing("ci", name).scheduled("node-1").running();
    life.after(Duration::from_millis(1500)).finished(0).spawn(&sim.cluster);
    let run = child.end().await;
    assert_eq!(run.status, Some(0), "{run:?}");
    let added = sim.cluster.events().iter().filter(|event| event.kind.as_str() == "ADDED").count();
    assert_eq!((added, sim.cluster.requests().create), (1, 2), "{run:?}");
    assert!(sim.cluster.get("ci", name).is_none(), "it is no longer held");
}

#[tokio::test]
async fn created_long_after_the_response() {
    // As with an admission webhook that is slower than the API server's timeout.
    let (mut pods, mut late) = (Pods::default(), None);
    let fake = Fake::start(move |request| match (request.method.as_str(), late.take()) {
        ("POST", None) if pods.0.is_empty() => {
            late = Some(request.body.clone());
            Reply::status(504, "Timeout", "")
        }
        ("POST", Some(body)) => {
            pods.create(&body);
            pods.answer(request)
        }
        (_, kept) => {
            late = kept;
            pods.answer(request)
        }
    })
    .await;
    let run = run(&fake).end().await;
    assert_eq!(fake.count("POST"), 2, "{:?}", fake.requests());
    assert_ran_once(&run, &fake);
}

#[tokio::test]
async fn created_without_a_response_and_then_refused_for_a_quota() {
    let (mut pods, mut posts, mut is_deaf) = (Pods::default(), 0, false);
    let fake = Fake::start(move |request| match request.method.as_str() {
        "POST" => {
            posts += 1;
            if posts == 1 {
                is_deaf = true;
                pods.create(&request.body);
                return Reply::Break;
            }
            is_deaf = false;
            Reply::status(403, "Forbidden", "exceeded quota")
        }
        "GET" if is_deaf => Reply::status(500, "InternalError", ""),
        _ => pods.answer(request),
    })
    .await;
    let run = run(&fake).end().await;
    assert_eq!(fake.count("POST"), 2, "{:?}", fake.requests());
    assert_ran_once(&run, &fake);
}

#[tokio::test]
async fn a_conflict_over_a_quota_is_retried() {
    let (mut pods, mut posts) = (Pods::default(), 0);
    let fake = Fake::start(move |request| {
        posts += usize::from(request.method == "POST");
        if request.method == "POST" && posts == 1 {
            return Reply::status(409, "Conflict", "resourcequotas");
        }
        pods.answer(request)
    })
    .await;
    let run = run(&fake).end().await;
    assert_eq!(fake.count("POST"), 2, "{:?}", fake.requests());
    assert_ran_once(&run, &fake);
}

#[tokio::test]
async fn a_namesake_is_not_changed() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "POST" => Reply::status(409, "AlreadyExists", "x"),
        "GET" if name(request).starts_with("podwait-run-") => {
            let labels = json!({ "podwait.dev/run": "another" });
            let metadata =
                json!({ "name": name(request), "namespace": "ci", "uid": "u-2", "labels": labels });
            Reply::Json(200, json!({ "metadata": metadata, "spec": { "containers": [{ "name": "step" }] } }))
        }
        _ => Reply::status(404, "NotFound", name(request)),
    })
    .await;
    let run = run(&fake).end().await;
    assert_one_line(&run, 220, "already exists, and was not created by this run");
    assert_eq!((fake.count("POST"), fake.count("DELETE")), (1, 0), "{:?}", fake.requests());
}

#[tokio::test]
async fn a_response_with_a_pod_of_another_name_is_not_used() {
    for other in ["../../../../api/v1/namespaces/kube-system/secrets/x", "podwait-run-0", ""] {
        let mut posted: Option<Value> = None;
        let fake = Fake::start(move |request| match request.method.as_str() {
            "POST" => {
                let mut pod = request.body.clone();
                pod["metadata"]["uid"] = json!("u-1");
                pod["metadata"]["name"] = json!(other);
                posted = Some(pod.clone());
                Reply::Json(201, pod)
            }
            "GET" if posted.is_some() => Reply::Json(200, posted.clone().expect("a pod")),
            _ => Reply::status(404, "NotFound", name(request)),
        })
        .await;
        let run = run(&fake).end().await;
        assert_one_line(&run, 220, "was not created by this run");
        assert_eq!((fake.count("POST"), fake.count("DELETE")), (1, 0), "{:?}", fake.requests());
        assert!(!fake.requests().iter().any(|request| request.contains("secrets")), "{:?}", fake.requests());
    }
}

#[tokio::test]
async fn an_endless_response_needs_no_memory_and_a_signal_ends_the_attempts() {
    for endless in [&["POST"][..], &["PATCH"], &["POST", "GET"]] {
        let mut is_created = false;
        let fake = Fake::start(move |request| {
            is_created |= request.method == "POST";
            let is_look_before = request.method == "GET" && !is_created;
            if endless.contains(&&*request.method) && !is_look_before {
                return Reply::Endless;
            }
            Reply::status(404, "NotFound", name(request))
        })
        .await;
        let child = run(&fake);
        while fake.count("POST") == 0 {
            pause(10).await;
        }
        child.signal("INT");
        let run = child.end().await;
        assert!(matches!(run.status, Some(223 | 230)), "{run:?}");
        let is_reported = run.stderr.contains("may exist, or may still be created");
        assert_eq!(is_reported, endless.contains(&"POST"), "{run:?}");
        // The bytes in network buffers count as sent, too.
        assert!(fake.sent() < 200 << 20, "{} bytes for {endless:?}", fake.sent());
    }
}
