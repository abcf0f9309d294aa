//go:build linux || freebsd

package fakessh

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// startTied starts a command that the kernel asks to end when this program dies
// in whatever way. It could kill it as well, but tools that notice in time that
// their ssh has gone clean up behind them, and should be able to.
//
// Linux does so when the thread dies that started the process. So a goroutine keeps that
// thread until untie is called, which is done when the command has ended, and waits for it.
func startTied(cmd *exec.Cmd) (untie func(), err error) {
	attr := new(syscall.SysProcAttr)
	if cmd.SysProcAttr != nil {
		*attr = *cmd.SysProcAttr
	}
	if attr.Pdeathsig == 0 {
		attr.Pdeathsig = syscall.SIGTERM
	}
	cmd.SysProcAttr = attr
	started, ended := make(chan error), make(chan struct{})
	var thread sync.WaitGroup
	thread.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-ended
	})
	untie = func() {
		close(ended)
		thread.Wait()
	}
	if err := <-started; err != nil {
		untie()
		return nil, err
	}
	return untie, nil
}
