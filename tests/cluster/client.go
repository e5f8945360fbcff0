package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client checks as the admin whether the cluster is ready.
type client struct {
	http   *http.Client
	server string
	etcd   string // host and port
	token  string
}

func newClient(p *plan, server string) *client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CA)
	return &client{
		http: &http.Client{
			Timeout: 5 * time.Second,
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots},
				// A kept connection to a killed server would be used first.
				DisableKeepAlives: true,
			},
		},
		server: server,
		etcd:   fmt.Sprintf("127.0.0.1:%d", p.EtcdPort),
		token:  p.Tokens["admin"],
	}
}

func (c *client) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, "GET", c.server+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// apiServerReady also checks for the namespace of the tests, which the server
// creates by itself shortly after it reports that it is ready.
func (c *client) apiServerReady(ctx context.Context) error {
	if err := c.get(ctx, "/readyz", nil); err != nil {
		return err
	}
	return c.get(ctx, "/api/v1/namespaces/default", nil)
}

func (c *client) version(ctx context.Context) (string, error) {
	info := struct{ GitVersion string }{}
	err := c.get(ctx, "/version", &info)
	return info.GitVersion, err
}

// nodesReady returns an error with the name of a node that is not ready.
func (c *client) nodesReady(ctx context.Context, nodes []node) error {
	for _, node := range nodes {
		object := struct {
			Spec   struct{ Taints []struct{ Key string } }
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}{}
		if err := c.get(ctx, "/api/v1/nodes/"+node.Name, &object); err != nil {
			return err
		}
		ready := false
		message := "no condition yet"
		for _, condition := range object.Status.Conditions {
			if condition.Type == "Ready" {
				ready, message = condition.Status == "True", condition.Message
			}
		}
		// A taint keeps pods away a little longer than the condition.
		for _, taint := range object.Spec.Taints {
			if ready && taint.Key != ownTaint {
				ready, message = false, "tainted "+taint.Key
			}
		}
		if !ready {
			return fmt.Errorf("%s is not ready: %s", node.Name, message)
		}
	}
	return nil
}
