//go:build !windows

package wire

const foreignSeparators = "\x00"
