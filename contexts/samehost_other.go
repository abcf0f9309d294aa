//go:build !linux

package contexts

// sameHostReadable: there is no /proc/PID/exe to share.
func sameHostReadable(string) bool { return false }
