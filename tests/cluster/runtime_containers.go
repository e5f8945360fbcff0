package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (r *containerRuntime) CreateContainer(_ context.Context, request *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	r.mu.Lock()
	s := r.sandboxes[request.PodSandboxId]
	r.mu.Unlock()
	if s == nil {
		return nil, status.Errorf(codes.NotFound, "no sandbox has the id %s", request.PodSandboxId)
	}
	fault, err := faultOf(request.Config)
	if err != nil {
		return nil, err
	}
	if fault.kind == faultCreate {
		return nil, status.Error(codes.Unknown, "failed to create containerd task: as asked for")
	}

	id := newID()
	c := &container{
		id:        id,
		runtime:   r,
		sandbox:   s,
		config:    request.Config,
		fault:     fault,
		scratch:   r.plan.scratch(r.node.Name, id),
		createdAt: time.Now(),
		state:     cri.ContainerState_CONTAINER_CREATED,
		done:      make(chan struct{}),
	}
	if err := c.prepare(); err != nil {
		os.RemoveAll(c.scratch)
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[id] = c
	return &cri.CreateContainerResponse{ContainerId: id}, nil
}

// find returns the container. It must return exactly this error if there is
// none, since some calls of the kubelet depend on it.
func (r *containerRuntime) find(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container has the id %s", id)
	}
	return c, nil
}

func (r *containerRuntime) StartContainer(_ context.Context, request *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	c, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	if err := c.start(); err != nil {
		return nil, status.Errorf(codes.Unknown, "failed to start container: %v", err)
	}
	return &cri.StartContainerResponse{}, nil
}

// StopContainer succeeds for a container that is gone, as CRI requires.
func (r *containerRuntime) StopContainer(_ context.Context, request *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	if c, err := r.find(request.ContainerId); err == nil {
		c.stop(time.Duration(request.Timeout) * time.Second)
	}
	return &cri.StopContainerResponse{}, nil
}

func (r *containerRuntime) RemoveContainer(_ context.Context, request *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	if c, err := r.find(request.ContainerId); err == nil {
		c.stop(0)
		r.mu.Lock()
		r.forget(c)
		r.mu.Unlock()
	}
	return &cri.RemoveContainerResponse{}, nil
}

// forget needs the lock.
func (r *containerRuntime) forget(c *container) {
	delete(r.containers, c.id)
	// In the background, since the kubelet waits for this call.
	go os.RemoveAll(c.scratch)
}

func (r *containerRuntime) ListContainers(_ context.Context, request *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	filter := request.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*cri.Container, 0, len(r.containers))
	for _, c := range r.containers {
		entry := c.entry()
		if (filter.GetId() != "" && filter.Id != c.id) ||
			(filter.GetPodSandboxId() != "" && filter.PodSandboxId != c.sandbox.id) ||
			(filter.GetState() != nil && filter.State.State != entry.State) ||
			!selects(filter.GetLabelSelector(), c.config.Labels) {
			continue
		}
		list = append(list, entry)
	}
	return &cri.ListContainersResponse{Containers: list}, nil
}

func (r *containerRuntime) ContainerStatus(_ context.Context, request *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	c, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	return &cri.ContainerStatusResponse{Status: c.status()}, nil
}

func (r *containerRuntime) ReopenContainerLog(_ context.Context, request *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	c, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	if err := c.reopenLog(); err != nil {
		return nil, err
	}
	return &cri.ReopenContainerLogResponse{}, nil
}

// UpdateContainerResources does nothing, since nothing is limited.
func (r *containerRuntime) UpdateContainerResources(context.Context, *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	return &cri.UpdateContainerResourcesResponse{}, nil
}

func (r *containerRuntime) ContainerStats(_ context.Context, request *cri.ContainerStatsRequest) (*cri.ContainerStatsResponse, error) {
	c, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	return &cri.ContainerStatsResponse{Stats: c.stats()}, nil
}

func (r *containerRuntime) ListContainerStats(_ context.Context, request *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	filter := request.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*cri.ContainerStats, 0, len(r.containers))
	for _, c := range r.containers {
		if (filter.GetId() != "" && filter.Id != c.id) ||
			(filter.GetPodSandboxId() != "" && filter.PodSandboxId != c.sandbox.id) ||
			!selects(filter.GetLabelSelector(), c.config.Labels) {
			continue
		}
		all = append(all, c.stats())
	}
	return &cri.ListContainerStatsResponse{Stats: all}, nil
}

// logPath is the path of the container's log, which the kubelet determines.
func (c *container) logPath() string {
	return filepath.Join(c.sandbox.config.LogDirectory, c.config.LogPath)
}
