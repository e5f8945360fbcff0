//! The scale benchmark works, and those who wait for many pods of the real API server answer right.

use podwait_tests::cluster::{Scratch, own_cluster};
use podwait_tests::scale::{Settings, Waiter, measure};
use std::path::PathBuf;
use std::time::Duration;

#[tokio::test]
async fn twenty_pods() {
    let Some(cluster) = own_cluster() else { return };
    let scratch = Scratch::new("scale").await.expect("there is a cluster");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_scale"));
    let settings =
        Settings { program, peers: None, rate: 50, limit: Duration::from_secs(60), memory_mib: 1024 };
    for waiter in [Waiter::Limit, Waiter::Hub, Waiter::PerPod, Waiter::AwaitCondition] {
        let namespace = format!("{}-{waiter}", scratch.namespace());
        let outcome = measure(&settings, cluster, &namespace, waiter, 20).await;
        assert!(outcome.is_good(), "{outcome:#?}");
        assert!(
            outcome.cpu_seconds > 0.0 && outcome.peak_mib > 1.0 && outcome.delays.is_some(),
            "{outcome:#?}"
        );
    }
}
