//! A program that already has a watcher of kube, as a controller does, and feeds podwait's machines from it: one watch
//! for all pods, and a GET when a machine's delay is over.
//!
//! ```text
//! cargo run -p podwait --example reflector -- NAMESPACE POD...
//! ```
//!
//! It reads the kubeconfig of `$KUBECONFIG`, and prints a line for each pod. It lacks three things that
//! [`podwait::Hub`] has: the final state of a pod that was deleted while the watch was broken, a request budget for all
//! pods, and `Retry-After`.

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config, ResourceExt};
use podwait::core::{ApiError, Decision, Input, Instant, PodSnapshot, WaitMachine};
use podwait::wire;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant as Clock, sleep, sleep_until};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let namespace = arguments.next().ok_or("NAMESPACE POD... are needed")?;
    let policy = Arc::default();
    let machine = |pod| (pod, WaitMachine::new(Arc::clone(&policy)));
    let mut waits = Waits { machines: arguments.map(machine).collect(), start: Clock::now() };

    let pods: Api<Pod> = Api::namespaced(Client::try_from(Config::infer().await?)?, &namespace);
    let mut events = pin!(watcher(pods.clone(), watcher::Config::default()));
    let mut listed = BTreeSet::new();
    while let Some((pod, due)) = waits.next_due() {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(Event::Init) => listed.clear(),
                // The watcher lists without a resourceVersion: a consistent read.
                Ok(Event::InitApply(pod)) => {
                    waits.feed_pod(&pod, |pod| Input::Read(pod));
                    listed.insert(pod.name_any());
                }
                Ok(Event::InitDone) => waits.feed_all(|pod| !listed.contains(pod), Input::NotFound),
                Ok(Event::Apply(pod)) => waits.feed_pod(&pod, |pod| Input::Snapshot(pod)),
                Ok(Event::Delete(pod)) => waits.feed_pod(&pod, |pod| Input::Deleted(pod)),
                Err(error) => {
                    let (message, code) = (error.to_string(), code_of_watch(&error));
                    waits.feed_all(|_| true, Input::ApiError(api_error(code, &message)));
                    // A failed watcher begins anew at the next poll.
                    sleep(Duration::from_secs(1)).await;
                }
            },
            () = sleep_until(due) => match pods.get_opt(&pod).await {
                Ok(Some(found)) => waits.feed_pod(&found, |pod| Input::Read(pod)),
                Ok(None) => waits.feed(&pod, Input::NotFound),
                Err(error) => {
                    let (message, code) = (error.to_string(), code(&error));
                    waits.feed(&pod, Input::ApiError(api_error(code, &message)));
                }
            },
        }
    }
    Ok(())
}

struct Waits {
    machines: BTreeMap<String, WaitMachine>,
    start: Clock,
}

impl Waits {
    /// The pod that is due first, and when.
    fn next_due(&self) -> Option<(String, Clock)> {
        let due = self.machines.iter().filter_map(|(pod, machine)| Some((machine.next_deadline()?, pod)));
        let (at, pod) = due.min()?;
        Some((pod.clone(), self.start + at.since(Instant::ZERO)))
    }

    fn feed_pod(&mut self, pod: &Pod, input: impl FnOnce(&PodSnapshot) -> Input<'_>) {
        // Most pods have no wait, and are not decoded.
        let name = pod.name_any();
        if self.machines.contains_key(&name) {
            self.feed(&name, input(&wire::Pod::from(pod).snapshot));
        }
    }

    fn feed_all(&mut self, is_meant: impl Fn(&str) -> bool, input: Input<'_>) {
        let meant: Vec<String> = self.machines.keys().filter(|pod| is_meant(pod)).cloned().collect();
        meant.iter().for_each(|pod| self.feed(pod, input));
    }

    fn feed(&mut self, pod: &str, input: Input<'_>) {
        let now = Instant::ZERO.after(self.start.elapsed());
        let Some(machine) = self.machines.get_mut(pod) else { return };
        match machine.handle(now, input) {
            Decision::Retry { .. } => return,
            Decision::Done(exit) => println!("{pod}: {exit}"),
            Decision::Fail(failure) => println!("{pod}: {}: {failure}", failure.reason),
        }
        self.machines.remove(pod);
    }
}

/// `code` of a `Status` of the API server, if it sent one.
fn code(error: &kube::Error) -> Option<u16> {
    if let kube::Error::Api(status) = error { Some(status.code) } else { None }
}

fn code_of_watch(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => code(error),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

fn api_error(code: Option<u16>, message: &str) -> ApiError<'_> {
    ApiError { code: code.unwrap_or_default(), is_status: code.is_some(), retry_after: None, message }
}
