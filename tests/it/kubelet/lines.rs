//! The lines of real steps, read by podwait with every kind of disturbance: no line is lost or repeated, and all are in
//! order.
//!
//! On a node whose log files are never rotated, except in [`rotation`].

pub(crate) mod rotation;
mod text;

use super::servers::SECOND_IN_USE;
use super::{Node, RUNTIMES, Runtime, disruptions, on_each, shell, step};
use podwait::{Exit, Failure, LogEvent, LogGap, LogStream, Logs, wait};
use podwait_tests::cluster::{Cluster, Scratch, alone, own_cluster, pause};
use podwait_tests::proxy::{Ending, Fault, Place, Proxy, Request};
use podwait_tests::storm::dice::Dice;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use text::{Text, assert_same};
use tokio::process::Command;

/// Longer than any of these tests takes.
const LONGEST: Duration = Duration::from_secs(300);

/// This pod, in which every container has this folder of the machine at its own path.
fn with_folder(mut pod: Value, folder: &Path) -> Value {
    let spec = &mut pod["spec"];
    let volumes = spec["volumes"].as_array().map_or(0, Vec::len);
    let name = format!("folder-{volumes}");
    push(&mut spec["volumes"], json!({ "name": name, "hostPath": { "path": folder } }));
    for container in spec["containers"].as_array_mut().expect("a list") {
        push(&mut container["volumeMounts"], json!({ "name": name, "mountPath": folder }));
    }
    pod
}

fn push(list: &mut Value, item: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().expect("a list").push(item);
}

/// The events of a stream: the text of each run of each container, and the gaps.
#[derive(Default)]
struct Collected {
    texts: BTreeMap<(String, u32), Vec<u8>>,
    gaps: Vec<LogGap>,
}

impl Collected {
    async fn all(mut logs: LogStream) -> Self {
        let mut collected = Self::default();
        while let Some(event) = logs.next().await {
            match event {
                LogEvent::Line(line) => {
                    let text = collected.texts.entry((line.container.to_string(), line.attempt)).or_default();
                    text.extend_from_slice(&line.text);
                    text.extend(line.ends_line.then_some(b'\n'));
                }
                LogEvent::Gap(gap) => collected.gaps.push(gap),
                // Outages of servers are reported, and are no failure here.
                LogEvent::Trouble(_) | _ => {}
            }
        }
        collected
    }

    #[track_caller]
    fn is_whole(&self, reader: &str, container: &str, attempt: u32, text: &Text) {
        assert_eq!(self.gaps, [], "{reader}");
        let collected = self.texts.get(&(container.to_owned(), attempt)).map_or(&[][..], Vec::as_slice);
        assert_same(&format!("{reader}, {container}, attempt {attempt}"), collected, text.bytes());
    }
}

/// Waits for the pod `step` and reads its log with the library.
async fn collect_log(
    client: podwait::Client,
    scratch: &Scratch,
    logs: Logs,
) -> (Result<Exit, Failure>, Collected) {
    let (wait, stream) = wait(client, scratch.namespace(), "step").container("step").logs(logs);
    let both = async { tokio::join!(wait, Collected::all(stream)) };
    tokio::time::timeout(LONGEST, both).await.expect("the log ends with its run")
}

/// The same with the command and these arguments. Its output need not be text.
async fn print(kubeconfig: &Path, scratch: &Scratch, arguments: &[&str]) -> Output {
    let mut command = Command::new(podwait_tests::cli::podwait());
    command.args(arguments).args(["-n", scratch.namespace(), "--kubeconfig"]).arg(kubeconfig);
    let command = command.env("HOME", "/nonexistent").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LONGEST, command.output()).await;
    output.expect("the log ends with its run").expect("it starts")
}

#[track_caller]
fn is_printed(reader: &str, output: &Output, status: i32, text: &Text) {
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{reader}: {notes}");
    assert!(!notes.contains("may be missing"), "{reader}: {notes}");
    assert_same(reader, &output.stdout, text.bytes());
}

const FOLLOW: &[&str] = &["logs", "step", "-f"];
const WAIT: &[&str] = &["wait", "step", "--logs"];

/// Cuts responses with logs at any byte, in every way in which a connection can end at once. Only a few are cut: a log
/// whose connection never gets beyond the reported lines is abandoned at the end of the drain.
fn cuts(seed: u64) -> impl FnMut(&Request) -> Option<Fault> + Send + 'static {
    let (mut dice, mut left) = (Dice::new(seed), 6);
    let endings = [Ending::Reset, Ending::Shut, Ending::Crash, Ending::Undelimited, Ending::Clean];
    move |request| {
        let byte = usize::try_from(dice.below(2 << 20)).expect("it is small");
        let fault = Fault::Stop(Place::Byte(byte), dice.pick(&endings));
        let is_hit = request.uri.contains("/log?") && left > 0;
        left -= u32::from(is_hit);
        is_hit.then_some(fault)
    }
}

/// Five readers at once read the log of a step that writes megabytes per second: three of them directly, while the
/// kubelet's connections break and the kubelet itself is killed, and two through proxies with random cuts. The runtimes
/// have their turns, since the readers need all of the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn all_that_a_step_writes_arrives_once_and_in_order() {
    for runtime in RUNTIMES {
        arrives(own_cluster(), runtime.unrotated()).await;
    }
}

async fn arrives(own: &Cluster, node: Node) {
    let seed = std::env::var("PODWAIT_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    let scratch = Scratch::new(&node.named("lines")).await;
    podwait_tests::cli::podwait();
    let text = Text::new(seed, 16 << 20);
    node.create(&scratch, with_folder(step(&text.written_at_length(3)), text.folder())).await;
    let proxies = [Proxy::start(scratch.kube()).await, Proxy::start(scratch.kube()).await];
    let [first, second] = proxies.map(|proxy| proxy.expect("a port"));
    first.rule(cuts(seed));
    second.rule(cuts(seed + 1));
    let kubeconfig = second.kubeconfig();
    let troubles = async {
        scratch.wait_until_running("step").await;
        pause(1500).await;
        for order in ["cut", "stream-limit"] {
            let millis = if order == "cut" { "" } else { " 700" };
            own.order(&format!("{order} {}{millis}", node.name)).await;
            pause(1500).await;
        }
        own.order(&format!("stream-limit {} 0", node.name)).await;
        own.order(&format!("restart {}", node.component("kubelet"))).await;
        own.order("ready 120").await;
        // Every proxy has responses to cut as long as the step writes.
        text.finish();
    };
    let (library, cut_library, command, waiting, cut_command, ()) = tokio::join!(
        collect_log(scratch.client(), &scratch, Logs::of_target().drain(LONGEST)),
        collect_log(first.client(), &scratch, Logs::of_target().drain(LONGEST)),
        print(&own.kubeconfig, &scratch, FOLLOW),
        print(&own.kubeconfig, &scratch, WAIT),
        print(kubeconfig.path(), &scratch, FOLLOW),
        troubles,
    );
    for (reader, (exit, collected)) in [("library", library), ("library, cut", cut_library)] {
        assert_eq!(
            exit.map(|exit| exit.code).map_err(|failure| failure.reason),
            Ok(3),
            "{reader}, seed {seed}"
        );
        collected.is_whole(reader, "step", 1, &text);
    }
    is_printed("logs -f", &command, 0, &text);
    is_printed("wait --logs", &waiting, 3, &text);
    is_printed("logs -f, cut", &cut_command, 0, &text);
    for proxy in [&first, &second] {
        let faults = proxy.traffic().faults;
        println!("{:?}: {} bytes, {faults} cuts", node.runtime, text.bytes().len());
        assert!(faults >= 3, "{faults} cuts with seed {seed}");
    }
    scratch.remove().await;
}

/// A step that is started again after failures, beside another container that writes at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn each_run_of_each_container_arrives_whole() {
    on_each(Runtime::unrotated, async |node| each_run_arrives(own_cluster(), node).await).await;
}

async fn each_run_arrives(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("attempts")).await;
    podwait_tests::cli::podwait();
    let runs: [Text; 3] = [1, 2, 3].map(|seed| Text::new(seed, 1 << 20));
    let beside = Text::new(4, 2 << 20);
    beside.finish();
    // Each run writes its own text as fast as possible. A run that ends at once would remove the log of the previous
    // run.
    let [first, second, third] = runs.each_ref().map(Text::path);
    let script = format!(
        "cd $PODWAIT_ROOT/data; test -e 1 || {{ touch 1; cat {first}; sleep 4; exit 1; }}; \
         test -e 2 || {{ touch 2; cat {second}; sleep 4; exit 1; }}; cat {third}"
    );
    let mut pod = step("");
    pod["spec"]["restartPolicy"] = json!("OnFailure");
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    pod["spec"]["containers"] =
        json!([shell("step", &script), shell("beside", &beside.written_at_length(0))]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    for text in runs.iter().chain([&beside]) {
        pod = with_folder(pod, text.folder());
    }
    node.create(&scratch, pod).await;
    let command = [FOLLOW, &["-c", "step"]].concat();
    let ((exit, collected), command) = tokio::join!(
        collect_log(scratch.client(), &scratch, Logs::of_all()),
        print(&own.kubeconfig, &scratch, &command),
    );
    let exit = exit.expect("the third run succeeds");
    assert_eq!((exit.code, exit.restart_count), (0, 2));
    for (attempt, text) in (1..).zip(&runs) {
        collected.is_whole("library", "step", attempt, text);
    }
    collected.is_whole("library", "beside", 1, &beside);
    assert_eq!(collected.texts.len(), 4);
    let all = runs.iter().map(Text::bytes).collect::<Vec<_>>().concat();
    assert_eq!(command.status.code(), Some(0), "{}", String::from_utf8_lossy(&command.stderr));
    assert_same("logs -f", &command.stdout, &all);
    scratch.remove().await;
}

/// The API server is killed in the middle, which breaks all streams, and is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn an_api_server_that_is_restarted_costs_no_line() {
    let own = own_cluster();
    let _node = disruptions::NODE_IN_USE.lock().await;
    let _second = SECOND_IN_USE.lock().await;
    let _alone = alone().await;
    podwait_tests::cli::podwait();
    for runtime in RUNTIMES {
        outage(own, runtime.unrotated()).await;
    }
}

async fn outage(own: &Cluster, node: Node) {
    let scratch = Scratch::in_outages(&node.named("lines-outage")).await;
    let text = Text::new(5, 4 << 20);
    node.create(&scratch, with_folder(step(&text.written_at_length(3)), text.folder())).await;
    let restart = async {
        scratch.wait_until_running("step").await;
        pause(700).await;
        for order in ["kill apiserver", "start apiserver", "ready 120"] {
            own.order(order).await;
        }
        text.finish();
    };
    let ((exit, collected), command, waiting, ()) = tokio::join!(
        collect_log(scratch.client(), &scratch, Logs::of_target()),
        print(&own.kubeconfig, &scratch, FOLLOW),
        print(&own.kubeconfig, &scratch, WAIT),
        restart,
    );
    assert_eq!(exit.map(|exit| exit.code).map_err(|failure| failure.reason), Ok(3));
    collected.is_whole("library", "step", 1, &text);
    is_printed("logs -f", &command, 0, &text);
    is_printed("wait --logs", &waiting, 3, &text);
    scratch.remove().await;
}
