package bootstrap

import "strings"

// Without /proc nothing that has no name can be executed, and a child finds neither
// its own executable nor what it has started. Where it is not mounted, root has the
// loop of the first stage go on in a mount namespace in which it is: every start method then
// does there what it does elsewhere.
//
// The child lives in that namespace. It sees what the host mounts later on, since its
// mounts are slaves of the host's, but the host does not see what it mounts, so a
// warning says so. A remount that concerns a file system as a whole, such as from
// read-only to writable, is the same file system for both.

// methodProc stands for that step in lines about it and in errors.
const methodProc = "proc"

// noProcReason is why each start method is closed without /proc.
const noProcReason = "/proc is not mounted"

// procMounted is the reason for which the plan ends where it has done that.
const procMounted = "mounted"

// proc is the plan that takes up the reading of plans where /proc is mounted. It
// tries all in a process that ends, before exec replaces the shell. The mount is the
// namespace's own: slaves don't hand on what is mounted on them. Nothing follows the
// line.
func (p *plan) proc() string {
	const (
		unshare = "unshare -m --propagation slave /bin/sh -c "
		mount   = "mount -n -t proc proc /proc&&[ -e /proc/self/fd ]"
	)
	loop := mount + `;printf "\n%s fail ` + methodProc + " 0 " + procMounted + `\n" ` + p.marker + ";" + p.loop
	return p.marker + " r=" + methodProc + ";i=0;" + planPart("common") +
		"e=$(" + unshare + quote(mount) + " 2>&1 </dev/null)&&exec " + unshare + quote(loop) + `||bad "${e:-status $?}";`
}

// ensureProc sees to it that the start methods have a /proc, where there is a way to that.
// Otherwise d.closed tells why not.
func (d *conversation) ensureProc() error {
	if !d.facts.NoProc || d.facts.GOOS() != "linux" {
		return nil
	}
	var why string
	switch {
	case d.facts.UID != 0:
		why = "not root"
	case !d.facts.has("unshare"):
		why = "unshare not found"
	default:
		p := &plan{marker: d.marker, loop: d.loop()}
		d.sendPlan(p.proc(), nil)
		notes := make(map[string][]string)
		if _, err := d.outcome([]string{methodProc}, notes); err != nil {
			return err
		}
		<-d.sent
		why = strings.Join(notes[methodProc], ", ")
	}
	if why == procMounted {
		d.facts.NoProc, d.ownProc = false, true
		return nil
	}
	d.closed = append(d.closed, StartMethodError{methodProc, "none can be mounted for the child alone: " + why})
	return nil
}

// found are the facts as the first stage found them.
func (d *conversation) found() Facts {
	facts := *d.facts
	facts.NoProc = facts.NoProc || d.ownProc
	return facts
}

// warnOfNamespace tells that the child is not where the host is.
func (d *conversation) warnOfNamespace() {
	if d.ownProc {
		d.opts.Log.Warn("/proc is not mounted there: the child has one in a mount namespace of its own, and what it mounts is not seen by the host")
	}
}
