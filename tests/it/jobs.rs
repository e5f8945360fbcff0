//! Waits for Jobs, on a scripted API server in paused time, and on a real cluster.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use kube::client::Body;
use podwait::{FailReason, JobEnd, Policy, wait_job};
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
        "status": status,
    })
}

fn ended(kind: &str, reason: &str) -> Value {
    json!({ "conditions": [{ "type": kind, "status": "True", "reason": reason, "message": "so it is" }], "failed": 1 })
}

fn pod(name: &str, code: i32) -> Value {
    json!({
        "metadata": { "namespace": "ci", "name": name, "uid": name, "resourceVersion": "5" },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "step" }] },
        "status": {
            "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{ "name": "step", "restartCount": 0, "state": { "terminated": { "exitCode": code } } }],
        },
    })
}

/// An API server with this script of states and their times, and pods with the second of their creation.
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
        if uri.path().ends_with("/pods") {
            let here = self.pods.iter().filter(|(at, _)| secs(*at) <= self.begin.elapsed());
            let items: Vec<&Value> = here.map(|(_, pod)| pod).collect();
            assert!(uri.query().is_some_and(|query| query.contains("controller-uid%3Du-1")), "{uri}");
            return reply(200, json!({ "kind": "PodList", "metadata": {}, "items": items }).to_string());
        }
        assert!(uri.path().starts_with("/apis/batch/v1/namespaces/ci/jobs"), "{uri}");
        let is_watch = uri.query().is_some_and(|query| query.contains("watch=true"));
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

async fn end_of(server: &Arc<Server>) -> (Result<JobEnd, FailReason>, u64) {
    let end = wait_job(server.client(), "ci", "build").await;
    (end.map_err(|failure| failure.reason), server.begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn complete_or_failed_whichever_comes_first() {
    let active = job(1, json!({ "active": 1 }));
    let complete = vec![(0, Now::Job(active.clone())), (20, Now::Job(job(2, ended("Complete", ""))))];
    let server = Server::new(complete, vec![(15, pod("build-a", 0))]);
    let (end, at) = end_of(&server).await;
    let end = end.expect("it ended");
    assert_eq!((end.has_failed, end.exit_code(), at), (false, None, 20));
    assert_eq!(end.pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["build-a"]);

    let again = job(2, json!({ "active": 1, "failed": 1 }));
    let failed = vec![
        (0, Now::Job(active)),
        (10, Now::Job(again)),
        (20, Now::Job(job(3, ended("FailureTarget", "BackoffLimitExceeded")))),
        (25, Now::Job(job(4, ended("Failed", "BackoffLimitExceeded")))),
    ];
    let server = Server::new(failed, vec![(9, pod("build-a", 3)), (19, pod("build-b", 7))]);
    let (end, at) = end_of(&server).await;
    let end = end.expect("it ended");
    assert_eq!(
        (end.has_failed, end.reason.as_str(), end.exit_code(), at),
        (true, "BackoffLimitExceeded", Some(7), 25)
    );
    let requests = server.requests.lock().expect("no panic").len();
    assert!(requests < 12, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn an_ended_job_is_reported_at_once_and_a_missing_one_is_awaited_for_a_while() {
    let server = Server::new(vec![(0, Now::Job(job(4, ended("Complete", ""))))], vec![]);
    assert_eq!(end_of(&server).await.1, 0);
    let server = Server::new(vec![(0, Now::Gone), (5, Now::Job(job(4, ended("Complete", ""))))], vec![]);
    let (end, at) = end_of(&server).await;
    assert!(end.is_ok() && at <= 10, "{at}");
    let server = Server::new(vec![(0, Now::Gone)], vec![]);
    assert_eq!(end_of(&server).await, (Err(FailReason::PodNeverSeen), 10));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_deleted_before_its_end_is_no_success() {
    let server = Server::new(vec![(0, Now::Job(job(1, json!({ "active": 1 })))), (7, Now::Gone)], vec![]);
    assert_eq!(end_of(&server).await, (Err(FailReason::PodDeleted), 7));
    // It had ended, and ttlSecondsAfterFinished is short: the last event shows the end.
    let script = vec![
        (0, Now::Job(job(1, json!({ "active": 1 })))),
        (7, Now::Job(job(2, ended("Complete", "")))),
        (7, Now::Gone),
    ];
    let server = Server::new(script, vec![]);
    assert_eq!(end_of(&server).await.0.map(|end| end.has_failed), Ok(false));
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
    let (end, at) = end_of(&server).await;
    assert_eq!(end, Err(FailReason::ApiUnavailable));
    assert!((305..=340).contains(&at), "{at}");
}

#[tokio::test(start_paused = true)]
async fn limits_and_pods_are_reported() {
    let active = job(1, json!({ "active": 1 }));
    let server = Server::new(vec![(0, Now::Job(active.clone()))], vec![]);
    let policy = Policy::builder().deadline(secs(40)).build().expect("a policy");
    let end = wait_job(server.client(), "ci", "build").policy(policy).await;
    assert_eq!(end.map_err(|failure| failure.message), Err("the job did not end within 40s".to_owned()));

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
    let end = wait_job(server.client(), "ci", "build").on_pod(look).await.expect("it ended");
    assert_eq!((end.has_failed, end.exit_code()), (false, None));
    let expected = [("build-a".to_owned(), 10), ("build-b".to_owned(), 60)];
    assert_eq!(*seen.lock().expect("no panic"), expected);
    sleep(secs(0)).await;
}
