package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerRuntime is the runtime component: it serves CRI to one kubelet, and
// its containers survive restarts of the kubelet. A sandbox is only a record; a
// container is a record and a process of this machine.
type containerRuntime struct {
	cri.UnimplementedRuntimeServiceServer

	plan      *plan
	node      *node
	processes *processes
	journal   *journal
	images    *images

	mu         sync.Mutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

type sandbox struct {
	id        string
	config    *cri.PodSandboxConfig
	handler   string
	createdAt time.Time
	state     cri.PodSandboxState
}

func runRuntime(p *plan, n *node) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	journal, err := openJournal(p.exitsFile(), n.Name)
	if err != nil {
		return err
	}
	r := &containerRuntime{
		plan:       p,
		node:       n,
		processes:  newProcesses(),
		journal:    journal,
		images:     newImages(),
		sandboxes:  map[string]*sandbox{},
		containers: map[string]*container{},
	}
	// A killed runtime leaves its sockets; all its other state is invalid.
	for _, path := range []string{p.criSocket(n.Name), p.runtimeSocket(n.Name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := serveControl(ctx, p.runtimeSocket(n.Name), r.command); err != nil {
		return err
	}
	listener, err := net.Listen("unix", p.criSocket(n.Name))
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 * mib))
	cri.RegisterRuntimeServiceServer(server, r)
	cri.RegisterImageServiceServer(server, r.images)
	context.AfterFunc(ctx, server.Stop)
	return server.Serve(listener)
}

// newID returns an id that looks like those of other runtimes.
func newID() string {
	id := make([]byte, 32)
	rand.Read(id)
	return hex.EncodeToString(id)
}

func (r *containerRuntime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{
		Version:           "0.1.0",
		RuntimeName:       "podwait",
		RuntimeVersion:    "1.0.0",
		RuntimeApiVersion: "v1",
	}, nil
}

func (r *containerRuntime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{
		Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
			{Type: cri.RuntimeReady, Status: true},
			{Type: cri.NetworkReady, Status: true},
		}},
		RuntimeHandlers: []*cri.RuntimeHandler{{}},
	}, nil
}

func (r *containerRuntime) UpdateRuntimeConfig(context.Context, *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	return &cri.UpdateRuntimeConfigResponse{}, nil
}
