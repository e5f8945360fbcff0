package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

const (
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	configType   = "application/vnd.oci.image.config.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

// Images that are not like all others.
const (
	wrongPlatform = "wrong-platform" // for another kind of machine only
	unknownUser   = "unknown-user"   // runs as a user that it does not have
	stopSignal    = "stop-signal"    // is stopped with SIGUSR1
)

// registryImages are what a registry has. Each image has a layer of its own on that of busybox,
// so that no pull of one spares that of another.
type registryImages struct {
	mu    sync.Mutex
	blobs map[string]blob // by digest
	base  blob
}

func newRegistryImages() (*registryImages, error) {
	files, err := busyboxLayer()
	if err != nil {
		return nil, err
	}
	i := &registryImages{blobs: map[string]blob{}}
	i.base = i.add(layerType, files)
	return i, nil
}

func (i *registryImages) blob(digest string) (b blob, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	b, known = i.blobs[digest]
	return b, known
}

func (i *registryImages) add(mediaType string, bytes []byte) blob {
	sum := sha256.Sum256(bytes)
	b := blob{mediaType, "sha256:" + hex.EncodeToString(sum[:]), bytes}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.blobs[b.digest] = b
	return b
}

func (i *registryImages) addJSON(mediaType string, object any) blob {
	// Only maps, lists and strings, which never fail.
	text, _ := json.Marshal(object)
	return i.add(mediaType, text)
}

// image makes the image of this name, always the same, and returns its manifest.
func (i *registryImages) image(name string) blob {
	run := map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sh"}}
	architecture := runtime.GOARCH
	switch name {
	case imageName(pauseImage):
		// A shell that waits collects what others in a shared process namespace leave behind.
		run["Entrypoint"] = []string{"sh", "-c", "while :; do sleep 1000 & wait $!; done"}
	case unknownUser:
		run["User"] = "stranger"
	case stopSignal:
		run["StopSignal"] = "SIGUSR1"
	case wrongPlatform:
		architecture = "s390x"
	}
	own := i.add(layerType, nameLayer(name))
	config := i.addJSON(configType, map[string]any{
		"architecture": architecture, "os": "linux", "config": run,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{i.base.digest, own.digest}},
	})
	manifest := i.addJSON(manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor(config, nil), "layers": []any{descriptor(i.base, nil), descriptor(own, nil)},
	})
	if name != wrongPlatform {
		return manifest
	}
	platform := map[string]any{"architecture": architecture, "os": "linux"}
	return i.addJSON(indexType, map[string]any{
		"schemaVersion": 2, "mediaType": indexType, "manifests": []any{descriptor(manifest, platform)},
	})
}

// nameLayer is a file with the image's name and enough of nothing to be cut in two.
func nameLayer(name string) []byte {
	text := make([]byte, 256*1024)
	copy(text, name)
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	// A buffer takes it all.
	archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/image", Mode: 0o644, Size: int64(len(text))})
	archive.Write(text)
	archive.Close()
	return layer.Bytes()
}

func descriptor(b blob, platform map[string]any) map[string]any {
	d := map[string]any{"mediaType": b.mediaType, "digest": b.digest, "size": len(b.bytes)}
	if platform != nil {
		d["platform"] = platform
	}
	return d
}

// busyboxLayer is busybox with all its names, and three files that cannot be run.
func busyboxLayer() ([]byte, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	names, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	add := func(kind byte, name string, mode int64, body, link string) {
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: int64(len(body)), Linkname: link})
		}
		if err == nil {
			_, err = archive.Write([]byte(body))
		}
	}
	for _, folder := range []string{"bin", "dev", "etc", "proc", "sys"} {
		add(tar.TypeDir, folder+"/", 0o755, "", "")
	}
	add(tar.TypeDir, "tmp/", 0o1777, "", "")
	add(tar.TypeReg, "etc/passwd", 0o644, "root:x:0:0:root:/:/bin/sh\n", "")
	add(tar.TypeReg, "etc/group", 0o644, "root:x:0:\n", "")
	add(tar.TypeReg, "bin/busybox", 0o755, string(program), "")
	for name := range strings.FieldsSeq(string(names)) {
		if name != "busybox" {
			add(tar.TypeLink, "bin/"+name, 0o755, "", "bin/busybox")
		}
	}
	add(tar.TypeReg, "bin/not-executable", 0o644, "#!/bin/sh\nexit 0\n", "")
	add(tar.TypeReg, "bin/wrong-format", 0o755, "this is no program\n", "")
	add(tar.TypeReg, "bin/no-interpreter", 0o755, "#!/no/such/shell\nexit 0\n", "")
	if err == nil {
		err = archive.Close()
	}
	return layer.Bytes(), err
}
