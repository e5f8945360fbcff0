//! Lives on a real kubelet, seen through a network on which faults come at random: one seed, one pod, one mixture.

use super::{shell, step_with, trap};
use futures_util::future::join_all;
use podwait::{FailReason, Hub, Scope, wait};
use podwait_tests::cluster::{Scratch, own_cluster};
use podwait_tests::proxy::{Proxy, mixture};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::time::{Duration, Instant};

/// How many lives go on at once.
const AT_ONCE: u64 = 20;

/// The percentage of requests that meet a fault.
const FAULTS: u64 = 30;

/// Longest time that any of these may take: the life, then calls that hang, watches that are silent, backoffs.
const LONGEST: Duration = Duration::from_secs(200);

/// What happens to the pod, and what may be said of it.
struct Life {
    pod: Value,
    is_deleted: bool,
    right: &'static [Right],
}

/// An answer.
#[derive(Debug)]
enum Right {
    /// The seed's own code.
    OwnCode,
    Exit(i32),
    Fail(FailReason, Option<i32>),
}

impl Life {
    fn of(seed: u64) -> Self {
        let code = own_code(seed);
        let ends = format!("sleep 2; exit {code}");
        let undisturbed = |pod, right| Self { pod, is_deleted: false, right };
        match seed % 6 {
            0 => undisturbed(step_with(&ends, |_| {}), &[Right::OwnCode]),
            1 => undisturbed(
                step_with(&ends, |pod| {
                    let sidecar = shell("a-proxy", "sleep 1; exit 9");
                    pod["spec"]["containers"].as_array_mut().expect("a list").insert(0, sidecar);
                }),
                &[Right::OwnCode],
            ),
            2 => undisturbed(
                step_with("exit 0", |pod| {
                    pod["spec"]["initContainers"] = json!([shell("clone", "sleep 1; exit 9")]);
                }),
                &[Right::Fail(FailReason::InitContainerFailed, Some(9))],
            ),
            3 => undisturbed(
                step_with("cd $PODWAIT_ROOT/data; test -e x && exit 0; touch x; exit 7", |pod| {
                    pod["spec"]["restartPolicy"] = json!("OnFailure");
                    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
                    pod["spec"]["containers"][0]["volumeMounts"] =
                        json!([{ "name": "data", "mountPath": "/data" }]);
                }),
                &[Right::Exit(0)],
            ),
            4 => undisturbed(
                step_with(&trap(0), |pod| pod["spec"]["activeDeadlineSeconds"] = json!(4)),
                &[
                    Right::Fail(FailReason::DeadlineExceeded, Some(0)),
                    Right::Fail(FailReason::DeadlineExceeded, None),
                ],
            ),
            _ => Self {
                pod: step_with(&trap(0), |_| {}),
                is_deleted: true,
                // What the DELETED event or the last object says may be lost on the way.
                right: &[
                    Right::Fail(FailReason::PodDeleted, Some(0)),
                    Right::Fail(FailReason::PodDeleted, None),
                ],
            },
        }
    }
}

fn own_code(seed: u64) -> i32 {
    i32::try_from(seed % 5).expect("it is small")
}

/// `PODWAIT_MIXTURES` says how many, `PODWAIT_SEED` from which seed on.
#[tokio::test]
async fn no_mixture_of_faults_changes_what_a_kubelet_says() {
    if own_cluster().is_none() {
        return;
    }
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("a number of seeds, and a seed"))
    };
    let (count, first) = (number("PODWAIT_MIXTURES", 2 * AT_ONCE), number("PODWAIT_SEED", 0));
    let scratch = Scratch::new("mixtures").await.expect("a cluster");
    let (mut requests, mut faults, mut longest) = (Vec::new(), 0, Duration::ZERO);
    for begin in (first..first + count).step_by(AT_ONCE as usize) {
        let runs = (begin..(begin + AT_ONCE).min(first + count)).map(|seed| run(&scratch, seed));
        for (of_run, hit, took) in join_all(runs).await {
            requests.push(of_run);
            faults += hit;
            longest = longest.max(took);
        }
    }
    scratch.remove().await;
    requests.sort_unstable();
    println!(
        "{count} mixtures: 0 wrong, {faults} faults, requests for each wait {} (median), {} (most), longest {longest:?}",
        requests[requests.len() / 2],
        requests.last().expect("one ran")
    );
}

/// The requests, the faults among them, and the time that the wait took.
async fn run(scratch: &Scratch, seed: u64) -> (usize, usize, Duration) {
    let name = format!("step-{seed}");
    let mut life = Life::of(seed);
    life.pod["metadata"]["name"] = json!(name);
    let proxy = Proxy::start(scratch.client()).await.expect("the proxy listens");
    proxy.rule(mixture(seed, FAULTS));
    let begin = Instant::now();
    let uid = scratch.create_pod(&life.pod).await.metadata.uid.expect("a pod has a uid");
    let happen = async {
        if life.is_deleted {
            scratch.wait_until_running(&name).await;
            scratch.delete(&name, 5).await;
        }
    };
    let wait = match seed / 6 % 3 {
        0 => wait(proxy.client(), scratch.namespace(), &name),
        1 => wait(proxy.client(), scratch.namespace(), &name).poll(),
        _ => {
            let scope = Scope::namespace(scratch.namespace());
            Hub::new(proxy.client(), scope).wait(scratch.namespace(), &name)
        }
    };
    let wait = wait.container("step").uid(uid).into_future();
    let (answer, ()) = tokio::join!(tokio::time::timeout(LONGEST, wait), happen);
    let answer = answer.unwrap_or_else(|_| panic!("PODWAIT_SEED={seed} hangs: {proxy:#?}"));
    let is_right = life.right.iter().any(|right| match (right, &answer) {
        (Right::OwnCode, Ok(exit)) => exit.code == own_code(seed),
        (Right::Exit(code), Ok(exit)) => exit.code == *code,
        (Right::Fail(reason, code), Err(failure)) => (failure.reason, failure.exit_code) == (*reason, *code),
        (Right::OwnCode | Right::Exit(_), Err(_)) | (Right::Fail(..), Ok(_)) => false,
    });
    assert!(is_right, "PODWAIT_SEED={seed} is none of {:?}: {answer:?} {proxy:#?}", life.right);
    let traffic = proxy.traffic();
    let requests = traffic.requests.get + traffic.requests.watch + traffic.requests.list;
    let requests = usize::try_from(requests).expect("a number of requests");
    (requests, usize::try_from(traffic.faults).expect("a number of faults"), begin.elapsed())
}
