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
// have called KeepJobs have jobs. Jobs of a context below this one are found below its guard,
// because that guard may be killed before it has ended by itself.
//
// If such a command is killed while it runs, its jobs are those that have prepared to be left
// alone: with a session of their own, or by ignoring SIGHUP as nohup does.
//
// If the worker was killed, the kernel has killed the command with it. The other processes of
// the command's session are then orphans, as jobs are, but they are no jobs. They are
// recognised by the command: the guard has reaped it, or finds it dying.

// jobs are the processes that are spared while the others are killed. They are found before the
// killing: later, a process may be an orphan only because its parent was killed.
type jobs struct {
	// Immutable.
	marker string
	keep   bool         // there may be jobs
	cutOff *killedAfter // commands that were killed with the worker; nil in a worker

	looked   bool // find has run: pids are all jobs
	pids     map[int]bool
	sessions map[int]bool // sessions of jobs: a job that forks and ends goes on in its session
}

func newJobs(marker string, keep bool) *jobs {
	return &jobs{marker: marker, keep: keep, pids: make(map[int]bool), sessions: make(map[int]bool)}
}

// find finds the jobs, unless it has done so before. While the processes are listed a
// parent may end. Then its child is found neither below it nor as an orphan. So find lists the
// processes again until two lists are equal, at most ten times.
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
			is = j.isLeftAlone(p.PID, parents, contexts)
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

// isOfCutOff reports whether an orphan is dying itself, or belongs to the session of a command
// that was killed with the worker. An orphan of such a session that ignores SIGHUP does not
// count: it wants to be left alone.
func (j *jobs) isOfCutOff(pid int) bool {
	if j.cutOff == nil {
		return false
	}
	leader := session(pid)
	// In this order: it may be reaped, and noted, between the two looks.
	return isDying(pid) || (isDying(leader) || j.cutOff.has(leader)) && !ignoresHangup(pid)
}

// killedAfter are the killed processes that a guard has reaped at the end of its worker, or later.
// Among them are the commands that ran at that time, each the leader of its session.
type killedAfter struct {
	mu   sync.Mutex
	pids map[int]bool // guarded by mu
}

// reap waits for a dead child, calls wait to reap it, and notes it if wait says so. Whoever asks
// has about a process that is reaped gets the answer behind that.
func (k *killedAfter) reap(wait func() (pid int, killed bool)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pid, killed := wait()
	if !killed {
		return
	}
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

// isLeftAlone reports whether a process has prepared to outlive the command above it, which has
// no mark. It has left the command's session, or it ignores SIGHUP and the command does not.
func (j *jobs) isLeftAlone(pid int, parents map[int]int, contexts map[int]bool) bool {
	command := 0
	for p := pid; ; p = parents[p] {
		above, known := parents[p]
		if !known {
			return false // no context is above this process
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
	if unmarked := hasNoMark(command); !isGone(command) {
		return apart && unmarked
	}
	return !j.isOfCutOff(pid) // an orphan, since the processes were listed
}
