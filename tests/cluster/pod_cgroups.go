package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// podCgroups are the cgroups of a node's pods, made by the kubelet's own code. They are
// all in one: the hierarchy of service classes and the reservations of a node, which the
// kubelet's own manager of pods needs, would be about the whole machine.
type podCgroups struct {
	manager cm.CgroupManager
	parent  cm.CgroupName
}

// podCgroup begins the name of a pod's cgroup (`GetPodCgroupNameSuffix`).
const podCgroup = "pod"

// cpuPeriod is the kubelet's default for a CPU limit.
const cpuPeriod = 100 * time.Millisecond

func newPodCgroups(parent string) (*podCgroups, error) {
	subsystems, err := cm.GetCgroupSubsystems()
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.Trim(parent, "/"), "/")
	return &podCgroups{
		manager: cm.NewCgroupManager(klog.Background(), subsystems, "cgroupfs"),
		parent:  cm.NewCgroupName(cm.RootCgroupName, names...),
	}, nil
}

func (c *podCgroups) name(uid types.UID) cm.CgroupName {
	return cm.NewCgroupName(c.parent, cm.GetPodCgroupNameSuffix(uid))
}

func (c *podCgroups) GetPodContainerName(pod *v1.Pod) (cm.CgroupName, string) {
	name := c.name(pod.UID)
	return name, c.manager.Name(name)
}

func (c *podCgroups) Exists(pod *v1.Pod) bool { return c.manager.Exists(c.name(pod.UID)) }

func (c *podCgroups) EnsureExists(logger klog.Logger, pod *v1.Pod) error {
	if c.Exists(pod) {
		return nil
	}
	limits := cm.ResourceConfigForPod(pod, true, uint64(cpuPeriod.Microseconds()), false, kubeletconfig.NoneMemoryReservationPolicy)
	return c.manager.Create(logger, &cm.CgroupConfig{Name: c.name(pod.UID), ResourceParameters: limits})
}

// Destroy is for a pod whose containers have ended, and so it kills nothing.
func (c *podCgroups) Destroy(logger klog.Logger, name cm.CgroupName) error {
	return c.manager.Destroy(logger, &cm.CgroupConfig{Name: name, ResourceParameters: &cm.ResourceConfig{}})
}

func (c *podCgroups) ReduceCPULimits(logger klog.Logger, name cm.CgroupName) error {
	return c.manager.ReduceCPULimits(logger, name)
}

func (c *podCgroups) GetAllPodsFromCgroups() (map[types.UID]cm.CgroupName, error) {
	pods := map[types.UID]cm.CgroupName{}
	for _, root := range cgroupRoots("*") {
		folders, err := filepath.Glob(filepath.Join(root, c.manager.Name(c.parent), podCgroup+"*"))
		if err != nil {
			return nil, err
		}
		for _, folder := range folders {
			if about, err := os.Stat(folder); err == nil && about.IsDir() {
				uid := types.UID(strings.TrimPrefix(filepath.Base(folder), podCgroup))
				pods[uid] = c.name(uid)
			}
		}
	}
	return pods, nil
}

func (c *podCgroups) IsPodCgroup(path string) (bool, types.UID) {
	uid, found := strings.CutPrefix(path, c.manager.Name(c.parent)+"/"+podCgroup)
	return found && !strings.Contains(uid, "/"), types.UID(uid)
}

func (c *podCgroups) GetPodCgroupMemoryUsage(pod *v1.Pod) (uint64, error) {
	return c.usage(c.name(pod.UID))
}

func (c *podCgroups) usage(name cm.CgroupName) (uint64, error) {
	usage, err := c.manager.MemoryUsage(name)
	return uint64(max(usage, 0)), err
}

func (c *podCgroups) GetPodCgroupConfig(pod *v1.Pod, resource v1.ResourceName) (*cm.ResourceConfig, error) {
	return c.manager.GetCgroupConfig(c.name(pod.UID), resource)
}

func (c *podCgroups) SetPodCgroupConfig(logger klog.Logger, pod *v1.Pod, limits *cm.ResourceConfig) error {
	return c.manager.SetCgroupConfig(logger, c.name(pod.UID), limits)
}
