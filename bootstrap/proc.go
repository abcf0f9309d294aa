package bootstrap

import "strings"

// Without /proc no file without a name can be executed, and a child finds neither its own
// executable nor the processes that it has started. Where /proc is not mounted, and the far
// side is root, the loop of the first stage goes on in a mount namespace that has one. There
// every start method works as usual.
//
// The child lives in that namespace. It sees later mounts of the host, because its mounts are
// slaves of the host's. The host does not see the child's mounts, which a warning says. A
// remount that changes a file system as a whole, such as from read-only to writable, works
// for both.

// methodProc stands for that step in lines about it and in errors.
const methodProc = "proc"

// noProcReason is the reason against every start method without /proc.
const noProcReason = "/proc is not mounted"

// procMounted is the reason with which that plan ends where it has mounted /proc.
const procMounted = "mounted"

// proc returns the plan that goes on reading plans in a namespace with /proc. It first tries
// everything in a process of its own, before exec replaces the shell. The mount stays in the
// namespace, as slaves don't pass their mounts on. No image follows the line.
func (p *plan) proc() string {
	const (
		unshare = "unshare -m --propagation slave /bin/sh -c "
		mount   = "mount -n -t proc proc /proc&&[ -e /proc/self/fd ]"
	)
	loop := mount + `;printf "\n%s fail ` + methodProc + " 0 " + procMounted + `\n" ` + p.marker + ";" + p.loop
	return p.marker + " r=" + methodProc + ";i=0;" + planPart("common") +
		"e=$(" + unshare + quote(mount) + " 2>&1 </dev/null)&&exec " + unshare + quote(loop) + `||bad "${e:-status $?}";`
}

// ensureProc has /proc mounted for the start methods, where that is possible. Otherwise
// d.closed has the reason.
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

// found returns the facts as the first stage found them.
func (d *conversation) found() Facts {
	facts := *d.facts
	facts.NoProc = facts.NoProc || d.ownProc
	return facts
}

// warnOfNamespace logs that the child is in another mount namespace than its host.
func (d *conversation) warnOfNamespace() {
	if d.ownProc {
		d.opts.Log.Warn("/proc is not mounted there: the child has one in a mount namespace of its own, and the host does not see the child's mounts")
	}
}
