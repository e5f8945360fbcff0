package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var entryPattern = regexp.MustCompile(`^(\S+) (stdout|stderr) ([FP]) (.*)$`)

// entries are the lines of the file without their times and streams, which are
// checked.
func entries(t *testing.T, path string) (got []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		match := entryPattern.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			t.Fatalf("%.60q is no entry", line)
		}
		at, err := time.Parse(time.RFC3339Nano, match[1])
		if err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
			t.Fatalf("%.60q: a wrong time, %v", line, err)
		}
		got = append(got, match[3]+" "+match[4])
	}
	return got
}

func TestContainerLogSplitsLines(t *testing.T) {
	long := strings.Repeat("x", longestLine)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":               {"", ""},
		"lines":                 {"a\nb\n", "F a|F b|"},
		"an empty line":         {"\n", "F |"},
		"no newline":            {"a\nb", "F a|P b|"},
		"carriage returns":      {"a\r\n\r\nb\rc\r", "F a|F |P b\rc\r|"},
		"as long as can be":     {long + "\n", "F " + long + "|"},
		"as long, and a return": {long + "\r\n", "F " + long + "|"},
		"as long, no newline":   {long, "P " + long + "|"},
		"too long":              {long + "y\n", "P " + long + "|F y|"},
		"much too long":         {long + long + "\nz\n", "P " + long + "|F " + long + "|F z|"},
	} {
		for _, size := range []int{1, 4096, longestRead} {
			path := filepath.Join(t.TempDir(), "0.log")
			log, err := openContainerLog(path)
			if err != nil {
				t.Fatal(err)
			}
			log.copy(&pieces{c.text, size}, "stdout")
			log.close()
			got := ""
			for _, entry := range entries(t, path) {
				got += entry + "|"
			}
			if got != c.want {
				t.Errorf("%s by %d: %.40q, not %.40q", name, size, got, c.want)
			}
		}
	}
}

// pieces is a reader of a text that returns this many bytes at a time.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(into []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(into[:min(len(into), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}

func TestContainerLogGoesOnInTheNextFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	log, err := openContainerLog(path)
	if err != nil {
		t.Fatal(err)
	}
	from, to := io.Pipe()
	ended := make(chan struct{})
	go func() {
		log.copy(from, "stdout")
		close(ended)
	}()
	move := func(name string) {
		if err := os.Rename(path, path+name); err != nil {
			t.Fatal(err)
		}
		if err := log.reopen(); err != nil {
			t.Fatal(err)
		}
	}
	// A write returns when it was read, and the data was written when the next
	// write returns.
	for _, text := range []string{"a\nbe", "gun", ""} {
		io.WriteString(to, text)
	}
	move(".1")
	for _, text := range []string{" and ended\nc\n", ""} {
		io.WriteString(to, text)
	}
	move(".2")
	to.Close()
	<-ended
	log.close()
	for name, want := range map[string]string{".1": "F a|P begun", ".2": "F  and ended|F c", "": ""} {
		if got := strings.Join(entries(t, path+name), "|"); got != want {
			t.Errorf("file %q: %q, not %q", name, got, want)
		}
	}
}

// No line is lost or repeated, however often and whenever the file is moved.
func TestContainerLogKeepsAllLines(t *testing.T) {
	const files, lines = 20, 20_000
	path := filepath.Join(t.TempDir(), "0.log")
	log, err := openContainerLog(path)
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, stream := range []string{"stdout", "stderr"} {
		var text strings.Builder
		for n := range lines {
			fmt.Fprintf(&text, "%s %d\n", stream, n)
		}
		writers.Go(func() { log.copy(&pieces{text.String(), 1000}, stream) })
	}
	for n := range files {
		time.Sleep(time.Millisecond)
		if err := os.Rename(path, fmt.Sprintf("%s.%02d", path, n)); err != nil {
			t.Fatal(err)
		}
		if err := log.reopen(); err != nil {
			t.Fatal(err)
		}
	}
	writers.Wait()
	log.close()
	next := map[string]int{}
	parts := map[string]string{}
	for n := range files + 1 {
		name := path
		if n < files {
			name = fmt.Sprintf("%s.%02d", path, n)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			match := entryPattern.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			stream := match[2]
			parts[stream] += match[4]
			if match[3] == "P" {
				continue
			}
			if want := fmt.Sprintf("%s %d", stream, next[stream]); parts[stream] != want {
				t.Fatalf("%s: %q, not %q", name, parts[stream], want)
			}
			parts[stream] = ""
			next[stream]++
		}
	}
	if next["stdout"] != lines || next["stderr"] != lines {
		t.Errorf("%v lines, not %d", next, lines)
	}
}
