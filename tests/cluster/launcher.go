package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// launcher prepares a cluster's folder, starts the components as separate
// processes, and executes commands for them. The launcher itself is not a part
// of the cluster.
type launcher struct {
	plan       *plan
	kubeconfig string
	version    string // as the API server reports it
	components []*component
	client     *client
	second     *client // of the second API server
	link       *link
	registry   *registry         // nil without a containerd node
	logs       map[string]string // by node, where this process and others find them

	fail  func(error)
	ports []*os.File
}

// newLauncher prepares all files the components read.
func newLauncher(p *plan, kubeconfig string, fail func(error)) (l *launcher, err error) {
	l = &launcher{plan: p, fail: fail, logs: map[string]string{}}
	if p.Dir, err = makeDir(p.Dir); err != nil {
		return nil, err
	}
	// A return without a launcher takes it away from its name.
	made := l
	defer func() {
		if err != nil {
			made.remove()
		}
	}()
	if path := p.longestSocket(); len(path) > 107 {
		return nil, fmt.Errorf("the folder's path is too long for the socket %s", path)
	}

	if p.hasContainerd() {
		if err = containersAllowed(p.Dir, p.Nodes); err != nil {
			return nil, err
		}
		sweepCgroups()
		p.Cgroup = fmt.Sprint(cgroupPrefix, os.Getpid())
		if l.registry, err = newRegistry(); err != nil {
			return nil, err
		}
		p.RegistryPort = l.registry.port()
		go l.registry.serve()
	}

	ports := []*int{&p.EtcdPort, &p.PeerPort, &p.APIPort, &p.SecondPort}
	for i := range p.Nodes {
		ports = append(ports, &p.Nodes[i].Port)
		for _, path := range []string{p.kubeletRoot(p.Nodes[i].Name), p.podLogs(p.Nodes[i].Name)} {
			if err = os.MkdirAll(path, 0o700); err != nil {
				return nil, err
			}
		}
	}
	for _, port := range ports {
		var hold *os.File
		if *port, hold, err = reservePort(); err != nil {
			return nil, err
		}
		l.ports = append(l.ports, hold)
	}
	if l.link, err = newLink(); err != nil {
		return nil, err
	}
	l.link.etcd = fmt.Sprintf("127.0.0.1:%d", p.EtcdPort)
	p.LinkPort = l.link.port()
	go l.link.serve()
	if p.CA, err = writeCerts(p); err != nil {
		return nil, err
	}
	if err = writeUsers(p); err != nil {
		return nil, err
	}
	if err = os.WriteFile(p.exitsFile(), nil, 0o600); err != nil {
		return nil, err
	}
	if err = p.write(); err != nil {
		return nil, err
	}
	l.client, l.second = newClient(p, p.serverURL()), newClient(p, p.secondURL())
	if err = l.addComponents(); err != nil {
		return nil, err
	}
	if kubeconfig == "" {
		kubeconfig = p.path("kubeconfig")
	}
	l.kubeconfig, err = writeUserKubeconfig(p, kubeconfig)
	return l, err
}

// makeDir returns an empty folder. A folder that is not empty is refused: it
// would be removed on exit, and could be a home directory.
func makeDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "podwait-cluster-")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", dir)
	}
	return dir, err
}

func (l *launcher) addComponents() error {
	add := func(name string, clone uintptr, arguments ...string) *component {
		c := &component{
			name:      name,
			arguments: append([]string{"component", l.plan.Dir}, arguments...),
			clone:     clone,
			spawner:   commonSpawner,
			log:       l.plan.path(name + ".log"),
			died:      l.fail,
		}
		l.components = append(l.components, c)
		return c
	}
	add("etcd", 0, "etcd")
	add("apiserver", 0, "apiserver")
	add(secondServer, 0, secondServer).onOrder = true
	if len(l.plan.Nodes) == 0 {
		return nil
	}
	l.revive(add("controllers", 0, "controllers"))
	l.revive(add("scheduler", 0, "scheduler"))
	for i, node := range l.plan.Nodes {
		// In a separate process namespace, so that all its descendants end with it.
		var clone uintptr = syscall.CLONE_NEWPID
		spawner := commonSpawner
		l.logs[node.Name] = l.plan.podLogs(node.Name)
		if node.Runtime == containerd {
			clone = containerdClone
			spawner = newSpawner()
			err := spawner.do(func() error {
				// This thread's mounts, for processes that do not have them.
				root := fmt.Sprintf("/proc/%d/task/%d/root", os.Getpid(), syscall.Gettid())
				l.logs[node.Name] = filepath.Join(root, l.logs[node.Name])
				return mountDisks(l.plan, &node)
			})
			if err != nil {
				return err
			}
		}
		add(fmt.Sprintf("runtime-%d", i+1), clone, "runtime", node.Name).spawner = spawner
		add(fmt.Sprintf("kubelet-%d", i+1), 0, "kubelet", node.Name).spawner = spawner
	}
	return nil
}

// secondServer is an API server over the same etcd, which no component uses.
const secondServer = "apiserver-2"

// revivals is how often a component is restarted.
const revivals = 5

// revive restarts a component that exits if the API server does not respond
// during its start, as on any cluster.
func (l *launcher) revive(c *component) {
	left := revivals
	c.died = func(err error) {
		if left--; left < 0 {
			l.fail(err)
			return
		}
		waitFor(context.Background(), func() error { return l.client.apiServerReady(context.Background()) })
		// A command may have started it meanwhile.
		c.start()
	}
}

func (l *launcher) component(name string) (*component, error) {
	names := make([]string, 0, len(l.components))
	for _, component := range l.components {
		if component.name == name {
			return component, nil
		}
		names = append(names, component.name)
	}
	return nil, fmt.Errorf("no component is called %q, only %s", name, strings.Join(names, ", "))
}

// start returns once the cluster can be used.
func (l *launcher) start(ctx context.Context) error {
	for _, component := range l.components {
		if component.onOrder {
			continue
		}
		if err := component.start(); err != nil {
			return fmt.Errorf("%s: %w", component.name, err)
		}
		var err error
		switch component.name {
		case "etcd":
			// The other components would wait too, but in long steps.
			err = waitFor(ctx, func() error { return dial("tcp", l.client.etcd) })
		case "apiserver":
			err = waitFor(ctx, func() error { return l.client.apiServerReady(ctx) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", component.name, err)
		}
	}
	if err := l.waitReady(ctx); err != nil {
		return err
	}
	var err error
	l.version, err = l.client.version(ctx)
	return err
}

// waitReady returns once every node is ready, which needs all other components,
// and the second API server too, if it runs.
func (l *launcher) waitReady(ctx context.Context) error {
	return waitFor(ctx, func() error {
		if err := l.client.apiServerReady(ctx); err != nil {
			return err
		}
		if second, err := l.component(secondServer); err == nil && second.status().Running {
			if err := l.second.apiServerReady(ctx); err != nil {
				return fmt.Errorf("%s: %w", secondServer, err)
			}
		}
		return l.client.nodesReady(ctx, l.plan.Nodes)
	})
}

// waitFor retries until there is no error. On timeout it returns the last
// error.
func waitFor(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func dial(network, address string) error {
	connection, err := net.Dial(network, address)
	if err == nil {
		connection.Close()
	}
	return err
}

// stop kills all components at once. No data has to be saved, and an API server
// with open watches would take up to a minute.
func (l *launcher) stop() {
	for _, component := range l.components {
		component.kill()
	}
	l.link.listener.Close()
	if l.registry != nil {
		l.registry.listener.Close()
	}
	for _, port := range l.ports {
		port.Close()
	}
}

// remove deletes all files. A process that was just killed may still be ending,
// so a failure is retried.
func (l *launcher) remove() (err error) {
	if l.kubeconfig != "" {
		os.Remove(l.kubeconfig)
	}
	for range 20 {
		err = os.RemoveAll(l.plan.Dir)
		if l.plan.Cgroup != "" {
			err = errors.Join(err, removeCgroups(l.plan.Cgroup))
		}
		if err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// logTails returns the end of every log, for an error message: the folder will
// be removed.
func (l *launcher) logTails() string {
	const lines = 25
	var out strings.Builder
	for _, component := range l.components {
		text, err := os.ReadFile(component.log)
		if err != nil || len(text) == 0 {
			continue
		}
		all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		tail := all[max(0, len(all)-lines):]
		fmt.Fprintf(&out, "--- end of %s\n%s\n", component.log, strings.Join(tail, "\n"))
	}
	return out.String()
}

// runComponent is the main function of a process that the launcher has started.
func runComponent(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("only the launcher starts components")
	}
	if arguments[1] == tryMounts {
		return isolateMounts()
	}
	p, err := readPlan(arguments[0])
	if err != nil {
		return err
	}
	switch arguments[1] {
	case "etcd":
		return runEtcd(p)
	case "apiserver":
		return runAPIServer(p, p.APIPort, p.etcdURL())
	case secondServer:
		return runAPIServer(p, p.SecondPort, p.linkURL())
	case "controllers":
		return runControllers(p)
	case "scheduler":
		return runScheduler(p)
	}
	if len(arguments) < 3 {
		return fmt.Errorf("no component is called %q", arguments[1])
	}
	n, err := p.node(arguments[2])
	if err != nil {
		return err
	}
	switch arguments[1] {
	case "runtime":
		if n.Runtime == containerd {
			return runContainerd(p, n)
		}
		return runRuntime(p, n)
	case "kubelet":
		return runKubelet(p, n)
	}
	return fmt.Errorf("no component is called %q", arguments[1])
}
