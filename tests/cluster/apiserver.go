package main

import (
	"fmt"

	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// runAPIServer is the apiserver component, or the second one with another port and
// another way to etcd.
func runAPIServer(p *plan, port int, etcdURL string) error {
	command := app.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		// Found through the default route otherwise, and a machine without a
		// network has none. Nobody gets to see it: see the next flag.
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
		// It refuses pods until a controller has made their service account.
		"--disable-admission-plugins=ServiceAccount",
		// For logs, the way to a kubelet is the address that cloud.go gives its
		// node. No name has to resolve.
		"--kubelet-preferred-address-types=InternalIP",
	})
	return command.Execute()
}
