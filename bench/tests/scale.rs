//! The scale benchmark works, and all waiters for many pods of the real API server answer right.

use podwait_bench::scale::{Settings, Waiter, run};
use std::path::PathBuf;
use std::time::Duration;

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn twenty_pods() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_scale"));
    let settings =
        Settings { program, peers: None, rate: 50, limit: Duration::from_secs(60), memory_mib: 1024 };
    for waiter in [Waiter::Limit, Waiter::Hub, Waiter::PerPod, Waiter::AwaitCondition] {
        // As in the benchmark there is one cluster for each waiter, without controllers. The cluster of the other tests
        // has a garbage collector, which removes pods from a node without a kubelet, and its API server counts the
        // requests of all tests.
        let outcome = run(&settings, waiter, 20).await;
        assert!(outcome.is_good(), "{outcome:#?}");
        assert!(
            outcome.cpu_seconds > 0.0 && outcome.peak_mib > 1.0 && outcome.delays.is_some(),
            "{outcome:#?}"
        );
    }
}
