//! The journal of the runtimes of our own cluster: the truth, which the kubelet can only report.

use super::{Cluster, pause};
use serde::Deserialize;

/// One end of one container. The cluster's README explains the fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// How many runs preceded this one.
    pub attempt: u32,
    /// Its exit code.
    pub exit_code: i32,
    /// Whether the kubelet had requested the stop before the end.
    pub stopped_by_kubelet: bool,
    /// Whether the kubelet cannot observe it.
    #[serde(default)]
    pub lost: bool,
}

impl Cluster {
    /// All ends in the runtimes so far, in their order.
    ///
    /// # Panics
    /// The cluster is not our own.
    #[must_use]
    pub fn ends(&self) -> Vec<End> {
        let journal = self.exits.as_ref().expect("only our own cluster has a journal");
        let journal = std::fs::read_to_string(journal).expect("the runtimes' journal");
        // A line that is being written has no line end yet.
        journal.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last end so far of this kind, once it is the expected one. containerd's events reach the journal beside the
    /// kubelet, and not before it, so this waits for some seconds.
    ///
    /// # Panics
    /// The cluster is not our own.
    pub async fn last_end(
        &self,
        is_meant: impl Fn(&End) -> bool,
        is_expected: impl Fn(&End) -> bool,
    ) -> Option<End> {
        let last = || self.ends().into_iter().rfind(|end| is_meant(end));
        for _ in 0..50 {
            let last = last();
            if last.as_ref().is_some_and(&is_expected) {
                return last;
            }
            pause(200).await;
        }
        last()
    }
}
