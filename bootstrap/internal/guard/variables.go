package guard

import (
	"slices"
	"strings"
	"syscall"
)

// GoVariables are the variables of the environment that the Go runtime reads before any code
// of ours runs. A malformed GOMEMLIMIT ends the process there, and each of them changes how
// the process runs. So they have other names until a worker runs. The worker gives them their
// names back, for the processes that it starts.
//
// GORACE and GOCOVERDIR are not among them: only builds for tests read these.
var GoVariables = []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"}

// KeptPrefix begins the other name of a variable.
const KeptPrefix = "MITOSIS_"

// keptName splits an entry of an environment. It reports whether the entry has the other name
// of one of GoVariables, and returns the variable's own name.
func keptName(entry string) (name, value string, isKept bool) {
	kept, value, _ := strings.Cut(entry, "=")
	name, isKept = strings.CutPrefix(kept, KeptPrefix)
	return name, value, isKept && slices.Contains(GoVariables, name)
}

// Kept returns an environment in which GoVariables have their other names. Where env has a
// variable under both names, the value of the other name stays: see Added.
func Kept(env []string) []string {
	has := make(map[string]bool)
	for _, entry := range env {
		if name, _, isKept := keptName(entry); isKept {
			has[name] = true
		}
	}
	out := make([]string, 0, len(env)+1)
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case !slices.Contains(GoVariables, name):
			out = append(out, entry)
		case !has[name]:
			out = append(out, KeptPrefix+entry)
		}
	}
	return out
}

// Added returns entries for the environment of a child that this process starts itself.
// Appended to this process's environment they have the effect of Kept.
func Added() []string {
	var added []string
	for _, name := range GoVariables {
		if value, isSet := syscall.Getenv(name); isSet {
			added = append(added, name+"=", KeptPrefix+name+"="+value)
		}
	}
	return added
}

// giveBack gives the variables of this process their own names back.
func giveBack() {
	for _, entry := range syscall.Environ() {
		if name, value, isKept := keptName(entry); isKept {
			_ = syscall.Unsetenv(KeptPrefix + name)
			_ = syscall.Setenv(name, value)
		}
	}
}
