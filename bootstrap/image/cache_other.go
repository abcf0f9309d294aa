//go:build !linux

package image

import "errors"

// KeepInCache has nothing to keep: only Linux starts children from images.
func KeepInCache() (harmed bool, err error) { return false, errors.ErrUnsupported }
