package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	busybox     = "/bin/busybox"
	cniLoopback = "/usr/lib/cni/loopback"
	pauseImage  = "podwait.test/pause:1"
)

// writeContainerdFiles writes what containerd reads. All that it writes is beside it.
func writeContainerdFiles(p *plan, n *node) error {
	path := func(elements ...string) string { return p.containerd(n.Name, elements...) }
	shim, err := shimConfig(p, n)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  # A root without CAP_SYS_RESOURCE may not make a process less likely to be killed.
  restrict_oom_score_adj = true
%s  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q
`, path("root"), path("state"), p.criSocket(n.Name), pauseImage, shim, path("cni", "bin"), path("cni", "net.d"), path("registries"))

	// Every registry is ours, whatever its name: nothing is ever pulled from elsewhere.
	// The empty table has to be there. Without the file it would ask the one that is named.
	registry := fmt.Sprintf("server = \"http://127.0.0.1:%d\"\n[host]\n", p.RegistryPort)

	// A pod that is not on the host's network has a network of its own with nothing
	// but a loopback. The kubelet wants an address all the same.
	network := `{"cniVersion":"0.4.0","name":"podwait","plugins":[{"type":"podwait"}]}`
	plugin := `#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' ;;
ADD) echo '{"cniVersion":"0.4.0","interfaces":[{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"}],
  "ips":[{"version":"4","interface":0,"address":"127.0.0.1/8"}]}' ;;
esac
`
	for _, file := range []struct {
		name, text string
		mode       os.FileMode
	}{
		{path("config.toml"), config, 0o600},
		{path("registries", "_default", "hosts.toml"), registry, 0o600},
		{path("cni", "net.d", "podwait.conflist"), network, 0o600},
		{path("cni", "bin", "podwait"), plugin, 0o700},
		{path(runscFile), runscConfig(), 0o600},
	} {
		if err := os.MkdirAll(filepath.Dir(file.name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file.name, []byte(file.text), file.mode); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(path("tmp"), 0o700); err != nil {
		return err
	}
	loopback := path("cni", "bin", "loopback")
	os.Remove(loopback)
	return os.Symlink(cniLoopback, loopback)
}
