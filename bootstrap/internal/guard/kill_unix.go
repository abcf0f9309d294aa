//go:build unix

package guard

import (
	"context"
	"os"
	"syscall"
	"time"
)

// killLeft kills what a dead worker left behind, and returns when there is
// nothing left or budget is used up. The reaper that runs beside it is what
// makes the killed disappear.
//
// On Linux every descendant whose parent died is a child of ours. "No child
// left" therefore means "no descendant left", whatever the process table said
// while things were moving, and a process that forks between the look at the
// table and the signal is found in the next round. Where there are jobs, two looks
// in which there is nothing else have to do.
func killLeft(worker int, spared *jobs, budget time.Duration) {
	end := time.Now().Add(budget)
	nothing := 0
	spared.find(os.Getpid(), true)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if noChildren() {
			break
		}
		self := os.Getpid()
		left := spared.others(processes(self), self, true)
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		syscall.Kill(-worker, syscall.SIGKILL)
		if len(left) == 0 && spared.keep {
			nothing++
		}
		if nothing == 2 || time.Now().After(end) {
			break
		}
		time.Sleep(pause)
	}
	// Where orphans go to init, the worker's process group outlives it, and so do
	// those that have left it. The latter are found if they kept their environment.
	syscall.Kill(-worker, syscall.SIGKILL)
	for !getsOrphans() && time.Now().Before(end) {
		left := strays(spared.marker, os.Getpid())
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

// top is the process below which everything is a context's own: its guard, or
// itself where there is none or where it was killed. Our parent is then init, or
// another that takes in orphans, and what is below that is not ours.
func top(self int) int {
	if guardPID > 1 && os.Getppid() == guardPID {
		return guardPID
	}
	return self
}

// Wake has a worker's guard go on if it was stopped. Who has stopped it may mean
// to stop all, but not for longer than the parent is there.
func Wake() {
	if guard := top(0); guard != 0 {
		syscall.Kill(guard, syscall.SIGCONT)
	}
}

// KillDescendants ends every process that this context started and that still
// lives: SIGTERM first, then, after grace or when ctx is done, SIGKILL until
// none is left or two seconds have passed. It returns how many survived.
//
// In a worker this includes daemons that have left their session and whose
// parents are dead, since those are children of the guard; where the guard was
// killed, those of them that kept their environment. Jobs are spared. Zombies don't
// count, and none is reaped: that is their parent's right.
func KillDescendants(ctx context.Context, grace time.Duration) (survivors int) {
	self := os.Getpid()
	spared := newJobs(Marker, Marker != "" && keepsJobs(WorkerLease))
	list := func() []int {
		for {
			root := top(self)
			spared.find(root, root != self, self)
			left := spared.others(processes(root), root, root != self, self)
			if root == self && Marker != "" {
				left = append(left, strays(Marker, self)...)
			}
			if root == top(self) {
				return left
			}
			// The guard was killed, while we looked or before.
		}
	}

	told := make(map[int]bool)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	tell := func(left []int) {
		for _, pid := range left {
			if !told[pid] {
				told[pid] = true
				syscall.Kill(pid, syscall.SIGTERM)
				syscall.Kill(pid, syscall.SIGCONT)
			}
		}
	}
	if grace > 0 && ctx.Err() == nil {
	term:
		for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
			left := list()
			if len(left) == 0 {
				return 0
			}
			tell(left)
			select {
			case <-timer.C:
				break term
			case <-ctx.Done():
				break term
			case <-time.After(pause):
			}
		}
	}
	end := time.Now().Add(2 * time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		left := list()
		if len(left) == 0 {
			return 0
		}
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Now().After(end) {
			return len(left)
		}
		time.Sleep(pause)
	}
}
