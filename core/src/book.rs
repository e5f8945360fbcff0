//! The rules, as a chapter to read. There is no code here.
//!
//! Words: the **target** is the container whose exit is wanted. A **good read** is an answer that describes the pod: a
//! snapshot, a deletion or a genuine 404. **Final** means that nothing can undo it. An **outside cause** is whatever
//! stopped the step before it ended by itself.
//!
//! # The states of a wait
//!
//! ```text
//!             404 or another pod of the name, within absent_grace
//!                       ┌──────────────┐
//!                       ▼              │
//!  start ────────▶ awaiting_pod ───────┴───────▶ FAIL pod_never_seen, pod_replaced
//!                       │ first snapshot: its uid is pinned
//!                       ▼
//!      ┌──────────▶ pending ──────────────────▶ FAIL image_pull, container_config_error, start_timeout, ...
//!      │                │ the target runs
//!      │                ▼
//!  restarting ◀──── running ──────────────────▶ DONE the record is final and nothing stopped the step first
//!                       │                       FAIL evicted, disrupted, node_shutdown, ... something did
//!      deletionTimestamp│  phase terminal, no record
//!           ┌───────────┴───────────┐
//!           ▼                       ▼
//!    pod_terminating     awaiting_terminated_state ▶ DONE inferred_from_phase, FAIL terminated_state_missing
//!           │                       │
//!           └────── pod gone ───────┴─────────▶ what was seen decides: DONE, or FAIL pod_deleted
//!
//!  from anywhere: api_error, api_throttled, relist ─ within a budget ─▶ back, else FAIL api_unavailable, ...
//!                 cancel ▶ FAIL cancelled        the caller's deadline ▶ FAIL deadline
//! ```
//!
//! # The rules
//!
//! 1. **Identity.** The uid is pinned: the caller's, or the first one seen. Before it was seen, another uid is not ours:
//!    it runs the absent grace like a 404, and then ours was replaced. Afterwards another uid with a newer resourceVersion
//!    means that ours is gone. Older objects of either are stale and ignored; resourceVersions are compared as integers
//!    (KEP-5504). But no object is stale for ever. A store that is restored from a backup goes back for good
//!    (kubernetes#107457, etcd-io/etcd#16028), and a GET without resourceVersion is not answered from a cache that is behind.
//!    So consistent reads that show older objects, twice at least, for the unknown grace are the truth. What happened in
//!    the cluster did not go back: a deletion that the store has forgotten still counts under rule 4. A caller whose inputs
//!    are all older, and no consistent reads, ends as `api_unavailable` after the API error budget and the unknown grace.
//! 2. **By name.** The kubelet sorts `containerStatuses` by name (`convertToAPIContainerStatuses`), so an index means
//!    nothing. A name that the spec lacks fails at once: only ephemeral containers are ever added to a spec.
//! 3. **When a record is final.** The phase is terminal, the pod is being deleted (`ShouldContainerBeRestarted`), or the
//!    container will not be restarted: its own rules (KEP-5307), else its own policy (KEP-753), else the pod's. A
//!    container with the rule `RestartAllContainers` elsewhere in the pod can undo any end (KEP-5532), as long as it has not
//!    ended for good with another code. The phase is not
//!    required: sidecars hold a pod Running, and the kubelet publishes the record about a second before the phase
//!    (kubernetes#108366).
//! 4. **Outside cause first.** Since 1.27 (kubernetes#115331) a pod that is deleted, evicted or shut down and whose
//!    process exits 0 on SIGTERM is `Succeeded`. So a record that came after a delete, an eviction, a preemption, a node
//!    shutdown or the pod's own deadline is a failure with that cause, whatever its code. Which came first is decided by
//!    what was observed, then by generations, then by timestamps; undecided is after. Timestamps have two traps: the
//!    kubelet's last DELETE rewrites deletionTimestamp and grace (a grace of 0 or 1 seen first leaves the request
//!    unknown, see `BeforeDelete`), and comes after the unmounts, however long those take (kubernetes#122342), so where
//!    generations say that the kubelet knew of the delete no time proves the contrary; and the kubelet stamps its own `DisruptionTarget` when all containers have ended
//!    (`mergePodStatus`), so that time proves nothing; it keeps the condition and drops the reason where such a pod ends
//!    as `Succeeded` (`generateAPIPodStatus`). One cause leaves no mark at all: the eviction of a pod whose volume is over
//!    its limit (`localStorageEviction`), if its step exits 0 on SIGTERM. No object tells that from a success. A
//!    `status.reason` that names a cause counts under Running too, where a node shutdown was seen to write it
//!    (kubernetes#104531): whatever ends after that was stopped. Generations have one: a spec can be edited after the
//!    delete (KEP-5067), so of several changes only the time tells, if it tells clearly. An end after which another run
//!    was to come does not answer for a pod that a reason has ended since.
//! 5. **Made-up codes.** The reasons `ContainerStatusUnknown` (kubelet), `Unknown` (containerd) and `NotFound` (providers of
//!    virtual-kubelet, with -137 or 0) say that the code is lost, whatever it is; so do `Terminated`/0 and -1 by CRI-O. A real
//!    code that was seen of the same run wins. Where a consistent read is the first that shows a made-up end, a watch from where the
//!    pod was seen before may still bring the real one (as in rule 9): for `gone_grace` it is awaited, and what the watch brings is
//!    judged as ever. An init container's 0 without containerID and times is what the kubelet infers
//!    where the runtime has forgotten it (kubernetes#108537); it is `inferred`, and no answer under the strict policy. Another
//!    run shows by another container id, or by a higher `restartCount` or another end whatever the id says. `OOMKilled` with 0 is a failure: a child was killed
//!    and the parent swallowed it (kubernetes#131530).
//! 6. **Exit 0 needs support.** In a `Failed` pod another container must explain the failure (`getPhase`; native sidecars
//!    do not count there), or an outside cause that came after the exit.
//! 7. **A terminal phase without the record.** An outside cause, a rejection by the node (`rejectPod` in
//!    `pkg/kubelet/kubelet.go` writes no statuses) or an init container that failed for good (`hasPodInitialized`,
//!    kubernetes#108366) decide at once: nothing will follow. An init container that had failed before the cause came is
//!    the answer, by the same order as in rule 4. Otherwise the record is awaited on a backoff, for 15 s of observed
//!    time: only time between two good reads that miss it counts, so an outage burns nothing. Where reads and errors take
//!    turns, hardly any time is observed; there the budget for errors comes on top and is the bound. `Succeeded` says that
//!    the last run of every regular container exited 0 (`getPhase` in `pkg/kubelet/kubelet_pods.go`), so a code that was
//!    seen of a run that was to be restarted is not the answer then.
//! 8. **Waiting reasons** of the target and of the init containers before it (`startContainer` in
//!    `pkg/kubelet/kuberuntime/kuberuntime_container.go`, `pkg/kubelet/images/types.go`). The kubelet tries for ever
//!    (kubernetes#87278, kubernetes#122300). Image trouble and configuration trouble have one grace each, counted from
//!    first sight, not restarted by flapping, cancelled when the trouble is gone. What the registry refuses for good fails
//!    once it has stood for 15 s: the kubelet's second attempt comes 10 s after the first (`imageBackOffPeriod` in
//!    `pkg/kubelet/kubelet.go`). Only known phrases of containerd, CRI-O, Docker and of registries, and gRPC codes, are a
//!    refusal (`rules/pull.rs`). In back-off the last attempt's words stand, which the kubelet repeats since 1.32
//!    (`prevPullErrMsg` in `pkg/kubelet/images/image_manager.go`). An unknown reason is progress: vendors have their own.
//! 9. **Gone.** The object that a DELETED event carries is judged first; it usually has the end (`transform` in
//!    `k8s.io/apiserver/pkg/storage/etcd3/watcher.go` sends the last stored state). Then a real exit seen
//!    earlier (an exit 0 only if nothing could undo it: the container may have run again unseen), then a clean
//!    `Succeeded`, then the outside cause. A 404 alone is never success: a GET without resourceVersion is read from etcd,
//!    and says only that the pod is not there. The absence of a pod that was seen decides after `gone_grace`, counted from the
//!    first 404 or the first sight of another pod of its name: until then a watch from where the pod was seen last may bring its
//!    final state, which the API server keeps for some minutes (`getAllEventsSinceLocked` in
//!    `k8s.io/apiserver/pkg/storage/cacher/watch_cache.go`; etcd keeps five minutes). Whatever comes of the pod in that time is
//!    judged as ever; a consistent read that shows it ends the confirmation. No other timer speaks meanwhile, and the wait's own
//!    deadline ends it early. An error that says that nothing will come (410, 403, a refused request) ends it at once, any other
//!    changes nothing.
//! 10. **Unknown, lost, stuck.** Phase `Unknown` (`PodUnknown` in `k8s.io/api/core/v1`), a lost node and a pod that stays
//!     Terminating (nobody confirms a delete but the kubelet, kubernetes#120917) are no results; each is bounded by the
//!     unknown grace. A terminal phase that goes back is ignored: the kubelet refuses that, the API server does not
//!     (`ValidatePodStatusUpdate`).
//! 11. **API errors.** 429, 5xx and broken connections are retried, `Retry-After` obeyed (API priority and fairness,
//!     KEP-1040, and servers that shut down send it), within a budget that any good read resets; 401 and 403 have a
//!     shorter one, which rests while the newest error is another. 410 means read again (client-go takes the reasons
//!     Expired and Gone for the same); it has a budget of its own, as long as that of
//!     the other errors. 400, 405, 406, 415 and 422 end the wait. All of that needs a `Status` of
//!     the API server about this request: a rejection or a 410 on a page of a proxy, and a 404 that is not about this pod,
//!     are errors like any other.
//! 12. **Timers.** The start deadline runs while the target is neither running nor between restarts; nothing in Kubernetes
//!     does that (`activeDeadlineSeconds` counts from `status.startTime`, which only a kubelet sets). It rests while the pod
//!     has scheduling gates (KEP-3521: another controller decides when it starts) and while an init container before the
//!     target runs (the pod works); the times between add up, so a crash loop of an init container is bounded. An observation beats
//!     a timer that runs out in the same call; of several timers the one that ran out first speaks. While API errors are
//!     outstanding it is not known whether what was seen still holds: the graces of rules 8 to 10 speak at the next consistent
//!     read then, or, where only events come, which may be of the time before (a watch that is opened again replays what it
//!     missed), 200 ms (`finalize_initial`) after the first of them. The budgets of rule 11 are the bound. The same goes while everything that comes is older than what was seen
//!     (rule 1), and its bounds are those of rule 1.
//! 13. **Cancel** is a failure, never exit 0; a verdict that was reached before stands.
//!
//! # Every reason code
//!
//! What a `Retry` waits for:
//!
//! | code | meaning |
//! |---|---|
//! | `awaiting_pod` | the pod was not seen yet |
//! | `pending` | the target has not started |
//! | `running` | the target runs, or its exit 0 settles |
//! | `restarting` | the target ended and will start again |
//! | `awaiting_terminated_state` | the pod is terminal, the record is missing |
//! | `pod_terminating` | the pod is being deleted; its last state may still bring the exit |
//! | `confirming_deletion` | the pod is gone; its final state may still come |
//! | `confirming_lost_record` | the record of the end is lost; the one before may still come |
//! | `api_throttled` | 429 |
//! | `api_error` | another failure of the API server or the way to it |
//! | `relist` | 410: read the pod again |
//!
//! A `Done`:
//!
//! | code | meaning | what to do |
//! |---|---|---|
//! | `completed` | exit 0 | go on |
//! | `nonzero_exit` | another code | the step failed |
//! | `oom_killed` | another code, and the record says that memory ran out | raise the memory limit |
//! | `start_error` | the runtime could not start the command | mend the command or the image |
//! | `inferred_from_phase` | exit 0 from phase `Succeeded` alone (or from a 404, under `assume_success`) | go on, or forbid it with `on_missing_terminated: fail` |
//!
//! A `Fail`, by class. *Infrastructure*: run it again, elsewhere if possible.
//!
//! | code | meaning | what to do |
//! |---|---|---|
//! | `evicted` | the kubelet evicted the pod | run again; set requests |
//! | `disrupted` | preemption, the eviction API, a taint, pod garbage collection | run again |
//! | `node_shutdown` | the node was shut down | run again |
//! | `node_lost` | the node stopped answering; the step may have finished | run again if that is safe |
//! | `rejected_by_node` | the kubelet refused to run the pod | run again |
//! | `pod_deleted` | deleted before the target's own end was known | find out who deleted it |
//! | `pod_replaced` | another pod of the name took its place, or had it before the expected one was seen | use unique names |
//! | `pod_never_seen` | no such pod appeared | check name and namespace |
//! | `container_status_unknown` | the node lost the container, the code is made up | run again |
//! | `terminated_state_missing` | terminal, and nobody published the record | run again |
//!
//! *Step*: running it again will not help.
//!
//! | code | meaning | what to do |
//! |---|---|---|
//! | `oom_killed` | a child was killed for memory, the step exited 0 | raise the memory limit |
//! | `image_pull` | the image cannot be pulled | check image, registry, pull secret |
//! | `invalid_image_name` | the image's name cannot be parsed | mend the name |
//! | `container_config_error` | a Secret or ConfigMap is missing, a hook fails | create it |
//! | `init_container_failed` | an init container failed for good | see its logs |
//! | `deadline_exceeded` | `activeDeadlineSeconds` ran out | allow more time |
//! | `phase_contradicts_exit_code` | the pod is `Failed`, the target exited 0, nothing explains it | look at the pod |
//! | `container_not_in_spec` | the pod has no such container | mend the name |
//! | `container_ambiguous` | none was named, and there is not exactly one | name one |
//!
//! *Caller*:
//!
//! | code | meaning | what to do |
//! |---|---|---|
//! | `cancelled` | the caller gave up | nothing |
//! | `deadline` | the wait's own deadline passed | allow more time |
//! | `start_timeout` | the target did not start in time | look at the pod's events |
//!
//! *Api*:
//!
//! | code | meaning | what to do |
//! |---|---|---|
//! | `api_unavailable` | no good read for too long | wait again; the pod may have ended |
//! | `unauthorized` | 401 for too long | renew the credentials |
//! | `forbidden` | 403 for too long | grant `get` and `watch` on pods |
//! | `api_rejected` | the request itself is refused | report it |

#[cfg(test)]
mod tests {
    use crate::{DoneReason, FailReason, RetryReason};

    #[test]
    fn every_reason_code_is_in_the_book() {
        let book = include_str!("book.rs");
        let codes = RetryReason::ALL.iter().map(|reason| reason.as_str());
        let codes = codes.chain(DoneReason::ALL.iter().map(|reason| reason.as_str()));
        for code in codes.chain(FailReason::ALL.iter().map(|reason| reason.as_str())) {
            assert!(book.contains(&std::format!("| `{code}` |")), "{code}");
        }
    }
}
