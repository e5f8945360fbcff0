// Command vectors writes an API server's responses with pods and Jobs, for the tests of
// podwait-wire. It uses the encoders and framers of k8s.io/apimachinery as
// k8s.io/apiserver does (serveWatchHandler, watchEncoder, SerializeObject). It
// writes the files of data/; see README.md.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
)

var codecs serializer.CodecFactory

func main() {
	scheme := runtime.NewScheme()
	must(corev1.AddToScheme(scheme))
	must(batchv1.AddToScheme(scheme))
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	metav1.AddToGroupVersion(scheme, batchv1.SchemeGroupVersion)
	codecs = serializer.NewCodecFactory(scheme, serializer.WithStreamingCollectionEncodingToProtobuf())

	// Every pod of the recordings and the cases, once, as one watch. The JSON is
	// in those files; the hash of it identifies each event when cases are added or
	// removed.
	var all []watch.Event
	var hashes []byte
	for _, pod := range pods("../recordings", "../cases") {
		all = append(all, watch.Event{Type: watch.Modified, Object: decode(pod)})
		hash := fnv.New64a()
		hash.Write(pod)
		hashes = hash.Sum(hashes)
	}
	write("all.watch.pb", stream(runtime.ContentTypeProtobuf, all))
	write("all.fnv1a", hashes)

	// Whole pods, in both encodings.
	var rich []corev1.Pod
	for _, name := range []string{"3k", "10k", "30k"} {
		var event struct{ Object json.RawMessage }
		must(json.Unmarshal(read("../../adapters/wire/benches/events/"+name+".json"), &event))
		rich = append(rich, *decode(event.Object))
	}
	rich = append(rich, large(rich[1]), full())
	expired := apierrors.NewResourceExpired("too old resource version: 1 (2)").ErrStatus
	bookmark := corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "12746"}}
	last := *bookmark.DeepCopy()
	last.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	var events []watch.Event
	for i := range rich {
		kind := []watch.EventType{watch.Added, watch.Modified, watch.Deleted}[i%3]
		events = append(events, watch.Event{Type: kind, Object: &rich[i]})
	}
	events = append(events, watch.Event{Type: watch.Bookmark, Object: &bookmark},
		watch.Event{Type: watch.Bookmark, Object: &last}, watch.Event{Type: watch.Error, Object: &expired})
	both("rich.watch", func(mediaType string) []byte { return stream(mediaType, events) })
	list := &corev1.PodList{Items: rich, ListMeta: metav1.ListMeta{ResourceVersion: "77", Continue: "next \"page\"", RemainingItemCount: new(int64)}}
	both("rich.list", func(mediaType string) []byte { return encode(mediaType, list) })
	both("empty.list", func(mediaType string) []byte { return encode(mediaType, &corev1.PodList{Items: []corev1.Pod{}}) })
	both("service.list", func(mediaType string) []byte {
		return encode(mediaType, &corev1.ServiceList{Items: []corev1.Service{{}}})
	})
	both("node", func(mediaType string) []byte {
		return encode(mediaType, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}})
	})
	both("full", func(mediaType string) []byte { return encode(mediaType, &rich[4]) })

	// Jobs, in both encodings.
	jobs := []batchv1.Job{fullJob(), {ObjectMeta: metav1.ObjectMeta{Name: "empty", Namespace: "ci", UID: "u"}}}
	both("job", func(mediaType string) []byte { return encode(mediaType, &jobs[0]) })
	both("jobs.list", func(mediaType string) []byte {
		return encode(mediaType, &batchv1.JobList{Items: jobs, ListMeta: metav1.ListMeta{ResourceVersion: "78"}})
	})
	both("jobs.watch", func(mediaType string) []byte {
		return stream(mediaType, []watch.Event{{Type: watch.Added, Object: &jobs[0]}, {Type: watch.Deleted, Object: &jobs[1]},
			{Type: watch.Bookmark, Object: &batchv1.Job{ObjectMeta: last.ObjectMeta}}, {Type: watch.Error, Object: &expired}})
	})

	resource := schema.GroupResource{Resource: "pods"}
	kind := schema.GroupKind{Kind: "Pod"}
	for name, status := range map[string]*apierrors.StatusError{
		"not-found":  apierrors.NewNotFound(resource, "p"),
		"forbidden":  apierrors.NewForbidden(resource, "p", fmt.Errorf("no")),
		"too-many":   apierrors.NewTooManyRequests("slow down", 7),
		"expired":    apierrors.NewResourceExpired("too old"),
		"invalid":    apierrors.NewInvalid(kind, "p", nil),
		"generic":    apierrors.NewGenericServerResponse(404, "get", resource, "p", "page", 0, true),
		"bad":        apierrors.NewBadRequest("bad"),
		"conflict":   apierrors.NewConflict(resource, "p", fmt.Errorf("changed")),
		"timeout":    apierrors.NewServerTimeout(resource, "get", 3),
		"unexpected": apierrors.NewInternalError(fmt.Errorf("\x1b[2Jé")),
	} {
		both(name+".status", func(mediaType string) []byte { return encode(mediaType, &status.ErrStatus) })
	}
}

// version is that of an object's kind.
func version(object runtime.Object) schema.GroupVersion {
	switch object.(type) {
	case *batchv1.Job, *batchv1.JobList:
		return batchv1.SchemeGroupVersion
	default:
		return schema.GroupVersion{Version: "v1"}
	}
}

// encode is SerializeObject of an API server.
func encode(mediaType string, object runtime.Object) []byte {
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	var out bytes.Buffer
	must(codecs.EncoderForVersion(info.Serializer, version(object)).Encode(object, &out))
	return out.Bytes()
}

// stream is WatchServer.HandleHTTP of an API server.
func stream(mediaType string, events []watch.Event) []byte {
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	var out bytes.Buffer
	framer := info.StreamSerializer.Framer.NewFrameWriter(&out)
	encoder := codecs.EncoderForVersion(info.StreamSerializer.Serializer, schema.GroupVersion{Version: "v1"})
	for _, event := range events {
		raw := encode(mediaType, event.Object)
		var frame bytes.Buffer
		must(encoder.Encode(&metav1.WatchEvent{Type: string(event.Type), Object: runtime.RawExtension{Raw: raw}}, &frame))
		_, err := framer.Write(frame.Bytes())
		must(err)
	}
	return out.Bytes()
}

// pods returns the pods in all lines of the files of these folders, each once,
// in the order of the files' names.
func pods(folders ...string) []json.RawMessage {
	var found []json.RawMessage
	seen := map[string]bool{}
	for _, folder := range folders {
		files, err := filepath.Glob(folder + "/*.jsonl")
		must(err)
		slices.Sort(files)
		for _, file := range files {
			for line := range strings.Lines(string(read(file))) {
				var view struct {
					Pod    json.RawMessage
					Events []struct{ Pod json.RawMessage }
				}
				must(json.Unmarshal([]byte(line), &view))
				of := []json.RawMessage{view.Pod}
				for _, event := range view.Events {
					of = append(of, event.Pod)
				}
				for _, pod := range of {
					if pod != nil && !seen[string(pod)] {
						seen[string(pod)] = true
						found = append(found, pod)
					}
				}
			}
		}
	}
	return found
}

func decode(raw []byte) *corev1.Pod {
	pod := &corev1.Pod{}
	must(json.Unmarshal(raw, pod))
	return pod
}

// large is the pod with additional fields that are not read, so that it has 100
// KB.
func large(pod corev1.Pod) corev1.Pod {
	large := *pod.DeepCopy()
	large.Name = "step-100k"
	env := large.Spec.Containers[0].Env
	for i := 0; len(encode(runtime.ContentTypeProtobuf, &large)) < 100_000; i++ {
		container := &large.Spec.Containers[i%len(large.Spec.Containers)]
		for _, one := range append(env, corev1.EnvVar{Name: "FILL", Value: strings.Repeat("x", 100)}) {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprint(one.Name, "_", i), Value: one.Value})
		}
	}
	return large
}

func both(name string, make func(mediaType string) []byte) {
	write(name+".pb", make(runtime.ContentTypeProtobuf))
	write(name+".json", make(runtime.ContentTypeJSON))
}

func read(path string) []byte {
	file, err := os.Open(path)
	must(err)
	defer file.Close()
	text, err := io.ReadAll(file)
	must(err)
	return text
}

func write(name string, content []byte) { must(os.WriteFile("data/"+name, content, 0o644)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}
