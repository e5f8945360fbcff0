package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerdNode is the runtime component of a node whose kubelet speaks to a real
// containerd. It is the first process of a process namespace and has mounts of its
// own, so that all that containerd starts and mounts ends with it, however it ends.
type containerdNode struct {
	plan      *plan
	node      *node
	daemon    *daemon
	runtime   cri.RuntimeServiceClient
	tasks     tasks.TasksClient
	journal   *journal
	processes *processes
	known     map[string]knownContainer // by id; only follow uses it
}

// systemPath is where the programs are. A user's PATH may lack those of root.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// containerdNeeds are programs, and Debian's packages that have them.
var containerdNeeds = [][2]string{
	{"containerd", "containerd"},
	{cniLoopback, "containernetworking-plugins"},
	{busybox, "busybox-static"},
}

// findProgram returns the path of a program of the system.
func findProgram(name string) (string, error) {
	if filepath.IsAbs(name) {
		return exec.LookPath(name)
	}
	for _, folder := range filepath.SplitList(systemPath) {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is in none of %s", name, systemPath)
}

// privateFolders hold what containerd, its shims and CNI keep outside of the folders
// that they are given. Each is empty and in memory for this component.
var privateFolders = []string{"/run", "/var/lib"}

// containersAllowed returns in one sentence why this machine cannot have such a node.
func containersAllowed(dir string, nodes []node) error {
	if os.Geteuid() != 0 {
		return errors.New("--runtime containerd needs root")
	}
	for _, need := range containerdNeeds {
		if _, err := findProgram(need[0]); err != nil {
			return fmt.Errorf("--runtime containerd needs the package %s: %w", need[1], err)
		}
	}
	for _, node := range nodes {
		if err := ociRuntimeAllowed(node); err != nil {
			return err
		}
	}
	if cgroupRoots("memory") == nil {
		return errors.New("--runtime containerd needs cgroups for memory at " + cgroupFolder)
	}
	for _, folder := range privateFolders {
		if strings.HasPrefix(dir+"/", folder+"/") {
			return fmt.Errorf("--runtime containerd needs a folder outside of %s", folder)
		}
	}
	// What a machine forbids is best asked by trying.
	try := exec.Command("/proc/self/exe", "component", dir, tryMounts)
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: containerdClone}
	if said, err := try.CombinedOutput(); err != nil {
		return fmt.Errorf("--runtime containerd needs namespaces and mounts: %w %s", err, said)
	}
	return nil
}

// containerdClone are the namespaces of the component.
const containerdClone = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS

// tryMounts is the name of a component that only does what isolateMounts does.
const tryMounts = "try-mounts"

// isolateMounts makes mounts from now on this component's own.
func isolateMounts() error {
	if err := makeMountsPrivate(); err != nil {
		return err
	}
	// Process ids have to be those of this namespace.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	for _, folder := range privateFolders {
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	return nil
}

func runContainerd(p *plan, n *node) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := isolateMounts(); err != nil {
		return err
	}
	if n.OCIRuntime == crun {
		if err := hideCgroup2(); err != nil {
			return err
		}
	}
	for _, path := range []string{p.criSocket(n.Name), p.runtimeSocket(n.Name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := writeContainerdFiles(p, n); err != nil {
		return err
	}
	journal, err := openJournal(p.exitsFile(), n.Name)
	if err != nil {
		return err
	}
	// containerd may be away for long, and is to be asked as soon as it is back.
	patience := backoff.DefaultConfig
	patience.BaseDelay, patience.MaxDelay = 50*time.Millisecond, 50*time.Millisecond
	connection, err := grpc.NewClient("unix://"+p.criSocket(n.Name),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: patience, MinConnectTimeout: time.Second}))
	if err != nil {
		return err
	}
	processes := newProcesses()
	c := &containerdNode{
		plan:      p,
		node:      n,
		daemon:    newDaemon(p, n, processes),
		runtime:   cri.NewRuntimeServiceClient(connection),
		tasks:     tasks.NewTasksClient(connection),
		journal:   journal,
		processes: processes,
		known:     map[string]knownContainer{},
	}
	if err := c.daemon.start(); err != nil {
		return err
	}
	if err := serveControl(ctx, p.runtimeSocket(n.Name), c.command); err != nil {
		return err
	}
	go c.follow(ctx, connection)
	select {
	case err := <-c.daemon.died:
		return err
	case <-ctx.Done():
		return nil
	}
}
