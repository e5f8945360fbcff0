package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// link is the second API server's way to etcd. What etcd says can be made to come
// late on it: then that server's watch cache is behind that of the first one.
type link struct {
	listener net.Listener
	etcd     string // host and port

	mu     sync.Mutex
	lag    time.Duration
	turned chan struct{} // closed when the lag changes
}

// newLink listens on a port of its own, which it has until it is closed.
func newLink() (*link, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	return &link{listener: listener, turned: make(chan struct{})}, err
}

func (l *link) port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// setLag counts for what is on its way, too.
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

// word is something that etcd said.
type word struct {
	bytes []byte
	at    time.Time
}

// carry brings what etcd says, each word when its time has come.
func (l *link) carry(server io.Writer, etcd io.Reader, gone chan struct{}) {
	// What is not taken yet waits in etcd.
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

// wait returns when what was said at that time is due, and says if anybody is
// still there to hear it.
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
