package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// components are started in this order and stopped in reverse. start returns
// once the next component can rely on this one; it registers what has to be
// undone with onStop and reports a later death with fail. All of them share one
// process, and with it klog, the feature gates and every other global.
var components = []struct {
	name  string
	start func(ctx context.Context, c *cluster) error
}{
	{"etcd", startEtcd},
	{"kube-apiserver", startAPIServer},
}

// stopLimit is how long one component may take to stop. Nothing is worth saving
// here, and an API server with watches open takes up to a minute by itself.
const stopLimit = 3 * time.Second

// cluster is what the components need to know of each other.
type cluster struct {
	dir        string
	kubeconfig string
	server     string // URL of the API server
	version    string // as the API server reports it
	etcd       string // URL of etcd
	listener   net.Listener
	tokens     tokens
	ca         []byte // PEM

	fail  func(error)
	stops []func()
}

// newCluster prepares all files the components read.
func newCluster(dir, kubeconfig string, fail func(error)) (c *cluster, err error) {
	c = &cluster{fail: fail}
	if c.dir, err = makeDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.remove()
		}
	}()

	// Holding the listener from here on, instead of picking a free port and
	// binding it later, leaves no moment in which another process can take it.
	if c.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	c.server = "https://" + c.listener.Addr().String()
	if err = c.writeCerts(); err != nil {
		return nil, err
	}
	if err = c.writeTokens(); err != nil {
		return nil, err
	}
	if kubeconfig == "" {
		kubeconfig = c.path("kubeconfig")
	}
	return c, c.writeKubeconfig(kubeconfig)
}

// makeDir returns an empty folder. A folder with anything in it is refused: it
// would be removed on exit, and it may be somebody's home.
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

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) onStop(stop func()) { c.stops = append(c.stops, stop) }

func (c *cluster) start(ctx context.Context) error {
	for _, component := range components {
		if err := component.start(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", component.name, err)
		}
	}
	return nil
}

func (c *cluster) stop() {
	for i := len(c.stops) - 1; i >= 0; i-- {
		stopped := make(chan struct{})
		go func() {
			c.stops[i]()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-time.After(stopLimit):
		}
	}
}

// remove deletes all that was written. A component that did not stop in time
// may still be writing, so one failure is not the end of it.
func (c *cluster) remove() (err error) {
	if c.kubeconfig != "" {
		os.Remove(c.kubeconfig)
	}
	for range 20 {
		if err = os.RemoveAll(c.dir); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// logTails is the end of every log, for a failure: the folder is about to go.
func (c *cluster) logTails() string {
	const lines = 25
	var out strings.Builder
	logs, _ := filepath.Glob(c.path("*.log"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			continue
		}
		all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		tail := all[max(0, len(all)-lines):]
		fmt.Fprintf(&out, "--- end of %s\n%s\n", path, strings.Join(tail, "\n"))
	}
	return out.String()
}
