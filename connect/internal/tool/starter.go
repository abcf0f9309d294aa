package tool

import (
	"os/exec"
	"runtime"
	"sync"
)

// Starter takes jobs that start tools, and does them on one operating system thread that
// lives as long as the process. The kernel sends the parent-death signal when the thread ends
// that started a process.
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

// StartOnThread starts a command on the thread of [Starter].
func StartOnThread(cmd *exec.Cmd) error {
	done := make(chan error)
	Starter() <- func() { done <- cmd.Start() }
	return <-done
}
