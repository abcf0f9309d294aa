//go:build !linux

package guard

// Trim does nothing: these systems don't tell which pages may be given back.
func Trim() {}
