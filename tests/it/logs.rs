//! Logs together with waits, on the simulated cluster in paused time.

mod cuts;
mod ends;
mod identity;
mod nodes;

use futures_util::FutureExt;
use podwait::{GapReason, Hub, LogEvent, LogGap, Logs, Policy, Scope, wait};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Terminated, Verb, container, pod};
use podwait_tests::client_of;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The events of a log: the text of each run of each container, the gaps, and the failures.
#[derive(Debug, Default)]
struct Collected {
    texts: BTreeMap<(String, u32), String>,
    gaps: Vec<LogGap>,
    troubles: Vec<u16>,
    /// How often it was reported that the node sends no times.
    untimed: usize,
}

impl Collected {
    async fn all(mut logs: podwait::LogStream) -> Self {
        let mut collected = Self::default();
        while let Some(event) = logs.next().await {
            collected.take(event);
        }
        collected
    }

    fn take(&mut self, event: LogEvent) {
        match event {
            LogEvent::Line(line) => {
                let text = self.texts.entry((line.container.to_string(), line.attempt)).or_default();
                text.push_str(&String::from_utf8_lossy(&line.text));
                text.push_str(if line.ends_line { "\n" } else { "" });
            }
            LogEvent::Gap(gap) => self.gaps.push(gap),
            LogEvent::Trouble(trouble) => self.troubles.push(trouble.failure.code),
            LogEvent::Untimed(_) => self.untimed += 1,
            _ => panic!("unknown"),
        }
    }

    #[track_caller]
    fn is(&self, container: &str, attempt: u32, text: &str) {
        let collected = self.texts.get(&(container.to_owned(), attempt)).map_or("", String::as_str);
        assert_eq!(collected, text, "{container}, attempt {attempt}: {self:?}");
    }

    #[track_caller]
    fn is_only(&self, text: &str) {
        self.is("step", 1, text);
        assert!(self.gaps.is_empty(), "{self:?}");
    }
}

/// A step that runs one second from now.
fn running() -> Life {
    Life::of(pod("ci", "p", &["step"])).scheduled("node-1").containers_creating().after(secs(1)).running()
}

/// Waits for the step and reads its log meanwhile.
async fn collect_log(cluster: &Cluster, life: Life) -> (Result<i32, &'static str>, Collected) {
    life.spawn(cluster);
    let (wait, logs) = wait(client_of(cluster), "ci", "p").container("step").logs(Logs::of_target());
    let (exit, collected) = tokio::join!(wait, Collected::all(logs));
    (exit.map(|exit| exit.code).map_err(|failure| failure.reason.as_str()), collected)
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_step_is_read_to_its_end() {
    let cluster = Cluster::new();
    let life = running().writes("step", "one\n").after(secs(1)).writes("step", "two\nthr").after(secs(1));
    let life = life.writes("step", "ee\n\nlast").after(secs(1)).finished(3);
    let (exit, collected) = collect_log(&cluster, life).await;
    assert_eq!(exit, Ok(3));
    collected.is_only("one\ntwo\nthree\n\nlast");
    // One request that follows; one for the end, and one from before the line that had begun earlier; one without
    // anything new.
    assert_eq!(cluster.requests().log, 4);
}

#[tokio::test(start_paused = true)]
async fn lines_are_reported_as_they_are_written() {
    let cluster = Cluster::new();
    let (wait, mut logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let start = Instant::now();
    let life = running().after(secs(10)).writes("step", "ten\n").after(secs(10)).writes("step", "twenty\n");
    life.after(secs(10)).finished(0).spawn(&cluster);
    let collect = async {
        let mut times = Vec::new();
        while let Some(LogEvent::Line(line)) = logs.next().await {
            times.push((start.elapsed().as_secs(), String::from_utf8_lossy(&line.text).into_owned()));
        }
        times
    };
    let (_, times) = tokio::join!(wait, collect);
    assert_eq!(times, [(11, "ten".to_owned()), (21, "twenty".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_log_is_read_once_it_exists() {
    let cluster = Cluster::new();
    let life = Life::of(pod("ci", "p", &["step"])).after(secs(5)).scheduled("node-1").after(secs(5));
    let life =
        life.waiting("step", "ErrImagePull", "no").after(secs(20)).running().writes("step", "at last\n");
    let (exit, collected) = collect_log(&cluster, life.after(secs(1)).finished(0)).await;
    assert_eq!(exit, Ok(0));
    collected.is_only("at last\n");
    assert!(collected.troubles.is_empty() && cluster.requests().log < 5, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn all_runs_are_read_in_order() {
    let cluster = Cluster::new();
    let mut step = pod("ci", "p", &["step"]);
    step["spec"]["restartPolicy"] = "OnFailure".into();
    let life =
        Life::of(step).scheduled("node-1").after(secs(1)).running().writes("step", "first\n").after(secs(5));
    let life =
        life.terminated("step", Terminated::exit(1)).after(secs(1)).waiting("step", "CrashLoopBackOff", "");
    let life = life.after(secs(10)).started("step").writes("step", "second\n").after(secs(5));
    let life = life.restarted("step").writes("step", "third\n").after(secs(5)).finished(0);
    let (exit, collected) = collect_log(&cluster, life).await;
    assert_eq!(exit, Ok(0));
    for (attempt, text) in [(1, "first\n"), (2, "second\n"), (3, "third\n")] {
        collected.is("step", attempt, text);
    }
    assert!(collected.gaps.is_empty(), "{collected:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_whose_logs_are_gone_are_reported_as_gaps() {
    let cluster = Cluster::new();
    let mut step = pod("ci", "p", &["step"]);
    step["spec"]["restartPolicy"] = "Always".into();
    let life = Life::of(step).scheduled("node-1").running().writes("step", "one\n").restarted("step");
    let life = life.writes("step", "two\n").restarted("step").writes("step", "three\n").restarted("step");
    let life = life
        .writes("step", "four\n")
        .after(secs(2))
        .delete(1)
        .after(secs(1))
        .finished(0)
        .after(secs(1))
        .removed();
    life.spawn(&cluster);
    sleep(secs(1)).await;
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let (_, collected) = tokio::join!(wait, Collected::all(logs));
    collected.is("step", 3, "three\n");
    collected.is("step", 4, "four\n");
    let [gap] = &collected.gaps[..] else { panic!("{collected:?}") };
    assert_eq!(
        (gap.attempts.clone(), gap.reason, gap.after, gap.before),
        (1..=2, GapReason::Gone, None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_is_ahead_of_the_api_server_causes_no_mixed_runs() {
    let mut by_policy = pod("ci", "p", &["step"]);
    by_policy["spec"]["restartPolicy"] = "OnFailure".into();
    // By its policy the step is not started again.
    let mut by_rule = pod("ci", "p", &["step"]);
    by_rule["spec"]["initContainers"] = json!([{
        "name": "setup",
        "restartPolicy": "Never",
        "restartPolicyRules": [{
            "action": "RestartAllContainers",
            "exitCodes": { "operator": "In", "values": [42] },
        }],
    }]);
    for step in [by_policy, by_rule] {
        ahead_of_the_api_server(step).await;
    }
}

async fn ahead_of_the_api_server(step: Value) {
    let cluster = Cluster::new();
    Life::of(step).scheduled("node-1").running().writes("step", "first\n").spawn(&cluster);
    let ahead = async {
        sleep(secs(5)).await;
        let ended = cluster.now();
        cluster.end_log("ci", "p", "step");
        sleep(secs(4)).await;
        cluster.begin_log("ci", "p", "step");
        cluster.write_log("ci", "p", "step", "second\n");
        sleep(secs(3)).await;
        // The status is published only now.
        Life::existing("ci", "p").restarted("step").run(&cluster).await.expect("an honest life");
        let end = |pod: &mut Value| {
            pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"] = ended.into();
        };
        cluster.update_status("ci", "p", end).expect("the pod is there");
        sleep(secs(5)).await;
        cluster.write_log("ci", "p", "step", "second still\n");
        sleep(secs(5)).await;
        Life::existing("ci", "p").finished(0).run(&cluster).await.expect("an honest life");
    };
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let (exit, collected, ()) = tokio::join!(wait, Collected::all(logs), ahead);
    assert_eq!(exit.map(|exit| exit.code), Ok(0));
    let all: String = collected.texts.values().flat_map(|text| text.chars()).collect();
    for line in ["first", "second", "second still"] {
        assert_eq!(all.lines().filter(|collected| *collected == line).count(), 1, "{line}: {collected:?}");
    }
}

/// All within one second, which is the precision of the API server's times.
#[tokio::test(start_paused = true)]
async fn runs_that_follow_each_other_at_once_are_distinguished() {
    // A late reader gets the second run while the API server has the first one.
    for late in [0, 400] {
        let cluster = Cluster::new();
        let mut step = pod("ci", "p", &["step"]);
        step["spec"]["restartPolicy"] = "OnFailure".into();
        Life::of(step).scheduled("node-1").running().spawn(&cluster);
        let texts = ["first", "second"].map(|word| format!("{word}\n").repeat(50));
        let ahead = async {
            sleep(Duration::from_millis(100)).await;
            cluster.write_log("ci", "p", "step", &texts[0]);
            sleep(Duration::from_millis(100)).await;
            let ended = cluster.now();
            cluster.begin_log("ci", "p", "step");
            cluster.write_log("ci", "p", "step", &texts[1]);
            // The API server is informed long after the first stream has ended.
            sleep(secs(4)).await;
            Life::existing("ci", "p").restarted("step").run(&cluster).await.expect("an honest life");
            let end = |pod: &mut Value| {
                pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"] = ended.into();
            };
            cluster.update_status("ci", "p", end).expect("the pod is there");
            sleep(secs(5)).await;
            Life::existing("ci", "p").finished(0).run(&cluster).await.expect("an honest life");
        };
        let read = async {
            sleep(Duration::from_millis(late)).await;
            let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
            tokio::join!(wait, Collected::all(logs))
        };
        let ((exit, collected), ()) = tokio::join!(read, ahead);
        assert_eq!(exit.map(|exit| exit.code), Ok(0));
        assert!(collected.gaps.is_empty(), "{late}: {collected:?}");
        let all: String = collected.texts.values().flat_map(|text| text.chars()).collect();
        for word in ["first", "second"] {
            assert_eq!(
                all.lines().filter(|line| *line == word).count(),
                50,
                "{late}: {word} in {collected:?}"
            );
        }
        if late == 0 {
            collected.is("step", 1, &texts[0]);
            collected.is("step", 2, &texts[1]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_containers_or_some() {
    let lives = || {
        let mut step = pod("ci", "p", &["step", "proxy"]);
        step["spec"]["initContainers"] = vec![container("clone")].into();
        let life = Life::of(step).scheduled("node-1").containers_creating().after(secs(1)).started("clone");
        let life = life.writes("clone", "cloned\n").after(secs(1)).terminated("clone", Terminated::exit(0));
        let life = life.after(secs(1)).running().writes("proxy", "ready\n").writes("step", "working\n");
        // The proxy runs for ever.
        life.after(secs(5))
            .terminated("step", Terminated::exit(0))
            .after(secs(1))
            .writes("proxy", "never collected\n")
    };
    for (logs, names) in [
        (Logs::of_all(), &["clone", "proxy", "step"][..]),
        (Logs::of(["proxy", "no-such"]), &["proxy"]),
        (Logs::of_target(), &["step"]),
    ] {
        let cluster = Cluster::new();
        lives().spawn(&cluster);
        let (wait, logs) = wait(client_of(&cluster), "ci", "p").container("step").logs(logs);
        let start = Instant::now();
        let (exit, collected) = tokio::join!(wait, Collected::all(logs));
        assert_eq!(exit.map(|exit| exit.code), Ok(0));
        assert!(start.elapsed() < secs(9), "the proxy is not awaited");
        let expected = [("clone", "cloned\n"), ("proxy", "ready\n"), ("step", "working\n")];
        for (name, text) in expected {
            collected.is(name, 1, if names.contains(&name) { text } else { "" });
        }
        assert!(collected.gaps.is_empty(), "{collected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_in_any_way_are_resumed() {
    let faults = [
        Fault::CutAfter { events: 2 },
        Fault::CutMidLine { events: 2 },
        Fault::ResetAfter { events: 2 },
        Fault::SilentAfter { events: 2 },
        Fault::CutIn(secs(3)),
        Fault::Hang,
        Fault::Reset,
        Fault::status(503),
        Fault::status(429).retry_after(3),
        Fault::Status {
            code: 404,
            retry_after: None,
            body: FaultBody::Text("pod \"p\" does not exist".into()),
        },
    ];
    for fault in faults {
        let cluster = Cluster::new();
        for _ in 0..3 {
            cluster.faults().push(Verb::Log, fault.clone());
        }
        let mut life = running();
        let mut text = String::new();
        for n in 0..200 {
            let line = format!("line {n}\n");
            life = life.after(secs(1)).writes("step", &line);
            text.push_str(&line);
        }
        let (exit, collected) = collect_log(&cluster, life.finished(0)).await;
        assert_eq!(exit, Ok(0), "{fault:?}");
        collected.is_only(&text);
    }
}

/// A log that is read again from a second begins with reported lines. After each break before a new line there must be
/// time for the next attempt, although reads had failed for long before the step ended.
#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_before_a_new_line_is_retried_until_it_works() {
    let cluster = Cluster::new();
    let text: String = (0..50).map(|n| format!("line {n}\n")).collect();
    let (first, rest) = text.split_at(text.find("line 20").expect("it is there"));
    for fault in [Fault::ResetAfter { events: 20 }].into_iter().chain(vec![Fault::status(503); 6]) {
        cluster.faults().push(Verb::Log, fault);
    }
    for _ in 0..8 {
        cluster.faults().push(Verb::Log, Fault::ResetAfter { events: 15 });
    }
    let life = running().writes("step", first).writes("step", rest).after(secs(12)).finished(0);
    let (exit, collected) = collect_log(&cluster, life).await;
    assert_eq!(exit, Ok(0));
    collected.is_only(&text);
    assert!(cluster.requests().log >= 15, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn an_error_in_place_of_a_log_is_an_error() {
    let cluster = Cluster::new();
    let body = || FaultBody::Text("unable to retrieve container logs for containerd://1\n".into());
    for _ in 0..8 {
        cluster.faults().push(Verb::Log, Fault::Status { code: 200, retry_after: None, body: body() });
    }
    let (_, collected) =
        collect_log(&cluster, running().writes("step", "a line\n").after(secs(30)).finished(0)).await;
    collected.is_only("a line\n");
    assert_eq!(collected.troubles, [0], "reported once, after a while");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_read_logs_the_wait_continues() {
    let cluster = Cluster::new();
    cluster.faults().rule(|request| (request.verb == Verb::Log).then(|| Fault::status(403)));
    let start = Instant::now();
    let (exit, collected) =
        collect_log(&cluster, running().writes("step", "secret\n").after(secs(60)).finished(7)).await;
    assert_eq!((exit, &collected.troubles[..]), (Ok(7), &[403][..]));
    let [gap] = &collected.gaps[..] else { panic!("{collected:?}") };
    assert_eq!(gap.reason, GapReason::Unreadable);
    assert!(start.elapsed() <= secs(72), "ten seconds after the end at most: {:?}", start.elapsed());
    assert!(cluster.requests().log < 25, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_never_ends_delays_no_answer() {
    let cluster = Cluster::new();
    let life = running().after(secs(5)).finished(0);
    life.spawn(&cluster);
    // No request for the log ever ends.
    cluster.faults().rule(|request| (request.verb == Verb::Log).then_some(Fault::SilentAfter { events: 1 }));
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target().drain(secs(3)));
    let start = Instant::now();
    let wait = async {
        let exit = wait.await;
        (exit, start.elapsed())
    };
    let ((exit, answered), collected) = tokio::join!(wait, Collected::all(logs));
    assert_eq!((exit.map(|exit| exit.code), answered), (Ok(0), secs(6)));
    assert_eq!((collected.gaps.len(), start.elapsed()), (1, secs(9)), "{collected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_during_an_interruption_is_a_gap_with_bounds() {
    let cluster = Cluster::new();
    running().writes("step", "before\n").after(secs(60)).finished(0).spawn(&cluster);
    let change = async {
        sleep(secs(10)).await;
        // The stream is cut, and cannot be opened for a while.
        cluster.write_log("ci", "p", "step", "lost\n");
        cluster.rotate_log("ci", "p", "step", "");
        sleep(secs(2)).await;
        cluster.write_log("ci", "p", "step", "after\n");
    };
    cluster.faults().push(Verb::Log, Fault::CutIn(secs(5)));
    for _ in 0..3 {
        cluster.faults().push(Verb::Log, Fault::status(503).retry_after(4));
    }
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let (_, collected, ()) = tokio::join!(wait, Collected::all(logs), change);
    collected.is("step", 1, "before\nafter\n");
    let [gap] = &collected.gaps[..] else { panic!("{collected:?}") };
    let seconds = |time: Option<std::time::SystemTime>| {
        time.expect("a bound").duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
            - 1_767_225_600
    };
    assert_eq!((seconds(gap.after), seconds(gap.before), gap.reason), (1, 12, GapReason::Rotated));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_without_a_loss_is_no_gap() {
    let cluster = Cluster::new();
    running().writes("step", "one\n").after(secs(60)).finished(0).spawn(&cluster);
    let change = async {
        sleep(secs(10)).await;
        cluster.rotate_log("ci", "p", "step", "");
        cluster.write_log("ci", "p", "step", "two\n");
    };
    // The last reported line is in the new file.
    cluster.faults().push(Verb::Log, Fault::CutIn(secs(20)));
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let (_, collected, ()) = tokio::join!(wait, Collected::all(logs), change);
    collected.is_only("one\ntwo\n");
}

#[tokio::test(start_paused = true)]
async fn lines_that_a_kubelet_skips_at_a_rotation_are_within_a_gap() {
    let cluster = Cluster::new();
    running().after(secs(100)).finished(0).spawn(&cluster);
    let write = async {
        sleep(secs(2)).await;
        let line = "x".repeat(1000);
        for n in 0..60_u32 {
            for m in 0..20 {
                cluster.write_log("ci", "p", "step", format!("{n} {m} {line}\n"));
            }
            if n == 30 {
                cluster.rotate_log("ci", "p", "step", "missed\n");
            }
            sleep(secs(1)).await;
        }
    };
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let (_, collected, ()) = tokio::join!(wait, Collected::all(logs), write);
    let text = &collected.texts[&("step".to_owned(), 1)];
    assert_eq!((text.lines().count(), text.contains("missed")), (1200, false));
    let [gap] = &collected.gaps[..] else { panic!("{:?}", collected.gaps) };
    let seconds = |time: Option<std::time::SystemTime>| {
        time.expect("a bound").duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
            - 1_767_225_600
    };
    let (after, before) = (seconds(gap.after), seconds(gap.before));
    assert!(after <= 32 && (32..=33).contains(&before), "{after} to {before}");
    assert!(cluster.requests().log < 30, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_pod_that_is_gone_has_ended() {
    let cluster = Cluster::new();
    let life = running().writes("step", "collected\n").after(secs(5)).delete(0);
    let (exit, collected) = collect_log(&cluster, life).await;
    assert_eq!(exit, Err("pod_deleted"));
    collected.is("step", 1, "collected\n");
    let [gap] = &collected.gaps[..] else { panic!("{collected:?}") };
    assert_eq!((gap.reason, gap.before), (GapReason::Gone, None));
}

#[tokio::test(start_paused = true)]
async fn no_line_of_a_namesake_is_reported() {
    let cluster = Cluster::new();
    let life = running().writes("step", "ours\n").after(secs(5)).delete(0);
    let life =
        life.created(pod("ci", "p", &["step"])).scheduled("node-1").running().writes("step", "theirs\n");
    let (exit, collected) = collect_log(&cluster, life.after(secs(30)).finished(0)).await;
    assert_eq!(exit, Err("pod_deleted"));
    collected.is("step", 1, "ours\n");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_ends_its_logs() {
    let cluster = Cluster::new();
    running().writes("step", "one\n").after(secs(1000)).finished(0).spawn(&cluster);
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let wait = async {
        tokio::time::timeout(secs(10), wait.into_future()).await.expect_err("it runs for longer");
    };
    let start = Instant::now();
    let ((), collected) = tokio::join!(wait, Collected::all(logs));
    collected.is_only("one\n");
    assert_eq!(start.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn logs_of_waits_in_a_hub() {
    let cluster = Cluster::new();
    let hub = Hub::new(client_of(&cluster), Scope::namespace("ci"));
    let waits = (0..20).map(|n| {
        let name = format!("p-{n}");
        let life = Life::of(pod("ci", &name, &["step"])).scheduled("node-1").after(secs(1)).running();
        life.writes("step", &format!("{n}\n")).after(secs(5)).finished(0).spawn(&cluster);
        let (wait, logs) = hub.wait("ci", name).logs(Logs::of_target());
        async move {
            let (exit, collected) = tokio::join!(wait, Collected::all(logs));
            assert_eq!(exit.map(|exit| exit.code), Ok(0));
            collected.is_only(&format!("{n}\n"));
        }
    });
    futures_util::future::join_all(waits).await;
    assert_eq!((cluster.requests().list, cluster.requests().watch), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_loses_no_line_and_delays_no_wait() {
    let cluster = Cluster::new();
    let mut life = running();
    let mut text = String::new();
    for n in 0..2000 {
        let line = format!("line {n}\n");
        life = life.writes("step", &line);
        text.push_str(&line);
    }
    life.after(secs(1)).finished(0).spawn(&cluster);
    let (wait, mut logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let start = Instant::now();
    let wait = async { (wait.await, start.elapsed()) };
    let slow = async {
        let mut collected = Collected::default();
        while let Some(event) = logs.next().await {
            collected.take(event);
            sleep(Duration::from_millis(100)).await;
        }
        collected
    };
    let ((exit, answered), collected) = tokio::join!(wait, slow);
    assert_eq!((exit.map(|exit| exit.code), answered), (Ok(0), secs(2)));
    collected.is_only(&text);
}

#[tokio::test(start_paused = true)]
async fn a_line_of_100_mb_comes_in_pieces() {
    let cluster = Cluster::new();
    running().after(secs(5)).finished(0).spawn(&cluster);
    let write = async {
        sleep(secs(2)).await;
        cluster.write_log("ci", "p", "step", vec![b'x'; 100 << 20]);
        cluster.write_log("ci", "p", "step", "\nnext\n");
    };
    let (wait, mut logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target());
    let collect = async {
        let (mut length, mut longest, mut last) = (0, 0, String::new());
        while let Some(event) = logs.next().await {
            let LogEvent::Line(line) = event else { panic!("{event:?}") };
            longest = longest.max(line.text.len());
            length += line.text.len();
            last = String::from_utf8_lossy(&line.text[..line.text.len().min(10)]).into_owned();
        }
        (length, longest, last)
    };
    let (_, (length, longest, last), ()) = tokio::join!(wait, collect, write);
    assert_eq!((length, longest, last.as_str()), ((100 << 20) + 4, 64 << 10, "next"));
}

#[tokio::test(start_paused = true)]
async fn lines_since_a_time() {
    let cluster = Cluster::new();
    let life =
        running().writes("step", "old\n").after(secs(10)).writes("step", "new\n").after(secs(1)).finished(0);
    life.spawn(&cluster);
    let since = std::time::UNIX_EPOCH + secs(1_767_225_600 + 5);
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target().since(since));
    let (_, collected) = tokio::join!(wait, Collected::all(logs));
    collected.is_only("new\n");
}

/// The kubelet leaves out the parts of a line from before the requested second, and with the first part the time of the
/// line.
#[tokio::test(start_paused = true)]
async fn a_line_that_began_long_before_hides_no_later_line() {
    for seconds in [1, 3, 20] {
        let life = || {
            let life = running().writes("step", "first\n").after(secs(5)).writes("step", "long, ");
            let life = life.after(secs(seconds)).writes("step", "and longer\nbehind it\n");
            life.after(secs(2)).writes("step", "last\n").after(secs(10)).finished(0)
        };
        let written = "first\nlong, and longer\nbehind it\nlast\n";
        // The log is resumed in the second in which that line ends.
        let cluster = Cluster::new();
        cluster.faults().push(Verb::Log, Fault::CutIn(secs(6 + seconds)));
        let (_, collected) = collect_log(&cluster, life()).await;
        collected.is_only(written);
        assert!(cluster.requests().log > 2, "{seconds} s: {:?}", cluster.requests());
        // And it is requested from that second on.
        let cluster = Cluster::new();
        life().spawn(&cluster);
        let since = std::time::UNIX_EPOCH + secs(1_767_225_600 + 6 + seconds);
        let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target().since(since));
        let (_, collected) = tokio::join!(wait, Collected::all(logs));
        collected.is_only("behind it\nlast\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_has_an_end_if_the_pod_never_exists() {
    // The pod is never created.
    let cluster = Cluster::new();
    let policy = Policy::builder().build().expect("a policy");
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").policy(policy).logs(Logs::of_all());
    let (exit, collected) = tokio::join!(wait, Collected::all(logs));
    assert!(exit.is_err() && collected.texts.is_empty() && collected.gaps.is_empty(), "{collected:?}");
    // And after the end of the wait the stream has ended.
    let (wait, mut logs) = podwait::wait(client_of(&cluster), "ci", "p").logs(Logs::of_all());
    drop(wait);
    assert_eq!(logs.next().now_or_never(), Some(None));
}
