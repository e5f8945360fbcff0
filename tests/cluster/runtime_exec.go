package main

import (
	"bytes"
	"context"
	"io"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// execLimit is how much of a hook's or a probe's output is kept.
const execLimit = mib

// ExecSync runs hooks and probes. They can access the container's files, but
// not its processes: to enter its process namespace would need a separate
// thread.
func (r *containerRuntime) ExecSync(_ context.Context, request *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	c, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	if len(request.Cmd) == 0 {
		return nil, status.Error(codes.InvalidArgument, "no command")
	}
	path, environment, dir, err := c.surroundings(request.Cmd[0])
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	output := map[string]*bytes.Buffer{"stdout": {}, "stderr": {}}
	process, err := r.processes.start(spawn{
		path: path, arguments: request.Cmd, environment: environment, dir: dir,
		output: func(from io.Reader, stream string) {
			kept, _ := io.ReadAll(io.LimitReader(from, execLimit))
			mu.Lock()
			output[stream].Write(kept)
			mu.Unlock()
			io.Copy(io.Discard, from)
		},
	})
	if err != nil {
		return nil, err
	}
	ended := make(chan end, 1)
	go func() { ended <- process.wait() }()
	var late <-chan time.Time
	if request.Timeout > 0 {
		late = time.After(time.Duration(request.Timeout) * time.Second)
	}
	// The command ends with its container, as if it ran inside.
	select {
	case e := <-ended:
		mu.Lock()
		defer mu.Unlock()
		return &cri.ExecSyncResponse{
			Stdout: output["stdout"].Bytes(), Stderr: output["stderr"].Bytes(), ExitCode: int32(e.code),
		}, nil
	case <-c.done:
		process.signal(syscall.SIGKILL)
		<-ended
		return nil, status.Error(codes.Unknown, "the container has ended")
	case <-late:
		process.signal(syscall.SIGKILL)
		<-ended
		return nil, status.Errorf(codes.DeadlineExceeded, "not done after %d s", request.Timeout)
	}
}

const noStreams = "exec, attach and port-forward are not supported by this runtime"

func (r *containerRuntime) Exec(context.Context, *cri.ExecRequest) (*cri.ExecResponse, error) {
	return nil, status.Error(codes.Unimplemented, noStreams)
}

func (r *containerRuntime) Attach(context.Context, *cri.AttachRequest) (*cri.AttachResponse, error) {
	return nil, status.Error(codes.Unimplemented, noStreams)
}

func (r *containerRuntime) PortForward(context.Context, *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	return nil, status.Error(codes.Unimplemented, noStreams)
}
