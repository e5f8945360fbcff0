// Command peers waits for many pods as Go programs do, for the scale benchmark,
// which compares podwait with them.
//
//	peers shared                KUBECONFIG NAMESPACE COUNT
//	peers informers             KUBECONFIG NAMESPACE COUNT
//	peers informers-unthrottled KUBECONFIG NAMESPACE COUNT
//
// It waits for the pods step-0 to step-(COUNT-1). On stdout it prints
// `attached` once it has observed all of them, then `answer NUMBER NANOSECONDS
// EXITCODE` or `error NUMBER TEXT` for each. It ends when its stdin ends, so
// that its CPU time and memory can be read before that.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("peers: ")
	if len(os.Args) != 5 {
		log.Fatal("usage: peers shared|informers|informers-unthrottled KUBECONFIG NAMESPACE COUNT")
	}
	count, err := strconv.Atoi(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	wait := waitForAll
	switch os.Args[1] {
	case "shared":
		config.ContentType = runtime.ContentTypeProtobuf
		config.AcceptContentTypes = runtime.ContentTypeProtobuf
		wait = waitShared
	case "informers":
		// client-go's default limit: 5 requests a second, and 10 at once.
	case "informers-unthrottled":
		config.QPS = -1
	default:
		log.Fatalf("there is no waiter %q", os.Args[1])
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	go wait(context.Background(), client, os.Args[3], count)
	io.Copy(io.Discard, os.Stdin)
}

// podName is the name of the pod with this number.
func podName(number int) string {
	return fmt.Sprintf("step-%d", number)
}
