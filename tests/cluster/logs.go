package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// longestLine is the length at which containerd cuts a line.
	longestLine = 16 * 1024
	// longestRead is how much of an output containerd reads at once.
	longestRead = 32 * 1024
)

// containerLog is a container's log in the format of CRI, as containerd writes it:
// time, stream, F for a full line or P for a part of one, and the text.
type containerLog struct {
	path string

	mu      sync.Mutex
	file    *os.File
	streams []*logStream
	line    []byte // its memory is reused
}

// logStream is one of the container's outputs.
type logStream struct {
	name string
	rest []byte // of an unfinished line
}

func openContainerLog(path string) (*containerLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l := &containerLog{path: path}
	return l, l.reopen()
}

// reopen continues in a new file, after the kubelet has moved the old one. An
// unfinished line becomes a part in the old file, and its rest will be in the
// new one: containerd ends its old loggers and makes new ones.
func (l *containerLog) reopen() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		l.breakOff(s)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}

func (l *containerLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.Close()
}

// copy writes all data of the reader. Text without a newline is a part, also at
// the end.
func (l *containerLog) copy(from io.Reader, stream string) {
	s := &logStream{name: stream}
	l.mu.Lock()
	l.streams = append(l.streams, s)
	l.mu.Unlock()
	text := make([]byte, longestRead)
	for {
		n, err := from.Read(text)
		l.take(s, text[:n])
		if err != nil {
			l.mu.Lock()
			l.breakOff(s)
			l.mu.Unlock()
			return
		}
	}
}

// take writes the lines that end in the text, and the full parts of a longer
// line.
func (l *containerLog) take(s *logStream, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(text) > 0 {
		line, after, ends := bytes.Cut(text, []byte{'\n'})
		s.rest = append(s.rest, line...)
		text = after
		length := len(s.rest)
		// A carriage return before a newline belongs to the line end.
		if bytes.HasSuffix(s.rest, []byte{'\r'}) {
			length--
		}
		if ends {
			s.rest = s.rest[:length]
		}
		for ; length > longestLine; length -= longestLine {
			l.write(s.name, " P ", s.rest[:longestLine])
			s.rest = append(s.rest[:0], s.rest[longestLine:]...)
		}
		if ends {
			l.write(s.name, " F ", s.rest)
			s.rest = s.rest[:0]
		}
	}
}

// breakOff needs the lock.
func (l *containerLog) breakOff(s *logStream) {
	if len(s.rest) > 0 {
		l.write(s.name, " P ", s.rest)
		s.rest = s.rest[:0]
	}
}

// write needs the lock.
func (l *containerLog) write(stream, tag string, text []byte) {
	l.line = time.Now().AppendFormat(l.line[:0], time.RFC3339Nano)
	l.line = append(l.line, ' ')
	l.line = append(l.line, stream...)
	l.line = append(l.line, tag...)
	l.line = append(l.line, text...)
	l.line = append(l.line, '\n')
	// In one piece, for concurrent readers. An error cannot be reported.
	l.file.Write(l.line)
}
