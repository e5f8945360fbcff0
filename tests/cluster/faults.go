package main

import (
	"fmt"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// faultVariable is the environment variable for a fault of a container: one of
// the kinds, for some kinds with @ and the time after the start.
const faultVariable = "PODWAIT_FAULT"

const (
	faultCreate = "create-error"
	faultStart  = "start-error"
	faultOOM    = "oom"
	faultLost   = "lost"
)

type fault struct {
	kind  string
	after time.Duration
}

func faultOf(config *cri.ContainerConfig) (f fault, err error) {
	for _, variable := range config.Envs {
		if variable.Key != faultVariable {
			continue
		}
		kind, after, delayed := strings.Cut(string(variable.Value), "@")
		if delayed {
			if f.after, err = time.ParseDuration(after); err != nil {
				return f, err
			}
		}
		switch kind {
		case faultCreate, faultStart, faultOOM, faultLost:
			f.kind = kind
		default:
			return f, fmt.Errorf("%s: no fault is called %q", faultVariable, kind)
		}
	}
	return f, nil
}

// arm prepares the fault for the running container.
func (f fault) arm(c *container) {
	switch f.kind {
	case faultOOM:
		time.AfterFunc(f.after, func() { c.killForMemory() })
	case faultLost:
		time.AfterFunc(f.after, c.lose)
	}
}
