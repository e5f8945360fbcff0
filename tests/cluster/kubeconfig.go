package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// tokens of the two users: admin may do anything, nobody next to nothing.
type tokens struct{ admin, nobody string }

func (c *cluster) writeTokens() error {
	c.tokens = tokens{admin: rand.Text(), nobody: rand.Text()}
	table := fmt.Sprintf("%s,admin,admin,system:masters\n%s,nobody,nobody\n", c.tokens.admin, c.tokens.nobody)
	return os.WriteFile(c.path("tokens.csv"), []byte(table), 0o600)
}

// writeKubeconfig writes one context for each way a client can fare: all goes
// well, it lacks the rights, it does not trust the server's certificate.
func (c *cluster) writeKubeconfig(path string) error {
	config := api.NewConfig()
	config.Clusters["trusted"] = &api.Cluster{Server: c.server, CertificateAuthorityData: c.ca}
	config.Clusters["untrusted"] = &api.Cluster{Server: c.server}
	config.AuthInfos["admin"] = &api.AuthInfo{Token: c.tokens.admin}
	config.AuthInfos["nobody"] = &api.AuthInfo{Token: c.tokens.nobody}
	config.Contexts["admin"] = &api.Context{Cluster: "trusted", AuthInfo: "admin", Namespace: "default"}
	config.Contexts["nobody"] = &api.Context{Cluster: "trusted", AuthInfo: "nobody", Namespace: "default"}
	config.Contexts["untrusted"] = &api.Context{Cluster: "untrusted", AuthInfo: "admin", Namespace: "default"}
	config.CurrentContext = "admin"
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}

	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	// Never over an existing file: it is removed on exit, and it may be the one
	// that leads to somebody's real clusters.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	c.kubeconfig = path
	if _, err = file.Write(text); err != nil {
		return err
	}
	return file.Close()
}
