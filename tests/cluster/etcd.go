package main

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

func startEtcd(ctx context.Context, c *cluster) error {
	// Port 0 lets the system choose while binding, so there is no race for it.
	// As the only member, etcd never dials the peer URL it calls its own.
	free := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config := embed.NewConfig()
	config.Dir = c.path("etcd")
	config.ListenClientUrls, config.AdvertiseClientUrls = free, free
	config.ListenPeerUrls, config.AdvertisePeerUrls = free, free
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogOutputs = []string{c.path("etcd.log")}
	// Nothing here is meant to survive the process.
	config.UnsafeNoFsync = true
	// Unset, it is zero, and every single request is logged as a slow one.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	// The gateway would dial the client URL as written above, port 0 and all.
	config.EnableGRPCGateway = false

	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	c.onStop(server.Close)
	go func() {
		if err, ok := <-server.Err(); ok {
			c.fail(fmt.Errorf("etcd: %w", err))
		}
	}()

	select {
	case <-server.Server.ReadyNotify():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.etcd = "http://" + server.Clients[0].Addr().String()
	return nil
}
