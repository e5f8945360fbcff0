//! What one decision costs: `cargo bench -p podwait-core`. Time and allocations per call of `handle`.

use divan::{AllocProfiler, Bencher, black_box};
use podwait_core::{
    ApiError, Container, ContainerState, ContainerStatus, Input, Instant, Phase, PodSnapshot, RestartPolicy,
    Terminated, WaitMachine,
};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A pod with a step and an injected sidecar, as the kubelet reports it.
fn pod(version: u64, phase: Phase, step: ContainerState) -> PodSnapshot {
    let container = |name: &str| Container { name: name.into(), ..Default::default() };
    let status = |name: &str, state| ContainerStatus {
        name: name.into(),
        container_id: format!("containerd://{name}"),
        state: Some(state),
        ..Default::default()
    };
    PodSnapshot {
        uid: "0b6ab7a3-6ac1-4a22-9d63-9a6b6f6a1f4e".into(),
        resource_version: version.to_string(),
        restart_policy: RestartPolicy::Never,
        containers: vec![container("step"), container("istio-proxy")],
        container_statuses: vec![status("istio-proxy", ContainerState::Running), status("step", step)],
        phase,
        ..Default::default()
    }
}

fn ended() -> ContainerState {
    ContainerState::Terminated(Terminated {
        exit_code: 3,
        reason: "Error".into(),
        container_id: "containerd://step".into(),
        ..Default::default()
    })
}

/// A machine that has seen the pod run.
fn waiting() -> WaitMachine {
    let mut machine = WaitMachine::new(Default::default()).container("step");
    let _ = machine
        .handle(Instant::from_millis(0), Input::Snapshot(&pod(100, Phase::Running, ContainerState::Running)));
    machine
}

/// Feeds one input again and again, a millisecond apart, to a machine that goes on waiting.
fn repeat(bencher: Bencher<'_, '_>, input: Input<'_>) {
    let machine = Cell::new(Some(waiting()));
    let mut at = 0;
    bencher.bench_local(|| {
        at += 1;
        let mut taken = machine.take().expect("put back below");
        let decision = taken.handle(Instant::from_millis(at), black_box(input));
        machine.set(Some(taken));
        decision
    });
}

#[divan::bench]
fn the_same_snapshot_again(bencher: Bencher<'_, '_>) {
    repeat(bencher, Input::Snapshot(&pod(100, Phase::Running, ContainerState::Running)));
}

#[divan::bench]
fn a_stale_snapshot(bencher: Bencher<'_, '_>) {
    repeat(bencher, Input::Snapshot(&pod(99, Phase::Running, ContainerState::Running)));
}

#[divan::bench]
fn a_tick(bencher: Bencher<'_, '_>) {
    repeat(bencher, Input::Tick);
}

#[divan::bench]
fn an_api_error(bencher: Bencher<'_, '_>) {
    repeat(
        bencher,
        Input::ApiError(ApiError {
            code: 410,
            is_status: true,
            retry_after: None,
            message: "too old resource version",
        }),
    );
}

#[divan::bench]
fn a_newer_snapshot(bencher: Bencher<'_, '_>) {
    let mut machine = waiting();
    let mut pod = pod(100, Phase::Running, ContainerState::Running);
    let mut version = 100u64;
    bencher
        .with_inputs(|| {
            version += 1;
            pod.resource_version = version.to_string();
            pod.clone()
        })
        .bench_local_refs(|pod| machine.handle(Instant::from_millis(1), Input::Snapshot(pod)));
}

#[divan::bench]
fn the_final_snapshot(bencher: Bencher<'_, '_>) {
    let last = pod(120, Phase::Running, ended());
    bencher
        .with_inputs(waiting)
        .bench_local_refs(|machine| machine.handle(Instant::from_millis(1), Input::Snapshot(&last)));
}
