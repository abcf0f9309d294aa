//go:build unix

package guard

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"
)

// killLeft kills the processes that a dead worker left behind. It returns when none is left
// or budget is used up. Meanwhile another goroutine, reap, collects those that have died.
//
// On Linux every descendant whose parent has died becomes a child of the guard. So once there
// is no child there is no descendant, even if processes have forked while they were listed.
// A process that forks between list and signal is found in the next round. Jobs are children
// that stay: where there may be jobs, two rounds that find no other process are enough.
func killLeft(worker int, spared *jobs, budget time.Duration) {
	if spared.keep {
		awaitGuards(os.Getpid(), guardsBudget)
	}
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
	// Where orphans are given to init, noChildren says nothing about them. Those in the
	// worker's group get this signal. Others are found if they kept their environment.
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

// awaitGuards waits until the guards of contexts below a process have ended, or budget is used up.
// Only they can tell which of their children are jobs. Their links have hung up with the worker,
// or it has closed them.
func awaitGuards(root int, budget time.Duration) {
	end := time.Now().Add(budget)
	nothing := 0 // the kernel may leave out a child while another one ends: one look is not enough
	for pause := time.Millisecond; time.Now().Before(end); pause = min(2*pause, 50*time.Millisecond) {
		if slices.ContainsFunc(descendants(processes(root), root), isGuard) {
			nothing = 0
		} else if nothing++; nothing == 2 {
			return
		}
		time.Sleep(pause)
	}
}

// top returns the process whose descendants all belong to this context. It is the guard. Where
// there is none, or it was killed, it is this process: its parent is then init, or another
// that adopts orphans and has descendants which are not ours.
func top(self int) int {
	if guardPID > 1 && os.Getppid() == guardPID {
		return guardPID
	}
	return self
}

// Wake continues a worker's guard if somebody has stopped it. A context may be stopped as a
// whole, but it must not outlive its parent.
func Wake() {
	if guard := top(0); guard != 0 {
		syscall.Kill(guard, syscall.SIGCONT)
	}
}

// KillDescendants ends the live processes that this context started. It sends SIGTERM, and
// after grace or at the end of ctx SIGKILL, until none is left or two seconds have passed. It
// returns how many processes survived. Where there may be jobs, it waits before that for the guards
// of the contexts below, which must have been closed.
//
// In a worker this includes daemons that have left their session and whose parents are dead,
// since they are children of the guard. Where the guard was killed, it includes those that
// kept their environment. Jobs are spared. Zombies don't count, and are left to their
// parents.
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
			// The guard was killed while we looked: look again, below ourselves.
		}
	}

	if spared.keep {
		budget := guardsBudget
		if deadline, ok := ctx.Deadline(); ok {
			budget = min(budget, time.Until(deadline))
		}
		awaitGuards(top(self), budget)
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
