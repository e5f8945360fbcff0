//! Permanent faults: each budget ends with its own reason, and in time.

use super::{Waited, World, every, millis, on_both, policy, secs};
use futures_util::future::join_all;
use podwait::FailReason;
use podwait_tests::proxy::{Answer, Door, Ending, Fault, Place, Proxy};
use std::time::Duration;

on_both! {
    a_budget_ends_with_the_right_reason_at_the_right_time
    a_request_that_is_refused_for_good_is_reported_at_once
    a_missing_or_untrusted_server_is_reported_when_the_budget_ends
    a_server_that_hangs_delays_no_timer
    a_refusal_whose_body_hangs_is_a_refusal
}

/// Longer than any instant operation takes on a loaded machine, and much shorter than the default budgets.
const LONG: Duration = secs(20);

/// A refusal whose body never arrives.
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 100\r\n\r\n{";

async fn a_budget_ends_with_the_right_reason_at_the_right_time(world: &World) {
    let unavailable = [
        Fault::Stop(Place::Request, Ending::Reset),
        Fault::Stop(Place::Request, Ending::Shut),
        Fault::Stop(Place::Byte(200), Ending::Crash),
        Fault::Stop(Place::Byte(200), Ending::Clean),
        Answer::status(500).into(),
        Answer::html(502).into(),
        Answer::status(503).into(),
        Answer::status(504).into(),
        Answer::status(429).into(),
        Answer::status(429).retry_after("0").into(),
        Answer::status(429).retry_after("86400").into(),
        Answer::text(404, "404 page not found").into(),
        Answer::not_found("nodes", "p-0").into(),
        Answer::html(200).into(),
    ];
    let unavailable = unavailable.into_iter().map(|fault| (fault, FailReason::ApiUnavailable));
    let denied = [
        (Answer::status(401).into(), FailReason::Unauthorized),
        (Answer::html(403).into(), FailReason::Forbidden),
        (Fault::Bytes(UNAUTHORIZED, Ending::Shut), FailReason::Unauthorized),
    ];
    let waits = unavailable.chain(denied).map(async |(fault, reason)| {
        let policy = policy().api_error_budget(millis(600)).auth_error_budget(millis(600));
        let waits = world.wait(policy, |proxy| proxy.rule(every(fault.clone())), async |_, _| {});
        for Waited { proxy, .. } in world.failed(reason, millis(600)..LONG, waits.await) {
            let get = proxy.traffic().requests.get;
            assert!((2..=25).contains(&get), "{get} GETs: {proxy:?}");
        }
    });
    join_all(waits).await;
}

async fn a_request_that_is_refused_for_good_is_reported_at_once(world: &World) {
    for code in [400, 405, 406, 415, 422] {
        let rule = |proxy: &Proxy| proxy.rule(every(Answer::status(code)));
        let waits = world.wait(policy(), rule, async |_, _| {});
        for Waited { proxy, .. } in world.failed(FailReason::ApiRejected, millis(0)..LONG, waits.await) {
            assert_eq!(proxy.traffic().requests.get, 1, "{proxy:?}");
        }
    }
}

async fn a_missing_or_untrusted_server_is_reported_when_the_budget_ends(world: &World) {
    let causes = [(Door::Shut, "refused"), (Door::Reset, "reset"), (Door::Open, "certificate")];
    let waits = causes.map(async |(door, word)| {
        let waits = world.wait(
            policy().api_error_budget(millis(600)),
            |_| {},
            async |_, proxies| {
                for proxy in proxies {
                    proxy.door(door).await;
                    proxy.pose().await;
                }
            },
        );
        for wait in world.failed(FailReason::ApiUnavailable, millis(600)..LONG, waits.await) {
            let failure = wait.outcome.as_ref().expect_err("just seen");
            assert!(failure.message.to_lowercase().contains(word), "{wait:#?}");
            assert!(wait.proxy.traffic().connections < 30, "{wait:#?}");
        }
    });
    join_all(waits).await;
}

/// A call has a limit of ten seconds, but the deadline of the wait is independent; a last read may take one second
/// more.
async fn a_server_that_hangs_delays_no_timer(world: &World) {
    for place in [Place::Request, Place::Headers, Place::Byte(100)] {
        let hang = |proxy: &Proxy| proxy.rule(every(Fault::Stop(place, Ending::Silence)));
        let waits = world.wait(policy().deadline(secs(5)), hang, async |_, proxies| {
            for proxy in proxies {
                proxy.until(|traffic| traffic.faults == 1).await;
            }
            world.leap(secs(5)).await;
        });
        world.failed(FailReason::Deadline, secs(5)..secs(10), waits.await);
        // The first error comes after the call's ten seconds, at which the budget begins.
        let waits = world.wait(policy().api_error_budget(secs(5)), hang, async |_, proxies| {
            for (faults, time) in [(1, 10), (2, 5)] {
                for proxy in proxies {
                    proxy.until(|traffic| traffic.faults == faults).await;
                }
                world.leap(secs(time)).await;
            }
        });
        world.failed(FailReason::ApiUnavailable, secs(15)..secs(20), waits.await);
    }
}

/// Status and headers suffice: they show whether the credentials are refused, and the `Retry-After`.
async fn a_refusal_whose_body_hangs_is_a_refusal(world: &World) {
    let policy = policy().auth_error_budget(secs(30)).api_error_budget(secs(120));
    let hang = |proxy: &Proxy| proxy.rule(every(Fault::Bytes(UNAUTHORIZED, Ending::Silence)));
    let waits = world.faster(world.wait(policy, hang, async |_, _| {})).await;
    world.failed(FailReason::Unauthorized, secs(30)..secs(120), waits);
}
