package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// daemon is containerd itself, over all its starts. Its shims and containers do not
// end with it.
type daemon struct {
	plan      *plan
	node      *node
	processes *processes
	died      chan error // that it ended and no command had asked for it

	mu        sync.Mutex
	process   *process
	ended     chan struct{}
	commanded bool
}

func newDaemon(p *plan, n *node, processes *processes) *daemon {
	return &daemon{plan: p, node: n, processes: processes, died: make(chan error, 1)}
}

func (d *daemon) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process != nil {
		return errors.New("containerd is running already")
	}
	program, err := findProgram("containerd")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(d.plan.path(d.node.Name, "containerd.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process, err := d.processes.fork(program, []string{"containerd", "--config", d.plan.containerd(d.node.Name, "config.toml")}, &syscall.ProcAttr{
		Env: []string{"PATH=" + systemPath + ":" + builtFolder(), "TMPDIR=" + d.plan.containerd(d.node.Name, "tmp")},
		// Into a file: its shims inherit it, and have to outlive its end.
		Files: []uintptr{log.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	d.process, d.ended, d.commanded = process, ended, false
	go func() {
		end := <-process.ended
		d.mu.Lock()
		d.process = nil
		commanded := d.commanded
		d.mu.Unlock()
		close(ended)
		if !commanded {
			d.died <- fmt.Errorf("containerd ended with %d", end.code)
		}
	}()
	return nil
}

// end returns when containerd has ended.
func (d *daemon) end(signal syscall.Signal) error {
	d.mu.Lock()
	process, ended := d.process, d.ended
	if process != nil {
		d.commanded = true
	}
	d.mu.Unlock()
	if process == nil {
		return errors.New("containerd is not running")
	}
	if err := process.signal(signal); err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(8 * time.Second):
		return fmt.Errorf("containerd is still running after %s", signal)
	}
}

func (d *daemon) signal(signal syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == nil {
		return errors.New("containerd is not running")
	}
	return d.process.signal(signal)
}

// command does what tests ask of containerd.
func (d *daemon) command(verb string) error {
	switch verb {
	case "kill":
		return d.end(syscall.SIGKILL)
	case "stop":
		return d.end(syscall.SIGTERM)
	case "start":
		return d.start()
	case "restart":
		if err := d.end(syscall.SIGKILL); err != nil {
			return err
		}
		return d.start()
	case "pause":
		return d.signal(syscall.SIGSTOP)
	case "resume":
		return d.signal(syscall.SIGCONT)
	}
	return fmt.Errorf("%s is none of kill, stop, start, restart, pause, resume", verb)
}
