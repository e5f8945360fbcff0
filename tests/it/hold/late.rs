//! Requests for a hold that the API server carries out later than the client assumes.

use super::{finalizers, running, secs};
use http::{Method, Request};
use kube::client::Body;
use podwait::{FINALIZER, Hold, wait};
use podwait_sim::Cluster;
use podwait_tests::client_of;
use serde_json::json;
use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The result of the first PATCH for the client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    /// The response, once the PATCH was carried out.
    Answer,
    /// A broken connection, at once.
    Reset,
    /// Nothing.
    Nothing,
}

/// A client of a server that carries out the first PATCH only after this time, whether or not the client still waits.
fn client(cluster: &Cluster, late: Duration, heard: Heard) -> podwait::Client {
    let (cluster, is_first) = (cluster.clone(), Arc::new(AtomicBool::new(true)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let cluster = cluster.clone();
        let is_late = request.method() == Method::PATCH && is_first.swap(false, Ordering::Relaxed);
        async move {
            if !is_late {
                return cluster.handle(request).await;
            }
            let carried_out = tokio::spawn(async move {
                sleep(late).await;
                cluster.handle(request).await
            });
            match heard {
                Heard::Answer => carried_out.await.map_err(io::Error::other)?,
                Heard::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                Heard::Nothing => std::future::pending().await,
            }
        }
    });
    podwait::Client::from_service(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_is_added_after_the_wait_was_dropped_is_removed() {
    for heard in [Heard::Answer, Heard::Reset, Heard::Nothing] {
        for late in [100, 2000, 8000] {
            let cluster = Cluster::new();
            running().spawn(&cluster);
            sleep(secs(2)).await;
            let client = client(&cluster, Duration::from_millis(late), heard);
            let hold = Hold::new(client.clone(), "ci", "p");
            let wait = wait(client, "ci", "p").hold(&hold).into_future();
            let _ = timeout(Duration::from_millis(50), wait).await.expect_err("it runs");
            let start = Instant::now();
            hold.release().await.expect("it is let go");
            assert!(start.elapsed() <= secs(30), "{heard:?}, {late}: {:?}", start.elapsed());
            sleep(secs(30)).await;
            assert_eq!(finalizers(&cluster), Some(json!(null)), "{heard:?}, {late} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_is_added_twice_is_removed() {
    // The first request seems to be lost, and the second one gets a response.
    let cluster = Cluster::new();
    running().after(secs(3)).finished(0).spawn(&cluster);
    sleep(secs(2)).await;
    let client = client(&cluster, secs(5), Heard::Reset);
    let hold = Hold::new(client.clone(), "ci", "p");
    let exit = wait(client, "ci", "p").hold(&hold).await;
    assert_eq!(exit.map(|exit| exit.code), Ok(0));
    assert_eq!(finalizers(&cluster), Some(json!([FINALIZER])));
    hold.release().await.expect("it is let go");
    sleep(secs(30)).await;
    assert_eq!(finalizers(&cluster), Some(json!(null)));
}

/// If all requests got responses, nothing needs to be confirmed.
#[tokio::test(start_paused = true)]
async fn a_release_is_usually_one_request() {
    let cluster = Cluster::new();
    running().after(secs(3)).finished(0).spawn(&cluster);
    let hold = Hold::new(client_of(&cluster), "ci", "p");
    wait(client_of(&cluster), "ci", "p").hold(&hold).await.expect("an exit");
    let start = Instant::now();
    hold.release().await.expect("it is let go");
    assert_eq!((cluster.requests().patch, start.elapsed()), (2, Duration::ZERO));
}

/// The wait is no longer polled in the middle of its request, and is not dropped.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_not_polled_delays_no_release() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    sleep(secs(2)).await;
    let client = client(&cluster, secs(1), Heard::Answer);
    let hold = Hold::new(client.clone(), "ci", "p");
    let mut wait = wait(client, "ci", "p").hold(&hold).into_future();
    let _ = timeout(Duration::from_millis(50), &mut wait).await.expect_err("it runs");
    timeout(secs(20), hold.release()).await.expect("it has an end").expect("it is let go");
    assert_eq!(finalizers(&cluster), Some(json!(null)));
    // And it does not add the finalizer again after its removal.
    let _ = timeout(secs(20), wait).await;
    assert_eq!(finalizers(&cluster), Some(json!(null)));
}
