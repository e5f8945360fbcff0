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
	"runtime freeze|thaw POD_UID CONTAINER, runtime shim POD_UID SIGNAL, " +
	"runtime runc|task kill|delete POD_UID CONTAINER, disk NODE images|logs fill|free")

// command does what tests ask of the runtime behind the kubelet's back, and behind that
// of containerd.
func (c *containerdNode) command(ctx context.Context, words []string) (answer, error) {
	switch {
	case words[0] == "containerd" && len(words) == 2:
		if err := c.daemon.command(words[1]); err != nil {
			return nil, err
		}
		return nil, c.serves(ctx, words[1])
	case words[0] == "disk" && len(words) == 3:
		disk, err := diskNamed(words[1])
		if err != nil {
			return nil, err
		}
		switch words[2] {
		case "fill":
			return nil, disk.fill(c.plan, c.node)
		case "free":
			return nil, disk.free(c.plan, c.node)
		}
	case (words[0] == "runc" || words[0] == "task") && len(words) == 4:
		b, err := c.container(words[2], words[3])
		if err != nil {
			return nil, err
		}
		if words[0] == "runc" {
			return nil, killByRunc(ctx, words[1], b.id)
		}
		return nil, c.task(ctx, words[1], b.id)
	case words[0] == "signal" && len(words) == 4:
		signal, err := signalNamed(words[3])
		if err != nil {
			return nil, err
		}
		b, err := c.container(words[1], words[2])
		if err != nil {
			return nil, err
		}
		return answer{"pid": b.pid}, syscall.Kill(b.pid, signal)
	case (words[0] == "freeze" || words[0] == "thaw") && len(words) == 3:
		b, err := c.container(words[1], words[2])
		if err != nil {
			return nil, err
		}
		return nil, freeze(b.pid, words[0] == "freeze")
	case words[0] == "shim" && len(words) == 3:
		signal, err := signalNamed(words[2])
		if err != nil {
			return nil, err
		}
		pid, err := c.shim(words[1])
		if err != nil {
			return nil, err
		}
		return answer{"pid": pid}, syscall.Kill(pid, signal)
	}
	return nil, errContainerdUsage
}

// serves returns after a start when containerd serves CRI to every client.
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

// bundle is what containerd gave to runc for a container, which is there for as long as
// the container's shim is. Reading it works while containerd stands still, or is away.
type bundle struct {
	Annotations map[string]string
	id          string
	pid         int
	madeAt      time.Time
}

func (b bundle) is(kind, uid string) bool {
	return b.Annotations["io.kubernetes.cri.container-type"] == kind && b.Annotations["io.kubernetes.cri.sandbox-uid"] == uid
}

// newest finds the newest bundle of which this holds.
func (c *containerdNode) newest(holds func(bundle) bool) (found bundle, err error) {
	folders, _ := filepath.Glob(c.plan.containerd(c.node.Name, "state", "io.containerd.runtime.v2.task", "*", "*"))
	for _, folder := range folders {
		// What is being made or removed is passed over.
		pid, err := os.ReadFile(filepath.Join(folder, "init.pid"))
		if err != nil {
			continue
		}
		config, err := os.ReadFile(filepath.Join(folder, "config.json"))
		if err != nil {
			continue
		}
		about, err := os.Stat(filepath.Join(folder, "init.pid"))
		if err != nil {
			continue
		}
		b := bundle{id: filepath.Base(folder), madeAt: about.ModTime()}
		if json.Unmarshal(config, &b) != nil {
			continue
		}
		if b.pid, err = strconv.Atoi(strings.TrimSpace(string(pid))); err != nil || b.pid <= 1 {
			continue
		}
		// Its number may be another process's by now.
		if cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", b.pid)); err != nil || !strings.Contains(string(cgroup), b.id) {
			continue
		}
		if holds(b) && b.madeAt.After(found.madeAt) {
			found = b
		}
	}
	if found.pid == 0 {
		return found, errors.New("it has no process on " + c.node.Name)
	}
	return found, nil
}

// container finds the newest of that name in the pod.
func (c *containerdNode) container(uid, name string) (bundle, error) {
	return c.newest(func(b bundle) bool {
		return b.is("container", uid) && b.Annotations["io.kubernetes.cri.container-name"] == name
	})
}

// shim finds the pod's: it is the parent of the sandbox's process, and of all others.
func (c *containerdNode) shim(uid string) (int, error) {
	b, err := c.newest(func(b bundle) bool { return b.is("sandbox", uid) })
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if parent, ok := strings.CutPrefix(line, "PPid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(parent))
			if err == nil && pid <= 1 {
				err = errors.New("the shim is gone")
			}
			return pid, err
		}
	}
	return 0, fmt.Errorf("process %d has no parent", b.pid)
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
