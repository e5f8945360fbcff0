//! The facts about one pod that the rules need later: a fold over its snapshots.

use crate::decision::Failure;
use crate::rules::cause::Cause;
use crate::rules::target::{Kind, Target};
use crate::rules::{cause, exit, restart, waiting, words};
use crate::snapshot::{Phase, PodSnapshot, Terminated, Timestamp};
use crate::text::in_parentheses;
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

/// Facts about the pinned pod that are kept after the snapshot that showed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// The target's name.
    pub(crate) container: String,
    /// The newest accepted resourceVersion.
    pub(crate) resource_version: String,
    /// The newest phase; a terminal one that goes back stays (rule 10).
    pub(crate) phase: Phase,
    /// The terminal phase, once seen in an object without any mark of an outside cause.
    pub(crate) clean_terminal: Option<Phase>,
    /// The newest snapshot is `Failed`, and a container other than the target explains that.
    pub(crate) failure_is_explained: bool,
    /// The last real end of the target's latest run.
    pub(crate) run: Option<Box<Run>>,
    /// The outside causes in the snapshots before the one with the target's latest end.
    pub(crate) unfinished: Under,
    /// The outside causes in any snapshot in which the pod had not ended.
    pub(crate) open: Under,
    /// The failure of an init container before the target, with the outside causes before that failure.
    pub(crate) failed_init: Option<Box<FailedInit>>,
    /// The deletion, as first seen.
    pub(crate) deletion: Option<Deletion>,
    /// An outside cause in the newest snapshot other than a plain delete, as the failure that it would become.
    pub(crate) disrupted: Option<Box<Failure>>,
    /// Phase `Succeeded` says something about this target (it is no sidecar and no ephemeral container).
    pub(crate) succeeds_with_the_pod: bool,
    /// The target is an init container that ends before the regular ones start.
    pub(crate) is_init: bool,
    /// Something has shown that the target was started.
    pub(crate) has_started: bool,
    /// What the newest snapshot says about why the target does not make progress, or why the pod ended.
    pub(crate) said: Option<Box<str>>,
}

/// The failure of an init container, in the newest snapshot and unbroken since it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedInit {
    pub(crate) container: String,
    pub(crate) run: Run,
    /// The outside causes in the snapshots before that.
    pub(crate) unfinished: Under,
}

impl FailedInit {
    /// Nothing would have started it again.
    pub(crate) const fn is_for_good(&self) -> bool {
        !self.run.may_be_followed
    }

    /// And no outside cause was on the pod when the failure was seen.
    pub(crate) const fn is_by_itself(&self) -> bool {
        let run = &self.run;
        self.is_for_good()
            && run.seen_without_deletion
            && run.seen_without_disruption
            && run.seen_without_reason
    }
}

/// The outside causes that kept a pod from ending by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Under {
    /// It was being deleted.
    pub(crate) deletion: bool,
    /// Its condition `DisruptionTarget` was True.
    pub(crate) disruption: bool,
    /// Its `status.reason` named this cause.
    pub(crate) reason: Option<Cause>,
}

/// One run of a container that ended with a real code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) record: Terminated,
    pub(crate) restart_count: i32,
    /// Another run may have followed, unseen.
    pub(crate) may_be_followed: bool,
    /// The record was in an object without a deletion, so the end came before the delete.
    pub(crate) seen_without_deletion: bool,
    /// Likewise without `DisruptionTarget`.
    pub(crate) seen_without_disruption: bool,
    /// Likewise without a `status.reason` of an outside cause.
    pub(crate) seen_without_reason: bool,
    /// The record was written by a kubelet that had not yet observed the delete (generations).
    pub(crate) written_before_delete: bool,
    /// Nor any other change of the spec. If there are several, it is not known which one was the delete (KEP-5067).
    pub(crate) written_before_edits: bool,
}

/// When a deletion was requested, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deletion {
    /// The earliest moment of the request.
    pub(crate) earliest: Timestamp,
    /// The grace that the pod had when the deletion was first seen.
    pub(crate) grace: Duration,
}

impl Deletion {
    /// The kubelet's last DELETE had been there when the deletion was first seen.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.grace <= Duration::from_secs(1)
    }
}

impl History {
    /// Nothing was seen yet.
    pub(crate) const NEW: Self = Self {
        container: String::new(),
        resource_version: String::new(),
        phase: Phase::Pending,
        clean_terminal: None,
        failure_is_explained: false,
        run: None,
        unfinished: Under::NOTHING,
        open: Under::NOTHING,
        failed_init: None,
        deletion: None,
        disrupted: None,
        succeeds_with_the_pod: false,
        is_init: false,
        has_started: false,
        said: None,
    };

    /// Takes in the facts of an accepted snapshot.
    pub(crate) fn record(&mut self, pod: &PodSnapshot, target: &Target<'_>) {
        if self.resource_version != pod.resource_version {
            self.resource_version.clone_from(&pod.resource_version);
        }
        if self.container != target.spec.name {
            self.container.clone_from(&target.spec.name);
        }
        // The facts of a terminal pod stay, whatever comes after it (rule 10).
        if pod.phase.is_terminal() || !self.phase.is_terminal() {
            self.said = Some(words::of_pod(pod, target)).filter(|said| !said.is_empty()).map(Into::into);
        }
        self.record_phase(pod);
        self.failure_is_explained =
            self.phase == Phase::Failed && exit::another_container_failed(pod, target);
        self.record_deletion(pod);
        self.record_failed_init(pod, target);
        self.record_run(pod, target);
        // A terminal pod has no unfinished containers, whatever an old status still says.
        if !pod.phase.is_terminal() {
            self.open.add(Under::of(pod, self.deletion.is_some()));
        }
        self.succeeds_with_the_pod = target.kind.succeeds_with_the_pod();
        self.is_init = matches!(target.kind, Kind::Init(_));
        self.has_started |= target.has_started();
        self.disrupted =
            self.cause_beside_deletion(pod).map(|cause| Box::new(cause::failure(cause, pod, None)));
    }

    fn record_phase(&mut self, pod: &PodSnapshot) {
        if self.phase.is_terminal() && !pod.phase.is_terminal() {
            return;
        }
        self.phase = pod.phase;
        let is_marked = cause::is_marked(pod) || self.deletion.is_some();
        if pod.phase.is_terminal() && !is_marked && self.open.reason.is_none() {
            self.clean_terminal = Some(pod.phase);
        } else if pod.phase == Phase::Failed && self.clean_terminal == Some(Phase::Succeeded) {
            // The phase was corrected: the earlier Succeeded no longer counts.
            self.clean_terminal = None;
        }
    }

    /// The first sight of a deletion has the most information: only a shorter grace can follow, requested later.
    fn record_deletion(&mut self, pod: &PodSnapshot) {
        if self.deletion.is_some() {
            return;
        }
        let Some(earliest) = cause::earliest_request(pod) else { return };
        let seconds = u64::try_from(pod.deletion_grace_period_seconds.unwrap_or(0)).unwrap_or(0);
        self.deletion = Some(Deletion { earliest, grace: Duration::from_secs(seconds) });
    }

    fn record_run(&mut self, pod: &PodSnapshot, target: &Target<'_>) {
        let is_current = target.terminated().is_some();
        let record =
            target.terminated().or_else(|| target.last_terminated().filter(|_| !target.is_running()));
        let restart_count = target.status.map_or(0, |status| status.restart_count);
        let is_new_end = match record {
            Some(record) if restart::is_restarting_all(record) => {
                self.run = None;
                false
            }
            Some(record) if !exit::is_fabricated(record) => {
                let known = self.run.take().filter(|run| {
                    run.is_same(record, restart_count, is_current) && run.record.exit_code == record.exit_code
                });
                let is_new = known.is_none();
                let mut run = known.unwrap_or_else(|| Box::new(Run::new(record.clone(), restart_count)));
                run.see(pod, self.deletion.is_some());
                run.may_be_followed = restart::may_restart(pod, target, record.exit_code);
                self.run = Some(run);
                is_new
            }
            // A made-up record of the same run changes nothing; one of another run shows that there was another run.
            Some(record) => {
                self.run = self.run.take().filter(|run| run.is_same(record, restart_count, is_current));
                self.run.is_none()
            }
            None => {
                // A status that went missing changes nothing either.
                if target.is_running() {
                    self.run = None;
                }
                false
            }
        };
        // All earlier snapshots were from before the new end.
        if is_new_end {
            self.unfinished.add(self.open);
        }
    }

    fn record_failed_init(&mut self, pod: &PodSnapshot, target: &Target<'_>) {
        let failed = waiting::failed_init_container(pod, target);
        let Some((spec, status, record)) = failed.filter(|(_, _, record)| !exit::is_fabricated(record))
        else {
            self.failed_init = None;
            return;
        };
        let known = self.failed_init.take().filter(|known| {
            known.container == status.name
                && known.run.record.exit_code == record.exit_code
                && known.run.is_same(record, status.restart_count, true)
        });
        let mut failed = known.unwrap_or_else(|| {
            let run = Run::new(record.clone(), status.restart_count);
            Box::new(FailedInit { container: status.name.clone(), run, unfinished: self.open })
        });
        failed.run.see(pod, self.deletion.is_some());
        failed.run.may_be_followed = restart::restarts(spec, pod.restart_policy, record.exit_code);
        self.failed_init = Some(failed);
    }

    /// The more specific cause for a deletion of this pod, if there is one.
    fn cause_beside_deletion(&self, pod: &PodSnapshot) -> Option<Cause> {
        if pod.phase == Phase::Failed
            && let Some(reason) = cause::of_reason(&pod.reason)
        {
            return Some(reason);
        }
        if self.clean_terminal.is_some() {
            return None;
        }
        cause::of_open_pod(pod).or_else(|| cause::disruption(pod).map(|_| Cause::Disrupted))
    }

    /// Whether the target may have run to its end; `is_current` if the newest snapshot is the pod's present state.
    pub(crate) fn may_have_finished(&self, is_current: bool) -> bool {
        let is_over = self.phase.is_terminal();
        match self.last_run() {
            Some(run) => run.record.exit_code == 0 || (run.may_be_followed && !is_over),
            None => self.has_started || !(is_over || is_current),
        }
    }

    /// The pod's own message, in parentheses with a space before them, or nothing.
    pub(crate) fn said(&self) -> String {
        in_parentheses(self.said.as_deref().unwrap_or_default())
    }

    /// The target's last real end, unless a later end must exist: if a container failed and was to be restarted, and
    /// its pod has succeeded, then the container has run again and exited 0.
    pub(crate) fn last_run(&self) -> Option<&Run> {
        let outlived = |run: &Run| self.proves_success() && run.may_be_followed && run.record.exit_code != 0;
        self.run.as_deref().filter(|run| !outlived(run))
    }

    /// Whether phase `Succeeded` alone proves that the target exited with 0.
    pub(crate) fn proves_success(&self) -> bool {
        self.clean_terminal == Some(Phase::Succeeded) && self.succeeds_with_the_pod
    }
}

impl Under {
    const NOTHING: Self = Self { deletion: false, disruption: false, reason: None };

    /// `is_deleted` as in [`Run::see`].
    fn of(pod: &PodSnapshot, is_deleted: bool) -> Self {
        Self {
            deletion: is_deleted,
            disruption: cause::disruption(pod).is_some(),
            reason: cause::of_open_pod(pod),
        }
    }

    fn add(&mut self, other: Self) {
        self.deletion |= other.deletion;
        self.disruption |= other.disruption;
        self.reason = self.reason.or(other.reason);
    }
}

impl Run {
    fn new(record: Terminated, restart_count: i32) -> Self {
        Self {
            record,
            restart_count,
            may_be_followed: false,
            seen_without_deletion: false,
            seen_without_disruption: false,
            seen_without_reason: false,
            written_before_delete: false,
            written_before_edits: false,
        }
    }

    /// Whether a record belongs to this run; `is_current` if the record is the container's `state`, not its
    /// `lastState`.
    ///
    /// restartCount is best effort (a kubelet restart may reset it), so container ids decide where both are known. But
    /// a higher count, or an end at another time, means another run even if the ids are equal.
    pub(crate) fn is_same(&self, record: &Terminated, restart_count: i32, is_current: bool) -> bool {
        let ids = [&self.record.container_id, &record.container_id];
        let same_count = if ids.iter().all(|id| !id.is_empty()) {
            ids[0] == ids[1] && !(is_current && restart_count > self.restart_count)
        } else {
            restart_count == self.restart_count
        };
        let ends = [self.record.finished_at, record.finished_at];
        let has_both_times = !exit::is_fabricated(record) && ends.iter().all(Option::is_some);
        same_count && (!has_both_times || ends[0] == ends[1])
    }

    /// `is_deleted` if a deletion of the pod was ever seen: a store that was restored from a backup may have lost the
    /// deletion, but the kubelet still carries it out.
    fn see(&mut self, pod: &PodSnapshot, is_deleted: bool) {
        self.seen_without_deletion |= !is_deleted;
        self.seen_without_disruption |= cause::disruption(pod).is_none();
        self.seen_without_reason |= cause::of_reason(&pod.reason).is_none();
        let is_behind = pod.observed_generation > 0 && pod.observed_generation < pod.generation;
        self.written_before_delete |= pod.deletion_timestamp.is_some() && is_behind;
        self.written_before_edits |= pod.observed_generation == 1;
    }
}
