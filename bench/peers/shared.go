package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// waitShared waits for all pods with one informer of their namespace, which
// stores them without their managedFields.
func waitShared(ctx context.Context, client kubernetes.Interface, namespace string, count int) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace), informers.WithTransform(withoutManagedFields))
	informer := factory.Core().V1().Pods().Informer()
	// Handlers are called one at a time.
	ended := make([]bool, count)
	handle := func(object any) {
		pod, ok := object.(*corev1.Pod)
		if !ok || len(pod.Status.ContainerStatuses) == 0 {
			return
		}
		end := pod.Status.ContainerStatuses[0].State.Terminated
		number, err := strconv.Atoi(strings.TrimPrefix(pod.Name, "step-"))
		if end == nil || err != nil || number >= count || ended[number] {
			return
		}
		ended[number] = true
		fmt.Printf("answer %d %d %d\n", number, time.Now().UnixNano(), end.ExitCode)
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, object any) { handle(object) },
	})
	if err != nil {
		fmt.Println("error 0", err)
		return
	}
	factory.Start(ctx.Done())
	cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
	fmt.Println("attached")
}

func withoutManagedFields(object any) (any, error) {
	if meta, err := meta.Accessor(object); err == nil {
		meta.SetManagedFields(nil)
	}
	return object, nil
}
