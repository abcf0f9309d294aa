package tool

import (
	"os/exec"
	"runtime"
	"sync"
)

// Starter starts all tools from one operating system thread that never ends:
// the kernel sends the parent-death signal when the thread that started a
// process ends, not when the process that the thread belongs to does.
var Starter = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go serveStarts(jobs)
	return jobs
})

// serveStarts runs until the process ends.
func serveStarts(jobs <-chan func()) {
	runtime.LockOSThread()
	for job := range jobs {
		job()
	}
}

// StartOnThread starts a command by that thread.
func StartOnThread(cmd *exec.Cmd) error {
	done := make(chan error)
	Starter() <- func() { done <- cmd.Start() }
	return <-done
}
