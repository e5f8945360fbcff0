package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/downwardapi"
	"k8s.io/kubernetes/pkg/volume/emptydir"
	"k8s.io/kubernetes/pkg/volume/hostpath"
	"k8s.io/kubernetes/pkg/volume/image"
	"k8s.io/kubernetes/pkg/volume/projected"
	"k8s.io/kubernetes/pkg/volume/secret"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
	"k8s.io/mount-utils"
)

// runKubelet is the kubelet component: the real kubelet, except that it does
// not change this machine. Cgroups, mounts and the machine's figures are
// simulated; pods, their workers, statuses, logs, admission and eviction are
// real.
func runKubelet(p *plan, n *node) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	// A kubelet ends if there is no runtime at its start, but not if the runtime
	// ends later.
	if err := waitFor(ctx, func() error { return dial("unix", p.criSocket(n.Name)) }); err != nil {
		return err
	}
	server, err := kubeletOptions(p, n)
	if err != nil {
		return err
	}
	dependencies, err := kubeletDependencies(ctx, p, n, server)
	if err != nil {
		return err
	}
	login, err := startLogind(ctx, p.busSocket(n.Name))
	if err != nil {
		return err
	}
	// The socket of a killed kubelet still exists.
	if err := os.Remove(p.kubeletSocket(n.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	streams := &streams{port: n.Port, knobs: p.knobsFile(n.Name)}
	if err := serveControl(ctx, p.kubeletSocket(n.Name), func(ctx context.Context, words []string) (answer, error) {
		if words[0] == "cut" {
			return answer{"connections": streams.cut()}, nil
		}
		return login.command(ctx, words)
	}); err != nil {
		return err
	}
	go streams.limit(ctx)
	go actAsCloud(ctx, dependencies.HeartbeatClient, n.Name)
	if err := kubeletapp.RunKubelet(ctx, server, dependencies); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func kubeletOptions(p *plan, n *node) (*options.KubeletServer, error) {
	flags := options.NewKubeletFlags()
	config, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}

	root := p.kubeletRoot(n.Name)
	flags.RootDirectory = root
	flags.CertDirectory = filepath.Join(root, "pki")
	flags.HostnameOverride = n.Name
	// A kubelet refuses its own loopback address, but accepts one from a cloud
	// provider.
	flags.CloudProvider = "external"
	config.ContainerRuntimeEndpoint = "unix://" + p.criSocket(n.Name)
	config.PodLogsDir = p.podLogs(n.Name)
	config.ContainerLogMaxSize = n.LogMaxSize
	config.ContainerLogMonitorInterval.Duration = 3 * time.Second
	config.Address = "127.0.0.1"
	config.Port = int32(n.Port)
	config.ReadOnlyPort = 0
	// This would serve the logs of the machine.
	config.EnableSystemLogHandler = false

	if n.Runtime == containerd {
		// A registry that keeps one pull waiting is not to keep all others.
		config.SerializeImagePulls = false
		config.RegisterWithTaints = []v1.Taint{{Key: ownTaint, Value: containerd, Effect: v1.TaintEffectNoSchedule}}
	}

	config.MaxPods = int32(n.MaxPods)
	// Many images without a tag are pulled at once; there is no registry to
	// protect.
	config.RegistryPullQPS = 0
	config.CrashLoopBackOff.MaxContainerRestartPeriod = &metav1.Duration{Duration: n.RestartMax}

	// Often enough for the controllers' idea of a lost node.
	config.NodeStatusUpdateFrequency.Duration = p.NodeGrace / 4
	config.NodeLeaseDurationSeconds = int32(p.NodeGrace / time.Second)

	config.EvictionPressureTransitionPeriod.Duration = 5 * time.Second
	// The kubelet's own defaults, which it only has in a file.
	config.EvictionHard = map[string]string{
		"memory.available":  "100Mi",
		"nodefs.available":  "10%",
		"nodefs.inodesFree": "5%",
		"imagefs.available": "15%",
	}
	// A soft limit leaves a pod the time it asks for, a hard one a second.
	config.EvictionSoft = map[string]string{"nodefs.inodesFree": "20%"}
	config.EvictionSoftGracePeriod = map[string]string{"nodefs.inodesFree": "1s"}
	config.EvictionMaxPodGracePeriod = 600
	// How soon a volume over its limit is measured. After that the eviction
	// manager checks every ten seconds, which is a constant.
	config.VolumeStatsAggPeriod.Duration = 5 * time.Second

	config.ShutdownGracePeriod.Duration = n.ShutdownGrace
	config.ShutdownGracePeriodCriticalPods.Duration = n.ShutdownGrace / 3

	// Also for those that it has not made itself, of pods only.
	config.CgroupsPerQOS = n.Runtime == containerd
	config.EnforceNodeAllocatable = nil
	config.MakeIPTablesUtilChains = false
	config.FailSwapOn = false
	config.EnableControllerAttachDetach = false
	config.ResolverConfig = ""
	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *config}, nil
}

func kubeletDependencies(ctx context.Context, p *plan, n *node, server *options.KubeletServer) (*kubelet.Dependencies, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfigOf(n.Name))
	if err != nil {
		return nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"

	// Heartbeats are not delayed, so that the node is not lost because of a slow
	// API server.
	heartbeat := rest.CopyConfig(config)
	heartbeat.QPS = -1
	heartbeat.Timeout = server.NodeStatusUpdateFrequency.Duration
	heartbeatClient, err := kubernetes.NewForConfig(heartbeat)
	if err != nil {
		return nil, err
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &slowTransport{next, p.knobsFile(n.Name)}
	})
	events := rest.CopyConfig(config)
	events.QPS, events.Burst = float32(server.EventRecordQPS), int(server.EventBurst)
	eventClient, err := kubernetes.NewForConfig(events)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = float32(server.KubeAPIQPS), int(server.KubeAPIBurst)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}

	tls, err := kubeletapp.InitializeTLS(ctx, &server.KubeletFlags, &server.KubeletConfiguration)
	if err != nil {
		return nil, err
	}
	machine, err := newMachine(p, n)
	if err != nil {
		return nil, err
	}
	dependencies := &kubelet.Dependencies{
		KubeClient:                client,
		HeartbeatClient:           heartbeatClient,
		EventClient:               eventClient.CoreV1(),
		OnHeartbeatFailure:        func() {},
		TLSOptions:                tls,
		CAdvisorInterface:         machine,
		ContainerManager:          machine.containerManager(),
		VolumePlugins:             volumePlugins(),
		Mounter:                   mount.NewFakeMounter(nil),
		Subpather:                 &subpath.FakeSubpath{},
		HostUtil:                  hostutil.NewFakeHostUtil(nil),
		OOMAdjuster:               oom.NewFakeOOMAdjuster(),
		OSInterface:               tidyOS{},
		PodStartupLatencyTracker:  kubeletutil.NewPodStartupLatencyTracker(),
		NodeStartupLatencyTracker: kubeletutil.NewNodeStartupLatencyTracker(),
		TracerProvider:            noop.NewTracerProvider(),
	}
	// With a real recorder the kubelet needs to read the kernel's messages.
	if kmsg, err := os.Open("/dev/kmsg"); err == nil {
		kmsg.Close()
	} else {
		dependencies.Recorder = &record.FakeRecorder{}
	}
	kubelet.ContainerLogsDir = filepath.Join(server.RootDirectory, "container-logs")
	return dependencies, connectRuntime(ctx, &server.KubeletConfiguration, dependencies)
}

// volumePlugins are the plugins that need only files.
func volumePlugins() (plugins []volume.VolumePlugin) {
	plugins = append(plugins, configmap.ProbeVolumePlugins()...)
	plugins = append(plugins, downwardapi.ProbeVolumePlugins()...)
	plugins = append(plugins, emptydir.ProbeVolumePlugins()...)
	plugins = append(plugins, hostpath.FakeProbeVolumePlugins(volume.VolumeConfig{})...)
	plugins = append(plugins, image.ProbeVolumePlugins()...)
	plugins = append(plugins, projected.ProbeVolumePlugins()...)
	plugins = append(plugins, secret.ProbeVolumePlugins()...)
	return plugins
}

// slowTransport delays each request by the knob's time.
type slowTransport struct {
	next  http.RoundTripper
	knobs string
}

func (t *slowTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if delay := readKnobs(t.knobs).apiDelay(); delay > 0 {
		select {
		case <-time.After(delay):
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	return t.next.RoundTrip(request)
}

// tidyOS redirects a folder of the machine that cannot be configured: the
// kubelet writes links to the logs there, and removes dead links.
type tidyOS struct{ kubecontainer.RealOS }

const linksFolder = "/var/log/containers/"

func (o tidyOS) Symlink(target, link string) error {
	if strings.HasPrefix(link, linksFolder) {
		return nil
	}
	return o.RealOS.Symlink(target, link)
}

func (o tidyOS) Remove(path string) error {
	if strings.HasPrefix(path, linksFolder) {
		return nil
	}
	return o.RealOS.Remove(path)
}

func (o tidyOS) Glob(pattern string) ([]string, error) {
	if strings.HasPrefix(pattern, linksFolder) {
		return nil, nil
	}
	return o.RealOS.Glob(pattern)
}
