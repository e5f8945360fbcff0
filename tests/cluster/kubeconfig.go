package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// tokens of the users, by a short name: admin has all rights, nobody has almost
// none, and each component has the same rights as on any cluster.
type tokens map[string]string

// writeUsers writes the table of users for the API server and a kubeconfig for
// each component.
func writeUsers(p *plan) error {
	p.Tokens = tokens{}
	var table strings.Builder
	add := func(short, name string, groups ...string) {
		p.Tokens[short] = rand.Text()
		fmt.Fprintf(&table, "%s,%s,%s,%q\n", p.Tokens[short], name, name, strings.Join(groups, ","))
	}
	add("admin", "admin", "system:masters")
	add("nobody", "nobody")
	// Its own role has few rights: the service accounts of the controllers have
	// them.
	add("controllers", "system:kube-controller-manager", "system:masters")
	add("scheduler", "system:kube-scheduler")
	components := []string{"controllers", "scheduler"}
	for _, node := range p.Nodes {
		add(node.Name, "system:node:"+node.Name, "system:nodes")
		components = append(components, node.Name)
	}
	if err := os.WriteFile(p.path("tokens.csv"), []byte(table.String()), 0o600); err != nil {
		return err
	}
	for _, user := range components {
		config := api.NewConfig()
		config.Clusters["cluster"] = &api.Cluster{Server: p.serverURL(), CertificateAuthorityData: p.CA}
		config.AuthInfos[user] = &api.AuthInfo{Token: p.Tokens[user]}
		config.Contexts[user] = &api.Context{Cluster: "cluster", AuthInfo: user}
		config.CurrentContext = user
		if err := clientcmd.WriteToFile(*config, p.kubeconfigOf(user)); err != nil {
			return err
		}
	}
	return nil
}

// writeUserKubeconfig writes one context for each kind of client: with all
// rights, without rights, without trust in the server's certificate; and one
// for the second API server.
func writeUserKubeconfig(p *plan, path string) (string, error) {
	config := api.NewConfig()
	config.Clusters["trusted"] = &api.Cluster{Server: p.serverURL(), CertificateAuthorityData: p.CA}
	config.Clusters["untrusted"] = &api.Cluster{Server: p.serverURL()}
	config.AuthInfos["admin"] = &api.AuthInfo{Token: p.Tokens["admin"]}
	config.AuthInfos["nobody"] = &api.AuthInfo{Token: p.Tokens["nobody"]}
	config.Contexts["admin"] = &api.Context{Cluster: "trusted", AuthInfo: "admin", Namespace: "default"}
	config.Contexts["nobody"] = &api.Context{Cluster: "trusted", AuthInfo: "nobody", Namespace: "default"}
	config.Contexts["untrusted"] = &api.Context{Cluster: "untrusted", AuthInfo: "admin", Namespace: "default"}
	config.Clusters["second"] = &api.Cluster{Server: p.secondURL(), CertificateAuthorityData: p.CA}
	config.Contexts["second"] = &api.Context{Cluster: "second", AuthInfo: "admin", Namespace: "default"}
	config.CurrentContext = "admin"
	text, err := clientcmd.Write(*config)
	if err != nil {
		return "", err
	}

	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	// Never over an existing file: the file is removed on exit, and could be the
	// user's kubeconfig for real clusters.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	if _, err = file.Write(text); err != nil {
		return path, err
	}
	return path, file.Close()
}
