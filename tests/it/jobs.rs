//! Waits for Jobs, on a scripted API server in paused time, and on a real cluster.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use kube::client::Body;
use podwait::{FailReason, Failure, JobExit, Policy, wait_job};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The state of the API server from a time on.
#[derive(Clone)]
enum Now {
    Job(Value),
    Gone,
    Down,
    /// The Job can be read, but not watched.
    Unwatched(Value),
}

fn job(version: u32, status: Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "namespace": "ci", "name": "build", "uid": "u-1", "resourceVersion": version.to_string() },
        "spec": {
            "parallelism": 1, "completions": 1, "backoffLimit": 6,
            "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u-1" } },
        },
        "status": status,
    })
}

fn ended(kind: &str, reason: &str) -> Value {
    json!({ "conditions": [{ "type": kind, "status": "True", "reason": reason, "message": "so it is" }], "failed": 1 })
}

/// A pod of the Job with this status.
fn pod_with(name: &str, status: Value) -> Value {
    let owner =
        json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "build", "uid": "u-1", "controller": true });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": "ci", "name": name, "uid": name, "resourceVersion": "55", "ownerReferences": [owner] },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "step" }] },
        "status": status,
    })
}

/// One that ended with this code.
fn pod(name: &str, code: i32) -> Value {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let state = json!({ "terminated": { "exitCode": code } });
    let statuses = json!([{ "name": "step", "restartCount": 0, "state": state }]);
    pod_with(name, json!({ "phase": phase, "containerStatuses": statuses }))
}

/// An API server with this script of states and their times, and pods with the second of their appearance.
struct Server {
    begin: Instant,
    script: Vec<(u64, Now)>,
    pods: Vec<(u64, Value)>,
    requests: Mutex<Vec<String>>,
}

impl Server {
    fn new(script: Vec<(u64, Now)>, pods: Vec<(u64, Value)>) -> Arc<Self> {
        Arc::new(Self { begin: Instant::now(), script, pods, requests: Mutex::default() })
    }

    fn now(&self) -> Option<Now> {
        let elapsed = self.begin.elapsed();
        self.script.iter().rev().find(|(at, _)| secs(*at) <= elapsed).map(|(_, now)| now.clone())
    }

    fn client(self: &Arc<Self>) -> podwait::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request.uri())) }
        });
        podwait::Client::from_service(service, "ci")
    }

    fn answer(
        self: &Arc<Self>,
        uri: &http::Uri,
    ) -> http::Response<StreamBody<stream::BoxStream<'static, Frame>>> {
        self.requests.lock().expect("no panic").push(uri.to_string());
        let reply = |code: u16, body: String| {
            let frames = stream::once(async move { Ok(http_body::Frame::data(Bytes::from(body))) }).boxed();
            http::Response::builder().status(code).body(StreamBody::new(frames)).expect("an answer")
        };
        let refuse = |code: u16, reason: &str| {
            let details = json!({ "name": "build", "kind": "jobs", "group": "batch" });
            let status = json!({ "kind": "Status", "code": code, "reason": reason, "details": details });
            reply(code, status.to_string())
        };
        let query = uri.query().unwrap_or_default();
        let is_watch = query.contains("watch=true");
        if uri.path().ends_with("/pods") {
            assert!(query.contains("controller-uid%3Du-1"), "{uri}");
            if query.contains("sendInitialEvents") {
                return refuse(422, "Invalid");
            }
            if is_watch {
                return http::Response::new(StreamBody::new(self.pod_events().boxed()));
            }
            let here = self.pods.iter().filter(|(at, _)| secs(*at) <= self.begin.elapsed());
            let items: Vec<&Value> = here.map(|(_, pod)| pod).collect();
            let list = json!({ "kind": "PodList", "metadata": { "resourceVersion": "50" }, "items": items });
            return reply(200, list.to_string());
        }
        assert!(uri.path().starts_with("/apis/batch/v1/namespaces/ci/jobs"), "{uri}");
        match self.now() {
            Some(Now::Down) => reply(503, String::new()),
            Some(Now::Gone) | None => refuse(404, "NotFound"),
            Some(Now::Unwatched(_)) if is_watch => refuse(403, "Forbidden"),
            Some(Now::Job(job) | Now::Unwatched(job)) if !is_watch => reply(200, job.to_string()),
            Some(Now::Job(_) | Now::Unwatched(_)) => {
                http::Response::new(StreamBody::new(self.events().boxed()))
            }
        }
    }

    /// The events of a watch of the pods from now on.
    fn pod_events(self: &Arc<Self>) -> impl stream::Stream<Item = Frame> + use<> {
        let (begin, elapsed) = (self.begin, self.begin.elapsed());
        let later = self.pods.clone().into_iter().filter(move |(at, _)| secs(*at) > elapsed);
        let later = stream::iter(later).then(move |(at, pod)| async move {
            tokio::time::sleep_until(begin + secs(at)).await;
            let event = json!({ "type": "ADDED", "object": pod });
            Ok(http_body::Frame::data(Bytes::from(format!("{event}\n"))))
        });
        later.chain(stream::once(std::future::pending()))
    }

    /// The events of a watch from now on.
    fn events(self: &Arc<Self>) -> impl stream::Stream<Item = Frame> + use<> {
        let (begin, elapsed) = (self.begin, self.begin.elapsed());
        let later = self.script.clone().into_iter().filter(move |(at, _)| secs(*at) > elapsed);
        let last = Mutex::new(Value::Null);
        stream::iter(later)
            .filter_map(move |(at, now)| {
                let event = match now {
                    Now::Job(job) | Now::Unwatched(job) => {
                        *last.lock().expect("no panic") = job.clone();
                        Some(json!({ "type": "MODIFIED", "object": job }))
                    }
                    Now::Gone => {
                        Some(json!({ "type": "DELETED", "object": *last.lock().expect("no panic") }))
                    }
                    Now::Down => None,
                };
                async move {
                    tokio::time::sleep_until(begin + secs(at)).await;
                    event.map(|event| Ok(http_body::Frame::data(Bytes::from(format!("{event}\n")))))
                }
            })
            .chain(stream::once(std::future::pending()))
    }
}

type Frame = Result<http_body::Frame<Bytes>, Infallible>;

async fn end_of(server: &Arc<Server>) -> (Result<JobExit, Failure>, u64) {
    let end = wait_job(server.client(), "ci", "build").await;
    (end, server.begin.elapsed().as_secs())
}

/// The code, or the reason of the failure, and the second of the answer.
async fn answer_of(server: &Arc<Server>) -> (Result<i32, FailReason>, u64) {
    let (end, at) = end_of(server).await;
    (end.map(|exit| exit.code).map_err(|failure| failure.reason), at)
}

#[tokio::test(start_paused = true)]
async fn complete_or_failed_whichever_comes_first() {
    let active = job(1, json!({ "active": 1 }));
    let complete = vec![(0, Now::Job(active.clone())), (20, Now::Job(job(2, ended("Complete", ""))))];
    let server = Server::new(complete, vec![(15, pod("build-a", 0))]);
    assert_eq!(answer_of(&server).await, (Ok(0), 20));

    let again = job(2, json!({ "active": 1, "failed": 1 }));
    let failed = vec![
        (0, Now::Job(active)),
        (10, Now::Job(again)),
        (20, Now::Job(job(3, ended("FailureTarget", "BackoffLimitExceeded")))),
        (25, Now::Job(job(4, ended("Failed", "BackoffLimitExceeded")))),
    ];
    let server = Server::new(failed, vec![(9, pod("build-a", 3)), (19, pod("build-b", 7))]);
    let (end, at) = end_of(&server).await;
    let exit = end.expect("it ended");
    assert_eq!((exit.code, &*exit.condition_reason, at), (7, "BackoffLimitExceeded", 25));
    assert_eq!(exit.pod.map(|pod| pod.name).as_deref(), Some("build-b"));
    let requests = server.requests.lock().expect("no panic");
    assert!(requests.len() < 8, "{requests:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_ended_job_is_reported_at_once_and_a_missing_one_is_awaited_for_a_while() {
    let server = Server::new(vec![(0, Now::Job(job(4, ended("Complete", ""))))], vec![]);
    assert_eq!(end_of(&server).await.1, 0);
    let server = Server::new(vec![(0, Now::Gone), (5, Now::Job(job(4, ended("Complete", ""))))], vec![]);
    let (end, at) = end_of(&server).await;
    assert!(end.is_ok() && at <= 10, "{at}");
    let server = Server::new(vec![(0, Now::Gone)], vec![]);
    assert_eq!(answer_of(&server).await, (Err(FailReason::PodNeverSeen), 10));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_deleted_before_its_end_is_no_success() {
    let server = Server::new(vec![(0, Now::Job(job(1, json!({ "active": 1 })))), (7, Now::Gone)], vec![]);
    assert_eq!(answer_of(&server).await, (Err(FailReason::PodDeleted), 7));
    // It had ended, and ttlSecondsAfterFinished is short: the last event shows the end.
    let script = vec![
        (0, Now::Job(job(1, json!({ "active": 1 })))),
        (7, Now::Job(job(2, ended("Complete", "")))),
        (7, Now::Gone),
    ];
    let server = Server::new(script, vec![]);
    assert_eq!(answer_of(&server).await.0, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn outages_and_rights_change_no_answer() {
    let (active, complete) = (job(1, json!({ "active": 1 })), job(2, ended("Complete", "")));
    let script = vec![
        (0, Now::Job(active.clone())),
        (10, Now::Down),
        (100, Now::Job(active.clone())),
        (110, Now::Job(complete.clone())),
    ];
    let server = Server::new(script, vec![]);
    let (end, at) = end_of(&server).await;
    assert!(end.is_ok() && (110..=112).contains(&at), "{at}");

    let server =
        Server::new(vec![(0, Now::Unwatched(active.clone())), (60, Now::Unwatched(complete))], vec![]);
    let (end, at) = end_of(&server).await;
    assert!(end.is_ok() && (60..=62).contains(&at), "{at}");
    let requests = server.requests.lock().expect("no panic").len();
    assert!(requests < 40, "{requests}");

    let server = Server::new(vec![(0, Now::Job(active.clone())), (5, Now::Down)], vec![]);
    let (end, at) = answer_of(&server).await;
    assert_eq!(end, Err(FailReason::ApiUnavailable));
    assert!((305..=340).contains(&at), "{at}");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pod_cannot_start_fails_as_the_pod_would() {
    let active = job(1, json!({ "active": 1 }));
    let refused = |version: u32, reason: &str| {
        let message = match reason {
            "ErrImagePull" => "failed to resolve reference \"r/a:1\": r/a:1: not found",
            _ => "Back-off pulling image \"r/a:1\"",
        };
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        let statuses = json!([{ "name": "step", "restartCount": 0, "state": state }]);
        let mut pod = pod_with("build-a", json!({ "phase": "Pending", "containerStatuses": statuses }));
        pod["metadata"]["resourceVersion"] = json!(version.to_string());
        pod
    };
    let pods = vec![
        (2, refused(60, "ErrImagePull")),
        (14, refused(61, "ImagePullBackOff")),
        (27, refused(62, "ErrImagePull")),
    ];
    let server = Server::new(vec![(0, Now::Job(active.clone()))], pods);
    let (end, at) = end_of(&server).await;
    let failure = end.expect_err("no pod can start");
    assert_eq!((failure.reason, at), (FailReason::ImagePull, 27), "{failure}");
    assert!(failure.message.contains("build-a") && failure.message.contains("not found"), "{failure}");
    // A pod that does not come at all.
    let server = Server::new(vec![(0, Now::Job(job(1, json!({}))))], vec![]);
    assert_eq!(answer_of(&server).await, (Err(FailReason::StartTimeout), 600));
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_the_pod_that_decided_is_that_of_the_job() {
    let script = vec![
        (0, Now::Job(job(1, json!({ "active": 1 })))),
        (30, Now::Job(job(2, ended("Failed", "BackoffLimitExceeded")))),
    ];
    let evicted =
        json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." });
    let server = Server::new(script, vec![(29, pod_with("build-a", evicted))]);
    let (end, at) = end_of(&server).await;
    let failure = end.expect_err("it was evicted");
    assert_eq!((failure.reason, at), (FailReason::Evicted, 30), "{failure}");
    assert!(failure.message.contains("build-a"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn limits_and_pods_are_reported() {
    let active = job(1, json!({ "active": 1 }));
    let server = Server::new(vec![(0, Now::Job(active.clone()))], vec![]);
    let policy = Policy::builder().deadline(secs(40)).build().expect("a policy");
    let end = wait_job(server.client(), "ci", "build").policy(policy).await;
    assert_eq!(
        end.map_err(|failure| failure.message),
        Err("the job did not end within 40s (the job has no pod; its events may say why)".to_owned())
    );

    let again = job(2, json!({ "active": 1, "failed": 1 }));
    let script =
        vec![(0, Now::Job(active)), (10, Now::Job(again)), (60, Now::Job(job(3, ended("Complete", ""))))];
    let server = Server::new(script, vec![(9, pod("build-a", 3)), (59, pod("build-b", 0))]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let begin = server.begin;
    let look = move |pod: &podwait::JobPod| {
        note.lock().expect("no panic").push((pod.name.clone(), begin.elapsed().as_secs()));
    };
    let exit = wait_job(server.client(), "ci", "build").on_pod(look).await.expect("it ended");
    assert_eq!(exit.code, 0);
    let expected = [("build-a".to_owned(), 9), ("build-b".to_owned(), 59)];
    assert_eq!(*seen.lock().expect("no panic"), expected);
    sleep(secs(0)).await;
}
