//! Three ways for a pod to end, on a simulated cluster over HTTP on loopback.

use crate::output;
use crate::status::{Complaint, Status};
use crate::timeline;
use podwait::{DoneReason, Exit, FailReason, Failure};
use podwait_sim::{Cluster, Life, Terminated, pod};
use std::process::ExitCode;
use std::time::Duration;

/// One wait to show.
struct Scene {
    pod: &'static str,
    title: &'static str,
    life: Life,
    /// Whether the wait polls instead of watching.
    poll: bool,
    expect: fn(&Result<Exit, Failure>) -> bool,
}

pub(crate) async fn run() -> Result<ExitCode, Complaint> {
    let cluster = Cluster::new();
    let server = cluster.serve().await.map_err(|error| {
        Complaint::new(Status::Config, format!("cannot listen on the loopback interface: {error}"))
    })?;
    output::result(format!("A simulated cluster listens on {}.", server.url()));
    output::result("");
    for scene in scenes() {
        output::result(scene.title);
        let config = kube::Config::new(server.url().parse().map_err(unusable)?);
        let client = podwait::Client::from_config(config).map_err(unusable)?;
        let kubelet = scene.life.spawn(&cluster);
        let mut wait =
            podwait::wait(client, "ci", scene.pod).on_turn(|turn| output::result(timeline::line(turn)));
        if scene.poll {
            wait = wait.poll();
        }
        let outcome = wait.await;
        kubelet.abort();
        output::result("");
        if !(scene.expect)(&outcome) {
            return Err(Complaint::new(
                Status::Infrastructure,
                format!("{} ended differently: {outcome:?}", scene.pod),
            ));
        }
    }
    output::result("On your own cluster: podwait wait POD -n NAMESPACE");
    Ok(ExitCode::SUCCESS)
}

fn scenes() -> [Scene; 3] {
    let start = |name| {
        let second = Duration::from_secs(1);
        Life::of(pod("ci", name, &["step"]))
            .scheduled("node-1")
            .containers_creating()
            .after(second)
            .running()
            .after(second)
    };
    [
        Scene {
            pod: "race",
            title: "1. The race: the phase is Succeeded 700 ms before there is an exit code.",
            life: start("race")
                .phase("Succeeded")
                .after(Duration::from_millis(700))
                .terminated("step", Terminated::exit(0)),
            poll: false,
            expect: |outcome| matches!(outcome, Ok(exit) if exit.reason == DoneReason::Completed),
        },
        Scene {
            pod: "deleted",
            title: "2. Deleted while it ran: the step traps SIGTERM and exits 0, which is not a success.",
            life: start("deleted").delete(30).after(Duration::from_millis(1500)).finished(0).removed(),
            poll: false,
            expect: |outcome| matches!(outcome, Err(failure) if failure.reason == FailReason::PodDeleted && failure.exit_code == Some(0)),
        },
        Scene {
            pod: "collected",
            title: "3. A 404 after completion: the pod was garbage-collected after a clean Succeeded.",
            life: start("collected").phase("Succeeded").after(Duration::from_secs(1)).delete(0),
            poll: true,
            expect: |outcome| matches!(outcome, Ok(exit) if exit.reason == DoneReason::InferredFromPhase),
        },
    ]
}

fn unusable(error: impl std::error::Error) -> Complaint {
    Complaint::new(Status::Config, error.to_string())
}
