// Command program is measured by the benchmarks as a whole, from its start to its end. It has the
// size of a user's program, and does one job on another host.
//
//	program HOST native|openssh   one call, over our own ssh or the user's
//	program HOST prepare          the same; it ends when it has packed its image for later runs
//	program HOST warm             the same, with the image that prepare has packed
//	program HOST cached           one call; the image stays there for the next time
//	program HOST far|near         100 x /bin/true as root, looped there or here
//
// It prints one byte when its work is done, and ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

func main() {
	contexts.Init()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: program HOST native|openssh|prepare|warm|cached|far|near")
		os.Exit(2)
	}
	if err := do(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func do(ctx context.Context, host, way string) (err error) {
	cfg := &contexts.Config{
		Log:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Cache:     way == "cached",
		PackedDir: os.DevNull, // no packed image is kept, so each run is like the first
	}
	if way == "prepare" || way == "warm" {
		cfg.PackedDir = work.PackedDir
	}
	master, err := contexts.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	var method connect.Method = ssh.Login{Host: host}
	if way == "openssh" {
		method = openssh.Login{Host: host}
	}
	node, err := master.Connect(ctx, method)
	if err != nil {
		return err
	}
	const times = 100
	job, calls := work.Command{Argv: []string{"/bin/true"}, Times: 1}, times
	switch way {
	case "far":
		job.Times, calls = times, 1
		fallthrough
	case "near":
		if node, err = node.Connect(ctx, become.Sudo{}); err != nil {
			return err
		}
		for range calls {
			if _, err := work.Run.Call(ctx, node, job); err != nil {
				return err
			}
		}
	default:
		if _, err := work.Empty.Call(ctx, node, struct{}{}); err != nil {
			return err
		}
	}
	if way == "prepare" {
		if err := awaitPacked(); err != nil {
			return err
		}
	}
	_, err = os.Stdout.Write([]byte("x"))
	return err
}

// awaitPacked waits for the image that is packed in the background.
func awaitPacked() error {
	const patience = 2 * time.Minute
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := work.PackedImage(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no packed image in %s after %v", work.PackedDir, patience)
}
