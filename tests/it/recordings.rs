//! Recorded waits on a real cluster, whose decisions must not change: `tests/recordings`.

use podwait::trace::{TraceReader, replay};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// All recordings, so that a lost one is noticed.
const NAMES: &[&str] = &[
    "active-deadline",
    "all-restart-by-step",
    "all-restart-ended",
    "all-restart-running",
    "always",
    "apiserver-killed",
    "apiserver-paused",
    "compacted",
    "container-never",
    "containerd-a-folder",
    "containerd-away-while-it-ends",
    "containerd-closes-its-output",
    "containerd-deleted-exits-0",
    "containerd-exit-255",
    "containerd-frozen",
    "containerd-hook-hangs",
    "containerd-image-401",
    "containerd-image-403",
    "containerd-image-404",
    "containerd-image-404-once",
    "containerd-image-429-once",
    "containerd-image-500-healed",
    "containerd-image-500-once",
    "containerd-image-503-once",
    "containerd-image-cut-once",
    "containerd-image-digest-once",
    "containerd-image-name-invalid",
    "containerd-image-slow-once",
    "containerd-image-wrong-platform",
    "containerd-leaves-processes-behind",
    "containerd-liveness-exits-0",
    "containerd-liveness-exits-9",
    "containerd-liveness-kills",
    "containerd-message-of-the-file",
    "containerd-message-of-the-log",
    "containerd-native-sidecar",
    "containerd-no-interpreter",
    "containerd-no-such-file",
    "containerd-not-executable",
    "containerd-not-in-path",
    "containerd-oom",
    "containerd-oom-of-a-child-at-once",
    "containerd-oom-of-a-child-exits-0",
    "containerd-oom-of-a-child-exits-3",
    "containerd-restarted-while-it-runs",
    "containerd-segmentation-fault",
    "containerd-shim-killed",
    "containerd-shim-killed-with-containerd",
    "containerd-stands-still-while-it-ends",
    "containerd-startup-exits-0",
    "containerd-terminated",
    "containerd-unknown-user",
    "containerd-working-folder-is-a-file",
    "containerd-working-folder-is-missing",
    "containerd-wrong-format",
    "deleted-after-end",
    "deleted-deaf",
    "deleted-exits-0",
    "deleted-held",
    "etcd-killed",
    "evicted",
    "evicted-by-api",
    "evicted-exits-0",
    "evicted-failed-while-running",
    "exit-0",
    "exit-1",
    "exit-137",
    "exit-143",
    "exit-255",
    "exit-3",
    "force-deleted",
    "force-deleted-held",
    "image-name-invalid",
    "image-refused",
    "image-refused-once",
    "image-refused-three-times",
    "init-fails",
    "init-is-the-step",
    "killed",
    "kubelet-restarted",
    "late-deleted-held",
    "late-killed-held",
    "lost",
    "namespace-deleted",
    "native-sidecar-outlives",
    "node-affinity",
    "node-shutdown",
    "node-shutdown-exits-0",
    "on-containerd-all-restart-by-step",
    "on-containerd-all-restart-ended",
    "on-containerd-all-restart-running",
    "on-containerd-evicted",
    "on-containerd-exit-143",
    "on-containerd-image-refused-three-times",
    "on-containerd-runtime-restarted",
    "on-containerd-runtime-restarted-on-failure",
    "on-failure",
    "one-of-two-killed",
    "oom",
    "orphaned",
    "out-of-cpu",
    "out-of-pods",
    "preempted",
    "preempted-by-kubelet",
    "preempted-by-kubelet-exits-0",
    "recreated",
    "restart-rules",
    "runtime-restarted",
    "runtime-restarted-on-failure",
    "second-reads",
    "second-reads-hang",
    "second-watches",
    "second-watches-the-past",
    "secret-created-late",
    "secret-missing",
    "servers-in-turn",
    "servers-in-turn-deleted",
    "sidecar-ends-first",
    "sidecar-fails",
    "sidecar-never-ends",
    "start-error",
    "starved",
    "tainted",
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/recordings"))
}

#[test]
fn the_recordings_are_the_listed_ones() {
    let files = std::fs::read_dir(folder()).expect("the recordings are there");
    let files = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    let named = NAMES.iter().map(|name| format!("{name}.jsonl"));
    assert_eq!(files.collect::<BTreeSet<String>>(), named.collect());
}

#[test]
fn every_recording_has_the_recorded_decisions() {
    for name in NAMES {
        let text = std::fs::read_to_string(folder().join(format!("{name}.jsonl")));
        let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
        // The recording must have decisions for the comparison, including the verdict.
        let last = text.lines().last().map(serde_json::from_str::<Value>);
        let last = last.and_then(Result::ok).unwrap_or_else(|| panic!("{name} is cut off"));
        assert!(matches!(last["decision"].as_str(), Some("done" | "fail")), "{name} ends with {last}");
        let trace = TraceReader::new(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let replay = replay(trace, |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(replay.difference, None, "{name}");
    }
}
