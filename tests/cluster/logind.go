package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// logind replaces the system bus for the kubelet: it has only the login
// manager, and only the parts that inform the kubelet about a shutdown of the
// machine. It is part of the kubelet's process, and the real bus is not used.
type logind struct {
	mu     sync.Mutex
	peers  map[net.Conn]bool
	serial uint32
	locks  int
}

const (
	loginPath      = "/org/freedesktop/login1"
	loginInterface = "org.freedesktop.login1.Manager"
)

func startLogind(ctx context.Context, path string) (*logind, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	l := &logind{peers: map[net.Conn]bool{}}
	go func() {
		for {
			peer, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(peer)
		}
	}()
	return l, os.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dbus.EscapeBusAddressValue(path))
}

// announce informs all connections that the machine shuts down, or that the
// shutdown is cancelled.
func (l *logind) announce(down bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.peers) == 0 {
		return errors.New("the kubelet does not listen for a shutdown")
	}
	for peer := range l.peers {
		l.send(peer, &dbus.Message{Type: dbus.TypeSignal, Body: []any{down}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(loginPath)),
			dbus.FieldInterface: dbus.MakeVariant(loginInterface),
			dbus.FieldMember:    dbus.MakeVariant("PrepareForShutdown"),
			dbus.FieldSender:    dbus.MakeVariant(":1.0"),
		}})
	}
	return nil
}

func (l *logind) serve(peer net.Conn) {
	defer peer.Close()
	in := bufio.NewReader(peer)
	if !authenticate(in, peer) {
		return
	}
	l.mu.Lock()
	l.peers[peer] = true
	l.mu.Unlock()
	for {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			break
		}
		if call.Type == dbus.TypeMethodCall {
			l.mu.Lock()
			l.answer(peer, call)
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	delete(l.peers, peer)
	l.mu.Unlock()
}

// authenticate accepts every client that can open the socket.
func authenticate(in *bufio.Reader, out net.Conn) bool {
	if _, err := in.ReadByte(); err != nil {
		return false
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		answer := "ERROR"
		switch words := strings.Fields(line); {
		case len(words) == 1 && words[0] == "AUTH":
			answer = "REJECTED EXTERNAL"
		case len(words) > 1 && words[0] == "AUTH":
			answer = "OK " + strings.Repeat("0", 32)
		case len(words) > 0 && words[0] == "BEGIN":
			return true
		}
		if _, err := out.Write([]byte(answer + "\r\n")); err != nil {
			return false
		}
	}
}

// answer needs the lock.
func (l *logind) answer(peer net.Conn, call *dbus.Message) {
	var body []any
	member, _ := call.Headers[dbus.FieldMember].Value().(string)
	switch member {
	case "Hello":
		body = []any{":1.1"}
	case "Get":
		// The only property that the kubelet reads: how long it may delay a shutdown.
		// If that is too short, the kubelet writes to the machine's /etc.
		body = []any{dbus.MakeVariant(uint64(24 * time.Hour / time.Microsecond))}
	case "Inhibit":
		body = []any{l.lock()}
	}
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		dbus.FieldSender:      dbus.MakeVariant(":1.0"),
	}}
	l.send(peer, reply)
}

// lock returns the number of an open file, which the kubelet closes later. As
// this is the kubelet's process, the file need not be sent. The kubelet may
// close a number twice, so each number is used once, and all are far above
// those in use.
func (l *logind) lock() uint32 {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0
	}
	defer null.Close()
	const above = 700
	fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, above+l.locks)
	if err != nil {
		return 0
	}
	l.locks++
	return uint32(fd)
}

// send needs the lock.
func (l *logind) send(peer net.Conn, message *dbus.Message) {
	if len(message.Body) > 0 {
		message.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(message.Body...))
	}
	var bytes bytes.Buffer
	if err := message.EncodeTo(&bytes, binary.LittleEndian); err != nil {
		return
	}
	// The library numbers only the messages of its own connections.
	l.serial++
	binary.LittleEndian.PutUint32(bytes.Bytes()[8:], l.serial)
	peer.Write(bytes.Bytes())
}

// command executes the commands for the kubelet's machine.
func (l *logind) command(_ context.Context, words []string) (answer, error) {
	switch words[0] {
	case "shutdown":
		return nil, l.announce(true)
	case "shutdown-cancel":
		return nil, l.announce(false)
	}
	return nil, errors.New("usage: shutdown, shutdown-cancel")
}
