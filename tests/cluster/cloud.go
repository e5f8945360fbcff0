package main

import (
	"context"
	"encoding/json"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	cloudapi "k8s.io/cloud-provider/api"
	"k8s.io/klog/v2"
)

// actAsCloud acts as a cloud provider: it sets the address of the node and
// removes the taint for nodes without an address. It does that again when the
// node was deleted and the kubelet has created it again.
func actAsCloud(ctx context.Context, client kubernetes.Interface, name string) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}))
	settle := func(object any) {
		node, ok := object.(*v1.Node)
		if !ok {
			return
		}
		if err := settleNode(ctx, client, node); err != nil {
			// It is retried at the next heartbeat.
			klog.FromContext(ctx).Info("The node is not settled", "err", err)
		}
	}
	factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    settle,
		UpdateFunc: func(_, object any) { settle(object) },
	})
	factory.Start(ctx.Done())
}

func settleNode(ctx context.Context, client kubernetes.Interface, node *v1.Node) error {
	hasAddress := slices.ContainsFunc(node.Status.Addresses, func(a v1.NodeAddress) bool {
		return a.Type == v1.NodeInternalIP
	})
	if !hasAddress {
		patch, err := json.Marshal(map[string]any{"status": map[string]any{
			"addresses": []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "127.0.0.1"}},
		}})
		if err != nil {
			return err
		}
		_, err = client.CoreV1().Nodes().PatchStatus(ctx, node.Name, patch)
		// The taint is removed at the next event, which this write causes.
		return err
	}
	isOurs := func(t v1.Taint) bool { return t.Key == cloudapi.TaintExternalCloudProvider }
	if !slices.ContainsFunc(node.Spec.Taints, isOurs) {
		return nil
	}
	// Only if the list has not changed meanwhile.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": node.ResourceVersion},
		"spec":     map[string]any{"taints": slices.DeleteFunc(slices.Clone(node.Spec.Taints), isOurs)},
	})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
