//! Rule 17: the pods of the Job, and what is kept of them.
//!
//! A pod is kept while it has not ended, and after that if it failed. Of each kind the number is limited. A pod that is
//! not kept cannot decide: of the failed pods those that ended first are dropped, and of the others those seen last.

use super::input::JobPod;
use super::pod::{Origin, Pod, Progress};
use crate::decision::{Exit, Failure};
use crate::ends::MOST_CONTAINERS;
use crate::policy::Policy;
use crate::snapshot::Timestamp;
use crate::time::Instant;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How many pods that have not ended are kept. Each takes about a kilobyte for each of its containers.
const MOST_PRESENT: usize = 1000;

/// How many failed pods are kept.
const MOST_FAILED: usize = 100;

/// The pods of one Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pods {
    /// The policy of their waits.
    pub(super) policy: Arc<Policy>,
    /// Those that have not ended, by uid.
    pub(super) present: BTreeMap<String, Pod>,
    /// Those that ended and failed.
    pub(super) failed: Vec<FailedPod>,
    /// Some pod has run.
    pub(super) have_run: bool,
    /// Some pod has succeeded.
    pub(super) have_succeeded: bool,
}

/// A pod that has ended and did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedPod {
    pub(super) uid: String,
    pub(super) name: String,
    /// When it ended, by the clocks of the cluster.
    pub(super) ended_at: Option<Timestamp>,
    /// Its own verdict.
    pub(super) end: Result<Exit, Failure>,
}

/// What the pods do that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) stuck: usize,
    pub(super) pending: usize,
    pub(super) running: usize,
    pub(super) terminating: usize,
}

impl Pods {
    pub(super) fn new(policy: &Policy) -> Self {
        Self {
            policy: Arc::new(super::pod::policy(policy)),
            present: BTreeMap::new(),
            failed: Vec::new(),
            have_run: false,
            have_succeeded: false,
        }
    }

    /// One pod of this Job.
    pub(super) fn see(&mut self, at: Instant, pod: JobPod<'_>, origin: Origin) {
        let (uid, snapshot) = (&pod.snapshot.uid, pod.snapshot);
        let containers = snapshot.containers.len();
        if containers == 0
            || containers > MOST_CONTAINERS
            || self.failed.iter().any(|failed| failed.uid == *uid)
        {
            return;
        }
        let known = self.present.remove(uid);
        let has_room = known.is_some() || self.present.len() < MOST_PRESENT;
        let mut seen = known.unwrap_or_else(|| Pod::new(pod.name, snapshot, &self.policy));
        seen.see(at, snapshot, origin);
        if !self.take_in(uid, &seen) && has_room {
            self.present.insert(uid.clone(), seen);
        }
    }

    /// All pods of the Job; `is_ours` if a pod belongs to it.
    pub(super) fn list(&mut self, at: Instant, pods: &[JobPod<'_>], is_ours: impl Fn(&JobPod<'_>) -> bool) {
        let mut listed = BTreeSet::new();
        for pod in pods.iter().filter(|pod| is_ours(pod)) {
            listed.insert(pod.snapshot.uid.as_str());
            self.see(at, *pod, Origin::Read);
        }
        self.each(|uid, pod| {
            if !listed.contains(uid) {
                pod.not_found(at);
            }
        });
    }

    pub(super) fn api_error(&mut self, at: Instant) {
        self.each(|_, pod| pod.api_error(at));
    }

    pub(super) fn tick(&mut self, at: Instant) {
        self.each(|_, pod| pod.tick(at));
    }

    fn each(&mut self, mut change: impl FnMut(&str, &mut Pod)) {
        let mut present = core::mem::take(&mut self.present);
        present.retain(|uid, pod| {
            change(uid, pod);
            !self.take_in(uid, pod)
        });
        self.present = present;
    }

    /// Takes in what is known of a pod, and returns whether it is over.
    fn take_in(&mut self, uid: &str, pod: &Pod) -> bool {
        self.have_run |= pod.has_run();
        if !pod.is_over() {
            return false;
        }
        let Some(end) = pod.end() else {
            self.have_succeeded = true;
            return true;
        };
        // A pod without any time was seen to end after those before it.
        let ended_at = pod.ended_at.or_else(|| self.failed.last().and_then(|last| last.ended_at));
        let place = self.failed.partition_point(|failed| failed.ended_at <= ended_at);
        let (uid, name) = (uid.to_owned(), pod.name.clone());
        self.failed.insert(place, FailedPod { uid, name, ended_at, end });
        if self.failed.len() > MOST_FAILED {
            self.failed.remove(0);
        }
        true
    }

    /// When a tick is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.present.values().filter_map(Pod::next_deadline).min()
    }

    pub(super) fn census(&self) -> Census {
        let mut census = Census::default();
        for pod in self.present.values() {
            *match pod.progress() {
                Progress::Terminating => &mut census.terminating,
                Progress::Stuck => &mut census.stuck,
                Progress::Pending => &mut census.pending,
                Progress::Running => &mut census.running,
            } += 1;
        }
        census
    }

    /// Whether a pod is over, and a record of its end is missing.
    pub(super) fn lack_records(&self) -> bool {
        self.present.values().any(Pod::lacks_record)
    }
}
