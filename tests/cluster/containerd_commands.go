package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var errContainerdUsage = errors.New("usage: runtime signal POD_UID CONTAINER SIGNAL, " +
	"runtime freeze|thaw POD_UID CONTAINER, runtime shim POD_UID SIGNAL")

// command does what tests ask of the runtime behind the kubelet's back, and behind
// containerd's, which only says where a container's process is.
func (c *containerdNode) command(ctx context.Context, words []string) (answer, error) {
	switch {
	case words[0] == "containerd" && len(words) == 2:
		if err := c.daemon.command(words[1]); err != nil {
			return nil, err
		}
		return nil, c.serves(ctx, words[1])
	case words[0] == "signal" && len(words) == 4:
		signal, err := signalNamed(words[3])
		if err != nil {
			return nil, err
		}
		pid, err := c.containerProcess(ctx, words[1], words[2])
		if err != nil {
			return nil, err
		}
		return answer{"pid": pid}, syscall.Kill(pid, signal)
	case (words[0] == "freeze" || words[0] == "thaw") && len(words) == 3:
		pid, err := c.containerProcess(ctx, words[1], words[2])
		if err != nil {
			return nil, err
		}
		return nil, freeze(pid, words[0] == "freeze")
	case words[0] == "shim" && len(words) == 3:
		signal, err := signalNamed(words[2])
		if err != nil {
			return nil, err
		}
		pid, err := c.shim(ctx, words[1])
		if err != nil {
			return nil, err
		}
		return answer{"pid": pid}, syscall.Kill(pid, signal)
	}
	return nil, errContainerdUsage
}

// serves returns after a start when containerd serves CRI, also to those who ask next.
func (c *containerdNode) serves(ctx context.Context, verb string) error {
	if verb != "start" && verb != "restart" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	return waitFor(ctx, func() error {
		_, err := c.runtime.Version(ctx, &cri.VersionRequest{})
		return err
	})
}

func signalNamed(name string) (syscall.Signal, error) {
	signal := unix.SignalNum(name)
	if number, err := strconv.Atoi(name); err == nil {
		signal = syscall.Signal(number)
	}
	if signal <= 0 {
		return 0, fmt.Errorf("%s is neither a signal's name, such as SIGTERM, nor its number", name)
	}
	return signal, nil
}

// containerProcess finds the process of the newest container of that name in the pod.
func (c *containerdNode) containerProcess(ctx context.Context, uid, name string) (int, error) {
	list, err := c.runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
		LabelSelector: map[string]string{"io.kubernetes.pod.uid": uid, "io.kubernetes.container.name": name},
	}})
	if err != nil {
		return 0, err
	}
	var found *cri.Container
	for _, container := range list.Containers {
		if found == nil || container.CreatedAt > found.CreatedAt {
			found = container
		}
	}
	if found == nil {
		return 0, fmt.Errorf("no container %s is known of a pod with the uid %s", name, uid)
	}
	status, err := c.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: found.Id, Verbose: true})
	if err != nil {
		return 0, err
	}
	return processIn(status.Info)
}

// shim finds the pod's: it is the parent of the sandbox's process, and of all others.
func (c *containerdNode) shim(ctx context.Context, uid string) (int, error) {
	list, err := c.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{
		LabelSelector: map[string]string{"io.kubernetes.pod.uid": uid},
		State:         &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY},
	}})
	if err != nil {
		return 0, err
	}
	if len(list.Items) != 1 {
		return 0, fmt.Errorf("%d sandboxes are ready of a pod with the uid %s", len(list.Items), uid)
	}
	status, err := c.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: list.Items[0].Id, Verbose: true})
	if err != nil {
		return 0, err
	}
	pid, err := processIn(status.Info)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if parent, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(parent))
		}
	}
	return 0, fmt.Errorf("process %d has no parent", pid)
}

// processIn reads the process id in what containerd says if asked for more.
func processIn(info map[string]string) (int, error) {
	details := struct{ PID int }{}
	if err := json.Unmarshal([]byte(info["info"]), &details); err != nil {
		return 0, err
	}
	if details.PID <= 1 {
		return 0, errors.New("it has no process")
	}
	return details.PID, nil
}

// freeze stops or continues all processes of a container. The kernel's freezer would
// keep them from being killed as well, and then nothing of this cluster could end.
func freeze(pid int, on bool) error {
	signal := syscall.SIGCONT
	if on {
		signal = syscall.SIGSTOP
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		// Number, controllers, path; of version 2 the controllers are empty.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if fields[1] != "" && fields[1] != "pids" {
			continue
		}
		list := filepath.Join(cgroupFolder, fields[1], fields[2], "cgroup.procs")
		if !strings.Contains(fields[2], cgroupPrefix) {
			continue
		}
		// Until there is none that a running one has started meanwhile.
		for before := ""; ; {
			now, err := os.ReadFile(list)
			if err != nil || string(now) == before {
				return err
			}
			before = string(now)
			for _, word := range strings.Fields(before) {
				if member, err := strconv.Atoi(word); err == nil && member > 1 {
					syscall.Kill(member, signal)
				}
			}
		}
	}
	return errors.New("its cgroup is not found")
}
