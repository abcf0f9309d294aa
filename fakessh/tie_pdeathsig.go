//go:build linux || freebsd

package fakessh

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a command that the kernel asks to end when this program dies
// in whatever way. It could kill it as well, but tools that notice in time that
// their ssh has gone clean up behind them, and should be able to. until is closed
// when the command has ended.
//
// Linux does so when the thread dies that started the process. So there is one
// that waits for the end.
func startTied(cmd *exec.Cmd, until <-chan struct{}) error {
	attr := new(syscall.SysProcAttr)
	if cmd.SysProcAttr != nil {
		*attr = *cmd.SysProcAttr
	}
	if attr.Pdeathsig == 0 {
		attr.Pdeathsig = syscall.SIGTERM
	}
	cmd.SysProcAttr = attr
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			<-until
		}
	}()
	return <-started
}
