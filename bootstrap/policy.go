package bootstrap

import "strings"

// A policy may let a shell run and forbid it to execute programs: noexec of sudoers, a
// filter for system calls, a security module. Such a shell can neither unpack an image nor
// pass it over, so that is found out before one is sent, where the first stage got
// no answer from any of the programs that it has asked.

// nothingRuns begins the reason of a plan which has found that.
const nothingRuns = "no program can be executed"

// methodPrograms stands for that step in lines about it and in errors.
const methodPrograms = "programs"

// programs is the plan that tries to execute what is certainly there. Nothing follows the
// line.
func (p *plan) programs() string {
	return p.marker + " r=" + methodPrograms + ";i=0;" + planPart("common") +
		`e=$( (/bin/sh -c :) 2>&1)&&bad "` + programsRun + `"||bad "` + nothingRuns + `: ${e##*: }";`
}

// programsRun is the reason for which the plan ends where programs run.
const programsRun = "they run"

// ensurePrograms returns an error where no programs can be executed.
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

// nothingRuns is the error for a reason that begins so.
func (d *conversation) nothingRuns(reason string) error {
	d.method = ""
	d.course.reach(PhaseImage)
	d.policy = true
	d.closed = append(d.closed, StartMethodError{methodPrograms, reason})
	return ErrNoStartMethod
}

// policyHint tells what forbids programs.
const policyHint = "a policy forbids the far side's shell to execute programs: noexec in sudoers, a filter for system calls, or a security module"

// workerDenied is what a guard says that was executed and may not execute.
const workerDenied = "starting the worker: permission denied"

// unnamedHint tells what forbids to execute a file in memory that has no name, where
// that is the case: no mount has a say in that.
func unnamedHint(list []StartMethodError) string {
	for _, e := range list {
		if (e.StartMethod == StartPerl || e.StartMethod == StartPython) && strings.HasPrefix(e.Reason, "execution not allowed") {
			return "a policy forbids to execute what has no name: intercept in sudoers, or a security module; "
		}
	}
	return ""
}

// restricted reports whether a restricted login shell has said that it does not execute
// the command line.
func restricted(said string) bool {
	for _, words := range [...]string{"exec: restricted", "/bin/sh: restricted"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

const restrictedHint = "the login shell is a restricted one, which starts no programs by their paths"
