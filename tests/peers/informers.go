package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// resync is how often an informer shows again what it knows.
const resync = 5 * time.Second

// waitForAll waits for each pod with an informer of its own.
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
			code, err := waitForOne(ctx, client, namespace, podName(number), attached.Done)
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

// waitForOne is how an agent waits that makes an informer of the whole namespace
// for each step, until the step's phase is a last one, and then reads the pod.
func waitForOne(ctx context.Context, client kubernetes.Interface, namespace, name string, attached func()) (int32, error) {
	var once sync.Once
	finished := make(chan struct{})
	factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, object any) {
			pod := object.(*corev1.Pod)
			if pod.Name != name {
				return
			}
			switch pod.Status.Phase {
			case corev1.PodSucceeded, corev1.PodFailed:
				once.Do(func() { close(finished) })
			}
		},
	})
	if err != nil {
		attached()
		return 0, err
	}
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	cache.WaitForCacheSync(stop, informer.HasSynced)
	attached()

	<-finished
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	if statuses := pod.Status.ContainerStatuses; len(statuses) > 0 && statuses[0].State.Terminated != nil {
		return statuses[0].State.Terminated.ExitCode, nil
	}
	return 0, fmt.Errorf("no exit code of %s", name)
}
