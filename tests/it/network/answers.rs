//! Responses without a pod.

use super::{Waited, World, every_such, first, on_both, policy, secs};
use futures_util::future::join_all;
use podwait_sim::Verb;
use podwait_tests::cluster::pause;
use podwait_tests::proxy::{Answer, Ending, Fault, Place};

on_both! {
    an_error_for_a_while_is_survived
    a_server_that_refuses_watches_is_polled
    retry_after_is_obeyed
    an_absurd_retry_after_does_not_outlast_the_budget
}

/// Temporary errors, and 404s that are not about the pod.
fn errors() -> Vec<Answer> {
    let status = [401, 403, 408, 410, 418, 429, 500, 502, 503, 504].map(Answer::status);
    let odd = ["0", "-1", "1.5", "soon", "", "99999999999999999999999999"];
    let odd = odd.map(|value| Answer::status(429).retry_after(value));
    let foreign = [
        Answer::status(404),
        Answer::text(404, "404 page not found"),
        Answer::html(404),
        Answer::not_found("namespaces", "p-0"),
        Answer::not_found("pods", "another"),
        Answer::html(302).header("location", "https://127.0.0.1:1/login"),
        Answer::html(502),
        Answer::status(503).header("x-padding", "x".repeat(1 << 20)),
        Answer::html(200),
        Answer::text(200, ""),
        Answer::text(503, "upstream connect error or disconnect/reset before headers"),
        Answer::text(200, r#"{"kind":"Pod","apiVersion":"v1"}"#),
        Answer::text(200, r#"{"kind":"PodList","apiVersion":"v1","items":[]}"#),
    ];
    status.into_iter().chain(odd).chain(foreign).collect()
}

async fn an_error_for_a_while_is_survived(world: &World) {
    let faults = errors().into_iter().map(Fault::from);
    // Truncated JSON in a body that ends properly.
    let truncated = [1, 20, 200].map(|bytes| Fault::Stop(Place::Byte(bytes), Ending::Clean));
    let noise = [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    ];
    let waits = faults.chain(truncated).chain(noise.map(|bytes| Fault::Bytes(bytes, Ending::Shut))).map(
        async |fault| {
            let waits = world.wait(
                policy(),
                |proxy| proxy.rule(first(4, fault.clone())),
                async |pod, proxies| {
                    for proxy in proxies {
                        proxy.until(|traffic| traffic.requests.get >= 5 || traffic.faults == 4).await;
                    }
                    pod.finish(3).await;
                },
            );
            world.exited(3, waits.await);
        },
    );
    join_all(waits).await;
}

async fn a_server_that_refuses_watches_is_polled(world: &World) {
    let refusals = errors().into_iter().chain([400, 405, 406, 422].map(Answer::status));
    let waits = refusals.map(async |refusal| {
        let waits = world.wait(
            policy(),
            |proxy| proxy.rule(every_such(Verb::Watch, refusal.clone())),
            async |pod, [watched, polled]| {
                watched.until(|traffic| traffic.requests.watch > 0).await;
                polled.until(|traffic| traffic.requests.get > 1).await;
                pod.finish(3).await;
            },
        );
        world.exited(3, waits.await);
    });
    join_all(waits).await;
}

async fn retry_after_is_obeyed(world: &World) {
    let (date, in_a_minute) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT");
    let answers = [
        Answer::status(429).retry_after("60"),
        Answer::status(503).retry_after("60"),
        Answer::status(429).header("date", date).retry_after(in_a_minute),
        Answer::html(503).header("date", date).retry_after(in_a_minute),
    ];
    // One wait after the other, since they share the clock.
    for answer in answers {
        let waits = world.wait(
            policy(),
            |proxy| proxy.push(Verb::Get, answer.clone()),
            async |pod, proxies| {
                for line in proxies {
                    line.until_knows(|calls| calls.errors == 1).await;
                }
                pod.finish(3).await;
                // The real time so far is part of the sixty seconds.
                world.leap(secs(45)).await;
                // Enough time for a request that is too early.
                pause(300).await;
                for proxy in proxies {
                    assert_eq!(proxy.traffic().requests.get, 1, "{proxy:?}");
                }
                world.leap(secs(15)).await;
            },
        );
        for Waited { took, proxy, .. } in world.exited(3, waits.await) {
            assert_eq!(proxy.traffic().requests.get, 2, "{took:?} {proxy:?}");
        }
    }
}

/// The server must not determine the end of the wait: there is one last read at the end of the budget.
async fn an_absurd_retry_after_does_not_outlast_the_budget(world: &World) {
    for value in ["86400", "1000000000000", "18446744073709551615"] {
        for verb in [Verb::Get, Verb::Watch] {
            let waits = world.wait(
                policy().api_error_budget(secs(60)),
                |proxy| proxy.push(verb, Answer::status(429).retry_after(value)),
                async |pod, [watched, polled]| {
                    watched.until_knows(|calls| calls.errors == 1).await;
                    polled.until_knows(|calls| calls.errors == 1 || verb == Verb::Watch).await;
                    pod.finish(3).await;
                    world.leap(secs(60)).await;
                },
            );
            for Waited { proxy, .. } in world.exited(3, waits.await) {
                assert!(proxy.traffic().requests.get <= 3, "{proxy:?}");
            }
        }
    }
}
