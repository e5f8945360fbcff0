//! Many random faults, with the default policy, and in faster time.

use super::{World, on_both, secs};
use futures_util::future::join_all;
use podwait::Policy;
use podwait_tests::proxy::mixture;

on_both! {
    no_mixture_of_faults_changes_the_answer
}

/// How many mixtures are tried.
const SEEDS: u64 = 8;

/// Each seed is a mixture of faults for its own pod. `PODWAIT_SEED` selects a single one.
async fn no_mixture_of_faults_changes_the_answer(world: &World) {
    let one = std::env::var("PODWAIT_SEED").ok().map(|seed| seed.parse().expect("PODWAIT_SEED is a number"));
    let seeds = one.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let waits = seeds.map(async |seed| {
        let code = i32::try_from(seed % 3).expect("it is small");
        let waits = world.wait(
            Policy::builder(),
            |proxy| proxy.rule(mixture(seed, 40)),
            async |pod, proxies| {
                for proxy in proxies {
                    proxy.until(|traffic| traffic.requests.get >= 4).await;
                }
                pod.touch().await;
                for proxy in proxies {
                    proxy.until(|traffic| traffic.requests.get >= 8).await;
                }
                pod.finish(code).await;
            },
        );
        for wait in waits.await {
            let seen = wait.outcome.as_ref().map(|exit| exit.code);
            assert_eq!(seen, Ok(code), "PODWAIT_SEED={seed} {wait:#?}");
            // A call that hangs, the next safety GET, and the same again for other waits.
            assert!(wait.late < secs(90), "PODWAIT_SEED={seed} {wait:#?}");
        }
    });
    world.faster(join_all(waits)).await;
}
