// Command podwait-cluster is a Kubernetes control plane for integration tests:
// a real etcd and a real kube-apiserver in one process, listening on 127.0.0.1
// only, with everything it writes in one folder that goes away with it.
//
// Once the cluster can be used, one line of JSON appears on stdout; see ready.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"k8s.io/klog/v2"
)

// ready is the line on stdout. Nothing else is ever written there, so a test
// can read one line and know that it has it all.
type ready struct {
	Ready      bool   `json:"ready"`
	Kubeconfig string `json:"kubeconfig"`
	Server     string `json:"server"`
	Version    string `json:"version"`
	Dir        string `json:"dir"`
}

func main() { os.Exit(run()) }

func run() int {
	flags := flag.NewFlagSet("podwait-cluster", flag.ExitOnError)
	dir := flags.String("dir", "", "new or empty `folder` for data, keys and logs (default: a temporary one)")
	kubeconfig := flags.String("kubeconfig", "", "new `file` to write the kubeconfig to (default: in the folder)")
	keep := flags.Bool("keep", false, "leave the folder and the kubeconfig behind on exit")
	timeout := flags.Duration("timeout", 120*time.Second, "give up when the cluster is not ready after this `time`")
	withParent := flags.Bool("with-parent", false, "exit when stdin reaches its end or the parent process is gone")
	flags.Parse(os.Args[1:])

	stdout, stderr := os.Stdout, os.Stderr
	complain := func(err error) { fmt.Fprintln(stderr, "podwait-cluster:", err) }
	if flags.NArg() > 0 {
		complain(fmt.Errorf("unexpected argument %q", flags.Arg(0)))
		return 2
	}

	// Everything that ends this process ends this context, and says why: a
	// signal, a lost parent, a component that died. The first cause wins.
	ctx, end := context.WithCancelCause(context.Background())
	watchSignals(end)
	if *withParent {
		watchParent(end)
	}

	c, err := newCluster(*dir, *kubeconfig, end)
	if err != nil {
		complain(err)
		return 1
	}
	if !*keep {
		defer func() {
			if err := c.remove(); err != nil {
				complain(err)
			}
		}()
	}

	// The components are written to be whole programs and print where they
	// like. Swapping these variables sends all of it to a file; a Go panic still
	// reaches the real stderr, because the runtime does not go through them.
	logFile, err := os.Create(c.path("kubernetes.log"))
	if err != nil {
		complain(err)
		return 1
	}
	os.Stdout, os.Stderr = logFile, logFile
	log.SetOutput(logFile)
	// klog.Fatal would end the process on the spot and leave the folder behind.
	klog.OsExit = func(int) {
		end(errors.New("a component logged a fatal error"))
		select {}
	}

	startCtx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("not ready after %s", *timeout))
	err = c.start(startCtx)
	cancel()
	if err == nil {
		err = json.NewEncoder(stdout).Encode(ready{true, c.kubeconfig, c.server, c.version, c.dir})
	}
	if err == nil {
		<-ctx.Done()
	}

	// The tail has to be read before stopping adds its own lines to the logs.
	cause := context.Cause(ctx)
	asked := errors.As(cause, new(stopRequest))
	if cause != nil && !asked {
		err = cause
	}
	if err != nil && !asked {
		complain(err)
		fmt.Fprint(stderr, c.logTails())
	}
	c.stop()

	switch {
	case err == nil:
		return 0
	case asked:
		complain(fmt.Errorf("stopped before it was ready: %w", cause))
	}
	return 1
}
