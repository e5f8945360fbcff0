package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// cgroupFolder is where the system mounts cgroups: one folder for each controller
// in version 1, one for all in version 2.
const cgroupFolder = "/sys/fs/cgroup"

// cgroupPrefix begins the names of cgroups of clusters; the launcher's process id
// follows, which makes them different.
const cgroupPrefix = "podwait-"

// cgroupRoots are the folders that such a controller's cgroups are in.
func cgroupRoots(controller string) []string {
	if text, err := os.ReadFile(filepath.Join(cgroupFolder, "cgroup.controllers")); err == nil {
		for _, have := range strings.Fields(string(text)) {
			if have == controller || controller == "*" {
				return []string{cgroupFolder}
			}
		}
		return nil
	}
	roots, _ := filepath.Glob(filepath.Join(cgroupFolder, controller, "cgroup.procs"))
	for i := range roots {
		roots[i] = filepath.Dir(roots[i])
	}
	return roots
}

// sweepCgroups removes cgroups of clusters whose launcher is gone. A killed launcher
// leaves them, without processes.
func sweepCgroups() {
	for _, root := range cgroupRoots("*") {
		folders, _ := filepath.Glob(filepath.Join(root, cgroupPrefix+"*"))
		for _, folder := range folders {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(folder), cgroupPrefix))
			if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				removeCgroup(folder)
			}
		}
	}
}

// removeCgroups removes this cluster's, in all hierarchies.
func removeCgroups(name string) error {
	var all error
	for _, root := range cgroupRoots("*") {
		all = errors.Join(all, removeCgroup(filepath.Join(root, name)))
	}
	return all
}

// removeCgroup removes it with those in it, from the innermost. Their files cannot be
// removed and go along.
func removeCgroup(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, removeCgroup(filepath.Join(folder, entry.Name())))
		}
	}
	if removed := syscall.Rmdir(folder); removed != nil && removed != syscall.ENOENT {
		err = errors.Join(err, fmt.Errorf("rmdir %s: %w", folder, removed))
	}
	return err
}
