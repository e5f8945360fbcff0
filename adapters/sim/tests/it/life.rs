//! The scripted kubelet.

use std::time::Duration;

use podwait_sim::{Cluster, Event, EventType, Life, Refusal, Step, Terminated, container, pod};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

/// All objects of a life, in order.
fn objects(life: Life) -> Vec<Value> {
    life.events().unwrap().into_iter().map(|(_, event)| Value::clone(&event.object)).collect()
}

fn last(life: Life) -> Value {
    objects(life).pop().unwrap()
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a Value {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap()
}

fn begun() -> Life {
    Life::of(pod("ci", "a", &["step", "istio-proxy"])).after(SECOND).scheduled("node-1")
}

#[test]
fn phase_first_and_terminated_later() {
    let life = begun()
        .after(SECOND)
        .containers_creating()
        .after(SECOND)
        .running()
        .after(SECOND)
        .phase("Succeeded")
        .after(Duration::from_millis(700))
        .terminated("step", Terminated::exit(0))
        .delete(0);
    let events = life.events().unwrap();
    let brief = |(at, event): &(Duration, podwait_sim::Event)| {
        let status = &event.object["status"];
        let step = status["containerStatuses"][1]["state"].as_object();
        let state = step.and_then(|state| state.keys().next().cloned()).unwrap_or_default();
        format!("{} {} {} {state}", at.as_millis(), event.kind.as_str(), status["phase"].as_str().unwrap())
    };
    assert_eq!(
        events.iter().map(brief).collect::<Vec<_>>(),
        [
            "0 ADDED Pending ",
            "1000 MODIFIED Pending ",
            "2000 MODIFIED Pending waiting",
            "3000 MODIFIED Running running",
            "4000 MODIFIED Succeeded running",
            "4700 MODIFIED Succeeded terminated",
            "4700 MODIFIED Succeeded terminated",
            "4700 DELETED Succeeded terminated",
        ]
    );
}

#[test]
fn together_is_one_write() {
    let evicted = [
        Step::Finished { exit_code: 137 },
        Step::Failed { reason: "Evicted".to_owned(), message: "no memory".to_owned() },
        Step::DisruptionTarget { reason: "TerminationByKubelet".to_owned(), message: String::new() },
    ];
    let mut objects = objects(begun().running().together(evicted));
    let (last, before) = (objects.pop().unwrap(), objects.pop().unwrap());
    assert_eq!((&before["status"]["phase"], before["status"].get("reason")), (&json!("Running"), None));
    assert_eq!((&last["status"]["phase"], &last["status"]["reason"]), (&json!("Failed"), &json!("Evicted")));
    assert_eq!(last["status"]["containerStatuses"][1]["state"]["terminated"]["exitCode"], 137);
    assert_eq!(condition(&last, "DisruptionTarget")["reason"], "TerminationByKubelet");

    let strangers = [
        Step::DeletionRequested { grace: None },
        Step::Started { container: "other".to_owned() },
        Step::Together(vec![Step::Removed]),
    ];
    for step in strangers {
        let life = begun().together([step.clone()]);
        assert!(matches!(life.events(), Err(Refusal::Invalid { .. })), "{step:?}");
    }
}

#[test]
fn a_running_pod_has_the_shape_of_a_real_one() {
    let pod = last(begun().after(SECOND).running());
    let id = pod["status"]["containerStatuses"][1]["containerID"].as_str().unwrap();
    assert!(id.starts_with("containerd://") && id.len() == 13 + 64, "{id}");
    assert_eq!(
        pod["status"]["containerStatuses"][1],
        json!({
            "name": "step",
            "image": "docker.io/library/busybox:1.37",
            "imageID": "",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "containerID": id,
            "state": { "running": { "startedAt": "2026-01-01T00:00:02Z" } },
            "lastState": {},
        })
    );
    assert_eq!(pod["spec"]["nodeName"], "node-1");
    assert_eq!(pod["status"]["startTime"], "2026-01-01T00:00:02Z");
    assert_eq!(pod["status"]["observedGeneration"], 1);
    assert_eq!(pod["status"]["containerStatuses"][0]["name"], "istio-proxy");
    for kind in ["PodScheduled", "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"] {
        assert_eq!(condition(&pod, kind)["status"], "True", "{kind}");
    }
    assert_eq!(condition(&pod, "PodScheduled")["lastTransitionTime"], "2026-01-01T00:00:01Z");
}

#[test]
fn finished_is_one_write() {
    let objects = objects(begun().running().after(SECOND).finished(3));
    assert_eq!(objects.len(), 4);
    let pod = &objects[3];
    assert_eq!(pod["status"]["phase"], "Failed");
    let terminated = &pod["status"]["containerStatuses"][1]["state"]["terminated"];
    assert_eq!((&terminated["exitCode"], &terminated["reason"]), (&json!(3), &json!("Error")));
    assert_eq!(terminated["startedAt"], "2026-01-01T00:00:01Z");
    assert_eq!(terminated["finishedAt"], "2026-01-01T00:00:02Z");
    assert_eq!(terminated["containerID"], pod["status"]["containerStatuses"][1]["containerID"]);
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert_eq!(condition(pod, "Initialized")["lastTransitionTime"], "2026-01-01T00:00:01Z");
    assert_eq!(condition(pod, "Ready")["reason"], "PodFailed");
    assert_eq!(condition(pod, "Ready")["lastTransitionTime"], "2026-01-01T00:00:02Z");
}

#[test]
fn restarts_keep_the_last_attempt() {
    let crash = begun().running().terminated("step", Terminated::exit(2));
    let back_off = crash.waiting("step", "CrashLoopBackOff", "back-off 10s");
    let waiting = last(back_off.clone())["status"]["containerStatuses"][1].clone();
    assert_eq!(waiting["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(waiting["lastState"]["terminated"]["exitCode"], 2);
    assert_eq!(waiting["restartCount"], 0);

    let again = last(back_off.started("step"))["status"]["containerStatuses"][1].clone();
    assert!(again["state"]["running"].is_object());
    assert_eq!((&again["restartCount"], &again["ready"]), (&json!(1), &json!(true)));
    assert_ne!(again["containerID"], waiting["containerID"]);

    let between_looks = last(begun().running().restarted("step"))["status"]["containerStatuses"][1].clone();
    assert_eq!(between_looks["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(between_looks["restartCount"], 1);
}

#[test]
fn init_containers_come_first() {
    let mut with_init = pod("ci", "a", &["step"]);
    let mut sidecar = container("proxy");
    sidecar["restartPolicy"] = json!("Always");
    with_init["spec"]["initContainers"] = json!([container("clone"), sidecar]);
    let life = Life::of(with_init).scheduled("node-1").containers_creating();
    let creating = last(life.clone());
    let step = &creating["status"]["containerStatuses"][0];
    assert_eq!(step["state"]["waiting"]["reason"], "PodInitializing");
    assert_eq!(
        condition(&creating, "Initialized")["message"],
        "containers with incomplete status: [clone proxy]"
    );

    let failed = last(life.clone().terminated("clone", Terminated::exit(1)).phase("Failed"));
    assert_eq!(failed["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 1);
    assert_eq!(failed["status"]["containerStatuses"][0]["state"], step["state"]);

    let running = last(life.clone().running());
    assert_eq!(running["status"]["phase"], "Running");
    assert_eq!(running["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert!(running["status"]["initContainerStatuses"][1]["state"]["running"].is_object());
    assert_eq!(condition(&running, "Initialized")["status"], "True");

    let finished = last(life.running().finished(0));
    assert_eq!(finished["status"]["phase"], "Succeeded");
    assert_eq!(condition(&finished, "Initialized")["reason"], "PodCompleted");
}

#[test]
fn failures_of_node_and_scheduler() {
    let rejected = last(begun().failed("OutOfcpu", "Node didn't have enough resource: cpu"));
    assert_eq!(
        (&rejected["status"]["phase"], &rejected["status"]["reason"]),
        (&json!("Failed"), &json!("OutOfcpu"))
    );
    assert_eq!(rejected["status"].get("containerStatuses"), None);

    let evicted = last(
        begun().running().disruption_target("TerminationByKubelet", "low on memory").failed("Evicted", ""),
    );
    assert_eq!(condition(&evicted, "DisruptionTarget")["status"], "True");
    assert!(evicted["status"]["containerStatuses"][1]["state"]["running"].is_object());

    let lost =
        last(begun().containers_creating().failed("Evicted", "").terminated("step", Terminated::unknown()));
    let terminated = &lost["status"]["containerStatuses"][1]["state"]["terminated"];
    assert_eq!(
        (&terminated["exitCode"], &terminated["reason"]),
        (&json!(137), &json!("ContainerStatusUnknown"))
    );
    assert_eq!((terminated.get("containerID"), &terminated["finishedAt"]), (None, &Value::Null));

    let stuck = last(Life::of(pod("ci", "a", &["step"])).unschedulable("0/1 nodes are available"));
    assert_eq!(condition(&stuck, "PodScheduled")["reason"], "Unschedulable");
}

#[test]
fn a_merge_patch_writes_what_no_kubelet_writes() {
    let patch = json!({ "status": { "phase": "Unknown", "qosClass": null, "containerStatuses": null } });
    let pod = last(begun().running().merge(patch));
    assert_eq!((&pod["status"]["phase"], pod["status"].get("qosClass")), (&json!("Unknown"), None));
    assert_eq!(pod["status"].get("containerStatuses"), None);
}

#[test]
fn a_removed_pod_takes_no_more_steps_until_it_is_created_again() {
    let life = begun()
        .running()
        .delete(0)
        .finished(0)
        .removed()
        .created(pod("ci", "a", &["step"]))
        .scheduled("node-2");
    let events = life.events().unwrap();
    let kinds: Vec<_> = events.iter().map(|(_, event)| event.kind).collect();
    use EventType::{Added, Deleted, Modified};
    assert_eq!(kinds, [Added, Modified, Modified, Modified, Deleted, Added, Modified]);
    let uids: Vec<_> = events.iter().map(|(_, event)| event.object["metadata"]["uid"].clone()).collect();
    assert_eq!(uids[4], uids[0]);
    assert_ne!(uids[5], uids[0]);
}

#[test]
fn a_mistaken_script_is_refused() {
    let typo = begun().running().terminated("stpe", Terminated::exit(0)).events();
    assert!(matches!(typo, Err(Refusal::Invalid { .. })), "{typo:?}");
    let missing = Life::existing("ci", "x").running().events();
    assert_eq!(missing, Err(Refusal::NotFound { name: "x".to_owned() }));
}

#[tokio::test(start_paused = true)]
async fn a_life_has_the_same_events_with_and_without_a_cluster() {
    let life = begun()
        .after(SECOND)
        .waiting("step", "ImagePullBackOff", "Back-off pulling image")
        .after(SECOND * 90)
        .running()
        .after(SECOND * 3600)
        .finished(0)
        .after(SECOND)
        .delete(None);
    let cluster = Cluster::new();
    life.clone().spawn(&cluster).await.unwrap().unwrap();
    let written: Vec<_> = life.events().unwrap().into_iter().map(|(_, event)| event).collect();
    assert_eq!(cluster.events(), written);
    assert_eq!(cluster.now(), "2026-01-01T01:01:33Z");
}

#[tokio::test(start_paused = true)]
async fn a_renamed_life_is_of_another_pod() {
    let cluster = Cluster::new();
    let life = begun().after(SECOND).delete(0).created(pod("ci", "a", &["step"]));
    life.clone().run(&cluster).await.unwrap();
    life.renamed("q").run(&cluster).await.unwrap();
    let brief = |event: &Event| (event.kind, event.object["metadata"]["name"].clone(), event.at.as_secs());
    let events: Vec<_> = cluster.events().iter().map(brief).collect();
    let (first, second) = events.split_at(events.len() / 2);
    let moved = |(kind, _, at): &(EventType, Value, u64)| (*kind, json!("q"), at + 2);
    assert_eq!(first.iter().map(moved).collect::<Vec<_>>(), second);
}
