//! A pod on a simulated or real cluster, and the waits for it through proxies.

use super::line::{Line, Waited};
use podwait::{FailReason, Policy, PolicyBuilder, wait};
use podwait_sim::{Cluster, Life, Server, pod};
use podwait_tests::cluster::{Scratch, running, terminated};
use podwait_tests::proxy::Proxy;
use serde_json::json;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Makes two tests of each scenario: one on the simulated cluster, one on a real one.
macro_rules! on_both {
    ($($scenario:ident)+) => {
        mod simulated {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(&super::World::simulated().await).await;
            })+
        }

        mod real {
            $(#[tokio::test]
            #[cfg_attr(not(real_cluster), ignore = "needs PODWAIT_CLUSTER=go or kubeconfig")]
            async fn $scenario() {
                let world = super::World::real().await;
                super::$scenario(&world).await;
                world.remove().await;
            })+
        }
    };
}
pub(super) use on_both;

/// The cluster behind the proxies.
pub(super) struct World {
    kind: Kind,
    upstream: kube::Client,
    pods: AtomicU32,
    touches: AtomicU32,
    leaping: Mutex<()>,
}

enum Kind {
    Simulated { cluster: Cluster, _server: Server },
    Real(Scratch),
}

/// A pod of the world, which runs.
pub(super) struct Pod<'w> {
    world: &'w World,
    name: String,
}

/// Longer than any scenario takes in real time.
const HANG: Duration = Duration::from_secs(90);

/// Waits in real time.
async fn real(time: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Delays that are short enough for real time; the budgets are the defaults.
pub(super) fn policy() -> PolicyBuilder {
    let millis = Duration::from_millis;
    Policy::builder().finalize_initial(millis(5)).finalize_max(millis(50)).reobserve(millis(200))
}

impl World {
    /// A simulated cluster, served over HTTP.
    pub(super) async fn simulated() -> Self {
        let cluster = Cluster::new();
        let server = cluster.serve().await.expect("a port");
        let config = kube::Config::new(server.url().parse().expect("a URL"));
        let upstream = podwait::Client::from_config(config).expect("a client");
        Self::new(Kind::Simulated { cluster, _server: server }, upstream.as_kube().clone())
    }

    /// A namespace of the real cluster.
    pub(super) async fn real() -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let word = format!("network-{}", WORLDS.fetch_add(1, Ordering::Relaxed));
        let scratch = Scratch::new(&word).await;
        let upstream = scratch.kube();
        Self::new(Kind::Real(scratch), upstream)
    }

    fn new(kind: Kind, upstream: kube::Client) -> Self {
        Self { kind, upstream, pods: AtomicU32::new(0), touches: AtomicU32::new(0), leaping: Mutex::new(()) }
    }

    /// Removes the namespace of a real cluster.
    pub(super) async fn remove(self) {
        match self.kind {
            Kind::Simulated { .. } => {}
            Kind::Real(scratch) => scratch.remove().await,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        match &self.kind {
            Kind::Simulated { .. } => "ci",
            Kind::Real(scratch) => scratch.namespace(),
        }
    }

    /// Sets the clock of all timers forward; sockets use real time.
    pub(super) async fn leap(&self, time: Duration) {
        let _alone = self.leaping.lock().await;
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// Makes the time of all timers run fifty times as fast as the real time of sockets.
    pub(super) async fn faster<T>(&self, what: impl Future<Output = T>) -> T {
        let hasten = async {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                self.leap(Duration::from_millis(490)).await;
            }
        };
        tokio::select! {
            done = what => done,
            () = hasten => unreachable!("it never ends"),
        }
    }

    /// A new pod whose container `step` runs.
    pub(super) async fn run(&self) -> Pod<'_> {
        let name = format!("p-{}", self.pods.fetch_add(1, Ordering::Relaxed));
        match &self.kind {
            Kind::Simulated { cluster, .. } => {
                let life = Life::of(pod("ci", &name, &["step"])).scheduled("node-1").containers_creating();
                life.running().run(cluster).await.expect("the pod runs");
            }
            Kind::Real(scratch) => {
                scratch.create(&name, &["step"]).await;
                scratch.write_status(&name, "Running", &[("step", running())]).await;
            }
        }
        Pod { world: self, name }
    }

    /// A proxy in front of this cluster.
    pub(super) async fn proxy(&self) -> Proxy {
        Proxy::start(self.upstream.clone()).await.expect("a port")
    }

    /// Waits for a running pod in both ways, each through its own prepared proxy, while `life` changes the pod.
    pub(super) async fn wait(
        &self,
        policy: PolicyBuilder,
        prepare: impl Fn(&Proxy),
        life: impl AsyncFnOnce(&Pod<'_>, [&Line; 2]),
    ) -> [Waited; 2] {
        self.wait_as(Proxy::client, policy, prepare, life).await
    }

    /// The same with other clients.
    pub(super) async fn wait_as(
        &self,
        client: impl Fn(&Proxy) -> podwait::Client,
        policy: PolicyBuilder,
        prepare: impl Fn(&Proxy),
        life: impl AsyncFnOnce(&Pod<'_>, [&Line; 2]),
    ) -> [Waited; 2] {
        let policy = policy.build().expect("a policy");
        let pod = self.run().await;
        let [watched, polled] = [self.line().await, self.line().await];
        prepare(&watched);
        prepare(&polled);
        let start = Instant::now();
        let one = async |line: &Line, poll: bool| {
            let wait = wait(client(line), self.namespace(), pod.name()).container("step");
            let wait = wait.policy(policy.clone()).on_turn(line.look());
            let outcome = if poll { wait.poll().await } else { wait.await };
            (outcome, Instant::now())
        };
        let life = async {
            life(&pod, [&watched, &polled]).await;
            Instant::now()
        };
        let all = async { tokio::join!(one(&watched, false), one(&polled, true), life) };
        let (watch, poll, over) = tokio::select! {
            all = all => all,
            () = real(HANG) => panic!("this hangs:\nwatch {watched:#?}\npoll {polled:#?}"),
        };
        [(watch, watched), (poll, polled)].map(|((outcome, at), Line { proxy, .. })| Waited {
            outcome,
            took: at - start,
            late: at.saturating_duration_since(over),
            proxy,
        })
    }

    async fn line(&self) -> Line {
        Line::new(self.proxy().await)
    }

    /// Asserts that each wait answered with this code, soon after the pod's end and with few requests. Returns the
    /// waits.
    #[track_caller]
    pub(super) fn exited(&self, code: i32, waits: [Waited; 2]) -> [Waited; 2] {
        for wait in &waits {
            assert_eq!(wait.outcome.as_ref().map(|exit| exit.code), Ok(code), "{wait:#?}");
            // A loaded machine is slow, but a hanging call would take ten seconds.
            assert!(wait.late < Duration::from_secs(8), "late: {wait:#?}");
            let requests = wait.proxy.traffic().requests;
            assert!(requests.get < 60 && requests.watch < 30, "a storm: {wait:#?}");
        }
        waits
    }

    /// Asserts that each wait failed for this reason and in this time. Returns the waits.
    #[track_caller]
    pub(super) fn failed(
        &self,
        reason: FailReason,
        time: Range<Duration>,
        waits: [Waited; 2],
    ) -> [Waited; 2] {
        for wait in &waits {
            let failed = wait.outcome.as_ref().map_err(|failure| failure.reason);
            assert_eq!(failed, Err(reason), "{wait:#?}");
            assert!(time.contains(&wait.took), "not in {time:?}: {wait:#?}");
        }
        waits
    }
}

impl Pod<'_> {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Ends the step with this code.
    pub(super) async fn finish(&self, code: i32) {
        match &self.world.kind {
            Kind::Simulated { cluster, .. } => {
                let life = Life::existing("ci", &self.name).finished(code);
                life.run(cluster).await.expect("the pod ends");
            }
            Kind::Real(scratch) => {
                let phase = if code == 0 { "Succeeded" } else { "Failed" };
                scratch.write_status(&self.name, phase, &[("step", terminated(code))]).await;
            }
        }
    }

    /// Deletes the pod without a grace period, so that it is gone.
    pub(super) async fn delete(&self) {
        match &self.world.kind {
            Kind::Simulated { cluster, .. } => {
                let life = Life::existing("ci", &self.name).delete(0);
                life.run(cluster).await.expect("the pod goes");
            }
            Kind::Real(scratch) => scratch.delete(&self.name, 0).await,
        }
    }

    /// Changes the pod without an end.
    pub(super) async fn touch(&self) {
        let nth = self.world.touches.fetch_add(1, Ordering::Relaxed);
        match &self.world.kind {
            Kind::Simulated { cluster, .. } => {
                let patch = json!({ "status": { "message": format!("note {nth}") } });
                let life = Life::existing("ci", &self.name).merge(patch);
                life.run(cluster).await.expect("the pod changes");
            }
            // The start time changes.
            Kind::Real(scratch) => {
                let started = format!("2026-01-01T00:{:02}:{:02}Z", nth / 60 % 60, nth % 60);
                let state = json!({ "running": { "startedAt": started } });
                scratch.write_status(&self.name, "Running", &[("step", state)]).await;
            }
        }
    }
}
