//! Nodes that do not serve logs as a kubelet does.

use super::{Collected, running, secs};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kube::client::Body;
use podwait::{LogEvent, Logs, wait};
use podwait_sim::{Cluster, SimBody};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

type Frames = BoxStream<'static, String>;

/// A cluster whose only node responds to requests for logs with this function of the query.
#[derive(Clone)]
pub(super) struct Node {
    cluster: Cluster,
    serve: Arc<dyn Fn(&str) -> Frames + Send + Sync>,
    pub(super) asked: Arc<AtomicUsize>,
}

impl Node {
    pub(super) fn new(cluster: &Cluster, serve: impl Fn(&str) -> Frames + Send + Sync + 'static) -> Self {
        Self { cluster: cluster.clone(), serve: Arc::new(serve), asked: Arc::default() }
    }

    pub(super) fn client(&self) -> podwait::Client {
        let node = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let node = node.clone();
            async move {
                if !request.uri().path().ends_with("/log") {
                    return node.cluster.handle(request).await;
                }
                node.asked.fetch_add(1, Ordering::Relaxed);
                let frames = (node.serve)(request.uri().query().unwrap_or_default());
                // No header before the first byte, as from a kubelet.
                let mut frames = frames.map(|text| Ok::<_, io::Error>(Frame::data(Bytes::from(text)))).fuse();
                let first = frames.next().await;
                let body: SimBody = StreamBody::new(stream::iter(first).chain(frames)).boxed_unsync();
                Ok(Response::new(body))
            }
        });
        podwait::Client::from_service(service, "default")
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The same text after each pause, for ever. The first piece begins with the time.
pub(super) fn drip(text: &'static str, pause: Duration) -> Frames {
    let next = move |n: u64| async move {
        sleep(pause).await;
        let time = if text.ends_with('\n') || n == 0 { stamp(n) } else { String::new() };
        Some((time + text, n + 1))
    };
    stream::unfold(0, next).boxed()
}

/// Each of these lines with its time and after a pause, and then the end.
pub(super) fn slow(lines: Vec<String>, pause: Duration) -> Frames {
    let next = move |(n, mut lines): (u64, std::vec::IntoIter<String>)| async move {
        let line = lines.next()?;
        sleep(pause).await;
        Some((stamp(n) + &line, (n + 1, lines)))
    };
    stream::unfold((0, lines.into_iter()), next).boxed()
}

fn stamp(n: u64) -> String {
    format!("2026-01-01T00:{:02}:{:02}.{:09}Z ", n / 60_000 % 60, n / 1000 % 60, n % 1000)
}

fn once(text: impl Into<String>) -> Frames {
    stream::once(std::future::ready(text.into())).boxed()
}

/// Waits for a step that runs for a minute on such a node, and collects its log.
async fn collect_log(serve: impl Fn(&str) -> Frames + Send + Sync + 'static) -> (Collected, Node) {
    let cluster = Cluster::new();
    running().after(secs(60)).finished(0).spawn(&cluster);
    let node = Node::new(&cluster, serve);
    let (wait, logs) = wait(node.client(), "ci", "p").logs(Logs::of_target());
    let (exit, collected) = tokio::join!(wait, Collected::all(logs));
    assert_eq!(exit.map(|exit| exit.code), Ok(0));
    (collected, node)
}

/// The log so far of a step that writes one line each second.
fn so_far(start: Instant) -> String {
    (0..start.elapsed().as_secs().min(40)).map(|n| format!("line {n}\n")).collect()
}

fn all() -> String {
    (0..40).map(|n| format!("line {n}\n")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_log_without_times_is_read_unchanged() {
    // The node ignores all options, like a provider that joins messages.
    let start = Instant::now();
    let (collected, node) = collect_log(move |_| once(so_far(start))).await;
    collected.is_only(&all());
    assert_eq!((collected.untimed, &collected.troubles[..]), (1, &[][..]), "reported once, and no error");
    assert!(node.asked() <= 70, "{}", node.asked());
}

#[tokio::test(start_paused = true)]
async fn a_followed_log_without_times_is_read_unchanged() {
    let (collected, _) = collect_log(|query| {
        let lines = (0..40).map(|n| format!("line {n}\n"));
        if query.contains("follow=true") {
            let next = |mut lines: std::vec::IntoIter<String>| async move {
                let line = lines.next()?;
                sleep(secs(1)).await;
                Some((line, lines))
            };
            stream::unfold(lines.collect::<Vec<_>>().into_iter(), next).boxed()
        } else {
            once(lines.collect::<String>())
        }
    })
    .await;
    collected.is_only(&all());
    assert_eq!(collected.untimed, 1);
}

#[tokio::test(start_paused = true)]
async fn the_log_so_far_can_be_without_times_too() {
    for text in
        ["one\ntwo\n", "one\ntwo", "no_space_at_all_and_longer_than_any_time_can_ever_be", "x", "\n\nafter\n"]
    {
        for since in [None, Some(std::time::UNIX_EPOCH + secs(1_767_225_600))] {
            let cluster = Cluster::new();
            running().after(secs(1)).finished(0).run(&cluster).await.expect("a life");
            let node = Node::new(&cluster, move |_| once(text));
            let logs = Logs::of_target();
            let logs = if let Some(since) = since { logs.since(since) } else { logs };
            let Ok(logs) = wait(node.client(), "ci", "p").logs_so_far(logs).await else {
                panic!("the pod is there")
            };
            Collected::all(logs).await.is_only(text);
        }
    }
}

/// Lines that differ in the second response cannot be identified: missing lines are a gap, and no line is repeated.
#[tokio::test(start_paused = true)]
async fn a_log_without_times_and_without_old_lines_has_a_gap() {
    let start = Instant::now();
    let (collected, _) = collect_log(move |_| {
        // The newest five lines.
        let text = so_far(start);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        once(lines[lines.len().saturating_sub(5)..].concat())
    })
    .await;
    let text = collected.texts.get(&("step".to_owned(), 1)).expect("lines");
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.len();
    lines.dedup();
    assert!(
        all().contains(text.as_str()) && lines.len() == count && !collected.gaps.is_empty(),
        "{collected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_follow_sends_each_line_once() {
    let start = Instant::now();
    let (collected, node) = collect_log(move |_| {
        let text: String = so_far(start)
            .lines()
            .enumerate()
            .map(|(n, line)| format!("2026-01-01T00:00:{n:02}.000000001Z {line}\n"))
            .collect();
        once(text)
    })
    .await;
    collected.is_only(&all());
    assert!(node.asked() <= 75, "{}", node.asked());
}

#[tokio::test(start_paused = true)]
async fn messages_about_a_log_contain_no_line_of_it() {
    let secret = "hunter2";
    for text in [
        format!("2026-01-01T00:00:00Z fine\n{secret}\n"),
        format!("unable to retrieve container logs for {secret}"),
        format!("failed to create fsnotify watcher: {secret}"),
        format!("2026-01-01T00:00:00Z fine\nunable to retrieve container logs for {secret}\n"),
    ] {
        let cluster = Cluster::new();
        running().after(secs(60)).finished(0).spawn(&cluster);
        let node = Node::new(&cluster, move |_| once(text.clone()));
        let (wait, mut logs) = wait(node.client(), "ci", "p").logs(Logs::of_target());
        let collect = async {
            let mut messages = Vec::new();
            while let Some(event) = logs.next().await {
                if !matches!(event, LogEvent::Line(_)) {
                    messages.push(format!("{event:?}"));
                }
            }
            messages
        };
        let (_, messages) = tokio::join!(wait, collect);
        assert!(!messages.is_empty(), "there is an event about the failure");
        assert!(messages.iter().all(|messages| !messages.contains(secret)), "{messages:?}");
    }
}

/// A kubelet without free inotify instances serves the existing lines, and ends the stream with a message.
#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_follow_gets_one_request_a_second_at_most() {
    let start = Instant::now();
    let (collected, node) = collect_log(move |query| {
        let since = query.split("sinceTime=").nth(1).and_then(|time| time.get(17..19)?.parse::<usize>().ok());
        // Ten lines a second.
        let written = usize::try_from(start.elapsed().as_millis() / 100).unwrap_or(0).min(400);
        let mut text = String::new();
        for n in 0..written {
            if since.is_none_or(|since| n / 10 >= since) {
                text += &format!("2026-01-01T00:00:{:02}.{:09}Z line {n}\n", n / 10, n % 10);
            }
        }
        if query.contains("follow=true") {
            text += "failed to create fsnotify watcher: too many open files";
        }
        once(text)
    })
    .await;
    let lines: String = (0..400).map(|n| format!("line {n}\n")).collect();
    collected.is_only(&lines);
    assert!(node.asked() <= 75, "{}", node.asked());
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_container_is_escaped() {
    let cluster = Cluster::new();
    let mut step = podwait_sim::pod("ci", "p", &["step"]);
    step["spec"]["containers"][0]["name"] = "step&limitBytes=1#x y".into();
    podwait_sim::Life::of(step).scheduled("node-1").running().after(secs(5)).finished(0).spawn(&cluster);
    let node = Node::new(&cluster, |query| {
        assert!(!query.contains("limitBytes=1&") && !query.ends_with("limitBytes=1"), "{query}");
        assert!(query.contains("container=step%26limitBytes%3D1%23x"), "{query}");
        once("2026-01-01T00:00:00Z all of it\n")
    });
    let (wait, logs) = wait(node.client(), "ci", "p").logs(Logs::of_all());
    let (_, collected) = tokio::join!(wait, Collected::all(logs));
    collected.is("step&limitBytes=1#x y", 1, "all of it\n");
}
