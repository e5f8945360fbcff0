//go:build !kube_1_35

package main

import (
	"context"

	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
)

// connectRuntime makes the kubelet's clients of the runtime.
func connectRuntime(ctx context.Context, config *kubeletconfig.KubeletConfiguration, dependencies *kubelet.Dependencies) error {
	return kubelet.PreInitRuntimeService(ctx, config, dependencies)
}
