//go:build !linux

package files

import "testing"

func fullDisk(*testing.T) string { return "" }
