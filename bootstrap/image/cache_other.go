//go:build !linux

package image

import "errors"

// KeepInCache fails: only Linux starts children from images.
func KeepInCache() (harmed bool, err error) { return false, errors.ErrUnsupported }
