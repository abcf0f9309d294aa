//go:build linux

package integration

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// resources are the numbers of descriptors and goroutines that a process holds.
type resources struct{ fds, goroutines int }

func holding(t *testing.T) resources {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return resources{len(fds), runtime.NumGoroutine()}
}

// released checks that this process holds no more resources than at the time of r.
func (r resources) released(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(stretched(deathBudget))
	for {
		now := holding(t)
		if now.fds <= r.fds && now.goroutines <= r.goroutines {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Errorf("this process holds %+v, want no more than before, %+v\n%s", now, r, stacks[:runtime.Stack(stacks, true)])
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// childProcesses returns the live processes that this one has started.
func childProcesses(t *testing.T) string {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, task := range tasks {
		pids, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children") // the thread may have ended
		all.Write(pids)
	}
	return all.String()
}
