package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// registry is what every registry's name leads to for the containerd nodes: it has
// each image, whatever its name, and fails where a test has asked for it.
type registry struct {
	listener net.Listener
	images   *registryImages

	mu     sync.Mutex
	faults map[string]*registryFault // by image name
}

// blob is something that has a digest: a layer, a config, a manifest.
type blob struct {
	mediaType string
	digest    string
	bytes     []byte
}

// registryFault is how pulls of an image fail.
type registryFault struct {
	kind  string
	left  int       // pulls that fail; forever if negative
	asked time.Time // when the manifest was last asked for
}

// samePull is how soon one pull asks again for a manifest. The kubelet takes longer
// before it tries again.
const samePull = 3 * time.Second

// faultRetryAfter is what 429 asks for, in seconds.
const faultRetryAfter = 2

// slowness is the time that a slow layer takes.
const slowness = 10 * time.Second

// registryFaults are the kinds, and the HTTP status of those that have one.
var registryFaults = map[string]int{
	"401": 401, "403": 403, "404": 404, "429": 429, "500": 500, "503": 503,
	// These have none and are about layers; but "hang" is that there is no answer at all.
	"cut": 0, "digest": 0, "hang": 0, "slow": 0,
}

// imageName is an image's without tag, digest and registry, as in the requests for it.
func imageName(image string) string {
	name := plainName(image)
	if host, rest, ok := strings.Cut(name, "/"); ok && strings.ContainsAny(host, ".:") {
		name = rest
	}
	return name
}

func newRegistry() (*registry, error) {
	images, err := newRegistryImages()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	return &registry{listener: listener, images: images, faults: map[string]*registryFault{}}, err
}

func (r *registry) port() int { return r.listener.Addr().(*net.TCPAddr).Port }

func (r *registry) serve() { http.Serve(r.listener, r) }

// command is "fault IMAGE KIND [TIMES]" or "heal IMAGE".
func (r *registry) command(words []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(words) == 2 && words[0] == "heal":
		delete(r.faults, imageName(words[1]))
		return nil
	case (len(words) == 3 || len(words) == 4) && words[0] == "fault":
		if _, known := registryFaults[words[2]]; !known {
			return fmt.Errorf("no fault of a registry is called %q", words[2])
		}
		fault := &registryFault{kind: words[2], left: forever}
		if len(words) == 4 {
			times, err := strconv.Atoi(words[3])
			if err != nil || times < 1 {
				return fmt.Errorf("%s is not a number of pulls", words[3])
			}
			fault.left = times
		}
		r.faults[imageName(words[1])] = fault
		return nil
	}
	return fmt.Errorf("usage: registry fault IMAGE KIND [TIMES], registry heal IMAGE")
}

// fault returns how this request is to fail. Requests for a manifest by its tag begin a
// pull, which counts once however often it asks.
func (r *registry) fault(name string, begins bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault := r.faults[name]
	if fault == nil {
		return ""
	}
	now := time.Now()
	if begins && now.Sub(fault.asked) > samePull {
		if fault.left == 0 {
			delete(r.faults, name)
			return ""
		}
		if fault.left > 0 {
			fault.left--
		}
	}
	if begins {
		fault.asked = now
	}
	return fault.kind
}

// ServeHTTP answers the requests of a pull: /v2/, /v2/NAME/manifests/REFERENCE and
// /v2/NAME/blobs/DIGEST.
func (r *registry) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	path, ok := strings.CutPrefix(request.URL.Path, "/v2/")
	if !ok || (request.Method != http.MethodGet && request.Method != http.MethodHead) {
		http.NotFound(writer, request)
		return
	}
	if path == "" {
		return
	}
	elements := strings.Split(path, "/")
	if len(elements) < 3 {
		http.NotFound(writer, request)
		return
	}
	kind, reference := elements[len(elements)-2], elements[len(elements)-1]
	name := imageName(strings.Join(elements[:len(elements)-2], "/"))
	isDigest := strings.HasPrefix(reference, "sha256:")
	fault := r.fault(name, kind == "manifests" && !isDigest)
	if status := registryFaults[fault]; status != 0 {
		refuse(writer, status)
		return
	}
	if fault == "hang" {
		<-request.Context().Done()
		return
	}

	found, ok := r.images.blob(reference)
	if kind == "manifests" && !isDigest {
		found, ok = r.images.image(name), true
	}
	if !ok {
		refuse(writer, http.StatusNotFound)
		return
	}
	send(writer, request, found, fault)
}

// send sends a blob. A layer is what a fault is about.
func send(writer http.ResponseWriter, request *http.Request, b blob, fault string) {
	writer.Header().Set("Content-Type", b.mediaType)
	writer.Header().Set("Docker-Content-Digest", b.digest)
	writer.Header().Set("Content-Length", strconv.Itoa(len(b.bytes)))
	if request.Method == http.MethodHead {
		return
	}
	bytes := b.bytes
	if b.mediaType != layerType {
		fault = ""
	}
	switch fault {
	case "cut":
		// Less than what was announced: the server breaks the connection off.
		bytes = bytes[:len(bytes)/2]
	case "digest":
		bytes = append([]byte(nil), bytes...)
		bytes[len(bytes)/2] ^= 1
	case "slow":
		const parts = 20
		for range parts {
			part := bytes[:len(b.bytes)/parts]
			writer.Write(part)
			writer.(http.Flusher).Flush()
			bytes = bytes[len(part):]
			select {
			case <-time.After(slowness / parts):
			case <-request.Context().Done():
				return
			}
		}
	}
	writer.Write(bytes)
}

// refuse answers as registries do.
func refuse(writer http.ResponseWriter, status int) {
	code := map[int]string{401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS"}[status]
	switch status {
	case http.StatusUnauthorized:
		writer.Header().Set("WWW-Authenticate", `Basic realm="podwait"`)
	case http.StatusTooManyRequests:
		writer.Header().Set("Retry-After", strconv.Itoa(faultRetryAfter))
	}
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	fmt.Fprintf(writer, `{"errors":[{"code":%q,"message":"as asked for"}]}`, code)
}
