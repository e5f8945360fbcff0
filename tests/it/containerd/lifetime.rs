//! What is left of a cluster with containerd when its launcher ends, also killed.

use super::step;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use podwait_tests::cluster::{self, pause};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Cgroups of the clusters whose launcher has this process id, in any hierarchy.
fn cgroups(launcher: u32) -> Vec<PathBuf> {
    let roots = std::fs::read_dir("/sys/fs/cgroup").expect("cgroups are mounted");
    let roots = roots.map(|root| root.expect("a folder").path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    roots.map(|root| root.join(format!("podwait-{launcher}"))).filter(|folder| folder.exists()).collect()
}

/// The processes in a cgroup and those in it.
fn members(cgroup: &Path) -> usize {
    let own = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default().lines().count();
    let inner = std::fs::read_dir(cgroup).into_iter().flatten().filter_map(Result::ok);
    own + inner
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .map(|path| members(&path))
        .sum::<usize>()
}

/// The command lines of all processes.
fn processes() -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok()).collect()
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn nothing_outlives_a_killed_launcher() {
    let options = ["--nodes", "1", "--runtime", "containerd"];
    let (killed, mut child) = cluster::start(&options);
    let launcher = child.id();
    let folder = killed.kubeconfig.parent().expect("a folder").to_owned();
    let here = folder.to_str().expect("a readable path");
    let config = cluster::config(&killed.kubeconfig, None).await;
    let pods: Api<Pod> =
        Api::default_namespaced(podwait::Client::from_config(config).expect("a client").as_kube().clone());
    let mut pod = step("sleep 3600");
    pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "node-1" });
    let pod = serde_json::from_value(pod).expect("a pod");
    // A new namespace's service account takes a moment to be there.
    while pods.create(&PostParams::default(), &pod).await.is_err() {
        pause(100).await;
    }
    let is_running = async {
        while pods
            .get("step")
            .await
            .expect("the pod is there")
            .status
            .and_then(|status| status.phase)
            .as_deref()
            != Some("Running")
        {
            pause(100).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), is_running).await.expect("the step runs");
    assert!(
        cgroups(launcher).iter().any(|cgroup| members(cgroup) > 1),
        "the step is in the cluster's cgroup"
    );
    assert!(processes().iter().any(|line| line.contains("containerd-shim") && line.contains(here)));

    child.kill().expect("it is killed");
    child.wait().expect("it has ended");
    let is_over = || {
        cgroups(launcher).iter().all(|cgroup| members(cgroup) == 0)
            && !processes().iter().any(|line| line.contains(here))
    };
    for _ in 0..100 {
        if is_over() {
            break;
        }
        pause(100).await;
    }
    assert!(is_over(), "{:?}", processes());
    let mounts = std::fs::read_to_string("/proc/mounts").expect("/proc");
    assert!(!mounts.contains(here), "{mounts}");
    std::fs::remove_dir_all(&folder).expect("no mount keeps the folder");

    // The next one clears away the empty cgroups, and with its own end also its own.
    let (_, mut next) = cluster::start(&options);
    assert_eq!(cgroups(launcher), Vec::<PathBuf>::new());
    let launcher = next.id();
    drop(next.stdin.take());
    assert!(next.wait().expect("it ends with its standard input").success());
    assert_eq!(cgroups(launcher), Vec::<PathBuf>::new());
}
