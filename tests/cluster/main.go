// Command podwait-cluster is a small Kubernetes cluster for integration tests:
// real etcd, kube-apiserver, controllers, scheduler and kubelets, each a
// process of this program, with a container runtime that runs commands as plain
// local processes. It listens on 127.0.0.1 only. All its files are in one
// folder, which it removes at its end.
//
// Once the cluster can be used, one line of JSON appears on stdout; see ready.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/grpclog"
)

// ready is the line on stdout. Nothing else is written there, so a test only
// has to read one line.
type ready struct {
	Ready      bool     `json:"ready"`
	Kubeconfig string   `json:"kubeconfig"`
	Server     string   `json:"server"`
	Version    string   `json:"version"`
	Dir        string   `json:"dir"`
	Control    string   `json:"control"`
	Exits      string   `json:"exits"`
	Nodes      []string `json:"nodes"`
	// Logs are the folders with the containers' logs, by node.
	Logs map[string]string `json:"logs"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "component" {
		if err := runComponent(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "podwait-cluster:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(launch())
}

func launch() int {
	// The messages of the etcd client are not useful on stderr.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	p := &plan{}
	n := node{}
	flags := flag.NewFlagSet("podwait-cluster", flag.ExitOnError)
	flags.StringVar(&p.Dir, "dir", "", "new or empty `folder` for data, keys and logs (default: a temporary one)")
	kubeconfig := flags.String("kubeconfig", "", "new `file` to write the kubeconfig to (default: in the folder)")
	keep := flags.Bool("keep", false, "keep the folder and the kubeconfig on exit")
	timeout := flags.Duration("timeout", 120*time.Second, "fail if the cluster is not ready after this `time`")
	withParent := flags.Bool("with-parent", false, "exit when stdin ends or the parent process is gone")
	nodes := flags.Int("nodes", 1, "`number` of nodes; 0 is an API server without controllers and scheduler")
	flags.IntVar(&n.CPUs, "cpus", 8, "`number` of CPUs that a node reports")
	flags.StringVar(&n.Memory, "memory", "16Gi", "`amount` of memory that a node reports")
	flags.IntVar(&n.MaxPods, "max-pods", 110, "`number` of pods that a node accepts")
	runtimes := flags.String("runtime", ownRuntime, "what runs containers, `processes` or containerd; with commas one for each node, the last one for all others")
	flags.StringVar(&n.OCIRuntime, "oci-runtime", runc, "what containerd starts containers with: runc, crun or runsc")
	logMaxSize := flags.String("log-max-size", "10Mi", "`size` at which a container's log is rotated; with commas one for each node, the last one for all others")
	flags.DurationVar(&n.RestartMax, "restart-max", 5*time.Minute, "longest `time` before a container is started again, 1s or more; less than 10s is the first back-off, too")
	flags.DurationVar(&n.ShutdownGrace, "shutdown-grace", 30*time.Second, "`time` that pods have at a node's shutdown, a third of it for critical pods")
	flags.DurationVar(&p.NodeGrace, "node-grace", 8*time.Second, "`time` a node may be silent before it is NotReady")
	flags.Parse(os.Args[1:])

	complain := func(err error) { fmt.Fprintln(os.Stderr, "podwait-cluster:", err) }
	if flags.NArg() > 0 {
		complain(fmt.Errorf("unexpected argument %q", flags.Arg(0)))
		return 2
	}
	if _, known := ociRuntimes[n.OCIRuntime]; !known {
		complain(fmt.Errorf("--oci-runtime: %q is none of runc, crun and runsc", n.OCIRuntime))
		return 2
	}
	names := make([]string, 0, *nodes)
	of := func(list []string, i int) string { return list[min(i, len(list)-1)] }
	logMaxSizes, runtimesOf := strings.Split(*logMaxSize, ","), strings.Split(*runtimes, ",")
	for i := range *nodes {
		n.Name = fmt.Sprintf("node-%d", i+1)
		n.LogMaxSize, n.Runtime = of(logMaxSizes, i), of(runtimesOf, i)
		if n.Runtime != ownRuntime && n.Runtime != containerd {
			complain(fmt.Errorf("--runtime: %q is neither %s nor %s", n.Runtime, ownRuntime, containerd))
			return 2
		}
		names = append(names, n.Name)
		p.Nodes = append(p.Nodes, n)
	}

	// Everything that ends this process ends this context, with the cause: a
	// signal, a lost parent, a component that ended. The first cause counts.
	ctx, end := context.WithCancelCause(context.Background())
	watchSignals(end)
	if *withParent {
		watchParent(end)
	}

	l, err := newLauncher(p, *kubeconfig, end)
	if err != nil {
		complain(err)
		return 1
	}
	if !*keep {
		defer func() {
			if err := l.remove(); err != nil {
				complain(err)
			}
		}()
	}

	startCtx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("not ready after %s", *timeout))
	err = l.start(startCtx)
	cancel()
	if err == nil {
		err = serveControl(ctx, p.controlSocket(), l.command)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(ready{
			true, l.kubeconfig, p.serverURL(), l.version, p.Dir, p.controlSocket(), p.exitsFile(), names, l.logs,
		})
	}
	if err == nil {
		<-ctx.Done()
	}

	// The tails are read before the folder is removed.
	cause := context.Cause(ctx)
	asked := errors.As(cause, new(stopRequest))
	if cause != nil && !asked {
		err = cause
	}
	l.stop()
	if err != nil && !asked {
		complain(err)
		fmt.Fprint(os.Stderr, l.logTails())
	}

	switch {
	case err == nil:
		return 0
	case asked:
		complain(fmt.Errorf("stopped before it was ready: %w", cause))
	}
	return 1
}
