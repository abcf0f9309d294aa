//go:build !linux

package bootstrap

import "errors"

// KeepImage has nothing to keep: only Linux starts children from images.
func KeepImage() (harmed bool, err error) { return false, errors.ErrUnsupported }
