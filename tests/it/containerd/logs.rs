//! Logs whose files are rotated by containerd's ReopenContainerLog.

use super::{add_truth, step};
use crate::kubelet::lines::rotation::{REST, Repeats, numbered, rotated};
use podwait_tests::cluster::CONTAINERD_NODE;
use std::path::Path;

/// At one megabyte per second and at several. No line is lost without a gap that is reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn lines_that_a_rotation_removes_are_reported() {
    let node = super::NODE_IN_USE.read().await;
    tokio::join!(on_containerd("containerd-rotated", 100), on_containerd("containerd-rotated-fast", 2000));
    drop(node);
}

async fn on_containerd(name: &str, lines_at_once: usize) {
    let (folder, rest) = (tempfile::tempdir().expect("a temporary folder"), "x".repeat(REST));
    let lines = format!(
        "awk -v n=$n 'BEGIN {{ for (i = 0; i < {lines_at_once}; i++) printf \"%010d{rest}\\n\", n + i }}'"
    );
    let mut pod = step(&numbered(&lines, lines_at_once, Path::new("/truth")));
    add_truth(&mut pod["spec"], folder.path());
    rotated(name, CONTAINERD_NODE, Repeats::Perhaps, &pod, folder.path()).await;
}
