package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc/metadata"
)

// criNamespace is the one in which containerd keeps what CRI asked for.
const criNamespace = "k8s.io"

// killByRunc kills or deletes a container as a person could, without a word to containerd.
func killByRunc(ctx context.Context, verb, id string) error {
	arguments := []string{"--root", filepath.Join("/run/containerd/runc", criNamespace)}
	switch verb {
	case "kill":
		arguments = append(arguments, "kill", id, "KILL")
	case "delete":
		arguments = append(arguments, "delete", "--force", id)
	default:
		return errContainerdUsage
	}
	program, err := findProgram(runc)
	if err != nil {
		return err
	}
	if said, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("runc %s: %w: %s", verb, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// task kills or deletes the task of a container as `ctr task` does, past CRI. The
// container itself remains.
func (c *containerdNode) task(ctx context.Context, verb, id string) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", criNamespace)
	kill := func() error {
		_, err := c.tasks.Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(syscall.SIGKILL), All: true})
		return err
	}
	switch verb {
	case "kill":
		return kill()
	case "delete":
		if err := kill(); err != nil {
			return err
		}
		if _, err := c.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: id}); err != nil {
			return err
		}
		_, err := c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
		return err
	}
	return errContainerdUsage
}
