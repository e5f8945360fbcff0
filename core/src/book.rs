//! All rules in one place. This module has no code.
//!
//! Words: the **target** is the container whose exit is wanted. A **good read** is an answer that describes the pod: a
//! snapshot, a deletion or a genuine 404. **Final** means that nothing can undo it. An **outside cause** is an event
//! that stopped the step before the step ended by itself.
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
//! 1. **Identity.** The uid is pinned: the caller's, or the first one seen. Before the pod with that uid was seen, an
//!    object with another uid counts like a 404: it runs the absent grace, and when that ends the pod was replaced.
//!    Afterwards another uid with a newer resourceVersion means that the pod is gone. Older objects of either pod are
//!    stale and ignored; resourceVersions are compared as integers (KEP-5504). This does not hold for ever. When the
//!    store is restored from a backup, its versions go back permanently (kubernetes#107457, etcd-io/etcd#16028), and a
//!    GET without resourceVersion is never answered from a stale cache. So if at least two consistent reads show older
//!    objects for the length of the unknown grace, those objects are accepted. The restore undoes nothing in the
//!    cluster: a deletion that the store has lost still counts under rule 4. A wait that gets only older objects and no
//!    consistent reads ends as `api_unavailable` after the API error budget plus the unknown grace.
//! 2. **By name.** The kubelet sorts `containerStatuses` by name (`convertToAPIContainerStatuses`), so an index means
//!    nothing. A name that the spec lacks fails at once: only ephemeral containers are ever added to a spec.
//! 3. **When a record is final.** The phase is terminal, the pod is being deleted (`ShouldContainerBeRestarted`), or the
//!    container will not be restarted: its own rules (KEP-5307), else its own policy (KEP-753), else the pod's. Another
//!    container of the pod with the rule `RestartAllContainers` can undo any end (KEP-5532), until that container has
//!    ended for good with a code that does not match its rule. A terminal phase is not required: sidecars keep a pod
//!    Running, and the kubelet publishes the record about a second before the phase (kubernetes#108366).
//! 4. **Outside cause first.** Since 1.27 (kubernetes#115331) a pod that is deleted, evicted or shut down and whose
//!    process exits 0 on SIGTERM is `Succeeded`. So a record that came after a delete, an eviction, a preemption, a node
//!    shutdown or the pod's own deadline is a failure with that cause, whatever its code. Three sources decide which
//!    came first, in this order: observations, generations, timestamps. If none of them decides, the record counts as
//!    later. Timestamps have two traps. First, the kubelet's last DELETE rewrites deletionTimestamp and grace (if the
//!    first grace seen is 0 or 1, the time of the request is unknown, see `BeforeDelete`). That DELETE comes after the
//!    unmounts, which may take long (kubernetes#122342). So if the generations say that the kubelet knew of the delete,
//!    no timestamp proves the contrary. Second, the kubelet sets its own `DisruptionTarget` only when all containers
//!    have ended (`mergePodStatus`), so the time of that condition proves nothing. If such a pod ends as `Succeeded`,
//!    the kubelet keeps the condition and drops the reason (`generateAPIPodStatus`). One cause leaves no mark: the
//!    eviction of a pod whose volume is over its limit (`localStorageEviction`), if its step exits 0 on SIGTERM. Its
//!    objects are the same as those of a success. A `status.reason` that names a cause counts under Running too,
//!    because a node shutdown writes it there (kubernetes#104531): a container that ends after that was stopped.
//!    Generations have one trap: a spec can be edited after the delete (KEP-5067), so among several changes only a
//!    clear difference in time decides. If a run was to be followed by another one, its end is not the answer for a pod
//!    that has since ended with such a reason.
//! 5. **Made-up codes.** The reasons `ContainerStatusUnknown` (kubelet), `Unknown` (containerd) and `NotFound` (providers of
//!    virtual-kubelet, with -137 or 0) say that the real code is lost, whatever code stands there; so do
//!    `Terminated`/0, and -1 by CRI-O. A real code that was seen of the same run takes precedence. If a consistent
//!    read is the first that shows a made-up end, a watch from an earlier state of the pod may still bring the real one (as
//!    in rule 9): the machine waits `gone_grace` for it, and judges what the watch brings as usual. If the runtime no
//!    longer knows an init container, the kubelet infers a 0 without containerID and times (kubernetes#108537); such a
//!    0 is `inferred`, and no answer under the strict policy. A record belongs to another run if it has another
//!    container id, a higher `restartCount` or another end time; the latter two count even if the id is the same.
//!    `OOMKilled` with 0 is a failure: a child process was killed and its parent ignored that (kubernetes#131530).
//! 6. **Exit 0 needs support.** In a `Failed` pod one of these must explain the failure: another container (`getPhase`;
//!    native sidecars do not count there), or an outside cause that came after the exit.
//! 7. **A terminal phase without the record.** An outside cause, a rejection by the node (`rejectPod` in
//!    `pkg/kubelet/kubelet.go` writes no statuses) or an init container that failed for good (`hasPodInitialized`,
//!    kubernetes#108366) decide at once: nothing will follow. If an init container failed before the cause came, that
//!    failure is the answer, by the same order as in rule 4. Otherwise the wait reads again on a backoff, for 15 s of
//!    observed time: only time between two good reads without the record counts, so an outage uses up none of it. If
//!    reads and errors alternate, hardly any time is observed; then the error budget, added to the 15 s, is the bound.
//!    `Succeeded` says that the last run of every regular container exited 0 (`getPhase` in
//!    `pkg/kubelet/kubelet_pods.go`), so the code of an earlier run is not the answer then.
//! 8. **Waiting reasons** of the target and of the init containers before it (`startContainer` in
//!    `pkg/kubelet/kuberuntime/kuberuntime_container.go`, `pkg/kubelet/images/types.go`). The kubelet tries for ever
//!    (kubernetes#87278, kubernetes#122300). Image errors and configuration errors have one grace each, counted from
//!    first sight, not restarted by flapping, cancelled when the error is gone. Two permanent refusals in a row by the
//!    registry fail the wait at the second. Each `ErrImagePull` is an attempt and `ImagePullBackOff` is none
//!    (`EnsureImageExists` in `pkg/kubelet/images/image_manager.go`), so an `ErrImagePull` after a back-off is another
//!    attempt. The time since the first refusal decides nothing: the next attempt comes 10 to 25 s later (`completeWork` in
//!    `pkg/kubelet/pod_workers.go`), and the pod shows the back-off for as long as that attempt pulls the image. Only known
//!    phrases of containerd, CRI-O, Docker and registries, and known gRPC codes, count as a refusal (`rules/pull.rs`).
//!    During back-off the message of the last attempt still counts; the kubelet repeats it since 1.32
//!    (`prevPullErrMsg` in `pkg/kubelet/images/image_manager.go`). An unknown reason counts as progress: vendors have
//!    reasons of their own.
//! 9. **Gone.** The object of a DELETED event is evaluated first; it usually has the end (`transform` in
//!    `k8s.io/apiserver/pkg/storage/etcd3/watcher.go` sends the last stored state). Next comes a real exit that was
//!    seen earlier (an exit 0 only if nothing could undo it: the container may have run again unseen), then a clean
//!    `Succeeded`, then the outside cause. A 404 alone is never success: a GET without resourceVersion is read from
//!    etcd, and says only that the pod is not there. If the pod was seen before, its absence decides after
//!    `gone_grace`, counted from the first 404 or the first sight of another pod with the same name. Until then a watch
//!    from the last seen resourceVersion may bring the final state, which the API server keeps for some minutes
//!    (`getAllEventsSinceLocked` in `k8s.io/apiserver/pkg/storage/cacher/watch_cache.go`; etcd keeps five minutes).
//!    Events of the pod in that time are evaluated as always; a consistent read that shows the pod ends the
//!    confirmation. No other timer decides meanwhile, and the wait's own deadline ends the confirmation early. An error
//!    that says that nothing will come (410, 403, a refused request) ends it at once; other errors change nothing.
//! 10. **Unknown, lost, stuck.** Phase `Unknown` (`PodUnknown` in `k8s.io/api/core/v1`), a lost node and a pod that
//!     stays Terminating (only the kubelet confirms a delete, kubernetes#120917) are not results; the unknown grace
//!     bounds each. A change from a terminal phase back to a non-terminal one is ignored: the kubelet refuses it, the
//!     API server does not (`ValidatePodStatusUpdate`).
//! 11. **API errors.** 429, 5xx and broken connections are retried, `Retry-After` obeyed (API priority and fairness,
//!     KEP-1040, and servers that shut down send it), within a budget that any good read resets; 401 and 403 have a
//!     shorter budget, which rests while the newest error is of another kind. 410 means read again (client-go takes the
//!     reasons Expired and Gone for the same); it has a budget of its own, as long as that of the other errors. 400,
//!     405, 406, 415 and 422 end the wait. All of that needs a `Status` of the API server about this request: a
//!     rejection or a 410 that a proxy sends, and a 404 that is not about this pod, are errors like any other.
//! 12. **Timers.** The start deadline runs while the target is neither running nor between restarts; nothing in Kubernetes
//!     does that (`activeDeadlineSeconds` counts from `status.startTime`, which only a kubelet sets). It rests while
//!     the pod has scheduling gates (KEP-3521: another controller decides when the pod starts) and while an init
//!     container before the target runs (the pod makes progress). The times between the rests add up, so a crash loop
//!     of an init container is bounded. An observation takes precedence over a timer that expires in the same call; of
//!     several timers the one that expired first decides. After an API error the last known state of the pod may be out
//!     of date. So the graces of rules 8 to 10 decide only at the next consistent read. If only events come, the graces
//!     decide 200 ms (`finalize_initial`) after the first event, because a watch that is opened again first replays
//!     older events. The budgets of rule 11 are the bound. The same holds while every object is older than the newest
//!     one seen (rule 1); then the bounds are those of rule 1.
//! 13. **Cancel** is a failure, never exit 0; an earlier verdict does not change.
//!
//! # Every reason code
//!
//! What a `Retry` waits for:
//!
//! | code | meaning |
//! |---|---|
//! | `awaiting_pod` | the pod was not seen yet |
//! | `pending` | the target has not started |
//! | `running` | the target runs, or its exit 0 waits for the phase |
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
//! | `pod_deleted` | deleted before the target's own end was known | find out what deleted it |
//! | `pod_replaced` | another pod has the name, since before or after the expected one was seen | use unique names |
//! | `pod_never_seen` | no such pod appeared | check name and namespace |
//! | `container_status_unknown` | the node lost the container, the code is made up | run again |
//! | `terminated_state_missing` | terminal, and the record was never published | run again |
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
//! | `cancelled` | the caller cancelled the wait | nothing |
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
