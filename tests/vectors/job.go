package main

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// fullJob is a Job with a value in every field that podwait reads, and in
// messages of other kinds.
func fullJob() batchv1.Job {
	at := func(second int) *metav1.Time {
		time := metav1.Date(2026, 1, 1, 0, 0, second, 0, time.UTC)
		return &time
	}
	number := func(number int32) *int32 { return &number }
	deadline, suspend := int64(1<<33), true
	mode, replacement, manager := batchv1.IndexedCompletion, batchv1.Failed, "kueue.x-k8s.io/multikueue"
	failed, succeeded := "2,4-6", "0"
	condition := func(kind batchv1.JobConditionType, status corev1.ConditionStatus, reason string) batchv1.JobCondition {
		return batchv1.JobCondition{Type: kind, Status: status, Reason: reason, Message: "\"quoted\" é",
			LastProbeTime: *at(8), LastTransitionTime: *at(9)}
	}
	return batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: "build", Namespace: "ci", UID: "7a0c", ResourceVersion: "12345678901234", Generation: 1 << 40,
			CreationTimestamp: *at(0), DeletionTimestamp: at(50), Labels: map[string]string{"app": "full"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "c", UID: "u3", Controller: &suspend}},
		},
		Spec: batchv1.JobSpec{
			Parallelism: number(0), Completions: number(7), ActiveDeadlineSeconds: &deadline, BackoffLimit: number(0),
			BackoffLimitPerIndex: number(1), MaxFailedIndexes: number(3), CompletionMode: &mode, Suspend: &suspend,
			ManagedBy: &manager, PodReplacementPolicy: &replacement, TTLSecondsAfterFinished: number(0), ManualSelector: &suspend,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}, MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "app", Operator: "In", Values: []string{"x", "y"}}, {Key: "stage", Operator: "NotIn", Values: []string{"t"}},
				{Key: "debug", Operator: "Exists"}, {Key: "tmp", Operator: "DoesNotExist"}, {Key: "new", Operator: "Like"}}},
			SuccessPolicy: &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: &succeeded, SucceededCount: number(1)}}},
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: "FailJob",
				OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{42}}}}},
			Template: corev1.PodTemplateSpec{Spec: full().Spec},
		},
		Status: batchv1.JobStatus{
			Conditions: []batchv1.JobCondition{
				condition(batchv1.JobSuspended, "False", "JobResumed"),
				condition(batchv1.JobFailureTarget, "True", "MaxFailedIndexesExceeded"),
				condition(batchv1.JobFailed, "True", "MaxFailedIndexesExceeded"),
				condition(batchv1.JobFailed, "False", "second"),
				condition(batchv1.JobComplete, "Unknown", ""),
				condition(batchv1.JobSuccessCriteriaMet, "False", "SuccessPolicy"),
				condition("New", "True", ""),
			},
			StartTime: at(1), CompletionTime: at(2), Active: 3, Ready: number(2), Succeeded: 1, Failed: -1, Terminating: number(0),
			CompletedIndexes: "1", FailedIndexes: &failed,
			UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"a", "b"}, Failed: []types.UID{"c"}},
		},
	}
}
