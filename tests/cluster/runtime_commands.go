package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// errUsage lists the commands that go to a runtime.
var errUsage = errors.New("usage: runtime lose|oom POD_UID CONTAINER, " +
	"runtime signal POD_UID CONTAINER SIGNAL, runtime image refuse NAME [TIMES], runtime image allow NAME")

// command executes the commands for the runtime, without the kubelet.
func (r *containerRuntime) command(_ context.Context, words []string) (answer, error) {
	switch {
	case words[0] == "image" && len(words) >= 3:
		return nil, r.imageCommand(words[1], words[2], words[3:])
	case words[0] == "lose" && len(words) == 3:
		c, err := r.current(words[1], words[2])
		if err != nil {
			return nil, err
		}
		c.lose()
		return answer{"id": c.id}, nil
	case words[0] == "oom" && len(words) == 3:
		c, err := r.current(words[1], words[2])
		if err != nil {
			return nil, err
		}
		return answer{"id": c.id}, c.killForMemory()
	case words[0] == "signal" && len(words) == 4:
		signal, err := signalNamed(words[3])
		if err != nil {
			return nil, err
		}
		c, err := r.current(words[1], words[2])
		if err != nil {
			return nil, err
		}
		return answer{"id": c.id}, c.signal(signal)
	}
	return nil, errUsage
}

func (r *containerRuntime) imageCommand(verb, name string, rest []string) error {
	switch {
	case verb == "allow" && len(rest) == 0:
		r.images.refuse(name, 0)
		return nil
	case verb == "refuse" && len(rest) == 0:
		r.images.refuse(name, forever)
		return nil
	case verb == "refuse" && len(rest) == 1:
		times, err := strconv.Atoi(rest[0])
		if err == nil {
			r.images.refuse(name, times)
		}
		return err
	}
	return errUsage
}

// current finds the newest container with that name in the pod, in any state.
func (r *containerRuntime) current(uid, name string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found *container
	for _, c := range r.containers {
		if c.sandbox.config.Metadata.Uid == uid && c.config.Metadata.Name == name &&
			(found == nil || c.createdAt.After(found.createdAt)) {
			found = c
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no container %s is known of a pod with the uid %s", name, uid)
	}
	return found, nil
}
