//! Lives on a real kubelet, observed through a proxy with random faults: one seed, one pod, one way of waiting, one
//! mixture. The truth is the journal of the container's runtime, and the verdicts are those of the storms.

mod arrivals;
mod history;
mod life;
mod table;
mod verdict;

use super::Runtime;
use arrivals::Arrivals;
use futures_util::future::join_all;
use history::History;
use life::{Life, Truth};
use podwait::{Observed, Policy};
use podwait_tests::cluster::{Cluster, End, Scratch, own_cluster, pause};
use podwait_tests::proxy::{Proxy, mixture};
use podwait_tests::storm::dice::Dice;
use podwait_tests::storm::truth::{Answer, STEP};
use podwait_tests::storm::verdict::Verdict;
use podwait_tests::storm::way::Way;
use serde_json::Value;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use table::{Run, Table};
use verdict::{BUDGETS, Case};

/// How many lives run at once.
const AT_ONCE: u64 = 20;

/// The percentage of requests with a fault.
const FAULTS: u64 = 30;

/// Longest time that any of these may take: the life, then calls that hang, watches that are silent, backoffs.
const LONGEST: Duration = Duration::from_secs(200);

/// `PODWAIT_MIXTURES` is the number of mixtures, `PODWAIT_SEED` the first seed.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn no_mixture_of_faults_changes_the_answer_about_a_real_kubelet() {
    let own = own_cluster();
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("a number of seeds, and a seed"))
    };
    let (count, first) = (number("PODWAIT_MIXTURES", 2 * AT_ONCE), number("PODWAIT_SEED", 0));
    let scratch = Scratch::new("mixtures").await;
    let history = History::of(scratch.pods());
    let mut table = Table::default();
    for begin in (first..first + count).step_by(AT_ONCE as usize) {
        let seeds = begin..(begin + AT_ONCE).min(first + count);
        for run in join_all(seeds.map(|seed| run(own, &scratch, &history, seed))).await {
            table.add(&run);
            if run.verdict.is_bad() {
                println!("{}", run.story);
            }
        }
    }
    scratch.remove().await;
    println!("seeds {first} to {}, {} faults\n{table}", first + count - 1, table.faults);
    assert_eq!(table.bad, [], "PODWAIT_SEED={first} PODWAIT_MIXTURES={count}\n{table}");
    let (all, _) = table.total();
    assert!(all.count(Verdict::Right) * 10 >= count * 6, "most answers are right\n{table}");
    assert!(all.requests(100) < 60, "a storm of requests\n{table}");
}

async fn run(own: &Cluster, scratch: &Scratch, history: &History, seed: u64) -> Run {
    let name = format!("step-{seed}");
    let mut dice = Dice::new(seed);
    let way = Way::of(dice.roll(), dice.chance(25));
    let life = Life::draw(&name, &mut dice);
    let proxy = Proxy::start(scratch.kube()).await.expect("the proxy listens");
    proxy.rule(mixture(seed, FAULTS));
    let begun = Instant::now();
    let uid = Runtime::Processes
        .steady()
        .create(scratch, life.pod.clone())
        .await
        .metadata
        .uid
        .expect("a pod has a uid");
    let [api, auth] = BUDGETS;
    let policy = Policy::builder().api_error_budget(api).auth_error_budget(auth).build().expect("a policy");
    let observed = Arc::new(Mutex::new(Vec::new()));
    let versions = Arc::clone(&observed);
    let recorder = Arrivals::default();
    let wait = way
        .wait(recorder.client(proxy.client()), scratch.namespace(), &name)
        .container(STEP)
        .uid(&uid)
        .policy(policy);
    let wait = wait.on_turn(move |turn| {
        if let Observed::Pod(_, seen) | Observed::Deleted(seen) = turn.observed {
            let mut versions = versions.lock().unwrap_or_else(PoisonError::into_inner);
            versions.push(seen.pod.snapshot.resource_version.clone());
        }
    });
    let waiting = async {
        let outcome = tokio::time::timeout(LONGEST, wait.into_future()).await;
        (outcome.ok(), Instant::now())
    };
    let ((outcome, answered), ()) = tokio::join!(waiting, life.happen(scratch, &name));
    let traffic = proxy.traffic();
    // The runtime and the store may have more events than the wait observed.
    let (truth, ends) = truth(own, &life, &uid).await;
    let history = history.pod(&uid);
    let arrivals = recorder.of(&uid);
    let observed = std::mem::take(&mut *observed.lock().unwrap_or_else(PoisonError::into_inner));
    let case = Case {
        truth,
        answer: outcome.as_ref().map(Answer::of),
        code_beside: outcome.as_ref().and_then(|outcome| outcome.as_ref().err()?.exit_code),
        begun,
        answered,
        history: &history,
        arrivals: &arrivals,
        observed: &observed,
    };
    let verdict = case.verdict();
    let after = |at: &Instant| at.saturating_duration_since(begun);
    let versions: Vec<_> = history.iter().map(|(at, pod)| (after(at), brief(pod))).collect();
    let came: Vec<_> = arrivals.iter().map(|(at, versions)| (after(at), versions)).collect();
    let story = format!(
        "PODWAIT_SEED={seed} PODWAIT_MIXTURES=1, {}: {verdict}\n{truth:?}, {ends:?}\n{outcome:#?} after {:?}\n\
         the store had {versions:#?}\ncame {came:?}\nobserved {observed:?}\n{proxy:#?}",
        way.name(),
        after(&answered)
    );
    Run {
        seed,
        kind: life.kind,
        way,
        verdict,
        requests: usize::try_from(traffic.requests.get + traffic.requests.watch)
            .expect("a number of requests"),
        faults: usize::try_from(traffic.faults).expect("a number of faults"),
        took: answered.saturating_duration_since(begun),
        story,
    }
}

/// The truth, as soon as it is known: an answer may precede the end of which it is certain.
async fn truth(own: &Cluster, life: &Life, uid: &str) -> (Truth, Vec<End>) {
    for _ in 0..300 {
        let ends: Vec<End> = own.ends().into_iter().filter(|end| end.uid == uid).collect();
        if let Some(truth) = Truth::of(life.kind, &ends) {
            return (truth, ends);
        }
        pause(200).await;
    }
    panic!("{} has no end", life.pod["metadata"]["name"])
}

/// The parts of a version that the story has.
fn brief(pod: &Value) -> String {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let state = &status["containerStatuses"];
    format!(
        "{}{} {} {} {state}",
        metadata["resourceVersion"],
        if pod["gone"] == true { " gone" } else { "" },
        status["phase"],
        metadata["deletionTimestamp"]
    )
}
