package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestContainerLogSplitsLines(t *testing.T) {
	long := strings.Repeat("x", longestLine)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":              {"", ""},
		"lines":                {"a\nb\n", "F a|F b|"},
		"an empty line":        {"\n", "F |"},
		"no newline":           {"a\nb", "F a|P b|"},
		"as long as can be":    {long[1:] + "\n", "F " + long[1:] + "|"},
		"too long by the mark": {long + "\n", "P " + long + "|F |"},
		"too long":             {long + "y\n", "P " + long + "|F y|"},
	} {
		path := filepath.Join(t.TempDir(), "0.log")
		log, err := openContainerLog(path)
		if err != nil {
			t.Fatal(err)
		}
		log.copy(io.MultiReader(strings.NewReader(c.text)), "stdout")
		log.close()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for line := range strings.Lines(string(text)) {
			_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " stdout ")
			got.WriteString(rest + "|")
		}
		if got.String() != c.want {
			t.Errorf("%s: %.40q, not %.40q", name, got.String(), c.want)
		}
	}
}
