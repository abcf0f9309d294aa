//go:build !windows

package files

const foreignSeparators = "\x00"
