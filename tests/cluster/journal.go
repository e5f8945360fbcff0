package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// journal is the truth about the ends of containers, for a comparison with
// Kubernetes' statuses. The runtimes of all nodes write to one file.
type journal struct {
	file *os.File
	node string
}

// exit is one line: one end of one container.
type exit struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	Container string `json:"container"`
	Attempt   uint32 `json:"attempt"`
	Node      string `json:"node"`
	ID        string `json:"id"`
	ExitCode  int    `json:"exitCode"`
	Reason    string `json:"reason"`
	// StoppedByKubelet is true if the kubelet had requested the stop before the
	// end.
	StoppedByKubelet bool     `json:"stoppedByKubelet"`
	StoppedAt        *moment  `json:"stoppedAt,omitempty"`
	Signals          []string `json:"signals"`
	// Lost is true if the kubelet cannot observe this end.
	Lost       bool    `json:"lost,omitempty"`
	StartedAt  *moment `json:"startedAt,omitempty"`
	FinishedAt *moment `json:"finishedAt"`
}

// moment is a time to the millisecond.
type moment time.Time

func (m moment) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(m).UTC().Format("2006-01-02T15:04:05.000Z"))
}

func momentOf(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := moment(t)
	return &m
}

func openJournal(path, node string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return &journal{file, node}, err
}

// write needs the container's lock.
func (j *journal) write(c *container) {
	pod := c.sandbox.config.Metadata
	j.writeLine(exit{
		Namespace:        pod.Namespace,
		Pod:              pod.Name,
		UID:              pod.Uid,
		Container:        c.config.Metadata.Name,
		Attempt:          c.config.Metadata.Attempt,
		Node:             j.node,
		ID:               c.id,
		ExitCode:         c.exitCode,
		Reason:           c.reason,
		StoppedByKubelet: !c.stoppedAt.IsZero() && c.stoppedAt.Before(c.finishedAt),
		StoppedAt:        momentOf(c.stoppedAt),
		Signals:          append([]string{}, c.signals...),
		Lost:             c.lost,
		StartedAt:        momentOf(c.startedAt),
		FinishedAt:       momentOf(c.finishedAt),
	})
}

func (j *journal) writeLine(e exit) {
	line, err := json.Marshal(e)
	// One write for one line, so that lines of two runtimes do not mix.
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "journal:", err)
	}
}
