package main

import "k8s.io/kubernetes/cmd/kube-scheduler/app"

// runScheduler is the scheduler component.
func runScheduler(p *plan) error {
	command := app.NewSchedulerCommand()
	command.SetArgs([]string{
		"--kubeconfig=" + p.kubeconfigOf("scheduler"),
		"--leader-elect=false",
		"--secure-port=0",
	})
	return command.Execute()
}
