//! The rules of Jobs. This module has no code.
//!
//! The Job controller of Kubernetes (`syncJob` in `pkg/controller/job/job_controller.go`) counts the pods and writes
//! the conditions. [`JobMachine`](crate::JobMachine) counts nothing again. It reads from the conditions whether the Job
//! is over, and from the pods why, and why it is not.
//!
//! # The states of a wait
//!
//! ```text
//!  start ───▶ awaiting_job ─────────────────────▶ FAIL pod_never_seen, pod_replaced
//!                  │ first object: its uid is pinned
//!                  ▼
//!             awaiting_pod ─────────────────────▶ FAIL start_timeout
//!                  │            suspended: the start deadline rests
//!                  ▼
//!   ┌─────────▶ pending ────────────────────────▶ FAIL image_pull, container_config_error, start_timeout, ...
//!   │              │ a pod runs                        when no pod can start that the Job still needs
//!   │              ▼
//!  restarting ◀ running
//!                  │ SuccessCriteriaMet, FailureTarget
//!                  ▼
//!        awaiting_terminal_condition
//!                  │ Complete, Failed, or its bound
//!                  ├──▶ DONE completed, 0
//!                  ▼
//!        awaiting_terminated_state ─────────────▶ DONE the exit of the pod that decided
//!           the pods are listed once more         FAIL evicted, disrupted, deadline_exceeded, job_failed, ...
//!
//!  from anywhere: api_error, api_throttled, relist, confirming_deletion, cancel, the caller's deadline, as for a pod
//! ```
//!
//! # The rules
//!
//! The numbers go on from those of [the pods' rules](super).
//!
//! 14. **The Job's object.** Rules 1, 9, 11, 12 (of the caller's own deadline) and 13 hold for the Job as for a pod: its
//!     uid is pinned, older objects are ignored, a 404 is confirmed, errors have budgets. The reason codes are the same,
//!     with `pod` in their names. Errors of the reads of its pods are no errors of the wait. A pod is one of the Job if
//!     its controller ownerReference has the Job's uid (`metav1.IsControlledBy`): labels can be set by anybody, and with
//!     `manualSelector` there is no label with the uid (`generateSelectorIfNeeded` in
//!     `pkg/registry/batch/job/strategy.go`).
//! 15. **The last condition.** `Complete` is 0, whatever its pods did: pods may fail within `backoffLimit`, and with
//!     `completions` absent or with a `successPolicy` (KEP-3998) not all of them have to succeed. `Failed` is a failure,
//!     whatever its pods did: indexes may have succeeded beside those that failed (KEP-3850). Both are never taken back
//!     (`ValidateJobStatusUpdate` in `pkg/apis/batch/validation`), so an object that is out of date counts too, and a
//!     Job that was seen with one of them and is gone by its TTL has ended so. Counts prove nothing: `succeeded` may go
//!     down when an elastic Job is scaled down (KEP-3715), and pods are counted before or after the condition. Another
//!     controller (`managedBy`, KEP-4368) is held to the same conditions by the API server.
//! 16. **An outcome without its last condition.** `SuccessCriteriaMet` and `FailureTarget` (KEP-3998, KEP-3939,
//!     KEP-4368) cannot be taken back, and the API server refuses the other outcome after them. Since 1.31 the last
//!     condition comes when no pod is terminating (`enactJobFinished`), which a pod on a dead node never ends. So such a
//!     condition decides when it has lasted for the unknown grace, when the Job is gone, or when anything else than a
//!     cancellation ends the wait.
//! 17. **Pods that cannot start.** Each regular container of each pod has a wait of its own under the rules 1 to 10 and
//!     12, with the graces of the policy. Where that wait would fail because the container cannot start (its image
//!     cannot be pulled or its name not be parsed, its configuration is wrong, it did not start within the start
//!     deadline, which includes a pod that cannot be scheduled), the pod is stuck; it counts for the Job controller like
//!     one that runs, and no other takes its place. The Job fails with the pod's failure when all pods that it still
//!     needs are stuck: as many as `parallelism` and the missing completions allow (`manageJob`). While another pod runs
//!     or may start, it does not fail. A pod that starts after all is not stuck any more. A pod that is being deleted is
//!     not stuck: the controller replaces it at once, or when it has ended (`podReplacementPolicy`, KEP-3939; `Failed`
//!     is the only one with a `podFailurePolicy`, KEP-3329). Until then the reason to wait is `pod_terminating`, and a
//!     lost node decides nothing: when the pod is gone the Job goes on.
//! 18. **The pod that decided.** The code of a failed Job is that of a pod. When the Job is `Failed`, its pods are to be
//!     listed once more, because the events of a Job and of its pods come on different ways; after 15 s
//!     (`finalize_budget`) what is known decides. It is the pod that the condition names (`podFailurePolicy`,
//!     KEP-3329), else the last one that failed in an index that failed (KEP-3850), else the last one that failed, by
//!     the times of the cluster as in `getFinishedTime` of the controller. A pod that was deleted counts after all
//!     others: the controller deletes those that still run when the Job has failed (`deleteActivePods`). If its
//!     container had failed before that and was to be restarted, this is its end: the controller deletes a pod whose
//!     restarts reach `backoffLimit` (`pastBackoffLimitOnFailure`). The answer is the pod's own verdict by the rules of
//!     pods: its exit, or its failure with its class, such as `evicted`. Of several containers the first decides that
//!     exited with another code than 0. `DeadlineExceeded` is the Job's own limit, so no pod decided. Without such a
//!     pod the answer is `job_failed`. 1000 pods that have not ended are kept, and the 100 that failed last.
//! 19. **The start deadline** counts while no pod of the Job has run and none is on its way: the quota is used up, an
//!     admission webhook refuses the pods, or no controller takes care of the Job; only events show which. It rests
//!     while the Job is suspended, while a pod is pending that is not stuck (it has the same deadline by rule 17), and
//!     while `status.active` is greater than the number of pods that are known: another controller may run them in
//!     another cluster (KEP-4368), or they may not be listed. Between two pods of a Job that has run there is no such
//!     deadline, since the controller itself waits up to 10 minutes (`MaxJobPodFailureBackOff`).
//! 20. **Why it waits.** A suspended Job (`spec.suspend`, KEP-2232) has no pods and can be resumed at any time, so it
//!     has no bound but the caller's. `restarting` is a Job that has run and has no pod, `awaiting_pod` one that has not
//!     run. Where pods cannot be listed, `active` and `ready` of the status show whether some are pending or run.
//!
//! # Known limits
//!
//! * If pods fail on several nodes in the same second, or the clocks of nodes differ, the last one may not be the one
//!   that the controller counted last.
//! * A failure that a `podFailurePolicy` ignores counts like others when the pod that decided is looked for.
