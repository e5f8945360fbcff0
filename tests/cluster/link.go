package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// link is the connection of the second API server to etcd. It can delay the
// data from etcd: then that server's watch cache is behind the first one's.
type link struct {
	listener net.Listener
	etcd     string // host and port

	mu     sync.Mutex
	lag    time.Duration
	turned chan struct{} // closed when the lag changes
}

// newLink listens on a separate port until it is closed.
func newLink() (*link, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	return &link{listener: listener, turned: make(chan struct{})}, err
}

func (l *link) port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// setLag also applies to data that is under way.
func (l *link) setLag(lag time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag = lag
	close(l.turned)
	l.turned = make(chan struct{})
}

func (l *link) state() (lag time.Duration, turned chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lag, l.turned
}

// serve ends when the link is closed.
func (l *link) serve() {
	for {
		server, err := l.listener.Accept()
		if err != nil {
			return
		}
		etcd, err := net.Dial("tcp4", l.etcd)
		if err != nil {
			server.Close()
			continue
		}
		gone := make(chan struct{})
		go func() {
			io.Copy(etcd, server)
			close(gone)
			etcd.Close()
		}()
		go func() {
			l.carry(server, etcd, gone)
			server.Close()
		}()
	}
}

// word is a piece of data from etcd.
type word struct {
	bytes []byte
	at    time.Time
}

// carry forwards the data from etcd, each piece after the lag.
func (l *link) carry(server io.Writer, etcd io.Reader, gone chan struct{}) {
	// Data that was not read yet waits in etcd.
	words := make(chan word, 1024)
	go func() {
		defer close(words)
		for {
			buffer := make([]byte, 4096)
			n, err := etcd.Read(buffer)
			if n > 0 {
				select {
				case words <- word{buffer[:n], time.Now()}:
				case <-gone:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for word := range words {
		if !l.wait(word.at, gone) {
			return
		}
		if _, err := server.Write(word.bytes); err != nil {
			return
		}
	}
}

// wait returns when data from that time is due, and reports whether the
// connection is still open.
func (l *link) wait(at time.Time, gone chan struct{}) bool {
	for {
		lag, turned := l.state()
		left := time.Until(at.Add(lag))
		if left <= 0 {
			return true
		}
		select {
		case <-time.After(left):
		case <-turned:
		case <-gone:
			return false
		}
	}
}
