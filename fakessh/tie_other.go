//go:build !linux && !freebsd

package fakessh

import "os/exec"

// startTied: the kernel does nothing about those whose parent dies.
func startTied(cmd *exec.Cmd, _ <-chan struct{}) error { return cmd.Start() }
