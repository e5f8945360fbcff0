//! Waits through a proxy with every fault, watching and polling at once. Behind the proxy is the simulated cluster, or
//! a real API server if there is one.
//!
//! Sockets need real time, so budgets and delays are short here. Long times (a call's own timeout, an outage of
//! minutes) are skipped: this sets the clock of the process's timers forward, see [`World::leap`].

mod answers;
mod budgets;
mod connections;
mod events;
mod line;
mod mixtures;
mod trust;
mod world;

use line::Waited;
use podwait_sim::Verb;
use podwait_tests::proxy::{Fault, Request};
use std::time::Duration;
use world::{World, on_both, policy};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A rule for the first requests of either verb.
fn first(mut requests: u32, fault: impl Into<Fault>) -> impl FnMut(&Request) -> Option<Fault> + Send {
    let fault = fault.into();
    move |_| {
        requests = requests.checked_sub(1)?;
        Some(fault.clone())
    }
}

/// A rule for every request.
fn every(fault: impl Into<Fault>) -> impl FnMut(&Request) -> Option<Fault> + Send {
    let fault = fault.into();
    move |_| Some(fault.clone())
}

/// A rule for every request with this verb.
fn every_such(verb: Verb, fault: impl Into<Fault>) -> impl FnMut(&Request) -> Option<Fault> + Send {
    let fault = fault.into();
    move |request| (request.verb == verb).then(|| fault.clone())
}

on_both! {
    without_faults
}

/// Without faults there is one GET and one watch, on HTTP/1.1.
async fn without_faults(world: &World) {
    let waits = world.wait(
        policy(),
        |_| {},
        async |pod, [watched, _]| {
            watched.until(|traffic| traffic.requests.watch == 1).await;
            pod.finish(3).await;
        },
    );
    for Waited { proxy, .. } in world.exited(3, waits.await) {
        assert_eq!(proxy.traffic().http2, 0, "podwait uses HTTP/1.1 only, so there is no GOAWAY");
        assert!(proxy.traffic().connections <= 2, "{proxy:?}");
    }
}
