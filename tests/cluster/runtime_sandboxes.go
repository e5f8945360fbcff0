package main

import (
	"context"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (r *containerRuntime) RunPodSandbox(_ context.Context, request *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	// Like a real runtime this creates the folder; the kubelet does not.
	if err := os.MkdirAll(request.Config.LogDirectory, 0o755); err != nil {
		return nil, err
	}
	s := &sandbox{
		id:        newID(),
		config:    request.Config,
		handler:   request.RuntimeHandler,
		createdAt: time.Now(),
		state:     cri.PodSandboxState_SANDBOX_READY,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandboxes[s.id] = s
	return &cri.RunPodSandboxResponse{PodSandboxId: s.id}, nil
}

// StopPodSandbox kills the running containers. Usually, but not always, the
// kubelet has stopped them before.
func (r *containerRuntime) StopPodSandbox(_ context.Context, request *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	r.mu.Lock()
	if s := r.sandboxes[request.PodSandboxId]; s != nil {
		s.state = cri.PodSandboxState_SANDBOX_NOTREADY
	}
	inside := r.containersOf(request.PodSandboxId)
	r.mu.Unlock()
	for _, c := range inside {
		c.stop(0)
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (r *containerRuntime) RemovePodSandbox(ctx context.Context, request *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	if _, err := r.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: request.PodSandboxId}); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containersOf(request.PodSandboxId) {
		r.forget(c)
	}
	delete(r.sandboxes, request.PodSandboxId)
	return &cri.RemovePodSandboxResponse{}, nil
}

// containersOf needs the lock.
func (r *containerRuntime) containersOf(sandbox string) (inside []*container) {
	for _, c := range r.containers {
		if c.sandbox.id == sandbox {
			inside = append(inside, c)
		}
	}
	return inside
}

func (r *containerRuntime) PodSandboxStatus(_ context.Context, request *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[request.PodSandboxId]
	if s == nil {
		return nil, status.Errorf(codes.NotFound, "no sandbox has the id %s", request.PodSandboxId)
	}
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id:        s.id,
		Metadata:  s.config.Metadata,
		State:     s.state,
		CreatedAt: s.createdAt.UnixNano(),
		// The processes use the machine's network, so a probe connects here.
		Network: &cri.PodSandboxNetworkStatus{Ip: "127.0.0.1"},
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{
			Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions(),
		}},
		Labels:         s.config.Labels,
		Annotations:    s.config.Annotations,
		RuntimeHandler: s.handler,
	}}, nil
}

func (r *containerRuntime) ListPodSandbox(_ context.Context, request *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	filter := request.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	items := make([]*cri.PodSandbox, 0, len(r.sandboxes))
	for _, s := range r.sandboxes {
		if (filter.GetId() != "" && filter.Id != s.id) ||
			(filter.GetState() != nil && filter.State.State != s.state) ||
			!selects(filter.GetLabelSelector(), s.config.Labels) {
			continue
		}
		items = append(items, &cri.PodSandbox{
			Id:             s.id,
			Metadata:       s.config.Metadata,
			State:          s.state,
			CreatedAt:      s.createdAt.UnixNano(),
			Labels:         s.config.Labels,
			Annotations:    s.config.Annotations,
			RuntimeHandler: s.handler,
		})
	}
	return &cri.ListPodSandboxResponse{Items: items}, nil
}

func selects(wanted, labels map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// UpdatePodSandboxResources does nothing, since nothing is limited.
func (r *containerRuntime) UpdatePodSandboxResources(context.Context, *cri.UpdatePodSandboxResourcesRequest) (*cri.UpdatePodSandboxResourcesResponse, error) {
	return &cri.UpdatePodSandboxResourcesResponse{}, nil
}
