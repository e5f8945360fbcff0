package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// command is one command of the control channel.
type command struct {
	name  string
	usage string // its arguments; optional ones in brackets
	do    func(ctx context.Context, l *launcher, arguments []string) (answer, error)
}

var commands = []command{
	{"status", "", func(_ context.Context, l *launcher, _ []string) (answer, error) {
		all := make([]componentStatus, 0, len(l.components))
		for _, component := range l.components {
			all = append(all, component.status())
		}
		return answer{"components": all}, nil
	}},
	{"kill", "COMPONENT", onComponent((*component).kill)},
	{"stop", "COMPONENT", onComponent(func(c *component) error { return c.terminate(10 * time.Second) })},
	{"start", "COMPONENT", onComponent((*component).start)},
	{"restart", "COMPONENT", onComponent(func(c *component) error {
		if err := c.kill(); err != nil {
			return err
		}
		return c.start()
	})},
	{"program", "COMPONENT [FILE]", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		c, err := l.component(arguments[0])
		if err != nil {
			return nil, err
		}
		return nil, c.setProgram(strings.Join(arguments[1:], ""))
	}},
	{"pause", "COMPONENT", onComponent((*component).pause)},
	{"resume", "COMPONENT", onComponent((*component).resume)},
	{"throttle", "COMPONENT PERCENT", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		c, err := l.component(arguments[0])
		if err != nil {
			return nil, err
		}
		percent, err := strconv.Atoi(arguments[1])
		if err != nil || percent < 1 || percent > 100 {
			return nil, fmt.Errorf("%s is not 1 to 100", arguments[1])
		}
		c.setShare(percent)
		return nil, nil
	}},
	{"ready", "[SECONDS]", func(ctx context.Context, l *launcher, arguments []string) (answer, error) {
		patience := 60
		if len(arguments) > 0 {
			var err error
			if patience, err = strconv.Atoi(arguments[0]); err != nil {
				return nil, err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, time.Duration(patience)*time.Second)
		defer cancel()
		return nil, l.waitReady(ctx)
	}},
	{"compact", "", func(ctx context.Context, l *launcher, _ []string) (answer, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		revision, err := compactEtcd(ctx, l.plan.etcdURL())
		return answer{"revision": revision}, err
	}},
	{"api-delay", "NODE MILLIS", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		millis, err := strconv.Atoi(arguments[1])
		if err != nil || millis < 0 {
			return nil, fmt.Errorf("%s is not a number of milliseconds", arguments[1])
		}
		return nil, l.turn(arguments[0], func(k *knobs) { k.APIDelayMillis = millis })
	}},
	{"pressure", "NODE " + strings.Join(pressures, "|"), func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		if !slices.Contains(pressures, arguments[1]) {
			return nil, fmt.Errorf("%s is none of %s", arguments[1], strings.Join(pressures, ", "))
		}
		return nil, l.turn(arguments[0], func(k *knobs) { k.Pressure = arguments[1] })
	}},
	{"max-pods", "NODE NUMBER", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		number, err := strconv.Atoi(arguments[1])
		if err != nil || number < 0 {
			return nil, fmt.Errorf("%s is not a number of pods", arguments[1])
		}
		return nil, l.turn(arguments[0], func(k *knobs) { k.MaxPods = &number })
	}},
	{"lag", "MILLIS", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		millis, err := strconv.Atoi(arguments[0])
		if err != nil || millis < 0 {
			return nil, fmt.Errorf("%s is not a number of milliseconds", arguments[0])
		}
		l.link.setLag(time.Duration(millis) * time.Millisecond)
		return nil, nil
	}},
	{"cut", "NODE", onKubelet("cut")},
	{"stream-limit", "NODE MILLIS", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		millis, err := strconv.Atoi(arguments[1])
		if err != nil || millis < 0 {
			return nil, fmt.Errorf("%s is not a number of milliseconds", arguments[1])
		}
		return nil, l.turn(arguments[0], func(k *knobs) { k.StreamLimitMillis = millis })
	}},
	{"shutdown", "NODE", onKubelet("shutdown")},
	{"shutdown-cancel", "NODE", onKubelet("shutdown-cancel")},
	{"containerd", "NODE kill|stop|start|restart|pause|resume", onContainerd("containerd")},
	{"disk", "NODE images|logs fill|free", onContainerd("disk")},
	{"registry", "COMMAND...", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		if l.registry == nil {
			return nil, errors.New("there is no registry without a containerd node")
		}
		return nil, l.registry.command(arguments)
	}},
	{"runtime", "COMMAND...", func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		// The caller does not need to know the node of a container or of its image:
		// the command goes to all runtimes, one of which knows it.
		err := errors.New("there are no nodes")
		var body answer
		for _, node := range l.plan.Nodes {
			b, e := askControl(l.plan.runtimeSocket(node.Name), arguments)
			if e == nil {
				body, err = b, nil
			} else if body == nil {
				err = e
			}
		}
		return body, err
	}},
}

func onComponent(do func(*component) error) func(context.Context, *launcher, []string) (answer, error) {
	return func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		c, err := l.component(arguments[0])
		if err != nil {
			return nil, err
		}
		return nil, do(c)
	}
}

func onContainerd(word string) func(context.Context, *launcher, []string) (answer, error) {
	return func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		n, err := l.plan.node(arguments[0])
		if err == nil && n.Runtime != containerd {
			err = fmt.Errorf("%s has no containerd", n.Name)
		}
		if err != nil {
			return nil, err
		}
		return askControl(l.plan.runtimeSocket(n.Name), append([]string{word}, arguments[1:]...))
	}
}

func onKubelet(word string) func(context.Context, *launcher, []string) (answer, error) {
	return func(_ context.Context, l *launcher, arguments []string) (answer, error) {
		if _, err := l.plan.node(arguments[0]); err != nil {
			return nil, err
		}
		return askControl(l.plan.kubeletSocket(arguments[0]), []string{word})
	}
}

// turn sets the knobs of a node.
func (l *launcher) turn(name string, set func(*knobs)) error {
	if _, err := l.plan.node(name); err != nil {
		return err
	}
	return turnKnobs(l.plan.knobsFile(name), set)
}

// command executes one command of the control channel.
func (l *launcher) command(ctx context.Context, words []string) (answer, error) {
	for _, command := range commands {
		if command.name != words[0] {
			continue
		}
		arguments := words[1:]
		wanted := strings.Fields(command.usage)
		least, most := 0, len(wanted)
		for _, word := range wanted {
			if !strings.HasPrefix(word, "[") {
				least++
			}
			if strings.HasSuffix(word, "...") {
				most = len(arguments)
			}
		}
		if len(arguments) < least || len(arguments) > most {
			return nil, fmt.Errorf("usage: %s %s", command.name, command.usage)
		}
		return command.do(ctx, l, arguments)
	}
	names := make([]string, 0, len(commands))
	for _, command := range commands {
		names = append(names, command.name)
	}
	return nil, fmt.Errorf("no command is called %q, only %s", words[0], strings.Join(names, ", "))
}
