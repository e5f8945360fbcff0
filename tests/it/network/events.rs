//! Watches with wrong lines, and caches that are behind.

use super::{World, every_such, on_both, policy};
use futures_util::future::join_all;
use podwait_sim::Verb;
use podwait_tests::proxy::{Extra, Fault, Request};

on_both! {
    with_any_other_lines_in_a_watch_the_end_of_the_pod_is_the_answer
    a_cache_that_is_behind_does_not_undo_a_newer_state
    a_get_with_another_pod_is_no_evidence_about_ours
}

const EXTRAS: [Extra; 13] = [
    Extra::Again,
    Extra::Stale,
    Extra::Stranger,
    Extra::StrangerDeleted,
    Extra::UnknownType,
    Extra::Bookmark,
    Extra::Error(410),
    Extra::Error(500),
    Extra::Error(429),
    Extra::Error(403),
    Extra::Huge,
    Extra::Blank,
    Extra::Garbage,
];

async fn with_any_other_lines_in_a_watch_the_end_of_the_pod_is_the_answer(world: &World) {
    // From the beginning of every watch, and after its first event.
    let faults = EXTRAS.iter().flat_map(|extra| [0, 1].map(|after| Fault::Add { after, extra: *extra }));
    let waits = faults.map(async |fault| {
        let waits = world.wait(
            policy(),
            |proxy| proxy.rule(every_such(Verb::Watch, fault.clone())),
            async |pod, [watched, polled]| {
                watched.until(|traffic| traffic.requests.watch > 0).await;
                pod.touch().await;
                polled.until(|traffic| traffic.requests.get > 1).await;
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    });
    join_all(waits).await;
}

/// Two API servers, one of which is behind: every second GET, and the watch after each event, have the first state of
/// the pod.
async fn a_cache_that_is_behind_does_not_undo_a_newer_state(world: &World) {
    let lagging = |request: &Request| {
        if request.verb == Verb::Watch {
            return Some(Fault::Add { after: 0, extra: Extra::Stale });
        }
        request.nth.is_multiple_of(2).then_some(Fault::Old)
    };
    let waits = world.wait(
        policy(),
        |proxy| proxy.rule(lagging),
        async |pod, proxies| {
            for round in 1..=4 {
                pod.touch().await;
                for proxy in proxies {
                    proxy.until(|traffic| traffic.requests.get > round).await;
                }
            }
            pod.finish(3).await;
        },
    );
    world.exited(3, waits.await);
}

/// A cache before the API server that mixes up responses, from the first one or later.
async fn a_get_with_another_pod_is_no_evidence_about_ours(world: &World) {
    for begin in [2, 1] {
        let confused = move |request: &Request| {
            let is_hit = request.verb == Verb::Get && (begin..begin + 3).contains(&request.nth);
            is_hit.then_some(Fault::Stranger)
        };
        let waits = world.wait(
            policy(),
            |proxy| proxy.rule(confused),
            async |pod, proxies| {
                for proxy in proxies {
                    proxy.until(|traffic| traffic.faults > 0).await;
                }
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    }
}
