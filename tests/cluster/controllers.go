package main

import (
	"strings"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// controllers are the controllers that end pods, create them, or clean up.
var controllers = []string{
	"disruption-controller",
	"garbage-collector-controller",
	"job-controller",
	"namespace-controller",
	"node-lifecycle-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"serviceaccount-controller",
	"taint-eviction-controller",
	"ttl-after-finished-controller",
}

// runControllers is the controllers component.
func runControllers(p *plan) error {
	command := app.NewControllerManagerCommand()
	command.SetArgs([]string{
		"--kubeconfig=" + p.kubeconfigOf("controllers"),
		"--controllers=" + strings.Join(controllers, ","),
		"--leader-elect=false",
		"--secure-port=0",
		"--node-monitor-period=1s",
		"--node-monitor-grace-period=" + p.NodeGrace.String(),
		"--node-startup-grace-period=" + p.NodeGrace.String(),
		// Nodes per second that get the taint NoExecute; the default is 0.1.
		"--node-eviction-rate=10",
		"--secondary-node-eviction-rate=10",
	})
	return command.Execute()
}
