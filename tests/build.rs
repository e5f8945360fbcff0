//! Sets which cluster the tests may use, by `PODWAIT_CLUSTER`. A test without the cluster that it needs is ignored, and
//! does not pass.
//!
//! `cfg(real_cluster)`: any cluster. `cfg(own_cluster)`: the cluster of `tests/cluster`. `cfg(containerd)`: that with a node over containerd.
//! `cfg(both_runtimes)`: that with as many nodes over containerd as over processes.

fn main() {
    println!("cargo::rerun-if-env-changed=PODWAIT_CLUSTER");
    println!("cargo::rustc-check-cfg=cfg(real_cluster, own_cluster, containerd, both_runtimes)");
    let cluster = std::env::var_os("PODWAIT_CLUSTER").unwrap_or_default();
    match cluster.to_str() {
        Some("") => {}
        Some("kubeconfig") => println!("cargo::rustc-cfg=real_cluster"),
        Some(own @ ("go" | "containerd" | "both")) => {
            println!("cargo::rustc-cfg=real_cluster");
            println!("cargo::rustc-cfg=own_cluster");
            if own != "go" {
                println!("cargo::rustc-cfg=containerd");
            }
            if own == "both" {
                println!("cargo::rustc-cfg=both_runtimes");
            }
        }
        Some(_) | None => {
            println!(
                "cargo::error=PODWAIT_CLUSTER is {cluster:?}, none of \"go\", \"containerd\", \"both\" and \"kubeconfig\""
            );
        }
    }
}
