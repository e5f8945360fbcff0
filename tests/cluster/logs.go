package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// longestLine is where containerd cuts a line.
const longestLine = 16 * 1024

// containerLog is a container's log in the format of CRI: time, stream, F for a
// full line or P for a part of one, and the text.
type containerLog struct {
	path string

	mu   sync.Mutex
	file *os.File
	line []byte // kept for its memory
}

func openContainerLog(path string) (*containerLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l := &containerLog{path: path}
	return l, l.reopen()
}

// reopen goes on in a new file, after the kubelet has moved the old one.
func (l *containerLog) reopen() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
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

// copy writes all that comes from the reader. What does not end in a newline is
// a part, also at the end.
func (l *containerLog) copy(from io.Reader, stream string) {
	lines := bufio.NewReaderSize(from, longestLine)
	for {
		text, err := lines.ReadSlice('\n')
		full := err == nil
		if full {
			text = text[:len(text)-1]
		}
		if full || len(text) > 0 {
			l.write(time.Now(), stream, full, text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (l *containerLog) write(at time.Time, stream string, full bool, text []byte) {
	tag := " P "
	if full {
		tag = " F "
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = at.UTC().AppendFormat(l.line[:0], "2006-01-02T15:04:05.000000000Z07:00")
	l.line = append(l.line, ' ')
	l.line = append(l.line, stream...)
	l.line = append(l.line, tag...)
	l.line = append(l.line, text...)
	l.line = append(l.line, '\n')
	// In one piece, for those who read along. There is nobody to tell of an error.
	l.file.Write(l.line)
}
