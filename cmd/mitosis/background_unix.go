//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/fakessh"
)

// "mitosis ssh HOPS -f" goes to the background when ssh does. The tree has to live as long as
// the background part of ssh, so another process with the same arguments does the work. It is
// in the foreground while it connects, so that it can ask for passwords. This process ends when
// that one sends the exit status of ssh.

// readyVariable has the descriptor to which the other process sends it.
const readyVariable = "MITOSIS_SSH_READY"

// inBackground starts a process with the same arguments, and waits until that goes to the
// background or ends.
func inBackground(do job) job {
	return func(out, errOut io.Writer) int {
		if fd, err := strconv.Atoi(os.Getenv(readyVariable)); err == nil {
			unix.CloseOnExec(fd)
			return do(out, errOut)
		}
		status, err := startInBackground()
		if err != nil {
			return complain(errOut, err, exitHop)
		}
		return status
	}
}

func startInBackground() (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ready, say, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	// The other process gets the terminal's signals, too. It decides what they mean.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, endingSignals...)
	cmd := &exec.Cmd{
		Path: self, Args: os.Args, Env: append(os.Environ(), readyVariable+"=3"), ExtraFiles: []*os.File{say},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	err = cmd.Start()
	say.Close()
	if err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	if text, _ := io.ReadAll(ready); len(text) > 0 {
		return strconv.Atoi(string(text))
	}
	err = cmd.Wait()
	if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
		return 0, err
	}
	return statusOfProcess(cmd.ProcessState), nil
}

// stayInBackground waits for the calls of ssh that a local program left in the background, if
// this process was started by inBackground.
func stayInBackground(ctx context.Context, cmd *fakessh.Cmd) error {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	_, _ = unix.Setsid() // a child leads no group
	for i := range 3 {
		// A reader of the output must see its end while the tunnel goes on.
		if err := unix.Dup2(int(null.Fd()), i); err != nil {
			return err
		}
	}
	ready := os.NewFile(uintptr(fd), "ready")
	_, err = io.WriteString(ready, strconv.Itoa(statusOfProcess(cmd.ProcessState)))
	if err := errors.Join(err, ready.Close()); err != nil {
		return err
	}
	return cmd.WaitBackground(ctx)
}
