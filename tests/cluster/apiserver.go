package main

import (
	"fmt"

	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// runAPIServer is the apiserver component, or the second API server, with
// another port and another connection to etcd.
func runAPIServer(p *plan, port int, etcdURL string) error {
	command := app.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		// By default the API server finds this through the default route, which a
		// machine without a network does not have. The address is not published: see
		// the next flag.
		"--advertise-address=127.0.0.1",
		// Endpoints of the service `kubernetes` must not be loopback addresses.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--tls-cert-file=" + p.path("apiserver.crt"),
		"--tls-private-key-file=" + p.path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + p.path("service-account.key"),
		"--service-account-key-file=" + p.path("service-account.key"),
		"--authorization-mode=Node,RBAC",
		"--token-auth-file=" + p.path("tokens.csv"),
		// This plugin refuses pods until a controller has created their service
		// account.
		"--disable-admission-plugins=ServiceAccount",
		// For logs, the API server connects to the address that cloud.go sets for the
		// node. No name has to resolve.
		"--kubelet-preferred-address-types=InternalIP",
	})
	return command.Execute()
}
