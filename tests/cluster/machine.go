package main

import (
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// machine is the simulated machine of a kubelet. The pressure knob determines
// how much of it is free; kubelet.go has the limits.
type machine struct {
	cadvisortest.Fake
	cpus    int
	memory  uint64
	maxPods int
	cgroups *podCgroups // if its containers are in real ones
	knobs   string
}

const (
	gib = 1 << 30
	mib = 1 << 20

	diskSize = 1000 * gib
	inodes   = 10_000_000
)

func newMachine(p *plan, n *node) (*machine, error) {
	memory, err := resource.ParseQuantity(n.Memory)
	if err != nil {
		return nil, err
	}
	var cgroups *podCgroups
	if n.Runtime == containerd {
		if cgroups, err = newPodCgroups("/" + p.Cgroup + "/" + n.Name); err != nil {
			return nil, err
		}
	}
	return &machine{
		cgroups: cgroups,
		Fake:    cadvisortest.Fake{NodeName: n.Name},
		cpus:    n.CPUs,
		memory:  uint64(memory.Value()),
		maxPods: n.MaxPods,
		knobs:   p.knobsFile(n.Name),
	}, nil
}

func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{NumCores: m.cpus, MemoryCapacity: m.memory}, nil
}

// ContainerInfoV2 returns the figures of the whole machine for any cgroup, except for
// those of pods: the kubelet gives no pod less memory than it uses.
func (m *machine) ContainerInfoV2(name string, _ cadvisorapiv2.RequestOptions) (map[string]cadvisorapiv2.ContainerInfo, error) {
	free := m.memory / 2
	if readKnobs(m.knobs).Pressure == "memory" {
		free = 50 * mib
	}
	used := m.memory - free
	if m.cgroups != nil {
		if pod, _ := m.cgroups.IsPodCgroup(name); pod {
			usage, err := m.cgroups.usage(m.cgroups.manager.CgroupName(name))
			if err != nil {
				return nil, err
			}
			used = usage
		}
	}
	return map[string]cadvisorapiv2.ContainerInfo{name: {
		Spec: cadvisorapiv2.ContainerSpec{
			HasMemory: true,
			Memory:    cadvisorapiv2.MemorySpec{Limit: m.memory},
		},
		Stats: []*cadvisorapiv2.ContainerStats{{
			Timestamp: time.Now(),
			Memory:    &cadvisorapi.MemoryStats{Usage: used, WorkingSet: used, RSS: used},
		}},
	}}, nil
}

func (m *machine) RootFsInfo() (cadvisorapiv2.FsInfo, error) {
	free, files, freeFiles := uint64(diskSize/2), uint64(inodes), uint64(inodes/2)
	switch readKnobs(m.knobs).Pressure {
	case "disk":
		free = diskSize / 100
	case "disk-soft":
		freeFiles = inodes / 10
	}
	return cadvisorapiv2.FsInfo{
		Timestamp:  time.Now(),
		Device:     "disk",
		Mountpoint: "/",
		Capacity:   diskSize,
		Available:  free,
		Usage:      diskSize - free,
		Inodes:     &files,
		InodesFree: &freeFiles,
	}, nil
}

func (m *machine) GetDirFsInfo(string) (cadvisorapiv2.FsInfo, error) { return m.RootFsInfo() }

// containerManager is a container manager whose only cgroups are those of pods.
func (m *machine) containerManager() cm.ContainerManager {
	return &containerManager{cm.NewStubContainerManager(), m}
}

type containerManager struct {
	cm.ContainerManager
	machine *machine
}

func (c *containerManager) GetCapacity(bool) v1.ResourceList {
	return v1.ResourceList{v1.ResourceEphemeralStorage: *resource.NewQuantity(diskSize, resource.BinarySI)}
}

// GetNodeAllocatableReservation reserves the resources that pods may not have
// by the knob. The kubelet calls it for each status of its node, and admits
// pods by the result.
func (c *containerManager) GetNodeAllocatableReservation() v1.ResourceList {
	most := readKnobs(c.machine.knobs).MaxPods
	if most == nil {
		return nil
	}
	kept := int64(max(0, c.machine.maxPods-*most))
	return v1.ResourceList{v1.ResourcePods: *resource.NewQuantity(kept, resource.DecimalSI)}
}

func (c *containerManager) NewPodContainerManager() cm.PodContainerManager {
	if c.machine.cgroups != nil {
		return c.machine.cgroups
	}
	return podContainerManager{c.ContainerManager.NewPodContainerManager()}
}

// podContainerManager has no cgroups and returns no limits. The stub returns an error, which the
// kubelet would log twice with each status.
type podContainerManager struct {
	cm.PodContainerManager
}

func (podContainerManager) GetPodCgroupConfig(*v1.Pod, v1.ResourceName) (*cm.ResourceConfig, error) {
	return nil, nil
}
