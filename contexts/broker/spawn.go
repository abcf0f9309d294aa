//go:build linux || darwin || freebsd

package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// readyVariable has the number of the descriptor on which a broker that was spawned tells how its
// start went.
const readyVariable = "MITOSIS_BROKER_READY"

// What it tells, in a line. Anything else is why it failed.
const (
	saysReady   = "ready"
	saysRunning = "running"
)

// Spawn starts a broker in a process of its own, which outlives this one: in a session of its own,
// with nothing as input and output, in the root directory. argv is the command line of a program that
// calls [ServeSpawned]. Spawn returns when clients can connect, or where a broker is running
// already.
func Spawn(ctx context.Context, argv []string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), readyVariable+"="+strconv.Itoa(3))
	cmd.ExtraFiles = []*os.File{w}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return fmt.Errorf("the broker can't be started: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	line, readErr := bufio.NewReader(r).ReadString('\n')
	line = strings.TrimSuffix(line, "\n")
	if line == saysReady && stop() {
		go func() { _ = cmd.Wait() }() // a starter that outlives it leaves no zombie
		return nil
	}
	waitErr := cmd.Wait() // it has told that it will not serve, or is dead
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case line == saysRunning:
		return nil
	case line != "":
		return errors.New(line)
	case errors.Is(readErr, io.EOF) && waitErr != nil:
		return fmt.Errorf("the broker ended before it was ready: %w", waitErr)
	}
	return errors.New("the broker ended before it was ready")
}

// ServeSpawned is [Serve] in a process that [Spawn] has started, which it tells when clients can
// connect. In other processes it is Serve. Where a broker is running already it returns nil.
func ServeSpawned(ctx context.Context, cfg *Config) error {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return Serve(ctx, cfg)
	}
	_ = os.Unsetenv(readyVariable)
	syscall.CloseOnExec(fd)
	starter := os.NewFile(uintptr(fd), "starter")
	tell := func(line string) {
		if starter != nil {
			_, _ = io.WriteString(starter, strings.ReplaceAll(line, "\n", " ")+"\n")
			_ = starter.Close()
			starter = nil
		}
	}
	c := cfg.withDefaults()
	ready := c.Ready
	c.Ready = func(socket string) {
		tell(saysReady)
		if ready != nil {
			ready(socket)
		}
	}
	err = Serve(ctx, &c)
	if errors.Is(err, ErrRunning) {
		tell(saysRunning)
		return nil
	}
	if err != nil {
		tell(err.Error())
	}
	return err
}
