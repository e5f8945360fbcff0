package main

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// full is a pod with a value in every field that podwait reads, and in messages
// of all other kinds.
func full() corev1.Pod {
	at := func(second int) metav1.Time { return metav1.Date(2026, 1, 1, 0, 0, second, 0, time.UTC) }
	deleted := at(50)
	always, onFailure, never := corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever
	rules := []corev1.ContainerRestartRule{
		{Action: "Restart", ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: "In", Values: []int32{1, 42, 255, -1}}},
		{Action: "RestartAllContainers", ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: "NotIn", Values: []int32{0}}},
		{Action: "NewAction"},
	}
	probe := &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("web")}},
		PeriodSeconds:    5,
		FailureThreshold: 3,
	}
	limits := corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("1Gi")}
	container := func(name string, policy *corev1.ContainerRestartPolicy) corev1.Container {
		return corev1.Container{
			Name: name, Image: "registry.example/" + name + ":1", Command: []string{"sh", "-c", "exit 3"},
			Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80, Protocol: "TCP"}},
			Env: []corev1.EnvVar{{Name: "A", Value: "grüße 😀"}, {Name: "B", ValueFrom: &corev1.EnvVarSource{
				FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
			Resources:     corev1.ResourceRequirements{Limits: limits, Requests: limits},
			VolumeMounts:  []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			LivenessProbe: probe, ReadinessProbe: probe, StartupProbe: probe,
			Lifecycle:     &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}},
			RestartPolicy: policy, RestartPolicyRules: rules,
		}
	}
	record := func(code int32) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{
			ExitCode: code, Signal: 9, Reason: "Error", Message: "\"quoted\" \\ \n\t\u0001é",
			StartedAt: at(1), FinishedAt: at(9), ContainerID: "containerd://a",
		}
	}
	waiting := &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"}
	running := &corev1.ContainerStateRunning{StartedAt: at(2)}
	started := true
	status := func(name string, state, last corev1.ContainerState) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: name, State: state, LastTerminationState: last, RestartCount: 2, Ready: true, Image: "i", ImageID: "id",
			ContainerID: "containerd://" + name, Started: &started, AllocatedResources: limits,
		}
	}
	grace, deadline, number := int64(30), int64(3600), int32(7)
	zero := metav1.Time{}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "full", GenerateName: "fu", Namespace: "ci", UID: "0b6ab7a3-6ac1-4a22-9d63-9a6b6f6a1f4e",
			ResourceVersion: "12345678901234", Generation: 1 << 40, CreationTimestamp: at(0), DeletionTimestamp: &deleted,
			DeletionGracePeriodSeconds: &grace, Labels: map[string]string{"app": "full", "name": "x"},
			Annotations:     map[string]string{"a": "b", "c": ""},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: "u2", Controller: &started}},
			Finalizers:      []string{"podwait.example/hold"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: "Update", APIVersion: "v1", Time: &deleted,
				FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{}}`)}, Subresource: "status"}},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: "OnFailure", TerminationGracePeriodSeconds: &grace, ActiveDeadlineSeconds: &deadline,
			Containers:     []corev1.Container{container("step", &never), container("plain", nil)},
			InitContainers: []corev1.Container{container("sidecar", &always), container("setup", &onFailure)},
			EphemeralContainers: []corev1.EphemeralContainer{{TargetContainerName: "step",
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger", RestartPolicyRules: rules[:1]}}},
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "quota"}}, NodeName: "node-1", PriorityClassName: "low", Priority: &number,
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: &number}}}},
			Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: "zone", Operator: "In", Values: []string{"a", "b"}}}}}}}},
			Tolerations:     []corev1.Toleration{{Key: "k", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: &deadline}},
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: &grace, SupplementalGroups: []int64{1, -2}},
			NodeSelector:    map[string]string{"a": "b"}, Overhead: limits, HostAliases: []corev1.HostAlias{{IP: "1.2.3.4"}},
		},
		Status: corev1.PodStatus{
			ObservedGeneration: 3, Phase: "Failed", Reason: "Evicted", Message: "The node was low on resource: memory.",
			HostIP: "10.0.0.1", PodIP: "10.0.0.2", PodIPs: []corev1.PodIP{{IP: "10.0.0.2"}}, StartTime: &deleted, QOSClass: "Burstable",
			Conditions: []corev1.PodCondition{
				{Type: "PodScheduled", Status: "True", LastTransitionTime: at(1), LastProbeTime: zero, ObservedGeneration: 2},
				{Type: "DisruptionTarget", Status: "True", Reason: "TerminationByKubelet", Message: "low on memory", LastTransitionTime: at(40)},
				{Type: "DisruptionTarget", Status: "False", Reason: "second"},
				{Type: "Ready", Status: "False"},
			},
			ContainerStatuses: []corev1.ContainerStatus{
				status("plain", corev1.ContainerState{Running: running}, corev1.ContainerState{Terminated: record(1)}),
				status("step", corev1.ContainerState{Terminated: record(137), Running: running, Waiting: waiting}, corev1.ContainerState{Waiting: waiting}),
			},
			InitContainerStatuses: []corev1.ContainerStatus{
				status("setup", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}, corev1.ContainerState{}),
				status("sidecar", corev1.ContainerState{Waiting: waiting, Running: &corev1.ContainerStateRunning{}}, corev1.ContainerState{}),
			},
			EphemeralContainerStatuses: []corev1.ContainerStatus{
				status("debugger", corev1.ContainerState{Waiting: waiting}, corev1.ContainerState{}),
				{Name: "other", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}, {},
				{Name: "negative", RestartCount: -1, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: -1073741510}}},
			},
		},
	}
}
