package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processes starts processes and collects the ended ones, including orphans of
// processes that ended before their children.
type processes struct {
	mu      sync.Mutex
	running map[int]*process
}

// process is the command of a container.
type process struct {
	pid       int
	alone     bool
	startedAt time.Time
	output    *sync.WaitGroup // the readers of its output
	pipes     []*os.File
	ended     chan end
}

// end is how and when a process ended.
type end struct {
	code int // 128 plus the number of the signal that ended it
	at   time.Time
}

type spawn struct {
	path        string
	arguments   []string
	environment []string
	dir         string
	alone       bool // in a separate process namespace
	output      func(from io.Reader, stream string)
}

func newProcesses() *processes {
	p := &processes{running: map[int]*process{}}
	// Without a process namespace orphans would become children of init.
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			p.reap()
		}
	}()
	return p
}

func (p *processes) start(s spawn) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := []uintptr{null.Fd()}
	started := &process{ended: make(chan end, 1), output: &sync.WaitGroup{}, alone: s.alone}
	for range 2 {
		read, write, err := os.Pipe()
		if err != nil {
			started.closePipes()
			return nil, err
		}
		defer write.Close()
		started.pipes = append(started.pipes, read)
		files = append(files, write.Fd())
	}

	attributes := &syscall.ProcAttr{
		Dir: s.dir, Env: s.environment, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if s.alone {
		attributes.Sys.Cloneflags = syscall.CLONE_NEWPID
	}
	err = p.register(started, s.path, s.arguments, attributes)
	if s.alone && errors.Is(err, syscall.EPERM) {
		// Without root a process group is used.
		attributes.Sys.Cloneflags, started.alone = 0, false
		err = p.register(started, s.path, s.arguments, attributes)
	}
	if err != nil {
		started.closePipes()
		return nil, err
	}
	for i, stream := range []string{"stdout", "stderr"} {
		started.output.Go(func() { s.output(started.pipes[i], stream) })
	}
	return started, nil
}

// fork starts a process whose files are the caller's affair.
func (p *processes) fork(path string, arguments []string, attributes *syscall.ProcAttr) (*process, error) {
	started := &process{ended: make(chan end, 1)}
	return started, p.register(started, path, arguments, attributes)
}

func (p *processes) register(started *process, path string, arguments []string, attributes *syscall.ProcAttr) error {
	// Locked, so that a process that ends at once is known when it is collected.
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err := syscall.ForkExec(path, arguments, attributes)
	if err != nil {
		return &os.PathError{Op: "exec", Path: path, Err: err}
	}
	started.pid, started.startedAt = pid, time.Now()
	p.running[pid] = started
	return nil
}

func (p *processes) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		now := time.Now()
		p.mu.Lock()
		process := p.running[pid]
		delete(p.running, pid)
		p.mu.Unlock()
		if process == nil {
			continue
		}
		code := status.ExitStatus()
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
		process.ended <- end{code, now}
	}
}

// outputLimit is how long the output of an ended command may stay open. Only a
// process in its own session keeps it open.
const outputLimit = time.Second

// wait returns when the process has ended and its output is written.
func (p *process) wait() end {
	e := <-p.ended
	if !p.alone {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	written := make(chan struct{})
	go func() {
		p.output.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(outputLimit):
	}
	p.closePipes()
	<-written
	return e
}

func (p *process) closePipes() {
	for _, pipe := range p.pipes {
		pipe.Close()
	}
}

func (p *process) signal(signal syscall.Signal) error { return syscall.Kill(p.pid, signal) }
