package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// runc is the OCI runtime of containerd's own.
const runc = "runc"

// crun is the one in C.
const crun = "crun"

// runsc is that of gVisor, whose containers have a kernel in user space.
const runsc = "runsc"

// ociRuntime is what containerd needs for containers of one kind.
type ociRuntime struct {
	shim string   // the name that containerd derives the shim's program from
	has  string   // Debian's package, or what builds it
	need []string // programs
}

// ociRuntimes are all that a node may have.
var ociRuntimes = map[string]ociRuntime{
	runc:  {"io.containerd.runc.v2", "the packages containerd and runc", []string{runc, "containerd-shim-runc-v2"}},
	crun:  {"io.containerd.runc.v2", "the packages containerd and crun", []string{crun, "containerd-shim-runc-v2"}},
	runsc: {"io.containerd.runsc.v1", "`./build runsc`", []string{runsc, "containerd-shim-runsc-v1"}},
}

// ociRuntimeAllowed returns in one sentence why this machine cannot have this node.
func ociRuntimeAllowed(n node) error {
	if n.Runtime != containerd {
		return nil
	}
	oci := ociRuntimes[n.OCIRuntime]
	for _, program := range oci.need {
		if _, err := ociProgram(program); err != nil {
			return fmt.Errorf("--oci-runtime %s needs %s: %w", n.OCIRuntime, oci.has, err)
		}
	}
	return nil
}

// hideCgroup2 unmounts, for this component alone, version 2 where it is mounted beside
// version 1: crun refuses controllers that version 2 has there.
func hideCgroup2() error {
	err := unix.Unmount(filepath.Join(cgroupFolder, "unified"), unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// builtFolder is where `./build` puts programs.
func builtFolder() string {
	self, err := os.Executable()
	if err != nil {
		return systemPath
	}
	return filepath.Dir(self)
}

// ociProgram returns the path of a program of the system, or of one that was built.
func ociProgram(name string) (string, error) {
	if path, err := exec.LookPath(filepath.Join(builtFolder(), name)); err == nil {
		return path, nil
	}
	return findProgram(name)
}

// shimConfig is the part of containerd's configuration about the node's OCI runtime.
func shimConfig(p *plan, n *node) (string, error) {
	program, err := ociProgram(n.OCIRuntime)
	if err != nil {
		return "", err
	}
	options := fmt.Sprintf("BinaryName = %q", program)
	if n.OCIRuntime == runsc {
		options = fmt.Sprintf("TypeUrl = \"io.containerd.runsc.v1.options\"\n      ConfigPath = %q", p.containerd(n.Name, runscFile))
	}
	return fmt.Sprintf(`  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.%s]
    runtime_type = %q
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.%s.options]
      %s
`, n.OCIRuntime, n.OCIRuntime, ociRuntimes[n.OCIRuntime].shim, n.OCIRuntime, options), nil
}

// runscFile is what the shim of gVisor reads.
const runscFile = "runsc.toml"

// runscConfig is for a shim that has nothing but its configuration to find runsc by. It
// has no cgroups: the shares of a pod without a request are those of its whole kernel
// here, which on a busy machine then does not even start.
func runscConfig() string {
	program, err := ociProgram(runsc)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("binary_name = %q\n[runsc_config]\n  ignore-cgroups = \"true\"\n", program)
}
