//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker/client"
)

// brokerRows compares calls through a standing broker with calls through a ControlMaster of ssh:
// those of new processes, and those of a program that stays.
func brokerRows(ctx context.Context, mitosis string) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	env := append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "XDG_STATE_HOME="+dir, "MITOSIS_CONFIG=none")
	command := func(name string, args ...string) *subject {
		return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Env = env
			began := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				return 0, fmt.Errorf("%w: %s", err, out)
			}
			return millis(time.Since(began)), nil
		}}
	}
	once := func(args ...string) error {
		_, err := command(args[0], args...).bounded(ctx)
		return err
	}
	control := filepath.Join(dir, "control")
	master := exec.Command("ssh", "-M", "-N", "-S", control, serverName)
	if err := errors.Join(master.Start(), once(mitosis, "broker", "start")); err != nil {
		return nil, err
	}
	defer func() {
		_ = master.Process.Kill()
		_ = master.Wait()
		err = errors.Join(err, once(mitosis, "broker", "stop"))
	}()
	path := "ssh:" + serverName
	if err := errors.Join(once(mitosis, "run", path, "--", "true"), awaitFile(ctx, control)); err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, filepath.Join(dir, "mitosis", "broker.sock"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	fresh := command("new process by the broker", mitosis, "run", path, "--", "true")
	shared := command("new process by a ControlMaster", "ssh", "-S", control, serverName, "true")
	standing := &subject{name: "standing client of the broker", measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		_, err := c.Run(ctx, &client.Command{Path: path, Argv: []string{"true"}})
		return millis(time.Since(began)), err
	}}
	version := command("version", mitosis, "version")
	bare := &subject{name: "bare process"}
	bare.measure = func(ctx context.Context) (float64, error) {
		cmd, err := self(ctx, "hello")
		if err != nil {
			return 0, err
		}
		began := time.Now()
		err = cmd.Run()
		return millis(time.Since(began)), err
	}
	if err := inTurns(ctx, rounds(40), shared, fresh, standing, version, bare); err != nil {
		return nil, err
	}
	const sharedIs = "ssh -S CONTROL, true"
	return []row{
		{What: "true by a new process through the broker", Unit: "ms", Measured: fresh.results.median(), Limit: shared.results.median(), LimitIs: sharedIs, Factor: 1.5},
		{What: "true by a standing client of the broker", Unit: "ms", Measured: standing.results.median(), Limit: shared.results.median(), LimitIs: sharedIs, Factor: 1},
		{What: "mitosis version", Unit: "ms", Measured: version.results.median(), Limit: bare.results.median(), LimitIs: "a start of this program"},
	}, nil
}

// awaitFile waits until a file is there.
func awaitFile(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	for {
		if _, err := os.Lstat(name); err == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", name, ctx.Err())
		}
	}
}
