package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// plan is the common configuration of the processes of a cluster. The launcher
// writes it once; each component reads it at every start.
type plan struct {
	Dir      string
	EtcdPort int
	PeerPort int
	APIPort  int
	// SecondPort is the port of the second API server, LinkPort that of its
	// connection to etcd.
	SecondPort int
	LinkPort   int
	// RegistryPort is that of the registry of all containerd nodes.
	RegistryPort int
	// Cgroup is the parent of their containers' cgroups.
	Cgroup string
	Tokens tokens
	CA     []byte // PEM
	Nodes  []node

	// NodeGrace is how long a node may be silent before it is NotReady.
	NodeGrace time.Duration
}

// node is one kubelet and its runtime. The settings are those that make a
// kubelet refuse, evict or rotate.
type node struct {
	Name    string
	Port    int
	Runtime string
	// OCIRuntime is what a containerd starts containers with.
	OCIRuntime string
	CPUs       int
	Memory     string
	MaxPods    int
	LogMaxSize string
	// RestartMax is the longest back-off before a container is started again.
	RestartMax time.Duration
	// ShutdownGrace is the time of all pods at a shutdown of the node.
	ShutdownGrace time.Duration
}

// Runtimes that a node can have.
const (
	ownRuntime = "processes"
	containerd = "containerd"
)

// ownTaint keeps pods off a containerd node that do not ask for it.
const ownTaint = "podwait.test/runtime"

// planFile is the file's name in the cluster's folder.
const planFile = "plan.json"

func readPlan(dir string) (*plan, error) {
	text, err := os.ReadFile(filepath.Join(dir, planFile))
	if err != nil {
		return nil, err
	}
	p := &plan{}
	return p, json.Unmarshal(text, p)
}

func (p *plan) write() error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.path(planFile), text, 0o600)
}

func (p *plan) node(name string) (*node, error) {
	for i := range p.Nodes {
		if p.Nodes[i].Name == name {
			return &p.Nodes[i], nil
		}
	}
	return nil, fmt.Errorf("no node is called %q", name)
}

func (p *plan) path(elements ...string) string {
	return filepath.Join(append([]string{p.Dir}, elements...)...)
}

func (p *plan) etcdURL() string   { return fmt.Sprintf("http://127.0.0.1:%d", p.EtcdPort) }
func (p *plan) serverURL() string { return fmt.Sprintf("https://127.0.0.1:%d", p.APIPort) }
func (p *plan) secondURL() string { return fmt.Sprintf("https://127.0.0.1:%d", p.SecondPort) }
func (p *plan) linkURL() string   { return fmt.Sprintf("http://127.0.0.1:%d", p.LinkPort) }

// Sockets, and files that more than one process reads or writes. The names are
// short because a socket's path may have 107 bytes only.
func (p *plan) controlSocket() string            { return p.path("control") }
func (p *plan) exitsFile() string                { return p.path("exits.jsonl") }
func (p *plan) criSocket(node string) string     { return p.path(node, "cri") }
func (p *plan) runtimeSocket(node string) string { return p.path(node, "runtime.control") }
func (p *plan) kubeletSocket(node string) string { return p.path(node, "kubelet.control") }
func (p *plan) busSocket(node string) string     { return p.path(node, "bus") }
func (p *plan) knobsFile(node string) string     { return p.path(node, "knobs.json") }
func (p *plan) kubeletRoot(node string) string   { return p.path(node, "kubelet") }
func (p *plan) kubeconfigOf(user string) string  { return p.path(user + ".kubeconfig") }
func (p *plan) podLogs(node string) string       { return p.path(node, "logs") }
func (p *plan) scratch(node, container string) string {
	return p.path(node, "scratch", container)
}

// containerd is a path in the folder of a node's containerd.
func (p *plan) containerd(node string, elements ...string) string {
	return p.path(append([]string{node, "containerd"}, elements...)...)
}

func (p *plan) hasContainerd() bool {
	return slices.ContainsFunc(p.Nodes, func(n node) bool { return n.Runtime == containerd })
}

// longestSocket is the longest path of a socket in the folder. The kubelet
// chooses that name.
func (p *plan) longestSocket() (longest string) {
	for _, node := range p.Nodes {
		path := filepath.Join(p.kubeletRoot(node.Name), "pod-resources", "kubelet.sock")
		if len(path) > len(longest) {
			longest = path
		}
	}
	return longest
}
