package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// resync is how often an informer repeats its known pods.
	resync = 5 * time.Second

	// After the informer has reported an end, the pod is read until it shows how
	// its first container ended. The first pause is firstPause. Each later pause
	// is longer by the factor growth, plus or minus the share spread.
	firstPause  = 500 * time.Millisecond
	growth      = 1.5
	spread      = 0.5
	longestRead = time.Minute
)

// waitForAll waits for each pod with a separate informer.
func waitForAll(ctx context.Context, client kubernetes.Interface, namespace string, count int) {
	var attached sync.WaitGroup
	attached.Add(count)
	var output sync.Mutex
	say := func(format string, arguments ...any) {
		output.Lock()
		defer output.Unlock()
		fmt.Printf(format+"\n", arguments...)
	}
	for number := range count {
		go func() {
			code, err := waitForOne(ctx, client, namespace, podName(number), sync.OnceFunc(attached.Done))
			if err != nil {
				say("error %d %s", number, strings.ReplaceAll(err.Error(), "\n", " "))
				return
			}
			say("answer %d %d %d", number, time.Now().UnixNano(), code)
		}()
	}
	attached.Wait()
	say("attached")
}

// waitForOne waits like an agent with an informer of the whole namespace for
// each step. The informer runs until the step's pod seems to be over. Then the
// pod is read until it shows its end. A pod that does not exist has succeeded.
func waitForOne(ctx context.Context, client kubernetes.Interface, namespace, name string, attached func()) (int32, error) {
	defer attached()
	if _, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{}); errors.IsNotFound(err) {
		return 0, nil
	}
	over := make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, object any) {
			if pod, ok := object.(*corev1.Pod); ok && pod.Name == name && looksOver(pod) {
				end()
			}
		},
	})
	if err != nil {
		return 0, err
	}
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	// Only the benchmark needs this.
	cache.WaitForCacheSync(stop, informer.HasSynced)
	attached()

	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-over:
	}
	return readEnd(ctx, client, namespace, name)
}

// looksOver reports whether the pod's phase is final or unknown, or one of its
// images cannot be pulled.
func looksOver(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown:
		return true
	}
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := status.State.Waiting; waiting != nil {
			switch waiting.Reason {
			case "ImagePullBackOff", "InvalidImageName":
				return true
			}
		}
	}
	return false
}

// readEnd reads the pod until it shows how its first container ended.
func readEnd(ctx context.Context, client kubernetes.Interface, namespace, name string) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, longestRead)
	defer cancel()
	for pause := float64(firstPause); ; pause *= growth {
		pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if errors.IsNotFound(err) {
			return 0, nil
		}
		if err == nil && len(pod.Status.ContainerStatuses) > 0 {
			if end := pod.Status.ContainerStatuses[0].State.Terminated; end != nil {
				return end.ExitCode, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no end of %s within %v", name, longestRead)
		case <-time.After(time.Duration(pause * (1 - spread + 2*spread*rand.Float64()))):
		}
	}
}
