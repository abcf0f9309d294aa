package bootstrap

import "strings"

// A policy may let a shell run and forbid it to execute programs: noexec of sudoers, a
// filter for system calls, a security module. Such a shell can neither unpack an image nor
// read it away. A profile may set PATH so that no program is found. So nothing is sent before a
// plan has tried to execute a program, where the first stage got no output of uname and id.

// systemDirs are added to the end of PATH in the latter case.
const systemDirs = "/usr/bin:/bin:/usr/sbin:/sbin:/system/bin:/run/current-system/sw/bin"

// nothingRuns begins the reason of that plan where no program could be executed.
const nothingRuns = "no program can be executed"

// methodPrograms stands for that step in lines about it and in errors.
const methodPrograms = "programs"

// programs returns the plan that tries to execute a program that every host has, and finds the
// facts again where that is possible. No image follows the line.
func (p *plan) programs() string {
	return p.marker + " r=" + methodPrograms + ";i=0;" + planPart("common") +
		planPart("programs", "AGAIN", strings.TrimSuffix(first("ready")+findFacts(), ";"))
}

// ensurePrograms returns an error where no programs can be executed. Where programs were not in
// PATH, it finds the facts again.
func (d *conversation) ensurePrograms() error {
	if d.facts.Kernel != unknownFact || d.facts.UID >= 0 {
		return nil
	}
	p := &plan{marker: d.marker}
	d.sendPlan(p.programs(), nil)
	_, err := d.outcome([]string{methodPrograms}, make(map[string][]string))
	if err == nil {
		<-d.sent
	}
	return err
}

// nothingRuns returns the error for a reason that begins with the constant of that name.
func (d *conversation) nothingRuns(reason string) error {
	d.method = ""
	d.course.reach(PhaseImage)
	d.policy = true
	d.closed = append(d.closed, StartMethodError{methodPrograms, reason})
	return ErrNoStartMethod
}

// policyHint is the advice where no program can be executed.
const policyHint = "a policy forbids the far side's shell to execute programs: noexec in sudoers, a filter for system calls, or a security module"

// workerDenied is printed by a guard that was executed and may not execute the worker.
const workerDenied = "starting the worker: permission denied"

// unnamedHint returns a hint at the policy that forbids to execute a file without a name, where
// it was forbidden or killed. Options of mounts don't apply to a file in memory, and no mount kills.
func unnamedHint(list []StartMethodError) string {
	for _, e := range list {
		inMemory := e.StartMethod == StartPerl || e.StartMethod == StartPython
		if inMemory && strings.HasPrefix(e.Reason, "execution not allowed") || strings.Contains(e.Reason, "execution not allowed, killed") {
			return "a policy forbids to execute what has no name: intercept in sudoers, log_subcmds in sudoers, or a security module; "
		}
	}
	return ""
}

// restricted reports whether a restricted login shell has refused to execute the command
// line.
func restricted(said string) bool {
	for _, words := range [...]string{"exec: restricted", "/bin/sh: restricted"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

const restrictedHint = "the login shell is a restricted one, which starts no programs by their paths: give the user another shell, or log in as another user"
