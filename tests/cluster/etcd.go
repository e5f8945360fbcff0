package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// runEtcd is the etcd component. Its data is kept for the next start.
func runEtcd(p *plan) error {
	config := embed.NewConfig()
	config.Dir = p.path("etcd")
	client := []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", p.EtcdPort)}}
	peer := []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", p.PeerPort)}}
	config.ListenClientUrls, config.AdvertiseClientUrls = client, client
	config.ListenPeerUrls, config.AdvertisePeerUrls = peer, peer
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// Even without fsync the writes of a killed process are kept. Only a crash of
	// the machine loses them, and that ends the cluster anyway.
	config.UnsafeNoFsync = true
	// The zero value would log every request as slow.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration

	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	select {
	case <-stop:
		server.Close()
		return nil
	case err := <-server.Err():
		return err
	}
}

// compactEtcd removes the history before now: a watch from an older
// resourceVersion gets 410 Gone.
func compactEtcd(ctx context.Context, url string) (revision int64, err error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop()})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	answer, err := client.Get(ctx, "/", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	revision = answer.Header.Revision
	_, err = client.Compact(ctx, revision)
	return revision, err
}
