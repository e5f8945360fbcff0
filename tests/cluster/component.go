package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// component is one process of the cluster, including its restarts.
type component struct {
	name      string
	arguments []string
	clone     uintptr // its namespaces, if the system allows them
	spawner   spawner // starts it
	log       string
	program   string      // its program, if not this one
	onOrder   bool        // it is started by a command, and not with the cluster
	died      func(error) // called on a new goroutine when it ends without a command

	mu        sync.Mutex
	process   *os.Process   // nil while it is not running
	ended     chan struct{} // closed when the process has ended
	commanded bool          // a command has ended it
	throttle  chan struct{} // closed to stop throttling
	share     int           // the percentage of time in which it may run
}

// spawner runs functions on one thread that never ends. A child with
// PR_SET_PDEATHSIG dies with the thread that started it, not with the process.
type spawner chan func()

var commonSpawner = newSpawner()

func newSpawner() spawner {
	functions := make(spawner)
	go func() {
		runtime.LockOSThread()
		for function := range functions {
			function()
		}
	}()
	return functions
}

// do returns when the function has run.
func (s spawner) do(function func() error) (err error) {
	done := make(chan struct{})
	s <- func() {
		err = function()
		close(done)
	}
	<-done
	return err
}

// ownProgram is the running program, even if a build has replaced its file.
const ownProgram = "/proc/self/exe"

func (c *component) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		return fmt.Errorf("%s is running already", c.name)
	}
	log, err := os.OpenFile(c.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()

	spawn := func(clone uintptr, users, groups []syscall.SysProcIDMap) (*exec.Cmd, error) {
		command := exec.Command(cmp.Or(c.program, ownProgram), c.arguments...)
		command.Args[0] = "podwait-cluster"
		command.Stdout, command.Stderr = log, log
		command.SysProcAttr = &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL,
			// Ctrl-C in a terminal must reach only the launcher.
			Setpgid:     true,
			Cloneflags:  clone,
			UidMappings: users,
			GidMappings: groups,
		}
		return command, c.spawner.do(command.Start)
	}
	command, err := spawn(c.clone, nil, nil)
	if c.clone == syscall.CLONE_NEWPID && errors.Is(err, syscall.EPERM) {
		// Without root this uses a user namespace, if that is allowed.
		command, err = spawn(c.clone|syscall.CLONE_NEWUSER,
			[]syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			[]syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}})
		if err != nil {
			command, err = spawn(0, nil, nil)
		}
	}
	if err != nil {
		return err
	}

	ended := make(chan struct{})
	c.process, c.ended, c.commanded = command.Process, ended, false
	go func() {
		command.Wait()
		c.mu.Lock()
		c.process = nil
		commanded := c.commanded
		c.mu.Unlock()
		close(ended)
		if !commanded {
			c.died(fmt.Errorf("%s ended: %s", c.name, command.ProcessState))
		}
	}()
	return nil
}

// kill returns when the process has ended.
func (c *component) kill() error {
	ended, err := c.end(syscall.SIGKILL)
	if err == nil {
		<-ended
	}
	return err
}

// setProgram chooses the program of the next start, which has to have this component.
// Without a path it is the usual one.
func (c *component) setProgram(path string) error {
	if path == "" {
		path = ownProgram
	}
	if _, err := exec.LookPath(path); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.program = path
	return nil
}

// terminate sends SIGTERM, and waits for the end within a limit.
func (c *component) terminate(patience time.Duration) error {
	ended, err := c.end(syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s is still running after %s", c.name, patience)
	}
}

func (c *component) end(signal syscall.Signal) (ended chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return nil, fmt.Errorf("%s is not running", c.name)
	}
	c.commanded = true
	return c.ended, c.process.Signal(signal)
}

func (c *component) signal(signal syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return fmt.Errorf("%s is not running", c.name)
	}
	return c.process.Signal(signal)
}

func (c *component) pause() error {
	c.unthrottle()
	return c.signal(syscall.SIGSTOP)
}

func (c *component) resume() error {
	c.unthrottle()
	return c.signal(syscall.SIGCONT)
}

// slice is the period of a throttled process: it runs once and is stopped once.
const slice = 40 * time.Millisecond

// setShare sets the percentage of time in which the process runs, also after a
// restart.
func (c *component) setShare(percent int) {
	c.unthrottle()
	if percent >= 100 {
		c.signal(syscall.SIGCONT)
		return
	}
	stop := make(chan struct{})
	c.mu.Lock()
	c.throttle, c.share = stop, percent
	c.mu.Unlock()
	run := slice * time.Duration(percent) / 100
	go func() {
		for {
			for _, step := range []struct {
				signal syscall.Signal
				time   time.Duration
			}{{syscall.SIGCONT, run}, {syscall.SIGSTOP, slice - run}} {
				// This uses the lock of unthrottle, so that no SIGSTOP follows it.
				c.mu.Lock()
				current := c.throttle == stop
				if current && c.process != nil {
					c.process.Signal(step.signal)
				}
				c.mu.Unlock()
				if !current {
					return
				}
				select {
				case <-stop:
				case <-time.After(step.time):
				}
			}
		}
	}()
}

func (c *component) unthrottle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.throttle != nil {
		close(c.throttle)
		c.throttle = nil
		if c.process != nil {
			c.process.Signal(syscall.SIGCONT)
		}
	}
}

// componentStatus is the status of a component in the control channel.
type componentStatus struct {
	Name     string `json:"name"`
	Running  bool   `json:"running"`
	PID      int    `json:"pid,omitempty"`
	Throttle int    `json:"throttle,omitempty"`
}

func (c *component) status() componentStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := componentStatus{Name: c.name, Running: c.process != nil}
	if c.process != nil {
		s.PID = c.process.Pid
	}
	if c.throttle != nil {
		s.Throttle = c.share
	}
	return s
}
