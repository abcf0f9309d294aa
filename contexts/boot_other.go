//go:build !linux && !darwin

package contexts

// bootID is empty where the system has no name for its being up. The time at
// which it started is none: it moves when the clock is set.
func bootID() string { return "" }
