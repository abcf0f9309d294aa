//go:build unix

package guard

import "slices"

// Nothing that was started in a context outlives it, but for jobs: processes that a
// command has left running whose caller wants it so (KeepJobs). Such a command is
// started without the mark of the context. When it has ended, what it has left
// becomes a child of the guard, like all orphans; that and the lack of the mark are
// what jobs are told by, since daemons give up everything else that they have from
// their parents: sessions, descriptors, and often the environment. Only who has said
// KeepJobs has any. Those of contexts below are found below the guards of these, which
// may be killed before they have come to their own end.

// jobs are what is to be spared while the rest is killed. They are told at the first
// look: who becomes an orphan later may be one because its parent was killed.
type jobs struct {
	// Immutable.
	marker string
	keep   bool // there may be some

	looked   bool
	pids     map[int]bool
	sessions map[int]bool // in which a job goes on when it forks and ends
}

func newJobs(marker string, keep bool) *jobs {
	return &jobs{marker: marker, keep: keep, pids: make(map[int]bool), sessions: make(map[int]bool)}
}

// others returns every live process below root but jobs and what is below them, and
// those in except. adopts says that root is the guard, to which orphans are given.
func (j *jobs) others(table []Process, root int, adopts bool, except ...int) []int {
	all := descendants(table, root, except...)
	if !j.keep {
		return all
	}
	guards := map[int]bool{root: adopts}
	if !j.looked {
		for _, pid := range all {
			guards[pid] = isGuard(pid)
		}
	}
	for _, p := range table {
		if !guards[p.Parent] || p.Dead || slices.Contains(except, p.PID) {
			continue
		}
		is := j.pids[p.PID]
		if !is && (!j.looked || j.sessions[session(p.PID)]) {
			is = !isMarked(p.PID) && !isContext(p.PID)
		}
		if is {
			for _, pid := range append(descendants(table, p.PID), p.PID) {
				j.pids[pid] = true
				j.sessions[session(pid)] = true
			}
		}
	}
	j.looked = true
	return slices.DeleteFunc(all, func(pid int) bool { return j.pids[pid] })
}
