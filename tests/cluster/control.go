package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// answer is the body of one JSON line. The key "ok" is added to it.
type answer map[string]any

// handler executes a command.
type handler func(ctx context.Context, words []string) (answer, error)

// serveControl reads one command per line from a unix socket, and writes one
// line of JSON for each. The commands of one connection are executed in order.
func serveControl(ctx context.Context, path string, do handler) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				lines := bufio.NewScanner(connection)
				for lines.Scan() {
					words := strings.Fields(lines.Text())
					if len(words) == 0 {
						continue
					}
					body, err := do(ctx, words)
					if err != nil {
						body = answer{"error": err.Error()}
					} else {
						if body == nil {
							body = answer{}
						}
						body["ok"] = true
					}
					if json.NewEncoder(connection).Encode(body) != nil {
						return
					}
				}
			}()
		}
	}()
	return nil
}

// askControl sends one command to such a socket.
func askControl(path string, words []string) (answer, error) {
	connection, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintln(connection, strings.Join(words, " ")); err != nil {
		return nil, err
	}
	body := answer{}
	if err := json.NewDecoder(connection).Decode(&body); err != nil {
		return nil, err
	}
	if text, failed := body["error"].(string); failed {
		return nil, errors.New(text)
	}
	return body, nil
}
