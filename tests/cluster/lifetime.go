package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopRequest is a reason to end that is not a failure.
type stopRequest string

func (s stopRequest) Error() string { return string(s) }

func watchSignals(end context.CancelCauseFunc) {
	// Whoever started us may be gone, and with it the reader of our stderr.
	// A complaint into that pipe must not kill us before the folder is removed.
	signal.Ignore(syscall.SIGPIPE)

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		end(stopRequest((<-signals).String()))
		<-signals
		os.Exit(130)
	}()
}

// watchParent ends the process with its parent, even a killed one: a pipe to
// our stdin closes then. The parent's id covers a parent that shared the other
// end of the pipe with processes that outlive it. PR_SET_PDEATHSIG would not
// do: it fires when the parent's thread ends, and test runners end threads.
func watchParent(end context.CancelCauseFunc) {
	parent := os.Getppid()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		end(stopRequest("stdin is at its end"))
	}()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(500 * time.Millisecond)
		}
		end(stopRequest(fmt.Sprintf("parent process %d is gone", parent)))
	}()
}
