//! Connections that break, hang, are slow or are refused.

use super::{Waited, World, every, every_such, first, millis, on_both, policy, secs};
use futures_util::future::join_all;
use podwait_sim::Verb;
use podwait_tests::proxy::{Door, Ending, Fault, Place};

on_both! {
    a_connection_that_breaks_anywhere_is_survived
    a_watch_that_always_breaks_loses_nothing
    a_connection_that_is_closed_when_idle_is_no_error
    a_call_that_hangs_is_abandoned_after_ten_seconds
    a_slow_server_is_read
    a_body_that_does_not_end_in_time_is_abandoned
    a_server_with_short_outages_is_reached_again
    a_pod_that_ended_and_was_deleted_during_an_outage_has_its_end
    a_server_that_returns_after_ten_minutes_gets_few_requests
}

/// Endings that a client detects at once.
const ENDINGS: [Ending; 5] = [Ending::Reset, Ending::Shut, Ending::Crash, Ending::Undelimited, Ending::Clean];

async fn a_connection_that_breaks_anywhere_is_survived(world: &World) {
    let places = [Place::Request, Place::Headers, Place::Byte(1), Place::Byte(300), Place::Middle(0)];
    let cuts = places.iter().flat_map(|place| ENDINGS.map(|ending| Fault::Stop(*place, ending)));
    let waits = cuts.map(async |cut| {
        let waits = world.wait(
            policy(),
            |proxy| proxy.rule(first(4, cut.clone())),
            async |pod, proxies| {
                // Before an event a watch has no line that could be cut.
                pod.touch().await;
                for proxy in proxies {
                    proxy.until(|traffic| traffic.faults >= 3).await;
                }
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    });
    join_all(waits).await;
}

async fn a_watch_that_always_breaks_loses_nothing(world: &World) {
    let places =
        [Place::Request, Place::Headers, Place::Line(0), Place::Line(1), Place::Middle(0), Place::Middle(1)];
    let endings = ENDINGS.into_iter().chain([Ending::Silence]);
    let cuts = endings.flat_map(|ending| places.map(|place| Fault::Stop(place, ending)));
    let waits = cuts.map(async |cut| {
        let waits = world.wait(
            policy(),
            |proxy| proxy.rule(every_such(Verb::Watch, cut.clone())),
            async |pod, [watched, _]| {
                watched.until(|traffic| traffic.faults > 0).await;
                pod.touch().await;
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    });
    join_all(waits).await;
}

/// The equivalent of GOAWAY in HTTP/2, which podwait does not use: the server closes a connection that the client would
/// reuse. With or without an announcement no call fails, as an error budget shows that is too short for one failure.
async fn a_connection_that_is_closed_when_idle_is_no_error(world: &World) {
    for announced in [true, false] {
        let waits = world.wait(
            policy().reobserve(millis(20)).api_error_budget(millis(1)),
            |proxy| proxy.rule(every_such(Verb::Get, Fault::Close { announced })),
            async |pod, proxies| {
                for proxy in proxies {
                    proxy.until(|traffic| traffic.requests.get >= 10).await;
                }
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    }
}

async fn a_call_that_hangs_is_abandoned_after_ten_seconds(world: &World) {
    for place in [Place::Request, Place::Headers, Place::Byte(100)] {
        let waits = world.wait(
            policy(),
            |proxy| proxy.push(Verb::Get, Fault::Stop(place, Ending::Silence)),
            async |pod, proxies| {
                for proxy in proxies {
                    proxy.until(|traffic| traffic.faults == 1).await;
                }
                world.leap(secs(10)).await;
                for proxy in proxies {
                    proxy.until(|traffic| traffic.requests.get == 2).await;
                }
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    }
    // The same before the TLS handshake.
    let waits = world.wait(
        policy(),
        |_| {},
        async |pod, proxies| {
            for proxy in proxies {
                proxy.door(Door::Silent).await;
            }
            for proxy in proxies {
                proxy.until(|traffic| traffic.connections == 1).await;
                proxy.door(Door::Open).await;
            }
            world.leap(secs(10)).await;
            pod.finish(3).await;
        },
    );
    for Waited { took, proxy, .. } in world.exited(3, waits.await) {
        assert!(took >= secs(10) && proxy.traffic().connections >= 2, "{took:?} {proxy:?}");
    }
}

async fn a_slow_server_is_read(world: &World) {
    let waits = world.wait(
        policy(),
        |proxy| proxy.rule(every(Fault::Slow { bytes: 64, pause: millis(3) })),
        async |pod, [watched, _]| {
            watched.until(|traffic| traffic.requests.watch == 1).await;
            pod.finish(3).await;
        },
    );
    world.exited(3, waits.await);
}

/// Single bytes keep a connection alive, but a response must still have a limit of time.
async fn a_body_that_does_not_end_in_time_is_abandoned(world: &World) {
    let waits = world.wait(
        policy(),
        |proxy| proxy.push(Verb::Get, Fault::Slow { bytes: 1, pause: secs(1) }),
        async |pod, proxies| {
            for proxy in proxies {
                proxy.until(|traffic| traffic.faults == 1).await;
            }
            for _ in 0..10 {
                world.leap(secs(1)).await;
            }
            pod.finish(3).await;
        },
    );
    for Waited { took, proxy, .. } in world.exited(3, waits.await) {
        assert!(took >= secs(10) && proxy.traffic().requests.get >= 2, "{took:?} {proxy:?}");
    }
}

async fn a_server_with_short_outages_is_reached_again(world: &World) {
    for door in [Door::Shut, Door::Reset] {
        let waits = world.wait(
            policy(),
            |_| {},
            async |pod, proxies| {
                proxies[0].until(|traffic| traffic.requests.watch == 1).await;
                for round in 1..=3 {
                    for proxy in proxies {
                        proxy.door(door).await;
                        proxy.sever().await;
                    }
                    for proxy in proxies {
                        proxy.door(Door::Open).await;
                        proxy.until(|traffic| traffic.requests.get > round).await;
                    }
                }
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    }
}

/// A watch also gets earlier events from the API server, and a wait that polls opens one, too, when its pod is gone.
async fn a_pod_that_ended_and_was_deleted_during_an_outage_has_its_end(world: &World) {
    let waits = world.wait(
        policy(),
        |_| {},
        async |pod, proxies| {
            proxies[0].until(|traffic| traffic.requests.watch == 1).await;
            proxies[1].until_knows(|calls| calls.reads > 0).await;
            for proxy in proxies {
                proxy.door(Door::Shut).await;
                proxy.sever().await;
            }
            pod.finish(3).await;
            pod.delete().await;
            for proxy in proxies {
                proxy.door(Door::Open).await;
            }
        },
    );
    for waited in waits.await {
        assert_eq!(waited.outcome.as_ref().map(|exit| exit.code), Ok(3), "{waited:#?}");
        assert!(waited.late < secs(8), "{waited:#?}");
    }
}

async fn a_server_that_returns_after_ten_minutes_gets_few_requests(world: &World) {
    let policy = podwait::Policy::builder().api_error_budget(secs(1200));
    let waits = world.wait(
        policy,
        |_| {},
        async |pod, proxies| {
            proxies[0].until(|traffic| traffic.requests.watch == 1).await;
            proxies[1].until_knows(|calls| calls.reads > 0).await;
            let begin = proxies.map(|proxy| proxy.traffic());
            for proxy in proxies {
                proxy.door(Door::Reset).await;
                proxy.sever().await;
            }
            // The longest delay is 5 s, so each wait retries in each leap.
            for _ in 0..120 {
                let errors = proxies.map(|line| line.calls().errors);
                world.leap(secs(5)).await;
                for (line, errors) in proxies.into_iter().zip(errors) {
                    line.until_knows(|calls| calls.errors > errors).await;
                }
            }
            for (proxy, begin) in proxies.iter().zip(begin) {
                let tries = proxy.traffic().connections - begin.connections;
                assert!((115..=130).contains(&tries), "{tries} connections in ten minutes: {proxy:?}");
                assert_eq!(proxy.traffic().requests, begin.requests, "{proxy:?}");
                proxy.door(Door::Open).await;
            }
            let reads = proxies.map(|line| line.calls().reads);
            world.leap(secs(5)).await;
            for (line, reads) in proxies.into_iter().zip(reads) {
                line.until_knows(|calls| calls.reads > reads).await;
            }
            for (proxy, begin) in proxies.iter().zip(begin) {
                let (get, watch) = (proxy.traffic().requests.get, proxy.traffic().requests.watch);
                assert!(get <= begin.requests.get + 2 && watch <= begin.requests.watch + 2, "{proxy:?}");
            }
            pod.finish(3).await;
        },
    );
    world.exited(3, waits.await);
}
