package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

func startAPIServer(ctx context.Context, c *cluster) error {
	// The steps of the kube-apiserver command, without the command itself: it
	// installs signal handlers, and can only bind a port, not take a listener.
	o := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(apiServerFlags(c)); err != nil {
		return err
	}
	o.SecureServing.Listener = c.listener
	o.SecureServing.BindPort = c.listener.Addr().(*net.TCPAddr).Port
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	life, kill := context.WithCancel(context.Background())
	completed, err := o.Complete(life)
	if err != nil {
		kill()
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		kill()
		return errors.Join(errs...)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.fail(fmt.Errorf("kube-apiserver ended: %w", app.Run(life, completed)))
	}()
	c.onStop(func() {
		kill()
		<-ended
	})
	return c.waitForAPIServer(ctx)
}

func apiServerFlags(c *cluster) []string {
	return []string{
		"--etcd-servers=" + c.etcd,
		"--bind-address=127.0.0.1",
		// Found through the default route otherwise, and a machine without a
		// network has none. Nobody gets to see it: see the next flag.
		"--advertise-address=127.0.0.1",
		// Endpoints of the service `kubernetes` must not be loopback addresses.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--tls-cert-file=" + c.path("apiserver.crt"),
		"--tls-private-key-file=" + c.path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + c.path("service-account.key"),
		"--service-account-key-file=" + c.path("service-account.key"),
		"--authorization-mode=RBAC",
		"--token-auth-file=" + c.path("tokens.csv"),
		// It refuses pods until a controller has made their service account.
		"--disable-admission-plugins=ServiceAccount",
	}
}

// waitForAPIServer returns once the server is ready and has the namespace that
// tests work in, which it creates by itself a little later.
func (c *cluster) waitForAPIServer(ctx context.Context) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.ca)
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	defer client.CloseIdleConnections()
	get := func(path string) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, "GET", c.server+path, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+c.tokens.admin)
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
		}
		return body, err
	}

	for {
		_, err := get("/readyz")
		if err == nil {
			_, err = get("/api/v1/namespaces/default")
		}
		if err == nil {
			var body []byte
			if body, err = get("/version"); err == nil {
				info := struct{ GitVersion string }{}
				err = json.Unmarshal(body, &info)
				c.version = info.GitVersion
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
