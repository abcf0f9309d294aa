//go:build linux || darwin || freebsd

package main

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

func TestProcessIsWatched(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, stop, err := untilProcessEnds(t.Context(), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if ctx.Err() != nil {
		t.Error("the process lives, and the ctx has ended")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// It is not waited for yet: a process that nobody waits for has ended, too.
	ends(t, ctx)
	_ = cmd.Wait()
	gone, stopGone, err := untilProcessEnds(t.Context(), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer stopGone()
	ends(t, gone)
}

func ends(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the process has ended, and the ctx has not after 20 s")
	}
}

func TestWatchIsStopped(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ctx, stop, err := untilProcessEnds(t.Context(), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	stop() // waits for the watch, or the test hangs
	ends(t, ctx)
}
