package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	crierrors "k8s.io/cri-api/pkg/errors"
)

// images is the image service. An image is only a name: all images are present,
// except refused ones.
type images struct {
	cri.UnimplementedImageServiceServer

	mu    sync.Mutex
	rules map[string]*refusal // by name without a tag
	known map[string]bool     // requested names that are present
}

// refusal describes how the pull of an image fails.
type refusal struct {
	absent      bool // until it is pulled
	left        int  // pulls to refuse; for ever if negative
	unavailable bool // the registry is at fault
}

const forever = -1

func newImages() *images {
	return &images{rules: map[string]*refusal{}, known: map[string]bool{}}
}

var refusing = regexp.MustCompile(`^refuse([0-9]*)/`)

// rule needs the lock. Certain prefixes of names are rules themselves.
func (i *images) rule(image string) *refusal {
	name := plainName(image)
	if rule := i.rules[name]; rule != nil {
		return rule
	}
	rule := &refusal{}
	if match := refusing.FindStringSubmatch(name); match != nil {
		rule.absent, rule.left = true, forever
		if match[1] != "" {
			rule.left, _ = strconv.Atoi(match[1])
		}
	}
	if strings.HasPrefix(name, "registry-down/") {
		rule.absent, rule.left, rule.unavailable = true, forever, true
	}
	i.rules[name] = rule
	return rule
}

// plainName is the name without tag, digest and the default registry.
func plainName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	name = strings.TrimPrefix(name, "docker.io/")
	return strings.TrimPrefix(name, "library/")
}

// refuse makes the image absent, and makes the next pulls of it fail.
func (i *images) refuse(image string, times int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules[plainName(image)] = &refusal{absent: true, left: times}
}

func (i *images) ImageStatus(_ context.Context, request *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	image := request.GetImage().GetImage()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.rule(image).absent {
		return &cri.ImageStatusResponse{}, nil
	}
	i.known[image] = true
	return &cri.ImageStatusResponse{Image: describe(image)}, nil
}

func (i *images) PullImage(_ context.Context, request *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	image := request.GetImage().GetImage()
	i.mu.Lock()
	defer i.mu.Unlock()
	rule := i.rule(image)
	if rule.left > 0 {
		rule.left--
		return nil, fmt.Errorf("failed to pull %q: refused, %d more to go", image, rule.left)
	}
	if rule.unavailable {
		return nil, fmt.Errorf("%w: as asked for", crierrors.ErrRegistryUnavailable)
	}
	if rule.left < 0 {
		return nil, fmt.Errorf("failed to pull %q: refused", image)
	}
	rule.absent = false
	i.known[image] = true
	return &cri.PullImageResponse{ImageRef: image}, nil
}

func (i *images) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]*cri.Image, 0, len(i.known))
	for image := range i.known {
		list = append(list, describe(image))
	}
	return &cri.ListImagesResponse{Images: list}, nil
}

func (i *images) RemoveImage(_ context.Context, request *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.known, request.GetImage().GetImage())
	return &cri.RemoveImageResponse{}, nil
}

func (i *images) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	usage := []*cri.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &cri.FilesystemIdentifier{Mountpoint: "/"},
		UsedBytes:  &cri.UInt64Value{Value: gib},
		InodesUsed: &cri.UInt64Value{Value: 1000},
	}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}

func describe(image string) *cri.Image {
	return &cri.Image{Id: image, RepoTags: []string{image}, Size: mib, Spec: &cri.ImageSpec{Image: image}}
}
