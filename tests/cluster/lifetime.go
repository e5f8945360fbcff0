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
	// The parent process may be gone, and with it the reader of stderr. A write to
	// that pipe must not end this process before the folder is removed.
	signal.Ignore(syscall.SIGPIPE)

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		end(stopRequest((<-signals).String()))
		<-signals
		os.Exit(130)
	}()
}

// watchParent ends the process with its parent, even if that is killed: a pipe
// to stdin is then closed. If other processes share the other end of the pipe,
// the change of the parent's id shows it. PR_SET_PDEATHSIG is not suitable: it
// fires when the parent's thread ends, and test runners end threads.
func watchParent(end context.CancelCauseFunc) {
	parent := os.Getppid()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		end(stopRequest("stdin has ended"))
	}()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(500 * time.Millisecond)
		}
		end(stopRequest(fmt.Sprintf("parent process %d is gone", parent)))
	}()
}
