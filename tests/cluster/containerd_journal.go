package main

import (
	"context"
	"errors"
	"time"

	events "github.com/containerd/containerd/api/events"
	api "github.com/containerd/containerd/api/services/events/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// follow writes down the ends that containerd reports. What it says in
// its first moments, before this listens, is lost.
func (c *containerdNode) follow(ctx context.Context, connection *grpc.ClientConn) {
	client := api.NewEventsClient(connection)
	for ctx.Err() == nil {
		stream, err := client.Subscribe(ctx, &api.SubscribeRequest{Filters: []string{
			`topic=="/tasks/start"`, `topic=="/tasks/exit"`,
		}})
		for err == nil {
			var envelope *api.Envelope
			if envelope, err = stream.Recv(); err == nil {
				c.note(ctx, envelope)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// note looks up a task's container when it starts, since it may be forgotten soon after
// its end.
func (c *containerdNode) note(ctx context.Context, envelope *api.Envelope) {
	switch envelope.Topic {
	case "/tasks/start":
		start := &events.TaskStart{}
		if proto.Unmarshal(envelope.Event.Value, start) == nil {
			c.labels(ctx, start.ContainerID)
		}
	case "/tasks/exit":
		end := &events.TaskExit{}
		// Others are hooks and probes in a container.
		if proto.Unmarshal(envelope.Event.Value, end) == nil && end.ID == end.ContainerID {
			if known, err := c.labels(ctx, end.ID); err == nil {
				c.journal.writeLine(exit{
					Namespace:  known.labels["io.kubernetes.pod.namespace"],
					Pod:        known.labels["io.kubernetes.pod.name"],
					UID:        known.labels["io.kubernetes.pod.uid"],
					Container:  known.labels["io.kubernetes.container.name"],
					Attempt:    known.attempt,
					Node:       c.node.Name,
					ID:         end.ID,
					ExitCode:   int(end.ExitStatus),
					Signals:    []string{},
					FinishedAt: momentOf(end.ExitedAt.AsTime()),
				})
			}
			delete(c.known, end.ID)
		}
	}
}

type knownContainer struct {
	labels  map[string]string
	attempt uint32
}

func (c *containerdNode) labels(ctx context.Context, id string) (knownContainer, error) {
	if known, ok := c.known[id]; ok {
		return known, nil
	}
	// A sandbox is not found.
	status, err := c.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return knownContainer{}, err
	}
	if status.GetStatus().GetMetadata() == nil {
		return knownContainer{}, errors.New("it is not Kubernetes'")
	}
	known := knownContainer{status.Status.Labels, status.Status.Metadata.Attempt}
	c.known[id] = known
	return known, nil
}
