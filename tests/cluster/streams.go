package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// streams are the connections of API servers to the kubelet of this process, on
// which it streams logs. All streams of one API server share one connection.
type streams struct {
	port  int
	knobs string
}

// connection is one of the connections of this process.
type connection struct {
	fd   int
	name string // unique, also over time
}

func (s *streams) list() (found []connection) {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A file that is not a connected socket has no such addresses.
		address, err := unix.Getsockname(fd)
		if err != nil {
			continue
		}
		if ours, ok := address.(*unix.SockaddrInet4); !ok || ours.Port != s.port {
			continue
		}
		if _, err := unix.Getpeername(fd); err != nil {
			continue
		}
		if name, err := os.Readlink(filepath.Join(folder, entry.Name())); err == nil {
			found = append(found, connection{fd, name})
		}
	}
	return found
}

// cut breaks the connection: data that was not sent yet is lost. The owner of
// the file closes it.
func (c connection) cut() { unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// cut breaks all connections.
func (s *streams) cut() int {
	all := s.list()
	for _, c := range all {
		c.cut()
	}
	return len(all)
}

// limit breaks each connection at the age of the knob.
func (s *streams) limit(ctx context.Context) {
	since := map[string]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
		limit := readKnobs(s.knobs).streamLimit()
		if limit <= 0 {
			clear(since)
			continue
		}
		known := since
		since = map[string]time.Time{}
		for _, c := range s.list() {
			begin, ok := known[c.name]
			if !ok {
				begin = time.Now()
			}
			since[c.name] = begin
			if time.Since(begin) >= limit {
				c.cut()
			}
		}
	}
}
