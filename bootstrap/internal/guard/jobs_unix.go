//go:build unix

package guard

import (
	"maps"
	"slices"
	"sync"
)

// No process that was started in a context outlives it, except for jobs. A job is a process
// that a command has left running, where the caller wants that (KeepJobs). Such a command is
// started without the mark of the context.
//
// When the command has ended, its jobs become children of the guard, like all orphans. A job
// is recognised by that and by the lack of the mark. Daemons give up everything else that they
// have from their parents: sessions, descriptors, and often the environment. Only contexts that
// have called KeepJobs have jobs. Jobs of contexts below are found below the guards of these,
// which may be killed before they have ended by themselves.
//
// If such a command is killed while it runs, its jobs are those that have prepared to be left
// alone: with a session of their own, or by ignoring SIGHUP as nohup does.
//
// If the worker was killed, the kernel has killed the command with it, and the other processes of
// its session are orphans as jobs are. They are recognised by the command, which the guard
// reaps or finds dying.

// jobs are the processes that are spared while the others are killed. They are found before
// that, because later a process may be an orphan only because its parent was killed.
type jobs struct {
	// Immutable.
	marker string
	keep   bool         // there may be some
	cutOff *killedAfter // commands that were killed with the worker; nil in a worker

	looked   bool // all are known
	pids     map[int]bool
	sessions map[int]bool // in which a job goes on when it forks and ends
}

func newJobs(marker string, keep bool) *jobs {
	return &jobs{marker: marker, keep: keep, pids: make(map[int]bool), sessions: make(map[int]bool)}
}

// find finds the jobs, unless it has done so before. While the processes are listed a
// parent may end, and its child be found neither below it nor as an orphan. So they are
// listed again until nothing changes.
func (j *jobs) find(root int, adopts bool, except ...int) {
	var before map[int]int
	for i := 0; i < 10 && j.keep && !j.looked; i++ {
		now := make(map[int]int)
		list := processes(root)
		for _, p := range list {
			now[p.PID] = p.Parent
		}
		j.others(list, root, adopts, except...)
		if maps.Equal(before, now) {
			break
		}
		before = now
	}
	j.looked = true
}

// others returns the live processes below root, without jobs, descendants of jobs, and
// those in except. adopts says that root is the guard, to which orphans are given.
func (j *jobs) others(list []Process, root int, adopts bool, except ...int) []int {
	all := descendants(list, root, except...)
	if !j.keep {
		return all
	}
	guards := map[int]bool{root: adopts}
	parents, contexts := make(map[int]int), make(map[int]bool)
	if !j.looked {
		contexts[root] = isContext(root)
		for _, p := range list {
			parents[p.PID] = p.Parent
			contexts[p.PID] = isContext(p.PID)
		}
		for _, pid := range all {
			guards[pid] = contexts[pid] && isGuard(pid)
		}
	}
	for _, p := range list {
		if p.Dead || slices.Contains(except, p.PID) {
			continue
		}
		is := j.pids[p.PID]
		switch {
		case is:
		case guards[p.Parent]:
			is = (!j.looked || j.sessions[session(p.PID)]) && !isMarked(p.PID) && !isContext(p.PID) && !j.isOfCutOff(p.PID)
		case !j.looked:
			is = isLeftAlone(p.PID, parents, contexts)
		}
		if is {
			for _, pid := range append(descendants(list, p.PID), p.PID) {
				j.pids[pid] = true
				j.sessions[session(pid)] = true
			}
		}
	}
	return slices.DeleteFunc(all, func(pid int) bool { return j.pids[pid] })
}

// isOfCutOff reports whether an orphan is dying itself, or was left by a command that was
// killed with the worker and did not do anything to be left alone.
func (j *jobs) isOfCutOff(pid int) bool {
	if j.cutOff == nil {
		return false
	}
	leader := session(pid)
	return isDying(pid) || (j.cutOff.has(leader) || isDying(leader)) && !ignoresHangup(pid)
}

// killedAfter are the processes that a guard has reaped after the end of its worker and
// that were killed: the leaders of the sessions of commands that ran then.
type killedAfter struct {
	mu   sync.Mutex
	pids map[int]bool // guarded by mu
}

func (k *killedAfter) add(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pids == nil {
		k.pids = make(map[int]bool)
	}
	k.pids[pid] = true
}

func (k *killedAfter) has(pid int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pids[pid]
}

// isLeftAlone reports whether a process that is below a command without the mark has
// left its session or ignores the hang-up, and the command has and does not.
func isLeftAlone(pid int, parents map[int]int, contexts map[int]bool) bool {
	command := 0
	for p := pid; ; p = parents[p] {
		above, known := parents[p]
		if !known {
			return false // what is above everything is no worker
		}
		if contexts[p] {
			return false
		}
		if contexts[above] {
			command = p
			break
		}
	}
	if command == pid || isMarked(pid) {
		return false
	}
	apart := session(pid) != session(command) || ignoresHangup(pid) && !ignoresHangup(command)
	unmarked := hasNoMark(command)
	// It may have ended since the processes were listed. Then this is an orphan.
	return isGone(command) || apart && unmarked
}
