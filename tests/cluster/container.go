package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// container is a record of CRI and, from its start to its end, a process.
type container struct {
	id        string
	runtime   *containerRuntime
	sandbox   *sandbox
	config    *cri.ContainerConfig
	fault     fault
	scratch   string // its working folder, with links to its mounts
	createdAt time.Time
	done      chan struct{} // closed once its end is recorded

	mu         sync.Mutex
	state      cri.ContainerState
	startedAt  time.Time
	finishedAt time.Time
	stoppedAt  time.Time // when the kubelet first requested its stop
	exitCode   int
	reason     string
	message    string
	signals    []string // the signals that were sent to it
	lost       bool     // it is no longer reported to the kubelet
	oom        bool
	process    *process
	log        *containerLog
}

// Reasons and codes are those of containerd.
const (
	reasonCompleted  = "Completed"
	reasonError      = "Error"
	reasonOOM        = "OOMKilled"
	reasonStartError = "StartError"
	codeStartError   = 128
)

// prepare makes the folder that replaces the container's file system. A plain
// process has no mounts, so each mount is a link: /data is `data`.
func (c *container) prepare() error {
	if err := os.MkdirAll(c.scratch, 0o755); err != nil {
		return err
	}
	for _, mount := range c.config.Mounts {
		if mount.HostPath == "" {
			continue
		}
		link := filepath.Join(c.scratch, mount.ContainerPath)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		// A mount inside another mount is hidden by that mount's link.
		if err := os.Symlink(mount.HostPath, link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// command returns the program, arguments, environment and folder.
func (c *container) command() (path string, arguments, environment []string, dir string, err error) {
	arguments = append(append(arguments, c.config.Command...), c.config.Args...)
	if len(arguments) == 0 {
		// The default command of every image waits.
		arguments = []string{"sleep", "infinity"}
	}
	path, environment, dir, err = c.surroundings(arguments[0])
	return path, arguments, environment, dir, err
}

// surroundings are the environment and the folder of a program.
func (c *container) surroundings(program string) (path string, environment []string, dir string, err error) {
	dir = c.scratch
	if c.config.WorkingDir != "" {
		dir = filepath.Join(c.scratch, c.config.WorkingDir)
		if err = os.MkdirAll(dir, 0o755); err != nil {
			return "", nil, "", err
		}
	}

	search := os.Getenv("PATH")
	environment = []string{
		"HOME=" + c.scratch,
		"HOSTNAME=" + c.sandbox.config.Hostname,
		"PODWAIT_ROOT=" + c.scratch,
	}
	wanted := c.config.Annotations["io.kubernetes.container.terminationMessagePath"]
	for _, mount := range c.config.Mounts {
		if wanted != "" && mount.ContainerPath == wanted {
			environment = append(environment, "TERMINATION_LOG="+mount.HostPath)
		}
	}
	for _, variable := range c.config.Envs {
		environment = append(environment, variable.Key+"="+string(variable.Value))
		if variable.Key == "PATH" {
			search = string(variable.Value)
		}
	}
	environment = append(environment, "PATH="+search)

	path, err = lookUp(program, search, dir)
	return path, environment, dir, err
}

// lookUp finds a program as a shell does, but in the container's PATH.
func lookUp(name, search, dir string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, unix.Access(name, unix.X_OK)
	}
	for _, folder := range filepath.SplitList(search) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// start runs the process. If that fails, the container has ended, with a
// reason.
func (c *container) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_CREATED {
		return fmt.Errorf("the container is in state %s", c.state)
	}
	process, err := c.spawn()
	if err != nil {
		// Not startedAt: containerd leaves that at zero too.
		c.finishedAt = time.Now()
		c.exitCode, c.reason, c.message = codeStartError, reasonStartError, err.Error()
		c.recordEnd()
		return err
	}
	c.process = process
	c.state = cri.ContainerState_CONTAINER_RUNNING
	c.startedAt = process.startedAt
	go c.follow(process)
	c.fault.arm(c)
	return nil
}

func (c *container) spawn() (*process, error) {
	if c.fault.kind == faultStart {
		return nil, errors.New("as asked for")
	}
	path, arguments, environment, dir, err := c.command()
	if err != nil {
		return nil, err
	}
	if c.log, err = openContainerLog(c.logPath()); err != nil {
		return nil, err
	}
	// The command has its own process namespace, as in a real container. There it
	// is process 1: signals that it does not handle have no effect, except SIGKILL
	// from outside, and all other processes end with it.
	pid := c.config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetPid()
	process, err := c.runtime.processes.start(spawn{
		path: path, arguments: arguments, environment: environment, dir: dir,
		alone:  pid == cri.NamespaceMode_CONTAINER,
		output: c.log.copy,
	})
	if err != nil {
		c.log.close()
	}
	return process, err
}

// follow waits for the end of the process and records it.
func (c *container) follow(process *process) {
	end := process.wait()
	c.log.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finishedAt = end.at
	c.exitCode = end.code
	switch {
	case c.oom:
		c.reason = reasonOOM
	case end.code == 0:
		c.reason = reasonCompleted
	default:
		c.reason = reasonError
	}
	c.recordEnd()
}

// recordEnd needs the lock. The end is in the journal before any request can
// show it.
func (c *container) recordEnd() {
	c.runtime.journal.write(c)
	c.state = cri.ContainerState_CONTAINER_EXITED
	close(c.done)
}

// stop sends SIGTERM, later SIGKILL, and returns when the process has ended.
func (c *container) stop(patience time.Duration) {
	c.mu.Lock()
	running := c.state == cri.ContainerState_CONTAINER_RUNNING
	if running && c.stoppedAt.IsZero() {
		c.stoppedAt = time.Now()
	}
	c.mu.Unlock()
	if !running {
		return
	}
	if patience > 0 {
		c.signal(syscall.SIGTERM)
		select {
		case <-c.done:
			return
		case <-time.After(patience):
		}
	}
	c.signal(syscall.SIGKILL)
	<-c.done
}

// signal sends the signal only to the command, as real runtimes do. The other
// processes are killed when the command has ended.
func (c *container) signal(signal syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return errors.New("the container is not running")
	}
	c.signals = append(c.signals, unix.SignalName(signal))
	return c.process.signal(signal)
}

// killForMemory ends the container as the kernel does when memory is short.
func (c *container) killForMemory() error {
	c.mu.Lock()
	c.oom = c.state == cri.ContainerState_CONTAINER_RUNNING
	c.mu.Unlock()
	return c.signal(syscall.SIGKILL)
}

// lose removes the container without a record, and kills it.
func (c *container) lose() {
	c.runtime.mu.Lock()
	c.runtime.forget(c)
	c.runtime.mu.Unlock()
	c.mu.Lock()
	c.lost = true
	c.mu.Unlock()
	c.signal(syscall.SIGKILL)
}

func (c *container) reopenLog() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return errors.New("the container is not running")
	}
	return c.log.reopen()
}
