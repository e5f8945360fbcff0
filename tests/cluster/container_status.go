package main

import (
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// entry is the container in a list, which the kubelet requests every second.
func (c *container) entry() *cri.Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &cri.Container{
		Id:           c.id,
		PodSandboxId: c.sandbox.id,
		Metadata:     c.config.Metadata,
		Image:        c.config.Image,
		ImageRef:     c.config.GetImage().GetImage(),
		ImageId:      c.config.GetImage().GetImage(),
		State:        c.state,
		CreatedAt:    c.createdAt.UnixNano(),
		Labels:       c.config.Labels,
		Annotations:  c.config.Annotations,
	}
}

func (c *container) status() *cri.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &cri.ContainerStatus{
		Id:          c.id,
		Metadata:    c.config.Metadata,
		State:       c.state,
		CreatedAt:   c.createdAt.UnixNano(),
		StartedAt:   nanos(c.startedAt),
		FinishedAt:  nanos(c.finishedAt),
		ExitCode:    int32(c.exitCode),
		Image:       c.config.Image,
		ImageRef:    c.config.GetImage().GetImage(),
		ImageId:     c.config.GetImage().GetImage(),
		Reason:      c.reason,
		Message:     c.message,
		Labels:      c.config.Labels,
		Annotations: c.config.Annotations,
		Mounts:      c.config.Mounts,
		LogPath:     c.logPath(),
	}
}

// nanos returns zero for a time that is not set, and not the nanoseconds of the
// year 1.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// usage is the reported usage of every container. Nothing is measured, so
// evictions depend on requests and priorities.
const usage = 16 * mib

func (c *container) stats() *cri.ContainerStats {
	now := time.Now().UnixNano()
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{
			Id:          c.id,
			Metadata:    c.config.Metadata,
			Labels:      c.config.Labels,
			Annotations: c.config.Annotations,
		},
		Cpu: &cri.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: &cri.UInt64Value{}},
		Memory: &cri.MemoryUsage{
			Timestamp:       now,
			WorkingSetBytes: &cri.UInt64Value{Value: usage},
			UsageBytes:      &cri.UInt64Value{Value: usage},
			RssBytes:        &cri.UInt64Value{Value: usage},
		},
		WritableLayer: &cri.FilesystemUsage{
			Timestamp:  now,
			FsId:       &cri.FilesystemIdentifier{Mountpoint: "/"},
			UsedBytes:  &cri.UInt64Value{Value: mib},
			InodesUsed: &cri.UInt64Value{Value: 1},
		},
	}
}
