package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// disks are those of a containerd node. Each is a file system in memory of a fixed size,
// so that it can be full while the machine's is not.
var disks = []disk{
	{"images", func(p *plan, n *node) string { return p.containerd(n.Name, "root") }},
	{"logs", func(p *plan, n *node) string { return p.podLogs(n.Name) }},
}

type disk struct {
	name   string
	folder func(*plan, *node) string
}

// containerdDisk is the size of a disk. What is not used takes no memory.
const containerdDisk = 1 << 30

func diskNamed(name string) (disk, error) {
	for _, disk := range disks {
		if disk.name == name {
			return disk, nil
		}
	}
	return disk{}, fmt.Errorf("no disk is called %q, only images and logs", name)
}

// mountDisks mounts the disks of a node for the calling thread alone, which has to be
// locked, and for the components that it starts.
func mountDisks(p *plan, n *node) error {
	// Threads of a process have one root and one working folder, and mounts of one
	// thread alone need a root of its own.
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mounts for %s: %w", n.Name, err)
	}
	if err := makeMountsPrivate(); err != nil {
		return err
	}
	for _, disk := range disks {
		folder := disk.folder(p, n)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, sizeOption(containerdDisk)); err != nil {
			return fmt.Errorf("the disk for %s: %w", disk.name, err)
		}
	}
	return nil
}

func makeMountsPrivate() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	return nil
}

func sizeOption(size uint64) string { return "mode=700,size=" + strconv.FormatUint(size, 10) }

// fill leaves no room on a disk; free gives the room back.
func (d disk) fill(p *plan, n *node) error {
	var about unix.Statfs_t
	if err := unix.Statfs(d.folder(p, n), &about); err != nil {
		return err
	}
	return d.resize(p, n, (about.Blocks-about.Bfree)*uint64(about.Bsize))
}

func (d disk) free(p *plan, n *node) error { return d.resize(p, n, containerdDisk) }

func (d disk) resize(p *plan, n *node, size uint64) error {
	return unix.Mount("", d.folder(p, n), "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, sizeOption(size))
}
