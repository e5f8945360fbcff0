//! The waiters in Rust, each of which runs in its own process. All use one thread, since they compute little.

use super::waiter::Waiter;
use super::{now, pod_name};
use http::Request;
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::client::Body;
use kube::runtime::wait::await_condition;
use podwait::Observed;
use podwait_core::ContainerState;
use podwait_tests::cluster::config;
use podwait_wire::{Encoding, Event, Frames};
use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The time between the beginnings of two waits, so that no wait fails because of too many connections at once.
const BETWEEN_BEGINNINGS: Duration = Duration::from_millis(5);

/// The interval of the waiter that polls.
const POLL: Duration = Duration::from_secs(1);

/// The pods to wait for.
#[derive(Clone, Debug)]
pub struct Task {
    /// The kubeconfig of the cluster.
    pub kubeconfig: PathBuf,
    /// Their namespace.
    pub namespace: String,
    /// The number of pods.
    pub count: usize,
}

/// Waits as this waiter does, and reports on standard output.
///
/// # Errors
/// The wait cannot begin.
pub async fn wait(waiter: Waiter, task: Task) -> Result<(), Box<dyn Error>> {
    match waiter {
        Waiter::Hub => task.hub().await,
        Waiter::PerPod => task.per_pod().await,
        Waiter::AwaitCondition => task.await_condition().await,
        Waiter::Poll => task.poll().await,
        Waiter::Limit => task.limit().await,
        Waiter::LimitProto => task.limit_proto().await,
        Waiter::Shared | Waiter::Informers | Waiter::InformersUnthrottled | Waiter::Kubectl => {
            Err("not in Rust".into())
        }
    }
}

/// Reports when all pods were observed.
#[derive(Clone)]
struct Attached(Arc<AtomicUsize>);

impl Attached {
    fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    /// Counts an observed pod, once for each flag.
    fn sees(&self, before: &AtomicBool) {
        if !before.swap(true, Ordering::Relaxed) && self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            println!("attached");
        }
    }
}

fn say(number: usize, code: Result<i32, String>) {
    let at = now();
    match code {
        Ok(code) => println!("answer {number} {at} {code}"),
        Err(text) => println!("error {number} {}", text.replace('\n', " ")),
    }
}

impl Task {
    /// A client that podwait makes.
    async fn own_client(&self) -> Result<podwait::Client, podwait::ConfigError> {
        podwait::Client::from_config(config(&self.kubeconfig, None).await)
    }

    /// A client that kube makes.
    async fn client(&self) -> Result<kube::Client, kube::Error> {
        kube::Client::try_from(config(&self.kubeconfig, None).await)
    }

    /// A task for each pod, one after the other, until all have ended.
    async fn for_each<F>(&self, between: Duration, one: impl Fn(usize) -> F)
    where
        F: Future<Output = Result<i32, String>> + Send + 'static,
    {
        let mut tasks = tokio::task::JoinSet::new();
        let start = Instant::now();
        for number in 0..self.count {
            if !between.is_zero() {
                sleep_until(start + between * u32::try_from(number).expect("a number of pods")).await;
            }
            let one = one(number);
            tasks.spawn(async move { say(number, one.await) });
        }
        tasks.join_all().await;
    }

    /// Waits for all pods with podwait. `make` makes the wait for the pod of this name.
    async fn podwait(&self, between: Duration, make: impl Fn(&str) -> podwait::Wait) {
        let attached = Attached::new(self.count);
        self.for_each(between, |number| {
            let (attached, seen) = (attached.clone(), AtomicBool::new(false));
            let wait = make(&pod_name(number)).container("step").on_turn(move |turn| {
                if let Observed::Pod(..) = turn.observed {
                    attached.sees(&seen);
                }
            });
            async move { wait.await.map(|exit| exit.code).map_err(|failure| failure.to_string()) }
        })
        .await;
    }

    /// All waits begin at once, since they share one connection.
    async fn hub(self) -> Result<(), Box<dyn Error>> {
        let hub = podwait::Hub::new(self.own_client().await?, podwait::Scope::namespace(&*self.namespace));
        self.podwait(Duration::ZERO, |name| hub.wait(&self.namespace, name)).await;
        Ok(())
    }

    async fn per_pod(self) -> Result<(), Box<dyn Error>> {
        let client = self.own_client().await?;
        self.podwait(BETWEEN_BEGINNINGS, |name| podwait::wait(client.clone(), &self.namespace, name)).await;
        Ok(())
    }

    async fn await_condition(self) -> Result<(), Box<dyn Error>> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, &self.namespace);
        let attached = Attached::new(self.count);
        self.for_each(BETWEEN_BEGINNINGS, |number| {
            let (pods, attached, seen) = (pods.clone(), attached.clone(), AtomicBool::new(false));
            async move {
                let is_over = |pod: Option<&Pod>| {
                    let Some(pod) = pod else { return false };
                    attached.sees(&seen);
                    phase_is_terminal(pod)
                };
                let pod = await_condition(pods, &pod_name(number), is_over).await;
                let pod = pod.map_err(|error| error.to_string())?;
                pod.as_ref().and_then(exit_code).ok_or_else(|| String::from("no exit code"))
            }
        })
        .await;
        Ok(())
    }

    async fn poll(self) -> Result<(), Box<dyn Error>> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, &self.namespace);
        let attached = Attached::new(self.count);
        self.for_each(BETWEEN_BEGINNINGS, |number| {
            let (pods, attached, seen) = (pods.clone(), attached.clone(), AtomicBool::new(false));
            async move {
                let mut next = Instant::now();
                loop {
                    let pod = pods.get(&pod_name(number)).await.map_err(|error| error.to_string())?;
                    attached.sees(&seen);
                    if let Some(code) = exit_code(&pod) {
                        return Ok(code);
                    }
                    // After a delay the polls are not made up for.
                    next = (next + POLL).max(Instant::now());
                    sleep_until(next).await;
                }
            }
        })
        .await;
        Ok(())
    }

    /// Only searches each line for `"terminated"` and for the name.
    async fn limit(self) -> Result<(), Box<dyn Error>> {
        let mut body = self.watch("application/json").await?;
        let (mut buffer, mut ended) = (Vec::new(), HashSet::new());
        while ended.len() < self.count {
            let frame = body.frame().await.ok_or("the watch ended")??;
            let Some(data) = frame.data_ref() else { continue };
            buffer.extend_from_slice(data);
            // The bytes that were received before contain no line end.
            let Some(end) = data.iter().rposition(|byte| *byte == b'\n') else { continue };
            let whole = buffer.len() - data.len() + end + 1;
            for line in std::str::from_utf8(&buffer[..whole])?.lines() {
                if let Some(number) = ended_pod(line)
                    && ended.insert(number)
                {
                    println!("answer {number} {} -", now());
                }
            }
            buffer.drain(..whole);
        }
        Ok(())
    }

    /// Decodes every pod, and answers with the code of its only container.
    async fn limit_proto(self) -> Result<(), Box<dyn Error>> {
        let mut body = self.watch(podwait_wire::ACCEPT).await?;
        let (mut frames, mut ended) = (Frames::new(Encoding::Protobuf), HashSet::new());
        while ended.len() < self.count {
            let frame = body.frame().await.ok_or("the watch ended")??;
            let mut piece = frame.data_ref().map_or(&[][..], |data| data);
            while let Some(event) = frames.next_frame(&mut piece)? {
                let event = Event::read(Encoding::Protobuf, event)?;
                let pod = event.pod()?.snapshot;
                let number = event.head.name.strip_prefix("step-").and_then(|number| number.parse().ok());
                let state = pod.container_statuses.into_iter().next().and_then(|status| status.state);
                if let (Some(ContainerState::Terminated(record)), Some(number)) = (state, number)
                    && ended.insert(number)
                {
                    say(number, Ok(record.exit_code));
                }
            }
        }
        Ok(())
    }

    /// A watch of all pods of the namespace, from now on.
    async fn watch(&self, accept: &str) -> Result<Body, Box<dyn Error>> {
        let client = self.client().await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let version = pods.list(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let uri = format!("{path}?watch=true&resourceVersion={}", version.unwrap_or_default());
        let answer = client.send(Request::get(uri).header("Accept", accept).body(Body::empty())?).await?;
        if !answer.status().is_success() {
            return Err(format!("the watch is refused: {}", answer.status()).into());
        }
        println!("attached");
        Ok(answer.into_body())
    }
}

/// The pod that ends in this event of a watch.
fn ended_pod(line: &str) -> Option<usize> {
    // The status is the last part of a pod, the name the first.
    line.rfind("\"terminated\":{\"")?;
    let (_, name) = line.split_once("\"name\":\"step-")?;
    name.split_once('"')?.0.parse().ok()
}

/// Whether the phase is Succeeded or Failed.
pub(super) fn phase_is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The exit code of the container `step`.
fn exit_code(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let step = statuses.iter().find(|status| status.name == "step")?;
    Some(step.state.as_ref()?.terminated.as_ref()?.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_found_in_its_line() {
        let line = |state: &str| {
            format!(
                r#"{{"type":"MODIFIED","object":{{"kind":"Pod","metadata":{{"name":"step-12","managedFields":[{{"f:terminated":{{}}}}]}},"status":{{"containerStatuses":[{{"name":"step","state":{{{state}}}}}]}}}}}}"#
            )
        };
        assert_eq!(ended_pod(&line(r#""terminated":{"exitCode":3}"#)), Some(12));
        assert_eq!(ended_pod(&line(r#""running":{"startedAt":"x"}"#)), None);
    }
}
