//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
)

// actAsBroker serves at a socket: until its input ends, or for as long as args[1] says.
func actAsBroker(ctx context.Context, args []string) error {
	cfg := &broker.Config{Socket: args[0], Tree: &contexts.Config{Log: slog.New(slog.DiscardHandler)}}
	cfg.Ready = func(string) { fmt.Println("ready") }
	ctx, cancel := context.WithCancelCause(ctx)
	dismissed := errors.New("the test is done")
	go func() {
		untilDismissed()
		cancel(dismissed)
	}()
	err := broker.Serve(ctx, cfg)
	if errors.Is(err, broker.ErrRunning) {
		fmt.Println("running")
		return nil
	}
	if errors.Is(err, dismissed) {
		return nil
	}
	return err
}

// actAsSpawned is a broker that Spawn starts. args[1] is how long it is idle before it ends.
func actAsSpawned(ctx context.Context, args []string) error {
	if args[1] == "fail" {
		return broker.ServeSpawned(ctx, &broker.Config{Socket: "no/absolute\npath.sock"})
	}
	if args[1] == "die" {
		os.Exit(3)
	}
	idle, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	return broker.ServeSpawned(ctx, &broker.Config{Socket: args[0], Idle: idle, Tree: &contexts.Config{Log: slog.New(slog.DiscardHandler)}})
}

// actAsStarter spawns a broker and ends.
func actAsStarter(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	os.Setenv(roleVariable, "spawned")
	if err := broker.Spawn(ctx, []string{self, args[0], args[1]}); err != nil {
		return err
	}
	c, err := client.Dial(ctx, args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err == nil {
		fmt.Println(s.PID)
	}
	return err
}

// actAsClient runs a script at the broker, says the process IDs that it prints, and waits for its
// death.
func actAsClient(ctx context.Context, args []string) error {
	c, err := client.Dial(ctx, args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Run(ctx, &client.Command{Path: "local", Argv: []string{"sh", "-c", args[1]}, Stdout: os.Stdout})
	return err
}
