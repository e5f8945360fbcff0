//! `podwait run`.

use super::{Sim, assert_one_line};
use podwait::FINALIZER;
use podwait_sim::{Fault, Life, Terminated, Verb};
use podwait_tests::cli::run;
use podwait_tests::cluster::pause;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// The pod that exists and is not among these.
    async fn next_pod(&self, seen: &[&str]) -> Arc<Value> {
        loop {
            let created = self.cluster.events().into_iter().find(|event| {
                event.kind.as_str() == "ADDED"
                    && event.object["metadata"]["name"].as_str().is_some_and(|name| !seen.contains(&name))
            });
            match created {
                Some(event) => return event.object,
                None => pause(10).await,
            }
        }
    }

    /// Plays a kubelet for the next created pod.
    pub(super) async fn play(&self, seen: &[&str], life: impl FnOnce(Life) -> Life) -> String {
        let pod = self.next_pod(seen).await;
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        life(Life::existing("ci", &name).scheduled("node-1").running()).spawn(&self.cluster);
        name
    }

    fn is_there(&self, name: &str) -> bool {
        self.cluster.get("ci", name).is_some()
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn from_nothing_to_the_exit_code() {
    let sim = Sim::new().await;
    let child =
        sim.start(&["run", "--image", "busybox:1", "-e", "A=b", "--label", "x=y", "--", "sh", "-c", "true"]);
    let pod = sim.next_pod(&[]).await;
    let name = pod["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("podwait-run-"), "{name}");
    assert_eq!(pod["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(pod["metadata"]["labels"]["app.kubernetes.io/managed-by"], "podwait");
    assert_eq!(pod["metadata"]["labels"]["x"], "y");
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "busybox:1");
    assert_eq!(container["command"], json!(["sh", "-c", "true"]));
    assert_eq!(container["env"], json!([{ "name": "A", "value": "b" }]));
    let life = Life::existing("ci", name).scheduled("node-1").running().writes("step", "hello\n");
    life.after(millis(300)).finished(0).spawn(&sim.cluster);
    let run = child.end().await;
    assert_eq!((run.status, &*run.stdout), (Some(0), "hello\n"), "{run:?}");
    assert!(!sim.is_there(name), "a pod that succeeded is deleted");
}

#[tokio::test]
async fn a_failed_pod_is_kept_and_its_code_is_the_status() {
    for (options, stays) in [(&[][..], true), (&["--rm"], false), (&["--keep"], true)] {
        let sim = Sim::new().await;
        let child = sim.start(&[&["run", "--image", "i"], options].concat());
        let name = sim.play(&[], |life| life.writes("step", "no\n").after(millis(200)).finished(9)).await;
        let run = child.end().await;
        assert_eq!((run.status, &*run.stdout), (Some(9), "no\n"), "{run:?}");
        assert_eq!(sim.is_there(&name), stays, "{options:?}");
        assert_eq!(run.stderr.contains(&format!("ci/{name} is kept")), stays, "{run:?}");
        if let Some(pod) = sim.cluster.get("ci", &name) {
            assert!(
                pod["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty),
                "it is no longer held"
            );
        }
    }
}

#[tokio::test]
async fn a_failed_pod_is_kept_even_if_its_phase_is_late() {
    let sim = Sim::new().await;
    let child = sim.start(&["run", "--image", "i"]);
    let name = sim
        .play(&[], |life| {
            let life = life.after(millis(200)).terminated("step", Terminated::exit(9));
            life.after(millis(1500)).phase("Failed")
        })
        .await;
    let run = child.end().await;
    assert_eq!((run.status, sim.is_there(&name)), (Some(9), true), "{run:?}");
}

#[tokio::test]
async fn a_pod_that_succeeded_can_be_kept() {
    let sim = Sim::new().await;
    let child = sim.start(&["run", "--image", "i", "--keep", "--quiet"]);
    let name = sim.play(&[], |life| life.writes("step", "yes\n").after(millis(200)).finished(0)).await;
    let run = child.end().await;
    assert_eq!((run.status, &*run.stdout, sim.is_there(&name)), (Some(0), "completed 0\n", true), "{run:?}");
}

#[tokio::test]
async fn a_limit_leaves_nothing_running() {
    let sim = Sim::new().await;
    let child = sim.start(&["run", "--image", "i", "--timeout", "500ms"]);
    let name = sim.play(&[], |life| life).await;
    let run = child.end().await;
    assert_eq!(run.status, Some(222), "{run:?}");
    let deleted =
        sim.cluster.get("ci", &name).is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string());
    assert!(deleted, "{run:?}");
}

#[tokio::test]
async fn a_file_may_describe_the_pod() {
    let sim = Sim::new().await;
    let yaml = "\
apiVersion: v1
kind: Pod
metadata:
  name: build
  labels: { app: x }
spec:
  restartPolicy: OnFailure
  containers:
    - { name: main, image: i }
    - name: aux
      image: i
      command: [\"sleep\", \"0o17\"]
";
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(yaml.as_bytes()).expect("written");
    let path = file.path().to_str().expect("a readable path");
    let child = sim.start(&["run", "-f", path, "-c", "main", "--no-hold"]);
    let pod = sim.next_pod(&[]).await;
    let name = pod["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("build-") && name.len() > 6, "{name}");
    assert_eq!(pod["metadata"]["labels"]["app"], "x");
    assert_eq!(pod["spec"]["restartPolicy"], "OnFailure");
    assert_eq!(pod["spec"]["containers"][1]["command"], json!(["sleep", "0o17"]));
    assert!(pod["metadata"]["finalizers"].is_null());
    let life = Life::existing("ci", name).scheduled("node-1").running().after(millis(200));
    life.terminated("main", Terminated::exit(0)).spawn(&sim.cluster);
    assert_eq!(child.end().await.status, Some(0));
}

#[tokio::test]
async fn invalid_manifests_are_reported_in_one_line() {
    let sim = Sim::new().await;
    for (text, words) in [
        ("kind: [", "cannot be read"),
        ("{apiVersion: apps/v1, kind: Deployment, spec: {}}", "is a apps/v1 Deployment, and not a v1 Pod"),
        ("{apiVersion: v1, kind: Pod}", "has no spec"),
        ("{apiVersion: v1, kind: Pod, spec: 1}", "spec in"),
        ("{apiVersion: v1, kind: Pod, metadata: [], spec: {}}", "metadata in"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: A_B}, spec: {}}",
            "metadata.name of the pod is not a valid name",
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {generateName: ../x}, spec: {}}",
            "metadata.generateName of the pod",
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {namespace: ../x}, spec: {}}",
            "metadata.namespace of the pod",
        ),
        ("{apiVersion: v1, kind: Pod, metadata: {labels: x}, spec: {}}", "metadata.labels of the pod"),
        ("{apiVersion: v1, kind: Pod, spec: {restartPolicy: Always, containers: []}}", "never ends"),
    ] {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let path = file.path().to_str().expect("a readable path");
        assert_one_line(&sim.run(&["run", "-f", path]).await, 230, words);
    }
    let bomb = format!("{{apiVersion: v1, kind: Pod, spec: {{a: {:?}}}}}", "x".repeat(4 << 20));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bomb.as_bytes()).expect("written");
    for path in ["/dev/zero", file.path().to_str().expect("a readable path")] {
        assert_one_line(&sim.run(&["run", "-f", path]).await, 230, "is longer than 3 MiB");
    }
    assert_one_line(&sim.run(&["run", "-f", "/no/such"]).await, 230, "cannot read /no/such");
    assert_one_line(&run(&["run"]).await, 230, "--image");
    assert_one_line(&run(&["run", "--image", "i", "-e", "A"]).await, 230, "NAME=VALUE is needed");
    assert_one_line(
        &run(&["run", "--image", "i", "--label", "podwait.dev/run=x"]).await,
        230,
        "reserved for podwait",
    );
    assert_eq!(sim.cluster.requests().create, 0);
    sim.cluster.faults().forbid(Verb::Create);
    assert_eq!(sim.run(&["run", "--image", "i"]).await.status, Some(233));
}

#[tokio::test]
async fn a_pod_is_created_once_even_if_the_response_is_lost() {
    let sim = Sim::new().await;
    // The creation is carried out, and the connection breaks before the response. The documented role has no `list`.
    sim.cluster.faults().push(Verb::Create, Fault::ResetAfter { events: 0 });
    sim.cluster.faults().forbid(Verb::List);
    let child = sim.start(&["run", "--image", "i"]);
    let name = sim.play(&[], |life| life.after(millis(1500)).finished(0)).await;
    let run = child.end().await;
    assert_eq!(run.status, Some(0), "{run:?}");
    assert_eq!(sim.cluster.requests().create, 1, "{run:?}");
    assert!(!sim.is_there(&name));
}

#[tokio::test]
async fn the_client_chooses_the_whole_name_which_is_a_valid_hostname() {
    let sim = Sim::new().await;
    let long = "a".repeat(45) + ".b-c";
    for (name, begin) in [("build", "build-"), (&*long, &format!("{}-", "a".repeat(45))), ("x.y", "x.y-")] {
        let child = sim.start(&["run", "--image", "i", "--name", name, "--timeout", "5m"]);
        let seen = sim.cluster.events().len();
        let created = loop {
            match sim.cluster.events().get(seen) {
                Some(event) => break event.object["metadata"]["name"].as_str().expect("a name").to_owned(),
                None => pause(10).await,
            }
        };
        assert!(created.starts_with(begin) && created.len() == begin.len() + 16, "{created}");
        assert!(created.len() < 64 && podwait_hub::is_dns_subdomain(&created), "{created}");
        Life::existing("ci", &created).scheduled("node-1").running().finished(0).spawn(&sim.cluster);
        assert_eq!(child.end().await.status, Some(0));
    }
}

#[tokio::test]
async fn a_signal_deletes_the_pod_and_waits_for_its_end() {
    for signal in ["INT", "TERM"] {
        let sim = Sim::new().await;
        let child = sim.start(&["run", "--image", "i"]);
        let name = sim.play(&[], |life| life.writes("step", "begun\n")).await;
        while sim.cluster.requests().log == 0 {
            pause(10).await;
        }
        child.signal(signal);
        while !sim
            .cluster
            .get("ci", &name)
            .is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string())
        {
            pause(10).await;
        }
        // The step stops by itself, and the lines that it writes meanwhile are printed.
        let life =
            Life::existing("ci", &name).writes("step", "bye\n").after(millis(500)).finished(7).removed();
        life.spawn(&sim.cluster);
        let run = child.end().await;
        assert_eq!((run.status, &*run.stdout), (Some(223), "begun\nbye\n"), "{run:?}");
        assert!(run.stderr.contains("stopping the pod") && run.stderr.contains("cancelled"), "{run:?}");
        assert!(!sim.is_there(&name), "it is no longer held");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_command_at_once() {
    let sim = Sim::new().await;
    let child = sim.start(&["run", "--image", "i"]);
    let name = sim.play(&[], |life| life).await;
    while sim.cluster.requests().log == 0 {
        pause(10).await;
    }
    child.signal("INT");
    while sim.cluster.requests().delete == 0 {
        pause(10).await;
    }
    let asked = std::time::Instant::now();
    pause(100).await;
    child.signal("INT");
    let run = child.end().await;
    assert_eq!(run.status, Some(223), "{run:?}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{run:?}");
    let finalizers = sim.cluster.get("ci", &name).map(|pod| pod["metadata"]["finalizers"].clone());
    assert!(finalizers.is_none_or(|all| !all.to_string().contains(FINALIZER)), "it is no longer held");
}

#[tokio::test]
async fn a_step_that_the_cluster_stopped_is_run_again_unless_it_may_have_finished() {
    // Evicted while it ran, with a code other than 0: it is run once more, and succeeds.
    let sim = Sim::new().await;
    let child = sim.start(&["run", "--image", "i", "--retry-infra", "2"]);
    let first = sim
        .play(&[], |life| {
            life.disruption_target("TerminationByKubelet", "").after(millis(200)).together([
                podwait_sim::Step::Terminated { container: "step".into(), how: Terminated::exit(137) },
                podwait_sim::Step::Failed { reason: "Evicted".into(), message: "low on memory".into() },
            ])
        })
        .await;
    let second = sim.play(&[&first], |life| life.after(millis(200)).finished(0)).await;
    let run = child.end().await;
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stderr.contains("is gone; the step is run again"), "{run:?}");
    assert!(!sim.is_there(&first) && !sim.is_there(&second));
    let events = sim.cluster.events();
    let place = |kind: &str, name: &str| {
        events
            .iter()
            .position(|event| event.kind.as_str() == kind && event.object["metadata"]["name"] == name)
    };
    assert!(place("DELETED", &first) < place("ADDED", &second), "one pod at a time: {run:?}");

    // Deleted by a client: it is not run again, even if `--retry-infra` is given.
    let sim = Sim::new().await;
    let child = sim.start(&["run", "--image", "i", "--retry-infra", "2"]);
    sim.play(&[], |life| life.delete(0).after(millis(200)).finished(0)).await;
    let run = child.end().await;
    assert_eq!(run.status, Some(220), "{run:?}");
    assert_eq!(sim.cluster.requests().create, 1);
}

#[tokio::test]
async fn without_the_right_to_patch_pods_it_is_not_held() {
    let sim = Sim::new().await;
    sim.cluster.faults().forbid(Verb::Patch);
    let child = sim.start(&["run", "--image", "i"]);
    let pod = sim.next_pod(&[]).await;
    assert!(pod["metadata"]["finalizers"].is_null());
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let life = Life::existing("ci", name).scheduled("node-1").running().after(millis(200)).finished(0);
    life.spawn(&sim.cluster);
    let run = child.end().await;
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stderr.contains("the pod is not held: there is no right to patch pods"), "{run:?}");
}

#[tokio::test]
async fn while_the_first_pod_exists_there_is_no_second_one() {
    let sim = Sim::new().await;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let yaml = "{apiVersion: v1, kind: Pod, metadata: {finalizers: [a.b/c, podwait.dev/hold]}, \
        spec: {containers: [{name: step, image: i}]}}";
    file.write_all(yaml.as_bytes()).expect("written");
    let path = file.path().to_str().expect("a readable path");
    let child = sim.start(&["run", "-f", path, "--retry-infra", "2"]);
    let pod = sim.next_pod(&[]).await;
    assert_eq!(pod["metadata"]["finalizers"], json!(["a.b/c", FINALIZER]));
    let name = sim
        .play(&[], |life| {
            life.disruption_target("TerminationByKubelet", "").after(millis(200)).together([
                podwait_sim::Step::Terminated { container: "step".into(), how: Terminated::exit(137) },
                podwait_sim::Step::Failed { reason: "Evicted".into(), message: "low on memory".into() },
            ])
        })
        .await;
    while sim.cluster.requests().delete == 0 {
        pause(10).await;
    }
    pause(700).await;
    child.signal("INT");
    let run = child.end().await;
    assert_eq!(run.status, Some(223), "{run:?}");
    assert!(run.stderr.contains("is not run again: interrupted"), "{run:?}");
    assert_eq!(sim.cluster.requests().create, 1, "{run:?}");
    let left = sim.cluster.get("ci", &name).expect("another finalizer keeps it");
    assert_eq!(left["metadata"]["finalizers"], json!(["a.b/c"]));
    assert!(left["metadata"]["deletionTimestamp"].is_string());
}
