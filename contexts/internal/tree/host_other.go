//go:build !linux && !darwin

package tree

// BootID is empty where the system has no name for its being up. The time at which it
// started is none: it moves when the clock is set.
func BootID() string { return "" }

// SharesImage reports false: there is no /proc/PID/exe.
func SharesImage(string) bool { return false }
