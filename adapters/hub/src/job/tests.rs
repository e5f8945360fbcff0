//! The wait for a Job over bytes: which requests it sends, and when it has its answer.

use super::*;
use alloc::format;
use alloc::string::String;
use podwait_core::FailReason;
use std::vec::Vec;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn job(version: u32, status: &str) -> String {
    format!(
        r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"namespace":"ci","name":"build","uid":"j","resourceVersion":"{version}"}},"spec":{{"parallelism":1,"completions":1,"selector":{{"matchLabels":{{"of":"j"}}}}}},"status":{status}}}"#
    )
}

fn pod(version: u32, owner: &str, code: u8) -> String {
    format!(
        r#"{{"metadata":{{"namespace":"ci","name":"build-a","uid":"p","resourceVersion":"{version}","ownerReferences":[{{"kind":"Job","name":"build","uid":"{owner}","controller":true}}]}},"spec":{{"restartPolicy":"Never","containers":[{{"name":"step"}}]}},"status":{{"phase":"Failed","containerStatuses":[{{"name":"step","state":{{"terminated":{{"exitCode":{code}}}}}}}]}}}}"#
    )
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

const FAILED: &str =
    r#"{"conditions":[{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}],"failed":1}"#;

const OK: ResponseHead<'static> =
    ResponseHead { status: 200, content_type: Some("application/json"), retry_after: None, date: None };

/// A wait with its clock.
struct Host {
    wait: JobWait,
    now: u64,
    /// The pods of the turns.
    pods: Vec<String>,
}

impl Host {
    /// A wait that has read its Job, which runs, and whose watches of the Job and of its pods are to be opened. Returns their
    /// requests, too.
    fn new() -> (Self, JobRequestId, JobRequestId) {
        let wait = JobWait::new(at(0), "ci", "build", JobMachine::new(Arc::default()), &mut |_| {});
        let mut host = Self { wait, now: 0, pods: Vec::new() };
        let [(get, target)] = &host.requests(0)[..] else { unreachable!("one request") };
        assert_eq!(target, "/apis/batch/v1/namespaces/ci/jobs/build");
        host.answer(*get, &OK, &job(5, r#"{"active":1}"#));
        let requests = host.requests(0);
        let [(watch, of_job), (list, of_pods)] = &requests[..] else { unreachable!("{requests:?}") };
        assert!(
            of_job.starts_with("/apis/batch/v1/namespaces/ci/jobs?watch=true&resourceVersion=5&"),
            "{of_job}"
        );
        assert!(
            of_pods.starts_with("/api/v1/namespaces/ci/pods?watch=true&sendInitialEvents=true"),
            "{of_pods}"
        );
        assert!(of_pods.ends_with("&labelSelector=of%3Dj"), "{of_pods}");
        host.wait.head(at(0), *watch, &OK);
        (host, *watch, *list)
    }

    /// The requests after so many milliseconds.
    fn requests(&mut self, millis: u64) -> Vec<(JobRequestId, String)> {
        self.now += millis;
        let mut requests = Vec::new();
        for _ in 0..10 {
            let pods = &mut self.pods;
            let mut look = |turn: JobTurn<'_>| pods.extend(turn.pod.map(|pod| pod.pod.name.clone()));
            let _ = self.wait.poll(at(self.now), &mut look);
            while let Some((id, action)) = self.wait.next_action(at(self.now)) {
                if let Action::Send { target, .. } = action {
                    requests.push((id, target));
                }
            }
        }
        requests
    }

    fn body(&mut self, id: JobRequestId, text: &str) {
        let pods = &mut self.pods;
        let mut look = |turn: JobTurn<'_>| pods.extend(turn.pod.map(|pod| pod.pod.name.clone()));
        self.wait.body(at(self.now), id, text.as_bytes(), &mut look);
    }

    fn answer(&mut self, id: JobRequestId, head: &ResponseHead<'_>, text: &str) {
        self.wait.head(at(self.now), id, head);
        self.body(id, text);
        self.wait.end(at(self.now), id, None, &mut |_| {});
    }

    /// Answers the request for the pods with a LIST in pages, and opens the watch after it.
    fn list(&mut self, list: JobRequestId, items: &str) -> JobRequestId {
        self.answer(list, &ResponseHead { status: 422, ..OK }, "");
        let requests = self.requests(0);
        let [(page, target)] = &requests[..] else { unreachable!("{requests:?}") };
        assert_eq!(target, "/api/v1/namespaces/ci/pods?limit=500&labelSelector=of%3Dj");
        self.answer(
            *page,
            &OK,
            &format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"6"}},"items":[{items}]}}"#),
        );
        let requests = self.requests(0);
        let [(watch, target)] = &requests[..] else { unreachable!("{requests:?}") };
        assert!(target.contains("watch=true&resourceVersion=6&"), "{target}");
        self.wait.head(at(self.now), *watch, &OK);
        *watch
    }
}

#[test]
fn the_pods_are_listed_once_more_before_a_failed_job_has_its_answer() {
    let (mut host, of_job, list) = Host::new();
    let of_pods = host.list(list, "");
    host.body(of_pods, &event("ADDED", &pod(8, "j", 3)));
    assert_eq!(host.pods, ["build-a"]);
    assert_eq!(host.requests(1_000), []);
    host.body(of_job, &event("MODIFIED", &job(9, FAILED)));
    assert!(host.wait.take_answer().is_none());
    let requests = host.requests(0);
    let [(page, target)] = &requests[..] else { unreachable!("{requests:?}") };
    assert!(target.starts_with("/api/v1/namespaces/ci/pods?limit=500"), "{target}");
    let list =
        format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"9"}},"items":[{}]}}"#, pod(8, "j", 3));
    host.answer(*page, &OK, &list);
    let answer =
        host.wait.take_answer().map(|answer| answer.map(|exit| (exit.code, exit.pod.map(|pod| pod.name))));
    assert_eq!(answer, Some(Ok((3, Some("build-a".into())))));
    assert!(host.wait.take_answer().is_none(), "once");
}

#[test]
fn without_the_right_to_list_pods_the_answer_waits_for_nothing() {
    let (mut host, of_job, list) = Host::new();
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","details":{"kind":"pods"},"code":403}"#;
    host.answer(list, &ResponseHead { status: 403, ..OK }, status);
    assert_eq!(host.requests(1_000), []);
    host.body(of_job, &event("MODIFIED", &job(9, FAILED)));
    assert_eq!(host.requests(0), []);
    let answer =
        host.wait.take_answer().map(|answer| answer.map(|exit| exit.code).map_err(|failure| failure.reason));
    assert_eq!(answer, Some(Err(FailReason::JobFailed)));
}

#[test]
fn a_list_of_pods_that_fails_is_tried_again_until_the_bound() {
    let (mut host, of_job, list) = Host::new();
    let _watch = host.list(list, "");
    host.now = 30_000;
    host.body(of_job, &event("MODIFIED", &job(9, FAILED)));
    let mut lists = 0;
    while host.wait.take_answer().is_none() {
        assert!(host.now <= 45_000, "the bound is 15 s");
        for (id, target) in host.requests(500) {
            if target.contains("/pods?limit") {
                lists += 1;
                host.answer(id, &ResponseHead { status: 500, ..OK }, "");
            }
        }
    }
    assert!((3..20).contains(&lists), "{lists} LISTs");
}

#[test]
fn a_pod_of_another_owner_and_a_job_that_is_gone_decide_nothing_of_it() {
    let (mut host, of_job, list) = Host::new();
    let of_pods = host.list(list, "");
    host.body(of_pods, &event("ADDED", &pod(8, "another", 3)));
    host.body(of_job, &event("DELETED", &job(9, FAILED)));
    let _ = host.requests(0);
    let list = host.requests(1_000);
    for (id, target) in list {
        if target.contains("/pods?limit") {
            host.answer(id, &OK, r#"{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[]}"#);
        }
    }
    let _ = host.requests(20_000);
    let answer =
        host.wait.take_answer().map(|answer| answer.map(|exit| exit.code).map_err(|failure| failure.reason));
    assert_eq!(answer, Some(Err(FailReason::JobFailed)), "the last object shows that it failed");
}
